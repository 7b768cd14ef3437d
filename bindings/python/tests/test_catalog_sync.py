"""Catalog.sync and watch: a catalogue in step with folders, manifests and databases."""

import json
import os
import signal
import sqlite3
import threading
import time

import pytest
import vsearch
from conftest import save


def actions(report):
    return {(change.action, change.key, change.other) for change in report.changes}


def test_a_folder_is_followed(empty, photos):
    folder = photos[0].parent
    report = empty.sync(folder, keys="stem")
    assert (report.listed, report.unchanged, report.encoded) == (8, 0, 8)
    assert report.count("add") == 8
    assert (report.failures, report.problems) == ([], [])
    assert empty.keys() == [f"{i}" for i in range(8)]
    again = empty.sync(str(folder), keys="stem")
    assert (again.listed, again.unchanged, again.changes) == (8, 8, [])

    save(photos[0], 100)
    os.utime(photos[0], (1, 1))
    photos[1].unlink()
    photos[2].rename(folder / "renamed.png")
    save(folder / "more" / "new.png", 101)
    expected = {
        ("replace", "0", ""),
        ("remove", "1", ""),
        ("rename", "renamed", "2"),
        ("add", "more/new", ""),
    }
    plan = empty.sync(folder, keys="stem", dry_run=True)
    assert actions(plan) == expected
    assert empty.keys() == [f"{i}" for i in range(8)]
    calls = []
    done = empty.sync(folder, keys="stem", progress=lambda *call: calls.append(call))
    assert actions(done) == expected
    assert done.encoded == 2
    assert calls[-1][0] == calls[-1][1] > 0
    assert set(empty.keys()) == {"0", *"34567", "renamed", "more/new"}
    assert empty.search(image=folder / "renamed.png", k=1)[0].key == "renamed"
    assert empty.search(image=photos[0], k=1)[0].key == "0"


def test_too_many_removals_are_refused(empty, photos):
    folder = photos[0].parent
    empty.sync(folder)
    for photo in photos[:4]:
        photo.unlink()
    with pytest.raises(vsearch.RefusedError, match=r"4 of") as caught:
        empty.sync(folder)
    assert caught.value.code == "refused"
    assert len(empty) == 8
    assert empty.sync(folder, remove_missing=False).changes == []
    assert empty.sync(folder, max_removed_share=0.5).count("remove") == 4
    assert len(empty) == 4


def test_key_rules(empty, photos, tmp_path):
    save(tmp_path / "shoes" / "red" / "front.png", 20)
    save(tmp_path / "shoes" / "red" / "back.png", 21)
    save(tmp_path / "shoes" / "blue" / "side.png", 22)
    shoes = tmp_path / "shoes"

    def keys(rule):
        plan = empty.sync(shoes, keys=rule, dry_run=True)
        return [change.key for change in plan.changes]

    assert keys("path") == ["blue/side.png", "red/back.png", "red/front.png"]
    assert keys("stem") == ["blue/side", "red/back", "red/front"]
    assert keys("name") == ["back.png", "front.png", "side.png"]
    assert keys("folder") == ["blue", "red"]
    empty.sync(vsearch.FilesSource(shoes, keys="folder"))
    assert [os.path.basename(path) for path in empty.get("red").paths] == ["back.png", "front.png"]
    with pytest.raises(ValueError, match=r"keys must be 'path', .*not 'stems'"):
        empty.sync(shoes, keys="stems")


def test_several_sources_fill_one_catalogue(empty, photos, tmp_path):
    save(tmp_path / "shoes" / "a.png", 30)
    empty.sync([photos[0], photos[1]], key_prefix="pictures/")
    empty.sync(tmp_path / "shoes", key_prefix="shoes/")
    assert empty.keys() == ["pictures/0.png", "pictures/1.png", "shoes/a.png"]
    report = empty.sync([photos[0]], key_prefix="pictures/", max_removed_share=1)
    assert actions(report) == {("remove", "pictures/1.png", "")}


def test_metadata_of_a_folder(empty, photos, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("path,sku,colour\n0.png,shirt-0,red\n1.png,shirt-1,blue\n")
    folder = photos[0].parent
    empty.sync(folder, metadata=table, key_column="sku")
    assert empty.get("shirt-1").metadata == {"colour": "blue"}
    table.write_text("path,sku,colour\n0.png,shirt-0,red\n1.png,shirt-1,green\n")
    report = empty.sync(folder, metadata=table, key_column="sku")
    assert actions(report) == {("patch", "shirt-1", "")}
    assert report.encoded == 0
    assert empty.search(image=photos[0], where={"colour": "green"})[0].key == "shirt-1"


def test_manifests(empty, photos, tmp_path):
    table = tmp_path / "shop.csv"
    table.write_text(
        "sku,path,role,crop,price\n"
        "a,photos/0.png,front,,20\n"
        "a,photos/1.png,back,0 0 0.5 1,\n"
        "b,photos/2.png,,,30\n"
    )
    report = empty.sync(table, key_column="sku")
    assert (report.listed, report.count("add")) == (2, 2)
    front, back = empty.get("a").pictures
    assert (front.path, front.role) == (str(photos[0]), "front")
    assert back.crop == (0.0, 0.0, 0.5, 1.0)
    same = empty.sync(vsearch.ManifestSource(table, "sku"))
    assert (same.unchanged, same.changes) == (2, [])

    lines = tmp_path / "shop.jsonl"
    rows = [{"key": "a", "path": "photos/0.png", "tags": ["new"]}, {"key": "c", "path": "no.png"}]
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = empty.sync(lines, max_removed_share=1)
    assert empty.keys() == ["a"]
    assert empty.get("a").metadata == {"tags": ["new"]}
    (failure,) = report.failures
    assert (failure.key, failure.path) == ("c", str(tmp_path / "no.png"))
    assert isinstance(failure.error, FileNotFoundError)

    table.write_text("sku,path\n,photos/0.png\n")
    with pytest.raises(ValueError, match=r"shop\.csv"):
        empty.sync(table, key_column="sku")


def test_a_query_of_another_database(empty, photos, tmp_path):
    database = tmp_path / "erp.sqlite"
    with sqlite3.connect(database) as erp:
        erp.execute("CREATE TABLE product (sku TEXT, photo TEXT, price REAL, extra TEXT)")
        erp.executemany(
            "INSERT INTO product VALUES (?, ?, ?, ?)",
            [(f"p{i}", str(photo), i + 0.5, '{"new": true}') for i, photo in enumerate(photos)],
        )
    erp.close()
    query = "SELECT sku, photo AS path, price, extra AS metadata FROM product WHERE price < 3"
    source = vsearch.SqlSource(database, query, key_column="sku")
    assert empty.sync(source).count("add") == 3
    assert empty.get("p1").metadata == {"price": 1.5, "new": True}
    with pytest.raises(ValueError, match="SELECT"):
        empty.sync(vsearch.SqlSource(database, "DELETE FROM product"))
    with pytest.raises(FileNotFoundError, match=r"none\.sqlite"):
        empty.sync(vsearch.SqlSource(tmp_path / "none.sqlite", query))


def test_near_duplicates_of_a_source(empty, photos, tmp_path):
    folder = photos[0].parent
    empty.sync(folder, keys="stem")
    save(folder / "copy.png", 3)
    plan = {"keys": "stem", "duplicate_distance": 0.001}
    report = empty.sync(folder, duplicates="skip", **plan)
    assert actions(report) == {("duplicate", "copy", "3")}
    assert "copy" not in empty
    empty.sync(folder, duplicates="link", **plan)
    assert empty.get("copy").metadata == {"duplicate_of": "3"}
    with pytest.raises(ValueError, match="duplicates must be 'keep', 'skip' or 'link'"):
        empty.sync(folder, duplicates="drop")


def test_a_bad_picture_leaves_its_item_as_it_was(empty, photos):
    folder = photos[0].parent
    empty.sync(folder, keys="stem")
    photos[5].write_bytes(b"no picture")
    report = empty.sync(folder, keys="stem")
    (failure,) = report.failures
    assert (failure.key, failure.path) == ("5", str(photos[5]))
    assert isinstance(failure.error, vsearch.BadImageError)
    assert len(empty) == 8


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (vsearch.FilesSource("a"), {"keys": "stem"}, "keys is given beside a FilesSource"),
        (vsearch.SqlSource("a", "b"), {"key_column": "c"}, "key_column is given beside a SqlS"),
        ("shop.csv", {"keys": "stem"}, "keys is of folders; 'shop.csv' lists items itself"),
        ("shop.jsonl", {"metadata": "a.csv"}, "metadata is of folders"),
        ("photos", {"max_removed_share": 2}, "max_removed_share is 2"),
        ("photos", {"duplicate_distance": -1}, "duplicate_distance is -1"),
        ([], {}, "a source of files needs a path"),
    ],
)
def test_what_makes_no_sense(empty, source, options, message):
    with pytest.raises(ValueError, match=message):
        empty.sync(source, **options)


def test_a_name_that_is_no_text_is_told(empty, photos):
    folder = photos[0].parent
    (folder / os.fsdecode(b"caf\xe9.png")).write_bytes(photos[0].read_bytes())
    assert len(empty.sync(folder, dry_run=True).changes) == 9
    report = empty.sync(folder)
    assert len(empty) == 8
    assert len(report.failures) == 1
    assert report.failures[0].key.startswith("caf")


def test_a_folder_that_is_not_there(empty, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        empty.sync(tmp_path / "nowhere")


def test_cancelled_it_goes_on_where_it_stopped(tmp_path, slow_model, photos):
    folder = photos[0].parent
    for n in range(200):
        save(folder / "more" / f"{n}.png", 1000 + n)
    with vsearch.create(tmp_path / "shop.vsearch", encoder=slow_model) as shop:
        with pytest.raises(vsearch.CancelledError):
            shop.sync(folder, progress=lambda done, total: done < 64)
        kept = len(shop)
        assert 0 < kept < 208

        def fail(done, total):
            raise LookupError("from the callback")

        with pytest.raises(LookupError, match="from the callback"):
            shop.sync(folder, progress=fail)
        report = shop.sync(folder)
        assert len(shop) == 208
        assert report.unchanged >= kept


def test_it_lets_other_threads_run(tmp_path, slow_model, photos, ticks):
    for number in range(8, 40):
        save(photos[0].parent / f"{number}.png", number)
    with vsearch.create(tmp_path / "shop.vsearch", encoder=slow_model) as shop:
        assert ticks(lambda: shop.sync(photos[0].parent)) > 20


# ---- watch


class Watcher:
    """shop.watch() on a thread, with what it reported."""

    def __init__(self, shop, source, **options):
        self.reports, self.troubles, self.raised = [], [], None
        self._heard = threading.Condition()
        self._thread = threading.Thread(target=self._run, args=(shop, source, options))
        self._thread.start()

    def _run(self, shop, source, options):
        try:
            shop.watch(
                source,
                quiet_ms=50,
                on_report=lambda report: self._hear(self.reports, report),
                on_trouble=lambda error: self._hear(self.troubles, error),
                **options,
            )
        except Exception as error:
            self.raised = error

    def _hear(self, what, value):
        with self._heard:
            what.append(value)
            self._heard.notify_all()

    def wait_for(self, condition):
        with self._heard:
            assert self._heard.wait_for(lambda: condition(self), timeout=20)

    def join(self):
        self._thread.join(timeout=20)
        assert not self._thread.is_alive()
        assert self.raised is None


def test_a_folder_is_watched_until_told_to_stop(empty, photos):
    stop = threading.Event()
    folder = photos[0].parent
    watcher = Watcher(empty, folder, keys="stem", stop=stop)
    watcher.wait_for(lambda heard: len(heard.reports) == 1)
    assert watcher.reports[0].count("add") == 8
    save(folder / "new.png", 50)
    watcher.wait_for(lambda heard: "new" in empty)
    assert empty.search(image=folder / "new.png", k=1)[0].key == "new"
    for photo in photos[:5]:
        photo.unlink()
    watcher.wait_for(lambda heard: heard.troubles)
    assert isinstance(watcher.troubles[0], vsearch.RefusedError)
    assert "0" in empty
    stop.set()
    watcher.join()


def test_closing_the_catalogue_ends_watching(tmp_path, encoder, photos):
    with vsearch.create(tmp_path / "shop.vsearch", encoder=encoder) as shop:
        watcher = Watcher(shop, photos[0].parent)
        watcher.wait_for(lambda heard: heard.reports)
    watcher.join()
    with vsearch.open(tmp_path / "shop.vsearch") as shop:
        assert len(shop) == 8


def test_callbacks_end_watching(empty, photos):
    folder = photos[0].parent
    reports = []
    empty.watch(folder, on_report=lambda report: bool(reports.append(report)))
    assert len(reports) == 1

    def fail(value):
        raise LookupError("from the callback")

    with pytest.raises(LookupError, match="from the callback"):
        empty.watch(folder, on_report=fail)
    for photo in photos[:5]:
        photo.unlink()
    with pytest.raises(LookupError, match="from the callback"):
        empty.watch(folder, on_trouble=fail)


def test_ctrl_c_ends_watching(empty, photos):
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        empty.watch(photos[0].parent)
    assert 0.9 < time.monotonic() - began < 10
    timer.join()
    assert len(empty) == 8


def test_what_cannot_be_watched(empty, tmp_path):
    with pytest.raises(ValueError, match="follows folders and pictures only"):
        empty.watch(tmp_path / "shop.csv")
