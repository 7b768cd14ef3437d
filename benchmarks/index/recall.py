"""Queries a second at equal recall.

Each contender's settings are tried on one half of the queries; those around a recall are measured
on the other half, all contenders by turns, and interpolated.
"""

from __future__ import annotations

import statistics

import numpy as np
from common import report
from common.workers import Worker, by_turns

from index import data, engines

WORKER = "index.contenders"
TARGETS = (0.95, 0.99)
ROUNDS = 5
SECONDS = 0.1 if report.quick() else 0.2  # for one setting, at least
ENOUGH = 0.997  # no setting is tried beyond this recall


def start(names: list[str], dataset: str, part: str = "all") -> list[Worker]:
    return [Worker(WORKER, [name, dataset, part]) for name in names]


def close(workers: list[Worker]) -> None:
    for worker in workers:
        worker.close()


def contender(worker: Worker) -> str:
    return worker.name.split()[0]


def tune(worker: Worker) -> list[dict]:
    """The settings that no other beats in both recall and speed, by recall."""
    tried: list[dict] = []
    graph = engines.settings(contender(worker)) is not engines.LISTS_AND_FACTORS
    for setting in engines.settings(contender(worker)):
        request = {"half": "tune", "settings": [setting], "seconds": 0}
        (recall,) = worker.ask({"do": "recalls", **request})["recall"]
        (rate,) = worker.ask({"do": "rates", **request})["qps"]
        tried.append({"setting": setting, "recall": recall, "qps": rate})
        before = tried[-4]["recall"] if len(tried) > 3 else 0.0
        # Recalls that are asked for begin below what the least effort gives.
        stuck = contender(worker) in engines.PEERS and recall < before + 0.0005
        if graph and (recall > ENOUGH or stuck):
            break  # it goes no further
    tried.sort(key=lambda point: (-point["recall"], -point["qps"]))
    best: list[dict] = []
    for point in tried:
        # In graphs recall and speed follow each other; what breaks that is noise.
        if not best or (
            point["recall"] < best[-1]["recall"] and (graph or point["qps"] > best[-1]["qps"])
        ):
            best.append(point)
    return best[::-1]


def around(points: list[dict], target: float) -> list:
    """The settings of which some are below a recall and some above, also on other queries. None
    where it is out of reach.
    """
    if points[-1]["recall"] < target - 0.005:
        return []
    above = sum(point["recall"] < target for point in points)
    return [point["setting"] for point in points[max(0, above - 2) : above + 3]]


def at_recall(recalls: list[float], rates: list[float], target: float) -> float | None:
    """Queries a second at a recall: straight between two settings on logarithmic axes. None where
    it is not reached; where the fastest setting has more, what that does.
    """
    points = sorted(zip(recalls, rates))
    if not points or points[-1][0] < target:
        return None
    missed = np.log([1 - min(recall, 0.9999) for recall, _ in points])
    speeds = np.log([rate for _, rate in points])
    return float(np.exp(np.interp(np.log(1 - target), missed[::-1], speeds[::-1])))


def measure(workers: list[Worker], tuned: list[list[dict]], target: float) -> tuple:
    """Queries a second at a recall of each worker in each round, and what was measured."""
    requests = [
        {"do": "rates", "half": "measure", "settings": around(points, target), "seconds": SECONDS}
        for points in tuned
    ]
    recalls = [
        worker.ask({**request, "do": "recalls"})["recall"]
        for worker, request in zip(workers, requests)
    ]
    rates = by_turns(workers, requests, ROUNDS, "qps")
    speeds = [
        [at_recall(of, values, target) for values in in_rounds]
        for of, in_rounds in zip(recalls, rates)
    ]
    points = [
        {
            "settings": request["settings"],
            "recalls": of,
            "qps_of_settings": [statistics.median(values) for values in zip(*in_rounds)],
        }
        for request, of, in_rounds in zip(requests, recalls, rates)
    ]
    return speeds, points


def compare(workers: list[Worker], row: dict) -> list[dict]:
    """Rows of each contender at each recall, beside hnswlib and the best peer, round by round."""
    tuned = [tune(worker) for worker in workers]
    rows = []
    for target in TARGETS:
        speeds, points = measure(workers, tuned, target)
        part = [
            {**row, "contender": contender(worker), "recall": target, **measured}
            for worker, measured in zip(workers, points)
        ]
        rows += with_ratios(part, speeds)
    return rows


def with_ratios(rows: list[dict], speeds: list[list[float | None]]) -> list[dict]:
    """Adds medians of a contender's rounds, and those of its ratios to hnswlib and the best peer,
    which is the one with the highest median.
    """
    names = [row["contender"] for row in rows]
    medians = [None if None in values else statistics.median(values) for values in speeds]
    peers = [i for i, name in enumerate(names) if name in engines.PEERS and medians[i]]
    best = max(peers, key=lambda i: medians[i], default=None)
    base = next((i for i in peers if names[i] == "hnswlib"), None)

    def ratio(i: int, to: int | None) -> float | None:
        if to is None or medians[i] is None:
            return None
        return statistics.median(a / b for a, b in zip(speeds[i], speeds[to]))

    return [
        {
            **row,
            "qps": medians[i],
            "to_hnswlib": ratio(i, base),
            "to_best_peer": ratio(i, best),
            "best_peer": None if best is None else names[best],
        }
        for i, row in enumerate(rows)
    ]


def data_set(name: str, names: list[str]) -> tuple[list[dict], list[Worker]]:
    """Measures a data set; the workers stay for what else is asked of them."""
    data.prepare(name)
    workers = start(names, name)
    rows = compare(workers, {"what": "recall", "data": name})
    print(f"\n{name}")
    report.print_table(
        rows, ["contender", "recall", "qps", "to_hnswlib", "to_best_peer", "settings"]
    )
    return rows, workers
