"""Search by words, learned from the titles of a catalogue."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, SupportsFloat, SupportsIndex

from . import _native
from ._arguments import PathLike, count
from ._catalog import Catalog
from ._train import Report, TrainProgress, TrainState, _callback
from .errors import InvalidArgumentError

# In epoch 0 items are read, and texts encoded by a sentence encoder.
TextTrainState = TrainState


class TextTrainReport(Report):
    """What :func:`train_text` did. ``summary`` is all of it as plain values."""

    @property
    def best(self) -> dict[str, Any]:
        """The epoch that was written."""
        return self.epochs[self.best_epoch - 1]

    @property
    def examples(self) -> list[dict[str, Any]]:
        """Texts that were not learned, and what they find first."""
        return self.summary["examples"]  # type: ignore[no-any-return]


def train_text(
    catalog: Catalog,
    output: PathLike,
    *,
    fields: str | Iterable[str] = ("title",),
    model: PathLike | None = None,
    sentence: PathLike | None = None,
    held_out: SupportsFloat = 0.1,
    epochs: SupportsIndex = 30,
    batch_size: SupportsIndex = 512,
    rate: SupportsFloat = 2e-3,
    weight_decay: SupportsFloat = 0.05,
    width: SupportsIndex = 128,
    most_pieces: SupportsIndex = 20_000,
    patience: SupportsIndex = 8,
    seed: int = 1,
    progress: TrainProgress = None,
) -> TextTrainReport:
    """Learns a text encoder from the titles and the embeddings that ``catalog`` holds, and writes
    the package ``output``: the catalogue's model, which then understands words.

    ``fields`` are those of the metadata that have words, joined; items without are left out.
    ``model`` is the package of the catalogue's embeddings, where it is not found by its name.
    ``sentence`` is a sentence encoder to stand behind (``vsx model export sentence``), so that
    words that no title has mean something too. A share ``held_out`` of the different texts is
    measured with instead of learned. Embeddings of pictures stay the same:
    :meth:`Catalog.reencode` takes the package over without encoding one. docs/training.md has each
    option.

    ``progress`` is True for a bar on stderr, or a callable(:class:`TextTrainState`). If it returns
    False, training ends and the best so far is written; so it is if it raises, or at Ctrl-C, and
    then the exception is raised.

    Raises ValueError (no item has a text; too few different texts; numbers that make no sense; a
    model with a text tower of its own), FileNotFoundError, :class:`EncoderMismatchError`,
    :class:`BadModelError`, :class:`CancelledError` (ended before anything was learned),
    MemoryError, :class:`UnavailableError` (a build without torch).
    """
    if not isinstance(catalog, Catalog):
        raise InvalidArgumentError(f"words are learned from a vsearch.Catalog, not {catalog!r}")
    options: dict[str, Any] = {
        "fields": [fields] if isinstance(fields, str) else list(fields),
        "held_out": held_out,
        "epochs": count(epochs, "epochs"),
        "batch_size": count(batch_size, "batch_size"),
        "rate": rate,
        "weight_decay": weight_decay,
        "width": count(width, "width"),
        "most_pieces": count(most_pieces, "most_pieces"),
        "patience": count(patience, "patience"),
        "seed": seed,
    }
    if model is not None:
        options["model"] = model
    if sentence is not None:
        options["sentence"] = sentence
    text = _native.train_text(catalog._native, output, options, _callback(progress, "items"))
    return TextTrainReport(text, os.fspath(output))
