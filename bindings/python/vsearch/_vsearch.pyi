# The compiled module. Its classes take and give plain values; those that people use are in the .py
# files beside this one, with the documentation. Errors are those of vsearch.errors.

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ._arguments import Fetch, Image, Log, PathLike
from ._items import NativeItem, NativePicture, NativeReport

_Progress = Callable[[int, int], bool | None]

version: str

class Encoder:
    def __init__(
        self,
        name_or_path: PathLike | None,
        cuda: bool,
        device_index: int,
        precision: str,
        batch_size: int | None,
        verify: bool,
    ) -> None: ...
    @property
    def dim(self) -> int: ...
    def info(self) -> dict[str, Any]: ...
    # [len(images), dim], and the failures, none unless keep_going, as (index, number of the error,
    # message). Messages call the pictures images[first], images[first + 1], ...
    def encode(
        self,
        images: list[Image],
        first: int,
        bgr: bool,
        exact: bool,
        lenient: bool,
        keep_going: bool,
        progress: _Progress | None,
    ) -> tuple[npt.NDArray[np.float32], list[tuple[int, int, str]]]: ...
    def encode_files(
        self, paths: list[PathLike], exact: bool, lenient: bool, progress: _Progress | None
    ) -> tuple[npt.NDArray[np.float32], list[tuple[int, int, str]]]: ...
    # [len(images), tokens, token_dim]
    def encode_tokens(
        self, images: list[Image], bgr: bool, exact: bool
    ) -> npt.NDArray[np.float32]: ...
    # [len(texts), dim]
    def encode_text(self, texts: list[str]) -> npt.NDArray[np.float32]: ...

class IdFilter:
    def __init__(self, ids: npt.ArrayLike) -> None: ...
    def size(self) -> int: ...
    def contains(self, id: int) -> bool: ...
    def ids(self) -> npt.NDArray[np.uint64]: ...

class Index:
    def __init__(
        self, dim: int, metric: str, links: int, build_breadth: int, storage: str, threads: int
    ) -> None: ...
    @staticmethod
    def load(path: PathLike) -> Index: ...
    def save(self, path: PathLike) -> None: ...
    @property
    def dim(self) -> int: ...
    @property
    def metric(self) -> str: ...
    @property
    def storage(self) -> str: ...
    def size(self) -> int: ...
    def contains(self, id: int) -> bool: ...
    def ids(self) -> npt.NDArray[np.uint64]: ...
    def stats(self) -> dict[str, int]: ...
    def vector(self, id: int) -> npt.NDArray[np.float32]: ...
    def add(
        self, vectors: npt.ArrayLike, ids: npt.ArrayLike, progress: _Progress | None
    ) -> None: ...
    def add_file(
        self,
        path: PathLike,
        dataset: str,
        ids: npt.ArrayLike | None,
        progress: _Progress | None,
    ) -> int: ...
    def merge(self, other: Index, progress: _Progress | None) -> None: ...
    # The fields of IndexHealth.
    def check_health(
        self, sample: int, k: int, breadth: int, seed: int, progress: _Progress | None
    ) -> dict[str, Any]: ...
    def remove(self, ids: npt.ArrayLike) -> int: ...
    def calibrate(self, queries: npt.ArrayLike | None) -> None: ...
    # query [n, dim]; ids and distances [n, m]
    def search(
        self,
        query: npt.ArrayLike,
        k: int,
        breadth: int,
        ids: npt.ArrayLike | IdFilter | None,
        recall: float,
        exact: bool,
        threads: int,
    ) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.float32]]: ...

class ExactSearcher:
    def __init__(self, index: Index, device: str, working_bytes: int) -> None: ...
    @property
    def device(self) -> str: ...
    def refresh(self) -> bool: ...
    # query [n, dim]; ids and distances [n, m]
    def search(
        self, query: npt.ArrayLike, k: int, ids: npt.ArrayLike | IdFilter | None, threads: int
    ) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.float32]]: ...

class Catalog:
    @staticmethod
    def create(
        path: PathLike,
        encoder: Encoder,
        log: Log | None,
        fetch: Fetch | None,
        snapshot_changes: int,
    ) -> Catalog: ...
    @staticmethod
    def open(
        path: PathLike,
        encoder: Encoder | None,
        log: Log | None,
        fetch: Fetch | None,
        snapshot_changes: int,
        progress: _Progress | None,
    ) -> Catalog: ...
    def close(self) -> None: ...
    @property
    def closed(self) -> bool: ...
    # items: (key, [(path, image, embedding, crop, role, keep_bytes)], metadata as JSON). Gives
    # added, replaced, encoded and the failures as (key, path, number of the error, message).
    def add(
        self, items: list[tuple[str, list[NativePicture], str]], progress: _Progress | None
    ) -> NativeReport: ...
    def remove(self, keys: list[str]) -> list[str]: ...
    # patches: (key, changes as JSON); gives the keys that are not there
    def patch(self, patches: list[tuple[str, str]]) -> list[str]: ...
    # (key, metadata as JSON, pictures); a picture is (id, path, role, crop, content_hash,
    # kept_bytes)
    def get(self, key: str) -> NativeItem | None: ...
    # Without those that are not there.
    def get_many(self, keys: list[str]) -> list[NativeItem]: ...
    def keys(self) -> list[str]: ...
    def info(self) -> dict[str, Any]: ...
    # Exactly one of image, like and vector is given. (key, score, distance, path, metadata as JSON,
    # role)
    def search(
        self,
        image: Image | None,
        like: str | None,
        text: str | None,
        vector: npt.ArrayLike | None,
        k: int,
        breadth: int,
        where: str | None,
        where_is_json: bool,
        exact: bool,
    ) -> list[tuple[str, float, float, str, str, str]]: ...
    # source: ("files", paths, keys, metadata, key_column), ("manifest", file, key_column) or
    # ("sql", database, query, key_column). options: (dry_run, remove_missing, max_removed_share,
    # key_prefix, duplicates, duplicate_distance). Gives the fields of SyncReport, changes and
    # failures as tuples.
    def sync(
        self,
        source: tuple[Any, ...],
        options: tuple[bool, bool, float, str, str, float],
        progress: _Progress | None,
    ) -> dict[str, Any]: ...
    # on_trouble is called with (number of the error, message)
    def watch(
        self,
        source: tuple[Any, ...],
        options: tuple[bool, bool, float, str, str, float],
        quiet_ms: int,
        on_report: Callable[[dict[str, Any]], bool | None],
        on_trouble: Callable[[int, str], None],
        progress: _Progress | None,
    ) -> None: ...
    # queries: (key, path, relevant keys). The fields of ReencodeReport; missing as (picture, key,
    # path, message). gate is called with the fields of EditionComparison.
    def reencode(
        self,
        encoder: Encoder,
        keep_old: bool,
        max_missing_share: float,
        k: int,
        sample: int,
        seed: int,
        queries: list[tuple[str | None, PathLike | None, list[str]]],
        min_overlap: float,
        max_recall_loss: float,
        gate: Callable[[dict[str, Any]], bool] | None,
        progress: _Progress | None,
    ) -> dict[str, Any]: ...
    def rollback(self, progress: _Progress | None) -> dict[str, Any]: ...
    # The fields of EditionInfo.
    def editions(self) -> list[dict[str, Any]]: ...
    def drop_edition(self, id: int) -> None: ...
    # The fields of IndexHealth.
    def check_health(
        self, sample: int, k: int, breadth: int, seed: int, progress: _Progress | None
    ) -> dict[str, Any]: ...
    # The fields of CheckReport.
    def check(
        self,
        sample: int,
        k: int,
        breadth: int,
        seed: int,
        min_self_recall: float,
        progress: _Progress | None,
    ) -> dict[str, Any]: ...
    # (bytes_before, bytes_after, index_rebuilt)
    def compact(self, progress: _Progress | None) -> tuple[int, int, bool]: ...
    def backup(self, path: PathLike, progress: _Progress | None) -> None: ...
    # (items, pictures)
    def export_to(self, path: PathLike, progress: _Progress | None) -> tuple[int, int]: ...
    def import_from(self, path: PathLike, progress: _Progress | None) -> NativeReport: ...
    def save_snapshot(self) -> None: ...
    # (keys, first, max_distance, same_content)
    def near_duplicates(
        self, max_distance: float, neighbours: int, progress: _Progress | None
    ) -> list[tuple[list[str], str, float, bool]]: ...
    def declare_field(self, name: str, type: str) -> None: ...
    def drop_field(self, name: str) -> None: ...
    def fields(self) -> dict[str, str]: ...

class Dataset:
    @property
    def name(self) -> str: ...
    @property
    def root(self) -> str: ...
    # (path, label, domain, split, crop, mask)
    @property
    def pictures(
        self,
    ) -> list[tuple[str, int, int, str, tuple[float, float, float, float], str]]: ...
    @property
    def classes(self) -> list[str]: ...
    @property
    def domains(self) -> list[str]: ...
    @property
    def fields(self) -> dict[str, tuple[list[str], npt.NDArray[np.int32]]]: ...
    # (name, queries, gallery)
    @property
    def protocols(self) -> list[tuple[str, npt.NDArray[np.uint32], npt.NDArray[np.uint32]]]: ...

class Evaluation:
    def to_json(self, every_query: bool) -> str: ...
    # protocol, scores (the fields of Scores), pictures, gallery_pictures
    @property
    def results(self) -> list[dict[str, Any]]: ...

class CatalogEvaluation:
    def to_json(self) -> str: ...

class Audit:
    def to_json(self) -> str: ...

# (name, title, contents, source, layout)
def dataset_kinds() -> list[tuple[str, str, str, str, str]]: ...
def load_dataset(kind: str, root: PathLike, incomplete: bool) -> Dataset: ...
def catalog_dataset(catalog: Catalog, label_fields: list[str]) -> Dataset: ...
def catalog_dataset_of_queries(
    catalog: Catalog, queries: list[tuple[str | None, PathLike | None, list[str]]]
) -> Dataset: ...

# The fields of Scores.
def score_retrieval(
    queries: npt.ArrayLike,
    gallery: npt.ArrayLike,
    query_labels: npt.NDArray[np.int32],
    gallery_labels: npt.NDArray[np.int32],
    self_rows: npt.NDArray[np.int64],
    keep_self: bool,
    positives: list[list[int]],
    ignored: list[list[int]],
    trapezoid: bool,
    cutoff: int,
    recall_at: list[int],
    precision_at: list[int],
    knn: int,
    keep_answers: int,
    threads: int,
    progress: _Progress | None,
) -> dict[str, Any]: ...

# (mean, low, high, count)
def estimate_mean(
    values: npt.ArrayLike, resamples: int, seed: int
) -> tuple[float, float, float, int]: ...

# The fields of PairedComparison.
def compare_paired(
    a: npt.ArrayLike, b: npt.ArrayLike, resamples: int, seed: int
) -> dict[str, Any]: ...
def evaluate_encoder(
    encoder: Encoder,
    dataset: Dataset,
    protocols: list[str],
    rerank: str,
    cache: PathLike | None,
    bootstrap: int,
    seed: int,
    progress: _Progress | None,
) -> Evaluation: ...
def evaluate_rows(
    embeddings: npt.ArrayLike,
    name: str,
    dataset: Dataset,
    protocols: list[str],
    rerank: str,
    bootstrap: int,
    seed: int,
    progress: _Progress | None,
) -> Evaluation: ...

# Of each query (key or None, path or None, relevant keys).
def evaluate_catalog(
    catalog: Catalog,
    queries: list[tuple[str | None, PathLike | None, list[str]]],
    depth: int,
    breadth: int,
    exact: bool,
    bootstrap: int,
    seed: int,
    progress: _Progress | None,
) -> CatalogEvaluation: ...
def audit_encoder(
    encoder: Encoder,
    dataset: Dataset,
    only: list[str],
    colour_field: str,
    cache: PathLike | None,
    sample: int,
    gallery: int,
    seed: int,
    progress: _Progress | None,
) -> Audit: ...

# The report as JSON. Options that are not there have their default; progress gets the fields of
# TrainState.
def train(
    model: PathLike | None,
    dataset: Dataset,
    output: PathLike,
    options: dict[str, Any],
    keep_apart: list[Dataset],
    progress: Callable[..., bool | None] | None,
) -> str: ...
def train_text(
    catalog: Catalog,
    output: PathLike,
    options: dict[str, Any],
    progress: Callable[..., bool | None] | None,
) -> str: ...

# Likewise.
def distill(
    teacher: PathLike,
    student: str,
    datasets: list[Dataset],
    paths: list[PathLike],
    output: PathLike,
    options: dict[str, Any],
    progress: Callable[..., bool | None] | None,
) -> str: ...
def write_report(
    path: PathLike,
    evaluations: list[Evaluation],
    dataset: Dataset | None,
    audit: Audit | None,
    catalog: CatalogEvaluation | None,
    title: str,
    command: str,
) -> None: ...
