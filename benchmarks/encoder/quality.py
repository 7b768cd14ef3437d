"""What speed costs, and how much of the machine the networks use."""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import protocols
import torch
from common import report
from common.workers import Worker, timed_rate

from encoder import contenders, models

WORKER = "encoder.contenders"
# (patches and prefix tokens, dimension, depth, hidden, patch side)
_SIZES = {
    "deit-ti": (197, 192, 12, 768, 16),
    "vit-s14": (257, 384, 12, 1536, 14),
    "vit-b16": (197, 768, 12, 3072, 16),
}
SETS = ("grocery",) if report.quick() else ("grocery", "caltech101", "fashion")
MAX_LOSS = 0.5  # points of R@1 that int8 may lose


def operations(shape: str) -> float:
    """Floating-point operations of the matrix products for one picture, two for a multiplication
    with its addition; of the last block only what the class token needs.
    """
    tokens, dim, depth, hidden, patch = _SIZES[shape]

    def block(queries: int) -> float:
        linear = queries * (2 * dim * dim + 2 * dim * hidden) + tokens * 2 * dim * dim
        return 2 * (linear + 2 * queries * tokens * dim)

    return (depth - 1) * block(tokens) + block(1) + 2 * (tokens - 1) * 3 * patch**2 * dim


def gemm_peak(precision: str) -> float:
    """Operations a second of large prepacked products, in this process."""
    torch.set_num_threads(contenders.THREADS)
    rows, side = 2048, 2048
    weight = torch.randn(side, side)
    bias = torch.zeros(side)
    if precision == "int8":
        quantised = (weight * 20).round().clamp(-127, 127).to(torch.int8)
        packed = torch.ops.onednn.qlinear_prepack(quantised.t().contiguous(), [rows, side])
        x = torch.randint(0, 255, (rows, side), dtype=torch.uint8)
        scales, zeros = torch.full((side,), 0.05), torch.zeros(side, dtype=torch.int64)

        def product():
            torch.ops.onednn.qlinear_pointwise(
                x, 0.1, 128, packed, scales, zeros, None, 1.0, 0, torch.bfloat16, "none", [], ""
            )
    else:
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
        packed = torch.ops.mkldnn._reorder_linear_weight(weight.to(dtype), rows)
        x, typed_bias = torch.randn(rows, side).to(dtype), bias.to(dtype)

        def product():
            torch.ops.mkldnn._linear_pointwise(x, packed, typed_bias, "none", [], "")

    def work() -> float:
        with torch.inference_mode():
            product()
        return 2.0 * rows * side * side

    return timed_rate(work, 1.0, 5)


def gemm_peaks() -> dict[str, float]:
    return {precision: gemm_peak(precision) for precision in ("fp32", "bf16", "int8")}


def gemm_share(alone: list[dict], peaks: list[dict[str, float]]) -> tuple[list[dict], list[dict]]:
    """How much of the machine's peak the model's own products reach, at the best batch. ``peaks``
    were measured between the models, of which the highest count.
    """
    rows = []
    for precision in peaks[0]:
        peak = max(measured[precision] for measured in peaks)
        for shape in models.SHAPES:
            found = [
                row
                for row in alone
                if row["shape"] == shape and row["contender"] == f"vsearch-{precision}"
            ]
            rate = max(row["pictures_per_s"] for row in found)
            share = rate * operations(shape) / peak
            rows.append(
                {
                    "what": "gemm",
                    "shape": shape,
                    "contender": f"vsearch-{precision}",
                    "peak_gflops": peak / 1e9,
                    "share_of_peak": share,
                }
            )
    print("\nshare of this machine's GEMM peak")
    report.print_table(rows, ["shape", "contender", "peak_gflops", "share_of_peak"])
    best = max(row["share_of_peak"] for row in rows if row["shape"] == "vit-b16")
    return rows, [report.goal("share of the GEMM peak, vit-b16", best, 0.8, "")]


def _embeddings(contender: str, files: list[Path]) -> np.ndarray:
    path = models.FOLDER / "embeddings.npy"
    worker = Worker(WORKER, [contender, "deit-ti"])
    try:
        worker.ask({"embed": [str(file) for file in files], "path": str(path)})
    finally:
        worker.close()
    return np.load(path)


def losses() -> tuple[list[dict], list[dict]]:
    """DeiT-Ti: cosine to the reference (transformers behind Pillow, fp32) and R@1."""
    rows, goals = [], []
    for name in SETS:
        dataset = datasets.load(name)
        keep = np.arange(len(dataset.paths))
        if name == "fashion":
            keep = np.random.default_rng(0).permutation(len(keep))[: protocols.FASHION_QUERIES]
        files = [models.pictures(name) / dataset.paths[i] for i in keep]
        reference = None
        for contender in ("torch-fp32", *contenders.OURS):
            made = _embeddings(contender, files)
            reference = made if reference is None else reference
            cosine = _cosines(made, reference)
            features = np.zeros((len(dataset.paths), made.shape[1]), np.float32)
            features[keep] = made
            title, measured = next(iter(protocols.protocols(name, dataset, features).items()))
            rows.append(
                {
                    "what": "quality",
                    "protocol": title,
                    "contender": contender,
                    "mean_cosine": float(cosine.mean()),
                    "least_cosine": float(cosine.min()),
                    "R@1": measured["R@1"],
                    "mAP": measured["mAP"],
                }
            )
        group = rows[-1 - len(contenders.OURS) :]
        lost = group[0]["R@1"] - group[-1]["R@1"]
        goals.append(
            report.goal(f"{name}: R@1 that int8 loses", lost, MAX_LOSS, "points", at_most=True)
        )
    print("\nwhat precision costs (DeiT-Ti, exact decoding)")
    report.print_table(rows, ["protocol", "contender", "mean_cosine", "least_cosine", "R@1", "mAP"])
    return rows, goals


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
