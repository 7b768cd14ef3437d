"""Distillation from Python: what goes in, what is told meanwhile, what comes out."""

import json

import numpy as np
import pytest
import vsearch
from PIL import Image

PICTURES = 24
STUDENT = "vit:width=16,depth=1,heads=2,patch=16,size=32"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of patterns of colours."""
    root = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(5)
    for i in range(PICTURES):
        pattern = random.integers(0, 256, (4, 4, 3)).astype(np.uint8)
        Image.fromarray(pattern).resize((64, 64), Image.BICUBIC).save(root / f"{i}.png")
    return root


def test_a_fresh_student(model, encoder, pictures, tmp_path):
    states = []
    report = vsearch.distill(
        model,
        STUDENT,
        pictures,
        tmp_path / "small.vsm.pt",
        epochs=2,
        batch_size=8,
        held_out=0.25,
        work=tmp_path / "work",
        progress=states.append,
    )
    assert report.package == str(tmp_path / "small.vsm.pt")
    assert [epoch["epoch"] for epoch in report.epochs] == [0, 1, 2]
    assert report.best_epoch in range(3)
    assert report.summary == json.loads(report.to_json())
    assert report.summary["start"] == f"{STUDENT},dim={encoder.dim}"
    assert report.summary["pictures"] == PICTURES * 3 // 4
    assert report.summary["held_out"] == PICTURES // 4
    assert 0 <= report.epochs[-1]["held_out_overlap@10"] <= 1
    assert -1 <= report.epochs[-1]["held_out_cosine"] <= 1
    assert report.teacher["fingerprint"] == encoder.info()["fingerprint"]
    assert report.student["parameters"] > 0
    assert report.student["pictures_per_second"] > 0
    assert "of 2" in repr(report)
    assert (tmp_path / "work" / "log.jsonl").read_text().count("\n") == 3
    learned = [state for state in states if state.epoch > 0]
    assert (learned[-1].epoch, learned[-1].epochs) == (2, 2)
    assert learned[-1].step == learned[-1].steps

    small = vsearch.Encoder(report.package)
    assert small.info()["name"] == "small"
    assert small.info()["fingerprint"] == report.student["fingerprint"]
    assert small.dim == encoder.dim


def test_a_package_learns(model, pictures, tmp_path):
    start = vsearch.distill(
        model, STUDENT + ",dim=8", [pictures], tmp_path / "start.vsm.pt", epochs=1, batch_size=8
    )
    report = vsearch.distill(
        model,
        start.package,
        [pictures / "1.png", pictures / "2.png", pictures / "3.png"],
        tmp_path / "small.vsm.pt",
        epochs=1,
        held_out=0,
        augmentation=vsearch.Augmentation(flip=False),
    )
    assert report.summary["start"] == start.student["fingerprint"]
    assert report.summary["pictures"] == 3
    assert report.epochs[-1]["held_out_cosine"] is None
    assert vsearch.Encoder(report.package).dim == 8


def test_progress_may_end_it(model, pictures, tmp_path):
    output = tmp_path / "ended.vsm.pt"
    report = vsearch.distill(
        model, STUDENT, pictures, output, epochs=50, progress=lambda state: state.epoch < 2
    )
    assert "asked to stop in epoch 2" in report.summary["stopped"]
    assert vsearch.Encoder(output).dim
    with pytest.raises(vsearch.CancelledError):
        vsearch.distill(
            model, STUDENT, pictures, tmp_path / "none.vsm.pt", progress=lambda state: False
        )
    assert not (tmp_path / "none.vsm.pt").exists()


@pytest.mark.parametrize(
    ("student", "options", "message"),
    [
        ("vit:widht=8", {}, "there is no 'widht', but width, depth"),
        ("vit:width=10,heads=4", {}, "width is 10, no multiple of heads, which is 4; 8 or 12"),
        ("vit", {"rate": -1.0}, "rate is -1"),
        ("vit", {"epochs": 0}, "epochs is 0"),
        ("vit", {"held_out": 0.9}, "held_out is 0.9"),
        ("vit", {"precision": "int8"}, "int8"),
        ("vit", {"device": "tpu"}, "device must be"),
        ("vit:dim=8", {"cosine": 1}, "no cosines between them"),
    ],
)
def test_wrong_options_are_named(model, pictures, tmp_path, student, options, message):
    with pytest.raises(ValueError, match=message):
        vsearch.distill(model, student, pictures, tmp_path / "no.vsm.pt", **options)


def test_wrong_input_is_named(model, pictures, tmp_path):
    output = tmp_path / "no.vsm.pt"
    with pytest.raises(ValueError, match="would replace the teacher"):
        vsearch.distill(model, STUDENT, pictures, model)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        vsearch.distill(model, STUDENT, tmp_path / "nowhere", output)
    with pytest.raises(FileNotFoundError, match="no-such-model"):
        vsearch.distill("no-such-model", STUDENT, pictures, output)
    with pytest.raises(ValueError, match="no picture to learn from"):
        vsearch.distill(model, STUDENT, [], output)
    with pytest.raises(ValueError, match="pictures are paths"):
        vsearch.distill(model, STUDENT, [17], output)
    with pytest.raises(TypeError, match="rate"):
        vsearch.distill(model, STUDENT, pictures, output, rate="fast")
    assert not output.exists()
