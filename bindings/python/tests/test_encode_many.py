"""vsearch.Encoder over many pictures, and what else than pictures it encodes: files with failures,
iterators, local tokens, words.
"""

import os
import signal
import threading

import numpy as np
import pytest
import vsearch
from conftest import DIM, pixels
from PIL import Image


@pytest.fixture
def large_jpeg(tmp_path):
    """So much larger than the model's input that it is decoded at a reduced size."""
    path = tmp_path / "large.jpg"
    noise = np.random.default_rng(5).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((960, 720)).save(path, quality=90)
    return path


def test_a_picture_is_decoded_alike_everywhere(encoder, large_jpeg, tmp_path):
    full = encoder.encode(np.asarray(Image.open(large_jpeg)))
    quick = encoder.encode(large_jpeg)
    exact = encoder.encode(large_jpeg, exact=True)
    np.testing.assert_allclose(exact, full, atol=5e-3)
    assert not np.array_equal(quick, exact)
    for same in (
        encoder.encode(large_jpeg.read_bytes()),
        encoder.encode_files([large_jpeg])[0][0],
        next(encoder.encode_iter([large_jpeg])).embedding,
    ):
        np.testing.assert_array_equal(same, quick)
    np.testing.assert_array_equal(encoder.encode_files([large_jpeg], exact=True)[0][0], exact)
    with vsearch.create(tmp_path / "one.vsearch", encoder=encoder) as shop:
        shop.add("large", large_jpeg)
        for query in ({"image": large_jpeg}, {"image": large_jpeg.read_bytes()}, {"vector": quick}):
            assert shop.search(**query)[0].distance == pytest.approx(0, abs=1e-6)
        assert shop.search(vector=exact)[0].distance > 1e-6


def test_kinds_may_be_mixed(encoder, photos):
    mixed = [pixels(0), photos[1], photos[2].read_bytes(), pixels(3), photos[4]]
    calls = []
    together = encoder.encode(mixed, progress=lambda done, total: calls.append((done, total)))
    for embedding, picture in zip(together, mixed, strict=True):
        np.testing.assert_allclose(embedding, encoder.encode(picture), atol=1e-6)
    assert calls == sorted(calls)
    assert calls[-1] == (5, 5)
    mixed[2] = b"text"
    with pytest.raises(vsearch.BadImageError, match=r"^images\[2\]: "):
        encoder.encode(mixed)


def test_files_that_fail_stop_nothing(encoder, photos, tmp_path):
    text = tmp_path / "text.jpg"
    text.write_text("no picture")
    paths = [photos[0], tmp_path / "missing.png", str(photos[1]), text]
    calls = []
    embeddings, failures = encoder.encode_files(paths, progress=lambda *call: calls.append(call))
    np.testing.assert_array_equal(embeddings[[0, 2]], encoder.encode(photos[:2]))
    assert np.isnan(embeddings[[1, 3]]).all()
    assert [(failure.index, failure.path) for failure in failures] == [(1, paths[1]), (3, text)]
    assert isinstance(failures[0].error, FileNotFoundError)
    assert isinstance(failures[1].error, vsearch.BadImageError)
    assert "text.jpg" in str(failures[1].error)
    assert calls == sorted(calls)
    assert calls[-1] == (4, 4)

    embeddings, failures = encoder.encode_files([])
    assert embeddings.shape == (0, DIM)
    assert failures == []
    with pytest.raises(ValueError, match="several paths"):
        encoder.encode_files(str(text))
    with pytest.raises(vsearch.CancelledError):
        encoder.encode_files(photos, progress=lambda done, total: False)


def test_lenient(encoder, large_jpeg):
    large_jpeg.write_bytes(large_jpeg.read_bytes()[:-20000])
    embeddings, failures = encoder.encode_files([large_jpeg])
    assert [failure.index for failure in failures] == [0]
    embeddings, failures = encoder.encode_files([large_jpeg], lenient=True)
    assert failures == []
    assert np.isfinite(embeddings).all()
    assert next(encoder.encode_iter([large_jpeg], lenient=True)).error is None


def test_an_iterator_in_order(encoder, photos):
    taken = []

    def pictures():
        for i in range(10):
            taken.append(i)
            yield [photos[i % 8], pixels(i % 8), photos[i % 8].read_bytes(), b"text"][i % 4]

    results = encoder.encode_iter(pictures(), batch=3)
    assert taken == []
    first = next(results)
    assert taken == [0, 1, 2]
    everything = [first, *results]
    assert [index for index, _, _ in everything] == list(range(10))
    for index, embedding, error in everything:
        if index % 4 == 3:
            assert embedding is None
            assert isinstance(error, vsearch.BadImageError)
            assert str(error).startswith(f"images[{index}]: ")
        else:
            assert error is None
            np.testing.assert_allclose(embedding, encoder.encode(pixels(index % 8)), atol=1e-6)
    assert list(encoder.encode_iter([])) == []


def test_an_iterator_of_large_pictures_takes_few(encoder):
    taken = []

    def pictures():
        for i in range(40):
            taken.append(i)
            yield np.full((2000, 2000, 3), i, np.uint8)

    results = encoder.encode_iter(pictures())
    next(results)
    assert len(taken) == 6  # the first to fill 64 MiB
    results.close()


def test_an_iterator_of_what_is_none(encoder, photos):
    for one in (photos[0], b"bytes", pixels(0)):
        with pytest.raises(ValueError, match="several pictures"):
            encoder.encode_iter(one)
    with pytest.raises(ValueError, match="batch must be at least 1, not 0"):
        encoder.encode_iter(photos, batch=0)
    with pytest.raises(TypeError, match=r"images\[1\] must be a path"):
        list(encoder.encode_iter([photos[0], {}], batch=1))

    flat, good = encoder.encode_iter([np.zeros(8, np.uint8), pixels(0)])
    assert isinstance(flat.error, ValueError)
    assert "images[0] has the shape (8,)" in str(flat.error)
    assert good.error is None

    def broken():
        yield photos[0]
        raise LookupError("from the iterator")

    with pytest.raises(LookupError, match="from the iterator"):
        list(encoder.encode_iter(broken()))


def test_ctrl_c(slow_model, photos):
    slow = vsearch.Encoder(slow_model)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            slow.encode_files(photos * 500)
    finally:
        timer.join()


def test_other_threads_run_meanwhile(slow_model, photos, ticks):
    slow = vsearch.Encoder(slow_model)
    assert ticks(lambda: slow.encode_files(photos * 5)) > 10


def test_tokens(rich, encoder, photos):
    assert rich.info()["token_dim"] == 3
    tokens = rich.encode_tokens(photos[:3])
    assert tokens.shape == (3, 16, 3)
    assert tokens.dtype == np.float32
    np.testing.assert_allclose(tokens[1], rich.encode_tokens(pixels(1)), atol=1e-6)
    cells = rich.encode(photos[:3]).reshape(3, 3, 16).transpose(0, 2, 1)
    scale = np.linspace(0.5, 1.5, DIM).reshape(3, 16).T
    np.testing.assert_allclose(tokens, cells / scale * 0.5, atol=1e-5)
    many = rich.encode_tokens(photos * 5)
    np.testing.assert_allclose(many[33], tokens[1], atol=1e-6)
    assert rich.encode_tokens([]).shape[0] == 0
    with pytest.raises(vsearch.UnavailableError, match="no local tokens"):
        encoder.encode_tokens(photos)


def test_words(rich, encoder):
    assert rich.info()["has_text"]
    one = rich.encode_text("Schöne Schuhe 👟")
    assert one.shape == (DIM,)
    texts = ["red", "Schöne Schuhe 👟", ""] * 30
    several = rich.encode_text(texts)
    assert several.shape == (90, DIM)
    np.testing.assert_array_equal(several[1], one)
    np.testing.assert_array_equal(several[88], one)
    counts = np.ones(DIM)
    for character in "red":
        counts[ord(character) % DIM] += 1
    np.testing.assert_allclose(several[0], counts * np.linspace(0.5, 1.5, DIM), rtol=1e-5)
    assert rich.encode_text([]).shape == (0, DIM)
    with pytest.raises(vsearch.UnavailableError, match="cannot encode words"):
        encoder.encode_text("red")
    with pytest.raises(TypeError, match=r"texts\[1\] must be a str, not bytes"):
        rich.encode_text(["red", b"blue"])
