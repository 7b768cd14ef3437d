"""vsearch.Index: against exact search in numpy."""

import numpy as np
import pytest
import vsearch


@pytest.fixture(scope="module")
def vectors():
    return np.random.default_rng(7).standard_normal((1000, 16), dtype=np.float32)


@pytest.fixture(scope="module")
def index(vectors):
    index = vsearch.Index(16, storage="float32")
    index.add(vectors, np.arange(1000) + 5000)
    return index


def cosine_distances(queries, vectors):
    queries = queries / np.linalg.norm(queries, axis=-1, keepdims=True)
    vectors = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return 1 - queries @ vectors.T


def test_search_of_one_and_of_many(index, vectors):
    queries = np.random.default_rng(8).standard_normal((200, 16), dtype=np.float32)
    expected = cosine_distances(queries, vectors)
    nearest = np.argsort(expected, axis=1)[:, :5]

    ids, distances = index.search(queries, k=5, exact=True)
    assert ids.shape == distances.shape == (200, 5)
    assert ids.dtype == np.uint64
    assert distances.dtype == np.float32
    np.testing.assert_array_equal(ids - 5000, nearest)
    np.testing.assert_allclose(distances, np.take_along_axis(expected, nearest, 1), atol=1e-5)

    approximate, _ = index.search(queries, k=5, breadth=128)
    assert np.mean(approximate == ids) > 0.95

    one_ids, one_distances = index.search(queries[3], k=5, exact=True)
    assert one_ids.shape == one_distances.shape == (5,)
    np.testing.assert_array_equal(one_ids, ids[3])
    np.testing.assert_array_equal(one_distances, distances[3])


def test_an_exact_batch_is_as_its_queries_alone():
    rng = np.random.default_rng(9)
    index = vsearch.Index(32)
    index.add(rng.standard_normal((3000, 32), dtype=np.float32), np.arange(3000))
    queries = rng.standard_normal((300, 32), dtype=np.float32)  # more than are asked at a time
    ids, distances = index.search(queries, k=7, exact=True, threads=2)
    for row in (0, 1, 255, 256, 299):
        one_ids, one_distances = index.search(queries[row], k=7, exact=True)
        np.testing.assert_array_equal(ids[row], one_ids)
        np.testing.assert_array_equal(distances[row], one_distances)
    ids, distances = index.search(queries, k=7, exact=True, ids=[5, 6, 7000])
    assert ids.shape == (300, 2)


def test_exact_search_on_a_device():
    rng = np.random.default_rng(10)
    index = vsearch.Index(32, metric="l2")
    index.add(rng.standard_normal((2000, 32), dtype=np.float32), np.arange(2000))
    searcher = vsearch.ExactSearcher(index, "cpu", working_bytes=1 << 20)
    assert searcher.device == "cpu"
    assert repr(searcher) == "<vsearch.ExactSearcher on cpu>"
    queries = rng.standard_normal((300, 32), dtype=np.float32)

    def check(**options):
        found = searcher.search(queries, k=5, **options)
        for ours, expected in zip(found, index.search(queries, k=5, exact=True, **options)):
            np.testing.assert_array_equal(ours, expected)

    check()
    check(ids=range(0, 2000, 3), threads=2)
    assert not searcher.refresh()
    index.remove(range(100))
    index.add(rng.standard_normal((50, 32), dtype=np.float32), np.arange(50))
    check()
    index.add(queries[:1], [77])
    assert searcher.refresh()
    ids, distances = searcher.search(queries[0], k=3)
    assert ids.shape == distances.shape == (3,)
    assert ids[0] == 77


def test_a_searcher_holds_its_index():
    index = vsearch.Index(4)
    index.add(np.eye(4, dtype=np.float32), range(4))
    searcher = vsearch.ExactSearcher(index, "cpu")
    del index
    ids, _ = searcher.search([0, 0, 1, 0], k=1)
    assert ids.tolist() == [2]


def test_devices_that_are_not_there():
    index = vsearch.Index(4)
    with pytest.raises(ValueError, match="device 'gpu' is none for exact search: give \"cuda\""):
        vsearch.ExactSearcher(index, "gpu")
    with pytest.raises(vsearch.UnavailableError, match="device 'cuda:99' was asked for"):
        vsearch.ExactSearcher(index, "cuda:99")
    for size in (-1, 100, 2**64):
        with pytest.raises(ValueError, match=f"working_bytes is {size}: give at least 1048576"):
            vsearch.ExactSearcher(index, "cpu", working_bytes=size)
    searcher = vsearch.ExactSearcher(index, "cpu")
    assert searcher.search(np.zeros((0, 4)))[0].shape == (0, 0)
    with pytest.raises(ValueError, match="query has 3 dimensions, but the index has 4"):
        searcher.search([1, 2, 3])
    with pytest.raises(ValueError, match="k is 0"):
        searcher.search([1, 2, 3, 4], k=0)


def test_fixed_point_is_the_default_and_nearly_as_exact(vectors):
    index = vsearch.Index(16, threads=2)
    assert index.storage == "int8"
    index.add(vectors, np.arange(1000))
    queries = np.random.default_rng(8).standard_normal((50, 16), dtype=np.float32)
    ids, distances = index.search(queries, k=5)
    expected = np.take_along_axis(cosine_distances(queries, vectors), ids.astype(np.int64), 1)
    np.testing.assert_allclose(distances, expected, atol=1e-4)
    assert len(index.vector(3)) == 16


@pytest.mark.parametrize(
    "storage, error",
    [("int8", 1e-4), ("float32", 1e-6), ("float16", 5e-4), ("bfloat16", 4e-3), ("compact", 1e-4)],
)
def test_every_storage_finds_neighbours(vectors, tmp_path, storage, error):
    index = vsearch.Index(16, storage=storage)
    assert index.storage == storage
    index.add(vectors, np.arange(1000))
    queries = np.random.default_rng(9).standard_normal((50, 16), dtype=np.float32)
    ids, distances = index.search(queries, k=5, breadth=200)
    expected = cosine_distances(queries, vectors)
    np.testing.assert_allclose(
        distances, np.take_along_axis(expected, ids.astype(np.int64), 1), atol=error
    )
    assert np.mean(ids == np.argsort(expected, axis=1)[:, :5]) > 0.9
    index.save(tmp_path / "index")
    loaded = vsearch.Index.load(tmp_path / "index")
    assert loaded.storage == storage
    np.testing.assert_array_equal(loaded.search(queries, k=5, breadth=200)[0], ids)


def test_a_storage_that_does_not_exist_is_refused():
    names = "'int8', 'float32', 'float16', 'bfloat16' or 'compact'"
    with pytest.raises(ValueError, match=f"storage is 'int4': give {names}"):
        vsearch.Index(16, storage="int4")


def test_searching_among_some(index, vectors):
    some = np.array([5001, 5002, 99], np.uint64)
    ids, distances = index.search(vectors[1], k=10, ids=some)
    assert ids.tolist()[0] == 5001
    assert sorted(ids.tolist()) == [5001, 5002]
    assert distances[0] == pytest.approx(0, abs=1e-5)
    ids, distances = index.search(vectors[:2], k=10, ids=[])
    assert ids.shape == distances.shape == (2, 0)


def test_a_filter_for_several_searches(vectors):
    index = vsearch.Index(16)
    index.add(vectors, np.arange(1000) + 5000)
    some = vsearch.IdFilter([5002, 5001, 99, 5001])
    assert len(some) == 3
    assert 5001 in some and 5000 not in some and -1 not in some and "5001" not in some
    assert some.ids().tolist() == [99, 5001, 5002]
    for _ in range(3):
        assert index.search(vectors[1], k=10, ids=some)[0].tolist() == [5001, 5002]
    index.remove([5001])
    assert index.search(vectors[1], k=10, ids=some)[0].tolist() == [5002]
    exact = vsearch.ExactSearcher(index, "cpu")
    assert exact.search(vectors[1], k=10, ids=some)[0].tolist() == [5002]
    with pytest.raises(ValueError, match="ids must be"):
        vsearch.IdFilter([-1])


def test_what_is_in_it(index, vectors):
    assert len(index) == 1000
    assert index.dim == 16
    assert index.metric == "cosine"
    assert 5000 in index
    assert 4999 not in index
    assert -1 not in index
    assert 2**64 not in index
    assert "5000" not in index
    np.testing.assert_array_equal(index.ids(), np.arange(5000, 6000, dtype=np.uint64))
    unit = vectors[4] / np.linalg.norm(vectors[4])
    np.testing.assert_allclose(index.vector(5004), unit, atol=1e-6)
    for absent in (1, -1, 2**64):
        with pytest.raises(KeyError, match=str(absent)):
            index.vector(absent)
    stats = index.stats()
    assert stats["size"] == 1000
    assert stats["removed"] == 0
    assert stats["memory_bytes"] > 1000 * 16 * 4
    assert repr(index) == "<vsearch.Index of 1000 vectors, 16 dimensions, cosine>"


def test_replacing_and_removing(vectors):
    index = vsearch.Index(16, metric="l2")
    index.add(vectors[:10], range(10))
    index.add(vectors[20:21], [3])
    assert len(index) == 10
    ids, distances = index.search(vectors[20], k=1)
    assert ids.tolist() == [3]
    assert distances[0] == pytest.approx(0, abs=1e-5)
    assert index.remove([3, 4, 77]) == 2
    assert index.remove([]) == 0
    assert len(index) == 8
    ids, distances = index.search(vectors[:3], k=20)
    assert ids.shape == (3, 8)


def test_kinds_of_numbers(vectors):
    index = vsearch.Index(2)
    index.add([[1, 0], [0, 1]], [2**64 - 1, 0])  # lists, and the largest id
    index.add(np.array([[1.0, 1.0]], np.float64), np.array([7], np.int32))
    index.add(np.asfortranarray(np.array([[1, 2], [3, 4]], np.float16)), [8, 9])
    index.add(np.zeros((0, 2), np.float32), [])
    assert index.ids().tolist() == [0, 7, 8, 9, 2**64 - 1]
    ids, _ = index.search([1, 0], k=1)
    assert ids.tolist() == [2**64 - 1]
    assert index.search(np.zeros((0, 2)), k=1)[0].shape == (0, 0)


def test_saving_and_loading(index, vectors, tmp_path):
    path = tmp_path / "shoes.index"
    index.save(path)
    loaded = vsearch.Index.load(path)
    for ours, theirs in zip(index.search(vectors[:5]), loaded.search(vectors[:5])):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(FileNotFoundError, match=r"none\.index"):
        vsearch.Index.load(tmp_path / "none.index")
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(vsearch.CorruptError, match=r"shoes\.index"):
        vsearch.Index.load(path)


def test_values_that_are_refused(vectors):
    index = vsearch.Index(16)
    index.add(vectors[:2], [0, 1])
    with pytest.raises(ValueError, match="15"):
        index.add(vectors[:2, :15], [2, 3])
    with pytest.raises(ValueError, match=r"vectors must have 2 dimensions, not the shape \(16,\)"):
        index.add(vectors[0], [2])
    with pytest.raises(ValueError):
        index.add(vectors[:2], [2])
    with pytest.raises(ValueError, match="one is -3"):
        index.add(vectors[:2], [2, -3])
    with pytest.raises(ValueError, match="one is 18446744073709551616"):
        index.add(vectors[:2], [2, 2**64])
    with pytest.raises(ValueError, match="one is negative"):
        index.add(vectors[:2], np.array([2, -3]))
    with pytest.raises(TypeError, match=r"whole numbers from 0 to 2\*\*64 - 1, not float"):
        index.add(vectors[:2], [2, 3.5])
    with pytest.raises(TypeError, match=r"whole numbers from 0 to 2\*\*64 - 1, not float64"):
        index.add(vectors[:2], np.array([2.0, 3.0]))
    with pytest.raises(ValueError, match=r"ids must have 1 dimension, not the shape \(1, 2\)"):
        index.add(vectors[:2], np.array([[2, 3]]))
    with pytest.raises(TypeError, match="array of numbers"):
        index.add([["a"] * 16], [2])
    bad = vectors[:3].copy()
    bad[1, 4] = np.nan
    with pytest.raises(ValueError, match="1"):
        index.add(bad, [2, 3, 4])
    assert index.ids().tolist() == [0, 1]

    with pytest.raises(ValueError, match="k"):
        index.search(vectors[0], k=0)
    with pytest.raises(ValueError, match="k must be from 1"):
        index.search(vectors[0], k=-1)
    with pytest.raises(TypeError):
        index.search(vectors[0], k=2.5)
    with pytest.raises(ValueError, match="15"):
        index.search(vectors[0, :15])
    with pytest.raises(ValueError, match="15"):
        index.search(vectors[:2, :15])
    with pytest.raises(ValueError, match="metric must be 'cosine', 'inner_product' or 'l2'"):
        vsearch.Index(16, metric="euclidean")
    with pytest.raises(ValueError, match="dim"):
        vsearch.Index(0)


def test_cancelling(vectors):
    index = vsearch.Index(16)
    many = np.random.default_rng(9).standard_normal((20000, 16), dtype=np.float32)
    calls = []

    def progress(done, total):
        calls.append((done, total))
        return len(calls) < 2

    with pytest.raises(vsearch.CancelledError):
        index.add(many, np.arange(20000), progress=progress)
    assert len(calls) == 2
    assert 0 < len(index) < 20000  # what was added stays


def test_a_recall_instead_of_a_breadth() -> None:
    random = np.random.default_rng(4)
    vectors = random.standard_normal((8000, 32)).astype(np.float32)
    queries = random.standard_normal((100, 32)).astype(np.float32)
    index = vsearch.Index(32)
    index.add(vectors, np.arange(8000))
    truth = index.search(queries, exact=True)[0]
    index.search(queries[0], recall=0.9)  # calibrates
    index.calibrate(queries)
    for recall in (0.8, 0.95):
        found = index.search(queries, recall=recall)[0]
        hits = sum(len(np.intersect1d(a, b)) for a, b in zip(found, truth))
        assert hits / 1000 >= recall - 0.03
    with pytest.raises(ValueError, match=r"recall is 1\.5"):
        index.search(queries[0], recall=1.5)
    with pytest.raises(ValueError, match="dimensions"):
        index.calibrate(queries[:, :5])
