#!/usr/bin/env python3
"""Draws build/bench/index.png from build/bench/index.json: recall against queries a second."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parents[2]
COLOURS = {
    "vsearch-int8": "#c2410c",
    "vsearch-compact": "#ea8a3e",
    "vsearch-float32": "#f5b942",
    "hnswlib": "#1e293b",
    "faiss-hnsw-flat": "#2563eb",
    "faiss-hnsw-sq8": "#60a5fa",
    "faiss-ivfpq-refine": "#93c5fd",
    "usearch-bf16": "#15803d",
    "usearch-i8": "#86efac",
}
COLUMNS = 3


def main(source: Path) -> None:
    rows = [row for row in json.loads(source.read_text())["rows"] if row["what"] == "recall"]
    compared = {row["data"] for row in rows if row["contender"].startswith("faiss")}
    names = [name for name in dict.fromkeys(row["data"] for row in rows) if name in compared]
    columns = min(COLUMNS, len(names))
    lines = -(-len(names) // columns)
    figure, grid = plt.subplots(lines, columns, figsize=(5.2 * columns, 4.4 * lines), squeeze=False)
    for axes in grid.flat[len(names) :]:
        axes.axis("off")
    for axes, name in zip(grid.flat, names):
        for contender, colour in COLOURS.items():
            part = [row for row in rows if (row["data"], row["contender"]) == (name, contender)]
            # Settings measured for both recalls appear twice.
            points = {r: q for row in part for r, q in zip(row["recalls"], row["qps_of_settings"])}
            recalls = sorted(points)
            rates = [points[recall] for recall in recalls]
            axes.plot(recalls, rates, "o-", ms=3, color=colour, label=contender)
        axes.set_yscale("log")
        axes.set_xlim(0.9, 1.0)
        axes.set_title(name, fontsize=10)
        axes.grid(alpha=0.3, which="both")
        axes.spines[["top", "right"]].set_visible(False)
    grid[0, 0].legend(fontsize=7)
    figure.supxlabel("recall of the ten nearest", fontsize=10)
    figure.supylabel("queries a second, one thread", fontsize=10)
    figure.tight_layout()
    target = source.with_suffix(".png")
    figure.savefig(target, dpi=110)
    print(f"drew {target}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "bench" / "index.json")
