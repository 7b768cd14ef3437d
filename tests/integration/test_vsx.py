"""vsx as a user meets it: every command, its output and its exit code."""

import json
import math

import pytest
from conftest import ROOT, Terminal, write_picture

COMMANDS = [
    "init", "add", "sync", "remove", "patch", "get", "list", "search", "duplicates", "fields",
    "info", "check", "compact", "backup", "export", "import", "reencode", "rollback", "editions",
    "encode", "model", "index",
]  # fmt: skip


def test_version(vsx):
    cmake = (ROOT / "CMakeLists.txt").read_text()
    version = cmake.split("project(vsearch VERSION ")[1].split()[0]
    assert vsx("--version").stdout == f"vsx {version}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(vsx, command):
    text = vsx(command, "--help").stdout
    assert f"vsx {command}" in text.split("Examples:")[1]


def test_help_names_every_command(vsx):
    text = vsx("--help").stdout
    for command in COMMANDS:
        assert f"\n  {command} " in text


def test_add_search_remove(vsx, shop, photos):
    done = vsx("add", shop, photos)
    assert "added 6 items in " in done.stderr
    assert done.stdout == ""
    info = vsx.info(shop)
    assert (info["kind"], info["items"], info["pictures"], info["dim"]) == ("catalog", 6, 6, 48)

    hits = vsx.hits(shop, "--image", photos / "shoes" / "d.jpg", "-k", 3)
    assert len(hits) == 3
    first = hits[0]
    assert list(first) == ["key", "score", "distance", "path", "metadata"]
    assert first["key"] == "shoes/d.jpg"
    assert first["path"] == str(photos / "shoes" / "d.jpg")
    assert first["metadata"] == {}
    assert first["score"] > 0.999
    assert first["distance"] < 0.002
    scores = [hit["score"] for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert all(math.isclose(hit["score"], 1 - hit["distance"] / 2, abs_tol=1e-5) for hit in hits)

    like = vsx.hits(shop, "--like", "shoes/d.jpg", "-k", 10)
    assert len(like) == 5
    assert "shoes/d.jpg" not in [hit["key"] for hit in like]

    done = vsx("remove", shop, "shoes/d.jpg", "a.jpg")
    assert "removed 2 items" in done.stderr
    keys = [hit["key"] for hit in vsx.hits(shop, "--image", photos / "a.jpg", "-k", 10)]
    assert sorted(keys) == ["b.png", "c.bmp", "f.JPEG", "shoes/old/e.gif"]
    assert (photos / "a.jpg").exists()


def test_metadata_are_patched(vsx, shop, photos, tmp_path):
    vsx("add", shop, photos)
    done = vsx("patch", shop, "a.jpg", '{"price": 3, "tags": ["new"]}')
    assert "changed the metadata of 1 item" in done.stderr
    table = tmp_path / "prices.csv"
    table.write_text("key,price\na.jpg,4\nb.png,5\nnone.png,6\n")
    done = vsx("patch", shop, "--metadata", table, code=3)
    assert "changed the metadata of 2 items" in done.stderr
    assert "'none.png'" in done.stderr
    hits = vsx.hits(shop, "--like", "c.bmp", "--where", "price > 3 AND tags HAS 'new'")
    assert [hit["key"] for hit in hits] == ["a.jpg"]
    assert hits[0]["metadata"] == {"price": 4, "tags": ["new"]}
    assert "give either KEY and CHANGES" in vsx("patch", shop, code=2).stderr
    assert "CHANGES are missing" in vsx("patch", shop, "a.jpg", code=2).stderr
    assert "not valid JSON" in vsx("patch", shop, "a.jpg", "price=3", code=1).stderr


def test_exact_search_agrees(vsx, shop, photos):
    vsx("add", shop, photos)
    query = ["--image", photos / "b.png", "-k", 6]
    approximate = vsx.hits(shop, *query, "--breadth", 100)
    assert vsx.hits(shop, *query, "--exact") == approximate


def test_a_table_for_people(vsx, shop, photos):
    vsx("add", shop, photos)
    lines = vsx("search", shop, "--image", "a.jpg", "-k", 2, cwd=photos).stdout.splitlines()
    assert lines[0].split() == ["rank", "score", "key", "path"]  # no metadata, no such column
    assert lines[1].split() == [
        "1",
        "1.000",
        "a.jpg",
        "a.jpg",
    ]  # the path as one would type it here
    assert len(lines) == 3
    assert lines[1].index("a.jpg") == lines[0].index("key")


def test_a_table_fits_the_terminal(vsx, shop, photos):
    colour = "ein ungewöhnlich kräftiges Blaugrün, fast schon Türkis"
    (photos / "m.jsonl").write_text(json.dumps({"path": "a.jpg", "colour": colour}))
    vsx("add", shop, photos, "--metadata", photos / "m.jsonl")
    query = ["search", shop, "--image", photos / "a.jpg", "-k", 2]
    piped = vsx(*query, cwd=shop).stdout
    assert colour in piped
    assert f"{photos}/a.jpg" in piped

    terminal = Terminal(vsx.command(*query), stream="stdout")
    assert terminal.finish() == 0
    lines = terminal.seen.splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) == 100
    assert lines[1].endswith("…")  # the end of the metadata is cut off,
    assert "  …" in lines[1]  # and the beginning of the path
    assert "/a.jpg  colour=ein ungewöhnlich" in lines[1]


def test_nothing_found_is_success(vsx, shop, photos):
    assert vsx.hits(shop, "--image", photos / "a.jpg") == []
    vsx("add", shop, photos)
    done = vsx("search", shop, "--like", "a.jpg", "--where", "colour = 'red'")
    assert done.stdout == ""
    assert "no items match --where" in done.stderr


def test_the_key_of_a_file_is_its_name(vsx, shop, photos):
    vsx("add", shop, photos / "shoes" / "d.jpg", photos / "shoes")
    hits = vsx.hits(shop, "--image", photos / "shoes" / "d.jpg")
    assert sorted(hit["key"] for hit in hits) == ["d.jpg", "old/e.gif"]


def test_a_relative_path_is_stored_absolute(vsx, shop, photos):
    vsx("add", shop, "./shoes/../shoes/", cwd=photos)
    (hit,) = vsx.hits(shop, "--like", "d.jpg")
    assert hit["path"] == str(photos / "shoes" / "old" / "e.gif")


def test_adding_again_replaces(vsx, shop, photos):
    vsx("add", shop, photos)
    write_picture(photos / "a.jpg", seed=77)
    assert "added 6 items (6 replaced) in " in vsx("add", shop, photos).stderr
    hits = vsx.hits(shop, "--image", photos / "a.jpg", "-k", 10)
    assert len(hits) == 6
    assert hits[0]["key"] == "a.jpg"
    assert hits[0]["score"] > 0.999


def test_hidden_files_and_links_in_circles(vsx, shop, photos):
    write_picture(photos / ".thumbnails" / "x.jpg", 20)
    write_picture(photos / ".y.jpg", 21)
    (photos / "shoes" / "up").symlink_to(photos)
    (photos / "again").symlink_to(photos / "shoes")
    elsewhere = write_picture(photos.parent / "elsewhere" / "z.jpg", 22)
    (photos / "linked").symlink_to(elsewhere.parent)
    (photos / "notes.txt").write_text("no picture")
    assert "added 7 items in" in vsx("add", shop, photos).stderr
    keys = {hit["key"] for hit in vsx.hits(shop, "--image", elsewhere, "-k", 20)}
    assert keys == {
        "a.jpg", "b.png", "c.bmp", "f.JPEG", "linked/z.jpg", "shoes/d.jpg", "shoes/old/e.gif",
    }  # fmt: skip


def test_quiet_says_nothing(vsx, model, tmp_path, photos):
    shop = tmp_path / "quiet.vsearch"
    for args in (
        ["init", shop, "--encoder", model],
        ["add", shop, photos],
        ["remove", shop, "a.jpg"],
        ["search", shop, "--like", "b.png", "--where", "x = 1"],
        ["encode", model, photos / "a.jpg", "-o", tmp_path / "q.npy"],
    ):
        done = vsx(*args, "--quiet")
        assert (done.stdout, done.stderr) == ("", "")


def test_info_of_a_model(vsx, model):
    info = vsx.info(model)
    assert info["kind"] == "model"
    assert (info["name"], info["license"], info["dim"]) == ("grid-colour", "Apache-2.0", 48)
    assert (info["metric"], len(info["fingerprint"])) == ("cosine", 64)
    assert (info["token_dim"], info["has_text"]) == (0, False)
    assert (info["precision"], info["fast_forms"]) == ("fp32", [])
    assert info["preprocessing"] == {
        "width_px": 96,
        "height_px": 96,
        "resize_edge": "stretch",
        "resize_width_px": 96,
        "resize_height_px": 96,
        "interpolation": "bilinear",
        "centre_crop": False,
        "mean": [0.5, 0.5, 0.5],
        "stddev": [0.5, 0.5, 0.5],
        "colour_order": "rgb",
    }
    text = vsx("info", model).stdout
    for fact in ("grid-colour", "Apache-2.0", info["fingerprint"], "48 x float32, cosine"):
        assert fact in text


def test_info_of_a_catalogue(vsx, shop, photos, model):
    vsx("add", shop, photos)
    info = vsx.info(shop)
    assert info["encoder"] == str(model)
    assert info["encoder_name"] == "grid-colour"
    assert info["encoder_fingerprint"] == vsx.info(model)["fingerprint"]
    assert info["index"]["size"] == 6
    text = vsx("info", shop).stdout
    assert str(shop) in text
    assert info["encoder_fingerprint"] in text


def test_a_catalogue_knows_its_encoder_by_name(vsx, model, photos, tmp_path):
    env = {"VSEARCH_MODEL_PATH": str(model.parent)}
    shop = tmp_path / "named.vsearch"
    vsx("init", shop, "--encoder", "grid-colour", env=env)
    assert vsx.info(shop)["encoder"] == "grid-colour"
    vsx("add", shop, photos, env=env)
    query = ["search", shop, "--image", photos / "a.jpg", "--json"]
    assert json.loads(vsx(*query, env=env).stdout)["hits"][0]["key"] == "a.jpg"


def test_the_default_encoder(vsx, tmp_path, photos):
    if not (ROOT / "models" / "efficientnet-lite0.vsm.pt").exists():
        pytest.skip("the default encoder is not packed (scripts/setup)")
    shop = tmp_path / "default.vsearch"
    vsx("init", shop)
    vsx("add", shop, photos)
    assert vsx.info(shop)["encoder"] == "efficientnet-lite0"
    assert vsx.hits(shop, "--image", photos / "c.bmp")[0]["key"] == "c.bmp"
