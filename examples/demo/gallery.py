"""Which queries the page shows, and what came back for them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .data import Dataset, Product
from .quality import Quality
from .report import Row, Section, Shot
from .sampling import stable_order

RESULTS = 8
MOST_QUERIES = 12
WRONG_QUERIES = 2
STAMP_QUERIES = 8
SALT = "vsearch demo page"


def readable(key: str) -> str:
    """A file's name in words."""
    return Path(key).stem.replace("_", " ").replace("-", " ").strip() or key


def pick_queries(dataset: Dataset, quality: Quality) -> tuple[list[int], list[int]]:
    """The first query of each label, whatever came back, and a few whose first result is wrong."""
    queries = dataset.queries
    if not dataset.labelled:
        return stable_order([query.key for query in queries], SALT)[:MOST_QUERIES], []
    first_of: dict[str, int] = {}
    for i, query in enumerate(queries):
        first_of.setdefault(query.label or "", i)
    plain = list(first_of.values())[: MOST_QUERIES - WRONG_QUERIES]
    labels = {item.key: item.label for item in [*dataset.items, *dataset.live]}
    order = stable_order([query.key for query in queries], SALT)
    wrong: list[int] = []
    for i in order:
        taken = {queries[j].label for j in wrong}
        hits = quality.hits[i]
        if (
            i not in plain
            and hits
            and labels.get(hits[0].key) != queries[i].label
            and queries[i].label not in taken
        ):
            wrong.append(i)
        if len(wrong) == WRONG_QUERIES:
            break
    return plain, wrong


def result_shots(
    hits: Sequence[Any], query: Product, by_key: dict[str, Product], marked: bool
) -> list[Shot]:
    shots = []
    for hit in hits[:RESULTS]:
        item = by_key.get(hit.key)
        label = item.label if item else None
        right = (label == query.label) if marked else None
        shots.append(Shot(Path(hit.path), label or readable(hit.key), f"{hit.score:.3f}", right))
    return shots


def query_section(dataset: Dataset, quality: Quality) -> Section:
    """Held-out pictures and their nearest items."""
    by_key = {item.key: item for item in dataset.items}
    plain, wrong = pick_queries(dataset, quality)
    rows = []
    for i in [*plain, *wrong]:
        query = dataset.queries[i]
        shots = result_shots(quality.hits[i], query, by_key, dataset.labelled)
        rows.append(Row(Shot(query.path, query.label or readable(query.key)), shots))
    text = (
        "Each row begins with a picture that is not in the catalogue; the items found follow, "
        "nearest first, with their score (1 is the same picture)."
    )
    if dataset.labelled:
        text += " The first rows are the first held-out picture of each label, whatever it brought."
    if wrong:
        text += f" The last {len(wrong)} were chosen because their first result is wrong."
    return Section("What comes back", text, rows, dataset.pixelated, marked=dataset.labelled)


def quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def filter_section(
    shop: Any, dataset: Dataset, vectors: np.ndarray
) -> tuple[Section, Product, str] | None:
    """One query without and with conditions on metadata; the query and one of the conditions.

    None where the items have no labels.
    """
    if not dataset.labelled:
        return None
    if "tone" in dataset.items[0].metadata:
        position = next(i for i, query in enumerate(dataset.queries) if query.label == "Bag")
        conditions = [
            "label = 'Bag' AND tone < 80",
            "label = 'Bag' AND tone > 200",
            "label IN ('Sneaker', 'Sandal')",
        ]
        text = (
            "The same query four times. Every item carries metadata: its label and its tone, the "
            "mean brightness of the product from 0 to 255, which stands under the pictures."
        )
    else:
        position = 0
        own = dataset.queries[0].label
        other = next(
            label
            for label, _ in Counter(item.label for item in dataset.items).most_common()
            if label != own
        )
        conditions = [f"label = {quoted(other or '')}"]
        text = "The same query twice: all items, and only those whose metadata match a condition."
    query = dataset.queries[position]
    by_key = {item.key: item for item in dataset.items}
    rows = []
    for condition in [None, *conditions]:
        shots = []
        for hit in shop.search(vector=vectors[position], k=RESULTS, where=condition):
            item = by_key[hit.key]
            shots.append(
                Shot(
                    Path(hit.path),
                    item.label or readable(hit.key),
                    str(item.metadata.get("tone", "")),
                )
            )
        note = str(query.metadata.get("tone", ""))
        rows.append(Row(Shot(query.path, query.label or "", note), shots, condition or "all items"))
    return Section("Only some of the items", text, rows, dataset.pixelated), query, conditions[0]


def stamp_section(shop: Any, products: Sequence[Product]) -> Section:
    """In colour: "more like this" for one item of each large group."""
    groups: dict[str, list[Product]] = defaultdict(list)
    for product in products:
        groups[product.metadata["group"]].append(product)
    largest = sorted(groups.values(), key=len, reverse=True)[:STAMP_QUERIES]
    rows = []
    for group in largest:
        chosen = group[stable_order([product.key for product in group], SALT)[0]]
        shots = [
            Shot(Path(hit.path), readable(hit.key), f"{hit.score:.3f}")
            for hit in shop.search(like=chosen.key, k=RESULTS)
        ]
        category = chosen.metadata["category"].split("/")[-1]
        rows.append(Row(Shot(chosen.path, readable(chosen.key), category), shots))
    text = (
        f"The catalogue `build/demo/stamps.vsearch` holds {len(products):,} pictures that come "
        "with the drawing program Tux Paint. Each row asks for more like the item on the left: one "
        "item, drawn at random, of each of the largest groups."
    )
    return Section("In colour: more like this", text, rows)
