#!/usr/bin/env python3
"""Measures the default encoder, raw features beside projected ones, by the protocols of
models/README.md.

    .venv/bin/python models/evaluate.py                 all sets
    .venv/bin/python models/evaluate.py grocery         one set

The projected rows are what the packed encoder gives. "held-out half" leaves out every picture that
the projection was fitted on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import datasets
import numpy as np
import protocols
from features import CACHE, features
from fit_projection import OUTPUT, in_fit_half, unit
from safetensors.numpy import load_file

SETS = ("grocery", "caltech101", "fashion", "fashion-mnist")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="DATASET", default=SETS, help=", ".join(SETS))
    parser.add_argument(
        "--cache", type=Path, default=CACHE, help=f"cached features (default: {CACHE})"
    )
    parser.add_argument("--projection", type=Path, default=OUTPUT, help=f"default: {OUTPUT}")
    options = parser.parse_args()
    projection = load_file(options.projection)

    print("| protocol | features | R@1 | R@5 | R@20 | mAP |\n|---|---|---|---|---|---|")
    for name in options.names:
        dataset = datasets.load(name)
        raw = unit(features(name, options.cache)).astype(np.float32)
        projected = raw @ projection["weight"].T + projection["bias"]
        parts = [("", np.ones(len(raw), bool))]
        if name in ("caltech101", "fashion"):
            parts.append((", held-out half", ~in_fit_half(dataset.paths)))
        for suffix, keep in parts:
            part = dataset.only(keep)
            before = protocols.protocols(name, part, raw[keep])
            after = protocols.protocols(name, part, projected[keep])
            for title in before:
                for label, results in (
                    ("raw, 1,280", before[title]),
                    ("projected, 256", after[title]),
                ):
                    cells = [
                        f"{results[key]:.1f}" if key in results else ""
                        for key in ("R@1", "R@5", "R@20", "mAP")
                    ]
                    print(f"| {title}{suffix} | {label} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
