"""Models that are given by their name on Hugging Face."""

from __future__ import annotations

import re
from pathlib import Path

from . import ExportError

_TIMEOUT_S = 10  # until the first answer; a download itself may take long
_WEIGHTS = ["model*.safetensors"]
_OLD_WEIGHTS = ["pytorch_model*.bin"]
_OTHERS = ["*.json", "merges.txt", "spiece.model", "vocab.txt"]


def is_name(text: str) -> bool:
    """Whether ``text`` looks like "owner/model"."""
    return re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", text) is not None


def fetch(name: str) -> Path:
    """The model's files in Hugging Face's cache, fetched if they are not there. The folder's name
    is the commit.
    """
    folder = download(name, _OTHERS + _WEIGHTS)
    if not any(folder.glob(_WEIGHTS[0])):
        folder = download(name, _OLD_WEIGHTS)
    return folder


def download(name: str, patterns: list[str]) -> Path:
    """Files of a model in Hugging Face's cache. Without a network and a cached copy an error at
    once, where other ways into the cache try again and again.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=patterns, etag_timeout=_TIMEOUT_S))
    except Exception as error:  # of the hub, of HTTP, of the disk: no common class
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ExportError(
            f"{name} is no folder here and cannot be fetched from Hugging Face: {reason}; "
            "check the name and the network, or fetch the model elsewhere and give what you fetched"
        ) from error
