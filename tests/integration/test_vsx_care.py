"""vsx check, compact, backup, export, import, duplicates, fields, get and list."""

import json
import shutil
import sqlite3

import numpy as np
import pytest
from conftest import write_picture


@pytest.fixture
def filled(vsx, shop, photos):
    vsx("add", shop, photos)
    return shop


def keys(vsx, shop, *args):
    return vsx("list", shop, *args).stdout.splitlines()


def test_check_of_a_sound_catalogue(vsx, filled):
    done = vsx("check", filled)
    assert done.stdout.startswith(f"catalogue {filled}\n")
    assert done.stdout.endswith("\nPASS\n")
    report = json.loads(vsx("check", filled, "--json").stdout)
    assert report["passed"]
    assert report["faults"] == []
    assert (report["items"], report["pictures"], report["size"]) == (6, 6, 6)
    for name in ("without_embedding", "orphans", "index_missing", "index_extra", "index_differs"):
        assert report[name] == 0


def test_check_finds_what_is_wrong(vsx, filled):
    database = sqlite3.connect(filled / "catalog.db")
    tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master")]
    assert "items" in tables
    database.execute("PRAGMA foreign_keys = OFF")
    database.execute("DELETE FROM items WHERE key = 'a.jpg'")
    database.commit()
    database.close()
    done = vsx("check", filled, code=1)
    assert done.stdout.endswith("\nFAIL\n")
    assert "belong to nothing" in done.stderr
    report = json.loads(vsx("check", filled, "--json", code=1).stdout)
    assert not report["passed"]
    assert report["orphans"] > 0
    assert report["items"] == 5
    vsx("compact", filled)
    report = json.loads(vsx("check", filled, "--json").stdout)
    assert (report["orphans"], report["size"]) == (0, 5)


def test_compact_gives_room_back(vsx, shop, tmp_path):
    for i in range(400):
        write_picture(tmp_path / "many" / f"{i:03}.png", i, size=(12, 9))
    vsx("add", shop, tmp_path / "many")
    vsx("remove", shop, *[f"{i:03}.png" for i in range(350)])
    before = vsx.info(shop)
    done = vsx("compact", shop)
    assert f"compacted '{shop}' in " in done.stderr
    after = vsx.info(shop)
    assert after["disk_bytes"] < before["disk_bytes"]
    assert (after["index"]["size"], after["index"]["removed"]) == (50, 0)
    hits = vsx.hits(shop, "--image", tmp_path / "many" / "360.png", "-k", 1)
    assert hits[0]["key"] == "360.png"


def test_backup_can_be_opened(vsx, filled, photos, tmp_path):
    copy = tmp_path / "copy.vsearch"
    assert f"copied '{filled}' to '{copy}'" in vsx("backup", filled, copy).stderr
    query = ["--image", photos / "b.png"]
    expected = vsx.hits(filled, *query)
    shutil.rmtree(filled)
    assert vsx.hits(copy, *query) == expected
    said = vsx("backup", copy, tmp_path / "photos", code=1).stderr
    assert f"{tmp_path}/photos" in said
    assert keys(vsx, copy)


def test_export_and_import(vsx, filled, photos, model, tmp_path):
    vsx("patch", filled, "a.jpg", '{"price": 3}')
    folder = tmp_path / "exported"
    said = vsx("export", filled, folder).stderr
    assert f"exported 6 items with 6 pictures to '{folder}' in " in said
    rows = [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]
    assert {"key", "metadata", "pictures"} <= set(rows[0])
    embeddings = np.load(folder / "embeddings.npy")
    assert (embeddings.shape, embeddings.dtype) == ((6, 48), np.float32)
    assert str(folder) in vsx("export", filled, folder, code=1).stderr

    other = tmp_path / "other.vsearch"
    vsx("init", other, "--encoder", model)
    shutil.move(photos, tmp_path / "elsewhere")  # nothing is read or encoded
    assert "imported 6 items in " in vsx("import", other, folder).stderr
    assert "imported 6 items (6 replaced) in " in vsx("import", other, folder).stderr
    assert vsx("list", other, "--json").stdout == vsx("list", filled, "--json").stdout
    assert vsx.hits(other, "--like", "a.jpg") == vsx.hits(filled, "--like", "a.jpg")
    said = vsx("import", other, tmp_path / "none", code=1).stderr
    assert f"{tmp_path}/none" in said


def test_duplicates_in_paragraphs(vsx, shop, photos):
    shutil.copy(photos / "b.png", photos / "twin.png")
    vsx("add", shop, photos / "b.png")
    vsx("add", shop, photos)
    done = vsx("duplicates", shop, "--max-distance", 1e-4)
    assert done.stdout == "2 items, the same picture file\n  b.png\n  twin.png\n"
    assert "1 group of 2 items that look the same\n" in done.stderr
    (group,) = json.loads(vsx("duplicates", shop, "--json", "--max-distance", 1e-4).stdout)[
        "groups"
    ]
    assert group["keys"] == ["b.png", "twin.png"]
    assert group["same_content"]
    assert group["max_distance"] < 1e-4
    everything = json.loads(vsx("duplicates", shop, "--json", "--max-distance", 2).stdout)
    assert [len(group["keys"]) for group in everything["groups"]] == [7]
    vsx("remove", shop, "twin.png")
    done = vsx("duplicates", shop, "--max-distance", 0)
    assert (done.stdout, done.stderr) == ("", "vsx: no items look the same\n")
    vsx("duplicates", shop, "--max-distance", -1, code=2)


def test_fields_are_declared_and_dropped(vsx, filled):
    assert "no fields are declared" in vsx("fields", filled).stderr
    vsx("patch", filled, "a.jpg", '{"price": 3, "tags": ["new"], "title": "x"}')
    done = vsx("fields", filled, "--declare", "price:number", "--declare", "tags:tags")
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["name", "type"],
        ["price", "number"],
        ["tags", "tags"],
    ]
    assert keys(vsx, filled, "--where", "price < 4 AND tags HAS 'new'") == ["a.jpg"]
    said = vsx("patch", filled, "b.png", '{"price": "cheap"}', code=1).stderr
    assert "price" in said
    said = vsx("fields", filled, "--declare", "title:number", code=1).stderr
    assert "title" in said
    answer = json.loads(vsx("fields", filled, "--drop", "price", "--json").stdout)
    assert answer == {"fields": [{"name": "tags", "type": "tags"}]}
    answer = vsx("fields", filled, "--drop", "tags", "--declare", "price:number", "--json").stdout
    assert json.loads(answer) == {"fields": [{"name": "price", "type": "number"}]}
    assert "none" in vsx("fields", filled, "--drop", "none", code=1).stderr
    for wrong in ("price", ":number", "price:float"):
        assert "--declare" in vsx("fields", filled, "--declare", wrong, code=2).stderr


def test_get_and_list(vsx, filled, photos):
    vsx("patch", filled, "shoes/d.jpg", '{"price": 3, "size": {"eu": 42}, "title": "Shoe"}')
    item = json.loads(vsx("get", filled, "shoes/d.jpg", "--json").stdout)
    assert list(item) == ["key", "metadata", "pictures"]
    assert item["metadata"] == {"price": 3, "size": {"eu": 42}, "title": "Shoe"}
    (picture,) = item["pictures"]
    assert picture["path"] == str(photos / "shoes" / "d.jpg")
    assert len(picture["content_hash"]) == 64
    assert (picture["role"], picture["kept_bytes"]) == ("", 0)
    lines = vsx("get", filled, "shoes/d.jpg").stdout.splitlines()
    assert lines[0] == "shoes/d.jpg"
    assert [line.split() for line in lines[2:]] == [
        ["price", "3"],
        ["size", '{"eu":42}'],
        ["title", "Shoe"],
    ]
    said = vsx("get", filled, "none", code=1).stderr
    assert f"no item 'none' in '{filled}'" in said

    assert keys(vsx, filled) == [
        "a.jpg", "b.png", "c.bmp", "f.JPEG", "shoes/d.jpg", "shoes/old/e.gif",
    ]  # fmt: skip
    done = vsx("list", filled, "--where", "size.eu = 42", "--json")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [item]
    assert keys(vsx, filled, "--where", "price > 3") == []
    assert "--where: " in vsx("list", filled, "--where", "price >", code=2).stderr
