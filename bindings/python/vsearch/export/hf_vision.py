"""Hugging Face vision transformers, brought to the one network of ``vit``: the weights are copied
under its names.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn

from . import ExportError
from .vit import Block, Mlp, VisionTransformer, VitConfig

_activations = {
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "quick_gelu": "quick_gelu",
}

# What each family's own recipe takes as the embedding.
default_pooling = {
    "vit": "cls",
    "deit": "cls",
    "dinov2": "cls",
    "dinov2_with_registers": "cls",
    "clip": "cls",
    "siglip": "attention",
}


def convert(
    family: str, model: nn.Module, size: tuple[int, int], pooling: str
) -> tuple[VitConfig, VisionTransformer]:
    """The transformers model ``model`` as a VisionTransformer for pictures of ``size`` (height,
    width), with the projection of CLIP where its own pooling is asked for.
    """
    source = getattr(model, "vision_model", model)  # CLIP and SigLIP: one of two towers
    config = _config(family, source.config, size, pooling or default_pooling[family])
    if family == "siglip" and config.pooling == "attention" and not source.use_head:
        raise ExportError("this SigLIP has no attention head; choose --pooling mean or gem")
    projection = getattr(model, "visual_projection", None) if config.pooling == "cls" else None
    if projection is not None:
        config = replace(config, projection_dim=projection.out_features)
    network = VisionTransformer(config).eval()
    with torch.no_grad():
        if family in ("clip", "siglip"):
            _copy_towers_embeddings(network, source, config)
            layers, norm = source.encoder.layers, source.post_layernorm
        else:
            _copy_embeddings(network, source.embeddings, config, family)
            layers = source.layers if family in ("vit", "deit") else source.encoder.layer
            norm = source.layernorm
        for block, layer in zip(network.blocks, layers):
            copy_block(block, layer)
        copy_weights(network.norm, norm)
        if config.pre_norm:
            copy_weights(network.pre_norm, source.pre_layrnorm)
        if config.pooling == "attention":
            _copy_attention_pooling(network.pooling, source.head)
        if projection is not None:
            network.projection.weight.copy_(projection.weight)
    return config, network


def _config(family: str, source, size: tuple[int, int], pooling: str) -> VitConfig:
    if source.num_channels != 3:
        raise ExportError(
            f"the network takes {source.num_channels} channels; a package always gives it 3"
        )
    if getattr(source, "use_swiglu_ffn", False):
        raise ExportError(
            "the network has SwiGLU perceptrons (DINOv2 giant), which are not supported; "
            "take a smaller model of the family"
        )
    prefix = {"deit": 2, "siglip": 0}.get(family, 1)
    if family == "dinov2_with_registers":
        prefix += source.num_register_tokens
    if pooling in ("cls", "cls_mean") and family == "siglip":
        raise ExportError(
            f"--pooling {pooling} needs a class token, and SigLIP has none; "
            "choose attention, mean or gem"
        )
    if pooling == "attention" and family != "siglip":
        raise ExportError(
            f"--pooling attention needs SigLIP's trained head, and {family} has none; "
            "choose cls, mean, cls_mean or gem"
        )
    height_patch, width_patch = pair(source.patch_size)
    if height_patch != width_patch:
        raise ExportError(f"patches of {width_patch} x {height_patch} pixels are not square")
    hidden = getattr(source, "intermediate_size", None)
    return VitConfig(
        height_px=size[0],
        width_px=size[1],
        patch_px=height_patch,
        dim=source.hidden_size,
        depth=source.num_hidden_layers,
        heads=source.num_attention_heads,
        hidden_dim=hidden or int(source.hidden_size * source.mlp_ratio),
        prefix_tokens=prefix,
        activation=activation(source.hidden_act),
        norm_eps=source.layer_norm_eps,
        pre_norm=family == "clip",
        layer_scale=family.startswith("dinov2"),
        pooling=pooling,
    )


def activation(name: str) -> str:
    if name not in _activations:
        raise ExportError(
            f'hidden_act "{name}" is not supported; supported are {", ".join(_activations)}'
        )
    return _activations[name]


def pair(value) -> tuple[int, int]:
    """(height, width) of a configuration's number or two numbers."""
    return tuple(value) if isinstance(value, (list, tuple)) else (value, value)


def _copy_embeddings(
    network: VisionTransformer, source: nn.Module, config: VitConfig, family: str
) -> None:
    """ViT, DeiT and DINOv2: positions of the class token and its like stand before the patches'."""
    copy_weights(network.patch, source.patch_embeddings.projection)
    prefix = [source.cls_token[0]]
    if family == "deit":
        prefix.append(source.distillation_token[0])
    tokens = torch.cat(prefix)
    positions = source.position_embeddings[0]
    network.prefix[: len(tokens)].copy_(tokens + positions[: len(tokens)])
    if family == "dinov2_with_registers":  # registers have no position
        network.prefix[1:].copy_(source.register_tokens[0])
    grid = source.patch_embeddings
    network.positions.copy_(
        _resample_positions(
            positions[len(tokens) :],
            (grid.image_size[0] // config.patch_px, grid.image_size[1] // config.patch_px),
            (config.height_px // config.patch_px, config.width_px // config.patch_px),
            antialias=family == "dinov2_with_registers",
        )
    )


def _copy_towers_embeddings(
    network: VisionTransformer, source: nn.Module, config: VitConfig
) -> None:
    """The vision towers of CLIP and SigLIP."""
    embeddings = source.embeddings
    copy_weights(network.patch, embeddings.patch_embedding)
    positions = embeddings.position_embedding.weight
    if config.prefix_tokens:
        network.prefix.copy_(embeddings.class_embedding + positions[:1])
    side = embeddings.image_size // config.patch_px
    network.positions.copy_(
        _resample_positions(
            positions[config.prefix_tokens :],
            (side, side),
            (config.height_px // config.patch_px, config.width_px // config.patch_px),
            antialias=False,
        )
    )


def _resample_positions(
    positions: torch.Tensor, before: tuple[int, int], after: tuple[int, int], antialias: bool
) -> torch.Tensor:
    """Positions ``[patches, dim]`` for another grid of (rows, columns), as transformers does it:
    bicubic; antialiased only in DINOv2 with registers.
    """
    if before == after:
        return positions
    planes = positions.t().reshape(1, -1, *before)
    planes = F.interpolate(
        planes, size=after, mode="bicubic", align_corners=False, antialias=antialias
    )
    return planes.flatten(2)[0].t()


def copy_block(block: Block, layer: nn.Module) -> None:
    """One layer of any of the families, image or text."""
    attention = layer.self_attn if hasattr(layer, "self_attn") else layer.attention
    norm1, norm2 = (
        ("layernorm_before", "layernorm_after")
        if hasattr(layer, "layernorm_before")
        else ("norm1", "norm2")
        if hasattr(layer, "norm1")
        else ("layer_norm1", "layer_norm2")
    )
    copy_weights(block.norm1, getattr(layer, norm1))
    copy_weights(block.norm2, getattr(layer, norm2))
    copy_stacked(block.attention.qkv, [attention.q_proj, attention.k_proj, attention.v_proj])
    copy_weights(block.attention.out, getattr(attention, "o_proj", None) or attention.out_proj)
    _copy_mlp(block.mlp, layer.mlp)
    if hasattr(layer, "layer_scale1"):
        block.scale1.scale.copy_(layer.layer_scale1.lambda1)
        block.scale2.scale.copy_(layer.layer_scale2.lambda1)


def _copy_attention_pooling(pooling: nn.Module, head: nn.Module) -> None:
    dim = head.probe.shape[-1]
    pooling.query.copy_(head.probe)
    weight, bias = head.attention.in_proj_weight, head.attention.in_proj_bias
    pooling.q.weight.copy_(weight[:dim])
    pooling.q.bias.copy_(bias[:dim])
    pooling.kv.weight.copy_(weight[dim:])
    pooling.kv.bias.copy_(bias[dim:])
    copy_weights(pooling.out, head.attention.out_proj)
    copy_weights(pooling.norm, head.layernorm)
    _copy_mlp(pooling.mlp, head.mlp)


def _copy_mlp(mlp: Mlp, source: nn.Module) -> None:
    copy_weights(mlp.fc1, source.fc1)
    copy_weights(mlp.fc2, source.fc2)


def copy_weights(target: nn.Module, source: nn.Module) -> None:
    """Of two layers of one kind."""
    copy_stacked(target, [source])


def copy_stacked(target: nn.Module, sources: list[nn.Module]) -> None:
    """Weights and biases of ``sources``, one below the other; a bias that lacks is zero."""
    target.weight.copy_(torch.cat([source.weight for source in sources]))
    biases = [
        source.weight.new_zeros(len(source.weight)) if source.bias is None else source.bias
        for source in sources
    ]
    target.bias.copy_(torch.cat(biases))
