"""vsearch.open, vsearch.create and Catalog: the life of a catalogue."""

import logging

import numpy as np
import pytest
import vsearch
from conftest import DIM, pixels, write_model
from PIL import Image


def test_the_whole_life(tmp_path, model, photos):
    path = tmp_path / "shop.vsearch"
    with vsearch.create(path, encoder=model) as shop:
        assert len(shop) == 0
        shop.add("red-shirt", str(photos[0]), {"colour": "red", "price": 20})
        shop.add("blue-shirt", [photos[1], photos[2]], {"colour": "blue"})
        assert len(shop) == 2
        assert "red-shirt" in shop
        assert "green-shirt" not in shop
        assert 7 not in shop
        assert shop.keys() == ["blue-shirt", "red-shirt"]

        item = shop.get("blue-shirt")
        assert (item.key, item.metadata) == ("blue-shirt", {"colour": "blue"})
        assert item.paths == [str(photos[1]), str(photos[2])]
        assert shop.get("green-shirt") is None

        (hit,) = shop.search(image=photos[2], k=1)
        assert hit.key == "blue-shirt"
        assert hit.score == pytest.approx(1, abs=1e-4)
        assert hit.distance == pytest.approx(0, abs=1e-4)
        assert hit.path == str(photos[2])
        assert hit.metadata == {"colour": "blue"}

    with vsearch.open(path) as shop:
        assert shop.keys() == ["blue-shirt", "red-shirt"]
        assert shop.remove(["blue-shirt", "green-shirt"]) == ["green-shirt"]
        assert shop.remove("red-shirt") == []
        assert shop.remove([]) == []
        assert len(shop) == 0
        assert shop.search(image=photos[2]) == []


def test_metadata_are_patched(shop):
    key, other = shop.keys()[:2]
    before = shop.get(key).metadata
    shop.patch(key, {"price": 3, "size": {"w": 1}})
    shop.patch(key, {"size": {"h": 2}, "colour": None})
    after = {**before, "price": 3, "size": {"h": 2, "w": 1}}
    after.pop("colour", None)
    assert shop.get(key).metadata == after
    assert shop.patch_many({key: {"price": 4}, "none": {"price": 4}}) == ["none"]
    assert [hit.key for hit in shop.search(like=other, where={"price": 4})] == [key]
    with pytest.raises(KeyError, match="no item with the key 'none'"):
        shop.patch("none", {})
    with pytest.raises(ValueError, match="is no JSON"):
        shop.patch(key, {"price": object()})


def test_info(shop, tmp_path, model):
    info = shop.info()
    assert info["path"] == str(tmp_path / "shop.vsearch")
    assert info["encoder"] == str(model)
    assert info["encoder_name"] == "grid-colour"
    assert len(info["encoder_fingerprint"]) == 64
    assert info["dim"] == DIM
    assert info["metric"] == "cosine"
    assert info["items"] == info["pictures"] == 8
    assert info["generation"] > 0
    assert info["snapshot_generation"] <= info["generation"]
    assert info["disk_bytes"] > 0
    assert info["index_memory_bytes"] > 0
    assert repr(shop) == f"<vsearch.Catalog '{tmp_path / 'shop.vsearch'}' of 8 items>"


def test_every_way_to_search(shop, encoder, photos):
    image = Image.open(photos[3])
    for query in (str(photos[3]), photos[3], photos[3].read_bytes(), pixels(3), image):
        hits = shop.search(image=query, k=3)
        assert hits[0].key == "item-3"
        assert len(hits) == 3
    by_vector = shop.search(vector=encoder.encode(photos[3]), k=3)
    assert [hit.key for hit in by_vector] == [hit.key for hit in hits]
    like = shop.search(like="item-3")
    assert len(like) == 7
    assert "item-3" not in {hit.key for hit in like}
    distances = [hit.distance for hit in like]
    assert distances == sorted(distances)
    assert all(0 <= hit.score <= 1 for hit in like)
    exact = shop.search(like="item-3", exact=True)
    assert [hit.key for hit in exact] == [hit.key for hit in like]


def test_conditions(shop, photos):
    def keys(where):
        return sorted(hit.key for hit in shop.search(image=photos[0], where=where))

    assert keys({"even": True}) == ["item-0", "item-2", "item-4", "item-6"]
    assert keys({"number": {"<": 3}, "even": False}) == ["item-1"]
    assert keys("number >= 6 OR number = 0") == ["item-0", "item-6", "item-7"]
    assert keys({"number": 99}) == []
    assert len(keys(None)) == 8
    assert len(keys({})) == 8


def test_every_way_to_add(tmp_path, encoder, photos):
    embedding = encoder.encode(photos[5])
    with vsearch.create(tmp_path / "shop.vsearch", encoder=encoder) as shop:
        shop.add("path", photos[0])
        shop.add("bytes", photos[1].read_bytes())
        shop.add("pixels", pixels(2))
        shop.add("pillow", Image.open(photos[3]))
        shop.add("bytearray", bytearray(photos[4].read_bytes()))
        shop.add("embedding", embedding)
        shop.add("mixed", [photos[6], pixels(7), embedding.astype(np.float64)])
        web = "https://shop.example/0.png"
        shop.add("web", vsearch.Picture(web, photos[0].read_bytes()))
        shop.add("web pixels", vsearch.Picture(web, image=pixels(1)))
        shop.add("web embedding", vsearch.Picture(web, embedding=embedding))
        shop.add("local", vsearch.Picture(photos[2]))

        assert {hit.key for hit in shop.search(image=photos[0], k=2)} == {"path", "web"}
        assert {hit.key for hit in shop.search(image=photos[1], k=2)} == {"bytes", "web pixels"}
        assert {hit.key for hit in shop.search(image=photos[2], k=2)} == {"pixels", "local"}
        assert shop.search(image=photos[3], k=1)[0].key == "pillow"
        assert shop.search(image=photos[4], k=1)[0].key == "bytearray"
        near = {hit.key for hit in shop.search(image=photos[5], k=3)}
        assert near == {"embedding", "mixed", "web embedding"}
        assert shop.search(image=photos[7], k=1)[0].key == "mixed"
        assert shop.get("web").paths == [web]
        assert shop.get("pixels").paths == [""]
        assert shop.get("mixed").paths == [str(photos[6]), "", ""]


def test_add_many_takes_tuples_mappings_and_generators(tmp_path, encoder, photos):
    with vsearch.create(tmp_path / "shop.vsearch", encoder=encoder) as shop:
        report = shop.add_many(
            [
                ("a", photos[0]),
                ("b", [photos[1]], {"n": 1}),
                {"key": "c", "pictures": photos[2]},
                {"key": "d", "pictures": [pixels(3), photos[4]], "metadata": {"n": 2}},
            ]
        )
        assert report == vsearch.AddReport(added=4, replaced=0, failures=[], encoded=5)
        assert shop.get("d").metadata == {"n": 2}
        assert shop.get("a").metadata == {}

        calls = []
        report = shop.add_many(
            ((f"{n}", pixels(n % 5)) for n in range(600)),
            progress=lambda done, total: calls.append((done, total)),
        )
        assert report.added == 600
        assert [done for done, _ in calls] == sorted(done for done, _ in calls)
        assert calls[-1] == (600, None)  # a generator has no length
        report = shop.add_many([("0", pixels(1)), ("new", pixels(1))])
        assert (report.added, report.replaced) == (1, 1)
        assert shop.add_many([]) == vsearch.AddReport()


def test_a_bad_item_is_reported_and_the_others_are_added(shop, photos, tmp_path):
    calls = []
    text = tmp_path / "text.jpg"
    text.write_text("this is text, not a picture")
    report = shop.add_many(
        [
            ("good", photos[0]),
            ("missing", tmp_path / "missing.jpg"),
            ("misnamed", [photos[1], text]),
            ("item-1", b"neither is this"),
            ("wrong dim", np.ones(7)),
        ],
        progress=lambda done, total: calls.append((done, total)),
    )
    assert report.added == 1
    assert calls[-1] == (5, 5)
    failures = {failure.key: failure for failure in report.failures}
    assert set(failures) == {"missing", "misnamed", "item-1", "wrong dim"}
    assert isinstance(failures["missing"].error, FileNotFoundError)
    assert failures["missing"].path == str(tmp_path / "missing.jpg")
    assert "missing.jpg" in str(failures["missing"].error)
    assert isinstance(failures["misnamed"].error, vsearch.BadImageError)
    assert failures["misnamed"].path == str(text)
    assert isinstance(failures["item-1"].error, vsearch.BadImageError)
    assert isinstance(failures["wrong dim"].error, ValueError)
    assert "7" in str(failures["wrong dim"].error)
    assert shop.get("item-1").paths == [str(photos[1])]  # as it was
    assert "misnamed" not in shop


def test_adding_one_bad_item_raises(shop, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.jpg"):
        shop.add("new", tmp_path / "missing.jpg")
    empty = tmp_path / "empty.jpg"
    empty.touch()
    with pytest.raises(vsearch.BadImageError, match=r"empty\.jpg"):
        shop.add("new", empty)
    with pytest.raises(ValueError, match="7"):
        shop.add("new", np.ones(7))
    with pytest.raises(ValueError, match="picture"):
        shop.add("new", [])
    with pytest.raises(ValueError, match="key"):
        shop.add("", pixels(0))
    assert "new" not in shop


@pytest.mark.parametrize(
    ("item", "kind", "message"),
    [
        (("k", {"a": 1}), TypeError, "a picture of 'k' must be a path.*not dict"),
        (("k", None), TypeError, "a picture of 'k' must be a path.*not NoneType"),
        (("k", pixels(0), "red"), ValueError, "metadata of 'k' must be a mapping, not str"),
        (("k", pixels(0), {"a": {1}}), ValueError, "metadata of 'k' is no JSON"),
        (("k", pixels(0), {"a": float("nan")}), ValueError, "metadata of 'k' is no JSON"),
        ((7, pixels(0)), TypeError, "key must be a str, not int"),
        (("k",), ValueError, r"an item is \(key, pictures\)"),
        ({"key": "k", "picture": "a.jpg"}, ValueError, "not 'picture'"),
        (("k", np.ones((4, 4))), ValueError, "picture 0 of 'k' has the dtype float64"),
        (("k", vsearch.Picture()), ValueError, "Picture of 'k' has no path"),
        (("k", vsearch.Picture(image="a.jpg")), TypeError, "put it into path"),
        (("k", vsearch.Picture(embedding=[[1.0]])), ValueError, "embedding of picture 0 of 'k'"),
    ],
)
def test_items_that_make_no_sense(shop, item, kind, message):
    with pytest.raises(kind, match=message):
        shop.add_many([item])
    assert len(shop) == 8


def test_queries_that_are_refused(shop, photos):
    with pytest.raises(ValueError, match="exactly one of image, like, text and vector, not none"):
        shop.search()
    with pytest.raises(ValueError, match="not image and like"):
        shop.search(image=photos[0], like="item-0")
    with pytest.raises(ValueError, match="k"):
        shop.search(image=photos[0], k=0)
    with pytest.raises(ValueError, match="k must be from 1"):
        shop.search(image=photos[0], k=-5)
    with pytest.raises(KeyError, match="no-such-key") as caught:
        shop.search(like="no-such-key")
    assert isinstance(caught.value, vsearch.KeyNotFoundError)
    with pytest.raises(FileNotFoundError, match=r"none\.jpg"):
        shop.search(image="none.jpg")
    with pytest.raises(vsearch.BadImageError, match="image"):
        shop.search(image=b"text")
    with pytest.raises(ValueError, match="7"):
        shop.search(vector=np.ones(7))
    with pytest.raises(ValueError, match=r"vector must have 1 dimension, not the shape \(1, 48\)"):
        shop.search(vector=np.ones((1, DIM)))
    with pytest.raises(ValueError, match="colour"):
        shop.search(image=photos[0], where="colour = ")
    with pytest.raises(ValueError, match="~"):
        shop.search(image=photos[0], where={"colour": {"~": 1}})
    with pytest.raises(ValueError, match="where is no JSON"):
        shop.search(image=photos[0], where={"colour": {1, 2}})
    with pytest.raises(TypeError, match="where must be a str, not list"):
        shop.search(image=photos[0], where=["colour"])


def test_a_closed_catalogue(shop, encoder, photos):
    shop.close()
    shop.close()
    assert repr(shop) == "<vsearch.Catalog, closed>"
    for use in (
        lambda: shop.search(image=photos[0]),
        lambda: shop.add("a", photos[0]),
        lambda: shop.remove("a"),
        lambda: shop.get("a"),
        lambda: "a" in shop,
        lambda: len(shop),
        shop.keys,
        shop.items,
        shop.info,
        lambda: shop.sync(photos),
        lambda: shop.watch(photos),
        lambda: shop.reencode(encoder),
        shop.rollback,
        shop.editions,
        shop.check,
        shop.near_duplicates,
        shop.save_snapshot,
        shop.fields,
    ):
        with pytest.raises(ValueError, match="the catalogue is closed"):
            use()


def test_opening_what_is_none(tmp_path, model, shop, photos):
    with pytest.raises(FileNotFoundError, match=r"none\.vsearch"):
        vsearch.open(tmp_path / "none.vsearch")
    with pytest.raises(FileExistsError, match=r"shop\.vsearch"):
        vsearch.create(tmp_path / "shop.vsearch", encoder=model)
    with pytest.raises(FileNotFoundError, match="no-such-model"):
        vsearch.create(tmp_path / "new.vsearch", encoder="no-such-model")
    with pytest.raises(vsearch.CorruptError, match="photos"):
        vsearch.open(photos[0].parent)
    with pytest.raises(ValueError, match="null character"):
        vsearch.open("shop\0.vsearch")
    with pytest.raises(TypeError, match=r"vsearch\.open"):
        vsearch.Catalog()
    assert not (tmp_path / "new.vsearch").exists()


def test_another_encoder(shop, tmp_path):
    shop.close()
    other = write_model(tmp_path / "other.vsm.pt", name="other")
    with pytest.raises(vsearch.EncoderMismatchError, match="other"):
        vsearch.open(tmp_path / "shop.vsearch", encoder=other)


def test_a_catalogue_in_use(shop, tmp_path):
    with pytest.raises(vsearch.BusyError, match=r"shop\.vsearch"):
        vsearch.open(tmp_path / "shop.vsearch")


def test_the_encoder_is_loaded_when_it_is_needed(tmp_path, photos):
    model = write_model(tmp_path / "model.vsm.pt")
    path = tmp_path / "shop.vsearch"
    with vsearch.create(path, encoder=model) as shop:
        shop.add_many([("a", photos[0]), ("b", photos[1])])
    model.unlink()
    with vsearch.open(path) as shop:
        assert [hit.key for hit in shop.search(like="a")] == ["b"]
        with pytest.raises(FileNotFoundError, match=r"model\.vsm\.pt"):
            shop.search(image=photos[0])


def test_a_relative_model_is_found_from_elsewhere(tmp_path, photos, monkeypatch):
    write_model(tmp_path / "model.vsm.pt")
    monkeypatch.chdir(tmp_path)
    with vsearch.create("shop.vsearch", encoder="model.vsm.pt") as shop:
        shop.add("a", photos[0])
    monkeypatch.chdir(photos[0].parent)
    with vsearch.open(tmp_path / "shop.vsearch") as shop:
        assert shop.search(image=photos[0])[0].key == "a"


def damage_snapshot(path):
    files = [
        file for file in path.iterdir() if file.stat().st_size and "catalog.db" not in file.name
    ]
    assert files
    for file in files:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 0xFF
        file.write_bytes(content)


def test_a_damaged_snapshot_is_rebuilt_and_said_in_the_log(shop, tmp_path, photos, caplog):
    path = tmp_path / "shop.vsearch"
    shop.close()
    damage_snapshot(path)
    calls = []
    with caplog.at_level(logging.INFO, logger="vsearch"):
        again = vsearch.open(path, progress=lambda done, total: calls.append((done, total)))
    with again:
        assert again.search(image=photos[4], k=1)[0].key == "item-4"
    assert any(record.levelno == logging.WARNING for record in caplog.records)
    assert calls[-1] == (8, 8)

    damage_snapshot(path)
    messages = []
    with vsearch.open(path, log=lambda level, message: messages.append((level, message))):
        pass
    assert any(level == logging.WARNING and message for level, message in messages)


def test_a_log_callback_that_raises_breaks_nothing(shop, tmp_path, monkeypatch):
    shop.close()
    damage_snapshot(tmp_path / "shop.vsearch")

    def log(level, message):
        raise RuntimeError("from the log callback")

    unraisable = []
    monkeypatch.setattr("sys.unraisablehook", unraisable.append)
    with vsearch.open(tmp_path / "shop.vsearch", log=log) as again:
        assert len(again) == 8
    assert "from the log callback" in str(unraisable[0].exc_value)


def test_ctrl_c_in_a_log_callback_is_heard(shop, tmp_path):
    shop.close()
    damage_snapshot(tmp_path / "shop.vsearch")

    def log(level, message):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vsearch.open(tmp_path / "shop.vsearch", log=log).close()
    with vsearch.open(tmp_path / "shop.vsearch") as again:
        assert len(again) == 8


def test_a_damaged_database_is_refused_and_left_alone(shop, tmp_path):
    path = tmp_path / "shop.vsearch"
    shop.close()
    database = path / "catalog.db"
    damaged = b"x" * 200 + database.read_bytes()[200:]
    database.write_bytes(damaged)
    with pytest.raises(vsearch.CorruptError, match=r"catalog\.db"):
        vsearch.open(path)
    assert database.read_bytes() == damaged


def test_cancelling_keeps_what_was_acknowledged(shop):
    items = [(f"new-{n}", pixels(n % 9)) for n in range(600)]
    with pytest.raises(vsearch.CancelledError):
        shop.add_many(items, progress=lambda done, total: done < 300)
    kept = len(shop) - 8
    assert 256 <= kept < 600


def test_an_exception_of_the_items_comes_out(shop):
    def items():
        for n in range(300):
            yield f"new-{n}", pixels(n % 9)
        raise LookupError("from the generator")

    with pytest.raises(LookupError, match="from the generator"):
        shop.add_many(items())
    assert len(shop) == 8 + 256


def test_text_is_unicode(shop, photos, tmp_path):
    path = tmp_path / "größe ☂.png"
    path.write_bytes(photos[0].read_bytes())
    shop.add("schürze ☂ 👕", path, {"größe": "klein"})
    assert "schürze ☂ 👕" in shop
    (hit,) = shop.search(like="item-0", k=1)
    assert hit.key == "schürze ☂ 👕"
    assert hit.path == str(path)
    assert hit.metadata == {"größe": "klein"}
    (hit,) = shop.search(image=path, where={"größe": "klein"})
    assert hit.key == "schürze ☂ 👕"
    with pytest.raises(ValueError):
        shop.add("\ud800", photos[0])


def test_the_default_encoder(default_encoder, tmp_path, photos):
    with vsearch.create(tmp_path / "shop.vsearch") as shop:
        assert shop.info()["encoder"] == "efficientnet-lite0"
        shop.add_many((path.name, path) for path in photos)
        for path in photos:
            assert shop.search(image=path, k=1)[0].key == path.name
