#!/usr/bin/env python3
"""Fits what of the default encoder's projection no label has shaped, 1,280 to 256 dimensions, of
which the first 128 are taken (tune_default.py): PCA with partial whitening.
Deterministic; seconds once the features are cached (models/features.py).

    .venv/bin/python models/fit_projection.py              writes the committed .safetensors
    .venv/bin/python models/fit_projection.py --validate   prints how the exponent was chosen

A feature vector x becomes y = W (x / |x| - m). m and the covariance C are means over the data sets,
each with the same weight. With C = V diag(e) V', the rows of W are v_i e_i^(-a/2) for the 256
largest e_i: a = 0 is PCA, a = 1 whitening. Half-way (0.5) was best on validation: whitening evens
out what a few strong directions, such as the background, would otherwise decide, but all the way it
raises directions that are mostly noise. (Jegou and Chum, "Negative evidences and co-occurences in
image retrieval: the benefit of PCA and whitening", ECCV 2012.)

No test picture is touched: of grocery only train and val, of caltech101 and fashion the half whose
path has an even SHA-256. No label is used.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import datasets
import numpy as np
import protocols
from features import CACHE, features

OUTPUT = Path(__file__).resolve().parent / "efficientnet-lite0-pca.safetensors"
SETS = ("grocery", "caltech101", "fashion")
DIM = 256
EXPONENT = 0.5


def in_fit_half(paths: list[str]) -> np.ndarray:
    """Which pictures of a set without splits may be learned from: a fixed half, by path alone."""
    return np.array([hashlib.sha256(path.encode()).digest()[-1] % 2 == 0 for path in paths])


def fit_mask(dataset: datasets.Dataset) -> np.ndarray:
    if (dataset.split == "train").any():
        return (dataset.split == "train") | (dataset.split == "val")
    return in_fit_half(dataset.paths)


def validation_mask(dataset: datasets.Dataset) -> np.ndarray:
    """The part of fit_mask that --validate measures on and does not fit on: grocery's val, a
    quarter of the others' fit half.
    """
    if (dataset.split == "val").any():
        return dataset.split == "val"
    quarter = np.array([hashlib.sha256(path.encode()).digest()[0] < 64 for path in dataset.paths])
    return fit_mask(dataset) & quarter


def unit(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def fit(samples: list[np.ndarray], exponent: float) -> tuple[np.ndarray, np.ndarray]:
    """(W [256, 1280], m [1280]) from the unit-length features of each set."""
    mean = np.mean([x.mean(axis=0) for x in samples], axis=0)
    covariance = np.mean([(x - mean).T @ (x - mean) / len(x) for x in samples], axis=0)
    values, vectors = np.linalg.eigh(covariance)
    largest = values.argsort()[::-1][:DIM]
    values, vectors = values[largest], vectors[:, largest]
    # An eigenvector's sign is arbitrary: its largest component is made positive.
    vectors *= np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(DIM)])
    return (vectors * values ** (-exponent / 2)).T, mean


def validate(sets: dict[str, datasets.Dataset], units: dict[str, np.ndarray]) -> None:
    print(
        "exponent | grocery val against train | caltech101 | fashion articleType "
        "| fashion type and colour: R@1 / mAP"
    )
    fitted_on = [units[name][fit_mask(sets[name]) & ~validation_mask(sets[name])] for name in SETS]
    _print_validation("raw", sets, units)
    for exponent in (0.0, 0.25, 0.5, 0.75, 1.0):
        weight, mean = fit(fitted_on, exponent)
        projected = {name: (units[name] - mean) @ weight.T for name in SETS}
        _print_validation(str(exponent), sets, projected)


def _print_validation(
    title: str, sets: dict[str, datasets.Dataset], embeddings: dict[str, np.ndarray]
) -> None:
    columns = [title]
    for name in SETS:
        keep = validation_mask(sets[name])
        if name == "grocery":
            keep |= sets[name].split != "test"  # who answers
        part = sets[name].only(keep)
        results = protocols.protocols(name, part, embeddings[name][keep], query_split="val")
        for protocol, result in results.items():
            if not protocol.endswith("iconic"):
                columns.append(f"{result['R@1']:.1f} / {result['mAP']:.1f}")
    print(" | ".join(columns), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--cache", type=Path, default=CACHE, help=f"cached features (default: {CACHE})"
    )
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT, help=f"default: {OUTPUT}")
    parser.add_argument(
        "--validate",
        action="store_true",
        help="compare exponents on the validation part; write nothing",
    )
    options = parser.parse_args()

    sets = {name: datasets.load(name) for name in SETS}
    units = {name: unit(features(name, options.cache)) for name in SETS}
    if options.validate:
        validate(sets, units)
        return

    from safetensors.numpy import save_file

    weight, mean = fit([units[name][fit_mask(sets[name])] for name in SETS], EXPONENT)
    tensors = {"weight": weight.astype(np.float32), "bias": (-weight @ mean).astype(np.float32)}
    save_file(
        {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, options.output
    )
    options.output.chmod(0o644)
    counts = ", ".join(f"{fit_mask(sets[name]).sum()} of {name}" for name in SETS)
    print(f"wrote {options.output}: fitted on {counts}")


if __name__ == "__main__":
    main()
