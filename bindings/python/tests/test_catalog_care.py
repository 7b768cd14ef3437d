"""Looking after a catalogue: checks, clean-up, copies, declared fields and duplicates."""

import json
import sqlite3

import numpy as np
import pytest
import vsearch
from conftest import DIM, pixels


def test_a_sound_catalogue(shop):
    calls = []
    report = shop.check(progress=lambda *call: calls.append(call))
    assert report.sound
    assert report.faults == []
    assert (report.items, report.pictures) == (8, 8)
    assert report.without_embedding == report.orphans == 0
    assert report.index_missing == report.index_extra == report.index_differs == 0
    assert report.health.size == 8
    assert report.health.self_recall == pytest.approx(1)
    assert calls
    with pytest.raises(vsearch.CancelledError):
        shop.check(progress=lambda done, total: False)
    with pytest.raises(ValueError, match="k"):
        shop.check(k=0)


def test_what_is_wrong_is_said(shop, tmp_path):
    shop.close()
    with sqlite3.connect(tmp_path / "shop.vsearch" / "catalog.db") as database:
        database.execute("PRAGMA foreign_keys = OFF")
        database.execute("DELETE FROM items WHERE key = 'item-3'")
    database.close()
    with vsearch.open(tmp_path / "shop.vsearch") as again:
        report = again.check()
    assert not report.sound
    assert report.orphans > 0
    assert report.faults[0]


def test_compacting_gives_room_back(empty):
    empty.add_many((f"{n}", pixels(n), {"text": "x" * 2000}) for n in range(500))
    empty.remove([f"{n}" for n in range(450)])
    report = empty.compact()
    assert report.bytes_after < report.bytes_before
    assert len(empty) == 50
    assert empty.check().sound


def test_a_backup_can_be_opened(shop, tmp_path, photos):
    calls = []
    shop.backup(tmp_path / "copy.vsearch", progress=lambda *call: calls.append(call))
    assert calls[-1][0] == calls[-1][1] > 0
    shop.remove("item-3")
    with vsearch.open(tmp_path / "copy.vsearch") as copy:
        assert len(copy) == 8
        assert copy.search(image=photos[3], k=1)[0].key == "item-3"
    with pytest.raises(FileExistsError, match=r"copy\.vsearch"):
        shop.backup(tmp_path / "copy.vsearch")
    with pytest.raises(vsearch.CancelledError):
        shop.backup(tmp_path / "other.vsearch", progress=lambda done, total: False)
    assert not (tmp_path / "other.vsearch").exists()


def test_export_and_import(shop, tmp_path, encoder, other_model, photos):
    shop.add("two", [photos[0], vsearch.Picture(photos[1], crop=(0, 0, 0.5, 1), role="left")])
    folder = tmp_path / "export"
    assert shop.export_to(folder) == vsearch.ExportReport(items=9, pictures=10)
    lines = [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]
    assert [line["key"] for line in lines] == shop.keys()
    embeddings = np.load(folder / "embeddings.npy")
    assert (embeddings.shape, embeddings.dtype) == ((10, DIM), np.float32)
    with pytest.raises(FileExistsError, match="export"):
        shop.export_to(folder)

    with vsearch.create(tmp_path / "new.vsearch", encoder=encoder) as new:
        new.add("item-0", photos[5])
        report = new.import_from(folder)
        assert (report.added, report.replaced, report.failures) == (8, 1, [])
        assert report.encoded == 0
        assert new.keys() == shop.keys()
        assert new.get("two").pictures[1].role == "left"
        assert new.get("two").pictures[1].crop == (0, 0, 0.5, 1)
        assert new.search(image=photos[3], k=1)[0].key == "item-3"
    with (
        vsearch.create(tmp_path / "other.vsearch", encoder=other_model) as other,
        pytest.raises(vsearch.EncoderMismatchError),
    ):
        other.import_from(folder)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        shop.import_from(tmp_path / "nowhere")
    text = (folder / "items.jsonl").read_text()
    (folder / "items.jsonl").write_text("{" + text)
    with pytest.raises(ValueError, match=r"items\.jsonl"):
        shop.import_from(folder)


def test_declared_fields(shop, photos):
    assert shop.fields() == {}
    shop.declare_field("number", "number")
    shop.declare_field("even", "boolean")
    shop.declare_field("number", "number")
    assert shop.fields() == {"even": "boolean", "number": "number"}

    def found(where):
        return sorted(hit.key for hit in shop.search(image=photos[0], where=where))

    assert found({"number": {"<": 2}}) == ["item-0", "item-1"]
    shop.patch("item-7", {"number": -1})
    assert found("number < 1 AND even = false") == ["item-7"]
    with pytest.raises(ValueError, match="number"):
        shop.patch("item-7", {"number": "many"})
    with pytest.raises(ValueError, match="number"):
        shop.add("new", photos[0], {"number": "many"})
    with pytest.raises(ValueError, match="number"):
        shop.declare_field("number", "text")
    shop.patch("item-1", {"tags": "new"})
    with pytest.raises(ValueError, match="tags"):
        shop.declare_field("tags", "tags")
    shop.patch("item-1", {"tags": ["new", "red"]})
    shop.declare_field("tags", "tags")
    assert found({"tags": {"has": "red"}}) == ["item-1"]
    with pytest.raises(ValueError, match=r"type must be 'text', .*not 'int'"):
        shop.declare_field("colour", "int")
    shop.drop_field("even")
    with pytest.raises(KeyError, match="even"):
        shop.drop_field("even")
    assert shop.fields() == {"number": "number", "tags": "tags"}


def test_near_duplicates(empty, photos, tmp_path):
    empty.add("b", photos[0])
    empty.add("a", [photos[3], photos[0].read_bytes()])
    empty.add("c", pixels(1))
    near = pixels(1).copy()
    near[:4] = 0
    empty.add("d", near)
    empty.add("alone", photos[5])
    same, alike = sorted(empty.near_duplicates(0.15), key=lambda group: group.keys)
    assert (same.keys, same.first, same.same_content) == (["a", "b"], "b", True)
    assert same.max_distance == pytest.approx(0, abs=1e-4)
    assert (alike.keys, alike.first, alike.same_content) == (["c", "d"], "c", False)
    assert 0 < alike.max_distance <= 0.15
    assert [group.keys for group in empty.near_duplicates(0, neighbours=2)] == [["a", "b"]]
    with pytest.raises(vsearch.CancelledError):
        empty.near_duplicates(progress=lambda done, total: False)


def test_long_calls_let_other_threads_run(tmp_path, encoder, ticks):
    with vsearch.create(tmp_path / "shop.vsearch", encoder=encoder) as shop:
        vectors = np.random.default_rng(1).standard_normal((20000, DIM))
        shop.add_many((f"{n}", vector) for n, vector in enumerate(vectors))
        assert ticks(shop.near_duplicates) > 20
        assert ticks(shop.check) > 20
        assert ticks(shop.compact) > 5
