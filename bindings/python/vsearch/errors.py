"""What can go wrong. Every error of the library is an :class:`Error`; most are one of Python's own
kinds too, so that ``except FileNotFoundError`` and ``except ValueError`` do what one expects. The
message names the input and the remedy."""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AlreadyExistsError",
    "BadImageError",
    "BadModelError",
    "BusyError",
    "CancelledError",
    "CorruptError",
    "EncoderMismatchError",
    "Error",
    "InputOutputError",
    "InternalError",
    "InvalidArgumentError",
    "KeyNotFoundError",
    "MissingFileError",
    "OutOfMemoryError",
    "RefusedError",
    "UnavailableError",
]


class Error(Exception):
    """Any error of the library. ``code`` is its kind in one word, the same for every message of
    that kind."""

    code: ClassVar[str] = "error"

    def __str__(self) -> str:  # KeyError would show the message in quotes
        return str(self.args[0]) if self.args else ""


class InvalidArgumentError(Error, ValueError):
    """A value that the caller passed: a wrong dimension, NaN, ``k=0``, a filter that cannot be
    parsed."""

    code = "invalid_argument"


class MissingFileError(Error, FileNotFoundError):
    """A picture, model or catalogue that should be there and is not."""

    code = "file_not_found"


class KeyNotFoundError(Error, KeyError):
    """No item has this key."""

    code = "key_not_found"


class AlreadyExistsError(Error, FileExistsError):
    """There is something at the path of the new catalogue."""

    code = "already_exists"


class BadImageError(Error):
    """A picture that cannot be read: empty, truncated, not a picture, too large."""

    code = "bad_image"


class BadModelError(Error):
    """A file that is no model package, or one that does not compute what it promises."""

    code = "bad_model"


class EncoderMismatchError(Error):
    """The catalogue's embeddings come from another encoder."""

    code = "encoder_mismatch"


class BusyError(Error):
    """A catalogue, a database or a run's folder is in use: in another process, or in this one."""

    code = "busy"


class CorruptError(Error):
    """A file of the library is damaged. Nothing was deleted."""

    code = "corrupt"


class InputOutputError(Error, OSError):
    """The operating system refused to read or write."""

    code = "io"


class CancelledError(Error):
    """The progress callback returned False. What was acknowledged before stays."""

    code = "cancelled"


class UnavailableError(Error):
    """Not in this build or not on this machine: torch, CUDA."""

    code = "unavailable"


class OutOfMemoryError(Error, MemoryError):
    """There is not enough memory."""

    code = "out_of_memory"


class InternalError(Error, RuntimeError):
    """A defect of the library: please report it."""

    code = "internal"


class RefusedError(Error):
    """A guard against harm said no, and nothing was done: too many removals at once."""

    code = "refused"


# In the order of vsearch_status in vsearch_c.h, whose numbers begin at 1 and never change.
_CLASSES: tuple[type[Error], ...] = (
    InvalidArgumentError,
    MissingFileError,
    KeyNotFoundError,
    AlreadyExistsError,
    BadImageError,
    BadModelError,
    EncoderMismatchError,
    BusyError,
    CorruptError,
    InputOutputError,
    CancelledError,
    UnavailableError,
    OutOfMemoryError,
    InternalError,
    RefusedError,
)


def class_of(number: int) -> type[Error]:
    """The class of the error with this number in the library's C and C++ headers."""
    return _CLASSES[number - 1] if 1 <= number <= len(_CLASSES) else Error
