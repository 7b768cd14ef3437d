"""What an index costs beside its queries: building, opening, searching while it changes, size."""

from __future__ import annotations

import statistics

import numpy as np
from common import report
from common.workers import Worker, by_turns

from index import data, engines, recall

INT8 = engines.OURS[0]
BUILD = "tokens-384-20k-of-100k" if report.quick() else "tokens-384-100k-of-300k"
ROUNDS = 3  # of builds


def build() -> list[dict]:
    """On two threads, by turns; and how good the graphs are, by recall at a fixed breadth."""
    data.prepare(BUILD)
    names = [INT8, "hnswlib"]
    workers = recall.start(names, BUILD, "none")
    try:
        answers = by_turns(workers, {"do": "build"}, ROUNDS, "built")
    finally:
        recall.close(workers)
    rows = []
    for name, of in zip(names, answers):
        seconds, recalls = zip(*of)
        ratios = [peer[0] / own for own, peer in zip(seconds, answers[-1])]
        rows.append(
            {
                "what": "build",
                "data": BUILD,
                "contender": name,
                "seconds": statistics.median(seconds),
                "to_hnswlib": statistics.median(ratios),
                "recall": statistics.median(recalls),
            }
        )
    print(f"\nbuild on two threads, and recall at breadth {engines.FIXED_BREADTH}: {BUILD}")
    report.print_table(rows, ["contender", "seconds", "to_hnswlib", "recall"])
    return rows


def opening(dataset: str) -> list[dict]:
    """From the file, which is in the system's cache, to the first answer."""
    names = [INT8, "hnswlib"]
    workers = recall.start(names, dataset, "none")
    try:
        request = {"do": "open", "setting": 256}
        seconds = by_turns(workers, request, recall.ROUNDS, "seconds")
    finally:
        recall.close(workers)
    rows = []
    for name, values in zip(names, seconds):
        ratios = [peer / own for own, peer in zip(values, seconds[-1])]
        row = {"what": "open", "data": dataset, "contender": name}
        rows.append(
            {
                **row,
                "ms": 1000 * statistics.median(values),
                "to_hnswlib": statistics.median(ratios),
            }
        )
    print(f"\nfrom file to the first answer, {dataset}")
    report.print_table(rows, ["contender", "ms", "to_hnswlib"])
    return rows


def mixed() -> list[dict]:
    """hnswlib has no searches beside inserts, so this is ours alone."""
    (worker,) = recall.start([INT8], BUILD, "half")
    try:
        request = {"do": "mixed", "setting": engines.FIXED_BREADTH}
        (answers,) = by_turns([worker], request, recall.ROUNDS, "p99")
    finally:
        worker.close()
    idle, loaded, rate = (statistics.median(values) for values in zip(*answers))
    row = {
        "what": "mixed",
        "data": BUILD,
        "contender": INT8,
        "idle_p99_us": idle * 1e6,
        "inserting_p99_us": loaded * 1e6,
        "inserts_per_s": rate,
        "times": statistics.median(beside / alone for alone, beside, _ in answers),
    }
    print("\nthe 99th percentile of a search, alone and beside a thread that inserts")
    report.print_table([row], ["idle_p99_us", "inserting_p99_us", "times", "inserts_per_s"])
    return [row]


def threads(workers: list[Worker], rows: list[dict]) -> list[dict]:
    """How much faster two threads answer than one, at recall .95."""
    dataset = rows[0]["data"]
    made = []
    for worker in workers:
        name = recall.contender(worker)
        if name not in (INT8, "hnswlib"):
            continue
        row = next(row for row in rows if (row["contender"], row["recall"]) == (name, 0.95))
        setting = row["settings"][len(row["settings"]) // 2]
        request = {"do": "threads", "setting": setting, "seconds": recall.SECONDS}
        (speedups,) = by_turns([worker], request, recall.ROUNDS, "speedup")
        made.append(
            {
                "what": "threads",
                "data": dataset,
                "contender": name,
                "speedup": statistics.median(speedups),
            }
        )
    print(f"\ntwo threads, to one: {dataset}")
    report.print_table(made, ["contender", "speedup"])
    return made


def memory(workers: list[Worker], dataset: str) -> list[dict]:
    """Growth of the process, and what our index says of itself and of what walks read, in bytes a
    vector.
    """
    rows = [
        {
            "what": "memory",
            "data": dataset,
            "contender": recall.contender(worker),
            "bytes_a_vector": worker.ready["bytes_a_vector"],
            "stated": worker.ready.get("stated_bytes_a_vector"),
            "walked": worker.ready.get("walked_bytes_a_vector"),
        }
        for worker in workers
    ]
    print(f"\nbytes a vector, {dataset}")
    report.print_table(rows, ["contender", "bytes_a_vector", "stated", "walked"])
    return rows


def scaling(rows: list[dict]) -> list[dict]:
    """The exponent of queries a second at recall .95 in the number of vectors."""
    made = []
    for name in (INT8, "hnswlib"):
        chosen = [
            row for row in rows if (row["contender"], row["recall"]) == (name, 0.95) and row["qps"]
        ]
        sizes = [data.number(row["data"].split("-")[2]) for row in chosen]
        slope = None
        if len(sizes) > 1:
            speeds = [row["qps"] for row in chosen]
            slope = float(np.polyfit(np.log(sizes), np.log(speeds), 1)[0])
        made.append({"what": "scaling", "contender": name, "sizes": sizes, "exponent": slope})
    print("\nqueries a second at recall .95 grow as the number of vectors to the power of")
    report.print_table(made, ["contender", "sizes", "exponent"])
    return made
