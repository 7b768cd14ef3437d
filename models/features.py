#!/usr/bin/env python3
"""Computes and caches the raw features (1,280-d) of the default encoder's network for every picture
of a data set.

    .venv/bin/python models/features.py grocery caltech101 fashion fashion-mnist

About 70 pictures a second on one core. What is cached is used again; delete the folder to compute
it afresh.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / "build" / "features"


def features(
    name: str, cache: Path = CACHE, interpolation: str = "bicubic", batch: int = 16
) -> np.ndarray:
    """Raw features of data set ``name``, float32 [pictures, 1280], in the order of
    ``datasets.load(name).paths``.
    """
    path = cache / f"{name}-{interpolation}.npy"
    if path.is_file():
        return np.load(path)

    import datasets
    import torch

    sys.path.insert(0, str(ROOT / "bindings" / "python"))
    from vsearch.export import efficientnet
    from vsearch.export.package import script
    from vsearch.export.preprocess import normalise, prepare_pixels

    backbone = script(efficientnet.load_backbone())
    spec = {
        **efficientnet.SPEC,
        "resize": {**efficientnet.SPEC["resize"], "interpolation": interpolation},
    }
    dataset = datasets.load(name)
    rows, pending, started = [], [], time.monotonic()

    def flush() -> None:
        with torch.no_grad():
            rows.append(backbone(normalise(torch.stack(pending), spec)).numpy())
        pending.clear()

    for number, picture in enumerate(dataset.pictures(), 1):
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
        pending.append(prepare_pixels(pixels, spec))
        if len(pending) == batch or number == len(dataset.paths):
            flush()
        if number % 2000 == 0:
            rate = number / (time.monotonic() - started)
            print(
                f"{name}: {number} of {len(dataset.paths)}, {rate:.0f}/s",
                flush=True,
            )

    result = np.concatenate(rows)
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp.npy")
    np.save(unfinished, result)
    unfinished.replace(path)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names", nargs="+", metavar="DATASET", help="grocery, caltech101, fashion, fashion-mnist"
    )
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"default: {CACHE}")
    parser.add_argument("--interpolation", choices=("bicubic", "bilinear"), default="bicubic")
    parser.add_argument("--threads", type=int, default=0, help="default: torch's own choice")
    options = parser.parse_args()
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    for name in options.names:
        print(f"{name}: {features(name, options.cache, options.interpolation).shape}", flush=True)


if __name__ == "__main__":
    main()
