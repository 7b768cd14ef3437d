"""Packages from Hugging Face models: a folder with config.json, weights, preprocessor_config.json,
or a name, which is fetched.

This file goes from the folder to the package. ``hf_vision`` brings the vision transformers to one
network, ``hf_text`` the text towers; ``hf_convolution`` traces convolutional networks;
``hf_preprocess`` reads the preprocessing.
"""

from __future__ import annotations

from pathlib import Path

import torch

from . import ExportError, encoder, hf_convolution, hf_text, hf_vision, hub
from .head import read_projection, rebuilt
from .hf_preprocess import read_json, read_preprocessing, with_size
from .package import Package
from .vit import VisionTransformer, VitConfig, architecture

# A Hugging Face model_type: its family, and the class of transformers that loads it.
_models = {
    "vit": ("vit", "ViTModel"),
    "deit": ("deit", "DeiTModel"),
    "dinov2": ("dinov2", "Dinov2Model"),
    "dinov2_with_registers": ("dinov2_with_registers", "Dinov2WithRegistersModel"),
    "clip": ("clip", "CLIPModel"),
    "clip_vision_model": ("clip", "CLIPVisionModelWithProjection"),
    "siglip": ("siglip", "SiglipModel"),
    "siglip_vision_model": ("siglip", "SiglipVisionModel"),
    "efficientnet": ("efficientnet", "EfficientNetModel"),
    "convnext": ("convnext", "ConvNextModel"),
    "convnextv2": ("convnextv2", "ConvNextV2Model"),
}

# Families that interpolate their positions unasked, so that config.json's size binds nobody.
_any_size = ("dinov2", "dinov2_with_registers")


def export(
    model: str | Path,
    output: str | Path,
    *,
    name: str = "",
    licence: str = "",
    source: str = "",
    size: tuple[int, int] | None = None,
    interpolation: str = "",
    pooling: str = "",
    projection: str | Path | None = None,
    normalise: bool = False,
    tokens: bool = False,
    text: bool = True,
    precisions: tuple[str, ...] | None = None,
    calibration: str | Path | None = None,
) -> Package:
    """Writes the package of the Hugging Face model ``model``, a folder or a name, to ``output``.

    ``name`` defaults to the folder's name. ``size`` (height, width) is another input size than the
    folder's, ``interpolation`` another one for the resize of pictures. ``pooling`` is one of
    VitConfig's (default: the family's own), ``projection`` a safetensors file with a ``weight``
    [dimensions, pooled dimensions], ``tokens`` adds ``encode_tokens``. ``text`` is off to leave the
    text tower of CLIP and SigLIP away. ``precisions`` and ``calibration`` are those of
    ``encoder.write``.
    """
    folder, known_name, known_source = _find(str(model))
    model_type = read_json(folder, "config.json").get("model_type")
    if model_type not in _models:
        raise ExportError(
            f'{folder / "config.json"}: model_type "{model_type}" is not supported; supported are: '
            + ", ".join(sorted(_models))
        )
    family, model_class = _models[model_type]
    spec = read_preprocessing(folder, interpolation)
    if size:
        spec = with_size(spec, *size)
    loaded = load_model(model_class, folder)
    try:
        if family in hf_convolution.families:
            parts = hf_convolution.convert(family, loaded, spec, pooling, projection, normalise)
        else:
            config, network = _vision(family, loaded, spec, pooling, given_size=size is not None)
            tower = _text(family, loaded, folder, config.pooling) if text else None
            parts = _finish(family, config, network, tower, projection, normalise)
    except ExportError as error:
        raise ExportError(f"{folder}: {error}") from error
    return encoder.write(
        output,
        parts,
        spec,
        name=name or known_name,
        licence=licence,
        source=source or known_source,
        tokens=tokens,
        precisions=precisions,
        calibration=calibration,
    )


def _find(model: str) -> tuple[Path, str, str]:
    """The folder of ``model``, and a package's name and source for it."""
    folder = Path(model)
    if folder.is_dir():
        name = folder.resolve().name
        return folder, name, f"Hugging Face model folder {name}"
    if not hub.is_name(model):
        raise ExportError(
            f"{model}: no such folder; give the folder that holds config.json and the weights, "
            "or the model's name on Hugging Face"
        )
    folder = hub.fetch(model)
    return folder, model.split("/")[1], f"Hugging Face, {model}, commit {folder.name}"


def load_model(model_class: str, folder: Path) -> torch.nn.Module:
    """A model of transformers, whole, in float32 and ready to compute."""
    import transformers
    from safetensors import SafetensorError

    # The pooler of these is no part of their embedding, and many files do not hold it.
    without_pooler = ("ViTModel", "DeiTModel", "BertModel")
    options = {"add_pooling_layer": False} if model_class in without_pooler else {}
    try:
        model, report = getattr(transformers, model_class).from_pretrained(
            folder,
            local_files_only=True,
            dtype=torch.float32,
            output_loading_info=True,
            **options,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ExportError(f"{folder}: the weights cannot be loaded: {error}") from error
    if report["missing_keys"] or report["mismatched_keys"]:
        lacking = sorted(str(key) for key in [*report["missing_keys"], *report["mismatched_keys"]])
        raise ExportError(
            f"{folder}: the weights lack {len(lacking)} tensors of the network, "
            f"among them {lacking[0]}"
        )
    return model.eval()


def _vision(
    family: str, model: torch.nn.Module, spec: dict, pooling: str, given_size: bool
) -> tuple[VitConfig, VisionTransformer]:
    size = (spec["height"], spec["width"])
    config = getattr(model, "vision_model", model).config
    expected = hf_vision.pair(config.image_size)
    if size != expected and not given_size and family not in _any_size:
        raise ExportError(
            f"preprocessor_config.json gives pictures of {size[1]} x {size[0]} pixels, "
            f"but config.json says the network takes {expected[1]} x {expected[0]}; "
            "make the two agree, or choose with --size"
        )
    patch = hf_vision.pair(config.patch_size)[0]
    if given_size and (size[0] % patch or size[1] % patch):
        raise ExportError(
            f"--size {size[0]}x{size[1]}: the network looks at patches of {patch} pixels; "
            f"give multiples of {patch}"
        )
    return hf_vision.convert(family, model, size, pooling)


def _text(family: str, model: torch.nn.Module, folder: Path, pooling: str):
    """The text tower as (TextConfig, TextTransformer), or None where the model has none."""
    if not hasattr(model, "text_model"):
        return None
    if pooling != hf_vision.default_pooling[family]:
        raise ExportError(
            f"--pooling {pooling} leaves the space that the text tower shares with the pictures; "
            "give --no-text with it"
        )
    return hf_text.convert(family, model, folder)


def _finish(
    family: str,
    config: VitConfig,
    network: VisionTransformer,
    tower: tuple | None,
    projection: str | Path | None,
    normalise: bool,
) -> encoder.Parts:
    """With the linear map of ``projection`` and length 1 behind the outputs of both towers."""
    weight = read_projection(projection, config.embedding_dim) if projection else None
    if weight is not None or normalise:
        config, network = rebuilt(config, network, weight, normalise)
        tower = tower and (tower[0], hf_text.rebuilt(*tower, weight, normalise))
    return encoder.Parts(
        network,
        dim=config.embedding_dim,
        architecture=architecture(family, config),
        token_dim=config.dim,
        text=tower and tower[1],
        vit=config,
    )
