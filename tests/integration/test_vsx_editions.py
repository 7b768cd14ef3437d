"""vsx reencode, rollback, editions: a model takes the place of another, and gives it back."""

import json

import pytest
from conftest import write_model, write_picture


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A model of another fingerprint that gives the same embeddings."""
    return write_model(tmp_path_factory.mktemp("other") / "other.vsm.pt", work=1, name="other")


@pytest.fixture
def filled(vsx, shop, photos):
    vsx("add", shop, photos)
    return shop


def editions(vsx, shop):
    return json.loads(vsx("editions", shop, "--json").stdout)["editions"]


def states(vsx, shop):
    return {edition["id"]: edition["state"] for edition in editions(vsx, shop)}


def reencode(vsx, shop, *args, code=0):
    return json.loads(vsx("reencode", shop, *args, "--json", code=code).stdout)


def test_another_model_serves_and_the_first_one_again(vsx, filled, photos, other, model):
    before = vsx.info(filled)
    done = vsx("reencode", filled, "--encoder", other, "-k", 3)
    assert done.stdout.startswith("edition 2\n")
    facts = dict(line.strip().split(maxsplit=1) for line in done.stdout.splitlines()[1:])
    assert facts["encoder"] == "other"
    assert facts["pictures"] == "6 encoded, 0 known already"
    assert facts["overlap"] == "1.000 of the 3 nearest, for 6 pictures"
    assert facts["serves"] == "yes"
    assert f"vsx rollback {filled}" in done.stderr

    info = vsx.info(filled)
    assert info["encoder"] == str(other)
    assert info["encoder_fingerprint"] != before["encoder_fingerprint"]
    assert (info["editions"], info["items"]) == (2, 6)
    assert states(vsx, filled) == {1: "kept", 2: "serving"}
    first, second = editions(vsx, filled)
    assert (first["encoder"], second["encoder"]) == (str(model), str(other))
    assert (second["embeddings"], second["dim"], second["metric"]) == (6, 48, "cosine")
    assert vsx.hits(filled, "--image", photos / "a.jpg", "-k", 1)[0]["key"] == "a.jpg"

    write_picture(photos / "late.png", 60)
    vsx("add", filled, photos / "late.png")
    said = vsx("rollback", filled).stderr
    assert "edition 1 serves again, by the encoder grid-colour\n" in said
    assert states(vsx, filled) == {1: "serving", 2: "kept"}
    assert vsx.info(filled)["encoder_fingerprint"] == before["encoder_fingerprint"]
    assert vsx.hits(filled, "--image", photos / "late.png", "-k", 1)[0]["key"] == "late.png"

    assert "deleted edition 2\n" in vsx("editions", filled, "--drop", 2).stderr
    assert states(vsx, filled) == {1: "serving"}
    table = vsx("editions", filled).stdout.splitlines()
    assert table[1].split() == ["1", "serving", "7", "48", "cosine", "grid-colour", str(model)]


def test_the_old_one_can_be_discarded(vsx, filled, other):
    report = reencode(vsx, filled, "--encoder", other, "--discard-old")
    assert (report["switched"], report["refusal"], report["encoded"]) == (True, None, 6)
    assert (report["sampled"], report["overlap"]) == (6, 1)
    assert (report["labelled"], report["recall_before"]) == (0, None)
    assert states(vsx, filled) == {2: "serving"}
    said = vsx("rollback", filled, code=1).stderr
    assert "keeps no edition that served before" in said


def test_queries_with_known_answers(vsx, filled, photos, other):
    queries = photos / "known.csv"
    near = [hit["key"] for hit in vsx.hits(filled, "--like", "a.jpg", "-k", 5)]
    queries.write_text(f"key,path,relevant\na.jpg,,{near[0]}|{near[4]}\n,b.png,b.png\n")
    report = reencode(
        vsx, filled, "--encoder", other, "--queries", queries, "-k", 1, "--max-recall-loss", "1%"
    )
    assert report["switched"]
    assert report["labelled"] == 2
    assert (report["recall_before"], report["recall_after"]) == (1, 1)
    lines = photos / "known.jsonl"
    lines.write_text(
        json.dumps({"key": "a.jpg", "relevant": [near[4]]})
        + "\n"
        + json.dumps({"path": str(photos / "b.png"), "relevant": "b.png"})
    )
    vsx("rollback", filled)
    done = vsx("reencode", filled, "--encoder", other, "--queries", lines, "-k", 1)
    assert "0.500 before, 0.500 after, at 1, of 2 queries" in done.stdout


def test_a_refusal_keeps_what_was_made(vsx, filled, photos, other):
    (photos / "c.bmp").unlink()
    report = reencode(vsx, filled, "--encoder", other, code=1)
    assert not report["switched"]
    assert report["refusal"].startswith("1 of 6 pictures could not be encoded")
    assert [picture["key"] for picture in report["missing"]] == ["c.bmp"]
    assert states(vsx, filled) == {1: "serving", 2: "building"}
    done = vsx("reencode", filled, "--encoder", other, code=1)
    assert "1 picture could not be encoded:\n" in done.stderr
    assert f"{photos}/c.bmp" in done.stderr
    assert "not switched, and nothing is lost: 1 of 6 pictures" in done.stderr
    assert "0 encoded, 5 known already" in done.stdout
    assert dict(line.split(maxsplit=1) for line in done.stdout.splitlines())["serves"] == "no"

    report = reencode(vsx, filled, "--encoder", other, "--max-missing", "20%", code=3)
    assert (report["switched"], report["encoded"], report["reused"]) == (True, 0, 5)
    assert len(report["missing"]) == 1


def test_the_gate_refuses(vsx, filled, photos, tmp_path):
    torch = pytest.importorskip("torch")
    from vsearch.export import package

    # Embeddings that have nothing to do with the picture's colours: the mean of one cell.
    class Blind(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.linspace(-1, 1, 8))

        @torch.jit.export
        def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
            mean = pixels[:, 0, :2, :2].mean((1, 2)).unsqueeze(1)
            return torch.cos(40 * mean * self.scale) + 0.01

    spec = package.input_spec(
        96, 96, {"edge": "stretch", "size": [96, 96], "interpolation": "bilinear"}, "none",
        mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5],
    )  # fmt: skip
    blind = tmp_path / "blind.vsm.pt"
    description = package.manifest(
        name="blind", licence="Apache-2.0", source="a test", architecture="none", dim=8, spec=spec
    )
    package.write_package(blind, package.script(Blind().eval()), description)
    report = reencode(vsx, filled, "--encoder", blind, "-k", 2, "--min-overlap", "99%", code=1)
    assert not report["switched"]
    assert report["overlap"] < 0.99
    assert "min_overlap" in report["refusal"]
    assert states(vsx, filled) == {1: "serving", 2: "building"}
    assert vsx.hits(filled, "--image", photos / "a.jpg", "-k", 1)[0]["key"] == "a.jpg"
    vsx("editions", filled, "--drop", 2)
    assert states(vsx, filled) == {1: "serving"}


def test_what_is_wrong_is_said(vsx, filled, photos, model, other):
    said = vsx("reencode", filled, "--encoder", model, code=1).stderr
    assert "is served by the encoder grid-colour already" in said
    said = vsx("reencode", filled, "--encoder", "no-such-model", code=1).stderr
    assert "no-such-model" in said
    said = vsx("editions", filled, "--drop", 1, code=1).stderr
    assert "1" in said
    assert "edition" in said
    vsx("editions", filled, "--drop", 7, code=1)
    assert "keeps no edition" in vsx("rollback", filled, code=1).stderr
    assert "--encoder is required" in vsx("reencode", filled, code=2).stderr
    command = ["reencode", filled, "--encoder", other]
    assert "-k is the number" in vsx(*command, "-k", 0, code=2).stderr
    assert "--min-overlap is a share" in vsx(*command, "--min-overlap", 7, code=2).stderr
    said = vsx(*command, "--max-recall-loss", 0.1, code=2).stderr
    assert "--queries" in said
    assert states(vsx, filled) == {1: "serving"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("key\na.jpg\n", "line 2: there is no 'relevant'"),
        ("key,relevant\na.jpg,\n", "line 2: there is no 'relevant'"),
        ("key,path,relevant\na.jpg,b.png,c.bmp\n", "line 2: a query is either"),
        ("key,relevant\n", "the file has no queries"),
        ("sku,relevant\na.jpg,b.png\n", "there is no column 'key'"),
        ("key,relevant\nnone.jpg,b.png\n", "none.jpg"),
        ("key,relevant\na.jpg,none.png\n", "no relevant item that is in the catalogue"),
    ],
)
def test_bad_queries(vsx, filled, photos, other, text, message):
    (photos / "known.csv").write_text(text)
    command = ["reencode", filled, "--encoder", other, "--queries", photos / "known.csv"]
    assert message in vsx(*command, code=1).stderr
    assert states(vsx, filled) == {1: "serving"}
