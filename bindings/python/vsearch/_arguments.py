"""Kinds of arguments that several classes take."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from .errors import InvalidArgumentError


class HasArray(Protocol):
    """What numpy.asarray() turns into an array, such as a torch tensor."""

    def __array__(self) -> Any: ...


class HasArrayInterface(Protocol):
    """The same by another door, such as a Pillow image."""

    @property
    def __array_interface__(self) -> Mapping[str, Any]: ...


PathLike: TypeAlias = "str | os.PathLike[str]"

# A path, the bytes of a JPEG, PNG, GIF, BMP or WebP file, or RGB pixels: a uint8 array
# [height, width, 3] or what numpy takes for one, such as a Pillow image of mode RGB.
Image: TypeAlias = (
    "PathLike | bytes | bytearray | memoryview"
    " | npt.NDArray[np.uint8] | HasArray | HasArrayInterface"
)

# Called with (done, total) from time to time; returning False cancels. True stands for a bar on
# stderr.
ProgressCallback: TypeAlias = "Callable[[int, int | None], bool | None]"
Progress: TypeAlias = "bool | ProgressCallback | None"

# Called with a level of the logging module and a message: `logger.log` fits.
Log: TypeAlias = "Callable[[int, str], object]"

# Called with a URI, gives the bytes of the file that it names.
Fetch: TypeAlias = "Callable[[str], bytes]"


def count(value: SupportsIndex, name: str) -> int:
    """A whole number that fits the library's 32-bit counts. What is too small for its purpose is
    the library's to say."""
    number = operator.index(value)
    if not 0 <= number < 2**32:
        raise InvalidArgumentError(f"{name} must be from 1 to {2**32 - 1}, not {number}")
    return number


def is_path(value: object) -> bool:
    return isinstance(value, (str, os.PathLike))


def is_bytes(value: object) -> bool:
    return isinstance(value, (bytes, bytearray, memoryview))


def is_pillow_image(value: object) -> bool:
    """It reads its file when asked for its pixels. Of a damaged one it raises the first time alone;
    after that it shows what could be read. So the library asks, once.
    """
    return hasattr(value, "mode") and hasattr(value, "convert") and hasattr(value, "getbands")


def is_array(value: object) -> bool:
    return (
        is_pillow_image(value)
        or hasattr(value, "__array_interface__")
        or hasattr(value, "__array__")
    )
