"""Packages from timm, from torchvision and from any TorchScript module."""

import warnings

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from safetensors.torch import save_file  # noqa: E402
from vsearch.export import ExportError, package, timm_models, torchvision_models  # noqa: E402
from vsearch.export.__main__ import main  # noqa: E402


class Small(torch.nn.Module):
    """Eight dimensions from pictures of any size."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv2d(3, 8, 4, stride=4)

    def forward(self, pixels):
        return self.conv(pixels).relu().mean([2, 3])


@pytest.fixture
def small(tmp_path):
    return save(Small(), tmp_path / "small.pt")


def save(module, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(package.script(module.eval()), str(path))
    return path


def pixels(height, width):
    return torch.randn(3, 3, height, width, generator=torch.Generator().manual_seed(5))


# --- any module -----------------------------------------------------------------------------------

EXPLICIT = ["--size", "32x48", "--mean", "0.5,0.4,0.3", "--std", "0.2,0.3,0.4"]
BICUBIC = ["--interpolation", "bicubic"]


def command(source, tmp_path, *options):
    return main([*map(str, source), "-o", str(tmp_path / "out.vsm.pt"), *options])


@pytest.mark.parametrize(
    "options, resize, crop",
    [
        (["--resize", "none"], {"edge": "none"}, "none"),
        (
            ["--resize", "stretch", *BICUBIC],
            {"edge": "stretch", "size": [32, 48], "interpolation": "bicubic"},
            "none",
        ),
        (
            ["--resize", "stretch:40x60", *BICUBIC],
            {"edge": "stretch", "size": [40, 60], "interpolation": "bicubic"},
            "center",
        ),
        (
            ["--resize", "shortest:56", *BICUBIC],
            {"edge": "shortest", "size": 56, "interpolation": "bicubic"},
            "center",
        ),
    ],
)
def test_module_with_its_preprocessing_as_options(small, tmp_path, options, resize, crop):
    assert command(["module", small], tmp_path, *EXPLICIT, *options, "--bgr") == 0
    exported = package.read_package(tmp_path / "out.vsm.pt")
    assert exported.manifest["input"] == {
        "width": 48,
        "height": 32,
        "resize": resize,
        "crop": crop,
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.3, 0.4],
        "colour_order": "bgr",
    }
    assert exported.manifest["name"] == "small" and exported.manifest["dim"] == 8
    pictures = pixels(32, 48)
    with torch.no_grad():
        assert torch.allclose(exported.module.encode_image(pictures), Small()(pictures))


def test_module_with_a_head(small, tmp_path):
    weight = torch.randn(5, 8)
    save_file({"weight": weight}, tmp_path / "projection.safetensors")
    options = ["--projection", str(tmp_path / "projection.safetensors"), "--normalise"]
    stretch = ["--resize", "stretch", *BICUBIC]
    assert command(["module", small], tmp_path, *EXPLICIT, *stretch, *options) == 0
    exported = package.read_package(tmp_path / "out.vsm.pt")
    assert exported.manifest["architecture"] == "module small projected normalised"
    pictures = pixels(32, 48)
    with torch.no_grad():
        expected = torch.nn.functional.normalize(Small()(pictures) @ weight.T, dim=1)
        assert torch.allclose(exported.module.encode_image(pictures), expected, atol=1e-5)


class TakesOneNumber(Small):
    def forward(self, number: int):
        return self.conv.weight * number


class GivesAMap(Small):
    def forward(self, pixels):
        return self.conv(pixels)


@pytest.mark.parametrize(
    "module, message",
    [
        (TakesOneNumber, "does not take float32 [B, 3, 32, 48]: "),
        (GivesAMap, "gives [1, 8, 8, 12] for one picture; it must give [1, dim]"),
    ],
)
def test_modules_that_are_no_encoders(tmp_path, capsys, module, message):
    path = save(module(), tmp_path / "odd.pt")
    stretch = ["--resize", "stretch", *BICUBIC]
    assert command(["module", path], tmp_path, *EXPLICIT, *stretch) == 1
    error = capsys.readouterr().err
    assert str(path) in error and message in error


def test_files_that_are_no_modules(tmp_path, capsys):
    stretch = ["--resize", "stretch", *BICUBIC]
    assert command(["module", tmp_path / "absent.pt"], tmp_path, *EXPLICIT, *stretch) == 1
    assert "absent.pt: no such file; give a file of torch.jit.save" in capsys.readouterr().err
    (tmp_path / "text.pt").write_text("nothing of the kind")
    assert command(["module", tmp_path / "text.pt"], tmp_path, *EXPLICIT, *stretch) == 1
    assert "text.pt is not a TorchScript archive: " in capsys.readouterr().err


def test_options_of_a_module_that_do_not_fit(small, tmp_path, capsys):
    assert command(["module", small], tmp_path, *EXPLICIT, "--resize", "stretch") == 1
    assert "--interpolation is missing" in capsys.readouterr().err
    assert command(["module", small], tmp_path, *EXPLICIT, "--resize", "none", *BICUBIC) == 1
    assert "--interpolation means nothing with --resize none" in capsys.readouterr().err
    small_edge = ["--resize", "shortest:40", *BICUBIC]
    assert command(["module", small], tmp_path, *EXPLICIT, *small_edge) == 1
    assert "a package needs a resize that covers the crop" in capsys.readouterr().err
    for option in (["--resize", "longest:40"], ["--resize", "stretch", "--mean", "1,2"]):
        with pytest.raises(SystemExit):
            command(["module", small], tmp_path, *EXPLICIT, *BICUBIC, *option)
        assert f"argument {option[-2]}: invalid" in capsys.readouterr().err


# --- timm and torchvision -------------------------------------------------------------------------


def test_libraries_that_are_not_installed(tmp_path, capsys, monkeypatch):
    for library in ("timm", "torchvision"):
        monkeypatch.setitem(__import__("sys").modules, library, None)
        assert command([library, "resnet18"], tmp_path) == 1
        assert f"pip install {library}" in capsys.readouterr().err


@pytest.fixture
def timm():
    return pytest.importorskip("timm", reason="timm is not installed")


@pytest.fixture
def torchvision():
    return pytest.importorskip("torchvision", reason="torchvision is not installed")


@pytest.mark.parametrize("name, is_vit", [("vit_tiny_patch16_224", True), ("resnet10t", False)])
def test_timm_model_equals_timm(timm, tmp_path, name, is_vit):
    model = timm.create_model(name, pretrained=False).eval()
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    model.reset_classifier(0)
    exported = timm_models.export(
        name,
        tmp_path / "out.vsm.pt",
        weights=tmp_path / "weights.pth",
        normalise=True,
        precisions=(),
    )
    settings = timm.data.resolve_model_data_config(model)
    assert exported.manifest["input"]["mean"] == pytest.approx(list(settings["mean"]))
    assert hasattr(exported.module.network, "blocks") == is_vit
    pictures = pixels(*settings["input_size"][1:])
    with torch.no_grad():
        expected = torch.nn.functional.normalize(model(pictures), dim=1)
        assert torch.allclose(exported.module.encode_image(pictures), expected, atol=1e-4)


def test_timm_errors(timm, tmp_path):
    with pytest.raises(ExportError, match='has no model "resnet_of_mine"; see '):
        timm_models.export("resnet_of_mine", tmp_path / "out.vsm.pt")
    with pytest.raises(ExportError, match=r"absent.pth: no such file; --weights"):
        timm_models.export("resnet10t", tmp_path / "out.vsm.pt", weights=tmp_path / "absent.pth")
    (tmp_path / "odd.pth").write_text("nothing of the kind")
    with pytest.raises(ExportError, match="timm's resnet10t: the weights cannot be loaded: "):
        timm_models.export("resnet10t", tmp_path / "out.vsm.pt", weights=tmp_path / "odd.pth")


def test_timm_without_a_network(timm, tmp_path, monkeypatch):
    def snapshot_download(name, allow_patterns, etag_timeout):
        raise OSError("Name or service not known")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    message = "timm/resnet10t.* cannot be fetched from Hugging Face: Name or service not known"
    with pytest.raises(ExportError, match=message):
        timm_models.export("resnet10t", tmp_path / "out.vsm.pt")


def test_torchvision_model_equals_torchvision(torchvision, tmp_path):
    model = torchvision.models.mobilenet_v3_small(weights=None).eval()
    preset = torchvision.models.MobileNet_V3_Small_Weights.DEFAULT
    file = tmp_path / preset.url.rsplit("/", 1)[1]
    torch.save(model.state_dict(), file)
    exported = torchvision_models.export(
        "mobilenet_v3_small", tmp_path / "out.vsm.pt", weights=file
    )
    assert exported.manifest["dim"] == 1024
    assert exported.manifest["input"]["resize"]["interpolation"] == "bilinear"
    model.classifier[-1] = torch.nn.Identity()
    pictures = pixels(224, 224)
    with torch.no_grad():
        assert torch.allclose(
            exported.module.encode_image(pictures), model(pictures), rtol=1e-4, atol=1e-4
        )


def test_torchvision_errors(torchvision, tmp_path):
    with pytest.raises(ExportError, match='has no model "resnet_of_mine"; it has: resnet101'):
        torchvision_models.export("resnet_of_mine", tmp_path / "out.vsm.pt")
    with pytest.raises(ExportError, match=r"absent.pth: no such file"):
        torchvision_models.export("resnet18", tmp_path / "o.pt", weights=tmp_path / "absent.pth")
    (tmp_path / "mine.pth").write_text("")
    with pytest.raises(ExportError, match=r"mine.pth has none of the names of torchvision's files"):
        torchvision_models.export("resnet18", tmp_path / "o.pt", weights=tmp_path / "mine.pth")
