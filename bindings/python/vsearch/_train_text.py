"""Search by words, learned from the titles of a catalogue."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, SupportsFloat, SupportsIndex, TypeAlias

from . import _native, _progress
from ._arguments import PathLike, count
from ._catalog import Catalog
from .errors import InvalidArgumentError


class TextTrainState(NamedTuple):
    """How far :func:`train_text` is."""

    epoch: int
    """From 1; 0: items are read, ``step`` of ``steps``."""
    epochs: int
    step: int
    """Of this epoch."""
    steps: int
    loss: float
    """Of the last step."""
    seconds_left: float


TextTrainProgress: TypeAlias = "Callable[[TextTrainState], bool | None] | bool | None"


class TextTrainReport:
    """What :func:`train_text` did. ``summary`` is all of it as plain values."""

    def __init__(self, text: str, package: str) -> None:
        self._text = text
        self.package = package
        self.summary: dict[str, Any] = json.loads(text)

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """Of each pass over the pairs its loss and what it found."""
        return self.summary["epochs"]  # type: ignore[no-any-return]

    @property
    def best(self) -> dict[str, Any]:
        """The epoch that was written."""
        return self.epochs[self.summary["best_epoch"] - 1]

    @property
    def examples(self) -> list[dict[str, Any]]:
        """Texts that were not learned, and what they find first."""
        return self.summary["examples"]  # type: ignore[no-any-return]

    def to_json(self) -> str:
        """The summary as text."""
        return self._text

    def __repr__(self) -> str:
        best, last = self.summary["best_epoch"], self.epochs[-1]["epoch"]
        return f"<vsearch.TextTrainReport {self.package!r}: epoch {best} of {last}>"


def train_text(
    catalog: Catalog,
    output: PathLike,
    *,
    fields: str | Iterable[str] = ("title",),
    model: PathLike | None = None,
    held_out: SupportsFloat = 0.1,
    epochs: SupportsIndex = 30,
    batch_size: SupportsIndex = 512,
    rate: SupportsFloat = 2e-3,
    weight_decay: SupportsFloat = 0.05,
    width: SupportsIndex = 128,
    most_pieces: SupportsIndex = 20_000,
    patience: SupportsIndex = 8,
    seed: int = 1,
    progress: TextTrainProgress = None,
) -> TextTrainReport:
    """Learns a text encoder from the titles and the embeddings that ``catalog`` holds, and writes
    the package ``output``: the catalogue's model, which then understands words.

    ``fields`` are those of the metadata that have words, joined; items without are left out.
    ``model`` is the package of the catalogue's embeddings, where it is not found by its name. A
    share ``held_out`` of the different texts is measured with instead of learned. Embeddings of
    pictures stay the same: :meth:`Catalog.reencode` takes the package over without encoding one.
    docs/training.md has each option.

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
    text = _native.train_text(catalog._native, output, options, _callback(progress))
    return TextTrainReport(text, os.fspath(output))


def _callback(progress: TextTrainProgress) -> Callable[..., bool | None] | None:
    if progress is None or progress is False:
        return None
    tell = _bars() if progress is True else progress
    return lambda *state: tell(TextTrainState(*state))


def _bars() -> Callable[[TextTrainState], None]:
    """A bar over the items that are read, then one over all steps."""
    reading = _progress.Bar("items")
    learning = _progress.Bar("steps")

    def tell(state: TextTrainState) -> None:
        if state.epoch == 0:
            reading(state.step, state.steps)
        else:
            learning((state.epoch - 1) * state.steps + state.step, state.epochs * state.steps)

    return tell
