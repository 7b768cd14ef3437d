"""Distillation: a small, fast model that learns from a large one, without labels."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, SupportsFloat, SupportsIndex

from . import _native
from ._arguments import PathLike, count, is_path
from ._encoder import _device
from ._measure import Dataset
from ._train import Augmentation, Report, TrainProgress, _callback
from .errors import InvalidArgumentError


class DistillReport(Report):
    """What :func:`distill` did. ``summary`` is all of it as plain values."""

    @property
    def teacher(self) -> dict[str, Any]:
        """Its fingerprint, parameters, dim, size of input, and pictures per second in fp32."""
        return self.summary["teacher"]  # type: ignore[no-any-return]

    @property
    def student(self) -> dict[str, Any]:
        """The same of the package that was written."""
        return self.summary["student"]  # type: ignore[no-any-return]


def distill(
    teacher: PathLike,
    student: PathLike,
    pictures: Dataset | PathLike | Iterable[Dataset | PathLike],
    output: PathLike,
    *,
    cosine: SupportsFloat | None = None,
    relational: SupportsFloat = 1.0,
    held_out: SupportsFloat = 0.1,
    epochs: SupportsIndex = 30,
    batch_size: SupportsIndex = 64,
    rate: SupportsFloat | None = None,
    weight_decay: SupportsFloat = 0.05,
    warm_up: SupportsFloat = 0.1,
    clip_gradients: SupportsFloat = 1.0,
    augmentation: Augmentation | None = None,
    precision: str = "auto",
    device: str = "cpu",
    seed: int = 1,
    work: PathLike | None = None,
    progress: TrainProgress = None,
) -> DistillReport:
    """Teaches ``student`` the embeddings of the model ``teacher`` (a package or a name) on
    ``pictures`` (files, folders with pictures in them, data sets; no labels are needed) and writes
    the package ``output``.

    ``student`` is ``"vit"`` or ``"vit:width=128,depth=12,heads=4,patch=16,size=128"``, a fresh
    vision transformer whose embeddings have the teacher's dimension unless it says ``dim=``; or a
    package to start from. Every ``1 / held_out``-th picture is measured with instead of learned;
    the epoch that agrees best with the teacher on them is written. With ``work``, a folder, the
    same call goes on where a run was interrupted. docs/training.md has each option.

    ``progress`` is as in :func:`train`.

    Raises ValueError (no picture, numbers that make no sense, a student that cannot be),
    FileNotFoundError, :class:`BadImageError` (no picture can be read), :class:`BadModelError`
    (weights that are constants: export it again), :class:`CancelledError` (ended before anything
    was learned), MemoryError, :class:`UnavailableError` (a build without torch).
    """
    cuda, device_index = _device(device)
    change = Augmentation() if augmentation is None else augmentation
    options: dict[str, Any] = {
        "relational": relational,
        "held_out": held_out,
        "epochs": count(epochs, "epochs"),
        "batch_size": count(batch_size, "batch_size"),
        "weight_decay": weight_decay,
        "warm_up": warm_up,
        "clip_gradients": clip_gradients,
        "random_crop": bool(change.random_crop),
        "flip": bool(change.flip),
        "colour_jitter": change.colour_jitter,
        "greyscale": change.greyscale,
        "new_background": change.new_background,
        "erase": change.erase,
        "precision": precision,
        "cuda": cuda,
        "device_index": device_index,
        "seed": seed,
    }
    given = {"cosine": cosine, "rate": rate, "work": work}
    options |= {name: value for name, value in given.items() if value is not None}
    datasets, paths = _places(pictures)
    text = _native.distill(
        teacher,
        os.fspath(student),
        datasets,
        paths,
        output,
        options,
        _callback(progress),
    )
    return DistillReport(text, os.fspath(output))


def _places(pictures: Any) -> tuple[list[_native.Dataset], list[PathLike]]:
    """The data sets and the paths of ``pictures``."""
    given = [pictures] if isinstance(pictures, Dataset) or is_path(pictures) else list(pictures)
    for one in given:
        if not isinstance(one, Dataset) and not is_path(one):
            raise InvalidArgumentError(
                f"pictures are paths of files and folders, and vsearch.Dataset, not {one!r}"
            )
    datasets = [one._native for one in given if isinstance(one, Dataset)]
    return datasets, [one for one in given if not isinstance(one, Dataset)]
