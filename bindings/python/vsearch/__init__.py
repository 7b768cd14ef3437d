"""Visual search: pictures in, the most similar pictures out, over a catalogue that changes all day.

>>> import vsearch
>>> with vsearch.create("shop.vsearch") as shop:
...     shop.add("shirt-1", "photos/shirt.jpg", {"colour": "red", "price": 20})
...     for hit in shop.search(image="query.jpg", k=5, where={"colour": "red"}):
...         print(hit.key, hit.score)

:func:`open` and :func:`create` give a :class:`Catalog`; :class:`Encoder` turns pictures into
embeddings and :class:`Index` searches among them, for those who want only a part. Every error is a
:class:`vsearch.Error` and, where Python has a word for it, that too: a missing picture is a
``FileNotFoundError``, a wrong dimension a ``ValueError``.

Threads: everything may be used from many threads; long calls let other threads run. The library
logs to ``logging.getLogger("vsearch")``.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING

from .errors import (
    AlreadyExistsError,
    BadImageError,
    BadModelError,
    BusyError,
    CancelledError,
    CorruptError,
    EncoderMismatchError,
    Error,
    InputOutputError,
    InternalError,
    InvalidArgumentError,
    KeyNotFoundError,
    MissingFileError,
    OutOfMemoryError,
    RefusedError,
    UnavailableError,
)

if TYPE_CHECKING:
    from ._care import CheckReport, CompactReport, DuplicateGroup, ExportReport
    from ._catalog import Catalog, create, open
    from ._distill import DistillReport, distill
    from ._editions import (
        EditionComparison,
        EditionInfo,
        LabelledQuery,
        MissingPicture,
        ReencodeReport,
    )
    from ._encoder import Encoded, EncodeFailure, Encoder
    from ._health import IndexHealth
    from ._index import ExactSearcher, IdFilter, Index
    from ._items import AddFailure, AddReport, Hit, Item, Picture, PictureInfo
    from ._measure import (
        Audit,
        CatalogEvaluation,
        Dataset,
        DatasetKind,
        DatasetPicture,
        Estimate,
        Evaluation,
        PairedComparison,
        ProtocolResult,
        RankedAnswer,
        Scores,
        audit,
        compare_paired,
        dataset_kinds,
        estimate_mean,
        evaluate,
        score_retrieval,
        write_report,
    )
    from ._sync import (
        FilesSource,
        ManifestSource,
        SqlSource,
        SyncChange,
        SyncFailure,
        SyncReport,
    )
    from ._train import Augmentation, TrainReport, TrainState, train
    from ._train_text import TextTrainReport, TextTrainState, train_text

    __version__: str

__all__ = [
    "AddFailure",
    "AddReport",
    "AlreadyExistsError",
    "Audit",
    "Augmentation",
    "BadImageError",
    "BadModelError",
    "BusyError",
    "CancelledError",
    "Catalog",
    "CatalogEvaluation",
    "CheckReport",
    "CompactReport",
    "CorruptError",
    "Dataset",
    "DatasetKind",
    "DatasetPicture",
    "DistillReport",
    "DuplicateGroup",
    "EditionComparison",
    "EditionInfo",
    "EncodeFailure",
    "Encoded",
    "Encoder",
    "EncoderMismatchError",
    "Error",
    "Estimate",
    "Evaluation",
    "ExactSearcher",
    "ExportReport",
    "FilesSource",
    "Hit",
    "IdFilter",
    "Index",
    "IndexHealth",
    "InputOutputError",
    "InternalError",
    "InvalidArgumentError",
    "Item",
    "KeyNotFoundError",
    "LabelledQuery",
    "ManifestSource",
    "MissingFileError",
    "MissingPicture",
    "OutOfMemoryError",
    "PairedComparison",
    "Picture",
    "PictureInfo",
    "ProtocolResult",
    "RankedAnswer",
    "ReencodeReport",
    "RefusedError",
    "Scores",
    "SqlSource",
    "SyncChange",
    "SyncFailure",
    "SyncReport",
    "TextTrainReport",
    "TextTrainState",
    "TrainReport",
    "TrainState",
    "UnavailableError",
    "__version__",
    "audit",
    "compare_paired",
    "create",
    "dataset_kinds",
    "distill",
    "estimate_mean",
    "evaluate",
    "open",
    "plots",
    "score_retrieval",
    "train",
    "train_text",
    "write_report",
]

# What needs the compiled module is imported when it is first asked for: vsearch.export works
# without it.
_LAZY = {
    "AddFailure": "_items",
    "AddReport": "_items",
    "Audit": "_measure",
    "Augmentation": "_train",
    "Catalog": "_catalog",
    "CatalogEvaluation": "_measure",
    "CheckReport": "_care",
    "CompactReport": "_care",
    "Dataset": "_measure",
    "DatasetKind": "_measure",
    "DatasetPicture": "_measure",
    "DistillReport": "_distill",
    "DuplicateGroup": "_care",
    "EditionComparison": "_editions",
    "EditionInfo": "_editions",
    "EncodeFailure": "_encoder",
    "Encoded": "_encoder",
    "Encoder": "_encoder",
    "Estimate": "_measure",
    "Evaluation": "_measure",
    "ExactSearcher": "_index",
    "ExportReport": "_care",
    "FilesSource": "_sync",
    "Hit": "_items",
    "IdFilter": "_index",
    "Index": "_index",
    "IndexHealth": "_health",
    "Item": "_items",
    "LabelledQuery": "_editions",
    "ManifestSource": "_sync",
    "MissingPicture": "_editions",
    "PairedComparison": "_measure",
    "Picture": "_items",
    "PictureInfo": "_items",
    "ProtocolResult": "_measure",
    "RankedAnswer": "_measure",
    "ReencodeReport": "_editions",
    "Scores": "_measure",
    "SqlSource": "_sync",
    "SyncChange": "_sync",
    "SyncFailure": "_sync",
    "SyncReport": "_sync",
    "TextTrainReport": "_train_text",
    "TextTrainState": "_train_text",
    "TrainReport": "_train",
    "TrainState": "_train",
    "audit": "_measure",
    "compare_paired": "_measure",
    "create": "_catalog",
    "dataset_kinds": "_measure",
    "distill": "_distill",
    "estimate_mean": "_measure",
    "evaluate": "_measure",
    "open": "_catalog",
    "score_retrieval": "_measure",
    "train": "_train",
    "train_text": "_train_text",
    "write_report": "_measure",
}

# A library is silent until its host says where its log shall go.
logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> object:
    if name == "__version__":
        from ._native import version

        value: object = version
    elif name == "plots":
        value = importlib.import_module(f"{__name__}.plots")
    elif name in _LAZY:
        value = getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
