"""The data sets: vectors, queries and their true neighbours, made once, in build/bench/index.

fashion-mnist           60,000 x 784, L2; queries of its test set
tokens-DIM-COUNT        patch tokens of DeiT-Ti, cosine; 192: one, 384: two neighbours side by
                        side, 768: four neighbours in a square; queries of other pictures
tokens-DIM-COUNT-of-N   the first of those
clustered-100k          tight clusters, one after the other, L2
churn-KIND-COUNT        11 x COUNT pairs of tokens, of which the last COUNT count in the end;
                        KIND window: in any order, drift: one cluster after the other
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common.report import ROOT

FOLDER = ROOT / "build" / "bench" / "index"
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
K = 10
QUERIES = 2000
PICTURES = (1500, 6500)  # of which tokens are computed: for QUICK=1, for all
QUERY_PICTURES = 200  # the first ones; the vectors are of the others
TURNOVERS = 10
CLUSTERS = 64


@dataclass(frozen=True)
class DataSet:
    name: str
    metric: str  # "l2" or "cosine"; under cosine all vectors have unit length
    base: np.ndarray  # float32 [n, dim]
    queries: np.ndarray
    truth: np.ndarray  # [queries, K], numbers of rows

    @property
    def dim(self) -> int:
        return self.base.shape[1]


def number(text: str) -> int:
    """ "100k" and "1M"."""
    return int(text[:-1]) * {"k": 1_000, "M": 1_000_000}[text[-1]]


def metric_of(name: str) -> str:
    return "l2" if name.startswith(("fashion", "clustered")) else "cosine"


def load(name: str) -> DataSet:
    folder = FOLDER / name
    arrays = (np.load(folder / f"{part}.npy", mmap_mode="r") for part in PARTS)
    return DataSet(name, metric_of(name), *arrays)


PARTS = ("base", "queries", "truth")


def prepare(name: str) -> DataSet:
    """Makes the files of a data set, unless they are there."""
    folder = FOLDER / name
    if not (folder / "truth.npy").exists():
        print(f"preparing {name}", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        kind, *rest = name.split("-")
        make = {
            "fashion": _fashion_mnist,
            "clustered": _clustered,
            "tokens": _tokens_set,
            "churn": _churn,
        }[kind]
        base, queries, candidates = make(*rest)
        first = len(base) - candidates
        truth = first + nearest(base[first:], queries, K, metric_of(name))
        for part, array in zip(PARTS, (base, queries, truth)):
            np.save(folder / f"{part}.npy", array)
    return load(name)


def nearest(base: np.ndarray, queries: np.ndarray, k: int, metric: str) -> np.ndarray:
    """Exactly: matrix products find twice as many, which float64 puts in order."""
    block = 50_000
    numbers = np.empty((len(queries), 0), np.int64)
    closeness = np.empty((len(queries), 0), np.float32)
    for begin in range(0, len(base), block):
        rows = np.ascontiguousarray(base[begin : begin + block])
        products = queries @ rows.T
        if metric == "l2":
            products = 2 * products - (rows * rows).sum(1)
        keep = min(2 * k, len(rows))
        best = np.argpartition(-products, keep - 1, axis=1)[:, :keep]
        numbers = np.concatenate([numbers, best + begin], axis=1)
        closeness = np.concatenate([closeness, np.take_along_axis(products, best, 1)], axis=1)
    order = np.argsort(-closeness, axis=1)[:, : 2 * k]
    numbers = np.take_along_axis(numbers, order, 1)
    exact = np.empty(numbers.shape)
    for i, query in enumerate(queries.astype(np.float64)):
        rows = base[numbers[i]].astype(np.float64)
        exact[i] = ((rows - query) ** 2).sum(1) if metric == "l2" else -(rows @ query)
    return np.take_along_axis(numbers, np.argsort(exact, axis=1, kind="stable")[:, :k], 1)


# What makes a data set gives vectors, queries, and how many of the last vectors can be neighbours.
_Made = tuple[np.ndarray, np.ndarray, int]


def _fashion_mnist(_: str) -> _Made:
    if not FASHION_MNIST.is_dir():
        raise SystemExit("Fashion-MNIST is missing: apt-get install dataset-fashion-mnist")

    def images(part: str) -> np.ndarray:
        with gzip.open(FASHION_MNIST / f"{part}-images-idx3-ubyte.gz") as file:
            pixels = np.frombuffer(file.read(), np.uint8, offset=16)
        return (pixels.reshape(-1, 784) / 255).astype(np.float32)

    base = images("train")
    return base, images("t10k")[:QUERIES], len(base)


def _clustered(count: str) -> _Made:
    random = np.random.default_rng(0)
    clusters, dim = 200, 128
    centres = random.standard_normal((clusters, dim), np.float32)
    of_base = np.repeat(np.arange(clusters), number(count) // clusters)
    of_queries = random.integers(clusters, size=QUERIES)

    def around(of: np.ndarray) -> np.ndarray:
        return centres[of] + 0.2 * random.standard_normal((len(of), dim), np.float32)

    return around(of_base), around(of_queries), len(of_base)


def _tokens_set(dim: str, count: str, *of: str) -> _Made:
    if of:
        whole = prepare(f"tokens-{dim}-{of[-1]}")
        return np.array(whole.base[: number(count)]), np.array(whole.queries), number(count)
    join = {"192": _single, "384": _pairs, "768": _squares}[dim]
    random = np.random.default_rng(0)
    a_picture = len(join(np.zeros((1, 14, 14, 192), np.float32)))
    pictures = -(-number(count) // a_picture)
    grid = _token_grids(QUERY_PICTURES + pictures)
    queries = _unit(random.permutation(join(grid[:QUERY_PICTURES]))[:QUERIES])
    base = _unit(random.permutation(join(grid[QUERY_PICTURES:]))[: number(count)])
    return base, queries, len(base)


def _churn(kind: str, count: str) -> _Made:
    total = (TURNOVERS + 1) * number(count)
    shifted_pairs = 14 * 6
    pictures = -(-total // (98 + shifted_pairs))
    grid = _token_grids(QUERY_PICTURES + pictures)
    others = grid[QUERY_PICTURES:]
    rows = np.concatenate([_pairs(others), _pairs(others[:, :, 1:13])])
    random = np.random.default_rng(0)
    stream = _unit(random.permutation(rows)[:total])
    queries = _unit(random.permutation(_pairs(grid[:QUERY_PICTURES])))
    if kind == "drift":
        places = _cluster_places(stream)
        order = np.argsort(places(stream), kind="stable")
        stream = stream[order]
        oldest = places(stream[-number(count) :]).min()
        queries = queries[places(queries) >= oldest]
    return stream, queries[:QUERIES], number(count)


def _cluster_places(rows: np.ndarray):
    """A function that gives the place of each vector's cluster in a drift: neighbouring clusters,
    along the direction in which they differ most, come after one another.
    """
    import faiss

    means = faiss.Kmeans(rows.shape[1], CLUSTERS, seed=1)
    means.train(rows)
    centred = means.centroids - means.centroids.mean(0)
    direction = np.linalg.svd(centred, full_matrices=False)[2][0]
    place = np.argsort(np.argsort(centred @ direction))
    return lambda vectors: place[means.assign(np.ascontiguousarray(vectors))[1]]


def _single(grid: np.ndarray) -> np.ndarray:
    return grid.reshape(-1, 192)


def _pairs(grid: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(grid).reshape(-1, 384)  # neighbours in a line of the picture


def _squares(grid: np.ndarray) -> np.ndarray:
    split = grid.reshape(len(grid), 7, 2, 7, 2, 192)
    return split.transpose(0, 1, 3, 2, 4, 5).reshape(-1, 768)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _token_grids(count: int) -> np.ndarray:
    """DeiT-Ti's last patch tokens of real pictures, [count, 14, 14, 192]."""
    for path in (FOLDER / f"pictures-{size}.npy" for size in PICTURES if size >= count):
        if path.exists():
            return np.load(path, mmap_mode="r")[:count]
    import torch

    from encoder import models

    files = [
        path
        for archive in ("grocery", "caltech101")
        for path in sorted(models.pictures(archive).rglob("*.jpg"))
    ]
    size = min(size for size in PICTURES if size >= count)
    np.random.default_rng(0).shuffle(files)
    model = models.load("deit-ti")
    batch = 16
    made = np.empty((size, 14, 14, 192), np.float32)
    for begin in range(0, size, batch):
        print(f"\rtokens of picture {begin} of {size}", end="", flush=True)
        pixels = models.prepared(files[begin : min(begin + batch, size)])
        with torch.inference_mode():
            states = model(pixel_values=torch.from_numpy(pixels)).last_hidden_state
        made[begin : begin + len(pixels)] = states[:, 1:].numpy().reshape(-1, 14, 14, 192)
    print()
    np.save(FOLDER / f"pictures-{size}.npy", made)
    return made[:count]
