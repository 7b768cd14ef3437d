"""The whole way from a JPEG file to an embedding in C++ against the reference: Pillow, Hugging
Face's image processor and transformers, in float32.
"""

import io
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED
from PIL import Image

DEIT = SHARED / "models" / "deit-tiny-patch16-224"
PICTURES = 100

pytestmark = pytest.mark.skipif(not DEIT.is_dir(), reason=f"{DEIT} is absent")


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    pytest.importorskip("transformers")
    from vsearch.export import hf

    path = tmp_path_factory.mktemp("models") / "deit-tiny.vsm.pt"
    hf.export(DEIT, path)
    return path


def real_pictures(folder: Path) -> list[Path]:
    """Real JPEGs of three data sets, evenly spread over each."""
    files = []
    for name, count in (("grocery", 40), ("caltech101", 30), ("fashion", PICTURES - 70)):
        with tarfile.open(SHARED / "data" / f"{name}.tar") as tar:
            members = sorted(
                m.name for m in tar.getmembers() if m.isfile() and m.name.endswith(".jpg")
            )
            for member in members[:: len(members) // count][:count]:
                files.append(folder / f"{len(files):03d}.jpg")
                files[-1].write_bytes(tar.extractfile(member).read())
    return files


def reference_embedding(file: Path, processor, model) -> np.ndarray:
    import torch

    picture = Image.open(io.BytesIO(file.read_bytes())).convert("RGB")
    with torch.no_grad():
        return model(**processor(picture, return_tensors="pt")).last_hidden_state[0, 0].numpy()


def test_embeddings_equal_those_of_transformers(vsx, package, tmp_path):
    import transformers

    files = real_pictures(tmp_path)
    assert len(files) == PICTURES
    vsx("encode", package, *files, "-o", tmp_path / "ours.npy", "--quiet")
    ours = np.load(tmp_path / "ours.npy")
    processor = transformers.AutoImageProcessor.from_pretrained(DEIT)
    model = transformers.ViTModel.from_pretrained(DEIT, add_pooling_layer=False).eval()
    theirs = np.stack([reference_embedding(file, processor, model) for file in files])
    cosines = (
        (ours * theirs).sum(axis=1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    )
    print(f"cosine of {len(files)} pictures: min {cosines.min():.6f}, mean {cosines.mean():.6f}")
    assert cosines.min() >= 0.9999
    lengths = np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    assert np.abs(lengths - 1).max() < 0.01


def test_both_languages_give_a_package_the_same_fingerprint(vsx, package):
    from vsearch.export.package import fingerprint, read_package

    answer = vsx("info", package, "--json").stdout
    assert re.findall(r"\b[0-9a-f]{64}\b", answer) == [fingerprint(read_package(package))]
