"""Classifiers of torchvision, where that is installed: traced up to what their last layer sees."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from . import ExportError, encoder
from .head import finish, traced_parts
from .hf_preprocess import with_size
from .package import Package, input_spec

_heads = ("fc", "classifier", "heads", "head")  # what its models call their last layers


def export(
    model: str,
    output: str | Path,
    *,
    name: str = "",
    licence: str = "",
    source: str = "",
    size: tuple[int, int] | None = None,
    weights: str | Path | None = None,
    projection: str | Path | None = None,
    normalise: bool = False,
) -> Package:
    """Writes the package of torchvision's ``model``. ``weights`` is one of torchvision's own files
    (default: it is fetched); the other options are those of ``hf.export``.
    """
    try:
        import torchvision
    except (ImportError, RuntimeError) as error:  # RuntimeError: built for another torch
        raise ExportError(
            "torchvision is not installed, or for another torch; run: pip install torchvision"
        ) from error
    available = torchvision.models.list_models(module=torchvision.models)
    if model not in available:
        close = ", ".join(other for other in available if other[:4] == model[:4]) or "resnet50"
        raise ExportError(
            f'torchvision {torchvision.__version__} has no model "{model}"; it has: {close}'
        )
    preset = _preset(torchvision.models.get_model_weights(model), weights)
    try:
        if weights is None:
            network = torchvision.models.get_model(model, weights=preset)
        else:
            network = torchvision.models.get_model(model, weights=None, **_shape(model, preset))
            if hasattr(network, "transform_input"):
                network.transform_input = True  # as with all weights that torchvision has of it
            state = torch.load(weights, map_location="cpu", weights_only=True)
            network.load_state_dict(state)
    except Exception as error:  # of HTTP, of pickle, of torch: no common class
        raise ExportError(
            f"torchvision's {model}: the weights cannot be loaded: {str(error).splitlines()[0]}; "
            f"check the network, or fetch {preset.url} and give the file with --weights"
        ) from error
    _cut_classifier(model, network)
    spec = _spec(preset.transforms())
    if size:
        spec = with_size(spec, *size)
    parts = traced_parts(network, f"torchvision {model}", spec)
    return encoder.write(
        output,
        finish(parts, projection, normalise),
        spec,
        name=name or model,
        licence=licence,
        source=source or f"torchvision {torchvision.__version__}, {model}, {preset.name}",
    )


def _preset(presets, weights: str | Path | None):
    """The weights as torchvision describes them: which preprocessing they need depends on it."""
    if weights is None:
        return presets.DEFAULT
    path = Path(weights)
    if not path.is_file():
        raise ExportError(f"{path}: no such file; --weights takes one of torchvision's files")
    names = [preset.url.rsplit("/", 1)[1] for preset in presets]
    if path.name not in names:
        raise ExportError(
            f"{path} has none of the names of torchvision's files ({', '.join(names)}), so its "
            "preprocessing is not known; for weights of your own trace the network and use "
            "`module`, which takes the preprocessing as options"
        )
    return list(presets)[names.index(path.name)]


def _shape(model: str, preset) -> dict:
    """What a transformer must be told to fit its weights, which torchvision does where it fetches
    them."""
    side = (preset.meta.get("min_size") or (0,))[0]
    return {"image_size": side} if model.startswith("vit_") and side else {}


def _cut_classifier(model: str, network: nn.Module) -> None:
    for name in _heads:
        head = getattr(network, name, None)
        if isinstance(head, nn.Linear):
            setattr(network, name, nn.Identity())
            return
        if isinstance(head, nn.Sequential) and isinstance(head[-1], nn.Linear):
            head[-1] = nn.Identity()
            return
    raise ExportError(
        f"torchvision's {model} does not end in a linear layer; trace it, use `module`"
    )


def _spec(transforms) -> dict:
    interpolation = transforms.interpolation.value
    if interpolation not in ("bilinear", "bicubic"):
        raise ExportError(f"a resize with {interpolation}; a package has bilinear and bicubic")
    side = transforms.crop_size[0]
    return input_spec(
        width=side,
        height=side,
        resize={
            "edge": "shortest",
            "size": transforms.resize_size[0],
            "interpolation": interpolation,
        },
        crop="center",
        mean=list(transforms.mean),
        std=list(transforms.std),
    )
