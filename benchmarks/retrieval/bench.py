#!/usr/bin/env python3
"""make bench-retrieval: what tuning for retrieval gains, what it costs, and how long it takes.

PARTS=head,full,open,colour,losses,background,speed chooses; all are hours on two cores. A run that
is done leaves a row in build/bench/retrieval-runs and is not done again: remove it to have it anew.
SEEDS=1 tunes with one seed instead of three.
FULL_LOSSES=1 compares losses at full depth too. QUICK=1: one seed, fewer epochs, head and speed.
VSEARCH_DATA names a folder that holds grocery, caltech101 and fashion, unpacked.
"""

from __future__ import annotations

import os

from common import report
from retrieval import goals, parts, runs, sets, speed

PARTS = ("head", "full", "open", "colour", "losses", "background", "speed")
COLUMNS = ["tuned", "measured on", "seeds", "R@1", "mAP", "seconds", "precision"]


def wanted() -> list[str]:
    names = os.environ.get("PARTS") or ("head,speed" if report.quick() else ",".join(PARTS))
    chosen = [name.strip() for name in names.split(",") if name.strip()]
    strange = [name for name in chosen if name not in PARTS]
    if strange:
        raise SystemExit(f"bench-retrieval: PARTS has {', '.join(strange)}; of {', '.join(PARTS)}")
    return chosen


def measure(part: str, chosen: sets.Sets) -> None:
    if part == "speed":
        speed.measure(chosen)
        return
    for tuning in parts.tunings(part, chosen):
        for one in tuning.measured:
            runs.measure_start(one)
        if tuning.audited:
            runs.audit_start(tuning.audited)
        runs.tune(tuning)


def found(part: str, chosen: sets.Sets) -> tuple[list[dict], list[dict]]:
    """Its rows and goals, of what is done."""
    if part == "speed":
        rows = speed.rows_of()
        return rows, speed.goals_of(rows)
    rows = parts.rows_of(part, chosen)
    return rows, goals.goals_of(part, rows, chosen)


def is_done(part: str, chosen: sets.Sets) -> bool:
    return speed.is_done() if part == "speed" else parts.is_done(part, chosen)


def show(part: str, rows: list[dict]) -> None:
    print(f"\n{part}")
    if part == "speed":
        steps = [row for row in rows if row["what"] == "step"]
        report.print_table(
            steps, ["contender", "pictures_per_s", "to_best_peer", "threads", "bf16"]
        )
        heads = [row for row in rows if row["what"] == "head"]
        report.print_table(heads, ["rows", "dim", "classes", "epoch_s", "before_s"])
        return
    report.print_table(parts.table(r for r in rows if r["what"] == "tuned"), COLUMNS)
    audits = parts.table(row for row in rows if row["what"] == "audit")
    if audits:
        report.print_table(audits, list(audits[0]))


def main() -> None:
    chosen_parts = wanted()
    if not sets.VSX.exists():
        raise SystemExit(f"bench-retrieval: {sets.VSX} is missing; run: make build")
    chosen = sets.prepare()
    sets.start_model()
    for part in chosen_parts:
        measure(part, chosen)
        finish(chosen_parts, chosen)  # a run is long: if it is cut short, this is there
    rows, all_goals = finish(chosen_parts, chosen)
    for part in PARTS:
        mine = [row for row in rows if row["part"] == part]
        if mine:
            show(part, mine)
    report.print_goals(all_goals)
    print(f"\nwrote {(sets.BENCH / 'retrieval.json').relative_to(report.ROOT)}")


def finish(chosen_parts: list[str], chosen: sets.Sets) -> tuple[list[dict], list[dict]]:
    """Writes what is done, also of parts that other calls have measured to the end."""
    rows: list[dict] = []
    all_goals: list[dict] = []
    for part in PARTS:
        if part not in chosen_parts and not is_done(part, chosen):
            continue
        part_rows, part_goals = found(part, chosen)
        rows += [{**row, "part": part} for row in part_rows]
        all_goals += part_goals
    report.write("retrieval", rows, all_goals, seeds=list(parts.SEEDS))
    return rows, all_goals


if __name__ == "__main__":
    main()
