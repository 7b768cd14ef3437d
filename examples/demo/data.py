"""The pictures of the demo: what is sold, what is added later, what is looked for."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class DemoError(Exception):
    """What stops the demo; the message says what to do about it."""


@dataclass(frozen=True)
class Product:
    """A picture on disk and what is known of it."""

    key: str
    path: Path
    label: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Dataset:
    """Three disjoint sets of pictures."""

    title: str
    source: str  # where the pictures come from and under which licence; shown in the report
    folder: Path  # given to `vsx add`
    metadata_file: Path  # given to `vsx add --metadata`
    items: list[Product]  # in the catalogue from the start
    live: list[Product]  # added while searches go on
    queries: list[Product]  # held out: never in the catalogue
    pixelated: bool = False  # so small that a page should show the pixels as they are

    @property
    def labelled(self) -> bool:
        """Whether there are at least two labels, so that a result can be right or wrong."""
        return len({item.label for item in self.items} - {None}) > 1


def write_metadata(path: Path, products: Iterable[Product]) -> None:
    """One JSON object a line, as `vsx add --metadata FILE.jsonl` reads it."""
    with path.open("w", encoding="utf-8") as file:
        for product in products:
            file.write(
                json.dumps({"key": product.key, **product.metadata}, ensure_ascii=False) + "\n"
            )
