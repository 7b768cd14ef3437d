"""vsx distill: from a large model and a folder of pictures to a small model."""

import json
import re
import signal

import numpy as np
import pytest
from conftest import Terminal
from PIL import Image

STUDENT = "vit:width=16,depth=1,heads=2,patch=16,size=32"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures") / "photos"
    random = np.random.default_rng(5)
    for i in range(40):
        folder = root / f"{i % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        pattern = random.integers(0, 256, (4, 4, 3)).astype(np.uint8)
        Image.fromarray(pattern).resize((64, 64), Image.BICUBIC).save(folder / f"{i}.png")
    return root


def distill(model, photos, output, *options):
    return (
        *("distill", "--teacher", model, "--student", STUDENT, "--pictures", photos),
        *("-o", output, "--batch-size", 8, *options),
    )


def test_one_command_on_a_folder(vsx, model, photos, tmp_path):
    small = tmp_path / "small.vsm.pt"
    done = vsx(*distill(model, photos, small, "--epochs", 3, "--json", tmp_path / "report.json"))
    assert f"wrote '{small}'" in done.stderr
    assert "learned from 36 pictures" in done.stderr
    assert f"vsx reencode shop.vsearch --encoder '{small}'" in done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split("  ")[0] == "model"
    assert lines[1].startswith("teacher")
    assert re.match(r"student +[\d,]+ +32 x 32 ", lines[2])
    assert lines[4].startswith("epoch")
    assert lines[5].split()[0] == "0"
    assert lines[-1] == "Of 4 pictures that were not learned from."

    report = json.loads((tmp_path / "report.json").read_text())
    assert report["start"].startswith(STUDENT + ",dim=")
    assert [epoch["epoch"] for epoch in report["epochs"]] == [0, 1, 2, 3]
    info = vsx.info(small)
    assert info["fingerprint"] == report["student"]["fingerprint"]
    assert report["teacher"]["fingerprint"] == vsx.info(model)["fingerprint"]
    vsx("model", "verify", small)

    # The student is a package that can be tuned, and that finds.
    tuned = tmp_path / "tuned.vsm.pt"
    vsx(
        *("train", small, "--dataset", "folder", "--root", photos, "-o", tuned, "--cache", "none"),
        *("--depth", "partial", "--epochs", 1, "--held-out", 0, "-q"),
    )
    assert vsx.info(tuned)["dim"] == info["dim"]


def test_pictures_that_cannot_be_read_are_left_out(vsx, model, photos, tmp_path):
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "torn.png").write_bytes((photos / "0" / "0.png").read_bytes()[:60])
    options = ("--pictures", bad, "--epochs", 1)
    done = vsx(*distill(model, photos, tmp_path / "small.vsm.pt", *options), code=3)
    assert re.search(r"1 picture could not be read:\n.*torn\.png", done.stderr)
    done = vsx(*distill(model, bad, tmp_path / "no.vsm.pt"), code=1)
    assert re.search(r"no picture could be read; the first: .*torn\.png", done.stderr)
    assert not (tmp_path / "no.vsm.pt").exists()


def test_ctrl_c_keeps_the_best_so_far_and_goes_on(vsx, model, photos, tmp_path):
    small = tmp_path / "small.vsm.pt"
    work = ("--epochs", 20000, "--work", tmp_path / "work")
    terminal = Terminal(vsx.command(*distill(model, photos, small, *work)))
    terminal.wait_for(r"learning, epoch ([2-9]|\d\d+) of 20000 .* steps  loss \d+\.\d+ .* left")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.finish() == 130
    assert "asked to stop in epoch" in terminal.seen
    assert f"wrote '{small}'" in terminal.seen
    assert vsx.info(small)["name"] == "small"
    log = (tmp_path / "work" / "log.jsonl").read_text().splitlines()
    learned = json.loads(log[-1])["epoch"]
    assert learned >= 1

    terminal = Terminal(vsx.command(*distill(model, photos, small, *work)))
    # A bar is drawn a few times a second: which epochs it shows is up to the machine's speed.
    first = terminal.wait_for(r"learning, epoch (\d+) of 20000")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.finish() == 130
    assert int(first[1]) > learned


def test_wrong_input_is_named(vsx, model, photos, tmp_path):
    output = tmp_path / "no.vsm.pt"

    def refused(*options, pictures=photos, to=output):
        start = ("distill", "--teacher", model, "--pictures", pictures, "-o", to)
        return vsx(*start, *options, code=1).stderr

    assert "there is no 'widht'" in refused("--student", "vit:widht=8")
    assert "width is 10, no multiple of heads" in refused("--student", "vit:width=10,heads=4")
    assert "no-such-model" in refused("--student", "no-such-model")
    assert "rate is -1" in refused("--rate", "-1")
    assert "would replace the teacher" in refused(to=model)
    assert "nowhere" in refused(pictures=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "holds no pictures" in refused(pictures=tmp_path / "empty")
    note = tmp_path / "note.vsm.pt"
    note.write_text("no package")
    done = vsx("distill", "--teacher", note, "--pictures", photos, "-o", output, code=1)
    assert re.search("note.vsm.pt: not a TorchScript archive", done.stderr)
    done = vsx("distill", "--pictures", photos, "-o", output, code=2)
    assert "--teacher" in done.stderr
    done = vsx(*distill(model, photos, output, "--held-out", "2"), code=2)
    assert "--held-out is a share" in done.stderr
    assert not output.exists()
