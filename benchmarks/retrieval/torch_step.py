"""The peer of the part "speed": the same training step in PyTorch, of the same package, in a
process of its own that is asked by turns.

    python -m retrieval.torch_step written|optimised PACKAGE FOLDER

``written``: the graph as it stands in the package; ``optimised``: as torch.jit optimises it.
A step is: forward under autocast to bfloat16 where ``vsx train`` takes that, ArcFace in float32,
backward, gradients clipped to 1, AdamW. Pictures are prepared before.
"""

from __future__ import annotations

import math
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from common import report
from common.workers import serve
from encoder.models import prepare

BATCH = 48
MARGIN, SCALE = 0.3, 24.0
WARM_STEPS = 4  # torch.jit optimises in the first ones


def arcface(embeddings: torch.Tensor, vectors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """As src/train/losses.h defines it."""
    unit = torch.nn.functional.normalize(embeddings.float())
    cosines = unit @ torch.nn.functional.normalize(vectors).t()
    own = cosines.gather(1, labels.unsqueeze(1))
    sine = (1 - own.square()).clamp_min(1e-12).sqrt()
    harder = torch.where(
        own > math.cos(math.pi - MARGIN),
        own * math.cos(MARGIN) - sine * math.sin(MARGIN),
        own - MARGIN * math.sin(MARGIN),
    )
    logits = SCALE * cosines.scatter(1, labels.unsqueeze(1), harder)
    return torch.nn.functional.cross_entropy(logits, labels)


class Steps:
    def __init__(self, package: Path, folder: Path, optimised: bool):
        torch.set_num_threads(os.cpu_count() or 1)
        torch.manual_seed(0)
        self.optimised = optimised
        self.half = "avx512_bf16" in report.machine().get("features", [])
        self.module = torch.jit.load(str(package)).eval()
        files = sorted(folder.glob("*/*.jpg"))
        names = sorted({file.parent.name for file in files})
        self.pixels = torch.from_numpy(np.stack([prepare(file, False) for file in files]))
        self.labels = torch.tensor([names.index(file.parent.name) for file in files])
        parameters = [p for p in self.module.parameters() if p.is_floating_point()]
        for parameter in parameters:
            parameter.requires_grad_(True)
        with torch.no_grad():
            dim = self.module.encode_image(self.pixels[:1]).shape[1]
        self.vectors = torch.randn(len(names), dim).div_(dim**0.5).requires_grad_(True)
        self.parameters = parameters
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in parameters if p.dim() > 1], "weight_decay": 0.05},
                {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
                {"params": [self.vectors], "lr": 1e-2, "weight_decay": 0.05},
            ],
            lr=6e-5,
            fused=True,
        )

    def step(self) -> None:
        rows = torch.randperm(len(self.pixels))[:BATCH]
        pixels, labels = self.pixels[rows], self.labels[rows]
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            embeddings = self.module.encode_image(pixels)
        loss = arcface(embeddings, self.vectors, labels)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        if math.isfinite(loss.item()):
            self.optimizer.step()

    def answer(self, request: dict) -> dict:
        steps = WARM_STEPS if request.get("warm") else request["steps"]
        with torch.jit.optimized_execution(self.optimised):
            began = time.perf_counter()
            for _ in range(steps):
                self.step()
            return {"rate": BATCH * steps / (time.perf_counter() - began)}


def main(arguments: list[str]) -> None:
    how, package, folder = arguments
    steps = Steps(Path(package), Path(folder), how == "optimised")
    serve({"threads": torch.get_num_threads(), "bf16": steps.half}, steps.answer)


if __name__ == "__main__":
    main(sys.argv[1:])
