"""What the steps find out, and how the report words it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .data import Dataset
from .live import LiveResult, p50_p99
from .metrics import percentile
from .quality import INDEX_K, RECALL_KS, Quality
from .report import Figure, Report, Section

MOST_SHOWN = 20  # broken promises


@dataclass
class Findings:
    """Begun with the pictures; each step fills in what it has found out."""

    dataset: Dataset
    items: int = field(init=False)  # in the catalogue when the queries were asked
    items_per_s: float = field(init=False)
    encoder: str = field(init=False)
    before: Quality = field(init=False)  # of the held-out queries, before the changes
    after: Quality = field(init=False)  # and after them
    picture_ms: list[float] = field(init=False)  # whole queries by picture
    changes: LiveResult = field(init=False)
    sections: list[Section] = field(default_factory=list)
    filtered: tuple[Path, str] | None = None  # a picture and a condition to search with


def promises(found: Findings) -> list[str]:
    """What held while the catalogue changed; empty if something did not."""
    changes = found.changes
    if changes.violations:
        return []
    total = found.items - changes.removed + changes.added
    return [
        f"None of the {len(changes.during):,} searches during the changes failed or found too few.",
        "No search that began after a removal was acknowledged returned one of the "
        f"{changes.removed:,} removed items.",
        f"Each of the {changes.added:,} added items was the first result for its own picture "
        "as soon as it was acknowledged.",
        f"Closed and opened again, the catalogue holds {total:,} items: none of the removed, "
        "all of the added.",
    ]


def milliseconds(pair: tuple[float, float]) -> str:
    return f"{pair[0]:.2f} / {pair[1]:.2f} ms"


def figures(found: Findings) -> list[Figure]:
    """The tiles at the top of the page."""
    before, after, changes = found.before, found.after, found.changes
    tiles = [
        Figure(
            f"{found.items:,}", "items", f"{found.items_per_s:.0f} a second, from file to index"
        ),
    ]
    if before.recall:
        first, *others = RECALL_KS
        more = " · ".join(f"@{k} {before.recall[k]:.1%}" for k in others)
        tiles.append(
            Figure(
                f"{before.recall[first]:.1%}",
                f"recall@{first} by label",
                f"{more}, {len(before.hits):,} queries",
            )
        )
    tiles.append(
        Figure(
            f"{before.index_recall:.2%}",
            f"index recall@{INDEX_K}",
            f"against exact search; {after.index_recall:.2%} after the changes",
        )
    )
    idle, during = p50_p99(changes.idle.by_vector), p50_p99(changes.during.by_vector)
    picture = p50_p99(found.picture_ms)
    errors = len(changes.violations)
    tiles += [
        Figure(f"{idle[0]:.2f} ms", "search by vector, p50", f"p99 {idle[1]:.2f} ms, two threads"),
        Figure(
            f"{during[0]:.2f} ms", "during changes, p50", f"p99 {during[1]:.2f} ms, two threads"
        ),
        Figure(
            f"{picture[0]:.1f} ms",
            "search by picture, p50",
            f"p99 {picture[1]:.1f} ms: read, encode, search",
        ),
        Figure(
            f"{changes.removed + changes.added:,}",
            "live changes",
            f"{changes.removed:,} removed, {changes.added:,} added",
        ),
        Figure(f"{errors}", "errors during changes", f"in {len(changes.during):,} searches"),
    ]
    return tiles


def latency_table(found: Findings) -> list[tuple[str, ...]]:
    idle, during = found.changes.idle, found.changes.during
    by_vector = [milliseconds(p50_p99(part.by_vector)) for part in (idle, during)]
    by_item = [milliseconds(p50_p99(part.by_item)) for part in (idle, during)]
    by_picture = milliseconds(p50_p99(found.picture_ms))
    rates = [len(idle) / found.changes.idle_s, len(during) / found.changes.during_s]
    return [
        ("p50 / p99", "catalogue at rest", "during changes"),
        ("by vector: the index alone", *by_vector),
        ("by item: more like this", *by_item),
        ("by picture, one thread: read, decode, encode, search", by_picture, "not measured"),
        ("searches of both threads", *(f"{rate:,.0f} a second" for rate in rates)),
    ]


def summarise(
    found: Findings, machine: str, date: str, commands: list[tuple[str, str]], sources: list[str]
) -> Report:
    """The report's contents."""
    changes, before = found.changes, found.before
    rounds = len(changes.remove_ms)
    removal, addition = percentile(changes.remove_ms, 50), percentile(changes.add_ms, 50)
    return Report(
        title=f"{found.items:,} pictures, searched by picture",
        lead=(
            f"A catalogue of {found.dataset.title}, made on this machine by `make demo`: encoded, "
            "indexed, searched, and changed while it was being searched. Every figure below was "
            "measured in that run."
        ),
        facts=[date, machine, f"encoder {found.encoder}"],
        figures=figures(found),
        sections=found.sections,
        latency={
            "Catalogue at rest": changes.idle.by_vector,
            "During changes": changes.during.by_vector,
        },
        latency_text=(
            "Two threads search without pause, by vector and by item in turn: first with the "
            f"catalogue at rest, then while {changes.removed:,} items are removed and "
            f"{changes.added:,} added in {rounds} rounds. Half of the removals took less than "
            f"{removal:.0f} ms a round, half of the additions less than {addition:.0f} ms: they "
            "encode their pictures, which takes the processor away from the searches. The charts "
            "show the searches by vector; their time axis is logarithmic."
        ),
        latency_table=latency_table(found),
        recall=before.by_label,
        recall_ks=RECALL_KS,
        promises=promises(found),
        violations=changes.violations[:MOST_SHOWN],
        commands=commands,
        sources=sources,
    )
