"""Another encoder for a catalogue: reencode, rollback and the editions that are kept."""

import threading

import pytest
import vsearch
from conftest import pixels


def test_another_encoder_serves_and_the_first_one_again(shop, other_model, photos, tmp_path):
    (edition,) = shop.editions()
    assert (edition.id, edition.state, edition.embeddings) == (1, "serving", 8)
    assert edition.encoder_name == "grid-colour"
    calls = []
    report = shop.reencode(other_model, progress=lambda *call: calls.append(call))
    assert report.switched
    assert (report.refusal, report.encoded, report.reused, report.missing) == ("", 8, 0, [])
    assert (report.edition.id, report.edition.state) == (2, "serving")
    assert report.edition.encoder == str(other_model)
    assert report.comparison.sampled == 8
    assert report.comparison.overlap == pytest.approx(1)
    assert calls[-1] == (8, 8)
    assert [edition.state for edition in shop.editions()] == ["kept", "serving"]
    assert shop.info()["encoder_name"] == "other"
    assert shop.search(image=photos[3], k=1)[0].key == "item-3"
    assert shop.search(image=photos[3], k=1)[0].score == pytest.approx(1, abs=1e-4)

    shop.add("new", photos[0].read_bytes())
    shop.add("late", vsearch.Picture(image=photos[0].read_bytes(), keep_bytes=True))
    back = shop.rollback()
    assert back.switched
    assert back.edition.encoder_name == "grid-colour"
    assert shop.search(image=photos[0], k=3, exact=True)[0].score == pytest.approx(1, abs=1e-4)

    with pytest.raises(ValueError, match="1"):
        shop.drop_edition(1)
    shop.drop_edition(2)
    with pytest.raises(KeyError, match="2"):
        shop.drop_edition(2)
    with pytest.raises(KeyError, match="keeps no edition"):
        shop.rollback()
    shop.close()
    with vsearch.open(tmp_path / "shop.vsearch") as again:
        assert again.search(image=photos[3], k=1)[0].key == "item-3"


def test_the_old_edition_need_not_be_kept(shop, other_model):
    assert shop.reencode(vsearch.Encoder(other_model), keep_old=False).switched
    assert [edition.id for edition in shop.editions()] == [2]


def test_the_encoder_that_serves_is_refused(shop, encoder):
    with pytest.raises(ValueError, match="already"):
        shop.reencode(encoder)
    with pytest.raises(FileNotFoundError, match="no-such-model"):
        shop.reencode("no-such-model")


def test_the_gate(shop, blind_model, photos):
    kept = [("item-0", ["item-1"]), (photos[2], "item-2")]
    seen = []

    def gate(comparison):
        seen.append(comparison)
        return False

    report = shop.reencode(blind_model, queries=kept, k=1, gate=gate)
    assert not report.switched
    assert "gate" in report.refusal
    assert seen == [report.comparison]
    assert (seen[0].k, seen[0].labelled) == (1, 2)
    assert [edition.state for edition in shop.editions()] == ["serving", "building"]

    report = shop.reencode(blind_model, min_overlap=1.0, k=1)
    assert not report.switched
    assert report.comparison.overlap < 1
    assert "overlap" in report.refusal
    assert (report.encoded, report.reused) == (0, 8)

    def fail(comparison):
        raise LookupError("from the gate")

    with pytest.raises(LookupError, match="from the gate"):
        shop.reencode(blind_model, gate=fail)
    assert shop.info()["encoder_name"] == "grid-colour"
    assert shop.reencode(blind_model, gate=lambda comparison: True).switched


def test_labelled_queries(shop, other_model, photos, tmp_path):
    query = vsearch.LabelledQuery(["item-4"], path=photos[4])
    report = shop.reencode(other_model, queries=[query], max_recall_loss=0, k=1)
    assert report.switched
    assert (report.comparison.recall_before, report.comparison.recall_after) == (1, 1)


@pytest.mark.parametrize(
    ("query", "kind", "message"),
    [
        (("none", ["item-1"]), KeyError, "query 1 is about the item .?none"),
        (("item-1", ["none"]), KeyError, "no relevant item"),
        (("item-1", []), ValueError, "no relevant item"),
        (vsearch.LabelledQuery(["item-1"]), ValueError, "either the key"),
        ("item-1", ValueError, "a query is"),
        (("item-1", [7]), TypeError, "relevant key of a query must be a str, not int"),
    ],
)
def test_queries_that_make_no_sense(shop, other_model, query, kind, message):
    with pytest.raises(kind, match=message):
        shop.reencode(other_model, queries=[query])
    assert len(shop.editions()) == 1


def test_pictures_that_are_gone(shop, other_model, photos):
    photos[0].unlink()
    shop.add("embedding", vsearch.Picture(embedding=[1.0] * 48))
    shop.add("kept", vsearch.Picture(image=photos[1].read_bytes(), keep_bytes=True))
    report = shop.reencode(other_model)
    assert not report.switched
    assert "max_missing_share" in report.refusal
    assert {(missing.key, missing.path) for missing in report.missing} == {
        ("item-0", str(photos[0])),
        ("embedding", ""),
    }
    assert all(missing.message for missing in report.missing)
    assert shop.reencode(other_model, max_missing_share=0.2).switched
    assert shop.check().without_embedding == 2


def test_fetched_pictures_are_fetched_again(tmp_path, encoder, other_model, photos):
    uri = "https://shop.example/0.png"
    fetch = {uri: photos[0].read_bytes()}.__getitem__
    with vsearch.create(tmp_path / "shop.vsearch", encoder=encoder, fetch=fetch) as shop:
        shop.add("web", uri)
        assert shop.reencode(other_model).switched
        assert shop.search(image=photos[0], k=1)[0].score == pytest.approx(1, abs=1e-4)


def test_cancelled_it_goes_on(shop, slow_model, photos):
    with pytest.raises(vsearch.CancelledError):
        shop.reencode(slow_model, progress=lambda done, total: False)
    assert [edition.state for edition in shop.editions()] == ["serving", "building"]
    assert shop.reencode(slow_model).switched


def test_searches_and_adds_go_on_meanwhile(shop, slow_model, photos):
    shop.add_many((f"more-{n}", photos[n % 8].read_bytes()) for n in range(4))
    done = threading.Event()
    failures = []

    def use():
        n = 0
        while not done.is_set():
            try:
                shop.add(f"new-{n}", vsearch.Picture(photos[n % 8], image=pixels(n)))
                assert shop.search(image=photos[1], k=1)
                n += 1
            except Exception as error:
                failures.append(error)
                return

    thread = threading.Thread(target=use)
    thread.start()
    try:
        report = shop.reencode(slow_model, max_missing_share=1)
    finally:
        done.set()
        thread.join()
    assert report.switched
    # An item whose pixels were encoded before the switch comes too late, and is refused.
    assert all(isinstance(failure, vsearch.EncoderMismatchError) for failure in failures)
