"""vsx index and vsx check: indexes of vectors in files, without pictures or a model."""

import json

import numpy as np
import pytest


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(17)
    base = random.standard_normal((8000, 24), dtype=np.float32)
    queries = random.standard_normal((300, 24), dtype=np.float32)
    distances = (base**2).sum(axis=1) - 2 * queries @ base.T  # and a constant of the query
    return base, queries, np.argsort(distances, axis=1)[:, :20].astype(np.int32)


def vecs(path, matrix):
    width = np.full((len(matrix), 1), matrix.shape[1], np.int32)
    np.hstack([width, matrix.view(np.int32)]).tofile(path)
    return path


@pytest.fixture
def files(data, tmp_path):
    base, queries, truth = data
    np.save(tmp_path / "queries.npy", queries)
    vecs(tmp_path / "base.fvecs", base)
    vecs(tmp_path / "truth.ivecs", truth)
    return tmp_path


@pytest.fixture
def index(vsx, files):
    path = files / "base.index"
    done = vsx("index", "build", files / "base.fvecs", "-o", path, "--metric", "l2")
    assert done.stdout == ""
    assert f"wrote '{path}': 8,000 vectors in " in done.stderr
    return path


def test_build_and_search(vsx, files, index, data):
    _, queries, truth = data
    command = ["index", "search", index, "--queries", files / "queries.npy", "--breadth", 100]
    done = vsx(*command, "--truth", files / "truth.ivecs", "--json")
    answer = json.loads(done.stdout)
    ids = np.array(answer["ids"])
    assert ids.shape == (300, 10)
    found = [len(set(ours) & set(theirs[:10])) for ours, theirs in zip(ids, truth)]
    assert answer["recall"] == pytest.approx(np.mean(found) / 10)
    assert answer["recall"] > 0.95
    assert 300 * 100 < answer["distances_computed"] < 300 * 8000
    assert "300 answers, " in done.stderr
    assert f"recall {answer['recall']:.4f}" in done.stderr

    lines = vsx(*command, "-k", 2, "--exact", "-q")
    assert lines.stderr == ""
    rows = [line.split() for line in lines.stdout.splitlines()]
    assert [row[0] for row in rows] == [str(i) for i in range(300)]
    np.testing.assert_array_equal(
        [[int(x.split(":")[0]) for x in row[1:]] for row in rows], truth[:, :2]
    )
    base = data[0]
    distance = float(rows[0][1].split(":")[1])
    assert distance == pytest.approx(((queries[0] - base[truth[0, 0]]) ** 2).sum(), rel=1e-3)


def test_ids_and_storage(vsx, files):
    np.save(files / "ids.npy", np.arange(8000) * 7)
    path = files / "other.index"
    vsx("index", "build", files / "base.fvecs", "-o", path, "--ids", files / "ids.npy",
        "--storage", "float32", "--links", 8, "--build-breadth", 60, "-q")  # fmt: skip
    stats = json.loads(vsx("index", "stats", path, "--json").stdout)
    assert (stats["dim"], stats["metric"], stats["storage"]) == (24, "cosine", "float32")
    assert (stats["links"], stats["build_breadth"], stats["size"]) == (8, 60, 8000)
    parts = [stats[f"{part}_bytes"] for part in ("vector", "link", "table", "free")]
    assert sum(parts) == stats["memory_bytes"]
    text = vsx("index", "stats", path).stdout
    assert "24 x float32, cosine" in text
    answer = vsx("index", "search", path, "--queries", files / "queries.npy", "--json", "-q")
    assert all(i % 7 == 0 for row in json.loads(answer.stdout)["ids"] for i in row)


def test_check_passes_and_fails(vsx, index):
    done = vsx("check", index, "--breadth", 100)
    assert done.stdout.startswith(f"index of {index}\n")
    assert done.stdout.endswith("\nPASS\n")
    health = json.loads(vsx("check", index, "--json", "--sample", 1000, "--breadth", 100).stdout)
    assert health["passed"]
    assert health["faults"] == []
    assert (health["size"], health["sampled"]) == (8000, 1000)
    assert health["unreachable"] <= 8
    assert sum(health["degrees"]) == 8000
    assert health["self_recall"] > 0.95
    command = ["check", index, "-k", 20, "--breadth", 1, "--min-recall", 1]
    done = vsx(*command, code=1)
    assert done.stdout.endswith("\nFAIL\n")
    assert "below 1 (--min-recall): search with more breadth" in done.stderr
    assert not json.loads(vsx(*command, "--json", code=1).stdout)["passed"]


def test_check_of_a_catalogue(vsx, shop, photos):
    vsx("add", shop, photos)
    health = json.loads(vsx("check", shop, "--json").stdout)
    assert (health["size"], health["passed"]) == (6, True)
    assert vsx("check", shop / "index.snapshot", "-q").stdout.endswith("PASS\n")


def test_what_is_wrong_is_said(vsx, files, index):
    queries = files / "queries.npy"
    out = files / "none.index"
    np.save(files / "double.npy", np.zeros((3, 4)))
    done = vsx("index", "build", files / "double.npy", "-o", out, code=1)
    assert "double.npy': its numbers are of type '<f8'" in done.stderr
    done = vsx("index", "build", files / "base.fvecs", "-o", out, "--metric", "dot", code=2)
    assert "--metric is one of cosine, inner_product, l2, not 'dot'" in done.stderr
    done = vsx("index", "build", files / "base.fvecs", "-o", out, "--storage", "int1", code=2)
    known = "int8, float32, float16, bfloat16, compact"
    assert f"--storage is one of {known}, not 'int1'" in done.stderr
    assert not out.exists()
    done = vsx("index", "search", out, "--queries", queries, code=1)
    assert "none.index" in done.stderr
    done = vsx("index", "search", index, "--queries", queries, "-k", 0, code=2)
    assert "-k is the number of neighbours" in done.stderr
    done = vsx("check", index, "-k", 0, code=2)
    assert "-k is the number of neighbours" in done.stderr
    done = vsx("index", "search", index, "--queries", queries, "-k", 21,
               "--truth", files / "truth.ivecs", code=1)  # fmt: skip
    assert "has 20 neighbours of 300 queries, and there are 300 queries for 21" in done.stderr
    done = vsx("index", "search", index, "--queries", files / "double.npy", code=1)
    assert "double.npy" in done.stderr
    vsx("index", code=2)
