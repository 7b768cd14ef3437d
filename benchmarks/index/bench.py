#!/usr/bin/env python3
"""make bench-index: the index beside its peers, in one run, by turns.

Peers: hnswlib, faiss and usearch, each with several settings, of which the best at a recall counts.
QUICK=1: two data sets, and smaller ones.
"""

from __future__ import annotations

from common import report

from index import churn, costs, engines, filters, hnswlib, recall

INT8 = engines.OURS[0]
ALL = [*engines.OURS, *engines.PEERS]
# The peers that were best or second on smaller sets: to build all takes hours.
LARGE = [INT8, "hnswlib", "faiss-hnsw-sq8", "faiss-ivfpq-refine"]
# How many times hnswlib's speed is wanted of one query after another.
SINGLE = {"fashion-mnist": 3, "tokens-384-100k": 4, "tokens-384-300k": 4, "tokens-768-300k": 4}
if report.quick():
    PATCHES = "tokens-384-100k"
    DATA_SETS = {"fashion-mnist": ALL, PATCHES: ALL}
    LARGEST = PATCHES
    SUBSETS = ("tokens-384-10k-of-100k", "tokens-384-30k-of-100k")
else:
    PATCHES = "tokens-384-300k"
    DATA_SETS = {
        "fashion-mnist": ALL,
        PATCHES: ALL,
        "tokens-768-300k": LARGE,
        "tokens-192-1M": [INT8, "hnswlib", "faiss-hnsw-flat"],
        "clustered-100k": ALL,
    }
    LARGEST = "tokens-192-1M"
    SUBSETS = tuple(f"tokens-192-{size}-of-1M" for size in ("10k", "100k"))


def main() -> None:
    hnswlib.compile_library()
    rows: list[dict] = []
    for name, contenders in DATA_SETS.items():
        found, workers = recall.data_set(name, contenders)
        try:
            rows += found
            rows += costs.memory(workers, name)
            if name == PATCHES:
                rows += costs.threads(workers, found)
                chosen = [w for w in workers if recall.contender(w) in (INT8, "hnswlib")]
                rows += filters.measure(chosen, name)
        finally:
            recall.close(workers)
        rows += costs.opening(name)
        report.write("index", rows, [])  # a run is long: if it is cut short, this is there
    for name in SUBSETS:
        found, workers = recall.data_set(name, [INT8, "hnswlib"])
        recall.close(workers)
        rows += found
    sizes = (*SUBSETS, LARGEST)
    rows += costs.scaling([row for row in rows if row["what"] == "recall" and row["data"] in sizes])
    rows += costs.build()
    rows += costs.mixed()
    rows += churn.measure()
    goals = all_goals(rows)
    path = report.write("index", rows, goals)
    report.print_goals(goals)
    print(f"\nwrote {path.relative_to(report.ROOT)}")


def find(rows: list[dict], **wanted) -> dict:
    return next(row for row in rows if all(row.get(k) == v for k, v in wanted.items()))


def all_goals(rows: list[dict]) -> list[dict]:
    goals = []
    for name, times in SINGLE.items():
        if name not in DATA_SETS:
            continue
        for target in recall.TARGETS:
            row = find(rows, what="recall", data=name, contender=INT8, recall=target)
            label = f"{name}, recall {target:g}, "
            goals += [
                report.goal(label + "to hnswlib", row["to_hnswlib"], times, "x"),
                report.goal(label + "to the best peer", row["to_best_peer"], 3, "x"),
                # Both are asked all queries in one call.
                report.goal(label + "a batch, to hnswlib", row["to_hnswlib"], 5, "x"),
            ]
    speedup = find(rows, what="threads", contender=INT8)["speedup"]
    goals.append(report.goal("two threads, to one", speedup, 1.8, "x"))
    goals += filters.goals([row for row in rows if row["what"] == "filter"])
    goals += churn.goals([row for row in rows if row["what"] == "churn"])
    memory = find(rows, what="memory", data=PATCHES, contender=INT8)
    size = max(memory["bytes_a_vector"], memory["stated"])
    goals.append(report.goal("memory of a vector, 384-d", size, 950, "bytes", at_most=True))
    walked = find(rows, what="memory", data=PATCHES, contender="vsearch-compact")["walked"]
    label = "of the compact storage, what walks read"
    goals.append(report.goal(label, walked, 350, "bytes", at_most=True))
    built = find(rows, what="build", contender=INT8)
    better = 100 * (built["recall"] - find(rows, what="build", contender="hnswlib")["recall"])
    goals += [
        report.goal("build on two threads, to hnswlib", built["to_hnswlib"], 2, "x"),
        report.goal("its recall at equal breadth, above hnswlib's", better, 0, "points"),
    ]
    opened = find(rows, what="open", data=LARGEST, contender=INT8)
    label = f"{LARGEST}, file to first answer"
    goals += [
        report.goal(label, opened["ms"], 100, "ms", at_most=True),
        report.goal(label + ", to hnswlib", opened["to_hnswlib"], 10, "x"),
    ]
    times = find(rows, what="mixed")["times"]
    goals.append(report.goal("p99 beside inserts, to idle", times, 3, "x", at_most=True))
    return goals


if __name__ == "__main__":
    main()
