"""What a catalogue keeps of its pictures: crops, roles, files, and those that are fetched."""

import hashlib
import threading

import numpy as np
import pytest
import vsearch
from conftest import pixels, write_model
from PIL import Image


def two_halves(left: int, right: int) -> np.ndarray:
    return np.concatenate([pixels(left), pixels(right)], axis=1)


def test_crops_and_roles_are_kept_and_found(empty, photos, tmp_path):
    wide = tmp_path / "wide.png"
    Image.fromarray(two_halves(0, 1)).save(wide)
    left, right = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)
    empty.add(
        "file",
        [
            vsearch.Picture(wide, crop=left, role="front"),
            vsearch.Picture(wide, crop=right, role="back"),
        ],
    )
    empty.add("pixels", vsearch.Picture(image=two_halves(2, 3), crop=right))
    empty.add("odd", vsearch.Picture(image=pixels(4), crop=(0.1, 0.2, 0.7, 0.9)))

    (hit,) = empty.search(image=photos[1], k=1)
    assert (hit.key, hit.role) == ("file", "back")
    assert hit.score == pytest.approx(1, abs=1e-3)
    (hit,) = empty.search(image=photos[0], k=1)
    assert (hit.key, hit.role) == ("file", "front")
    (hit,) = empty.search(image=photos[3], k=1)
    assert (hit.key, hit.role) == ("pixels", "")
    assert hit.score == pytest.approx(1, abs=1e-3)

    front, back = empty.get("file").pictures
    assert (front.crop, front.role) == (left, "front")
    assert (back.crop, back.role) == (right, "back")
    assert front.path == back.path == str(wide)
    assert front.content_hash == back.content_hash
    assert front.content_hash == hashlib.sha256(wide.read_bytes()).hexdigest()
    assert front.id != back.id
    assert front.kept_bytes == 0
    (odd,) = empty.get("odd").pictures
    assert odd.crop == (0.1, 0.2, 0.7, 0.9)
    assert odd.content_hash == ""


def test_files_are_kept_in_the_catalogue(empty, photos):
    data = photos[0].read_bytes()
    empty.add("bytes", vsearch.Picture(image=data, keep_bytes=True))
    empty.add("path", vsearch.Picture(photos[1], keep_bytes=True))
    empty.add("neither", photos[2])
    lengths = {item.key: item.pictures[0].kept_bytes for item in empty.items()}
    assert lengths == {
        "bytes": len(data),
        "path": photos[1].stat().st_size,
        "neither": 0,
    }


@pytest.mark.parametrize(
    ("picture", "kind", "message"),
    [
        (vsearch.Picture("a.jpg", crop=(0, 0, 1)), ValueError, "crop of a Picture of 'k' must be"),
        (vsearch.Picture("a.jpg", crop="left"), ValueError, "not 'left'"),
        (vsearch.Picture(image=pixels(0), crop=(0.5, 0, 0.5, 1)), ValueError, "crop"),
        (vsearch.Picture(image=pixels(0), crop=(0, 0, 1.5, 1)), ValueError, "crop"),
        (vsearch.Picture("a.jpg", role=7), TypeError, "role of picture 0 of 'k' must be a str"),
        (vsearch.Picture(image=pixels(0), role="x" * 300), ValueError, "role"),
        (vsearch.Picture(image=pixels(0), keep_bytes=True), ValueError, "no picture file to keep"),
        (vsearch.Picture(embedding=[1.0], keep_bytes=True), ValueError, "no picture file to keep"),
    ],
)
def test_pictures_that_make_no_sense(empty, picture, kind, message):
    with pytest.raises(kind, match=message):
        empty.add("k", picture)
    assert len(empty) == 0


def test_an_array_that_cannot_be_encoded_is_left_out(tmp_path):
    encoder = vsearch.Encoder(write_model(tmp_path / "shortest.vsm.pt", shortest=True))
    line = np.zeros((1, 30_000, 3), np.uint8)  # nothing of it is as high as it must be
    with vsearch.create(tmp_path / "lines", encoder=encoder) as shop:
        report = shop.add_many(
            [("good", two_halves(10, 200)), ("line", line), ("better", two_halves(90, 20))]
        )
        assert shop.keys() == ["better", "good"]
        assert (report.added, report.encoded) == (2, 2)
        assert [failure.key for failure in report.failures] == ["line"]
        assert isinstance(report.failures[0].error, vsearch.BadImageError)
        with pytest.raises(vsearch.BadImageError, match="narrow"):
            shop.add("line", line)


def test_an_embedding_beside_an_image_takes_its_place(empty, encoder):
    (first, second) = encoder.encode([pixels(0), pixels(1)])
    report = empty.add_many(
        [
            ("given", vsearch.Picture(image=pixels(2), embedding=first)),
            ("pixels", pixels(1)),
        ]
    )
    assert (report.added, report.encoded) == (2, 1)
    assert empty.search(vector=first, k=1)[0].key == "given"
    (hit,) = empty.search(vector=second, k=1)
    assert hit.key == "pixels"
    assert hit.score == pytest.approx(1, abs=1e-3)


def test_what_is_empty_is_not_looked_for_elsewhere(empty, photos):
    report = empty.add_many([("a", vsearch.Picture(photos[0], image=b"")), ("b", photos[1])])
    assert empty.keys() == ["b"]
    assert [failure.key for failure in report.failures] == ["a"]
    assert isinstance(report.failures[0].error, vsearch.BadImageError)
    with pytest.raises(ValueError, match="has no numbers"):
        empty.add("a", vsearch.Picture(photos[0], embedding=[]))


def damaged_jpeg(path):
    """It ends too early."""
    Image.fromarray(pixels(0, (600, 400))).save(path)
    path.write_bytes(path.read_bytes()[:-4000])


def damaged_png(path):
    """What was packed can be unpacked to its middle; Pillow raises once, then shows that much."""
    Image.fromarray(pixels(0, (600, 400))).save(path, compress_level=1)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(40)
    path.write_bytes(content)


@pytest.mark.parametrize(("name", "damage"), [("b.jpg", damaged_jpeg), ("b.png", damaged_png)])
def test_a_damaged_image_of_pillow_is_left_out(empty, encoder, tmp_path, name, damage):
    whole = tmp_path / "whole.jpg"
    Image.fromarray(pixels(0, (600, 400))).save(whole)
    broken = tmp_path / name
    damage(broken)
    for encode in (encoder.encode, lambda image: encoder.encode([image])):
        with pytest.raises(vsearch.BadImageError):
            encode(Image.open(broken))
    with pytest.raises(vsearch.BadImageError):
        empty.add("broken", Image.open(broken))
    report = empty.add_many((path.stem, Image.open(path)) for path in (whole, broken))
    assert empty.keys() == ["whole"]
    assert [failure.key for failure in report.failures] == ["b"]
    assert isinstance(report.failures[0].error, vsearch.BadImageError)
    found = list(encoder.encode_iter(Image.open(path) for path in (broken, whole)))
    assert isinstance(found[0].error, vsearch.BadImageError)
    assert found[1].embedding.shape == (encoder.dim,)


def test_a_picture_of_one_row_however_numpy_says_it(encoder):
    row = pixels(3)[5].copy()
    plain = encoder.encode(row.reshape(1, -1, 3))
    for odd in (np.expand_dims(row, 0), np.stack([row, row])[:1][::-1]):
        assert np.array_equal(encoder.encode(odd), plain)


def test_items_are_read_as_they_are_asked_for(empty):
    empty.add_many((f"{n:04}", pixels(n % 5), {"n": n}) for n in range(600))
    items = empty.items()
    first = next(items)
    assert first == empty.get("0000")
    empty.remove(["0300", "0001"])
    empty.patch("0599", {"n": -1})
    empty.add("new", pixels(0))
    rest = list(items)
    assert [item.key for item in rest if item.key != "0001"] == [
        f"{n:04}" for n in range(2, 600) if n != 300
    ]
    assert rest[-1].metadata == {"n": -1}
    assert list(empty.items())[-1].key == "new"
    assert first.pictures == [
        vsearch.PictureInfo(first.pictures[0].id, "", "", (0.0, 0.0, 1.0, 1.0), "", 0)
    ]


def test_encoded_counts_what_was_not_there_already(empty, photos):
    assert empty.add_many([("a", photos[0]), ("b", photos[1])]).encoded == 2
    assert empty.add_many([("c", photos[0]), ("d", photos[2])]).encoded == 1


def test_uris_are_fetched(tmp_path, encoder, photos):
    asked = []
    main = threading.get_ident()

    def fetch(uri):
        asked.append((uri, threading.get_ident() != main))
        name = uri.rsplit("/", 1)[1]
        if name == "lost.png":
            raise FileNotFoundError("the shop has lost it")
        if name == "broken.png":
            raise RuntimeError("the line is dead")
        if name == "none.png":
            return None
        if name == "odd.png":
            raise RuntimeError("no file \udce9.png")
        return memoryview((photos[0].parent / name).read_bytes())

    path = tmp_path / "shop.vsearch"
    with vsearch.create(path, encoder=encoder, fetch=fetch) as shop:
        report = shop.add_many(
            (name, f"https://shop.example/{name}.png")
            for name in ("0", "1", "lost", "broken", "none", "odd")
        )
        assert report.added == 2
        assert len(asked) == 6
        errors = {failure.key: failure.error for failure in report.failures}
        assert isinstance(errors["lost"], FileNotFoundError)
        assert "https://shop.example/lost.png: fetching it failed" in str(errors["lost"])
        assert "the shop has lost it" in str(errors["lost"])
        assert isinstance(errors["broken"], OSError)
        assert "RuntimeError: the line is dead" in str(errors["broken"])
        assert "TypeError" in str(errors["none"])
        assert r"RuntimeError: no file \udce9.png" in str(errors["odd"])
        assert shop.search(image=photos[1], k=1)[0].path == "https://shop.example/1.png"

    with vsearch.open(path, fetch=fetch) as shop:
        shop.add("2", "https://shop.example/2.png")
        assert shop.search(image=photos[2], k=1)[0].key == "2"
    with (
        vsearch.open(path) as shop,
        pytest.raises(vsearch.UnavailableError, match=r"shop\.example/3\.png"),
    ):
        shop.add("3", "https://shop.example/3.png")


def test_the_index_is_saved_in_the_background_or_when_told(tmp_path, encoder):
    path = tmp_path / "shop.vsearch"
    with vsearch.create(path, encoder=encoder, snapshot_changes=0) as shop:
        shop.add_many((f"{n}", pixels(n)) for n in range(20))
        assert shop.info()["snapshot_generation"] < shop.info()["generation"]
        shop.save_snapshot()
        assert shop.info()["snapshot_generation"] == shop.info()["generation"]
    with vsearch.open(path, snapshot_changes=5) as shop:
        before = shop.info()["snapshot_generation"]
        shop.add_many((f"new-{n}", pixels(n)) for n in range(20))
        for _ in range(200):
            if shop.info()["snapshot_generation"] > before:
                break
            threading.Event().wait(0.05)
        assert shop.info()["snapshot_generation"] > before
