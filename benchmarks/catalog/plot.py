#!/usr/bin/env python3
"""Draws build/bench/catalog.png from build/bench/catalog.json: filters, rates and bytes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parents[2]
ORANGE, BLUE, GREY = "#c2410c", "#2563eb", "#94a3b8"


def main(source: Path) -> None:
    rows = json.loads(source.read_text())["rows"]
    items = max(row["items"] for row in rows if "items" in row)
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(15, 4.2))

    filters = [row for row in rows if row["what"] == "filter" and row["items"] == items]
    left.barh([row["filter"] for row in filters], [row["ms"] for row in filters], color=ORANGE)
    left.set_xscale("log")
    left.invert_yaxis()
    left.axvline(20, color=GREY, lw=1, ls="--")
    left.set_xlabel(f"milliseconds, {items:,} items")
    left.set_title("from a filter to a set of ids", fontsize=10)

    rates = {}
    for row in rows:
        if row["what"] == "store":
            rates[f"stored, {row['fields']} declared fields"] = row["items_a_second"]
        if row["what"] == "add" and row["items"] == items:
            rates["stored and indexed"] = row["items_a_second"]
        if row["what"] == "patch" and row["items"] == items:
            rates["metadata patched"] = row["patches_a_second"]
    middle.barh(list(rates), list(rates.values()), color=BLUE)
    middle.invert_yaxis()
    middle.set_xlabel("items a second, batches of 1,000")
    middle.set_title("durable changes", fontsize=10)

    size = next(row for row in rows if row["what"] == "size" and row["items"] == items)
    parts = {
        "embedding": size["embedding_bytes"],
        "catalog.db": size["database_bytes_an_item"],
        "index.snapshot": size["snapshot_bytes_an_item"],
        "index in memory": size["memory_bytes_an_item"],
    }
    right.barh(list(parts), list(parts.values()), color=[GREY, ORANGE, ORANGE, BLUE])
    right.invert_yaxis()
    right.set_xlabel("bytes an item")
    right.set_title("size", fontsize=10)

    for axes in (left, middle, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    target = source.with_suffix(".png")
    figure.savefig(target, dpi=110)
    print(f"drew {target}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "bench" / "catalog.json")
