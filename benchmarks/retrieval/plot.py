#!/usr/bin/env python3
"""Draws build/bench/retrieval.png from build/bench/retrieval.json: before and after tuning."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parents[2]
ORANGE, BLUE, GREY = "#c2410c", "#2563eb", "#94a3b8"
SHOWN = ("head", "full", "open", "colour")


def before_and_after(axes, rows: list[dict], metric: str) -> None:
    names = [f"{row['learned']}, {row['part']}\nfinds in {row['measured']}" for row in rows]
    places = range(len(rows))
    starts = [row[f"{metric} start"] or 0 for row in rows]
    axes.barh([p - 0.2 for p in places], starts, 0.38, color=GREY, label="before")
    tuned = [row[metric] for row in rows]
    spread = [
        [row[metric] - row[f"{metric} low"] for row in rows],
        [row[f"{metric} high"] - row[metric] for row in rows],
    ]
    axes.barh([p + 0.2 for p in places], tuned, 0.38, xerr=spread, color=ORANGE, label="after")
    axes.set_yticks(list(places), names, fontsize=7)
    axes.set_xlim(0, 100)
    axes.set_xlabel("%, mean and spread of the seeds")
    axes.set_title(metric, fontsize=10)


def loss_of(row: dict) -> str:
    return row["group"].rsplit("-", 1)[1]


def losses(axes, rows: list[dict]) -> None:
    names = list(dict.fromkeys(loss_of(row) for row in rows))
    on = list(dict.fromkeys(row["measured"] for row in rows))
    height = 0.8 / max(1, len(on))
    for i, (measured, colour) in enumerate(zip(on, (ORANGE, BLUE))):
        of = {loss_of(row): row["mAP"] for row in rows if row["measured"] == measured}
        places = [p + (i - (len(on) - 1) / 2) * height for p in range(len(names))]
        values = [of.get(name, 0) for name in names]
        axes.barh(places, values, height * 0.95, color=colour, label=measured)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xlim(0, 100)
    axes.set_xlabel("mAP, %")
    axes.set_title("losses, head", fontsize=10)


def main(source: Path) -> None:
    rows = [row for row in json.loads(source.read_text())["rows"] if row["what"] == "tuned"]
    shown = [row for row in rows if row["part"] in SHOWN]
    compared = [row for row in rows if row["part"] == "losses" and row["group"].startswith("head")]
    if not shown and not compared:
        print("nothing to draw: no model was tuned")
        return
    figure, panels = plt.subplots(1, 3, figsize=(17, 1.6 + 0.5 * max(6, len(shown))))
    for axes, metric in zip(panels, ("R@1", "mAP")):
        before_and_after(axes, shown, metric)
    panels[1].set_yticklabels([])
    losses(panels[2], compared)
    for axes in panels:
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
        if axes.patches:
            axes.legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    target = source.with_suffix(".png")
    figure.savefig(target, dpi=110)
    print(f"drew {target}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "bench" / "retrieval.json")
