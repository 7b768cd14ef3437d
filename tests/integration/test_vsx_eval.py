"""vsx eval and vsx audit: from a folder of pictures to figures, a page and verdicts."""

import json

import numpy as np
import pytest
from conftest import write_picture
from PIL import Image


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    root = tmp_path_factory.mktemp("classes")
    random = np.random.default_rng(1)
    for name, colour in (("red", (200, 30, 30)), ("green", (30, 200, 30)), ("blue", (30, 30, 200))):
        (root / name).mkdir()
        for i in range(5):
            pixels = np.clip(np.array(colour) + random.integers(-25, 25, (40, 40, 3)), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{i}.png")
    return root


def test_a_model_on_a_folder(vsx, model, classes, tmp_path):
    page = tmp_path / "report page.html"
    cache = tmp_path / "cache"
    done = vsx("eval", model, "--root", classes, "--html", page, "--cache", cache)
    header, row, note = done.stdout.splitlines()
    assert header.split()[:2] == ["model", "data"]
    assert "100.0" in row
    assert "confidence" in note
    text = page.read_text()
    assert "--html 'report page.html'" in text or "report page.html" in text
    assert "<script" not in text
    (found,) = json.loads(vsx("eval", model, "--root", classes, "--cache", cache, "--json").stdout)
    assert found["from_cache"] == 15
    assert found["protocols"][0]["metrics"]["R@1"]["mean"] == 1

    both = vsx(
        *("eval", model, "--dataset", "folder", "--root", classes, "--cache", cache),
        *("--rerank", "none", "--rerank", "qe:2+dba:2"),
    )
    assert "qe:2:3+dba:2:3" in both.stdout
    assert "+0.0 (+0.0 to +0.0)" in both.stdout
    assert "permutation" in both.stdout


def test_a_catalogue(vsx, shop, photos, tmp_path):
    vsx("add", shop, photos)
    keys = [json.loads(line)["key"] for line in vsx("list", shop, "--json").stdout.splitlines()]
    queries = tmp_path / "known.csv"
    queries.write_text(f"key,relevant\n{keys[0]},{keys[1]}\n{keys[2]},{keys[3]}|{keys[4]}\n")
    done = vsx("eval", shop, "--queries", queries)
    assert "2 queries over 6 items" in done.stdout
    queries.write_text(f"key,relevant\n{keys[0]},{keys[1]}\nno-such,{keys[1]}\n")
    done = vsx("eval", shop, "--queries", queries, code=3)
    assert "no-such" in done.stderr


def test_an_audit(vsx, model, classes, tmp_path):
    page = tmp_path / "audit.html"
    done = vsx(
        *("audit", model, "--root", classes, "--only", "collapse", "--cache", "none"),
        *("--html", page, "--sample", "10"),
    )
    assert "collapse" in done.stdout.lower()
    assert page.stat().st_size > 1000


def test_an_audit_of_a_catalogue(vsx, shop, classes, tmp_path):
    metadata = tmp_path / "labels.csv"
    rows = [f"{path.relative_to(classes)},{path.parent.name}" for path in classes.rglob("*.png")]
    metadata.write_text("key,category\n" + "\n".join(rows) + "\n")
    vsx("add", shop, classes, "--metadata", metadata)
    done = vsx("audit", shop, "--label", "category", "--only", "collapse", "--cache", "none")
    assert "collapse" in done.stdout.lower()
    done = vsx("audit", shop, "--label", "colour", "--cache", "none", code=1)
    assert "colour" in done.stderr
    done = vsx("audit", shop, code=2)
    assert "--label" in done.stderr


def test_wrong_input_is_named(vsx, model, classes, tmp_path):
    done = vsx("eval", model, "--dataset", "no-such", "--root", classes, code=1)
    assert "gpr1200" in done.stderr
    done = vsx("eval", model, "--root", tmp_path / "nowhere", code=1)
    assert "nowhere" in done.stderr
    done = vsx("eval", model, "--root", classes, "--rerank", "magic", code=2)
    assert "qe:N" in done.stderr
    done = vsx("eval", model, "--dataset", "folder", code=2)
    assert "--root" in done.stderr
    done = vsx("eval", model, code=2)
    assert "--queries" in done.stderr
    done = vsx("eval", model, "--root", classes, "--protocol", "no-such", code=1)
    assert "no-such" in done.stderr
    (tmp_path / "one" / "lonely").mkdir(parents=True)
    write_picture(tmp_path / "one" / "lonely" / "0.png", 1)
    done = vsx("eval", model, "--dataset", "folder", "--root", tmp_path / "one", code=1)
    assert "lonely" in done.stderr


def test_a_run_that_lacks_pictures_is_refused_early(vsx, model, tmp_path):
    (tmp_path / "GPR1200" / "images").mkdir(parents=True)
    write_picture(tmp_path / "GPR1200" / "images" / "0_a.jpg", 1)
    done = vsx("eval", model, "--dataset", "gpr1200", "--root", tmp_path / "GPR1200", code=1)
    assert "12,000" in done.stderr


def test_options_of_the_other_kind_are_not_ignored(vsx, model, shop, classes, tmp_path):
    queries = tmp_path / "queries.csv"
    queries.write_text("key,relevant\na,b\n")
    for option in (("--rerank", "qe:10"), ("--protocol", "x"), ("--cache", "none")):
        done = vsx("eval", shop, "--queries", queries, *option, code=2)
        assert "not for a catalogue" in done.stderr
    root = ("--dataset", "folder", "--root", classes)
    assert "--exact" in vsx("eval", model, *root, "--exact", code=2).stderr
    assert "--json" in vsx("eval", model, *root, "--every-query", code=2).stderr
    assert "magic" in vsx("eval", model, *root, "--rerank", "magic", code=2).stderr


def test_a_page_that_cannot_be_written_is_said_before_the_work(vsx, model, classes, tmp_path):
    for html in (tmp_path / "none" / "report.html", tmp_path):
        done = vsx(
            *("eval", model, "--dataset", "folder", "--root", classes, "--cache", "none"),
            *("--html", html),
            code=1,
        )
        assert f"cannot write '{html}' (--html)" in done.stderr
        assert "encoding" not in done.stderr
