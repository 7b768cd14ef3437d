"""The page build/demo/report.html: one file, pictures and charts inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .charts import MOST_LABELS, latency_chart, recall_chart
from .markup import Markup, tag, with_code
from .pictures import data_uri

STYLE = Path(__file__).with_name("style.css")


@dataclass(frozen=True)
class Shot:
    """A picture in a row. `right`: whether it has the query's label; None: there are no labels."""

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
    latency_table: list[tuple[str, ...]]  # heading row first
    recall: Mapping[str, Sequence[float]]  # see recall_chart(); may be empty
    recall_ks: Sequence[int]
    promises: list[str]  # kept, each a sentence
    violations: list[str]
    commands: list[tuple[str, str]]  # what it does, the command
    sources: list[str] = field(default_factory=list)


def shot_html(shot: Shot, pixelated: bool, kind: str = "") -> Markup:
    frames = {True: ("right", "same label"), False: ("wrong", "another label"), None: ("", "")}
    frame, mark = frames[shot.right]
    picture = tag("img", src=data_uri(shot.path, pixelated), alt=shot.caption)
    note = tag("span", shot.note, class_="note") if shot.note else ""
    return tag(
        "figure",
        tag("div", picture, class_="frame"),
        tag("figcaption", shot.caption, note),
        class_=" ".join(filter(None, ["shot", kind, frame])),
        title=mark,
    )


def row_html(row: Row, pixelated: bool) -> Markup:
    title = tag("div", tag("code", row.title), class_="row-title") if row.title else ""
    results = [shot_html(shot, pixelated) for shot in row.results]
    if not results:
        results = [tag("p", "No item matches.", class_="none")]
    query = shot_html(row.query, pixelated, "query")
    return tag("div", title, query, tag("div", *results, class_="results"), class_="row")


def legend_html(keys: Mapping[str, str]) -> Markup:
    """`keys`: class to name."""
    return tag(
        "p",
        *(tag("span", name, class_=f"key {kind}") for kind, name in keys.items()),
        class_="legend",
    )


def section_html(section: Section) -> Markup:
    rows = [row_html(row, section.pixelated) for row in section.rows]
    return tag(
        "section",
        tag("h2", section.title),
        tag("p", with_code(section.text)),
        legend_html({"right": "same label", "wrong": "another label"}) if section.marked else "",
        tag("div", *rows, class_="rows pixelated" if section.pixelated else "rows"),
    )


def figures_html(figures: Sequence[Figure]) -> Markup:
    tiles = []
    for figure in figures:
        value = tag("dd", figure.value, tag("span", figure.note, class_="note"))
        tiles.append(tag("div", tag("dt", figure.name), value, class_="figure"))
    return tag("dl", *tiles, class_="figures")


def table_html(rows: Sequence[Sequence[str]]) -> Markup:
    head = tag("tr", *(tag("th", cell) for cell in rows[0]))
    body = [
        tag("tr", tag("th", row[0]), *(tag("td", cell) for cell in row[1:])) for row in rows[1:]
    ]
    return tag("table", tag("thead", head), tag("tbody", *body))


def speed_html(report: Report) -> Markup:
    return tag(
        "section",
        tag("h2", "How long a search takes"),
        tag("p", report.latency_text),
        tag("div", latency_chart(report.latency), class_="panel"),
        table_html(report.latency_table),
    )


def recall_html(report: Report) -> Markup:
    if len(report.recall) < 2:
        return Markup()
    text = (
        "For each label: the share of held-out pictures that have an item of the same label among "
        f"the first K results. The figure on the right is recall@{report.recall_ks[0]}."
    )
    if len(report.recall) > MOST_LABELS:
        text += f" Shown are the {MOST_LABELS} hardest of {len(report.recall)} labels."
    return tag(
        "section",
        tag("h2", "Which labels are hard"),
        tag("p", text),
        legend_html({f"level-{i + 1}": f"recall@{k}" for i, k in enumerate(report.recall_ks)}),
        tag("div", recall_chart(report.recall, report.recall_ks), class_="panel"),
    )


def promises_html(report: Report) -> Markup:
    broken = [tag("li", violation, class_="broken") for violation in report.violations]
    kept = [tag("li", promise) for promise in report.promises]
    return tag(
        "section",
        tag("h2", "What was checked while the catalogue changed"),
        tag("ul", *broken, *kept, class_="checks"),
    )


def commands_html(commands: Sequence[tuple[str, str]]) -> Markup:
    rows = []
    for what, command in commands:
        rows += [tag("dt", what), tag("dd", tag("pre", tag("code", command)))]
    return tag(
        "section",
        tag("h2", "Try it yourself"),
        tag("p", "Run these in the project's folder."),
        tag("dl", *rows, class_="commands"),
    )


def page(report: Report) -> str:
    """The whole page."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", report.title),
        tag("style", Markup(STYLE.read_text(encoding="utf-8"))),
    )
    header = tag(
        "header",
        tag("p", "libvsearch", class_="brand"),
        tag("h1", report.title),
        tag("p", with_code(report.lead), class_="lead"),
        tag("p", *(tag("span", fact) for fact in report.facts), class_="facts"),
    )
    main = tag(
        "main",
        header,
        figures_html(report.figures),
        *map(section_html, report.sections),
        speed_html(report),
        recall_html(report),
        promises_html(report),
        commands_html(report.commands),
        tag("footer", *(tag("p", source) for source in report.sources)),
    )
    return "<!doctype html>\n" + tag("html", head, tag("body", main), lang="en-GB") + "\n"
