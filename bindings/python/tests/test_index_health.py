"""Health, merging, and vectors from files."""

import numpy as np
import pytest
import vsearch


@pytest.fixture
def vectors():
    return np.random.default_rng(9).standard_normal((2000, 16), dtype=np.float32)


def filled(vectors, first=0):
    index = vsearch.Index(16)
    index.add(vectors, np.arange(len(vectors)) + first)
    return index


def test_health(vectors):
    index = filled(vectors)
    seen = []
    health = index.check_health(
        sample=50, k=5, breadth=200, seed=3, progress=lambda done, total: seen.append((done, total))
    )
    assert health.size == 2000
    assert health.sampled == 50
    assert health.unreachable == health.lost == health.duplicates == 0
    assert health.removed_share == 0
    assert health.self_recall > 0.95
    assert health.distances_per_query > 200
    assert health.degrees.shape == (33,)
    assert health.degrees.sum() == 2000
    assert health.least_degree <= health.mean_degree <= health.most_degree
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(health.mean, unit.mean(axis=0), atol=1e-4)
    assert health.spread == pytest.approx(1, abs=0.02)
    assert seen[0][0] == 0
    assert seen[-1][0] == seen[-1][1]

    assert health.drift_from(health) == 0
    index.add(vectors + 1, range(2000))
    assert index.check_health(sample=0).drift_from(health) > 0.5
    with pytest.raises(ValueError, match="k is 0"):
        index.check_health(k=0)
    with pytest.raises(ValueError, match="16 and 15 dimensions"):
        vsearch.Index(15).check_health().drift_from(health)
    with pytest.raises(vsearch.CancelledError):
        index.check_health(progress=lambda done, total: False)


def test_statistics_by_part(vectors):
    stats = filled(vectors).stats()
    parts = ("vector_bytes", "link_bytes", "table_bytes", "free_bytes")
    assert sum(stats[part] for part in parts) == stats["memory_bytes"]
    assert stats["vector_bytes"] >= 2000 * 16 * 2


def test_merging(vectors):
    one = filled(vectors[:1000])
    two = filled(vectors[500:], first=500)
    copy = vsearch.Index(16)
    copy.merge(two)
    np.testing.assert_array_equal(copy.ids(), two.ids())
    one.merge(two)
    np.testing.assert_array_equal(one.ids(), np.arange(2000, dtype=np.uint64))
    ids, _ = one.search(vectors[::100], k=1)
    np.testing.assert_array_equal(ids[:, 0], np.arange(0, 2000, 100))
    with pytest.raises(ValueError, match="merged into itself"):
        one.merge(one)
    with pytest.raises(ValueError, match="8 dimensions"):
        one.merge(_with_one(8))


def _with_one(dim):
    index = vsearch.Index(dim)
    index.add(np.ones((1, dim)), [0])
    return index


@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
def test_numpy_files(vectors, tmp_path, kind):
    given = (vectors * 30).astype(kind)
    np.save(tmp_path / "a.npy", given)
    index = vsearch.Index(16)
    assert index.add_file(tmp_path / "a.npy") == 2000
    same = filled(given.astype(np.float32))
    for ours, theirs in zip(index.search(vectors[:20]), same.search(vectors[:20])):
        np.testing.assert_array_equal(ours, theirs)
    ids = np.arange(2000)[::-1] + 7
    index = vsearch.Index(16)
    index.add_file(str(tmp_path / "a.npy"), ids)
    np.testing.assert_array_equal(index.ids(), np.sort(ids))


def test_files_that_are_refused(vectors, tmp_path):
    index = vsearch.Index(16)
    np.save(tmp_path / "double.npy", vectors.astype(np.float64))
    with pytest.raises(ValueError, match=r"double\.npy': its numbers are of type '<f8'"):
        index.add_file(tmp_path / "double.npy")
    np.save(tmp_path / "fortran.npy", np.asfortranarray(vectors))
    with pytest.raises(ValueError, match="Fortran order"):
        index.add_file(tmp_path / "fortran.npy")
    np.save(tmp_path / "big.npy", vectors.astype(">f4"))
    with pytest.raises(ValueError, match="big-endian"):
        index.add_file(tmp_path / "big.npy")
    vectors[1234, 5] = np.nan
    np.save(tmp_path / "nan.npy", vectors)
    with pytest.raises(ValueError, match=r"row 1234 of .*NaN"):
        index.add_file(tmp_path / "nan.npy")
    with pytest.raises(ValueError, match="2000 rows but there are 3 ids"):
        index.add_file(tmp_path / "nan.npy", [1, 2, 3])
    with pytest.raises(ValueError, match="2000 rows but there are 0 ids"):
        index.add_file(tmp_path / "nan.npy", [])
    with pytest.raises(FileNotFoundError):
        index.add_file(tmp_path / "none.npy")
    assert len(index) == 0
