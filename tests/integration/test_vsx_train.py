"""vsx train: from a folder of classes to a package, and what it says on the way."""

import json
import re
import signal

import numpy as np
import pytest
from conftest import Terminal
from PIL import Image

CLASSES, PICTURES = 8, 4


def write_classes(root, seed=5, classes=CLASSES):
    """Each class is a pattern of colours that half of a picture's own is mixed with."""
    random = np.random.default_rng(seed)
    for c in range(classes):
        (root / f"class-{c}").mkdir(parents=True)
        pattern = random.integers(0, 256, (4, 4, 3))
        for i in range(PICTURES):
            mixed = (pattern + random.integers(0, 256, (4, 4, 3))) // 2
            picture = Image.fromarray(mixed.astype(np.uint8)).resize((64, 64), Image.BICUBIC)
            picture.save(root / f"class-{c}" / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    return write_classes(tmp_path_factory.mktemp("classes") / "shop")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return write_classes(tmp_path_factory.mktemp("other") / "other", seed=6, classes=3)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def test_one_command_on_a_folder(vsx, model, classes, other, cache, tmp_path):
    tuned = tmp_path / "tuned.vsm.pt"
    done = vsx(
        *("train", model, "--dataset", "folder", "--root", classes, "-o", tuned, "--cache", cache),
        *("--epochs", 3, "--held-out", "25%", "--also", f"folder:{other}"),
        *("--json", tmp_path / "report.json", "--html", tmp_path / "report.html"),
    )
    assert "learning from 24 pictures of 6 classes in shop" in done.stderr
    assert "held out to measure with: 8 pictures of classes that are not learned" in done.stderr
    assert f"wrote '{tuned}'" in done.stderr
    assert f"vsx reencode shop.vsearch --encoder '{tuned}'" in done.stderr
    header, first, second, note = done.stdout.splitlines()
    assert header.split("  ")[0] == "measured on"
    assert header.split()[-4:] == ["R@1", "R@5", "R@20", "mAP"]
    assert first.startswith("shop, held out")
    assert second.startswith("other, leave-one-out")
    assert first.count("→") == second.count("→") == 4
    assert "before and after" in note

    report = json.loads((tmp_path / "report.json").read_text())
    assert report["epochs"][-1]["epoch"] == 3
    assert report["data"]["pictures"] == 24
    held_out, forgotten = report["measured"]
    assert (held_out["dataset"], held_out["protocol"]) == ("shop", "held out")
    assert held_out["queries"] == 8
    assert 0 < held_out["before"]["mAP"] <= 1
    assert 0 < held_out["after"]["mAP"] <= 1
    assert forgotten["queries"] == 12
    page = (tmp_path / "report.html").read_text()
    assert "What was learned" in page and "Epoch " in page
    # What was measured before is what vsx eval measures.
    evaluated = json.loads(vsx("eval", model, "--root", other, "--cache", cache, "--json").stdout)
    expected = evaluated[0]["protocols"][0]["metrics"]["mAP"]["mean"]
    assert forgotten["before"]["mAP"] == pytest.approx(expected)

    assert vsx.info(tuned)["fingerprint"] == report["fingerprint"]
    vsx("model", "verify", tuned)


def test_an_audit_before_and_after(vsx, model, classes, cache, tmp_path):
    done = vsx(
        *("train", model, "--root", classes, "-o", tmp_path / "t.vsm.pt", "--cache", cache),
        *("--epochs", 1, "--held-out", "50%", "--audit", "-q"),
        *("--json", tmp_path / "report.json", "--html", tmp_path / "report.html"),
    )
    assert re.search(r"^audit of shop +before +after$", done.stdout, re.M)
    assert re.search(r"^Category collapse +\w+ +\w+$", done.stdout, re.M)
    audit = json.loads((tmp_path / "report.json").read_text())["audit"]
    assert set(audit["verdicts"]["collapse"]) == {"before", "after"}
    numbers = audit["numbers"]
    assert {number["finding"] for number in numbers} >= {"colour", "collapse"}
    assert any(number["before"] != number["after"] for number in numbers)
    assert 'id="audit"' in (tmp_path / "report.html").read_text()


def test_a_split_of_its_own(vsx, model, classes, cache, tmp_path):
    """Learned from train/, measured on test/ and on val/."""
    rows = ["path,label,split"]
    for c in range(CLASSES):
        tuned_with = ("val", "val") if c < 2 else ("train", "train")
        for i, split in enumerate(("train", "test", *tuned_with)):
            rows.append(f"class-{c}/{i}.png,{c},{split}")
    table = classes / "labels.csv"
    table.write_text("\n".join(rows) + "\n")
    done = vsx(
        *("train", model, "--dataset", "csv", "--root", table, "-o", tmp_path / "t.vsm.pt", "-q"),
        *("--epochs", 1, "--cache", cache),
    )
    table.unlink()
    _, held_out, own, _ = done.stdout.splitlines()
    assert re.match(r".*, held out +4 ", held_out)
    assert re.match(r".*, test-train +8 ", own)
    assert "learning" not in done.stderr


def test_queries_and_a_gallery_beside_what_is_learned(vsx, model, classes, cache, tmp_path):
    """A list without a split "train": what has no split is learned."""
    rows = ["path,label,split"]
    for c in range(CLASSES):
        splits = ["", "", "query", "gallery"]
        rows += [f"{classes}/class-{c}/{i}.png,{c},{split}" for i, split in enumerate(splits)]
    (tmp_path / "list.csv").write_text("\n".join(rows) + "\n")
    done = vsx(
        *("train", model, "--dataset", "csv", "--root", tmp_path / "list.csv", "--cache", cache),
        *("--epochs", 2, "--held-out", 0, "-o", tmp_path / "tuned.vsm.pt"),
    )
    assert "learning from 16 pictures of 8 classes" in done.stderr
    assert re.search(r"list, query-gallery +8 ", done.stdout)


def test_heads_that_are_computed_and_hidden_units(vsx, model, classes, cache, tmp_path):
    output, told = tmp_path / "head.vsm.pt", tmp_path / "told.json"
    start = ("train", model, "--root", classes, "-o", output, "--cache", cache, "--json", told)
    done = vsx(*start, "--head", "pca", "--dim", 6, "--html", tmp_path / "page.html")
    assert "a head of kind pca" in done.stderr
    assert "learning from" in done.stderr
    assert vsx.info(output)["dim"] == 6
    report = json.loads(told.read_text())
    assert report["head"] == "pca"
    assert len(report["epochs"]) == 1
    page = (tmp_path / "page.html").read_text()
    assert "a head of kind pca" in page
    assert "The loss, over each epoch" not in page

    done = vsx(*start, "--hidden", 16, "--epochs", 2)
    assert "of 2" in done.stderr
    assert json.loads(told.read_text())["head"] == "learned"
    vsx("model", "verify", output)


def test_adapters_and_mixed_pictures(vsx, model, classes, cache, tmp_path):
    output = tmp_path / "tuned.vsm.pt"
    vsx(
        *("train", model, "--root", classes, "-o", output, "--cache", cache, "-q"),
        *("--depth", "full", "--epochs", 1, "--lora-rank", 2, "--cut-mix", 0.5),
    )
    vsx("model", "verify", output)


def test_from_a_catalogue(vsx, shop, model, classes, cache, tmp_path):
    pictures = sorted(classes.rglob("*.png"))
    rows = [f"{path.relative_to(classes)},{path.parent.name}" for path in pictures]
    (tmp_path / "labels.csv").write_text("key,category\n" + "\n".join(rows) + "\n")
    vsx("add", shop, classes, "--metadata", tmp_path / "labels.csv")
    start = ("train", model, "--catalog", shop, "-o", tmp_path / "tuned.vsm.pt", "--cache", cache)
    done = vsx(*start, "--labels", "category", "--epochs", 1)
    assert "learning from 24 pictures of 6 classes in shop.vsearch" in done.stderr

    # Who chose the first picture of a class chose the others of it.
    clicks = tmp_path / "clicks.csv"
    keys = [str(path.relative_to(classes)) for path in pictures]
    chosen = [f"{keys[i]},{'|'.join(keys[i + 1 : i + PICTURES])}" for i in range(0, 32, PICTURES)]
    clicks.write_text("key,relevant\n" + "\n".join(chosen) + "\n")
    done = vsx(*start, "--queries", clicks, "--epochs", 1)
    assert "learning from 24 pictures of 6 classes in shop.vsearch" in done.stderr

    assert_says(vsx(*start, code=2), "--labels .* or --queries")
    assert_says(
        vsx(*start, "--labels", "a", "--root", classes, code=2), "give either, and no --root"
    )
    assert_says(vsx(*start, "--labels", "colour", code=1), "the field 'colour' of .*shop.vsearch")
    assert_says(vsx("train", model, "-o", "t.vsm.pt", "--queries", clicks, code=2), "--catalog")


def test_ctrl_c_keeps_the_best_so_far(vsx, model, classes, cache, tmp_path):
    tuned = tmp_path / "tuned.vsm.pt"
    arguments = ("train", model, "--root", classes, "-o", tuned, "--cache", cache)
    terminal = Terminal(vsx.command(*arguments, "--epochs", 20000))
    # What is stopped in the first epoch has learned nothing, and is not kept.
    terminal.wait_for(r"learning, epoch ([2-9]|\d\d+) of 20000 .* steps  loss \d+\.\d+ .* left")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.finish() == 130
    assert "stopping; press Ctrl-C again to stop at once" in terminal.seen
    assert "asked to stop in epoch" in terminal.seen
    assert f"wrote '{tuned}'" in terminal.seen
    assert vsx.info(tuned)["name"] == "tuned"


def test_wrong_usage_is_named(vsx, model, classes, tmp_path):
    output = tmp_path / "no.vsm.pt"
    start = ("train", model, "--root", classes, "-o", output, "--cache", "none")
    for options, message in (
        (("--loss", "magic"), "--loss is arcface, subcentre, .* not 'magic'"),
        (("--head", "hat"), "--head is learned, lda, pca or pca-whitening, not 'hat'"),
        (("--held-out", "2"), "--held-out is a share .* not '2'"),
        (("--also", "photos/"), "--also is NAME:DIR, such as folder:photos/, not 'photos/'"),
        (
            ("--held-out", "0", "--html", tmp_path / "r.html"),
            "--html needs pictures that are not",
        ),
    ):
        assert_says(vsx(*start, *options, code=2), message)
    assert_says(vsx("train", model, "-o", output, code=2), "--root")
    assert not output.exists()


def test_wrong_input_is_named(vsx, model, classes, tmp_path):
    output = tmp_path / "no.vsm.pt"

    def refused(*options, root=classes, to=output):
        return vsx("train", model, "--root", root, "-o", to, "--cache", "none", *options, code=1)

    said = vsx("train", model, "--root", classes, "-o", output, "--held-out", "0.7", code=2)
    assert_says(said, "--held-out is 0.7; it is at most half")
    assert_says(refused("--rate", "-1"), "rate is -1; it must be above 0")
    assert_says(refused("--lora-rank", "4"), "lora_rank: of a network, .*depth partial or full")
    assert_says(refused(to=model), "would replace its start; name another file")
    assert_says(refused(root=tmp_path / "nowhere"), "nowhere")
    one = write_classes(tmp_path / "one", classes=1)
    assert_says(refused("--dataset", "folder", root=one), "class-0.*two or more classes")
    assert not output.exists()


def assert_says(done, message):
    assert re.search(message, done.stderr), done.stderr
