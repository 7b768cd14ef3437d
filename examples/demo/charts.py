"""Two charts as inline SVG. Colours come from the style sheet, so that they suit light and dark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from .markup import Markup, tag
from .metrics import log_histogram, percentile

WIDTH = 720
BINS = 90
MOST_LABELS = 24
LONGEST_NAME = 18


def line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return tag("line", class_=kind, x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2))


def rect(kind: str, x: float, y: float, width: float, height: float, title: str) -> Markup:
    place = {"x": float(x), "y": float(y), "width": float(width), "height": float(height)}
    return tag("rect", tag("title", title), class_=kind, **place)


def text(kind: str, x: float, y: float, content: str, anchor: str = "start") -> Markup:
    return tag("text", content, class_=kind, x=float(x), y=float(y), text_anchor=anchor)


def chart(width: int, height: float, description: str, elements: list[Markup]) -> Markup:
    """A whole picture; `description` is what a screen reader says."""
    box = f"0 0 {width} {height:.0f}"
    return tag("svg", *elements, class_="chart", viewBox=box, role="img", aria_label=description)


def decades(low: float, high: float) -> list[float]:
    """1-2-5 steps inside [low, high]."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = [factor * 10.0**exponent for exponent in exponents for factor in (1, 2, 5)]
    return [step for step in steps if low * 0.999 <= step <= high * 1.001]


def latency_chart(series: Mapping[str, Sequence[float]]) -> Markup:
    """Histograms one below the other, with the median and the 99th percentile marked.

    `series`: name to milliseconds. All share a logarithmic axis; the heights of each are relative
    to its own highest bar.
    """
    every = [value for values in series.values() for value in values]
    low, high = min(every) * 0.9, max(percentile(every, 99.95), min(every) * 20)
    margin, panel, gap = 8, 116, 30
    plot = WIDTH - 2 * margin
    bottom = len(series) * (panel + gap)

    def x(value: float) -> float:
        share = math.log(max(value, low) / low) / math.log(high / low)
        return margin + plot * min(share, 1.0)

    elements = []
    for tick in decades(low, high):
        elements.append(line("grid", x(tick), gap - 6, x(tick), bottom))
        if margin + 20 < x(tick) < WIDTH - margin - 20:
            elements.append(text("tick", x(tick), bottom + 18, f"{tick:g} ms", "middle"))
    for row, (name, values) in enumerate(series.items()):
        floor = (row + 1) * (panel + gap)
        counts = log_histogram(values, low, high, BINS)
        bars = []
        for i, count in enumerate(counts):
            if count:
                height = max(1.0, panel * 0.8 * count / max(counts))
                left = margin + plot * i / BINS
                title = f"{count:,} searches"
                bars.append(rect("bar", left, floor - height, plot / BINS - 1, height, title))
        elements.append(tag("g", *bars, class_=f"series-{row + 1}"))
        elements.append(line("axis", margin, floor, WIDTH - margin, floor))
        for percent in (50, 99):
            at = percentile(values, percent)
            label = f"p{percent} {at:.2f} ms"
            elements.append(line("mark", x(at), floor - panel, x(at), floor))
            if x(at) > WIDTH * 0.8:
                elements.append(text("value", x(at) - 5, floor - panel + 10, label, "end"))
            else:
                elements.append(text("value", x(at) + 5, floor - panel + 10, label))
        elements.append(
            text("name", margin, floor - panel - 8, f"{name}, {len(values):,} searches")
        )
    description = f"Histograms of search latency: {', '.join(series)}"
    return chart(WIDTH, bottom + 26, description, elements)


def recall_chart(rows: Mapping[str, Sequence[float]], ks: Sequence[int]) -> Markup:
    """One bar a label, the easiest at the top; of very many labels only the hardest.

    The recall at ks[0] stands in full colour; what larger k add is ever lighter.
    """
    left, right, height, gap, top = 132, 56, 20, 10, 6
    plot = WIDTH - left - right
    shown = sorted(rows.items(), key=lambda row: tuple(row[1]), reverse=True)[-MOST_LABELS:]
    bottom = top + len(shown) * (height + gap)
    elements = []
    for percent in (0, 25, 50, 75, 100):
        x = left + plot * percent / 100
        elements.append(line("grid", x, top, x, bottom))
        elements.append(text("tick", x, bottom + 16, f"{percent} %", "middle"))
    for row, (label, recalls) in enumerate(shown):
        y = top + row * (height + gap) + gap / 2
        middle = y + height * 0.72
        name = label if len(label) <= LONGEST_NAME else label[: LONGEST_NAME - 1] + "…"
        elements.append(text("name", left - 12, middle, name, "end"))
        for level, recall in reversed(list(enumerate(recalls))):
            title = f"{label}: recall@{ks[level]} {recall:.1%}"
            elements.append(rect(f"level-{level + 1}", left, y, plot * recall, height, title))
        elements.append(text("value", WIDTH - right + 10, middle, f"{recalls[0]:.0%}"))
    description = f"Recall at {', '.join(map(str, ks))} for each label"
    return chart(WIDTH, bottom + 22, description, elements)
