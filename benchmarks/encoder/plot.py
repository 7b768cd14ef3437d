#!/usr/bin/env python3
"""Draws build/bench/encoder.png from build/bench/encoder.json: every contender against the best
peer.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parents[2]
OURS, PEERS = "#c2410c", "#94a3b8"


def main(source: Path) -> None:
    rows = [row for row in json.loads(source.read_text())["rows"] if row["what"] == "model"]
    shapes = list(dict.fromkeys(row["shape"] for row in rows))
    batches = list(dict.fromkeys(row["batch"] for row in rows))
    figure, grid = plt.subplots(
        len(shapes), len(batches), figsize=(4.2 * len(batches), 3.4 * len(shapes)), squeeze=False
    )
    for line, shape in zip(grid, shapes):
        for axes, batch in zip(line, batches):
            part = [row for row in rows if row["shape"] == shape and row["batch"] == batch]
            part.sort(key=lambda row: row["pictures_per_s"])
            colours = [OURS if r["contender"].startswith("vsearch") else PEERS for r in part]
            axes.barh(
                [row["contender"] for row in part],
                [row["to_best_peer"] for row in part],
                color=colours,
            )
            axes.axvline(1, color="black", linewidth=0.8)
            axes.set_title(f"{shape}, batches of {batch}", fontsize=10)
            axes.tick_params(labelsize=7)
            axes.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("speed, as a multiple of the best peer's", fontsize=10)
    figure.tight_layout()
    target = source.with_suffix(".png")
    figure.savefig(target, dpi=110)
    print(f"drew {target}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "bench" / "encoder.json")
