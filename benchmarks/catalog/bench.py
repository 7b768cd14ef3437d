#!/usr/bin/env python3
"""make bench-catalog: what a catalogue costs: adding, filters, patches, opening, synchronising.

100,000 and 1,000,000 synthetic items with embeddings of 384 dimensions. QUICK=1: 100,000 only.
VSEARCH_BENCH_DIR names a folder for the catalogues, on the disk that is to be measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

from common import report

PROGRAM = report.ROOT / "build" / "release" / "catalog_bench"
SIZES = [100_000] if report.quick() else [100_000, 1_000_000]
FILES = 100_000


def measure(items: int, files: int) -> list[dict]:
    place = os.environ.get("VSEARCH_BENCH_DIR") or report.ROOT / "build" / "bench"
    Path(place).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place, prefix="catalog-") as folder:
        command = [str(PROGRAM), folder, str(items), str(files)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            rows = []
            for line in process.stdout:
                print(line.strip(), flush=True)
                rows.append(json.loads(line))
        if process.returncode != 0:
            raise SystemExit(f"{PROGRAM.name} failed with {process.returncode}")
    return rows


def main() -> None:
    rows: list[dict] = []
    for items in SIZES:
        rows += measure(items, FILES if items == SIZES[0] else 0)
        report.write("catalog", rows, [])  # a run is long: if it is cut short, this is there
    goals = all_goals(rows)
    path = report.write("catalog", rows, goals)
    for what in dict.fromkeys(row["what"] for row in rows):
        part = [row for row in rows if row["what"] == what]
        print(f"\n{what}")
        report.print_table(part, [column for column in part[0] if column != "what"])
    report.print_goals(goals)
    print(f"\nwrote {path.relative_to(report.ROOT)}")


def find(rows: list[dict], **wanted) -> dict:
    return next(row for row in rows if all(row.get(k) == v for k, v in wanted.items()))


def all_goals(rows: list[dict]) -> list[dict]:
    items = SIZES[-1]
    size = f"{items:,} items, "
    stored = find(rows, what="store", items=items, fields=0)["items_a_second"]
    one_percent = find(rows, what="filter", items=items, filter="1 %")["ms"]
    return [
        report.goal(size + "adding without index, batches of 1,000", stored, 20_000, "items/s"),
        report.goal(
            size + "open to first answer",
            find(rows, what="open", items=items)["s"],
            1,
            "s",
            at_most=True,
        ),
        report.goal(
            size + "metadata patches",
            find(rows, what="patch", items=items)["patches_a_second"],
            10_000,
            "a second",
        ),
        report.goal(size + "filter of 1 %", one_percent, 20, "ms", at_most=True),
        report.goal(
            f"synchronising {FILES:,} unchanged files",
            find(rows, what="sync")["unchanged_s"],
            5,
            "s",
            at_most=True,
        ),
    ]


if __name__ == "__main__":
    main()
