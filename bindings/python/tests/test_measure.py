"""Metrics against scikit-learn; evaluations, audits, reports and plots on pictures made here."""

import json

import numpy as np
import pytest
import vsearch
from PIL import Image

sklearn_metrics = pytest.importorskip("sklearn.metrics")
sklearn_neighbors = pytest.importorskip("sklearn.neighbors")


@pytest.fixture(scope="module")
def task():
    """Random unit vectors with labels; ties have probability zero."""
    random = np.random.default_rng(7)
    centres = random.normal(size=(12, 24))
    query_labels, gallery_labels = random.integers(0, 12, 60), random.integers(0, 12, 400)
    queries = centres[query_labels] + 1.3 * random.normal(size=(60, 24))
    gallery = centres[gallery_labels] + 1.3 * random.normal(size=(400, 24))
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (queries, gallery)]
    return (*(rows.astype(np.float32) for rows in unit), query_labels, gallery_labels)


def test_equal_to_scikit_learn(task):
    queries, gallery, query_labels, gallery_labels = task
    scores = vsearch.score_retrieval(queries, gallery, query_labels, gallery_labels, knn=5)
    similarity = queries.astype(np.float64) @ gallery.T.astype(np.float64)
    right = query_labels[:, None] == gallery_labels[None, :]
    for i in range(len(queries)):
        assert scores["mAP"][i] == pytest.approx(
            sklearn_metrics.average_precision_score(right[i], similarity[i]), abs=1e-5
        )
        assert scores["nDCG"][i] == pytest.approx(
            sklearn_metrics.ndcg_score(right[i : i + 1], similarity[i : i + 1]), abs=1e-5
        )
    assert scores["MRR"].mean() == pytest.approx(
        np.mean([1 / (1 + np.argmax(right[i][np.argsort(-s)])) for i, s in enumerate(similarity)]),
        abs=1e-5,
    )
    for k in (1, 5, 20):
        top = np.argsort(-similarity, axis=1)[:, :k]
        hit = np.take_along_axis(right, top, axis=1)
        assert scores[f"R@{k}"].mean() == pytest.approx(hit.any(axis=1).mean(), abs=1e-6)
        if k < 20:
            assert scores[f"P@{k}"].mean() == pytest.approx(hit.mean(), abs=1e-6)


def test_the_vote_of_neighbours_is_that_of_scikit_learn(task):
    queries, gallery, query_labels, gallery_labels = task
    scores = vsearch.score_retrieval(queries, gallery, query_labels, gallery_labels, knn=5)
    voter = sklearn_neighbors.KNeighborsClassifier(5, metric="cosine").fit(gallery, gallery_labels)
    near = voter.kneighbors(queries, return_distance=False)
    votes = [np.bincount(gallery_labels[row], minlength=12) for row in near]
    clear = np.array([(vote == vote.max()).sum() == 1 for vote in votes])  # ties are broken apart
    agreed = voter.predict(queries) == query_labels
    assert clear.sum() > 30
    assert np.array_equal(scores["kNN@5"][clear] == 1, agreed[clear])


def test_leave_one_out(task):
    _, gallery, _, labels = task
    rows = np.arange(len(gallery))
    scores = vsearch.score_retrieval(gallery, gallery, labels, labels, self_rows=rows)
    kept = vsearch.score_retrieval(
        gallery, gallery, labels, labels, self_rows=rows, keep_self=True, keep_answers=3
    )
    assert scores["R@1"].mean() < 1
    assert np.all(kept["R@1"] == 1)
    assert kept.answers[5][0].row == 5
    assert kept.answers[5][0].right
    assert len(kept.answers[5]) == 3


def test_pytorch_metric_learning_agrees(task):
    accuracy = pytest.importorskip("pytorch_metric_learning.utils.accuracy_calculator")
    torch = pytest.importorskip("torch")
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.inference import CustomKNN

    queries, gallery, query_labels, gallery_labels = task
    found = accuracy.AccuracyCalculator(
        include=("mean_average_precision_at_r", "r_precision", "precision_at_1"),
        k="max_bin_count",
        knn_func=CustomKNN(CosineSimilarity()),
    ).get_accuracy(
        torch.tensor(queries),
        torch.tensor(query_labels),
        torch.tensor(gallery),
        torch.tensor(gallery_labels),
        ref_includes_query=False,
    )
    scores = vsearch.score_retrieval(queries, gallery, query_labels, gallery_labels)
    assert scores["mAP@R"].mean() == pytest.approx(found["mean_average_precision_at_r"], abs=1e-5)
    assert scores["R-Prec"].mean() == pytest.approx(found["r_precision"], abs=1e-5)
    assert scores["R@1"].mean() == pytest.approx(found["precision_at_1"], abs=1e-5)


def test_estimates_and_comparisons():
    random = np.random.default_rng(3)
    a = (random.random(500) < 0.5).astype(np.float32)
    better = np.maximum(a, random.random(500) < 0.2).astype(np.float32)
    estimate = vsearch.estimate_mean(a)
    assert estimate.low < a.mean() < estimate.high
    assert estimate.mean == pytest.approx(a.mean())
    assert estimate == vsearch.estimate_mean(a)
    compared = vsearch.compare_paired(a, better)
    assert compared.p_value < 0.01
    assert compared.worse == 0
    assert compared.better + compared.equal == 500
    assert vsearch.compare_paired(a, a).p_value == 1
    with pytest.raises(ValueError):
        vsearch.compare_paired(a, a[:10])


def test_bad_input_is_named(task, classes):
    queries, gallery, query_labels, gallery_labels = task
    broken = gallery.copy()
    broken[17] = 0
    with pytest.raises(ValueError, match="17"):
        vsearch.score_retrieval(queries, broken, query_labels, gallery_labels)
    with pytest.raises(ValueError):
        vsearch.score_retrieval(queries, gallery, query_labels[:3], gallery_labels)
    beyond = query_labels.astype(np.int64) + 2**32
    with pytest.raises(ValueError, match=r"np\.unique"):
        vsearch.score_retrieval(queries, gallery, beyond, gallery_labels)
    is_third = (query_labels == 3, gallery_labels == 3)
    same = vsearch.score_retrieval(queries, gallery, *is_third)
    assert np.array_equal(
        same.values,
        vsearch.score_retrieval(queries, gallery, *(side * 1 - 7 for side in is_third)).values,
        equal_nan=True,
    )
    with pytest.raises(TypeError, match="whole numbers"):
        vsearch.score_retrieval(queries, gallery, query_labels + 0.5, gallery_labels)
    with pytest.raises(ValueError, match="qe:"):
        vsearch.evaluate(queries, classes, rerank="magic")


def test_plots_come_with_the_module():
    assert "plots" in dir(vsearch) and callable(vsearch.plots.recall_curve)


def test_ranking_can_be_cancelled(encoder, classes):
    encoded = []

    def stop_when_ranking(done, total):
        encoded.append((done, total))
        return encoded.count((total, total)) < 2

    with pytest.raises(vsearch.CancelledError):
        vsearch.evaluate(encoder, classes, progress=stop_when_ranking)
    rows = np.random.default_rng(2).normal(size=(18, 8))
    with pytest.raises(vsearch.CancelledError):
        vsearch.evaluate(rows, classes, progress=lambda done, total: False)
    with pytest.raises(ValueError, match="cache"):
        vsearch.evaluate(rows, classes, cache="cache")


def test_options_of_models_are_not_for_a_catalogue(shop):
    with pytest.raises(ValueError, match="not for a catalogue"):
        vsearch.evaluate(shop, [("item-0", ["item-1"])], rerank="qe:10")


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """Three colours, six pictures each."""
    root = tmp_path_factory.mktemp("classes")
    random = np.random.default_rng(1)
    for name, colour in (("red", (200, 30, 30)), ("green", (30, 200, 30)), ("blue", (30, 30, 200))):
        (root / name).mkdir()
        for i in range(6):
            pixels = np.clip(np.array(colour) + random.integers(-25, 25, (40, 40, 3)), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{i}.png")
    return root


def test_an_encoder_on_a_folder(encoder, classes, tmp_path):
    dataset = vsearch.Dataset(classes)
    assert dataset.name == classes.name
    assert dataset.classes == ["blue", "green", "red"]
    assert len(dataset.pictures) == 18
    calls = []
    evaluation = vsearch.evaluate(
        encoder, dataset, cache=tmp_path / "cache", progress=lambda *call: calls.append(call)
    )
    assert calls
    assert evaluation.estimate("R@1").mean == 1
    assert evaluation.summary["encoder"] == "grid-colour"
    assert evaluation.summary["from_cache"] == 0
    (result,) = evaluation.results
    assert result.scores["mAP"].shape == (18,)
    assert list(result.pictures) == list(range(18))
    again = vsearch.evaluate(encoder, classes, cache=tmp_path / "cache", rerank="qe:3")
    assert again.summary["from_cache"] == 18
    assert again.summary["rerank"].startswith("qe:3")
    with pytest.raises(KeyError, match="there are"):
        evaluation.estimate("accuracy")
    with pytest.raises(ValueError, match="leave"):
        vsearch.evaluate(encoder, dataset, protocols=["no-such"])

    rows = np.array([result.label for result in dataset.pictures])
    given = vsearch.evaluate(np.eye(3)[rows] + 0.01, dataset)
    assert given.estimate("mAP").mean == pytest.approx(1)

    page = tmp_path / "report.html"
    vsearch.write_report(page, evaluation, again, title="Three colours")
    text = page.read_text()
    assert "Three colours" in text
    assert "<script" not in text
    assert "data:image/jpeg" in text


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="no-such-folder"):
        vsearch.Dataset(tmp_path / "no-such-folder")
    with pytest.raises(ValueError, match="gpr1200"):
        vsearch.Dataset(tmp_path, "no-such-kind")
    assert {"gpr1200", "folder", "csv"} <= {kind.name for kind in vsearch.dataset_kinds()}


def test_a_catalogue(shop, photos):
    queries = [("item-0", ["item-1"]), (photos[2], ["item-2"]), ("no-such", ["item-1"])]
    evaluation = vsearch.evaluate(shop, queries, depth=8)
    assert evaluation.summary["queries"] == 2
    assert [failed["query"] for failed in evaluation.summary["failed"]] == ["no-such"]
    assert 0 < evaluation.estimate("MRR").mean <= 1
    assert evaluation.estimate("R@5").mean == evaluation.estimate("R@5", exact=True).mean
    # An item that is named among its own right answers does not wait to find itself.
    itself = vsearch.evaluate(shop, [("item-0", ["item-0", "item-1"]), *queries[1:]], depth=8)
    assert itself.estimate("mAP@8").mean == evaluation.estimate("mAP@8").mean
    alone = vsearch.evaluate(shop, [("item-0", ["item-0"]), *queries], depth=8)
    assert [failed["query"] for failed in alone.summary["failed"]] == ["item-0", "no-such"]
    with pytest.raises(ValueError, match="queries"):
        vsearch.evaluate(shop, [])


def test_the_pictures_of_a_catalogue(shop, encoder, photos, tmp_path):
    by_field = vsearch.Dataset.of_catalog(shop, "even")
    assert by_field.classes == ["true", "false"]
    assert [picture.label for picture in by_field.pictures] == [0, 1] * 4
    assert vsearch.evaluate(encoder, by_field).estimate("R@1").count == 8

    clicks = [("item-0", ["item-1", "item-2"]), (photos[3], "item-4"), ("item-5", ["gone"])]
    by_clicks = vsearch.Dataset.of_catalog(shop, queries=clicks)
    labels = [picture.label for picture in by_clicks.pictures]
    assert labels[0] == labels[1] == labels[2] != labels[4] == labels[8]
    assert labels[3] == labels[6] == -1
    assert by_clicks.domains == ["catalogue", "query"]

    with pytest.raises(ValueError, match="give either"):
        vsearch.Dataset.of_catalog(shop)
    with pytest.raises(ValueError, match="give either"):
        vsearch.Dataset.of_catalog(shop, "even", queries=clicks)
    with pytest.raises(ValueError, match="'even' with 'colour'"):
        vsearch.Dataset.of_catalog(shop, ["even", "colour"])
    with pytest.raises(ValueError, match="fewer than two groups"):
        vsearch.Dataset.of_catalog(shop, queries=[("item-0", ["item-1"])])


def test_an_audit(encoder, classes, tmp_path):
    audit = vsearch.audit(encoder, classes, only=["collapse", "colour"], sample=12)
    assert set(audit.findings) == {"collapse", "colour"}
    for finding in audit.findings.values():
        assert finding["verdict"] in ("sound", "noteworthy", "fault", "not measured")
    assert json.loads(audit.to_json())["encoder"] == "grid-colour"
    vsearch.write_report(tmp_path / "audit.html", audit, dataset=vsearch.Dataset(classes))
    with pytest.raises(ValueError, match="background"):
        vsearch.audit(encoder, classes, only="everything")


def test_plots(encoder, classes, tmp_path):
    pytest.importorskip("matplotlib")
    from vsearch import plots

    evaluation = vsearch.evaluate(encoder, classes)
    for plot in (plots.recall_curve, plots.class_bars, plots.score_histogram, plots.calibration):
        figure = plot(evaluation)
        figure.savefig(tmp_path / "plot.png")
        assert Image.open(tmp_path / "plot.png").size[0] > 300
    with pytest.raises(KeyError, match="there are"):
        plots.recall_curve(evaluation, protocol="no-such")
