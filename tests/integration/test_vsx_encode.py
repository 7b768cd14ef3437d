"""vsx encode, and the options of the commands that load a model."""

import subprocess

import numpy as np
import pytest
from conftest import write_picture
from PIL import Image


@pytest.fixture
def large_jpeg(tmp_path):
    """So much larger than the model's input that it is decoded at a reduced size."""
    path = tmp_path / "large.jpg"
    noise = np.random.default_rng(5).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((960, 720)).save(path, quality=90)
    return path


def test_encode_writes_what_numpy_reads(vsx, model, photos, tmp_path):
    files = [photos / "b.png", photos / "a.jpg", photos / "b.png"]
    vsx("encode", model, *files, "-o", tmp_path / "out.npy")
    embeddings = np.load(tmp_path / "out.npy")
    assert embeddings.dtype == np.float32
    assert embeddings.shape == (3, 48)
    assert np.array_equal(embeddings[0], embeddings[2])
    assert not np.allclose(embeddings[0], embeddings[1])
    assert [path.name for path in tmp_path.glob("*.npy*")] == ["out.npy"]

    from vsearch.export import package

    torch = pytest.importorskip("torch")
    from PIL import Image

    pixels = torch.from_numpy(np.array(Image.open(photos / "b.png").convert("RGB")))
    expected = package.read_package(model).encode(pixels.permute(2, 0, 1).contiguous())
    assert np.allclose(embeddings[0], expected.numpy(), atol=1e-4)


def test_many_pictures_keep_their_order(vsx, model, tmp_path):
    files = [write_picture(tmp_path / f"{i:03}.png", i) for i in range(150)]
    vsx("encode", model, *files, "-o", tmp_path / "all.npy")
    together = np.load(tmp_path / "all.npy")
    assert together.shape == (150, 48)
    for i in (0, 70, 149):
        vsx("encode", model, files[i], "-o", tmp_path / "alone.npy")
        assert np.allclose(together[i], np.load(tmp_path / "alone.npy")[0], atol=1e-5)


def test_a_list_of_files(vsx, model, photos, tmp_path):
    files = [photos / "b.png", photos / "a.jpg"]
    vsx("encode", model, *files, "-o", tmp_path / "named.npy")
    text = f"{files[0]}\r\n\n{files[1]}\n"
    (tmp_path / "list.txt").write_text(text)
    vsx("encode", model, "--files-from", tmp_path / "list.txt", "-o", tmp_path / "listed.npy")
    command = vsx.command("encode", model, "--files-from", "-", "-o", tmp_path / "piped.npy")
    subprocess.run(command, input=text, text=True, check=True)
    expected = np.load(tmp_path / "named.npy")
    assert np.array_equal(np.load(tmp_path / "listed.npy"), expected)
    assert np.array_equal(np.load(tmp_path / "piped.npy"), expected)

    output = ["-o", tmp_path / "none.npy"]
    said = vsx("encode", model, "--files-from", tmp_path / "none.txt", *output, code=1).stderr
    assert f"cannot read the list of pictures '{tmp_path}/none.txt' (--files-from)" in said
    for arguments in ([], [files[0], "--files-from", tmp_path / "list.txt"]):
        said = vsx("encode", model, *arguments, *output, code=2).stderr
        assert "either FILE... or --files-from LIST" in said


def test_bad_pictures(vsx, model, photos, tmp_path):
    (photos / "empty.jpg").write_bytes(b"")
    files = [photos / "a.jpg", photos / "empty.jpg", photos / "b.png", photos / "none.jpg"]
    args = ["encode", model, *files, "-o", tmp_path / "out.npy"]
    said = vsx(*args, code=1).stderr
    assert f"{photos}/empty.jpg" in said
    assert "out.npy' was not written; --skip-bad goes on, with a row of NaN" in said
    assert not list(tmp_path.glob("out.npy*"))

    said = vsx(*args, "--skip-bad", code=3).stderr
    assert f"vsx: {photos}/empty.jpg" in said
    assert f"vsx: {photos}/none.jpg" in said
    assert "2 pictures could not be read: NaN in " in said
    rows = np.load(tmp_path / "out.npy")
    assert np.isnan(rows[[1, 3]]).all()
    vsx("encode", model, files[0], files[2], "-o", tmp_path / "good.npy")
    assert np.allclose(rows[[0, 2]], np.load(tmp_path / "good.npy"), atol=1e-6)


def test_exact(vsx, model, large_jpeg, tmp_path):
    vsx("encode", model, large_jpeg, "-o", tmp_path / "quick.npy")
    vsx("encode", model, large_jpeg, "-o", tmp_path / "exact.npy", "--exact")
    quick, exact = np.load(tmp_path / "quick.npy")[0], np.load(tmp_path / "exact.npy")[0]
    assert not np.array_equal(quick, exact)
    assert quick @ exact > 0.999 * np.linalg.norm(quick) * np.linalg.norm(exact)


def test_precision(vsx, model, fast_model, photos, tmp_path):
    vsx("encode", fast_model, photos / "a.jpg", "-o", tmp_path / "32.npy", "--precision", "fp32")
    vsx("encode", fast_model, photos / "a.jpg", "-o", tmp_path / "16.npy", "--precision", "bf16")
    expected = np.load(tmp_path / "32.npy")
    expected[:, :24] *= 1.01
    assert np.allclose(np.load(tmp_path / "16.npy"), expected, rtol=1e-4)

    shop = tmp_path / "fast.vsearch"
    vsx("init", shop, "--encoder", fast_model)
    vsx("add", shop, photos, "--precision", "bf16")
    hits = vsx.hits(shop, "--image", photos / "a.jpg", "--precision", "fp32", "--device", "cpu")
    assert hits[0]["key"] == "a.jpg"

    output = ["-o", tmp_path / "none.npy"]
    said = vsx("encode", model, "x.jpg", *output, "--precision", "int8", code=1).stderr
    assert f"{model}: cannot run in int8 on a CPU" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--precision", "half"], "--precision is auto, fp32, bf16, fp16 or int8, not 'half'"),
        (["--device", "gpu"], "--device is cpu, cuda or cuda:N, not 'gpu'"),
        (["--device", "cuda:"], "--device is cpu, cuda or cuda:N, not 'cuda:'"),
        (["--device", "cuda:1x"], "--device is cpu, cuda or cuda:N, not 'cuda:1x'"),
        (["--device", "cuda:-1"], "--device is cpu, cuda or cuda:N, not 'cuda:-1'"),
    ],
)
def test_precisions_and_devices_that_are_none(vsx, shop, model, tmp_path, options, message):
    for command in (
        ["encode", model, "x.jpg", "-o", tmp_path / "out.npy"],
        ["add", shop, "x.jpg"],
        ["search", shop, "--image", "x.jpg"],
        ["info", model],
        ["model", "verify", model],
    ):
        assert message in vsx(*command, *options, code=2).stderr
