"""Encoders: from pictures to embeddings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, SupportsIndex

import numpy as np
import numpy.typing as npt

from . import _progress
from ._arguments import (
    Image,
    PathLike,
    Progress,
    count,
    is_array,
    is_bytes,
    is_path,
    is_pillow_image,
)
from ._native import Encoder as NativeEncoder
from .errors import Error, InvalidArgumentError, class_of

# What encode_iter() takes from its iterable at a time, at most, of bytes and arrays.
_AHEAD_BYTES = 64 * 2**20


class EncodeFailure(NamedTuple):
    """A file of :meth:`Encoder.encode_files` that could not be encoded."""

    index: int
    """Which of the files, counted from 0."""
    path: PathLike
    error: Error
    """Not raised, but as :meth:`Encoder.encode` would have raised it."""


class Encoded(NamedTuple):
    """What became of one picture of :meth:`Encoder.encode_iter`: its embedding, or an error."""

    index: int
    """Which of the pictures, counted from 0."""
    embedding: npt.NDArray[np.float32] | None
    error: Error | None
    """Not raised, but as :meth:`Encoder.encode` would have raised it."""


class Encoder:
    """A model that turns pictures, and some models words, into embeddings of one space.

    ``name_or_path`` is a model package (``*.vsm.pt``) or the name of an installed one; the encoder
    that comes with the library if None. ``device`` is ``"cpu"``, ``"cuda"`` or ``"cuda:1"``;
    ``precision`` is ``"fp32"``, ``"bf16"``, ``"fp16"`` (CUDA only), ``"int8"`` (CPU only, where the
    package has it) or ``"auto"``, the fastest on this machine of those the package was measured
    for; ``batch_size`` the pictures per forward pass, None what suits the device; ``verify``
    whether to check, on loading, that the model computes what it promises.

    Raises FileNotFoundError, :class:`BadModelError`, :class:`UnavailableError` (no such device or
    precision, or a build without torch).

    Threads: may be used from many threads at once. Long calls let other threads run, and Ctrl-C
    ends them.
    """

    _native: NativeEncoder

    def __init__(
        self,
        name_or_path: PathLike | None = None,
        *,
        device: str = "cpu",
        precision: str = "auto",
        batch_size: SupportsIndex | None = None,
        verify: bool = True,
    ) -> None:
        cuda, index = _device(device)
        batch = None if batch_size is None else count(batch_size, "batch_size")
        self._native = NativeEncoder(name_or_path, cuda, index, precision, batch, bool(verify))

    @property
    def dim(self) -> int:
        """Floats per embedding."""
        return self._native.dim

    def info(self) -> dict[str, Any]:
        """name, license, source, fingerprint, dim and metric of the model; token_dim (floats of a
        local token, 0 without :meth:`encode_tokens`), has_text (whether :meth:`encode_text` works),
        precision (the one in use), fast_forms (precisions that the package has special code for on
        a CPU), preprocessing."""
        return self._native.info()

    def encode(
        self,
        images: Image | Iterable[Image],
        *,
        exact: bool = False,
        channels: str = "rgb",
        progress: Progress = None,
    ) -> npt.NDArray[np.float32]:
        """The embeddings of pictures, as float32.

        The result has the shape of the input with each picture replaced by its embedding: one
        picture (a path, the bytes of a file, or an array ``[height, width, 3]``) gives ``[dim]``;
        several (a list of these, or an array ``[n, height, width, 3]``) give ``[n, dim]``, in their
        order. A picture's embedding does not depend on the others beside it. Embeddings are as the
        model gives them, not normalised.

        Files are decoded as a catalogue decodes its own: a JPEG at the smallest size that covers
        the model's input, which is faster and moves an embedding by little; ``exact`` decodes it in
        full.

        Pixels are uint8: grey ``[height, width]`` or ``[height, width, 1]``, RGB with 3 channels or
        RGBA with 4 (shown on white). ``channels="bgr"`` says that arrays are BGR and BGRA, as those
        of OpenCV. Arrays whose rows lie apart, and views ``frame[:, :, ::-1]``, are read where they
        are; other layouts are copied. ``progress`` is True for a bar on stderr, or a
        callable(done, total) that may return False to cancel.

        Raises FileNotFoundError, :class:`BadImageError` (naming the picture), ValueError (an array
        that is no picture), :class:`CancelledError`.
        """
        single, pictures = _as_list(images)
        embeddings, _ = self._native.encode(
            pictures,
            first=0,
            bgr=_is_bgr(channels),
            exact=bool(exact),
            lenient=False,
            keep_going=False,
            progress=_progress.callback(progress, "pictures"),
        )
        return embeddings[0] if single else embeddings

    def encode_files(
        self,
        paths: Iterable[PathLike],
        *,
        exact: bool = False,
        lenient: bool = False,
        progress: Progress = None,
    ) -> tuple[npt.NDArray[np.float32], list[EncodeFailure]]:
        """The embeddings ``[n, dim]`` of picture files, and those that failed.

        A file that cannot be read or decoded stops nothing: its row is NaN, and it is in the list
        as ``(index, path, error)``. ``exact`` and ``progress`` are those of :meth:`encode`;
        ``lenient`` takes what could be decoded of a damaged JPEG.

        Raises :class:`CancelledError`.
        """
        if is_path(paths):
            raise InvalidArgumentError("encode_files() takes several paths; one is for encode()")
        files = list(paths)
        embeddings, failures = self._native.encode_files(
            files, bool(exact), bool(lenient), _progress.callback(progress, "pictures")
        )
        return embeddings, [
            EncodeFailure(index, files[index], class_of(code)(message))
            for index, code, message in failures
        ]

    def encode_iter(
        self,
        images: Iterable[Image],
        *,
        batch: SupportsIndex = 256,
        exact: bool = False,
        lenient: bool = False,
        channels: str = "rgb",
    ) -> Iterator[Encoded]:
        """Encodes as many pictures as `images` gives, in bounded memory, and yields for each of
        them, in their order, ``(index, embedding, error)``: an embedding ``[dim]`` and None, or
        None and the reason why there is none.

        Takes up to ``batch`` pictures at a time, fewer of large arrays and bytes, and yields once
        these are encoded: a small ``batch`` answers sooner, a large one is faster. See
        :meth:`encode` for what a picture is and for ``exact`` and ``channels``, and
        :meth:`encode_files` for ``lenient``.

        Raises what `images` raises, and TypeError for what is no picture at all.
        """
        if not _are_several(images):
            raise InvalidArgumentError("encode_iter() takes several pictures; one is for encode()")
        size = count(batch, "batch")
        if size == 0:
            raise InvalidArgumentError("batch must be at least 1, not 0")
        return self._iterate(iter(images), size, bool(exact), bool(lenient), _is_bgr(channels))

    def _iterate(
        self, images: Iterator[Image], batch: int, exact: bool, lenient: bool, bgr: bool
    ) -> Iterator[Encoded]:
        first = 0
        while part := _take(images, batch):
            embeddings, failures = self._native.encode(
                part,
                first=first,
                bgr=bgr,
                exact=exact,
                lenient=lenient,
                keep_going=True,
                progress=None,
            )
            errors = {index: class_of(code)(message) for index, code, message in failures}
            for i, embedding in enumerate(embeddings):
                error = errors.get(i)
                # A copy: a view would keep the rows of the whole part alive.
                yield Encoded(first + i, None if error else embedding.copy(), error)
            first += len(part)

    def encode_tokens(
        self, images: Image | Iterable[Image], *, exact: bool = False, channels: str = "rgb"
    ) -> npt.NDArray[np.float32]:
        """The local tokens of pictures, for re-ranking: ``[tokens, token_dim]`` of one picture,
        ``[n, tokens, token_dim]`` of several, given as for :meth:`encode`.

        Raises :class:`UnavailableError` where ``info()["token_dim"]`` is 0, and what
        :meth:`encode` raises.
        """
        single, pictures = _as_list(images)
        tokens = self._native.encode_tokens(pictures, _is_bgr(channels), bool(exact))
        return tokens[0] if single else tokens

    def encode_text(self, texts: str | Iterable[str]) -> npt.NDArray[np.float32]:
        """The embeddings of texts, in the space of the pictures: ``[dim]`` of one str, ``[n, dim]``
        of several. A text longer than the model reads is cut, as the model's own tokenizer does.

        Raises :class:`UnavailableError` where ``info()["has_text"]`` is False.
        """
        if isinstance(texts, str):
            return self._native.encode_text([texts])[0]
        return self._native.encode_text(list(texts))

    def __repr__(self) -> str:
        info = self.info()
        return f"<vsearch.Encoder {info['name']!r}, {self.dim} dimensions, {info['precision']}>"


def _device(device: str) -> tuple[bool, int]:
    match = re.fullmatch(r"cpu|cuda(?::(\d+))?", device)
    if match is None:
        raise InvalidArgumentError(f"device must be 'cpu', 'cuda' or 'cuda:N', not {device!r}")
    return device != "cpu", int(match[1] or 0)


def _is_bgr(channels: str) -> bool:
    if channels not in ("rgb", "bgr"):
        raise InvalidArgumentError(f"channels must be 'rgb' or 'bgr', not {channels!r}")
    return channels == "bgr"


def _as_list(images: Any) -> tuple[bool, list[Image]]:
    """Whether there is one picture, and the pictures."""
    if not _are_several(images):
        return True, [images]
    return False, list(np.asarray(images) if is_array(images) else images)


def _are_several(images: Any) -> bool:
    if is_path(images) or is_bytes(images) or is_pillow_image(images):
        return False
    return not is_array(images) or np.ndim(images) == 4


def _take(images: Iterator[Image], most: int) -> list[Image]:
    """The next pictures: at most so many, and of those in memory about _AHEAD_BYTES."""
    part: list[Image] = []
    held = 0
    for image in images:
        part.append(image)
        held += _held_bytes(image)
        if len(part) == most or held >= _AHEAD_BYTES:
            break
    return part


def _held_bytes(image: Any) -> int:
    if is_bytes(image):
        return len(image)
    if is_path(image) or not is_array(image):
        return 0
    if is_pillow_image(image):
        width, height = image.size
        return int(width) * int(height) * len(image.getbands())
    return int(image.nbytes if hasattr(image, "nbytes") else np.asarray(image).nbytes)
