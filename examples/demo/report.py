"""The page build/demo/report.html: one file, pictures and charts inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from .charts import latency_chart, recall_chart
from .pictures import data_uri

STYLE = Path(__file__).with_name("style.css")


@dataclass(frozen=True)
class Shot:
    """A picture in a row. `right`: whether it has the query's label; None where there are no labels."""

    path: Path
    caption: str
    note: str = ""
    right: bool | None = None


@dataclass(frozen=True)
class Row:
    """A query and what came back, nearest first."""

    query: Shot
    results: list[Shot]
    title: str = ""  # above the row; code


@dataclass(frozen=True)
class Section:
    """Rows with a heading and a few sentences."""

    title: str
    text: str
    rows: list[Row]
    pixelated: bool = False
    marked: bool = False  # frames say whether a result is right


@dataclass(frozen=True)
class Figure:
    """A headline figure."""

    value: str
    name: str
    note: str = ""


@dataclass
class Report:
    """All that the page says."""

    title: str
    lead: str
    facts: list[str]  # one line of small print under the lead: machine, encoder, date
    figures: list[Figure]
    sections: list[Section]
    latency: Mapping[str, Sequence[float]]  # see latency_chart()
    latency_text: str
    latency_table: list[tuple[str, str, str]]  # heading row first
    recall: Mapping[str, Sequence[float]]  # see recall_chart(); may be empty
    recall_ks: Sequence[int]
    promises: list[str]  # kept, each a sentence
    violations: list[str]
    commands: list[tuple[str, str]]  # what it does, the command
    sources: list[str] = field(default_factory=list)


def shot_html(shot: Shot, pixelated: bool, kind: str = "") -> str:
    frame = {True: "right", False: "wrong", None: ""}[shot.right]
    mark = {True: "same label", False: "another label", None: ""}[shot.right]
    classes = " ".join(name for name in ("shot", kind, frame) if name)
    note = f'<span class="note">{escape(shot.note)}</span>' if shot.note else ""
    title = f' title="{escape(mark)}"' if mark else ""
    return (
        f'<figure class="{classes}"{title}><div class="frame"><img src="{data_uri(shot.path, pixelated)}" '
        f'alt="{escape(shot.caption)}"></div><figcaption>{escape(shot.caption)}{note}</figcaption></figure>'
    )


def row_html(row: Row, pixelated: bool) -> str:
    title = f'<div class="row-title"><code>{escape(row.title)}</code></div>' if row.title else ""
    results = "".join(shot_html(shot, pixelated) for shot in row.results)
    if not row.results:
        results = '<p class="none">No item matches.</p>'
    return (
        f'<div class="row">{title}{shot_html(row.query, pixelated, "query")}'
        f'<div class="results">{results}</div></div>'
    )


def section_html(section: Section) -> str:
    legend = (
        '<p class="legend"><span class="key right">same label</span><span class="key wrong">another label</span></p>'
        if section.marked
        else ""
    )
    rows = "".join(row_html(row, section.pixelated) for row in section.rows)
    kind = "rows pixelated" if section.pixelated else "rows"
    return f'<section><h2>{escape(section.title)}</h2><p>{escape(section.text)}</p>{legend}<div class="{kind}">{rows}</div></section>'


def figures_html(figures: Sequence[Figure]) -> str:
    tiles = "".join(
        f'<div class="figure"><dt>{escape(figure.name)}</dt><dd>{escape(figure.value)}'
        f'<span class="note">{escape(figure.note)}</span></dd></div>'
        for figure in figures
    )
    return f'<dl class="figures">{tiles}</dl>'


def table_html(rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = "".join(
        f"<tr><th>{escape(row[0])}</th>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows[1:]
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def speed_html(report: Report) -> str:
    return (
        f"<section><h2>How long a search takes</h2><p>{escape(report.latency_text)}</p>"
        f'<div class="panel">{latency_chart(report.latency)}</div>{table_html(report.latency_table)}</section>'
    )


def recall_html(report: Report) -> str:
    if not report.recall:
        return ""
    keys = "".join(
        f'<span class="key level-{i + 1}">recall@{k}</span>' for i, k in enumerate(report.recall_ks)
    )
    return (
        "<section><h2>Which products are hard</h2><p>For each label: the share of held-out pictures that have an item of the same "
        f"label among the first K results. The figure on the right is recall@{report.recall_ks[0]}.</p>"
        f'<p class="legend">{keys}</p><div class="panel">{recall_chart(report.recall, report.recall_ks)}</div></section>'
    )


def promises_html(report: Report) -> str:
    kept = "".join(f"<li>{escape(promise)}</li>" for promise in report.promises)
    broken = "".join(
        f'<li class="broken">{escape(violation)}</li>' for violation in report.violations
    )
    return (
        "<section><h2>What was checked while the catalogue changed</h2>"
        f'<ul class="checks">{broken}{kept}</ul></section>'
    )


def commands_html(commands: Sequence[tuple[str, str]]) -> str:
    rows = "".join(
        f"<dt>{escape(what)}</dt><dd><pre><code>{escape(command)}</code></pre></dd>"
        for what, command in commands
    )
    return f'<section><h2>Try it yourself</h2><p>Run these in the project\'s folder.</p><dl class="commands">{rows}</dl></section>'


def page(report: Report) -> str:
    """The whole page. Every text is escaped; only the style sheet is taken as it is."""
    facts = "".join(f"<span>{escape(fact)}</span>" for fact in report.facts)
    sources = "".join(f"<p>{escape(source)}</p>" for source in report.sources)
    return f"""<!doctype html>
<html lang="en-GB">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(report.title)}</title>
<style>
{STYLE.read_text(encoding="utf-8")}</style>
</head>
<body>
<main>
<header>
<p class="brand">libvsearch</p>
<h1>{escape(report.title)}</h1>
<p class="lead">{escape(report.lead)}</p>
<p class="facts">{facts}</p>
</header>
{figures_html(report.figures)}
{"".join(section_html(section) for section in report.sections)}
{speed_html(report)}
{recall_html(report)}
{promises_html(report)}
{commands_html(report.commands)}
<footer>{sources}</footer>
</main>
</body>
</html>
"""
