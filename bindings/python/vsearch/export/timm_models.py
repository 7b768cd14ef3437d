"""Models of timm (pytorch-image-models), where that is installed.

Its plain vision transformers are brought to ours, so that they get fast forms; all others are
traced as they are, up to what timm gives without a classifier.
"""

from __future__ import annotations

import inspect
import math
from pathlib import Path

import torch
from torch import nn

from . import ExportError, encoder, hub
from .head import finish, traced_parts
from .hf_preprocess import with_size
from .hf_vision import copy_stacked, copy_weights
from .package import Package, input_spec
from .vit import VisionTransformer, VitConfig, architecture


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
    precisions: tuple[str, ...] | None = None,
    calibration: str | Path | None = None,
) -> Package:
    """Writes the package of timm's ``model``. ``weights`` is a file of them (default: timm fetches
    its own); the other options are those of ``hf.export``.
    """
    try:
        import timm
    except ImportError as error:
        raise ExportError("timm is not installed; run: pip install timm") from error
    if not timm.is_model(model):
        close = ", ".join(timm.list_models(f"*{model.split('_')[0]}*")[:5]) or "timm.list_models()"
        raise ExportError(f'timm {timm.__version__} has no model "{model}"; see {close}')
    if weights is not None and not Path(weights).is_file():
        raise ExportError(f"{weights}: no such file; --weights takes a file of the model's weights")
    try:
        origin = timm.get_pretrained_cfg(model)
        if weights is None and origin is not None and origin.hf_hub_id:
            hub.download(origin.hf_hub_id, ["model.safetensors"])
        network = timm.create_model(model, pretrained=weights is None)
        if weights is not None:
            _load_weights(timm.models.load_checkpoint, network, weights)
    except ExportError:
        raise
    except Exception as error:  # of timm, the hub, HTTP or torch: no common class
        raise ExportError(
            f"timm's {model}: the weights cannot be loaded: {str(error).splitlines()[0]}; "
            "check the network, or give a file with --weights"
        ) from error
    network.reset_classifier(0)
    settings = timm.data.resolve_model_data_config(network)
    spec = _spec(model, settings)
    if size:
        spec = with_size(spec, *size)
    elif spec["height"] != spec["width"]:
        raise ExportError(
            f"timm's {model} takes {spec['width']} x {spec['height']} pixels; give a square --size"
        )
    if size and hasattr(network, "set_input_size"):
        network.set_input_size(img_size=size)
    parts = _as_vit(network.eval(), model, spec) or traced_parts(network, f"timm {model}", spec)
    return encoder.write(
        output,
        finish(parts, projection, normalise),
        spec,
        name=name or model,
        licence=licence or network.pretrained_cfg.get("license") or "",
        source=source or f"timm {timm.__version__}, {model}",
        precisions=precisions,
        calibration=calibration,
    )


def _load_weights(load_checkpoint, network: nn.Module, weights: str | Path) -> None:
    """Some versions of timm would run what a pickle says, unless they are told not to."""
    known = inspect.signature(load_checkpoint).parameters
    safely = {"weights_only": True} if "weights_only" in known else {}
    load_checkpoint(network, str(weights), **safely)


def _spec(model: str, settings: dict) -> dict:
    """The manifest's ``input``, as timm's own evaluation prepares pictures."""
    _, height, width = settings["input_size"]
    mode, interpolation = settings["crop_mode"], settings["interpolation"]
    if interpolation not in ("bilinear", "bicubic") or mode not in ("center", "squash"):
        raise ExportError(
            f"timm's {model} resizes with {interpolation} and crops with {mode}; "
            "a package has bilinear and bicubic, center and squash"
        )
    edge = math.floor(height / settings["crop_pct"])
    resize = {"edge": "shortest", "size": edge, "interpolation": interpolation}
    if mode == "squash":
        resize = {**resize, "edge": "stretch", "size": [edge, edge]}
    return input_spec(
        width=width,
        height=height,
        resize=resize,
        crop="center",
        mean=list(settings["mean"]),
        std=list(settings["std"]),
    )


def _as_vit(model: nn.Module, name: str, spec: dict) -> encoder.Parts | None:
    """``model`` as our VisionTransformer, or None where it is something else."""
    from timm.models.vision_transformer import VisionTransformer as TimmTransformer

    pooling = {"token": "cls", "avg": "mean"}.get(getattr(model, "global_pool", ""))
    if type(model) is not TimmTransformer or pooling is None or model.pos_embed is None:
        return None
    block, norm = model.blocks[0], model.norm
    if not isinstance(norm, nn.LayerNorm) or not hasattr(block.attn, "qkv"):
        return None
    patch = model.patch_embed.proj.kernel_size[0]
    act = block.mlp.act
    config = VitConfig(
        height_px=spec["height"],
        width_px=spec["width"],
        patch_px=patch,
        dim=model.embed_dim,
        depth=len(model.blocks),
        heads=block.attn.num_heads,
        hidden_dim=block.mlp.fc1.out_features,
        prefix_tokens=model.num_prefix_tokens,
        activation="quick_gelu"
        if "quick" in type(act).__name__.lower()
        else "gelu_tanh"
        if getattr(act, "approximate", "none") == "tanh"
        else "gelu",
        norm_eps=norm.eps,
        pre_norm=isinstance(model.norm_pre, nn.LayerNorm),
        layer_scale=hasattr(block.ls1, "gamma"),
        pooling=pooling,
    )
    ours = VisionTransformer(config).eval()
    example = torch.randn(2, 3, spec["height"], spec["width"])
    try:
        with torch.no_grad():
            _copy(ours, model)
            # Whatever else timm's many options do, they would show here.
            same = torch.allclose(ours(example), model(example), rtol=1e-3, atol=1e-4)
    except (AttributeError, RuntimeError, TypeError):
        return None
    if not same:
        return None
    return encoder.Parts(
        ours,
        dim=config.embedding_dim,
        architecture=architecture(f"timm {name}", config),
        token_dim=config.dim,
        vit=config,
    )


def _copy(ours: VisionTransformer, model: nn.Module) -> None:
    copy_weights(ours.patch, model.patch_embed.proj)
    tokens = [token[0] for token in (model.cls_token, model.reg_token) if token is not None]
    positions = model.pos_embed[0]
    if tokens:
        ours.prefix.copy_(torch.cat(tokens))
        if not model.no_embed_class:
            ours.prefix.add_(positions[: len(ours.prefix)])
            positions = positions[len(ours.prefix) :]
    ours.positions.copy_(positions)
    if isinstance(model.norm_pre, nn.LayerNorm):
        copy_weights(ours.pre_norm, model.norm_pre)
    for target, block in zip(ours.blocks, model.blocks):
        copy_weights(target.norm1, block.norm1)
        copy_stacked(target.attention.qkv, [block.attn.qkv])
        copy_weights(target.attention.out, block.attn.proj)
        copy_weights(target.norm2, block.norm2)
        copy_weights(target.mlp.fc1, block.mlp.fc1)
        copy_weights(target.mlp.fc2, block.mlp.fc2)
        if hasattr(block.ls1, "gamma"):
            target.scale1.scale.copy_(block.ls1.gamma)
            target.scale2.scale.copy_(block.ls2.gamma)
    copy_weights(ours.norm, model.norm)
