"""Measuring: metrics, data sets, evaluations and audits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, SupportsIndex

import numpy as np
import numpy.typing as npt

from . import _native, _progress
from ._arguments import PathLike, Progress, count
from ._catalog import Catalog
from ._editions import Query, native_query
from ._encoder import Encoder
from .errors import InvalidArgumentError


def _whole_numbers(
    values: npt.ArrayLike | None, name: str, dtype: type[np.signedinteger[Any]]
) -> npt.NDArray[np.signedinteger[Any]]:
    array = np.asarray([] if values is None else values)
    if array.size == 0:
        return np.empty(0, dtype)
    if array.dtype.kind not in "iub":
        raise TypeError(f"{name} must be whole numbers, not {array.dtype}")
    limits = np.iinfo(dtype)
    if array.min() < limits.min or array.max() > limits.max:
        raise InvalidArgumentError(
            f"{name} must be from {limits.min} to {limits.max}, not {array.min()} to "
            f"{array.max()}; number classes of both sides together, as "
            "np.unique(..., return_inverse=True) does"
        )
    return array.astype(dtype)


class Estimate(NamedTuple):
    """A mean, and where it lies with 95 % confidence."""

    mean: float
    low: float
    high: float
    count: int
    """Of what is averaged."""

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"


class RankedAnswer(NamedTuple):
    row: int
    """Of the gallery."""
    similarity: float
    right: bool


@dataclass(frozen=True)
class Scores:
    """The figures of every query: ``scores["R@1"]`` is a column, ``scores.mean("mAP")`` its mean
    with a confidence interval. Queries without a right answer are NaN and count for nothing.
    """

    names: list[str]
    values: npt.NDArray[np.float32]
    """[queries, names]"""
    right_answers: npt.NDArray[np.uint32]
    """Of each query, how many."""
    first_right: npt.NDArray[np.uint32]
    """The rank of the first right answer, from 1; 0: none."""
    nearest_right: npt.NDArray[np.float32]
    """Its cosine."""
    nearest_wrong: npt.NDArray[np.float32]
    answers: list[list[RankedAnswer]]
    """The nearest of each query, as many as were asked for."""

    def __getitem__(self, name: str) -> npt.NDArray[np.float32]:
        """The metric of that name for each query; NaN: it has none."""
        if name not in self.names:
            raise KeyError(f"there is no metric {name!r}; there are {', '.join(self.names)}")
        return self.values[:, self.names.index(name)]

    def mean(self, name: str, resamples: SupportsIndex = 1000, seed: int = 1) -> Estimate:
        """The mean of a metric over the queries that have it, with an interval of 95 %."""
        return estimate_mean(self[name], resamples, seed)


@dataclass(frozen=True)
class PairedComparison:
    """Two systems on the same queries."""

    difference: Estimate
    """The mean of b - a."""
    p_value: float
    """How often chance alone would give as large a difference."""
    better: int
    """Queries on which b is."""
    worse: int
    equal: int


class DatasetPicture(NamedTuple):
    path: str
    """Relative to the root."""
    label: int
    """Of ``Dataset.classes``; -1: of none."""
    domain: int
    """Of ``Dataset.domains``; -1: not known."""
    split: str
    crop: tuple[float, float, float, float]
    """(left, top, right, bottom) in shares."""
    mask: str
    """A picture of what is meant, relative to the root: bright is subject. Empty: none."""


class Dataset:
    """Labelled pictures and the protocols they are measured by, from a folder as it is published.

    ``kind`` is one of :func:`dataset_kinds`, None what the layout of ``root`` tells; for ``"csv"``
    the root is the file. ``incomplete`` takes a data set that lacks pictures as it is. Raises
    ValueError (no such kind, labels that do not match), FileNotFoundError (with what is missing),
    :class:`CorruptError` (not as published).
    """

    def __init__(
        self, root: PathLike, kind: str | None = None, *, incomplete: bool = False
    ) -> None:
        self._native = _native.load_dataset(kind or "", root, incomplete)

    @classmethod
    def of_catalog(
        cls,
        catalog: Catalog,
        label_fields: str | Iterable[str] = (),
        *,
        queries: Iterable[Query] = (),
    ) -> Dataset:
        """The picture files of a catalogue, to audit, to measure and to learn from.

        Labelled by fields of the items' metadata, combined, or by what belongs together: queries
        as :func:`evaluate` takes them, (key or Path, relevant keys), such as what customers chose.
        Raises ValueError (neither or both given; not two labels that two pictures have; queries
        that chain everything into one).
        """
        fields = [label_fields] if isinstance(label_fields, str) else list(label_fields)
        labelled = [native_query(query) for query in queries]
        if (not fields) == (not labelled):
            raise InvalidArgumentError("labels come from label_fields or from queries: give either")
        dataset = cls.__new__(cls)
        dataset._native = (
            _native.catalog_dataset_of_queries(catalog._native, labelled)
            if labelled
            else _native.catalog_dataset(catalog._native, fields)
        )
        return dataset

    @property
    def name(self) -> str:
        """The kind of data set, as in :func:`dataset_kinds`."""
        return self._native.name

    @property
    def root(self) -> str:
        """The folder it was read from."""
        return self._native.root

    @property
    def pictures(self) -> list[DatasetPicture]:
        """Every picture; protocols and fields count along this list."""
        return [DatasetPicture(*picture) for picture in self._native.pictures]

    @property
    def classes(self) -> list[str]:
        """The names of the classes that pictures have a number of."""
        return self._native.classes

    @property
    def domains(self) -> list[str]:
        """The names of the domains, if the data set has several."""
        return self._native.domains

    @property
    def fields(self) -> dict[str, tuple[list[str], npt.NDArray[np.int32]]]:
        """Second labels: their values, and of each picture which one; -1: none."""
        return self._native.fields

    @property
    def protocols(self) -> dict[str, tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]]:
        """The pictures that ask and those that answer; the first protocol is the usual one."""
        return {name: (asks, answers) for name, asks, answers in self._native.protocols}

    def __repr__(self) -> str:
        return f"<vsearch.Dataset {self.name}: {len(self._native.pictures)} pictures>"


class DatasetKind(NamedTuple):
    name: str
    title: str
    contents: str
    source: str
    """Where it is published."""
    layout: str


def dataset_kinds() -> list[DatasetKind]:
    """What :class:`Dataset` reads."""
    return [DatasetKind(*kind) for kind in _native.dataset_kinds()]


class ProtocolResult(NamedTuple):
    protocol: str
    scores: Scores
    pictures: npt.NDArray[np.uint32]
    """Of each query, its number in the data set."""
    gallery_pictures: npt.NDArray[np.uint32]


class Evaluation:
    """What :func:`evaluate` measured. ``summary`` is all of it but the figures of single queries,
    as plain values; ``results`` has those.
    """

    def __init__(self, native: _native.Evaluation, dataset: Dataset) -> None:
        self._native = native
        self.dataset = dataset
        self.summary: dict[str, Any] = json.loads(native.to_json(False))

    @property
    def results(self) -> list[ProtocolResult]:
        return [
            ProtocolResult(
                result["protocol"],
                _scores(result["scores"]),
                result["pictures"],
                result["gallery_pictures"],
            )
            for result in self._native.results
        ]

    def estimate(self, metric: str, protocol: str | None = None) -> Estimate:
        """``protocol``: the first one if None."""
        for result in self.summary["protocols"]:
            if protocol in (None, result["protocol"]):
                if metric not in result["metrics"]:
                    names = ", ".join(result["metrics"])
                    raise KeyError(f"there is no metric {metric!r}; there are {names}")
                return Estimate(**result["metrics"][metric])
        names = ", ".join(result["protocol"] for result in self.summary["protocols"])
        raise KeyError(f"there is no protocol {protocol!r}; there are {names}")

    def to_json(self, every_query: bool = False) -> str:
        """The summary as text; with ``every_query`` also what each query found."""
        return self._native.to_json(every_query)

    def __repr__(self) -> str:
        figures = []
        for result in self.summary["protocols"]:
            mean = result["metrics"]["mAP"]["mean"]
            figures.append(f"{result['protocol']} mAP {mean:.3f}")
        return (
            f"<vsearch.Evaluation {self.summary['encoder']} on {self.summary['dataset']}: "
            f"{', '.join(figures)}>"
        )


class CatalogEvaluation:
    """What :func:`evaluate` measured of a catalogue, as plain values in ``summary``."""

    def __init__(self, native: _native.CatalogEvaluation) -> None:
        self._native = native
        self.summary: dict[str, Any] = json.loads(native.to_json())

    def estimate(self, metric: str, exact: bool = False) -> Estimate:
        """``exact``: of the same queries compared with every picture."""
        metrics = self.summary["exact_metrics" if exact else "metrics"]
        if metric not in metrics:
            raise KeyError(f"there is no metric {metric!r}; there are {', '.join(metrics)}")
        return Estimate(**metrics[metric])

    def to_json(self) -> str:
        """The summary as text, as ``vsx eval --json`` prints it."""
        return self._native.to_json()


class Audit:
    """What :func:`audit` found, as plain values in ``findings``, by their id."""

    def __init__(self, native: _native.Audit) -> None:
        self._native = native
        self.findings: dict[str, dict[str, Any]] = {
            finding["id"]: finding for finding in json.loads(native.to_json())["findings"]
        }

    def to_json(self) -> str:
        """The findings and the circumstances as text, as ``vsx audit --json`` prints it."""
        return self._native.to_json()

    def __repr__(self) -> str:
        verdicts = (f"{name} {finding['verdict']}" for name, finding in self.findings.items())
        return f"<vsearch.Audit: {', '.join(verdicts)}>"


def score_retrieval(
    queries: npt.ArrayLike,
    gallery: npt.ArrayLike,
    query_labels: npt.ArrayLike | None = None,
    gallery_labels: npt.ArrayLike | None = None,
    *,
    self_rows: npt.ArrayLike | None = None,
    keep_self: bool = False,
    positives: Sequence[Sequence[int]] = (),
    ignored: Sequence[Sequence[int]] = (),
    trapezoid: bool = False,
    cutoff: SupportsIndex = 0,
    recall_at: Iterable[int] = (1, 5, 10, 20),
    precision_at: Iterable[int] = (1, 5, 10),
    knn: SupportsIndex = 20,
    keep_answers: SupportsIndex = 0,
    threads: SupportsIndex = 0,
    progress: Progress = None,
) -> Scores:
    """Ranks the whole gallery for every query by cosine, exactly, and says what the rankings are
    worth.

    A row of the gallery is right if it has the label of the query (-1 is that of nothing) or,
    where ``positives`` are given, if it is among those of the query: then labels do not count.
    ``ignored`` rows count as neither right nor wrong. ``self_rows`` are the rows of the queries in
    the gallery, -1 where there is none: left out of their own answers unless ``keep_self``. Raises
    ValueError (shapes that do not match, a row that is zero or not finite, a label beyond 32 bits).
    """
    return _scores(
        _native.score_retrieval(
            queries,
            gallery,
            _whole_numbers(query_labels, "query_labels", np.int32),
            _whole_numbers(gallery_labels, "gallery_labels", np.int32),
            _whole_numbers(self_rows, "self_rows", np.int64),
            keep_self,
            [list(rows) for rows in positives],
            [list(rows) for rows in ignored],
            trapezoid,
            count(cutoff, "cutoff"),
            [count(k, "recall_at") for k in recall_at],
            [count(k, "precision_at") for k in precision_at],
            count(knn, "knn"),
            count(keep_answers, "keep_answers"),
            count(threads, "threads"),
            _progress.callback(progress, "queries"),
        )
    )


def estimate_mean(
    values: npt.ArrayLike, resamples: SupportsIndex = 1000, seed: int = 1
) -> Estimate:
    """The mean and its 95 % confidence interval by bootstrap; NaN is left out."""
    return Estimate(*_native.estimate_mean(values, count(resamples, "resamples"), seed))


def compare_paired(
    a: npt.ArrayLike, b: npt.ArrayLike, resamples: SupportsIndex = 10000, seed: int = 1
) -> PairedComparison:
    """Whether b is better than a on the same queries, by a permutation test with sign flips."""
    found = _native.compare_paired(a, b, count(resamples, "resamples"), seed)
    return PairedComparison(
        Estimate(*found["difference"]),
        found["p_value"],
        found["better"],
        found["worse"],
        found["equal"],
    )


def evaluate(
    subject: Encoder | Catalog | npt.ArrayLike,
    data: Dataset | PathLike | Iterable[Query],
    *,
    protocols: Iterable[str] = (),
    rerank: str = "none",
    cache: PathLike | None = None,
    depth: SupportsIndex = 100,
    breadth: SupportsIndex = 128,
    exact: bool = False,
    bootstrap: SupportsIndex = 1000,
    seed: int = 1,
    progress: Progress = None,
) -> Any:
    """Measures an encoder, or embeddings [pictures, dim], on a :class:`Dataset` (or the folder of
    one), and gives an :class:`Evaluation`; or a catalogue with labelled queries, (key or Path,
    relevant keys), and gives a :class:`CatalogEvaluation`.

    ``rerank`` is ``"qe:10"`` (expand queries), ``"dba:10"`` (expand the gallery) or both with '+';
    ``cache`` a folder where embeddings are kept, so that a run that was stopped goes on.
    ``depth``, ``breadth`` and ``exact`` are for catalogues: how many answers are asked for, and
    how.
    """
    resamples = count(bootstrap, "bootstrap")
    if isinstance(subject, Catalog):
        if protocols or rerank != "none" or cache is not None:
            raise InvalidArgumentError(
                "protocols, rerank and cache are for encoders that are measured on a data set, not "
                "for a catalogue"
            )
        if isinstance(data, (Dataset, str)) or hasattr(data, "__fspath__"):
            raise InvalidArgumentError(
                "a catalogue is measured with queries, (key or Path, relevant keys); a data set "
                "is for encoders"
            )
        return CatalogEvaluation(
            _native.evaluate_catalog(
                subject._native,
                [native_query(query) for query in data],  # type: ignore[union-attr]
                count(depth, "depth"),
                count(breadth, "breadth"),
                exact,
                resamples,
                seed,
                _progress.callback(progress, "queries"),
            )
        )
    if cache is not None and not isinstance(subject, Encoder):
        raise InvalidArgumentError("cache keeps what is encoded; embeddings are there already")
    dataset = data if isinstance(data, Dataset) else Dataset(data)  # type: ignore[arg-type]
    wanted = [protocols] if isinstance(protocols, str) else list(protocols)
    asked = _progress.callback(progress, "pictures")
    if isinstance(subject, Encoder):
        native = _native.evaluate_encoder(
            subject._native, dataset._native, wanted, rerank, cache, resamples, seed, asked
        )
    else:
        native = _native.evaluate_rows(
            subject, "embeddings", dataset._native, wanted, rerank, resamples, seed, asked
        )
    return Evaluation(native, dataset)


def audit(
    encoder: Encoder,
    data: Dataset | PathLike,
    *,
    only: Iterable[str] = (),
    colour_field: str = "",
    cache: PathLike | None = None,
    sample: SupportsIndex = 400,
    gallery: SupportsIndex = 4000,
    seed: int = 1,
    progress: Progress = None,
) -> Audit:
    """Looks for what an encoder gets wrong: background, colour, categories that collapse,
    robustness, what the index loses by category, and duplicates that flatter the figures.
    """
    dataset = data if isinstance(data, Dataset) else Dataset(data)
    return Audit(
        _native.audit_encoder(
            encoder._native,
            dataset._native,
            [only] if isinstance(only, str) else list(only),
            colour_field,
            cache,
            count(sample, "sample"),
            count(gallery, "gallery"),
            seed,
            _progress.callback(progress, "pictures"),
        )
    )


def write_report(
    path: PathLike,
    *measured: Evaluation | CatalogEvaluation | Audit,
    dataset: Dataset | None = None,
    title: str = "",
    command: str = "",
) -> None:
    """Writes one HTML page about what was measured: evaluations (several are compared), an audit,
    a catalogue's evaluation. ``dataset`` is where its pictures come from; that of the first
    evaluation if None.
    """
    evaluations = [one for one in measured if isinstance(one, Evaluation)]
    audits = [one for one in measured if isinstance(one, Audit)]
    catalogs = [one for one in measured if isinstance(one, CatalogEvaluation)]
    if len(audits) > 1 or len(catalogs) > 1:
        raise InvalidArgumentError("a report is about one audit and one catalogue at most")
    if dataset is None and evaluations:
        dataset = evaluations[0].dataset
    _native.write_report(
        path,
        [one._native for one in evaluations],
        dataset._native if dataset is not None else None,
        audits[0]._native if audits else None,
        catalogs[0]._native if catalogs else None,
        title,
        command,
    )


def _scores(found: dict[str, Any]) -> Scores:
    answers = [[RankedAnswer(*answer) for answer in of_query] for of_query in found.pop("answers")]
    return Scores(answers=answers, **found)
