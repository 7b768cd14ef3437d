"""The networks of the benchmark, in every form that a contender needs, with the same weights."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "bench" / "encoder"
SHARED = ROOT.parent / "shared"
SHAPES = ("deit-ti", "vit-s14", "vit-b16")
CALIBRATION_PICTURES = 64


def hugging_face_folder(shape: str) -> Path:
    """A folder as ``save_pretrained`` writes it: DeiT-Ti with its real weights, the others random
    (speed does not depend on the weights).
    """
    if shape == "deit-ti":
        return SHARED / "models" / "deit-tiny-patch16-224"
    folder = FOLDER / shape
    if (folder / "preprocessor_config.json").exists():
        return folder
    from transformers import Dinov2Config, Dinov2Model, ViTConfig, ViTModel

    torch.manual_seed(0)
    if shape == "vit-s14":
        config = Dinov2Config(hidden_size=384, num_attention_heads=6, image_size=224, patch_size=14)
        model = Dinov2Model(config)
    else:
        model = ViTModel(ViTConfig(), add_pooling_layer=False)
    model.save_pretrained(folder)
    preprocessing = json.loads(
        (hugging_face_folder("deit-ti") / "preprocessor_config.json").read_text()
    )
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return folder


def load(shape: str):
    """The reference: transformers' model; its embedding is ``last_hidden_state[:, 0]``."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(hugging_face_folder(shape), dtype=torch.float32)
    return model.eval()


class ClsToken(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, pixels):
        return self.model(pixel_values=pixels).last_hidden_state[:, 0]


def package(shape: str) -> Path:
    """As ``python -m vsearch.export hf`` makes it, with all fast forms."""
    path = FOLDER / f"{shape}.vsm.pt"
    if not path.exists():
        from vsearch.export.__main__ import main

        arguments = ["hf", str(hugging_face_folder(shape)), "-o", str(path)]
        if main([*arguments, "--precision", "fp32,bf16,int8"]) != 0:
            raise SystemExit(f"the export of {shape} failed")
    return path


def onnx_file(shape: str, kind: str) -> Path:
    """``kind``: "fp32", "fused" (attention fused by ONNX Runtime), "dynamic" (int8, scales found as
    it runs), "qdq" (int8, scales from calibration pictures).
    """
    path = FOLDER / f"{shape}.{kind}.onnx"
    if path.exists():
        return path
    FOLDER.mkdir(parents=True, exist_ok=True)
    {"fp32": _export_onnx, "fused": _fuse, "dynamic": _quantise_dynamic, "qdq": _quantise_static}[
        kind
    ](shape, path)
    return path


def _export_onnx(shape: str, path: Path) -> None:
    model = load(shape)
    model.set_attn_implementation("eager")
    torch.onnx.export(
        ClsToken(model),
        (torch.zeros(2, 3, 224, 224),),
        str(path),
        input_names=["pixels"],
        output_names=["embeddings"],
        dynamic_axes={"pixels": {0: "batch"}, "embeddings": {0: "batch"}},
        opset_version=17,
        dynamo=False,
    )


def _fuse(shape: str, path: Path) -> None:
    from onnxruntime.transformers.optimizer import optimize_model

    config = load(shape).config
    optimised = optimize_model(
        str(onnx_file(shape, "fp32")),
        model_type="vit",
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
        opt_level=0,
    )
    optimised.save_model_to_file(str(path))


def _quantise_dynamic(shape: str, path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        str(onnx_file(shape, "fp32")),
        str(path),
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["MatMul", "Gemm"],
    )


def _quantise_static(shape: str, path: Path) -> None:
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Pictures(CalibrationDataReader):
        def __init__(self):
            pixels = prepared(calibration_pictures())
            self.batches = iter(np.split(pixels, len(pixels) // 8))

        def get_next(self):
            batch = next(self.batches, None)
            return None if batch is None else {"pixels": batch}

    quantize_static(
        str(onnx_file(shape, "fp32")),
        str(path),
        Pictures(),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        # Not the patch embedding: with its convolution quantised, OpenVINO's embeddings are noise
        # (cosine 0.1).
        op_types_to_quantize=["MatMul", "Gemm"],
        extra_options={"MatMulConstBOnly": True},
    )


def openvino_file(shape: str) -> Path:
    """int8 as OpenVINO's own quantiser (NNCF) makes it, with its settings for transformers."""
    path = FOLDER / f"{shape}.nncf.xml"
    if path.exists():
        return path
    import nncf
    import openvino

    pixels = prepared(calibration_pictures())
    quantised = nncf.quantize(
        openvino.Core().read_model(onnx_file(shape, "fp32")),
        nncf.Dataset(list(pixels[:, None])),
        preset=nncf.QuantizationPreset.MIXED,
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(pixels),
    )
    openvino.save_model(quantised, path)
    return path


def pictures(archive: str) -> Path:
    """The unpacked pictures of ``../shared/data/ARCHIVE.tar``."""
    folder = FOLDER / archive
    if not folder.exists():
        with tarfile.open(SHARED / "data" / f"{archive}.tar") as tar:
            tar.extractall(folder, filter="data")
    return folder / archive


def calibration_pictures() -> list[Path]:
    """Real pictures, from the training split of grocery."""
    files = sorted(pictures("grocery").rglob("train/**/*.jpg"))
    return files[:: len(files) // CALIBRATION_PICTURES][:CALIBRATION_PICTURES]


def large_pictures(count: int = 96) -> list[Path]:
    """JPEG files of 1,200 x 900 pixels at quality 90, enlarged from real pictures."""
    folder = FOLDER / "large"
    folder.mkdir(parents=True, exist_ok=True)
    sources = sorted(pictures("grocery").rglob("test/**/*.jpg"))
    files = []
    for i, source in enumerate(sources[:: len(sources) // count][:count]):
        path = folder / f"{i:03}.jpg"
        if not path.exists():
            large = Image.open(source).convert("RGB").resize((1200, 900), Image.BICUBIC)
            large.save(path, quality=90)
        files.append(path)
    return files


def small_pictures(count: int = 512) -> list[Path]:
    """The pictures of grocery as they are, 200 pixels on the short edge."""
    files = sorted(pictures("grocery").rglob("test/**/*.jpg"))
    return files[:: max(1, len(files) // count)][:count]


def prepared(files: list[Path], draft: bool = False) -> np.ndarray:
    """float32 [n, 3, 224, 224], by Pillow and numpy."""
    return np.stack([prepare(path, draft) for path in files])


MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)


def prepare(path: Path, draft: bool) -> np.ndarray:
    """One picture as the reference prepares it: short edge to 256, bicubic, the middle 224."""
    with Image.open(path) as picture:
        if draft:
            picture.draft("RGB", (256, 256))  # Pillow's scaled decoding
        picture = picture.convert("RGB")
        scale = 256 / min(picture.size)
        size = [max(256, int(side * scale)) for side in picture.size]
        left, top = (size[0] - 224) // 2, (size[1] - 224) // 2
        picture = picture.resize(size, Image.BICUBIC).crop((left, top, left + 224, top + 224))
    pixels = np.asarray(picture, dtype=np.float32) / 255
    return np.ascontiguousarray(((pixels - MEAN) / STD).transpose(2, 0, 1))
