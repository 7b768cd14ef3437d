#!/usr/bin/env python3
"""Tunes the default encoder: `vsearch.train` teaches the last blocks of the network, whose weights
are then mixed with those they started from, and a PCA of what it sees after that makes 384
dimensions of 1,280. A quarter of an hour on two cores; networks are kept in build/tuning.

    .venv/bin/python models/tune_default.py             writes the committed .safetensors
    .venv/bin/python models/tune_default.py --measure   and measures it beside its raw start
    .venv/bin/python models/tune_default.py --transfer  learns from two sets, measures on the third
    .venv/bin/python models/tune_default.py --choose    the same with other mixtures and exponents,
                                                        on pictures that are for choosing

A picture's class is that of its set: the fine class of groceries, the category of Caltech 101,
article type and colour of fashion. Never learned from are grocery's test pictures and pack shots,
and of the other sets the fifth whose path has a SHA-256 that 5 divides; what is for choosing is
grocery's val and a tenth of the rest.

The PCA: a feature vector x becomes y = W (x / |x| - m). m and the covariance C are means over the
data sets, each with the same weight. With C = V diag(e) V', the rows of W are v_i e_i^(-a/2) for
the largest e_i: a = 0 is PCA, a = 1 whitening. A little of it evens out what a few strong
directions, such as the background, would otherwise decide; all the way it raises directions that
are mostly noise. (Jegou and Chum, "Negative evidences and co-occurences in image retrieval: the
benefit of PCA and whitening", ECCV 2012.) Mixing weights: Wortsman et al., "Robust fine-tuning of
zero-shot models", CVPR 2022.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import subprocess
import tarfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import datasets
import protocols

if TYPE_CHECKING:
    import numpy as np
    import torch

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = Path(__file__).resolve().parent / "efficientnet-lite0-tuned.safetensors"
WORK = ROOT / "build" / "tuning"
VSX = ROOT / "build" / "release" / "vsx"
SETS = ("grocery", "caltech101", "fashion")
BLOCKS = 8  # of 16, with nearly all of the weights
EPOCHS = 3
MIX = 0.5  # of the tuned weights; the rest is of those they started from
DIM = 384
EXPONENT = 0.25
# Of fashion, which has thousands of black T-shirts, so many of a class.
MOST_OF_A_CLASS = {"train": 12, "val": 4}
MEASURED_OF_FASHION = 2000


def part_of(path: str) -> int:
    """0 to 9, by the path alone; 0 and 5 are held out."""
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[-8:], "big") % 10


def rows_of(name: str) -> list[dict]:
    """A row of the CSV for every picture of a set: label, split, and what is measured as."""
    dataset = datasets.load(name)
    rows, of_class = [], Counter()
    for i, path in enumerate(dataset.paths):
        label = f"{name} {dataset.fine[i]}"
        if dataset.colour is not None:
            label += f" {dataset.colour[i]}"
        split = str(dataset.split[i]) if dataset.split[i] else ""
        if not split:
            part = part_of(path)
            split = "test" if part % 5 == 0 else "val" if part == 1 else "train"
        if name == "fashion" and split in MOST_OF_A_CLASS:
            of_class[label, split] += 1
            if of_class[label, split] > MOST_OF_A_CLASS[split]:
                continue
        kind = f"{dataset.fine[i]}"
        rows.append({"path": f"{name}/{path}", "label": label, "split": split, "kind": kind})
    return rows


def write_csv(name: str, rows: list[dict], label: str = "label") -> Path:
    """In the folder that the pictures lie in."""
    path = WORK / "data" / f"{name}.csv"
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, ("path", "label", "split"))
        table.writeheader()
        for row in rows:
            table.writerow({"path": row["path"], "label": row[label], "split": row["split"]})
    return path


def unpack() -> None:
    for name in SETS:
        if not (WORK / "data" / name).is_dir():
            print(f"unpacking {name}", flush=True)
            with tarfile.open(datasets.shared_data() / f"{name}.tar") as tar:
                tar.extractall(WORK / "data", filter="data")


# ---- the network ----


def package_of(name: str, tensors: dict[str, torch.Tensor]) -> Path:
    """A package with these tensors in it, in fp32 alone: what is learned is behind exact
    features.
    """
    from safetensors.torch import save_file
    from vsearch.export import efficientnet

    file = WORK / f"{name}.safetensors"
    save_file(tensors, file)
    output = WORK / f"{name}.vsm.pt"
    efficientnet.export(file, output, name=name, precisions=("fp32",))
    return output


def unprojected(name: str, backbone: dict[str, torch.Tensor]) -> Path:
    """A package that gives the network's 1,280 features, scaled to length 1."""
    import torch

    identity = {"projection.weight": torch.eye(1280), "projection.bias": torch.zeros(1280)}
    return package_of(name, {**backbone, **identity})


def raw_package() -> Path:
    """The start."""
    output = WORK / "efficientnet-lite0-raw.vsm.pt"
    return output if output.is_file() else unprojected("efficientnet-lite0-raw", {})


def tune(name: str, sets: tuple[str, ...]) -> Path:
    """A package whose last blocks have learned these sets."""
    import vsearch

    output = WORK / f"{name}.vsm.pt"
    if output.is_file():
        return output
    rows = [row for one in sets for row in rows_of(one) if row["split"] in ("train", "val")]
    report = vsearch.train(
        raw_package(),
        vsearch.Dataset(write_csv(name, rows), "csv", incomplete=True),
        output,
        depth="partial",
        blocks=BLOCKS,
        epochs=EPOCHS,
        # Colour is part of many labels.
        augmentation=vsearch.Augmentation(colour_jitter=0, greyscale=0, erase=0),
        mix_with_start=False,
        precision="fp32",
        cache=WORK / "cache",
        progress=True,
    )
    (WORK / f"{name}.json").write_text(report.to_json())
    return output


def mixed(package: Path, share: float) -> dict[str, torch.Tensor]:
    """What has changed of the network in `package`, mixed with its start, in half precision."""
    import torch

    start = torch.jit.load(str(raw_package()), map_location="cpu").state_dict()
    tuned = torch.jit.load(str(package), map_location="cpu").state_dict()
    return {
        name: value.lerp(tuned[name], share).half()
        for name, value in start.items()
        if name.startswith("backbone.") and not torch.equal(value, tuned[name])
    }


# ---- the projection ----


def features_of(package: Path, rows: list[dict]) -> np.ndarray:
    import numpy as np
    import vsearch

    encoder = vsearch.Encoder(package, precision="fp32")
    features = encoder.encode([WORK / "data" / row["path"] for row in rows])
    return np.asarray(features, np.float64)


def learned_features(package: Path, sets: tuple[str, ...]) -> list[np.ndarray]:
    """Of each set what was learned from."""
    return [
        features_of(package, [row for row in rows_of(name) if row["split"] == "train"])
        for name in sets
    ]


def fit(samples: list[np.ndarray], exponent: float) -> dict[str, torch.Tensor]:
    """The projection of features of length 1; its outputs have length 1 in the mean."""
    import numpy as np
    import torch

    mean = np.mean([x.mean(axis=0) for x in samples], axis=0)
    covariance = np.mean([(x - mean).T @ (x - mean) / len(x) for x in samples], axis=0)
    values, vectors = np.linalg.eigh(covariance)
    largest = values.argsort()[::-1][:DIM]
    values, vectors = values[largest], vectors[:, largest]
    # An eigenvector's sign is arbitrary: its largest component is made positive.
    vectors *= np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(DIM)])
    weight = (vectors * values ** (-exponent / 2)).T
    weight /= np.sqrt((values ** (1 - exponent)).sum())
    weight = weight.astype(np.float16)
    bias = -weight.astype(np.float64) @ mean
    return {
        "projection.weight": torch.from_numpy(weight),
        "projection.bias": torch.from_numpy(bias.astype(np.float32)),
    }


def make(name: str, sets: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """All that is tuned on these sets."""
    backbone = mixed(tune(name, sets), MIX)
    samples = learned_features(unprojected(f"{name}-features", backbone), sets)
    return {**backbone, **fit(samples, EXPONENT)}


# ---- measuring ----


def measured_sets(name: str, held_out: bool) -> list[tuple[str, Path]]:
    """Data sets to measure with: of what is never learned from, else of all pictures."""
    if name == "grocery":
        return [(name, WORK / "data" / "grocery")]
    rows = [row for row in rows_of(name) if not held_out or row["split"] == "test"]
    if name == "fashion":
        rows = some_of_fashion(rows)
    rows = [{**row, "split": ""} for row in rows]
    found = []
    for label in ("kind", "label") if name == "fashion" else ("kind",):
        count = Counter(row[label] for row in rows)
        title = f"{name}-{'held-out' if held_out else 'all'}-{label}"
        answered = [row for row in rows if count[row[label]] > 1]
        found.append((title, write_csv(title, answered, label)))
    return found


def some_of_fashion(rows: list[dict]) -> list[dict]:
    drawn = sorted(rows, key=lambda row: hashlib.sha256(row["path"].encode()).digest())
    return drawn[:MEASURED_OF_FASHION]


def measure(packages: list[Path], sets: list[tuple[str, Path]]) -> None:
    for title, root in sets:
        kind = "grocery" if root.is_dir() else "csv"
        command = [VSX, "eval", *packages, "--dataset", kind, "--root", root]
        command += ["--cache", WORK / "cache", "--json", "-q"]
        done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True)
        if done.returncode not in (0, 3):
            raise SystemExit(done.returncode)
        for evaluation in json.loads(done.stdout):
            for protocol in evaluation["protocols"]:
                scores = protocol["metrics"]
                cells = " | ".join(
                    f"{100 * scores[name]['mean']:.1f}" for name in ("R@1", "R@5", "R@20", "mAP")
                )
                print(
                    f"| {title}: {protocol['protocol']} | {evaluation['encoder']} | {cells} |",
                    flush=True,
                )


def measure_fashion_mnist(packages: list[Path]) -> None:
    """A set that nothing is ever learned from."""
    import numpy as np
    import vsearch

    whole = datasets.load("fashion-mnist")
    drawn = np.random.default_rng(0)
    keep = np.zeros(len(whole.split), bool)
    for split, count in (("test", 2000), ("train", 8000)):
        keep[drawn.permutation(np.flatnonzero(whole.split == split))[:count]] = True
    some = whole.only(keep)
    pictures = [np.asarray(picture) for picture in some.pictures()]
    asks, answers = some.split == "test", some.split == "train"
    for package in packages:
        encoder = vsearch.Encoder(package, precision="fp32")
        rows = protocols.unit_rows(np.asarray(encoder.encode(pictures)))
        found = protocols.measure(
            *(rows[asks], some.fine[asks], rows[answers], some.fine[answers]), leave_one_out=False
        )
        cells = " | ".join(f"{value:.1f}" for value in found.values())
        print(f"| fashion-mnist, some: test-train | {package.name} | {cells} |", flush=True)


def without(left_out: str) -> tuple[str, tuple[str, ...]]:
    return f"without-{left_out}", tuple(one for one in SETS if one != left_out)


def transfer(left_out: str) -> None:
    name, rest = without(left_out)
    package = package_of(f"{name}-tuned", make(name, rest))
    measure([raw_package(), package], measured_sets(left_out, held_out=False))


def choose(left_out: str) -> None:
    """R@1 and mAP on pictures of the set that was left out which nothing else is measured with:
    grocery's val against its train, of the other sets all but the test fifth, leave one out.
    """
    name, rest = without(left_out)
    rows = [row for row in rows_of(left_out) if row["split"] in ("train", "val")]
    if left_out == "fashion":
        rows = some_of_fashion(rows)
    show_chosen(left_out, "start", rows, features_of(raw_package(), rows))
    for share in (0.5, 0.75, 1.0):
        package = unprojected(f"{name}-{share}", mixed(tune(name, rest), share))
        features, samples = features_of(package, rows), learned_features(package, rest)
        show_chosen(left_out, f"mixed {share}", rows, features)
        for exponent in (0.0, 0.25, 0.5):
            weight, bias = (value.double().numpy() for value in fit(samples, exponent).values())
            title = f"mixed {share}, exponent {exponent}"
            show_chosen(left_out, title, rows, features @ weight.T + bias)


def show_chosen(name: str, title: str, rows: list[dict], embeddings: np.ndarray) -> None:
    import numpy as np

    embeddings = protocols.unit_rows(embeddings)
    cells = []
    for label in ("kind", "label") if name == "fashion" else ("kind",):
        labels = np.unique([row[label] for row in rows], return_inverse=True)[1]
        asks = np.array([row["split"] == "val" or name != "grocery" for row in rows])
        answers = ~asks if name == "grocery" else asks
        found = protocols.measure(
            *(embeddings[asks], labels[asks], embeddings[answers], labels[answers]),
            leave_one_out=name != "grocery",
        )
        cells.append(f"{found['R@1']:.1f} / {found['mAP']:.1f}")
    print(" | ".join([name, title, *cells]), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--measure", action="store_true", help="measure what was tuned, too")
    what.add_argument("--transfer", action="store_true", help="measure on a set that was left out")
    what.add_argument("--choose", action="store_true", help="compare mixtures and exponents")
    options = parser.parse_args()
    (WORK / "data").mkdir(parents=True, exist_ok=True)
    unpack()
    if options.transfer or options.choose:
        for left_out in SETS:
            (transfer if options.transfer else choose)(left_out)
        return
    from safetensors.torch import save_file

    tensors = make("default", SETS)
    save_file(tensors, OUTPUT)
    OUTPUT.chmod(0o644)
    print(f"wrote {OUTPUT}")
    if options.measure:
        package = package_of("default-tuned", tensors)
        for name in SETS:
            measure([raw_package(), package], measured_sets(name, held_out=True))
        if datasets.FASHION_MNIST.is_dir():
            measure_fashion_mnist([raw_package(), package])


if __name__ == "__main__":
    main()
