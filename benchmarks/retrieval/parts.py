"""What is tuned in each part of the benchmark, and what its rows say: figures of the start and of
the tuned models, as the mean, the least and the most of the seeds.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable

from common import report
from retrieval import runs
from retrieval.runs import Tuning
from retrieval.sets import Set, Sets

SEEDS = range(1, 1 + int(os.environ.get("SEEDS") or (1 if report.quick() else 3)))
LOSSES = (
    "arcface",
    "subcentre",
    "cosface",
    "normsoftmax",
    "proxyanchor",
    "supcon",
    "triplet",
    "multisimilarity",
)
HEAD = ("--depth", "head", *(("--epochs", "20") if report.quick() else ()))
# Colours tell groceries apart, so they are left as they are.
AS_COLOURED = ("--colour-jitter", "0", "--greyscale", "0")
FULL = ("--depth", "full", "--epochs", "18", "--erase", "0", *AS_COLOURED)
# Classes that are held out are found well from the second epoch on, those of other kinds later.
# Pictures in pictures keep the few that are learned from being learned by heart.
OPEN = ("--depth", "full", "--epochs", "6", "--rate", "2e-5", "--held-out", "0", "--cut-mix", "0.5")
# Where colours are what is learned, they must not be changed by chance.
COLOUR = ("--depth", "full", "--epochs", "4", "--labels", "articleType,baseColour", *AS_COLOURED)
BACKGROUND = ("--new-background", "0.5")
LEAKAGE = "share of the background"
METRICS = ("R@1", "mAP")


def tunings(part: str, sets: Sets) -> list[Tuning]:
    return {
        "head": head,
        "full": full,
        "open": open_set,
        "colour": colour,
        "losses": losses,
        "background": background,
    }[part](sets)


def head(sets: Sets, loss: str = "arcface") -> list[Tuning]:
    group = f"head-grocery-{loss}"
    # The part that measures seconds begins with nothing in the cache.
    return _seeds(
        group,
        sets.grocery,
        (*HEAD, *_loss(loss)),
        (sets.grocery,),
        cold=loss == "arcface",
    )


def full(sets: Sets, loss: str = "arcface") -> list[Tuning]:
    # Audited to be compared with what is learned with other backgrounds.
    audited = sets.grocery if loss == "arcface" else None
    group, options = f"full-grocery-{loss}", (*FULL, *_loss(loss))
    return _seeds(group, sets.grocery, options, (sets.grocery,), audited=audited)


def open_set(sets: Sets) -> list[Tuning]:
    never_seen = (sets.types_new, sets.caltech101, sets.grocery)
    types = _seeds("full-types", sets.types_all_learned, OPEN, never_seen)
    new = (sets.caltech101_new, sets.types_new, sets.grocery)
    both = _seeds("full-both", sets.both_all_learned, OPEN, new)
    return [*open_caltech(sets), *types, *both]


def open_caltech(sets: Sets, loss: str = "arcface") -> list[Tuning]:
    group, options = f"full-caltech101-{loss}", (*OPEN, *_loss(loss))
    measured = (sets.caltech101_new, sets.grocery, sets.fashion)
    return _seeds(group, sets.caltech101_all_learned, options, measured)


def colour(sets: Sets) -> list[Tuning]:
    return _seeds("full-colour", sets.colours_learned, COLOUR, (sets.colours_new,))


def losses(sets: Sets) -> list[Tuning]:
    every = []
    for loss in LOSSES:
        every += head(sets, loss)
        group, options = f"head-caltech101-{loss}", (*HEAD, *_loss(loss))
        every += _seeds(group, sets.caltech101_learned, options, (sets.caltech101_new,))
        if os.environ.get("FULL_LOSSES", "") not in ("", "0"):
            every += [*full(sets, loss), *open_caltech(sets, loss)]
    return every


def background(sets: Sets) -> list[Tuning]:
    options = (*FULL, *BACKGROUND)
    changed = _seeds(
        "full-grocery-background", sets.grocery, options, (sets.grocery,), audited=sets.grocery
    )
    return [*full(sets), *changed]


def _loss(loss: str) -> tuple[str, ...]:
    return ("--loss", loss)


def _seeds(
    group: str, learned: Set, options: tuple[str, ...], measured: tuple[Set, ...], **more
) -> list[Tuning]:
    return [Tuning(group, seed, learned, options, measured, **more) for seed in SEEDS]


# ---- what the rows say ----


def is_done(part: str, sets: Sets) -> bool:
    return all(runs.find(t.name, runs.tuning_key(t)) for t in tunings(part, sets))


def rows_of(part: str, sets: Sets) -> list[dict]:
    """A row for each group and each set it is measured on, of the seeds that are done."""
    rows = []
    for group in _groups(tunings(part, sets)):
        done = [row for row in (runs.find(t.name, runs.tuning_key(t)) for t in group) if row]
        if not done:
            continue
        first = group[0]
        about = {
            "what": "tuned",
            "part": part,
            "group": first.group,
            "learned": first.learned.name,
            "options": " ".join(first.options),
            "seeds": len(done),
            **_spread("seconds", [row["seconds"] for row in done]),
            **_spread("epochs_s", [sum(e["seconds"] for e in row["epochs"]) for row in done]),
            "best_epochs": [row["best_epoch"] for row in done],
            "mixtures": [row["mixture"] for row in done],
            "dropped_forms": sorted({form for row in done for form in row["dropped_forms"]}),
            "commits": sorted({row["commit"] for row in done}),
        }
        for one in first.measured:
            rows.append({**about, **_figures(one, [row["measured"][one.name] for row in done])})
        audits = [row["audit"] for row in done if LEAKAGE in row.get("audit", {})]
        if first.audited and audits:
            start = runs.find(*runs.start_audit_row(first.audited)) or {}
            rows.append(
                {
                    "what": "audit",
                    "part": part,
                    "group": first.group,
                    "measured": first.audited.name,
                    "leakage start": start.get(LEAKAGE),
                    **_spread("leakage", [audit[LEAKAGE] for audit in audits]),
                }
            )
    return rows


def _figures(one: Set, measured: list[dict]) -> dict:
    start = runs.find(*runs.start_row(one)) or {}
    figures: dict = {
        "measured": one.name,
        "queries": measured[0]["queries"],
        "gallery": measured[0]["gallery"],
        "precision start": start.get("precision"),
        "precision": "/".join(sorted({found["precision"] for found in measured})),
    }
    for metric in METRICS:
        figures[f"{metric} start"] = start.get(metric)
        figures |= _spread(metric, [found[metric] for found in measured])
    return figures


def _spread(name: str, values: list[float]) -> dict:
    return {name: statistics.fmean(values), f"{name} low": min(values), f"{name} high": max(values)}


def _groups(every: list[Tuning]) -> list[list[Tuning]]:
    groups: dict[str, list[Tuning]] = {}
    for tuning in every:
        groups.setdefault(tuning.group, []).append(tuning)
    return list(groups.values())


def table(rows: Iterable[dict]) -> list[dict]:
    """The rows as people read them: "54.8 → 90.1 (89.8..90.5)"."""
    shown = []
    for row in rows:
        if row["what"] == "audit":
            shown.append(
                {
                    "tuned": row["group"],
                    "measured on": f"audit of {row['measured']}",
                    "background's share": _change(row, "leakage"),
                }
            )
            continue
        line = {"tuned": row["group"], "measured on": row["measured"], "seeds": row["seeds"]}
        line |= {metric: _change(row, metric) for metric in METRICS}
        line["seconds"] = f"{row['seconds']:.0f} ({_range(row, 'seconds', 0)})"
        line["precision"] = f"{row['precision start']}, {row['precision']}"
        shown.append(line)
    return shown


def _change(row: dict, name: str) -> str:
    before = row[f"{name} start"]
    start = "-" if before is None else f"{before:.1f}"
    return f"{start} → {row[name]:.1f} ({_range(row, name, 1)})"


def _range(row: dict, name: str, digits: int) -> str:
    return f"{row[f'{name} low']:.{digits}f}..{row[f'{name} high']:.{digits}f}"
