"""The encoder against the reference pipeline, Pillow, transformers' processor and its model in
float32, on real pictures: pixels, embeddings, and what scaled decoding changes.

VSEARCH_PARITY_PICTURES says on how many (100; the goals are stated for 500).
"""

from __future__ import annotations

import itertools
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import vsearch

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from PIL import Image  # noqa: E402
from vsearch.export import hf, package  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
SHARED = Path(os.environ.get("VSEARCH_SHARED", ROOT.parent / "shared"))
MODEL = SHARED / "models" / "deit-tiny-patch16-224"
PICTURES = int(os.environ.get("VSEARCH_PARITY_PICTURES", "100"))
CROP = 112  # of the package that gives pixels: an embedding has at most 65,536 numbers


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> list[Path]:
    """JPEG files, evenly from all archives; every third enlarged, so that it is decoded scaled."""
    if not MODEL.is_dir():
        pytest.skip(f"{MODEL} is absent; it needs the shared models and pictures")
    folder = tmp_path_factory.mktemp("pictures")
    archives = ("grocery", "caltech101", "fashion")
    files = []
    for name in archives:
        with tarfile.open(SHARED / "data" / f"{name}.tar") as tar:
            members = [member for member in tar if member.name.endswith(".jpg")]
            share = PICTURES // len(archives) + 1
            for member in itertools.islice(members, 0, None, len(members) // share):
                path = folder / f"{len(files):04}.jpg"
                path.write_bytes(tar.extractfile(member).read())
                files.append(path)
    files = files[:PICTURES]
    for path in files[::3]:
        picture = Image.open(path).convert("RGB")
        scale = 900 / min(picture.size)
        size = (round(picture.width * scale), round(picture.height * scale))
        picture.resize(size, Image.BICUBIC).save(path, quality=90)
    return files


@pytest.fixture(scope="module")
def processor():
    return transformers.ViTImageProcessorPil.from_pretrained(MODEL)


@pytest.fixture(scope="module")
def encoder(pictures, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "deit.vsm.pt"
    hf.export(MODEL, path, precisions=())
    return vsearch.Encoder(path, precision="fp32")


@pytest.fixture(scope="module")
def reference(pictures, processor) -> np.ndarray:
    model = transformers.ViTModel.from_pretrained(MODEL, add_pooling_layer=False).eval()
    embeddings = []
    for path in pictures:
        pixels = torch.as_tensor(np.array(processor(opened(path))["pixel_values"]))
        with torch.inference_mode():
            embeddings.append(model(pixel_values=pixels).last_hidden_state[:, 0])
    return torch.cat(embeddings).numpy()


def opened(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB")


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_exact_embeddings_are_the_reference(encoder, pictures, reference):
    embeddings, failures = encoder.encode_files(pictures, exact=True)
    assert not failures
    assert cosines(embeddings, reference).min() >= 0.9999


def test_scaled_decoding_moves_embeddings_by_little(encoder, pictures, reference):
    embeddings, failures = encoder.encode_files(pictures)
    assert not failures
    scaled = cosines(embeddings, reference)
    assert scaled.mean() >= 0.999
    assert (scaled < 0.99999).any()  # else nothing was decoded scaled


def test_a_picture_alone_gives_what_it_gives_among_others(encoder, pictures):
    together = encoder.encode(pictures[:16])
    alone = np.stack([encoder.encode(path) for path in pictures[:16]])
    assert cosines(together, alone).min() >= 0.99999


def test_pixels_are_the_reference(pictures, processor, tmp_path):
    """By a package whose embedding is its input, read back as grey levels."""

    class Pixels(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(1))

        @torch.jit.export
        def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
            return (pixels * self.scale).flatten(1)

    resize = {"edge": "shortest", "size": 256, "interpolation": "bicubic"}
    spec = package.input_spec(CROP, CROP, resize, "center", mean=[0.0] * 3, std=[1.0] * 3)
    description = package.manifest(
        name="pixels",
        licence="Apache-2.0",
        source="a test",
        architecture="identity",
        dim=3 * CROP * CROP,
        spec=spec,
    )
    package.write_package(tmp_path / "p.vsm.pt", package.script(Pixels()), description)
    embeddings, failures = vsearch.Encoder(tmp_path / "p.vsm.pt").encode_files(pictures, exact=True)
    assert not failures
    ours = np.rint(embeddings.reshape(-1, 3, CROP, CROP) * 255)
    processor.crop_size = {"height": CROP, "width": CROP}
    differing = 0
    for path, pixels in zip(pictures, ours):
        raw = processor(opened(path), do_normalize=False)["pixel_values"][0]
        difference = np.abs(np.rint(np.array(raw) * 255) - pixels)
        # 2 of 255 comes from ties, which the two round differently between the passes of a resize.
        assert difference.max() <= 2
        differing += (difference > 1).sum()
    assert differing / ours.size < 1e-4
