"""What remains of an index after its vectors were all replaced ten times, beside a fresh one."""

from __future__ import annotations

import statistics

from common import report
from common.workers import Worker

from index import data, engines, recall

KINDS = ("window", "drift")
COUNT = "5k" if report.quick() else "30k"
INT8 = engines.OURS[0]
TARGET = 0.95
FAR = 400  # the breadth of the search for vectors that nothing leads to


def measure() -> list[dict]:
    rows = []
    for kind in KINDS:
        name = f"churn-{kind}-{COUNT}"
        data.prepare(name)
        workers = [recall.start([INT8], name, part)[0] for part in ("churned", "fresh")]
        try:
            rows.append({"what": "churn", "data": name, **_beside_fresh(workers)})
        finally:
            recall.close(workers)
    print(f"\nafter {data.TURNOVERS} turnovers, beside a fresh index")
    report.print_table(
        rows,
        [
            *("data", "contender", "qps_ratio", "recall_lost", "lost", "lost_fresh"),
            *("memory_growth", "add_us", "fresh_add_us", "remove_us"),
        ],
    )
    return rows


def _beside_fresh(workers: list[Worker]) -> dict:
    speeds, _ = recall.measure(workers, [recall.tune(worker) for worker in workers], TARGET)
    reached = not any(None in values for values in speeds)
    fixed = {"do": "recalls", "half": "all", "settings": [engines.FIXED_BREADTH]}
    recalls = [worker.ask(fixed)["recall"][0] for worker in workers]
    churned, fresh = (worker.ready for worker in workers)
    lost = {"do": "lost", "size": churned["size"], "setting": FAR}
    return {
        "contender": recall.contender(workers[0]),
        "qps_ratio": statistics.median(a / b for a, b in zip(*speeds)) if reached else None,
        "recall_lost": 100 * (recalls[1] - recalls[0]),
        "lost": workers[0].ask(lost)["lost"],
        "lost_fresh": workers[1].ask(lost)["lost"],
        "memory_growth": churned["memory_growth"],
        "add_us": churned["add_s"] * 1e6,
        "fresh_add_us": fresh["add_s"] * 1e6,
        "remove_us": churned["remove_s"] * 1e6,
    }


def goals(rows: list[dict]) -> list[dict]:
    made = []
    for row in rows:
        label = row["data"] + ", "
        made += [
            report.goal(label + "QPS at recall .95, to fresh", row["qps_ratio"], 0.95, "x"),
            report.goal(
                label + f"recall lost at breadth {engines.FIXED_BREADTH}",
                row["recall_lost"],
                0.5,
                "points",
                at_most=True,
            ),
            report.goal(label + "vectors lost", row["lost"], 0, "", at_most=True),
            report.goal(label + "memory grown", 100 * row["memory_growth"], 5, "%", at_most=True),
            report.goal(
                label + "a delete, to an insert",
                row["remove_us"] / row["add_us"],
                1,
                "x",
                at_most=True,
            ),
        ]
    return made
