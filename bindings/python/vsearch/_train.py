"""Training: from a model and labelled pictures to a model that finds better."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, SupportsFloat, SupportsIndex, TypeAlias

from . import _native, _progress
from ._arguments import PathLike, count, is_path
from ._encoder import _device
from ._measure import Dataset
from .errors import InvalidArgumentError


@dataclass(frozen=True)
class Augmentation:
    """How pictures are changed before each step, each differently each time, so that what does not
    matter is not learned."""

    random_crop: bool = True
    """A part of 20 to 100 % of the area."""
    flip: bool = True
    """Left and right: not for writing."""
    colour_jitter: float = 0.4
    """The largest change of brightness, contrast and saturation; 0: none."""
    greyscale: float = 0.1
    """How often."""
    new_background: float = 0.0
    """How often the background becomes another picture's."""
    erase: float = 0.1
    """How often a rectangle becomes grey."""


class TrainState(NamedTuple):
    """How far :func:`train`, :func:`distill` or :func:`train_text` is."""

    epoch: int
    """From 1; 0: the start model encodes pictures, or :func:`train_text` reads items, ``step`` of
    ``steps``."""
    epochs: int
    step: int
    """Of this epoch."""
    steps: int
    loss: float
    """Of the last step."""
    seconds_left: float


TrainProgress: TypeAlias = "Callable[[TrainState], bool | None] | bool | None"


class Report:
    """What training did. ``summary`` is all of it as plain values."""

    def __init__(self, text: str, package: str) -> None:
        self._text = text
        self.package = package
        self.summary: dict[str, Any] = json.loads(text)

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """Of each pass over what is learned from what it cost and what it found; those of
        :func:`train` and :func:`distill` begin with the start, before the first step."""
        return self.summary["epochs"]  # type: ignore[no-any-return]

    @property
    def best_epoch(self) -> int:
        """The one that was written."""
        return self.summary["best_epoch"]  # type: ignore[no-any-return]

    def to_json(self) -> str:
        """The summary as text."""
        return self._text

    def __repr__(self) -> str:
        last = self.epochs[-1]["epoch"]
        name = type(self).__name__
        return f"<vsearch.{name} {self.package!r}: epoch {self.best_epoch} of {last}>"


class TrainReport(Report):
    """What :func:`train` did. ``summary`` is all of it as plain values."""

    @property
    def data(self) -> dict[str, Any]:
        """What was learned from: pictures, classes, held_out; rare classes, suspects (pictures
        whose label may be wrong: path, label, looks_like, margin) and leaks (near-duplicates of
        what is measured with, left out: path, of)."""
        return self.summary["data"]  # type: ignore[no-any-return]


def train(
    model: PathLike | None,
    data: Dataset | PathLike,
    output: PathLike,
    *,
    depth: str = "head",
    loss: str = "arcface",
    margin: SupportsFloat | None = None,
    scale: SupportsFloat | None = None,
    sub_centres: SupportsIndex = 3,
    label_fields: Iterable[str] = (),
    split: str = "",
    held_out_classes: SupportsFloat = 0.2,
    keep_apart: Dataset | PathLike | Iterable[Dataset | PathLike] = (),
    epochs: SupportsIndex | None = None,
    batch_size: SupportsIndex | None = None,
    rate: SupportsFloat | None = None,
    head_rate: SupportsFloat | None = None,
    weight_decay: SupportsFloat = 0.05,
    layer_decay: SupportsFloat = 1.0,
    warm_up: SupportsFloat = 0.1,
    clip_gradients: SupportsFloat = 1.0,
    optimiser: str = "adamw",
    accumulate: SupportsIndex = 1,
    mean_decay: SupportsFloat = 0.0,
    blocks: SupportsIndex = 4,
    lora_rank: SupportsIndex = 0,
    cut_mix: SupportsFloat = 0.0,
    per_class: SupportsIndex = 0,
    balance_classes: bool = False,
    balance_field: str = "",
    batch_field: str = "",
    in_turn: bool = False,
    own_classifiers: bool = False,
    head: str = "learned",
    hidden: SupportsIndex = 0,
    dim: SupportsIndex = 0,
    augmentation: Augmentation | None = None,
    keep_start: SupportsFloat = 0.0,
    mix_with_start: bool = True,
    patience: SupportsIndex = 0,
    precision: str = "auto",
    device: str = "cpu",
    seed: int = 1,
    work: PathLike | None = None,
    cache: PathLike | None = None,
    progress: TrainProgress = None,
) -> TrainReport:
    """Tunes the model ``model`` (a package or a name; None: the default encoder) on the labelled
    pictures of ``data`` and writes the package ``output``, whose embeddings no catalogue mixes with
    those of ``model``: :meth:`Catalog.reencode`.

    ``depth`` is ``"head"`` (a map behind the network: seconds), ``"partial"`` (its last
    ``blocks`` too) or ``"full"``; ``loss`` one of arcface, subcentre, cosface, normsoftmax,
    proxyanchor, supcon, triplet and multisimilarity. Every ``1 / held_out_classes``-th class is
    measured with instead of learned, unless pictures have a split "val"; near-duplicates of these,
    of pictures that the data set's own protocols ask with (split "test") and of the data sets
    ``keep_apart`` are not learned from. What is None suits the depth. With ``work``, a folder, the
    same call goes on where a run was interrupted. docs/training.md has each option.

    ``progress`` is True for a bar on stderr, or a callable(:class:`TrainState`). If it returns
    False, training ends and the best so far is written; so it is if it raises, or at Ctrl-C, and
    then the exception is raised.

    Raises ValueError (no labels, one class alone, numbers that make no sense), FileNotFoundError,
    :class:`BadModelError` (weights that are constants: export it again), :class:`CancelledError`
    (ended before anything was learned), MemoryError, :class:`UnavailableError` (a build without
    torch).
    """
    cuda, device_index = _device(device)
    change = Augmentation() if augmentation is None else augmentation
    options: dict[str, Any] = {
        "depth": depth,
        "loss": loss,
        "sub_centres": count(sub_centres, "sub_centres"),
        "label_fields": [label_fields] if isinstance(label_fields, str) else list(label_fields),
        "split": split,
        "held_out_classes": held_out_classes,
        "weight_decay": weight_decay,
        "layer_decay": layer_decay,
        "warm_up": warm_up,
        "clip_gradients": clip_gradients,
        "optimiser": optimiser,
        "accumulate": count(accumulate, "accumulate"),
        "mean_decay": mean_decay,
        "blocks": count(blocks, "blocks"),
        "lora_rank": count(lora_rank, "lora_rank"),
        "cut_mix": cut_mix,
        "per_class": count(per_class, "per_class"),
        "balance_classes": bool(balance_classes),
        "balance_field": balance_field,
        "batch_field": batch_field,
        "in_turn": bool(in_turn),
        "own_classifiers": bool(own_classifiers),
        "head": head,
        "hidden": count(hidden, "hidden"),
        "dim": count(dim, "dim"),
        "random_crop": bool(change.random_crop),
        "flip": bool(change.flip),
        "colour_jitter": change.colour_jitter,
        "greyscale": change.greyscale,
        "new_background": change.new_background,
        "erase": change.erase,
        "keep_start": keep_start,
        "mix_with_start": bool(mix_with_start),
        "patience": count(patience, "patience"),
        "precision": precision,
        "cuda": cuda,
        "device_index": device_index,
        "seed": seed,
    }
    if epochs is not None:
        options["epochs"] = count(epochs, "epochs")
    if batch_size is not None:
        options["batch_size"] = count(batch_size, "batch_size")
    given = {
        "margin": margin,
        "scale": scale,
        "rate": rate,
        "head_rate": head_rate,
        "work": work,
        "cache": cache,
    }
    options |= {name: value for name, value in given.items() if value is not None}
    if isinstance(keep_apart, Dataset) or is_path(keep_apart):
        keep_apart = [keep_apart]  # type: ignore[list-item]
    text = _native.train(
        model,
        _dataset(data)._native,
        output,
        options,
        [_dataset(other)._native for other in keep_apart],  # type: ignore[union-attr]
        _callback(progress),
    )
    return TrainReport(text, os.fspath(output))


def _dataset(data: Any) -> Dataset:
    if isinstance(data, Dataset):
        return data
    if not is_path(data):
        raise InvalidArgumentError(
            f"training takes a vsearch.Dataset or the folder of one, not {data!r}"
        )
    return Dataset(data)


class _Bar:
    """A bar over the pictures or items that are read, then one over all steps."""

    def __init__(self, unit: str) -> None:
        self._reading = _progress.Bar(unit)
        self._learning = _progress.Bar("steps")

    def __call__(self, state: TrainState) -> None:
        if state.epoch == 0:
            self._reading(state.step, state.steps)
        else:
            done = (state.epoch - 1) * state.steps + state.step
            self._learning(done, state.epochs * state.steps)


def _callback(progress: TrainProgress, unit: str = "pictures") -> Callable[..., bool | None] | None:
    if progress is None or progress is False:
        return None
    tell = _Bar(unit) if progress is True else progress
    return lambda *state: tell(TrainState(*state))
