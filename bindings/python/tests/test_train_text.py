"""Words learned from titles, from Python."""

import json

import numpy as np
import pytest
import vsearch
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


@pytest.fixture
def shop(model, tmp_path):
    """A stripe of a colour somewhere on grey, and a title that says so."""
    random = np.random.default_rng(7)
    items = []
    for colour, rgb in COLOURS.items():
        for place, box in PLACES.items():
            for i in range(EACH):
                pixels = random.integers(110, 140, (64, 64, 3)).astype(np.uint8)
                picture = Image.fromarray(pixels)
                picture.paste(rgb, box)
                items.append(
                    (
                        f"{colour}-{place}-{i}",
                        np.asarray(picture),
                        {"title": f"Stripe {i}, {colour}, {place}", "shop": "Paints"},
                    )
                )
    catalog = vsearch.create(tmp_path / "shop.vsearch", encoder=model)
    assert not catalog.add_many(items).failures
    yield catalog
    catalog.close()


QUICK = {"batch_size": 16, "epochs": 40, "rate": 5e-3, "patience": 0}


def test_titles_become_words(shop, model, tmp_path):
    states = []
    words = tmp_path / "words.vsm.pt"
    report = vsearch.train_text(shop, words, held_out=0.2, progress=states.append, **QUICK)
    assert report.package == str(words)
    assert report.summary == json.loads(report.to_json())
    assert report.summary["texts"] == 57
    assert report.summary["held_out"] == 15
    assert len(report.epochs) == 40
    assert report.best["mean_reciprocal_rank"] > 0.4
    assert report.best["recall_at_10"] >= report.summary["chance_at_10"]
    assert len(report.examples) == 10
    assert "of 40" in repr(report)
    assert (states[-1].epoch, states[-1].step) == (40, states[-1].steps)

    taken = shop.reencode(words)
    assert taken.switched
    assert taken.encoded == 0, "embeddings of pictures stay as they are"
    assert taken.reused == len(COLOURS) * len(PLACES) * EACH
    hits = shop.search(text="a blue stripe on the right", k=EACH)
    assert sum(hit.key.startswith("blue-right") for hit in hits) >= EACH - 1
    assert shop.search(text="RED", k=3)[0].key.startswith("red")
    assert vsearch.Encoder(words).encode_text(["red"]).shape == (1, vsearch.Encoder(model).dim)


def test_words_are_missing_until_they_are_learned(shop):
    with pytest.raises(vsearch.UnavailableError, match="vsx train-text"):
        shop.search(text="red")


def test_progress_may_end_it(shop, tmp_path, capfd):
    output = tmp_path / "ended.vsm.pt"
    report = vsearch.train_text(shop, output, progress=lambda state: state.epoch < 3, **QUICK)
    assert "asked to stop in epoch 3" in report.summary["stopped"]
    with pytest.raises(vsearch.CancelledError):
        vsearch.train_text(shop, tmp_path / "none.vsm.pt", progress=lambda state: False, **QUICK)
    assert not (tmp_path / "none.vsm.pt").exists()
    assert capfd.readouterr() == ("", "")
    vsearch.train_text(shop, output, progress=True, **{**QUICK, "epochs": 1})
    assert "steps" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"fields": "name"}, ValueError, "no item of .* has a text in name"),
        ({"fields": ["shop"]}, ValueError, "1 different texts"),
        ({"fields": []}, ValueError, "fields is empty"),
        ({"rate": 0}, ValueError, "rate is 0"),
        ({"rate": "fast"}, TypeError, "rate"),
        ({"epochs": -1}, ValueError, "epochs"),
        ({"model": "no-such-model"}, FileNotFoundError, "no-such-model"),
        ({"sentence": "no-such.vst.pt"}, FileNotFoundError, "no-such.vst.pt"),
    ],
)
def test_wrong_input_is_named(shop, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        vsearch.train_text(shop, tmp_path / "no.vsm.pt", **options)
    assert not (tmp_path / "no.vsm.pt").exists()


def test_another_model_is_refused(shop, other_model, tmp_path):
    with pytest.raises(vsearch.EncoderMismatchError, match="is not the model"):
        vsearch.train_text(shop, tmp_path / "no.vsm.pt", model=other_model)
    with pytest.raises(ValueError, match=r"vsearch\.Catalog"):
        vsearch.train_text(tmp_path, tmp_path / "no.vsm.pt")
