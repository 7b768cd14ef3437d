"""Pictures to learn from and pictures to measure with, and the model that is tuned.

What is measured shares no class, or no product, with what is learned, unless a set is published
with a split of its own (grocery). Of what heads are learned from every fifth class is "val": epoch
and mixture are chosen with these, never with what is measured. The sets called "all" have none:
every class is learned, for as many epochs as were asked for.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import tarfile
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common.report import ROOT

VSX = ROOT / "build" / "release" / "vsx"
BENCH = ROOT / "build" / "bench"
FOLDER = BENCH / "retrieval"
SHARED = Path(os.environ.get("VSEARCH_SHARED") or ROOT.parent / "shared")
START = BENCH / "deit-tiny.vsm.pt"
ARCHIVES = ("grocery", "caltech101", "fashion")
SEED = 0  # of all draws
FASHION_DRAWN = 2_000
FASHION_TYPES_DRAWN = 4_000
FASHION_MOST_OF_A_TYPE = 60
COLOUR_DRAWN = 4_000


@dataclass(frozen=True)
class Set:
    """What ``--dataset`` and ``--root`` say."""

    name: str
    sources: tuple[str, ...]  # the archives its pictures are of
    kind: str
    root: Path
    protocol: str = "leave-one-out"


@dataclass(frozen=True)
class Sets:
    grocery: Set
    caltech101: Set
    caltech101_learned: Set
    caltech101_all_learned: Set
    caltech101_new: Set
    fashion: Set
    types_all_learned: Set
    types_new: Set
    both_all_learned: Set
    colours_learned: Set
    colours_new: Set


def data_folder() -> Path:
    """Where the archives lie unpacked: VSEARCH_DATA, else unpacked here from ../shared."""
    given = os.environ.get("VSEARCH_DATA")
    folder = Path(given).resolve() if given else BENCH / "data"
    for name in ARCHIVES:
        if (folder / name).is_dir():
            continue
        archive = SHARED / "data" / f"{name}.tar"
        if given or not archive.exists():
            raise SystemExit(
                f"bench-retrieval: {folder / name} is missing; name the folder that holds "
                f"{', '.join(ARCHIVES)} with VSEARCH_DATA, or put {name}.tar into {SHARED / 'data'}"
            )
        print(f"unpacking {archive}", flush=True)
        unfinished = folder / f"{name}.unfinished"
        with tarfile.open(archive) as tar:
            tar.extractall(unfinished, filter="data")
        (unfinished / name).rename(folder / name)
        unfinished.rmdir()
    return folder


def start_model() -> Path:
    """DeiT-Ti; its embedding is the class token, of 192 dimensions."""
    if not START.exists():
        source = SHARED / "models" / "deit-tiny-patch16-224"
        if not source.is_dir():
            raise SystemExit(f"bench-retrieval: {source} is missing, and {START} too")
        START.parent.mkdir(parents=True, exist_ok=True)
        command = [VSX, "model", "export", "hf", source, "-o", START]
        subprocess.run([*command, "--pooling", "cls", "--license", "Apache-2.0"], check=True)
    with zipfile.ZipFile(START) as archive:
        name = next(name for name in archive.namelist() if name.endswith("extra/vsearch.json"))
        manifest = json.loads(archive.read(name))
    if manifest["dim"] != 192 or not manifest["architecture"].endswith("cls"):
        raise SystemExit(f"bench-retrieval: {START} gives no class token of DeiT-Ti; remove it")
    return START


def prepare() -> Sets:
    data = data_folder()
    folder = FOLDER / "sets"
    folder.mkdir(parents=True, exist_ok=True)
    caltech101 = _caltech101(data / "caltech101", folder)
    fashion = _fashion(data / "fashion", folder)
    learned = (caltech101["caltech101_all_learned"], fashion["types_all_learned"])
    return Sets(
        grocery=Set("grocery", ("grocery",), "grocery", data / "grocery", "test-train"),
        both_all_learned=_together("caltech101 and fashion, all of a half", learned, folder),
        **caltech101,
        **fashion,
    )


def _caltech101(pictures: Path, folder: Path) -> dict[str, Set]:
    # The archive holds at most 45 pictures a class, which the kind "caltech101" refuses.
    classes = sorted(
        path.name for path in pictures.iterdir() if path.is_dir() and "BACKGROUND" not in path.name
    )
    learned, new = classes[::2], classes[1::2]
    split = _splits(learned)

    def rows(names: list[str]) -> list[dict]:
        return [
            {"path": path, "label": name, "split": split.get(name, "")}
            for name in names
            for path in sorted((pictures / name).glob("*.jpg"))
        ]

    def whole(names: list[str]) -> list[dict]:
        return [{**row, "split": ""} for row in rows(names)]

    def write(name: str, file: str, content: list[dict]) -> Set:
        return _csv_set(name, ("caltech101",), folder / f"{file}.csv", content)

    return {
        "caltech101": write("caltech101", "caltech101", whole(classes)),
        "caltech101_learned": write("caltech101, half", "caltech101-learned", rows(learned)),
        "caltech101_all_learned": write(
            "caltech101, all of a half", "caltech101-all-learned", whole(learned)
        ),
        "caltech101_new": write("caltech101, other half", "caltech101-new", whole(new)),
    }


def _fashion(pictures: Path, folder: Path) -> dict[str, Set]:
    with (pictures / "catalog.csv").open(encoding="utf-8", newline="") as file:
        products = [row for row in csv.DictReader(file) if row["articleType"]]
    types = sorted({row["articleType"] for row in products})
    learned = set(types[::2])

    def picture(row: dict, label: str, **more) -> dict:
        return {"path": pictures / row["path"], "label": label, **more}

    def by_type(rows: list[dict]) -> list[dict]:
        return [picture(row, row["articleType"]) for row in rows]

    few: list[dict] = []
    counts: Counter = Counter()
    for row in _drawn(products, len(products)):
        kind = row["articleType"]
        counts[kind] += 1
        if kind in learned and counts[kind] <= FASHION_MOST_OF_A_TYPE:
            few.append(picture(row, kind))
    others = [row for row in products if row["articleType"] not in learned]

    coloured = [row for row in products if row["baseColour"]]
    shuffled = _drawn(coloured, len(coloured))
    half = len(shuffled) // 2

    def by_colour(rows: list[dict]) -> list[dict]:
        return [
            picture(
                row,
                f"{row['articleType']} / {row['baseColour']}",
                articleType=row["articleType"],
                baseColour=row["baseColour"],
            )
            for row in rows
        ]

    def write(name: str, file: str, content: list[dict]) -> Set:
        return _csv_set(name, ("fashion",), folder / f"{file}.csv", content)

    return {
        "fashion": write(
            "fashion types, drawn", "fashion", by_type(_drawn(products, FASHION_DRAWN))
        ),
        "types_all_learned": write("fashion, all of half the types", "types-all-learned", few),
        "types_new": write(
            "fashion, other types", "types-new", by_type(_drawn(others, FASHION_TYPES_DRAWN))
        ),
        "colours_learned": write(
            "fashion, half of the products", "colours-learned", by_colour(shuffled[:half])
        ),
        "colours_new": write(
            "fashion type and colour, unseen",
            "colours-new",
            by_colour(shuffled[half : half + COLOUR_DRAWN]),
        ),
    }


def _together(name: str, parts: tuple[Set, ...], folder: Path) -> Set:
    """Of sets that share no label."""
    rows = []
    for part in parts:
        with part.root.open(encoding="utf-8", newline="") as file:
            rows += [{"path": row["path"], "label": row["label"]} for row in csv.DictReader(file)]
    sources = tuple(source for part in parts for source in part.sources)
    return _csv_set(name, sources, folder / "both-all-learned.csv", rows)


def _splits(classes: list[str]) -> dict[str, str]:
    return {name: "val" if i % 5 == 4 else "train" for i, name in enumerate(classes)}


def _drawn(rows: list[dict], count: int) -> list[dict]:
    order = np.random.default_rng(SEED).permutation(len(rows))[:count]
    return [rows[i] for i in order]


def _csv_set(name: str, sources: tuple[str, ...], path: Path, rows: list[dict]) -> Set:
    """A picture that is alone in its class finds no other: it stays among the pictures that are
    searched, without a label.
    """
    counts = Counter(row["label"] for row in rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({**row, "label": row["label"] if counts[row["label"]] > 1 else ""})
    return Set(name, sources, "csv", path)
