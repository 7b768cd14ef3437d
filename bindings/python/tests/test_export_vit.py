"""The vision transformers of Hugging Face, brought to one network: equal to transformers' models
for every family, pooling and input size.
"""

import os

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from export_support import export, randomised, write_folder  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from vsearch.export import ExportError, hf_vision, package  # noqa: E402

SMALL = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "image_size": 32,
    "patch_size": 8,
}
MLP = {"intermediate_size": 48}
PLAIN = {"add_pooling_layer": False}


def vit(config, **options):
    return transformers.ViTModel(transformers.ViTConfig(**config, **options), **PLAIN)


def deit(config, **options):
    return transformers.DeiTModel(transformers.DeiTConfig(**config, **options), **PLAIN)


def dinov2(config, **options):
    return transformers.Dinov2Model(transformers.Dinov2Config(**config, **options))


def registers(config, **options):
    return transformers.Dinov2WithRegistersModel(
        transformers.Dinov2WithRegistersConfig(**config, **options)
    )


def clip(config, **options):
    return transformers.CLIPVisionModelWithProjection(
        transformers.CLIPVisionConfig(**config, **options)
    )


def siglip(config, **options):
    return transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**config, **options))


def cls(output):
    return output.last_hidden_state[:, 0]


def pooled(output):
    return output.pooler_output


def projected(output):
    return output.image_embeds


# family: (model of that family, its embedding in what transformers' model gives)
families = {
    "vit": (vit({**SMALL, **MLP}, qkv_bias=False), cls),
    "deit": (deit({**SMALL, **MLP}), cls),
    "dinov2": (dinov2(SMALL, mlp_ratio=2), pooled),
    "dinov2_with_registers": (registers(SMALL, mlp_ratio=2), pooled),
    "clip": (clip({**SMALL, **MLP}, projection_dim=16), projected),
    "siglip": (siglip({**SMALL, **MLP}), pooled),
}
prefix_tokens = {"deit": 2, "dinov2_with_registers": 5, "siglip": 0}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("families")
    return {name: write_folder(root / name, model, 32) for name, (model, _) in families.items()}


def pixels(height, width, count=3):
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(5))


def last_tokens(family, output):
    """All tokens after the last norm, which CLIP's model leaves to the caller."""
    tokens = output.last_hidden_state
    if family == "clip":
        tokens = families["clip"][0].vision_model.post_layernorm(tokens)
    return tokens


@pytest.mark.parametrize("family", families)
def test_package_equals_transformers(folders, family, tmp_path):
    model, embedding = families[family]
    exported = export(folders[family], tmp_path / "out.vsm.pt", tokens=True)
    pictures = pixels(32, 32)
    with torch.no_grad():
        output = model(pictures)
        assert torch.allclose(
            exported.module.encode_image(pictures), embedding(output), rtol=1e-4, atol=1e-4
        )
        tokens = exported.module.encode_tokens(pictures)
        expected = last_tokens(family, output)[:, prefix_tokens.get(family, 1) :]
    assert tokens.shape == (3, 16, 24)
    assert torch.allclose(tokens, expected, rtol=1e-4, atol=1e-4)
    assert exported.manifest["outputs"] == {"embedding": embedding(output).shape[1], "tokens": 24}
    assert exported.manifest["architecture"].startswith(family + " patch8 heads3 ")


def test_package_without_tokens_has_no_method_for_them(folders, tmp_path):
    exported = export(folders["vit"], tmp_path / "out.vsm.pt")
    assert exported.manifest["outputs"] == {"embedding": 24}
    assert not hasattr(exported.module, "encode_tokens")


@pytest.mark.parametrize("family", families)
@pytest.mark.parametrize("size", [(48, 48), (40, 64), (16, 64)])
def test_positions_are_interpolated_as_in_transformers(folders, family, size):
    model, embedding = families[family]
    _, network = hf_vision.convert(family, model, size, "")
    pictures = pixels(*size)
    asked = {} if "dinov2" in family else {"interpolate_pos_encoding": True}
    with torch.no_grad():
        expected = embedding(model(pictures, **asked))
        assert torch.allclose(network(pictures), expected, rtol=1e-4, atol=1e-4)


def test_size_moves_resize_and_crop_alike(tmp_path):
    folder = write_folder(
        tmp_path / "model",
        vit({**SMALL, **MLP}),
        32,
        size={"shortest_edge": 40},
        do_center_crop=True,
        crop_size=32,
    )
    exported = export(folder, tmp_path / "out.vsm.pt", size=(48, 64))
    assert exported.manifest["input"]["resize"]["size"] == 80
    assert (exported.manifest["input"]["height"], exported.manifest["input"]["width"]) == (48, 64)
    assert exported.module.encode_image(pixels(48, 64)).shape == (3, 24)


def test_dinov2_takes_the_size_of_its_preprocessing(tmp_path):
    """As published: config.json says 518, preprocessor_config.json 224."""
    model = dinov2({**SMALL, "image_size": 64}, mlp_ratio=2)
    exported = export(write_folder(tmp_path / "model", model, 32), tmp_path / "out.vsm.pt")
    pictures = pixels(32, 32)
    with torch.no_grad():
        expected = model(pictures).pooler_output
        assert torch.allclose(exported.module.encode_image(pictures), expected, atol=1e-4)


def test_rest_of_a_size_that_is_no_multiple_of_the_patch_is_not_looked_at(tmp_path):
    """SigLIP so400m: 384 pixels in patches of 14."""
    model = siglip({**SMALL, **MLP, "image_size": 36})
    exported = export(write_folder(tmp_path / "model", model, 36), tmp_path / "out.vsm.pt")
    pictures = pixels(36, 36)
    with torch.no_grad():
        expected = model(pictures).pooler_output
        assert torch.allclose(exported.module.encode_image(pictures), expected, atol=1e-4)


def test_poolings(folders, tmp_path):
    model = families["dinov2_with_registers"][0]
    pictures = pixels(32, 32)
    with torch.no_grad():
        tokens = model(pictures).last_hidden_state
    patches = tokens[:, 5:]
    expected = {
        "cls": tokens[:, 0],
        "mean": patches.mean(1),
        "cls_mean": torch.cat([tokens[:, 0], patches.mean(1)], 1),
        "gem": patches.clamp(min=1e-6).pow(3).mean(1).pow(1 / 3),
    }
    for pooling, embedding in expected.items():
        exported = export(
            folders["dinov2_with_registers"], tmp_path / "out.vsm.pt", pooling=pooling
        )
        with torch.no_grad():
            ours = exported.module.encode_image(pictures)
        assert torch.allclose(ours, embedding, rtol=1e-4, atol=1e-4), pooling
        assert exported.manifest["dim"] == embedding.shape[1]
        assert exported.manifest["architecture"].endswith(" " + pooling)


def test_pooling_other_than_its_own_leaves_clips_projection_away(folders, tmp_path):
    exported = export(folders["clip"], tmp_path / "out.vsm.pt", pooling="mean")
    assert exported.manifest["dim"] == 24


@pytest.mark.parametrize("family, dim", [("vit", 24), ("clip", 16)])
def test_projection_and_normalise(folders, tmp_path, family, dim):
    weight = torch.randn(7, dim, generator=torch.Generator().manual_seed(2))
    save_file({"weight": weight}, tmp_path / "projection.safetensors")
    exported = export(
        folders[family],
        tmp_path / "out.vsm.pt",
        projection=tmp_path / "projection.safetensors",
        normalise=True,
    )
    assert exported.manifest["dim"] == 7
    assert exported.manifest["architecture"].endswith(" projected normalised")
    model, embedding = families[family]
    pictures = pixels(32, 32)
    with torch.no_grad():
        expected = torch.nn.functional.normalize(embedding(model(pictures)) @ weight.T, dim=1)
        ours = exported.module.encode_image(pictures)
    assert torch.allclose(ours, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", families)
def test_every_weight_can_be_tuned(folders, family, tmp_path):
    module = export(folders[family], tmp_path / "out.vsm.pt").module
    module.encode_image(pixels(32, 32)).square().sum().backward()
    unused = [name for name, weight in module.named_parameters() if weight.grad is None]
    assert unused == []
    assert package.fingerprint(package.read_package(tmp_path / "out.vsm.pt"))


real_sizes = {
    "dinov2": (lambda n: dinov2({**S14, "num_hidden_layers": n}), pooled),
    "dinov2_with_registers": (lambda n: registers({**S14, "num_hidden_layers": n}), pooled),
    "clip": (lambda n: clip({}, num_hidden_layers=n), projected),  # the defaults are ViT-B/32
    "siglip": (lambda n: siglip({}, num_hidden_layers=n), pooled),  # and ViT-B/16
}
S14 = {"hidden_size": 384, "num_attention_heads": 6, "image_size": 518, "patch_size": 14}


@pytest.mark.parametrize("family", real_sizes)
def test_real_sizes(family):
    """In their real width; all twelve layers only with VSEARCH_FULL_TESTS=1."""
    build, embedding = real_sizes[family]
    model = randomised(build(12 if os.environ.get("VSEARCH_FULL_TESTS") == "1" else 2))
    _, network = hf_vision.convert(family, model, (224, 224), "")
    pictures = pixels(224, 224, 2)
    with torch.no_grad():
        expected = embedding(model(pictures))
        assert (package.script(network)(pictures) - expected).abs().max() <= 1e-4


# --- what is refused ------------------------------------------------------------------------------

refused = [
    ("vit", {"size": (30, 32)}, r"--size 30x32: .* patches of 8 pixels; give multiples of 8"),
    ("siglip", {"pooling": "cls"}, "--pooling cls needs a class token, and SigLIP has none"),
    ("siglip", {"pooling": "cls_mean"}, "--pooling cls_mean needs a class token"),
    ("vit", {"pooling": "attention"}, "--pooling attention needs SigLIP's trained head, and vit"),
]


@pytest.mark.parametrize("family, options, message", refused)
def test_options_that_do_not_fit_the_model(folders, tmp_path, family, options, message):
    with pytest.raises(ExportError, match=message):
        export(folders[family], tmp_path / "out.vsm.pt", **options)
    assert not (tmp_path / "out.vsm.pt").exists()


def test_projections_that_do_not_fit(folders, tmp_path):
    def attempt(path):
        export(folders["vit"], tmp_path / "out.vsm.pt", projection=path)

    with pytest.raises(ExportError, match=r"absent.safetensors: no such file"):
        attempt(tmp_path / "absent.safetensors")
    (tmp_path / "text.safetensors").write_text("nothing of the kind")
    with pytest.raises(ExportError, match=r"text.safetensors is not a safetensors file"):
        attempt(tmp_path / "text.safetensors")
    save_file({"weight": torch.zeros(4, 5)}, tmp_path / "narrow.safetensors")
    with pytest.raises(ExportError, match=r"holds weight \[4, 5\]; it must hold weight .*, 24\]"):
        attempt(tmp_path / "narrow.safetensors")


networks = [
    (vit({**SMALL, **MLP}, num_channels=1), "takes 1 channels"),
    (vit({**SMALL, **MLP}, hidden_act="relu"), 'hidden_act "relu" is not supported'),
    (dinov2(SMALL, mlp_ratio=2, use_swiglu_ffn=True), "SwiGLU perceptrons .DINOv2 giant."),
    (siglip({**SMALL, **MLP}, vision_use_head=False), "has no attention head; choose --pooling"),
]


@pytest.mark.parametrize("model, message", networks)
def test_networks_that_are_not_supported(tmp_path, model, message):
    folder = write_folder(tmp_path / "model", model, 32)
    with pytest.raises(ExportError, match=message):
        export(folder, tmp_path / "out.vsm.pt")
