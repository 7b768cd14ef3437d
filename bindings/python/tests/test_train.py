"""Training from Python: what goes in, what is told meanwhile, what comes out, and how it ends."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import vsearch
from PIL import Image

CLASSES, PICTURES = 6, 4


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """A folder of classes: each a pattern of colours that half of a picture's own is mixed with."""
    root = tmp_path_factory.mktemp("classes")
    random = np.random.default_rng(5)
    for c in range(CLASSES):
        (root / f"class-{c}").mkdir()
        pattern = random.integers(0, 256, (4, 4, 3))
        for i in range(PICTURES):
            mixed = (pattern + random.integers(0, 256, (4, 4, 3))) // 2
            picture = Image.fromarray(mixed.astype(np.uint8)).resize((64, 64), Image.BICUBIC)
            picture.save(root / f"class-{c}" / f"{i}.png")
    return root


def test_a_head(model, encoder, classes, tmp_path):
    states = []
    report = vsearch.train(
        model,
        vsearch.Dataset(classes),
        tmp_path / "tuned.vsm.pt",
        epochs=3,
        held_out_classes=0.5,
        cache=tmp_path / "cache",
        progress=states.append,
    )
    assert report.package == str(tmp_path / "tuned.vsm.pt")
    assert [epoch["epoch"] for epoch in report.epochs] == [0, 1, 2, 3]
    assert report.best_epoch in range(4)
    assert report.data["pictures"] == report.data["held_out"] == CLASSES * PICTURES // 2
    assert report.data["held_out_classes_are_new"]
    assert report.summary == json.loads(report.to_json())
    assert "of 3" in repr(report)
    encoded = [state for state in states if state.epoch == 0]
    learned = [state for state in states if state.epoch > 0]
    assert encoded[-1].step == encoded[-1].steps == CLASSES * PICTURES
    assert (learned[-1].epoch, learned[-1].epochs) == (3, 3)
    assert learned[-1].step == learned[-1].steps
    assert all(state.loss > 0 for state in learned)

    tuned = vsearch.Encoder(report.package)
    assert tuned.info()["name"] == "tuned"
    assert tuned.info()["fingerprint"] == report.summary["fingerprint"]
    assert encoder.info()["fingerprint"] == report.summary["start_fingerprint"]
    assert tuned.dim == encoder.dim


def test_the_learning_curve(model, classes, tmp_path):
    pytest.importorskip("matplotlib")
    from vsearch import plots

    report = vsearch.train(model, classes, tmp_path / "tuned.vsm.pt", epochs=3)
    figure = plots.learning_curve(report)
    figure.savefig(tmp_path / "plot.png")
    line, mark = figure.axes[0].get_lines()
    assert list(line.get_xdata()) == [0, 1, 2, 3]
    assert list(mark.get_xdata()) == [report.best_epoch]


def test_options_reach_the_library(model, classes, tmp_path):
    shutil.copytree(classes / "class-0", tmp_path / "apart" / "of-class-0")
    report = vsearch.train(
        model,
        classes,
        tmp_path / "short.vsm.pt",
        loss="supcon",
        dim=16,
        epochs=1,
        held_out_classes=0,
        keep_apart=vsearch.Dataset(tmp_path / "apart", "folder"),
        augmentation=vsearch.Augmentation(flip=False, greyscale=0),
    )
    assert report.summary["loss"] == "supcon"
    assert report.data["held_out"] == 0
    assert report.epochs[-1]["held_out_mAP"] is None
    assert len(report.data["leaks"]) == PICTURES, "those of class-0 are kept apart"
    assert {Path(leak["path"]).parent.name for leak in report.data["leaks"]} == {"class-0"}
    assert report.data["classes"] == CLASSES - 1
    assert vsearch.Encoder(report.package).dim == 16


def test_kinds_of_heads(model, classes, tmp_path):
    report = vsearch.train(model, classes, tmp_path / "pca.vsm.pt", head="pca-whitening", dim=6)
    assert report.summary["head"] == "pca-whitening"
    assert len(report.epochs) == 1
    assert vsearch.Encoder(report.package).dim == 6
    report = vsearch.train(model, classes, tmp_path / "hidden.vsm.pt", hidden=8, epochs=2)
    assert report.summary["head"] == "learned"
    assert vsearch.Encoder(report.package).dim == vsearch.Encoder(model).dim


def test_the_whole_network(model, classes, tmp_path):
    report = vsearch.train(
        model, classes, tmp_path / "full.vsm.pt", depth="full", epochs=1, rate=0.1, precision="fp32"
    )
    assert report.summary["depth"] == "full"
    assert vsearch.Encoder(report.package).dim == vsearch.Encoder(model).dim
    report = vsearch.train(
        *(model, classes, tmp_path / "full.vsm.pt"),
        **{"depth": "full", "epochs": 1, "lora_rank": 2, "cut_mix": 1.0},
    )
    assert report.epochs[-1]["rate"] == pytest.approx(1e-5), "a hundredth of that of adapters"


def test_progress_may_end_it(model, classes, tmp_path, capfd):
    output = tmp_path / "ended.vsm.pt"
    report = vsearch.train(
        model, classes, output, epochs=50, progress=lambda state: state.epoch < 2
    )
    assert "asked to stop in epoch 2" in report.summary["stopped"]
    assert vsearch.Encoder(output).dim

    class EnoughError(Exception):
        pass

    def raise_in_epoch_1(state):
        if state.epoch == 1:
            raise EnoughError

    with pytest.raises(EnoughError):
        vsearch.train(model, classes, output, epochs=50, progress=raise_in_epoch_1)
    with pytest.raises(vsearch.CancelledError):
        vsearch.train(model, classes, tmp_path / "none.vsm.pt", progress=lambda state: False)
    assert not (tmp_path / "none.vsm.pt").exists()
    assert capfd.readouterr() == ("", "")
    vsearch.train(model, classes, output, epochs=1, progress=True)
    assert "steps" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "magic"}, "loss must be 'arcface', .*, not 'magic'"),
        ({"depth": "deep"}, "depth must be 'head', 'partial' or 'full', not 'deep'"),
        ({"rate": -1.0}, "rate is -1"),
        ({"head": "hat"}, "head must be 'learned', 'lda', 'pca' or 'pca-whitening', not 'hat'"),
        ({"cut_mix": 0.5}, "cut_mix: of a network"),
        ({"epochs": 0}, "epochs is 0"),
        ({"held_out_classes": 0.9}, "held_out_classes is 0.9"),
        ({"label_fields": "colour"}, "colour"),
        ({"split": "tset"}, "tset"),
        ({"precision": "int8"}, "int8"),
        ({"device": "tpu"}, "device must be"),
    ],
)
def test_wrong_options_are_named(model, classes, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        vsearch.train(model, classes, tmp_path / "no.vsm.pt", **options)


def test_wrong_input_is_named(model, classes, tmp_path):
    output = tmp_path / "no.vsm.pt"
    with pytest.raises(ValueError, match="would replace its start"):
        vsearch.train(model, classes, model)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        vsearch.train(model, tmp_path / "nowhere", output)
    with pytest.raises(FileNotFoundError, match="no-such-model"):
        vsearch.train("no-such-model", classes, output)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        vsearch.train(model, classes, tmp_path / "nowhere" / "no.vsm.pt")
    one = tmp_path / "one"
    (one / "alone").mkdir(parents=True)
    for path in (classes / "class-0").iterdir():
        (one / "alone" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match="alone"):
        vsearch.train(model, vsearch.Dataset(one, "folder"), output)
    with pytest.raises(TypeError, match="rate"):
        vsearch.train(model, classes, output, rate="fast")
    with pytest.raises(ValueError, match="folder"):
        vsearch.train(model, 17, output)
    assert not output.exists()
