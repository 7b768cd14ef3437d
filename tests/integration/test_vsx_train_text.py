"""vsx train-text: a catalogue with titles is searched by words."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

COLOURS = {
    "red": (200, 20, 20),
    "green": (20, 180, 30),
    "blue": (20, 30, 200),
    "yellow": (210, 200, 20),
    "black": (15, 15, 15),
    "white": (240, 240, 240),
}
PLACES = {"left": (0, 0, 32, 64), "right": (32, 0, 64, 64), "top": (0, 0, 64, 32)}
EACH = 4
QUICK = ("--epochs", 40, "--batch-size", 16, "--rate", "0.005", "--patience", 0)


@pytest.fixture
def titled(vsx, shop, tmp_path):
    """A catalogue of striped pictures that a CSV gives titles; two items have none."""
    random = np.random.default_rng(7)
    with open(tmp_path / "items.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["key", "path", "title", "place"])
        for colour, rgb in COLOURS.items():
            for place, box in PLACES.items():
                for i in range(EACH):
                    pixels = random.integers(110, 140, (64, 64, 3)).astype(np.uint8)
                    picture = Image.fromarray(pixels)
                    picture.paste(rgb, box)
                    key = f"{colour}-{place}-{i}"
                    picture.save(tmp_path / f"{key}.png")
                    table.writerow([key, f"{key}.png", f"Stripe {i} {colour} {place}", place])
        for i in range(2):
            Image.new("RGB", (64, 64), (i, 90, 90)).save(tmp_path / f"none-{i}.png")
            table.writerow([f"none-{i}", f"none-{i}.png", "", ""])
    vsx("sync", shop, tmp_path / "items.csv", "-q")
    return shop


def test_from_titles_to_a_search_by_words(vsx, titled, tmp_path):
    words = tmp_path / "words.vsm.pt"
    done = vsx(
        *("train-text", titled, "-o", words, "--held-out", "20%", *QUICK),
        *("--json", tmp_path / "report.json"),
    )
    assert f"wrote '{words}'" in done.stderr
    assert "left out: 2 items without words" in done.stderr
    assert f"vsx reencode '{titled}' --encoder '{words}'" in done.stderr
    assert done.stdout.startswith("57 pairs learned; of texts not learned, among 15 pictures: R@1 ")
    assert "chance 66.7 %" in done.stdout
    assert "texts that were not learned, and what they find first:" in done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["without_text"] == 2
    assert report["epochs"][report["best_epoch"] - 1]["mean_reciprocal_rank"] > 0.4

    taken = json.loads(vsx("reencode", titled, "--encoder", words, "--json").stdout)
    assert taken["switched"]
    assert taken["encoded"] == 0
    found = json.loads(vsx("search", titled, "--text", "blue, right", "-k", 3, "--json").stdout)
    assert sum(hit["key"].startswith("blue-right") for hit in found["hits"]) >= 2
    table = vsx("search", titled, "--text", "Yellow stripe", "-k", 2).stdout
    assert "yellow-" in table

    # Words go along when the network is tuned.
    tuned = tmp_path / "tuned.vsm.pt"
    done = vsx(
        *("train", words, "--catalog", titled, "--labels", "place", "-o", tuned),
        *("--depth", "full", "--epochs", 2, "--rate", "0.05", "--cache", "none"),
        *("--json", tmp_path / "tuned.json"),
    )
    assert "words went along: names of 3 classes find their pictures among 72" in done.stderr
    measured = json.loads((tmp_path / "tuned.json").read_text())["words"]
    assert measured["names"] == 3 and 0 < measured["mAP_after"] <= 1
    vsx("model", "verify", tuned)


def write_sentences(path):
    """A sentence encoder, as the exporter writes them, that knows each word by its letters."""
    torch = pytest.importorskip("torch")
    from vsearch.export import sentence
    from vsearch.export.package import write_module

    class Letters(torch.nn.Module):
        def forward(self, texts: list[str]) -> torch.Tensor:
            rows = torch.zeros([len(texts), 64])
            for i, text in enumerate(texts):
                for word in text.lower().split(" "):
                    place = 0
                    for letter in list(word):
                        place = (place * 31 + ord(letter)) % 64
                    rows[i, place] += 1
            return rows

        @torch.jit.export
        def encode_text(self, texts: list[str]) -> torch.Tensor:
            return self(texts)

    write_module(Letters(), path, {sentence.MANIFEST_FILE: '{"format_version": 1}'})
    return path


def test_behind_a_sentence_encoder(vsx, titled, tmp_path):
    words, letters = tmp_path / "words.vsm.pt", write_sentences(tmp_path / "letters.vst.pt")
    done = vsx("train-text", titled, "-o", words, "--sentence", letters, *QUICK)
    assert f"behind '{letters}'" in done.stderr
    assert "Stripe" in done.stdout
    assert vsx.info(words)["has_text"]
    assert json.loads(vsx("reencode", titled, "--encoder", words, "--json").stdout)["encoded"] == 0
    found = json.loads(vsx("search", titled, "--text", "red left", "-k", 3, "--json").stdout)
    assert sum(hit["key"].startswith("red-left") for hit in found["hits"]) >= 2


def test_wrong_use_is_named(vsx, titled, shop, tmp_path):
    output = tmp_path / "no.vsm.pt"
    wrong = [
        (("--fields", "name"), 1, "no item of"),
        (("--fields", "place"), 1, "3 different texts to learn from, and 20 are needed"),
        (("--held-out", "80%"), 2, "--held-out is 80%; it is at most half"),
        (("--held-out", "many"), 2, "--held-out"),
        (("--model", "no-such-model"), 1, "no-such-model"),
        (("--sentence", "no-such.vst.pt"), 1, "vsx model export sentence"),
        (("--epochs", "0"), 1, "epochs is 0"),
    ]
    for arguments, code, message in wrong:
        failed = vsx("train-text", titled, "-o", output, *arguments, code=code)
        assert message in failed.stderr
        assert not output.exists()
    assert "no such folder" in vsx("train-text", shop, "-o", tmp_path / "no" / "x", code=1).stderr
    none = vsx("search", titled, "--text", "red", code=1)
    assert "cannot encode words" in none.stderr
    assert "vsx train-text" in none.stderr
