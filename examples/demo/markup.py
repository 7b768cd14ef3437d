"""HTML and SVG from Python. Text is escaped unless it is markup already, so none slips through."""

from __future__ import annotations

from html import escape

WITHOUT_END = {"img", "meta"}  # not in SVG: there every element ends


class Markup(str):
    """Text that is HTML or SVG already."""


def markup(content: str) -> Markup:
    """`content` itself if it is markup, else escaped."""
    return content if isinstance(content, Markup) else Markup(escape(content))


def tag(name: str, /, *children: str, **attributes: str | float) -> Markup:
    """An element. `class_` means class, `aria_label` aria-label; empty attributes are left out."""
    words = [name]
    for key, value in attributes.items():
        if value != "":
            shown = f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
            words.append(f'{key.rstrip("_").replace("_", "-")}="{escape(shown)}"')
    end = "" if name in WITHOUT_END else f"</{name}>"
    return Markup(f"<{' '.join(words)}>{join(*children)}{end}")


def join(*parts: str) -> Markup:
    return Markup("".join(map(markup, parts)))


def with_code(text: str) -> Markup:
    """`text` with what stands between backticks as code."""
    parts = text.split("`")
    return join(*(tag("code", part) if i % 2 else part for i, part in enumerate(parts)))
