"""Preprocessing read from Hugging Face folders: the pixels of transformers' own processors."""

import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from PIL import Image  # noqa: E402
from vsearch.export import ExportError, preprocess  # noqa: E402
from vsearch.export.hf_preprocess import read_preprocessing, with_size  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("VSEARCH_SHARED", ROOT.parent / "shared")) / "data"

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}

# As published with models of the family, but for what is the processor's default.
processors = {
    "clip": {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": 224},
        "crop_size": {"height": 224, "width": 224},
        "do_center_crop": True,
        "resample": 3,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    },
    "clip of 2022": {
        "feature_extractor_type": "CLIPFeatureExtractor",
        "image_processor_type": "CLIPImageProcessor",
        "size": 224,
        "crop_size": 224,
        "do_center_crop": True,
        "resample": 3,
        **IMAGENET,
    },
    "siglip": {
        "image_processor_type": "SiglipImageProcessor",
        "size": {"height": 224, "width": 224},
        "resample": 3,
        **HALF,
    },
    "dinov2": {
        "image_processor_type": "BitImageProcessor",
        "size": {"shortest_edge": 256},
        "crop_size": {"height": 224, "width": 224},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "resample": 3,
        **IMAGENET,
    },
    "vit": {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": 224, "width": 224},
        "resample": 2,
        **HALF,
    },
    "deit": {
        "image_processor_type": "DeiTImageProcessor",
        "size": 256,
        "crop_size": 224,
        "do_center_crop": True,
        "resample": 3,
        **IMAGENET,
    },
    "convnext": {
        "image_processor_type": "ConvNextImageProcessor",
        "size": {"shortest_edge": 224},
        "crop_pct": 0.875,
        "resample": 3,
        **IMAGENET,
    },
    "convnext, large": {
        "image_processor_type": "ConvNextImageProcessor",
        "size": {"shortest_edge": 384},
        "crop_pct": 1.0,
        "resample": 3,
        **IMAGENET,
    },
    "efficientnet": {
        "image_processor_type": "EfficientNetImageProcessor",
        "size": {"height": 224, "width": 224},
        "do_center_crop": False,
        "include_top": True,
        "rescale_factor": 0.00392156862745098,
        "rescale_offset": False,
        "resample": 3,
        **IMAGENET,
    },
    "efficientnet with offset": {
        "image_processor_type": "EfficientNetImageProcessor",
        "size": {"height": 200, "width": 240},
        "do_center_crop": True,
        "crop_size": {"height": 196, "width": 224},
        "include_top": False,
        "rescale_factor": 1 / 127.5,
        "rescale_offset": True,
        "resample": 2,
        **HALF,
    },
}


def pictures():
    """Real ones where they are, of all shapes; else made up."""
    archive = DATA / "grocery.tar"
    if archive.is_file():
        with tarfile.open(archive) as tar:
            names = sorted(name for name in tar.getnames() if name.endswith(".jpg"))
            for name in names[:: len(names) // 12][:12]:
                yield Image.open(io.BytesIO(tar.extractfile(name).read())).convert("RGB")
    for height, width in ((300, 501), (640, 333)):
        pixels = preprocess.golden_picture(width, height, 3)
        yield Image.fromarray(pixels.permute(1, 2, 0).numpy())


def folder_with(tmp_path, config, model_type="vit"):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    return tmp_path


@pytest.mark.parametrize("name", processors)
def test_pixels_equal_transformers(tmp_path, name):
    """To within 1 of 255, but for 1 in 10,000 values: Pillow chooses by the shapes which axis it
    resizes first, torch always the horizontal one, and between the two values are clipped.
    """
    folder = folder_with(tmp_path, processors[name])
    spec = read_preprocessing(folder)
    reference = getattr(transformers, processors[name]["image_processor_type"] + "Pil")
    processor = reference.from_pretrained(folder)
    differences = []
    grey_level = 1 / 255 / torch.tensor(spec["std"]).view(3, 1, 1)
    for picture in pictures():
        expected = torch.as_tensor(np.array(processor(picture)["pixel_values"][0]))
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
        ours = preprocess.preprocess(pixels, spec)
        assert ours.shape == expected.shape
        differences.append(((ours - expected).abs() / grey_level).flatten())
    difference = torch.cat(differences)
    assert (difference > 1.01).float().mean() < 1e-4
    assert difference.mean() < 0.5


def test_a_processor_that_is_not_named_is_that_of_the_model(tmp_path):
    config = {"do_resize": True, "size": 224, "resample": 3, "do_center_crop": True}
    config |= {"crop_size": 224, **HALF}
    for model_type, edge in (("clip", "shortest"), ("dinov2", "shortest"), ("vit", "stretch")):
        spec = read_preprocessing(folder_with(tmp_path, config, model_type))
        assert spec["resize"]["edge"] == edge


def test_what_a_processor_says_of_pictures_goes_first(tmp_path):
    folder = folder_with(tmp_path, processors["vit"])
    nested = {**processors["vit"], "image_mean": [0.1, 0.2, 0.3]}
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": nested}))
    assert read_preprocessing(folder)["mean"] == pytest.approx([0.1, 0.2, 0.3])
    (folder / "preprocessor_config.json").unlink()
    assert read_preprocessing(folder)["mean"] == pytest.approx([0.1, 0.2, 0.3])
    (folder / "processor_config.json").write_text(json.dumps({"tokenizer": {}}))
    with pytest.raises(ExportError, match="has no preprocessor_config"):
        read_preprocessing(folder)


def test_interpolation_can_be_overruled(tmp_path):
    """As published for EfficientNet: nearest, which a package does not have."""
    folder = folder_with(tmp_path, {**processors["efficientnet"], "resample": 0})
    with pytest.raises(ExportError, match=r"resample 0 is not supported; .* --interpolation takes"):
        read_preprocessing(folder)
    spec = read_preprocessing(folder, "bilinear")
    assert spec["resize"]["interpolation"] == "bilinear"


def test_scale_that_is_not_one_in_255(tmp_path):
    folder = folder_with(tmp_path, {**processors["vit"], "do_rescale": False})
    spec = read_preprocessing(folder)
    assert spec["mean"] == pytest.approx([0.5 / 255] * 3, abs=1e-8)
    assert spec["std"] == pytest.approx([0.5 / 255] * 3, abs=1e-8)


def test_crop_pct_beside_a_crop_is_refused(tmp_path):
    folder = folder_with(tmp_path, {**processors["convnext"], "do_center_crop": True})
    with pytest.raises(ExportError, match="crop_pct and do_center_crop together"):
        read_preprocessing(folder)


@pytest.mark.parametrize(
    "name, size, resize",
    [
        ("dinov2", (448, 448), 512),
        ("dinov2", (112, 336), 384),
        ("clip", (336, 336), 336),
        ("siglip", (256, 384), [256, 384]),
        ("efficientnet with offset", (98, 112), [100, 120]),
    ],
)
def test_other_sizes_keep_the_proportion_of_resize_and_crop(tmp_path, name, size, resize):
    spec = with_size(read_preprocessing(folder_with(tmp_path, processors[name])), *size)
    assert (spec["height"], spec["width"]) == size
    assert spec["resize"]["size"] == resize
