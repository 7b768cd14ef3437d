"""The figures that tuning should reach. All are means over the seeds."""

from __future__ import annotations

from common import report
from retrieval.parts import METRICS
from retrieval.sets import Sets


def goals_of(part: str, rows: list[dict], sets: Sets) -> list[dict]:
    """Figures that ``rows`` lack are goals without a value. Losses and speed have none here."""
    make = {
        "head": _head,
        "full": _full,
        "open": _open,
        "colour": _colour,
        "background": _background,
    }.get(part)
    return make(rows, sets) if make else []


def _head(rows: list[dict], sets: Sets) -> list[dict]:
    row = _find(rows, group="head-grocery-arcface")
    return [
        report.goal("head, grocery R@1", row.get("R@1"), 68, "%"),
        report.goal("head, grocery mAP", row.get("mAP"), 56, "%"),
        report.goal("head, grocery, with encoding", row.get("seconds"), 120, "s", at_most=True),
    ]


def _full(rows: list[dict], sets: Sets) -> list[dict]:
    row = _find(rows, group="full-grocery-arcface", what="tuned")
    minutes = row["seconds"] / 60 if row else None
    return [
        report.goal("full, grocery R@1", row.get("R@1"), 90, "%"),
        report.goal("full, grocery mAP", row.get("mAP"), 90, "%"),
        report.goal("full, grocery", minutes, 20, "min", at_most=True),
    ]


def _open(rows: list[dict], sets: Sets) -> list[dict]:
    caltech = [row for row in rows if row["group"] == "full-caltech101-arcface"]
    types = [row for row in rows if row["group"] == "full-types"]
    new = _find(caltech, measured=sets.caltech101_new.name)
    grocery = _find(caltech, measured=sets.grocery.name)
    of_both = _find(rows, group="full-both", measured=sets.grocery.name)
    learned = "half of caltech101 learned, "
    both_learned = "half of caltech101 and of fashion's types learned, "
    return [
        report.goal(learned + "its other half, mAP", new.get("mAP"), 79, "%"),
        report.goal(learned + "its other half, R@1", new.get("R@1"), 92.5, "%"),
        report.goal(learned + "grocery R@1", grocery.get("R@1"), 60, "%"),
        report.goal(learned + "grocery mAP", grocery.get("mAP"), 39, "%"),
        report.goal(both_learned + "grocery R@1", of_both.get("R@1"), 60, "%"),
        report.goal(both_learned + "grocery mAP", of_both.get("mAP"), 39, "%"),
        report.goal(learned + "largest drop", _largest_drop(caltech), 1, "points", at_most=True),
        report.goal(
            "half of fashion's types learned, largest drop",
            _largest_drop(types),
            1,
            "points",
            at_most=True,
        ),
    ]


def _colour(rows: list[dict], sets: Sets) -> list[dict]:
    row = _find(rows, measured=sets.colours_new.name)
    return [report.goal("colour, unseen products, mAP", row.get("mAP"), 26, "%")]


def _background(rows: list[dict], sets: Sets) -> list[dict]:
    plain = _find(rows, group="full-grocery-arcface", what="audit").get("leakage")
    changed = _find(rows, group="full-grocery-background", what="audit").get("leakage")
    both = plain is not None and changed is not None
    recalls = [
        _find(rows, group=group, what="tuned").get("R@1")
        for group in ("full-grocery-arcface", "full-grocery-background")
    ]
    cost = None if None in recalls else recalls[0] - recalls[1]
    less = 100 * (1 - changed / plain) if both else None
    return [
        report.goal("new backgrounds, less leakage than without", less, 25, "%"),
        report.goal("new backgrounds, R@1 lost", cost, 1, "points", at_most=True),
    ]


def _largest_drop(rows: list[dict]) -> float | None:
    """In points of R@1 or mAP, on any of the sets; below 0 if all gained."""
    drops = [
        row[f"{metric} start"] - row[metric]
        for row in rows
        for metric in METRICS
        if row[f"{metric} start"] is not None
    ]
    return max(drops, default=None)


def _find(rows: list[dict], **wanted) -> dict:
    return next((r for r in rows if all(r.get(k) == v for k, v in wanted.items())), {})
