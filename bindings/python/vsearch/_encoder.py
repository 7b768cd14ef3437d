"""Encoders: from pictures to embeddings."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from . import _progress
from ._arguments import Image, PathLike, Progress, count, is_array, is_bytes, is_path
from ._native import Encoder as NativeEncoder
from .errors import InvalidArgumentError


class Encoder:
    """A model that turns pictures into embeddings.

    ``name_or_path`` is a model package (``*.vsm.pt``) or the name of an installed one; the encoder
    that comes with the library if None. ``device`` is ``"cpu"``, ``"cuda"`` or ``"cuda:1"``;
    ``batch_size`` the pictures per forward pass, None what suits the device; ``verify`` whether to
    check, on loading, that the model computes what it promises.

    Raises FileNotFoundError, :class:`BadModelError`, :class:`UnavailableError` (no such device, or
    a build without torch).

    Threads: may be used from many threads at once.
    """

    _native: NativeEncoder

    def __init__(
        self,
        name_or_path: PathLike | None = None,
        *,
        device: str = "cpu",
        batch_size: SupportsIndex | None = None,
        verify: bool = True,
    ) -> None:
        cuda, index = _device(device)
        batch = None if batch_size is None else count(batch_size, "batch_size")
        self._native = NativeEncoder(name_or_path, cuda, index, batch, bool(verify))

    @property
    def dim(self) -> int:
        """Floats per embedding."""
        return self._native.dim

    def info(self) -> dict[str, Any]:
        """Name, licence, source, fingerprint, dim, metric and preprocessing of the model."""
        return self._native.info()

    def encode(
        self, images: Image | Iterable[Image], *, progress: Progress = None
    ) -> npt.NDArray[np.float32]:
        """The embeddings of pictures, as float32.

        The result has the shape of the input with each picture replaced by its embedding: one
        picture (a path, the bytes of a file, or an array ``[height, width, 3]``) gives ``[dim]``;
        several (a list of these, or an array ``[n, height, width, 3]``) give ``[n, dim]``, in their
        order. A picture's embedding does not depend on the others beside it. Embeddings are as the
        model gives them, not normalised.

        Pixels are uint8 RGB; arrays whose rows lie apart are read where they are, other layouts are
        copied. ``progress`` is True for a bar on stderr, or a callable(done, total) that may return
        False to cancel.

        Raises FileNotFoundError, :class:`BadImageError` (naming the picture), ValueError (an array
        that is no picture), :class:`CancelledError`.
        """
        single, pictures = _as_list(images)
        embeddings = self._native.encode(pictures, _progress.callback(progress, "pictures"))
        return embeddings[0] if single else embeddings

    def __repr__(self) -> str:
        return f"<vsearch.Encoder {self.info()['name']!r}, {self.dim} dimensions>"


def _device(device: str) -> tuple[bool, int]:
    match = re.fullmatch(r"cpu|cuda(?::(\d+))?", device)
    if match is None:
        raise InvalidArgumentError(f"device must be 'cpu', 'cuda' or 'cuda:N', not {device!r}")
    return device != "cpu", int(match[1] or 0)


def _as_list(images: Any) -> tuple[bool, list[Image]]:
    """Whether there is one picture, and the pictures."""
    if is_path(images) or is_bytes(images):
        return True, [images]
    if is_array(images):
        array = np.asarray(images)
        return (False, list(array)) if array.ndim == 4 else (True, [array])
    return False, list(images)
