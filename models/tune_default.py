#!/usr/bin/env python3
"""Makes the default encoder's projection, 1,280 to 384 dimensions: 128 of PCA that no label has
shaped (fit_projection.py), which keep what a head forgets, beside a head of 256 that
`vsearch.train` learns on three sets at once. Minutes; what is encoded is kept in build/tuning.

    .venv/bin/python models/tune_default.py             writes the committed .safetensors
    .venv/bin/python models/tune_default.py --measure   and measures it beside its raw start
    .venv/bin/python models/tune_default.py --transfer  learns from two sets, measures on the third

The start is the network without a projection. A picture's class is that of its set: the fine class
of groceries, the category of Caltech 101, article type and colour of fashion. Never learned from
are grocery's test pictures and pack shots, and of the other sets the fifth whose path has a SHA-256
that 5 divides; what tells epochs apart is grocery's val and a tenth of the rest.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import datasets

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = Path(__file__).resolve().parent / "efficientnet-lite0-projection.safetensors"
PCA = Path(__file__).resolve().parent / "efficientnet-lite0-pca.safetensors"
WORK = ROOT / "build" / "tuning"
VSX = ROOT / "build" / "release" / "vsx"
SETS = ("grocery", "caltech101", "fashion")
PCA_DIM = 128
HEAD_DIM = 256
HEAD_LENGTH = 0.5  # of the head's part, to that of the PCA's
EPOCHS = 40
# Of fashion, which has thousands of black T-shirts, so many of a class.
MOST_OF_A_CLASS = {"train": 12, "val": 4}
MEASURED_OF_FASHION = 2000
SAMPLE = 100  # pictures, about


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


def export(projection: Path, output: Path) -> Path:
    sys.path.insert(0, str(ROOT / "bindings" / "python"))
    from vsearch.export import efficientnet

    # In fp32 alone: what is learned is behind exact features.
    name = output.name.removesuffix(".vsm.pt")
    efficientnet.export(projection, output, name=name, precisions=("fp32",))
    return output


def raw_package() -> Path:
    """The network whose 1,280 features nothing is done to but the scaling to length 1."""
    import numpy as np
    from safetensors.numpy import save_file

    output = WORK / "efficientnet-lite0-raw.vsm.pt"
    if not output.is_file():
        identity = WORK / "identity.safetensors"
        save_file(
            {"weight": np.eye(1280, dtype=np.float32), "bias": np.zeros(1280, np.float32)}, identity
        )
        export(identity, output)
    return output


def run(*command: object) -> str:
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True)
    if done.returncode not in (0, 3):
        raise SystemExit(done.returncode)
    return done.stdout


def tune(name: str, sets: tuple[str, ...]) -> Path:
    """A package with a head that is learned from these sets."""
    import vsearch

    rows = [row for one in sets for row in rows_of(one) if row["split"] in ("train", "val")]
    output = WORK / f"{name}.vsm.pt"
    report = vsearch.train(
        raw_package(),
        vsearch.Dataset(write_csv(name, rows), "csv", incomplete=True),
        output,
        dim=HEAD_DIM,
        batch_size=512,
        epochs=EPOCHS,
        cache=WORK / "cache",
        progress=True,
    )
    (WORK / f"{name}.json").write_text(report.to_json())
    return output


def head_of(package: Path) -> dict:
    """The map that `vsx train` has put behind the network."""
    import torch

    tuned = torch.jit.load(str(package), map_location="cpu")
    return {
        "weight": tuned.head_weight.detach().numpy().copy(),
        "bias": tuned.head_bias.detach().numpy().copy(),
    }


def joined(head: dict, rows: list[dict]) -> dict:
    """The projection: both maps, one below the other. Lengths are those that a sample of the
    pictures has in the mean.
    """
    import numpy as np
    import vsearch
    from safetensors.numpy import load_file

    files = [WORK / "data" / row["path"] for row in rows[:: max(1, len(rows) // SAMPLE)]]
    features = np.asarray(vsearch.Encoder(raw_package(), precision="fp32").encode(files))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    pca = {name: value[:PCA_DIM] for name, value in load_file(PCA).items()}

    def length(part: dict) -> float:
        return float(np.sqrt(((features @ part["weight"].T + part["bias"]) ** 2).sum(1).mean()))

    scale = np.float32(HEAD_LENGTH * length(pca) / length(head))
    return {name: np.concatenate([pca[name], scale * head[name]]) for name in ("weight", "bias")}


def make(name: str, sets: tuple[str, ...]) -> tuple[dict, Path]:
    """The projection that is learned from these sets, and a package with it."""
    from safetensors.numpy import save_file

    rows = [row for one in sets for row in rows_of(one) if row["split"] == "train"]
    projection = joined(head_of(tune(name, sets)), rows)
    file = WORK / f"{name}-projection.safetensors"
    save_file(projection, file)
    return projection, export(file, WORK / f"{name}-projected.vsm.pt")


def measured_sets(sets: tuple[str, ...], held_out: bool) -> list[tuple[str, Path]]:
    """Data sets to measure with. `held_out`: what tune() does not learn from; else whole sets."""
    found = []
    for name in sets:
        rows = rows_of(name)
        if name == "grocery":
            found.append((name, WORK / "data" / "grocery"))
            continue
        if held_out:
            rows = [row for row in rows if row["split"] == "test"]
        if name == "fashion":
            rows = sorted(rows, key=lambda row: hashlib.sha256(row["path"].encode()).digest())
            rows = rows[:MEASURED_OF_FASHION]
        rows = [{**row, "split": ""} for row in rows]
        alone = Counter(row["kind"] for row in rows)
        title = f"{name}-{'held-out' if held_out else 'all'}"
        kinds = [row for row in rows if alone[row["kind"]] > 1]
        found.append((f"{title}-kind", write_csv(f"{title}-kind", kinds, "kind")))
        if name == "fashion":
            alone = Counter(row["label"] for row in rows)
            both = [row for row in rows if alone[row["label"]] > 1]
            found.append((f"{title}-kind-and-colour", write_csv(f"{title}-both", both)))
    return found


def measure(packages: list[Path], sets: list[tuple[str, Path]]) -> None:
    for title, root in sets:
        kind = "grocery" if root.is_dir() else "csv"
        table = run(
            *(VSX, "eval", *packages, "--dataset", kind, "--root", root, "--cache"),
            *(WORK / "cache", "--json", "-q"),
        )
        for evaluation in json.loads(table):
            for protocol in evaluation["protocols"]:
                scores = protocol["metrics"]
                cells = " | ".join(
                    f"{100 * scores[name]['mean']:.1f}" for name in ("R@1", "R@5", "R@20", "mAP")
                )
                print(
                    f"| {title}: {protocol['protocol']} | {evaluation['encoder']} | {cells} |",
                    flush=True,
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", action="store_true", help="measure what was learned, too")
    parser.add_argument(
        "--transfer", action="store_true", help="learn from two sets, measure on the third"
    )
    options = parser.parse_args()
    (WORK / "data").mkdir(parents=True, exist_ok=True)
    unpack()
    if options.transfer:
        for left_out in SETS:
            rest = tuple(one for one in SETS if one != left_out)
            package = make(f"without-{left_out}", rest)[1]
            measure([raw_package(), package], measured_sets((left_out,), held_out=False))
        return
    from safetensors.numpy import save_file

    projection, package = make("default", SETS)
    save_file(projection, OUTPUT)
    OUTPUT.chmod(0o644)
    print(f"wrote {OUTPUT}")
    if options.measure:
        measure([raw_package(), package], measured_sets(SETS, held_out=True))


if __name__ == "__main__":
    main()
