#!/usr/bin/env python3
"""make bench-encoder: the encoder beside its peers, in one run, by turns.

Peers: PyTorch, ONNX Runtime and OpenVINO, each with several settings, of which the best counts.
QUICK=1: fewer batch sizes and rounds. BENCH_THREADS: threads of every contender (2).
"""

from __future__ import annotations

import statistics

from common import report
from common.workers import Worker, by_turns

from encoder import contenders, models, quality, startup

WORKER = "encoder.contenders"
BATCHES = (1, 8) if report.quick() else (1, 8, 32)
ROUNDS = 5
SECONDS = 0.25 if report.quick() else 0.6


def start(names: list[str], shape: str) -> list[Worker]:
    # What a contender needs is made here, one thing after the other.
    models.package(shape)
    for kind in ("fp32", "fused", "dynamic", "qdq"):
        models.onnx_file(shape, kind)
    models.openvino_file(shape)
    return [Worker(WORKER, [name, shape]) for name in names]


def summarise(row: dict, names: list[str], rates: list[list[float]]) -> list[dict]:
    """Rows with medians, and what matters: the ratio of each round to the best peer of that round.

    The best peer is that with the highest median.
    """
    medians = [statistics.median(values) for values in rates]
    best = max(
        (i for i, name in enumerate(names) if name not in contenders.OURS),
        key=lambda i: medians[i],
    )
    rows = []
    for name, values, median in zip(names, rates, medians):
        ratios = [value / peer for value, peer in zip(values, rates[best])]
        rows.append(
            {
                **row,
                "contender": name,
                "pictures_per_s": median,
                "to_best_peer": statistics.median(ratios),
                "best_peer": names[best],
            }
        )
    return rows


def models_alone(shape: str) -> list[dict]:
    names = [*contenders.OURS, *contenders.PEERS]
    workers = start(names, shape)
    rows = []
    try:
        for batch in BATCHES:
            rates = by_turns(workers, {"batch": batch, "seconds": SECONDS}, ROUNDS, "rate")
            rows += summarise({"what": "model", "shape": shape, "batch": batch}, names, rates)
            print(f"\n{shape}, model alone, batches of {batch}")
            report.print_table(rows[-len(names) :], ["contender", "pictures_per_s", "to_best_peer"])
    finally:
        for worker in workers:
            worker.close()
    return rows


def from_files(rows_alone: list[dict]) -> list[dict]:
    """From JPEG file to vector with DeiT-Ti: we and the peers' best settings of batch 8."""
    alone = [row for row in rows_alone if row["shape"] == "deit-ti" and row["batch"] == 8]
    peers = [row for row in alone if row["contender"] not in contenders.OURS]
    best = max(peers, key=lambda row: row["pictures_per_s"])["contender"]
    names = [*contenders.OURS, best, "torch-fp32"]
    workers = start(names, "deit-ti")
    rows = []
    try:
        for pictures, files in (
            ("1200x900", models.large_pictures()),
            ("200 px", models.small_pictures(96 if report.quick() else 512)),
        ):
            for decoding in ("scaled", "exact"):
                request = {
                    "files": [str(path) for path in files],
                    "draft": decoding == "scaled",
                    "seconds": SECONDS,
                }
                rates = by_turns(workers, request, ROUNDS, "rate")
                row = {"what": "files", "shape": "deit-ti", "pictures": pictures}
                rows += summarise({**row, "decoding": decoding}, names, rates)
                print(f"\nfrom JPEG file to vector, {pictures}, {decoding} decoding")
                report.print_table(
                    rows[-len(names) :], ["contender", "pictures_per_s", "to_best_peer"]
                )
    finally:
        for worker in workers:
            worker.close()
    return rows


def find(rows: list[dict], **wanted) -> list[dict]:
    return [row for row in rows if all(row.get(k) == v for k, v in wanted.items())]


def ours(rows: list[dict]) -> float:
    """The best of our precisions, in pictures a second."""
    return max(row["pictures_per_s"] for row in rows if row["contender"] in contenders.OURS)


def ratio_goals(alone: list[dict], files: list[dict]) -> list[dict]:
    goals = []
    for shape in models.SHAPES:
        for batch in BATCHES:
            rows = find(alone, shape=shape, batch=batch)
            value = max(r["to_best_peer"] for r in rows if r["contender"] in contenders.OURS)
            goals.append(report.goal(f"{shape} batch {batch}, to the best peer", value, 1.0, "x"))
    for pictures in ("1200x900", "200 px"):
        scaled = find(files, pictures=pictures, decoding="scaled")
        exact = find(files, pictures=pictures, decoding="exact")
        best_name = scaled[0]["best_peer"]
        mine = ours(scaled)

        def rate(rows: list[dict], name: str) -> float:
            return find(rows, contender=name)[0]["pictures_per_s"]

        label = f"{pictures} file to vector, to "
        draft, plain = rate(scaled, best_name), rate(exact, exact[0]["best_peer"])
        eager = rate(exact, "torch-fp32")
        goals += [
            report.goal(label + "best peer + Pillow draft", mine / draft, 1.2, "x"),
            report.goal(label + "best peer + Pillow", mine / plain, 1.6, "x"),
            report.goal(label + "PyTorch fp32 + Pillow", mine / eager, 3.0, "x"),
        ]
    return goals


def main() -> None:
    alone, peaks = [], []
    for shape in models.SHAPES:
        peaks.append(quality.gemm_peaks())
        alone += models_alone(shape)
    finish(alone, peaks)


def finish(alone: list[dict], peaks: list[dict[str, float]]) -> None:
    files = from_files(alone)
    peak_rows, peak_goals = quality.gemm_share(alone, peaks)
    loss_rows, loss_goals = quality.losses()
    start_rows, start_goals = startup.measure()
    rows = [*alone, *files, *peak_rows, *loss_rows, *start_rows]
    goals = [*ratio_goals(alone, files), *peak_goals, *loss_goals, *start_goals]
    path = report.write("encoder", rows, goals, threads=contenders.THREADS)
    report.print_goals(goals)
    print(f"\nwrote {path.relative_to(report.ROOT)}")


if __name__ == "__main__":
    main()
