"""vsearch.Encoder: what goes in, what comes out, and what is refused."""

import os

import numpy as np
import pytest
import vsearch
from conftest import DIM, pixels, write_model, write_rich_model
from PIL import Image


def test_info(encoder):
    info = encoder.info()
    assert info["name"] == "grid-colour"
    assert info["license"] == "Apache-2.0"
    assert info["dim"] == encoder.dim == DIM
    assert info["metric"] == "cosine"
    assert len(info["fingerprint"]) == 64
    assert info["preprocessing"]["resize_edge"] == "stretch"
    assert info["preprocessing"]["interpolation"] == "bilinear"
    assert info["preprocessing"]["mean"] == pytest.approx((0.5, 0.5, 0.5))
    assert (info["token_dim"], info["has_text"]) == (0, False)
    assert (info["precision"], info["fast_forms"]) == ("fp32", [])
    assert repr(encoder) == "<vsearch.Encoder 'grid-colour', 48 dimensions, fp32>"


def test_one_picture_gives_a_vector_and_several_a_matrix(encoder, photos):
    one = encoder.encode(photos[0])
    assert one.shape == (DIM,)
    assert one.dtype == np.float32
    several = encoder.encode(photos[:3])
    assert several.shape == (3, DIM)
    assert encoder.encode([photos[0]]).shape == (1, DIM)
    assert encoder.encode([]).shape == (0, DIM)
    assert encoder.encode(np.stack([pixels(0), pixels(1)])).shape == (2, DIM)
    np.testing.assert_array_equal(encoder.encode(iter(photos[:3])), several)
    np.testing.assert_allclose(several[0], one, atol=1e-6)


def test_a_forked_child_is_told(encoder, photos):
    encoder.encode(photos[0])
    child = os.fork()
    if child == 0:
        try:
            encoder.encode(photos[0])
        except vsearch.UnavailableError as error:
            os._exit(7 if "spawn" in str(error) else 8)
        finally:
            os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_the_result_is_the_librarys_own_memory(encoder, photos):
    embeddings = encoder.encode(photos)
    assert not embeddings.flags.owndata
    assert embeddings.flags.c_contiguous
    assert embeddings.flags.writeable


def test_every_kind_of_picture_gives_the_same(encoder, photos):
    torch = pytest.importorskip("torch")
    data = photos[2].read_bytes()
    image = Image.open(photos[2])
    kinds = {
        "str": str(photos[2]),
        "path": photos[2],
        "bytes": data,
        "bytearray": bytearray(data),
        "memoryview": memoryview(data),
        "numpy": pixels(2),
        "pillow": image,
        "torch": torch.from_numpy(pixels(2).copy()),
    }
    expected = encoder.encode(photos[2])
    for name, picture in kinds.items():
        np.testing.assert_array_equal(encoder.encode(picture), expected, err_msg=name)
        np.testing.assert_array_equal(encoder.encode([picture])[0], expected, err_msg=name)


def test_layouts_of_pixels(encoder):
    large = pixels(5, (90, 70))
    layouts = {
        "crop": large[10:60, 20:80],
        "every second row": large[::2],
        "upside down": large[::-1],
        "mirrored": large[:, ::-1],
        "blue first": large[:, :, ::-1],
        "transposed": large.transpose(1, 0, 2),
        "column-major": np.asfortranarray(large),
        "one pixel": large[:1, :1],
        "without alpha": np.dstack([large, large[:, :, :1]])[:, :, :3],
    }
    for name, view in layouts.items():
        dense = np.ascontiguousarray(view).copy()
        np.testing.assert_array_equal(encoder.encode(view), encoder.encode(dense), err_msg=name)


def test_orders_of_channels(encoder):
    rgb = pixels(6)
    bgr = np.ascontiguousarray(rgb[:, :, ::-1])
    alpha = np.full((*rgb.shape[:2], 1), 255, np.uint8)
    expected = encoder.encode(rgb)
    for name, same in {
        "BGR": encoder.encode(bgr, channels="bgr"),
        "BGR as a view": encoder.encode(bgr[:, :, ::-1]),
        "RGB as a view": encoder.encode(rgb[:, :, ::-1], channels="bgr"),
        "a crop of such a view": encoder.encode(
            np.pad(bgr, ((2, 3), (4, 5), (0, 0)))[2:-3, 4:-5, ::-1]
        ),
        "RGBA": encoder.encode(np.dstack([rgb, alpha])),
        "BGRA": encoder.encode(np.dstack([bgr, alpha]), channels="bgr"),
        "Pillow RGBA": encoder.encode(Image.fromarray(np.dstack([rgb, alpha]))),
    }.items():
        np.testing.assert_allclose(same, expected, atol=1e-6, err_msg=name)
    assert not np.allclose(encoder.encode(bgr), expected, atol=1e-2)
    with pytest.raises(ValueError, match="channels must be 'rgb' or 'bgr', not 'RGB'"):
        encoder.encode(rgb, channels="RGB")


def test_grey_and_transparent_pixels(encoder):
    grey = pixels(7)[:, :, 0]
    expected = encoder.encode(np.dstack([grey] * 3))
    for same in (grey, grey[:, :, np.newaxis], Image.fromarray(grey)):
        np.testing.assert_allclose(encoder.encode(same), expected, atol=1e-6)
    np.testing.assert_allclose(
        encoder.encode(grey[::2, 5:20]), encoder.encode(grey[::2, 5:20].copy())
    )
    invisible = np.zeros((10, 10, 4), np.uint8)
    white = np.full((10, 10, 3), 255, np.uint8)
    np.testing.assert_allclose(encoder.encode(invisible), encoder.encode(white), atol=1e-6)


def test_many_pictures_keep_their_order(encoder):
    pictures = [pixels(seed) for seed in range(150)]
    calls = []
    embeddings = encoder.encode(pictures, progress=lambda done, total: calls.append((done, total)))
    for seed in (0, 63, 64, 149):
        np.testing.assert_allclose(embeddings[seed], encoder.encode(pictures[seed]), atol=1e-5)
    assert calls == sorted(calls)
    assert calls[-1] == (150, 150)


def test_cancelling(encoder):
    with pytest.raises(vsearch.CancelledError):
        encoder.encode([pixels(i) for i in range(100)], progress=lambda done, total: False)


def test_an_exception_of_the_progress_callback_comes_out(encoder):
    def progress(done, total):
        raise LookupError("from the callback")

    with pytest.raises(LookupError, match="from the callback"):
        encoder.encode([pixels(0)], progress=progress)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((8, 8, 2), np.uint8), r"shape \(8, 8, 2\).*convert\('RGB'\)"),
        (np.zeros(8, np.uint8), r"shape \(8,\)"),
        (np.zeros((8, 8, 3), np.float32), "dtype float32"),
        (np.zeros((0, 8, 3), np.uint8), r"shape \(0, 8, 3\): no picture"),
        (memoryview(bytes(64))[::2], "one dense row of bytes"),
        (Image.new("P", (8, 8)), r"mode P,.*convert\('RGB'\)"),
        (Image.new("CMYK", (8, 8)), "mode CMYK"),
        (Image.new("HSV", (8, 8)), "mode HSV"),
    ],
    ids=["two channels", "a row", "float", "empty", "gaps", "palette", "CMYK", "HSV"],
)
def test_pixels_that_are_no_picture(encoder, picture, message):
    with pytest.raises(ValueError, match=message) as caught:
        encoder.encode(picture)
    assert isinstance(caught.value, vsearch.InvalidArgumentError)
    assert str(caught.value).startswith("images[0]")


def test_a_value_of_another_type(encoder):
    with pytest.raises(TypeError, match=r"images\[1\] must be a path.*not dict"):
        encoder.encode([pixels(0), {}])


def test_files_that_are_no_pictures(encoder, tmp_path, photos):
    missing = tmp_path / "missing.jpg"
    with pytest.raises(FileNotFoundError, match=r"missing\.jpg") as caught:
        encoder.encode([photos[0], missing])
    assert isinstance(caught.value, vsearch.Error)
    assert caught.value.code == "file_not_found"

    for name, content in {
        "empty.jpg": b"",
        "text.jpg": b"this is text, not a picture",
        "truncated.png": photos[0].read_bytes()[:60],
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(vsearch.BadImageError, match=name):
            encoder.encode(path)
        with pytest.raises(vsearch.BadImageError, match=r"images\[0\]"):
            encoder.encode(content)


def test_models_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="no-such-model"):
        vsearch.Encoder("no-such-model")
    text = tmp_path / "text.vsm.pt"
    text.write_text("this is no model")
    with pytest.raises(vsearch.BadModelError, match=r"text\.vsm\.pt"):
        vsearch.Encoder(text)


def test_options(model):
    with pytest.raises(ValueError, match="device must be 'cpu', 'cuda' or 'cuda:N', not 'gpu'"):
        vsearch.Encoder(model, device="gpu")
    with pytest.raises(ValueError, match="batch_size"):
        vsearch.Encoder(model, batch_size=-1)
    with pytest.raises(ValueError, match="batch"):
        vsearch.Encoder(model, batch_size=0)
    one_by_one = vsearch.Encoder(model, batch_size=1, verify=False)
    pictures = [pixels(i) for i in range(5)]
    np.testing.assert_allclose(
        one_by_one.encode(pictures), vsearch.Encoder(model).encode(pictures), atol=1e-5
    )


def test_precisions(model, rich_model):
    plain = vsearch.Encoder(model)
    half = vsearch.Encoder(model, precision="bf16")
    assert (plain.info()["precision"], half.info()["precision"]) == ("fp32", "bf16")
    one, other = plain.encode(pixels(3)), half.encode(pixels(3))
    assert not np.array_equal(one, other)
    np.testing.assert_allclose(one, other, atol=0.02)

    fast = vsearch.Encoder(rich_model, precision="bf16")
    assert fast.info()["fast_forms"] == ["bf16"]
    exactly = vsearch.Encoder(rich_model, precision="fp32").encode(pixels(3))
    np.testing.assert_allclose(fast.encode(pixels(3)), exactly * 1.01, rtol=1e-4)
    assert vsearch.Encoder(rich_model).info()["precision"] in ("fp32", "bf16")

    with pytest.raises(vsearch.UnavailableError, match="int8"):
        vsearch.Encoder(rich_model, precision="int8")
    with pytest.raises(vsearch.UnavailableError, match="fp16"):
        vsearch.Encoder(rich_model, precision="fp16")
    with pytest.raises(ValueError, match=r"precision must be 'auto', .* not 'half'"):
        vsearch.Encoder(model, precision="half")


def test_cuda_without_cuda(model):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(vsearch.UnavailableError, match="CUDA"):
        vsearch.Encoder(model, device="cuda:0")


def test_the_default_encoder(default_encoder, photos):
    assert default_encoder.info()["name"] == "efficientnet-lite0"
    embeddings = default_encoder.encode(photos)
    assert embeddings.shape == (len(photos), default_encoder.dim)
    assert np.isfinite(embeddings).all()
    same = default_encoder.encode(pixels(3))
    np.testing.assert_allclose(embeddings[3], same, atol=1e-4)


@pytest.mark.parametrize("write", [write_model, write_rich_model])
def test_both_languages_give_a_package_the_same_fingerprint(tmp_path, write):
    from vsearch.export import package

    path = write(tmp_path / "model.vsm.pt")
    exported = package.fingerprint(package.read_package(path))
    assert vsearch.Encoder(path).info()["fingerprint"] == exported
