"""vsx sync: folders, tables and queries are followed, and every change is told."""

import json
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest
from conftest import Terminal, write_model, write_picture


def sync(vsx, shop, *args, code=0):
    return json.loads(vsx("sync", shop, *args, "--json", code=code).stdout)


def counts(report):
    names = ("added", "replaced", "renamed", "patched", "removed", "duplicates", "unchanged")
    return {name: report[name] for name in names if report[name]}


def keys(vsx, shop, *args):
    return vsx("list", shop, *args).stdout.splitlines()


def test_a_folder_is_followed(vsx, shop, photos):
    done = vsx("sync", shop, photos)
    assert done.stdout == ""
    assert "synchronised 6 items in " in done.stderr
    assert ": 6 added, 0 unchanged; 6 pictures encoded\n" in done.stderr

    write_picture(photos / "a.jpg", 100)
    (photos / "b.png").rename(photos / "renamed.png")
    (photos / "c.bmp").unlink()
    write_picture(photos / "new.png", 101)
    report = sync(vsx, shop, photos)
    assert report["changes"] == [
        {"action": "replace", "key": "a.jpg"},
        {"action": "remove", "key": "c.bmp"},
        {"action": "add", "key": "new.png"},
        {"action": "rename", "key": "renamed.png", "other": "b.png"},
    ]
    assert report["encoded"] == 2
    assert (report["listed"], report["unchanged"]) == (6, 3)
    assert (report["failures"], report["problems"]) == ([], [])
    (hit,) = vsx.hits(shop, "--image", photos / "a.jpg", "-k", 1)
    assert (hit["key"], round(hit["score"], 2)) == ("a.jpg", 1)
    assert keys(vsx, shop) == [
        "a.jpg", "f.JPEG", "new.png", "renamed.png", "shoes/d.jpg", "shoes/old/e.gif",
    ]  # fmt: skip
    done = vsx("sync", shop, photos)
    assert ": 6 unchanged\n" in done.stderr
    assert vsx("sync", shop, photos, "-q").stderr == ""


def test_a_dry_run_shows_the_plan_and_does_nothing(vsx, shop, photos):
    vsx("sync", shop, photos / "a.jpg", photos / "b.png", "--no-remove")
    (photos / "a.jpg").unlink()
    for i in range(30):
        write_picture(photos / "many" / f"{i:02}.png", i + 10)
    before = vsx.info(shop)["generation"]
    command = ["sync", shop, photos, "--dry-run", "--max-removed", "50%"]
    done = vsx(*command)
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["remove", "a.jpg"]
    assert lines[1].split() == ["add", "c.bmp"]
    assert len(lines) == 25
    assert lines[-1] == "... and 11 more; --verbose shows them"
    assert "compared 35 items in " in done.stderr
    assert ": 34 to add, 1 to remove, 1 unchanged\n" in done.stderr
    assert len(vsx(*command, "--verbose").stdout.splitlines()) == 35
    report = sync(vsx, shop, photos, "--dry-run", "--max-removed", "0.5")
    assert report["dry_run"]
    assert counts(report) == {"added": 34, "removed": 1, "unchanged": 1}
    assert vsx.info(shop)["generation"] == before
    assert keys(vsx, shop) == ["a.jpg", "b.png"]


def test_too_many_removals_are_refused(vsx, shop, photos):
    vsx("sync", shop, photos)
    shutil.rmtree(photos / "shoes")
    done = vsx("sync", shop, photos, code=1)
    assert "lacks 2 of the 6 items" in done.stderr
    assert "--max-removed 100%" in done.stderr
    assert len(keys(vsx, shop)) == 6
    assert counts(sync(vsx, shop, photos, "--no-remove")) == {"unchanged": 4}
    assert len(keys(vsx, shop)) == 6
    vsx("sync", shop, photos, "--max-removed", "33%", code=1)
    assert counts(sync(vsx, shop, photos, "--max-removed", "0.34")) == {
        "removed": 2,
        "unchanged": 4,
    }


def test_a_bad_picture_leaves_the_item_as_it_was(vsx, shop, photos):
    vsx("sync", shop, photos)
    before = vsx.hits(shop, "--like", "b.png")
    (photos / "a.jpg").write_bytes(b"no picture")
    (photos / "broken.png").write_bytes(b"")
    done = vsx("sync", shop, photos, code=3)
    assert "2 pictures could not be taken:\n" in done.stderr
    assert f"{photos}/a.jpg" in done.stderr
    assert f"{photos}/broken.png" in done.stderr
    report = sync(vsx, shop, photos, code=3)
    assert sorted(failure["key"] for failure in report["failures"]) == ["a.jpg", "broken.png"]
    assert report["failures"][0]["message"]
    assert vsx.hits(shop, "--like", "b.png") == before


def test_keys_of_folders_with_metadata(vsx, shop, photos, tmp_path):
    (photos / "shoes" / "d.jpg").rename(photos / "shoes" / "old" / "d.jpg")
    table = tmp_path / "products.csv"
    command = [shop, photos / "shoes", "--keys", "folder", "--metadata", table]
    table.write_text("key,price\nold,30\n")
    assert counts(sync(vsx, *command)) == {"added": 1}
    item = json.loads(vsx("get", shop, "old", "--json").stdout)
    assert item["metadata"] == {"price": 30}
    names = [picture["path"].split("/")[-1] for picture in item["pictures"]]
    assert names == ["d.jpg", "e.gif"]
    table.write_text("key,price\nold,25\n")
    report = sync(vsx, *command)
    assert counts(report) == {"patched": 1}
    assert report["encoded"] == 0
    assert keys(vsx, shop, "--where", "price = 25") == ["old"]
    stems = sync(vsx, shop, photos, "--keys", "stem", "--prefix", "s/")
    assert counts(stems) == {"added": 6}
    assert "s/shoes/old/d" in keys(vsx, shop)
    assert "old" in keys(vsx, shop)  # has no such prefix: another source's


def test_a_manifest(vsx, shop, photos):
    manifest = photos / "products.jsonl"
    rows = [
        {"sku": 1, "path": "a.jpg", "colour": "red"},
        {"sku": 2, "path": "b.png", "crop": [0, 0, 0.5, 1], "role": "front"},
        {"sku": 2, "path": "c.bmp"},
    ]
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert counts(sync(vsx, shop, manifest, "--key-column", "sku")) == {"added": 2}
    item = json.loads(vsx("get", shop, "2", "--json").stdout)
    assert [picture["crop"] for picture in item["pictures"]] == [[0, 0, 0.5, 1], [0, 0, 1, 1]]
    assert item["pictures"][0]["role"] == "front"
    text = vsx("get", shop, "2").stdout
    assert text.startswith("2\n")
    assert f"{photos}/b.png, front, crop 0 0 0.5 1\n" in text
    said = vsx("sync", shop, manifest, code=1).stderr
    assert f"'{manifest}', line 1: there is no 'key'" in said


def test_a_query_on_a_database(vsx, shop, photos):
    database = photos / "shop.db"
    with sqlite3.connect(database) as shop_db:
        shop_db.execute("CREATE TABLE products (sku TEXT, photo TEXT, price REAL)")
        shop_db.executemany(
            "INSERT INTO products VALUES (?, ?, ?)", [("a", "a.jpg", 9.5), ("b", "b.png", None)]
        )
    shop_db.close()
    query = "SELECT sku AS key, photo AS path, price FROM products"
    command = ["--sqlite", database, "--query", query]
    assert counts(sync(vsx, shop, *command)) == {"added": 2}
    assert json.loads(vsx("get", shop, "a", "--json").stdout)["metadata"] == {"price": 9.5}
    with sqlite3.connect(database) as shop_db:
        shop_db.execute("UPDATE products SET price = 8 WHERE sku = 'a'")
    shop_db.close()
    assert counts(sync(vsx, shop, *command)) == {"patched": 1, "unchanged": 1}
    said = vsx("sync", shop, "--sqlite", database, "--query", "DELETE FROM products", code=1)
    assert str(database) in said.stderr


def test_duplicates_are_left_out_or_linked(vsx, shop, photos):
    vsx("sync", shop, photos)
    shutil.copy(photos / "a.jpg", photos / "twin.jpg")
    report = sync(vsx, shop, photos, "--duplicates", "skip", "--duplicate-distance", 0.0001)
    assert report["changes"] == [{"action": "duplicate", "key": "twin.jpg", "other": "a.jpg"}]
    assert "twin.jpg" not in keys(vsx, shop)
    report = sync(vsx, shop, photos, "--duplicates", "link", "--duplicate-distance", 0.0001)
    assert counts(report) == {"added": 1, "unchanged": 6}
    assert keys(vsx, shop, "--where", "duplicate_of = 'a.jpg'") == ["twin.jpg"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "either SOURCE... or --sqlite DB"),
        (["photos", "--sqlite", "x.db", "--query", "SELECT 1"], "either SOURCE..."),
        (["--sqlite", "x.db"], "give both, or neither"),
        (["photos", "--query", "SELECT 1"], "give both, or neither"),
        (["a.csv", "photos"], "--metadata"),
        (["a.csv", "--keys", "stem"], "this source has rows"),
        (["photos", "--keys", "sku"], "--keys is path, stem, name or folder, not 'sku'"),
        (["photos", "--key-column", "sku"], "--metadata"),
        (["photos", "--max-removed", "20"], "such as 0.2 or 20%, from 0 to 1, not '20'"),
        (["photos", "--max-removed", "many"], "not 'many'"),
        (["photos", "--duplicates", "drop"], "--duplicates is keep, skip or link, not 'drop'"),
        (["photos", "--duplicate-distance", "-1"], "--duplicate-distance"),
        (["photos", "--duplicate-distance", "0.1"], "give --duplicates too"),
        (["photos", "--dry-run", "--watch"], "nothing to --watch for"),
        (["a.csv", "--watch"], "--watch follows folders only"),
    ],
)
def test_wrong_usage(vsx, args, message):
    done = vsx("sync", "shop", *args, code=2)
    assert message in done.stderr
    assert done.stdout == ""


def test_a_source_that_is_not_there(vsx, shop, photos, tmp_path):
    vsx("sync", shop, photos)
    said = vsx("sync", shop, tmp_path / "none", code=1).stderr
    assert f"'{tmp_path}/none'" in said
    said = vsx("sync", shop, tmp_path / "none.csv", code=1).stderr
    assert f"{tmp_path}/none.csv" in said
    said = vsx("sync", shop, "--sqlite", tmp_path / "n.db", "--query", "SELECT 1", code=1).stderr
    assert f"{tmp_path}/n.db" in said
    assert len(keys(vsx, shop)) == 6


def test_ctrl_c_and_the_next_run_goes_on(vsx, tmp_path):
    model = write_model(tmp_path / "slow.vsm.pt", work=30)
    shop = tmp_path / "slow.vsearch"
    vsx("init", shop, "--encoder", model)
    for i in range(400):
        write_picture(tmp_path / "many" / f"{i:04}.png", i)
    terminal = Terminal(vsx.command("sync", shop, tmp_path / "many"))
    terminal.wait_for(r"[1-9]\d* of 400 items  [\d.]+/s  [\d:]+ left")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.finish() == 130
    assert "stopping; press Ctrl-C again" in terminal.seen
    assert "synchronise again to go on" in terminal.seen
    items = vsx.info(shop)["items"]
    assert 0 < items < 400
    report = sync(vsx, shop, tmp_path / "many")
    assert counts(report) == {"added": 400 - items, "unchanged": items}
    assert report["encoded"] <= 400 - items


class Following:
    """A vsx sync --watch and what it prints, a JSON object a run."""

    def __init__(self, vsx, *args, log):
        self.log = log
        self.process = subprocess.Popen(
            vsx.command("sync", *args, "--watch", "--json"),
            stdout=subprocess.PIPE,
            stderr=log.open("w"),
            text=True,
        )

    def next(self):
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        return json.loads(line)

    def wait_for_message(self, text):
        deadline = time.monotonic() + 60
        while text not in self.log.read_text():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def end(self):
        self.process.send_signal(signal.SIGINT)
        rest = self.process.stdout.read()
        assert self.process.wait(60) == 130
        return rest


def test_a_folder_is_watched(vsx, shop, photos, tmp_path):
    following = Following(vsx, shop, photos, log=tmp_path / "log")
    try:
        assert counts(following.next()) == {"added": 6}
        write_picture(tmp_path / "new.png", 50)
        (tmp_path / "new.png").rename(photos / "new.png")
        assert following.next()["changes"] == [{"action": "add", "key": "new.png"}]
        (photos / "new.png").unlink()
        assert following.next()["changes"] == [{"action": "remove", "key": "new.png"}]

        # Refused, which is told, and then followed again.
        shutil.move(photos / "shoes", tmp_path / "shoes")
        following.wait_for_message("--max-removed 100%")
        shutil.move(tmp_path / "shoes", photos / "shoes")
        write_picture(tmp_path / "late.png", 51)
        (tmp_path / "late.png").rename(photos / "late.png")
        assert following.next()["changes"] == [{"action": "add", "key": "late.png"}]
    finally:
        rest = following.end()
    assert rest == ""
    log = (tmp_path / "log").read_text()
    assert f"vsx: following {photos}; Ctrl-C ends it\n" in log
    assert "vsx: synchronised 7 items: 1 added, 6 unchanged; 1 picture encoded\n" in log
    assert "it is tried again with the next change" in log
    assert len(keys(vsx, shop)) == 7
