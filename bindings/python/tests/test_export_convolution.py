"""Hugging Face convolutional networks: equal to transformers' models."""

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from export_support import export, write_folder  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from vsearch.export import ExportError  # noqa: E402

STAGES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1]}


def efficientnet(**options):
    config = transformers.EfficientNetConfig(
        width_coefficient=0.25, depth_coefficient=0.25, hidden_dim=320, **options
    )
    return transformers.EfficientNetModel(config)


networks = {
    "efficientnet": efficientnet(),
    "convnext": transformers.ConvNextModel(transformers.ConvNextConfig(**STAGES)),
    "convnextv2": transformers.ConvNextV2Model(transformers.ConvNextV2Config(**STAGES)),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("convolution")
    return {name: write_folder(root / name, model, 64) for name, model in networks.items()}


def pixels(height, width):
    return torch.randn(3, 3, height, width, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("family", networks)
def test_package_equals_transformers(folders, family, tmp_path):
    exported = export(folders[family], tmp_path / "out.vsm.pt", tokens=True)
    pictures = pixels(64, 64)
    with torch.no_grad():
        output = networks[family](pictures)
        embeddings = exported.module.encode_image(pictures)
        tokens = exported.module.encode_tokens(pictures)
    assert torch.allclose(embeddings, output.pooler_output, rtol=1e-4, atol=1e-4)
    expected = output.last_hidden_state.flatten(2).transpose(1, 2)
    assert torch.allclose(tokens, expected, rtol=1e-4, atol=1e-4)
    assert exported.manifest["architecture"] == family + " mean"
    assert exported.manifest["outputs"]["tokens"] == expected.shape[2]


def test_size_pooling_projection_and_length(folders, tmp_path):
    weight = torch.randn(7, 32, generator=torch.Generator().manual_seed(2))
    save_file({"weight": weight}, tmp_path / "projection.safetensors")
    exported = export(
        folders["convnext"],
        tmp_path / "out.vsm.pt",
        size=(96, 64),
        pooling="gem",
        projection=tmp_path / "projection.safetensors",
        normalise=True,
    )
    assert exported.manifest["architecture"] == "convnext gem projected normalised"
    pictures, model = pixels(96, 64), networks["convnext"]
    with torch.no_grad():
        features = model(pictures).last_hidden_state.clamp(min=1e-6).pow(3).mean([2, 3]).pow(1 / 3)
        expected = torch.nn.functional.normalize(model.layernorm(features) @ weight.T, dim=1)
        ours = exported.module.encode_image(pictures)
    assert torch.allclose(ours, expected, rtol=1e-4, atol=1e-4)


def test_weights_can_be_tuned(folders, tmp_path):
    module = export(folders["convnextv2"], tmp_path / "out.vsm.pt").module
    module.encode_image(pixels(64, 64)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


def test_what_is_refused(folders, tmp_path):
    with pytest.raises(ExportError, match="--pooling cls needs tokens, and convnext has a map"):
        export(folders["convnext"], tmp_path / "out.vsm.pt", pooling="cls")
    folder = write_folder(tmp_path / "maximum", efficientnet(pooling_type="max"), 64)
    with pytest.raises(ExportError, match='pooling_type "max" is not supported'):
        export(folder, tmp_path / "out.vsm.pt")
