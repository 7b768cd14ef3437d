"""The plots of a report as matplotlib figures: ``vsearch.plots.recall_curve(evaluation)``.

matplotlib is needed for this module alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ._measure import Evaluation, ProtocolResult
from ._train import TrainReport

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RIGHT, _WRONG = "#2a7f62", "#b5432e"


def recall_curve(*evaluations: Evaluation, protocol: str | None = None) -> Figure:
    """Recall at each K that was measured, a line an evaluation, with its 95 % band."""
    figure, axes = _figure("K", "Recall@K")
    for evaluation in evaluations:
        summary = evaluation.summary
        metrics = _summary(evaluation, protocol)["metrics"]
        points = sorted((int(n[2:]), m) for n, m in metrics.items() if n.startswith("R@"))
        ks = [k for k, _ in points]
        label = summary["encoder"]
        if summary["rerank"] != "none":
            label += f" + {summary['rerank']}"
        (line,) = axes.plot(ks, [m["mean"] for _, m in points], marker="o", label=label)
        axes.fill_between(
            ks,
            [m["low"] for _, m in points],
            [m["high"] for _, m in points],
            color=line.get_color(),
            alpha=0.2,
        )
    axes.set_ylim(0, 1)
    axes.legend(loc="lower right")
    return figure


def class_bars(
    evaluation: Evaluation, metric: str = "mAP", protocol: str | None = None, worst: int = 20
) -> Figure:
    """The classes that are found worst."""
    groups = sorted(_summary(evaluation, protocol)["by_class"], key=lambda g: g["metrics"][metric])
    shown = groups[:worst][::-1]
    figure, axes = _figure(metric, "")
    axes.barh([g["group"] for g in shown], [g["metrics"][metric] for g in shown], color=_RIGHT)
    axes.set_xlim(0, 1)
    figure.set_size_inches(7, 1 + 0.25 * len(shown))
    return figure


def score_histogram(evaluation: Evaluation, protocol: str | None = None) -> Figure:
    """How similar the nearest right and the nearest wrong answer of each query are."""
    scores = _result(evaluation, protocol).scores
    figure, axes = _figure("cosine", "queries")
    pairs = ((scores.nearest_right, "right", _RIGHT), (scores.nearest_wrong, "wrong", _WRONG))
    for values, name, colour in pairs:
        known = values[np.isfinite(values)]
        axes.hist(known, bins=40, alpha=0.6, color=colour, label=f"nearest {name}")
    axes.legend()
    return figure


def calibration(evaluation: Evaluation, protocol: str | None = None, buckets: int = 10) -> Figure:
    """How often the first answer is right, by how similar it is."""
    answers = [of_query[0] for of_query in _result(evaluation, protocol).scores.answers if of_query]
    similarity = np.array([answer.similarity for answer in answers])
    right = np.array([answer.right for answer in answers])
    figure, axes = _figure("cosine of the first answer", "share right")
    edges = np.quantile(similarity, np.linspace(0, 1, buckets + 1))
    bucket = np.clip(np.searchsorted(edges, similarity, side="right") - 1, 0, buckets - 1)
    filled = [b for b in range(buckets) if (bucket == b).any()]
    axes.plot(
        [similarity[bucket == b].mean() for b in filled],
        [right[bucket == b].mean() for b in filled],
        marker="o",
        color=_RIGHT,
    )
    axes.set_ylim(0, 1)
    return figure


def learning_curve(*reports: TrainReport) -> Figure:
    """What is held out after each epoch, a line a report; a ring marks the one that was written."""
    figure, axes = _figure("epoch", "mAP of what is held out")
    for report in reports:
        points = [(e["epoch"], e["held_out_mAP"]) for e in report.epochs]
        measured = [(epoch, value) for epoch, value in points if value is not None]
        name = os.path.basename(report.package)
        (line,) = axes.plot(*zip(*measured, strict=True), label=name) if measured else axes.plot([])
        written = dict(measured).get(report.best_epoch)
        if written is not None:
            axes.plot(report.best_epoch, written, "o", color=line.get_color(), fillstyle="none")
    axes.legend(loc="lower right")
    return figure


def _figure(x: str, y: str) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure  # without pyplot, which keeps figures and picks a screen

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _named(names: Sequence[str], protocol: str | None) -> int:
    if protocol is None:
        return 0
    if protocol not in names:
        raise KeyError(f"there is no protocol {protocol!r}; there are {', '.join(names)}")
    return names.index(protocol)


def _summary(evaluation: Evaluation, protocol: str | None) -> dict[str, Any]:
    results: list[dict[str, Any]] = evaluation.summary["protocols"]
    return results[_named([result["protocol"] for result in results], protocol)]


def _result(evaluation: Evaluation, protocol: str | None) -> ProtocolResult:
    results = evaluation.results
    return results[_named([result.protocol for result in results], protocol)]
