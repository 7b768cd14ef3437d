"""Two charts as inline SVG. Colours come from the page's style sheet, so that they suit light and dark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from .metrics import log_histogram, percentile

WIDTH = 720


def tick_label(ms: float) -> str:
    return f"{ms:g} ms" if ms >= 0.1 else f"{ms * 1000:g} µs"


def decades(low: float, high: float) -> list[float]:
    """1-2-5 steps inside [low, high]."""
    steps = [
        m * 10.0**e
        for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for m in (1, 2, 5)
    ]
    return [step for step in steps if low * 0.999 <= step <= high * 1.001]


def latency_chart(series: Mapping[str, Sequence[float]], bins: int = 90) -> str:
    """Histograms one below the other over the same logarithmic axis, with the median and the 99th percentile marked.

    `series`: name to milliseconds. The heights of each are relative to its own highest bar.
    """
    every = [value for values in series.values() for value in values]
    low, high = min(every) * 0.9, max(percentile(every, 99.95), min(every) * 20)
    left, right, panel, gap, axis = 8, 8, 104, 30, 26
    plot = WIDTH - left - right

    def x(value: float) -> float:
        share = math.log(max(value, low) / low) / math.log(high / low)
        return left + plot * min(share, 1.0)

    bottom = len(series) * (panel + gap)
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {bottom + axis}" role="img" '
        f'aria-label="Histograms of search latency: {escape(", ".join(series))}">'
    ]
    for tick in decades(low, high):
        parts.append(
            f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{gap - 6}" y2="{bottom}"/>'
        )
        parts.append(
            f'<text class="tick" x="{x(tick):.1f}" y="{bottom + 18}" text-anchor="middle">{tick_label(tick)}</text>'
        )
    for row, (name, values) in enumerate(series.items()):
        floor = (row + 1) * (panel + gap)
        counts = log_histogram(values, low, high, bins)
        width = plot / bins
        parts.append(f'<g class="series-{row + 1}">')
        for i, count in enumerate(counts):
            if count:
                height = max(1.0, panel * 0.92 * count / max(counts))
                parts.append(
                    f'<rect class="bar" x="{left + i * width:.1f}" y="{floor - height:.1f}" '
                    f'width="{width - 1:.1f}" height="{height:.1f}"/>'
                )
        for percent, text in ((50, "p50"), (99, "p99")):
            at = percentile(values, percent)
            anchor, shift = ("end", -5) if x(at) > WIDTH * 0.8 else ("start", 5)
            parts.append(
                f'<line class="mark" x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{floor - panel}" y2="{floor}"/>'
            )
            parts.append(
                f'<text class="value" x="{x(at) + shift:.1f}" y="{floor - panel + 10}" text-anchor="{anchor}">'
                f"{text} {at:.2f} ms</text>"
            )
        parts.append("</g>")
        parts.append(
            f'<line class="axis" x1="{left}" x2="{WIDTH - right}" y1="{floor}" y2="{floor}"/>'
        )
        parts.append(
            f'<text class="name" x="{left}" y="{floor - panel - 8}">{escape(name)}'
            f'<tspan class="tick" dx="8">{len(values):,} searches</tspan></text>'
        )
    return "".join(parts) + "</svg>"


def recall_chart(rows: Mapping[str, Sequence[float]], ks: Sequence[int]) -> str:
    """One bar a label, the best at the top: the recall at ks[0] in full colour, what larger k add ever lighter."""
    left, right, height, gap, top = 132, 56, 20, 10, 6
    plot = WIDTH - left - right
    ordered = sorted(rows.items(), key=lambda row: row[1], reverse=True)
    bottom = top + len(ordered) * (height + gap)
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {bottom + 22}" role="img" '
        f'aria-label="Recall at {escape(", ".join(map(str, ks)))} for each label">'
    ]
    for percent in (0, 25, 50, 75, 100):
        x = left + plot * percent / 100
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>')
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{percent} %</text>'
        )
    for row, (label, recalls) in enumerate(ordered):
        y = top + row * (height + gap) + gap / 2
        middle = y + height * 0.72
        parts.append(
            f'<text class="name" x="{left - 12}" y="{middle:.1f}" text-anchor="end">{escape(label)}</text>'
        )
        for level, recall in reversed(list(enumerate(recalls))):
            title = f"{label}: recall@{ks[level]} {recall * 100:.1f} %"
            parts.append(
                f'<rect class="level-{level + 1}" x="{left}" y="{y:.1f}" width="{plot * recall:.1f}" height="{height}" rx="3">'
                f"<title>{escape(title)}</title></rect>"
            )
        parts.append(
            f'<text class="value" x="{WIDTH - right + 10}" y="{middle:.1f}">{recalls[0] * 100:.0f} %</text>'
        )
    return "".join(parts) + "</svg>"
