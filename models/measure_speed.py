#!/usr/bin/env python3
"""How fast the default encoder's network runs in TorchScript, as its authors built it and as it is
packed. Pictures a second, fp32.

    .venv/bin/python models/measure_speed.py [--threads 2] [--repeats 9]

The variants take turns, so that a busy machine slows them alike; the median counts.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bindings" / "python"))
from vsearch.export import efficientnet
from vsearch.export.package import script, trace


class Original(nn.Module):
    """As built by its authors: batch norms of their own, channels first."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.network.extract_features(pixels).mean([2, 3])


class Folded(nn.Module):
    """Batch norms folded, still channels first."""

    def __init__(self, backbone: efficientnet.Backbone):
        super().__init__()
        self.backbone = backbone

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.backbone.head(self.backbone.blocks(self.backbone.stem(pixels))).mean([2, 3])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    backbone = efficientnet.load_backbone()
    variants = {
        "original": trace(Original(efficientnet.load_original()), torch.randn(2, 3, 224, 224)),
        "folded": script(Folded(backbone)),
        "folded, channels last (packed)": script(backbone),
    }
    print("| batch | " + " | ".join(variants) + " |\n|---|" + "---|" * len(variants))
    with torch.no_grad():
        for batch in (1, 8, 16):
            pixels = torch.randn(batch, 3, 224, 224)
            passes = max(1, 16 // batch)
            rates: dict[str, list[float]] = {name: [] for name in variants}
            for repeat in range(options.repeats + 2):
                for name, module in variants.items():
                    started = time.perf_counter()
                    for _ in range(passes):
                        module(pixels)
                    if repeat >= 2:  # the first two let TorchScript specialise
                        rates[name].append(passes * batch / (time.perf_counter() - started))
            print(
                f"| {batch} | "
                + " | ".join(f"{statistics.median(rate):.0f}" for rate in rates.values())
                + " |"
            )


if __name__ == "__main__":
    main()
