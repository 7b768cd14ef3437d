"""The demo's own parts, without the native module: reading, choosing, measuring, the page."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import random
import shlex
import struct
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("PIL")
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples"))

from demo import (  # noqa: E402
    fashion_mnist,
    findings,
    folder,
    gallery,
    live,
    metrics,
    quality,
    report,
    sampling,
    vsx,
)
from demo.data import Dataset, DemoError, Product  # noqa: E402
from demo.place import Place, remove_catalogue  # noqa: E402

# ---- reading -------------------------------------------------------------------------------------


def test_idx_gives_the_array_in_its_shape():
    data = b"\0\0\x08\x03" + struct.pack(">3I", 2, 2, 3) + bytes(range(12))
    array = fashion_mnist.read_idx(data, "made up")
    assert array.shape == (2, 2, 3)
    assert array[1, 0].tolist() == [6, 7, 8]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "no IDX file"),
        (b"\0\0\x08\x03\0\0", "no IDX file"),
        (b"\0\0\x0d\x01" + struct.pack(">I", 1) + b"\0\0\0\0", "no IDX file"),  # floats
        (b"\0\0\x08\x01" + struct.pack(">I", 5) + b"abc", "holds 3 values, its header promises 5"),
    ],
)
def test_idx_that_is_none_is_refused(data, complaint):
    with pytest.raises(DemoError, match=complaint):
        fashion_mnist.read_idx(data, "made up")


def test_changed_and_truncated_downloads_are_refused():
    name = "t10k-labels-idx1-ubyte"
    with pytest.raises(DemoError, match="SHA-256"):
        fashion_mnist.checked(gzip.compress(b"something else"), name, "a mirror")
    with pytest.raises(DemoError, match="not a whole gzip file"):
        fashion_mnist.checked(gzip.compress(b"something else")[:-9], name, "a mirror")


def test_download_takes_the_next_place_and_keeps_the_file(tmp_path, monkeypatch):
    content = b"\0\0\x08\x01" + struct.pack(">I", 3) + b"abc"
    places = [tmp_path / name for name in ("gone", "changed", "good")]
    for place, data in zip(places[1:], (b"something else", content), strict=True):
        place.mkdir()
        (place / "x.gz").write_bytes(gzip.compress(data))
    monkeypatch.setattr(fashion_mnist, "PACKAGE", tmp_path / "no package")
    monkeypatch.setitem(fashion_mnist.CHECKSUMS, "x", hashlib.sha256(content).hexdigest())
    kept = tmp_path / "downloads"

    monkeypatch.setattr(fashion_mnist, "UPSTREAM", [f"{place.as_uri()}/" for place in places[:2]])
    with pytest.raises(DemoError, match=r"(?s)cannot get .*gone.*changed.*SHA-256.*PICTURES=DIR"):
        fashion_mnist.load("x", kept)
    assert not kept.exists()

    monkeypatch.setattr(fashion_mnist, "UPSTREAM", [f"{place.as_uri()}/" for place in places])
    assert bytes(fashion_mnist.load("x", kept)) == b"abc"
    monkeypatch.setattr(fashion_mnist, "UPSTREAM", [])  # from now on no network is needed
    assert bytes(fashion_mnist.load("x", kept)) == b"abc"


def test_tone_leaves_the_background_out():
    picture = np.zeros((4, 4), np.uint8)
    assert fashion_mnist.tone(picture) == 0
    picture[0] = 200
    assert fashion_mnist.tone(picture) == 200


# ---- choosing ------------------------------------------------------------------------------------


def test_samples_are_the_same_in_every_run():
    names = [f"{i}.png" for i in range(100)]
    assert sampling.sample(names, 5, "a salt") == [34, 48, 64, 66, 78]
    assert sampling.sample(names, 5, "a salt") != sampling.sample(names, 5, "another")
    assert sampling.sample(names[:3], 5, "a salt") == [0, 1, 2]


def test_balanced_groups_share_out_labels_and_never_overlap():
    labels = [i % 4 for i in range(80)]
    first, second = sampling.balanced_groups(labels, [40, 20], "salt")
    assert not set(first) & set(second)
    assert [sum(labels[i] == label for i in first) for label in range(4)] == [10] * 4
    assert [sum(labels[i] == label for i in second) for label in range(4)] == [5] * 4
    assert first == sorted(first)
    with pytest.raises(ValueError, match="only 20 pictures, 25 are needed"):
        sampling.balanced_groups(labels, [100], "salt")
    with pytest.raises(ValueError, match="shared out equally"):
        sampling.balanced_groups(labels, [41], "salt")


# ---- a folder of one's own -----------------------------------------------------------------------


def write_pictures(root: Path, names: list[str]) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"not looked into")


def test_own_folder_takes_folders_as_labels(tmp_path):
    pictures = tmp_path / "pictures"
    write_pictures(
        pictures, [f"{kind}/{i:02d}.JPG" for kind in ("cups", "hats") for i in range(30)]
    )
    write_pictures(pictures, ["cups/notes.txt", ".hidden/x.png", "hats/.y.png"])
    data = folder.prepare(pictures, tmp_path)
    assert (len(data.items), len(data.live), len(data.queries)) == (54, 3, 3)
    assert len({product.key for product in [*data.items, *data.live, *data.queries]}) == 60
    assert data.labelled and {item.label for item in data.items} == {"cups", "hats"}
    assert data.items[0].key.startswith("cups/")
    assert folder.prepare(pictures, tmp_path) == data
    assert len(data.metadata_file.read_text().splitlines()) == 60


def test_own_folder_without_folders_has_no_labels(tmp_path):
    write_pictures(tmp_path / "flat", [f"{i}.png" for i in range(20)])
    data = folder.prepare(tmp_path / "flat", tmp_path)
    assert not data.labelled
    assert (len(data.items), len(data.live), len(data.queries)) == (18, 1, 1)


def test_own_folder_errors_name_the_folder_and_the_remedy(tmp_path):
    with pytest.raises(DemoError, match="nowhere: there is no such folder"):
        folder.prepare(tmp_path / "nowhere", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DemoError, match=r"empty: no pictures .*the demo needs at least 20"):
        folder.prepare(tmp_path / "empty", tmp_path)
    write_pictures(tmp_path / "few", [f"{i}.png" for i in range(19)])
    with pytest.raises(DemoError, match="only 19 pictures"):
        folder.prepare(tmp_path / "few", tmp_path)


def test_removing_a_catalogue_leaves_what_a_link_points_to(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "shop.vsearch").symlink_to(tmp_path / "mine")
    assert remove_catalogue(tmp_path / "shop.vsearch")
    assert (tmp_path / "mine").is_dir()
    assert not remove_catalogue(tmp_path / "shop.vsearch")


def test_two_demos_do_not_meet(tmp_path):
    with Place(tmp_path).lock(), pytest.raises(DemoError, match=r"another demo .*build/demo"):
        Place(tmp_path).lock()
    Place(tmp_path).lock().close()


# ---- measuring -----------------------------------------------------------------------------------


def test_recall_by_hand():
    labels = ["cup", "cup", "hat"]
    found = [["hat", "cup"], ["cup", "hat"], ["cup", "cup"]]
    assert metrics.recall_at(1, labels, found) == pytest.approx(1 / 3)
    assert metrics.recall_at(2, labels, found) == pytest.approx(2 / 3)
    assert metrics.recall_by_label((1, 2), labels, found) == {"cup": (0.5, 1.0), "hat": (0.0, 0.0)}


def test_index_recall_counts_keys_and_equals():
    exact = [("a", 0.1), ("b", 0.2), ("c", 0.3)]
    assert metrics.index_recall(exact, exact) == 1.0
    assert metrics.index_recall([("a", 0.1), ("x", 0.25)], exact) == pytest.approx(1 / 3)
    assert metrics.index_recall([("a", 0.1), ("b", 0.2), ("twin of c", 0.3)], exact) == 1.0


def test_percentiles_are_values_that_occurred():
    values = list(range(1, 101))
    random.Random(1).shuffle(values)
    assert [metrics.percentile(values, p) for p in (0, 50, 99, 100)] == [1, 50, 99, 100]
    assert metrics.percentile([7.0], 99) == 7.0


def test_histogram_hides_no_value():
    assert metrics.log_histogram([0.01, 1, 5, 50, 5000], 1, 100, 2) == [3, 2]


# ---- searching while the catalogue changes -------------------------------------------------------


class ExactShop:
    """A catalogue in memory that keeps every promise: compares with every vector."""

    def __init__(self, vectors: dict[str, np.ndarray], to_come: dict[str, np.ndarray]) -> None:
        self.vectors, self.to_come = dict(vectors), to_come

    def search(self, *, vector=None, like=None, k, exact=False, where=None):
        items = dict(self.vectors)
        vector = items.pop(like) if like else vector
        distances = sorted((float(np.sum((own - vector) ** 2)), key) for key, own in items.items())
        return [
            SimpleNamespace(key=key, distance=d, score=1 / (1 + d), path=key, metadata={})
            for d, key in distances[:k]
        ]

    def remove(self, keys):
        unknown = [key for key in keys if key not in self.vectors]
        self.vectors = {key: vector for key, vector in self.vectors.items() if key not in set(keys)}
        return unknown

    def add_many(self, items):
        self.vectors = self.vectors | {key: self.to_come[key] for key, _, _ in items}
        return SimpleNamespace(failures=[])

    def __contains__(self, key):
        return key in self.vectors

    def info(self):
        return {"items": len(self.vectors)}


class ForgetfulShop(ExactShop):
    """Acknowledges removals and keeps every item."""

    def remove(self, keys):
        return []


class LossyShop(ExactShop):
    """Acknowledges additions and loses one of each call."""

    def add_many(self, items):
        return super().add_many(items[1:])


class FailingShop(ExactShop):
    """Fails to search by item."""

    def search(self, *, like=None, **rest):
        if like:
            raise RuntimeError("no such luck")
        return super().search(**rest)


def change(kind: type[ExactShop]):
    random_numbers = np.random.default_rng(3)
    vectors = {f"item {i}": random_numbers.normal(size=4) for i in range(60)}
    new = [Product(f"new {i}", Path(f"{i}.png")) for i in range(20)]
    new_vectors = random_numbers.normal(size=(20, 4))
    shop = kind(vectors, {item.key: vector for item, vector in zip(new, new_vectors, strict=True)})
    keys = list(vectors)
    queries = np.stack([vectors[key] for key in keys])
    changes = live.Changes(keys[:20], new, new_vectors)
    result = live.change_while_searching(shop, changes, queries, keys[20:], idle_s=0.4)
    return result, live.check_contents(shop, 60, changes)


def test_a_shop_that_keeps_its_promises_passes():
    result, later = change(ExactShop)
    assert result.violations == [] and later == []
    assert len(result.idle) and len(result.during)
    assert len(result.remove_ms) == len(result.add_ms) == live.ROUNDS


@pytest.mark.parametrize(
    ("kind", "complaint", "complaint_later"),
    [
        (
            ForgetfulShop,
            "began after its removal was acknowledged",
            "but there when the catalogue was opened again",
        ),
        (
            LossyShop,
            "not found by its own picture right after",
            "not found when the catalogue was opened again",
        ),
        (FailingShop, "a search by item failed: no such luck", None),
    ],
)
def test_broken_promises_are_noticed(kind, complaint, complaint_later):
    result, later = change(kind)
    assert any(complaint in violation for violation in result.violations)
    assert complaint_later is None or any(complaint_later in violation for violation in later)


def test_rounds_share_out_everything():
    for total in (0, 1, 19, 20, 500):
        parts = [list(range(total))[live.part(total, turn, 20)] for turn in range(20)]
        assert [i for some in parts for i in some] == list(range(total))


# ---- the page ------------------------------------------------------------------------------------

NASTY = "<script>alert('x')</script> & \"more\""


@pytest.fixture
def made_up(tmp_path):
    """Findings of a run over twelve items whose every text is nasty."""
    labels = [NASTY, NASTY + " 2"]
    products = []
    for i in range(14):
        path = tmp_path / f"{i}.png"
        Image.new("RGBA", (300, 40), (20 * i, 90, 200, 128)).save(path)
        label = labels[i % 2]
        products.append(Product(f"{NASTY} {i}", path, label, {"label": label}))
    items, queries = products[:12], products[12:]
    vectors = {item.key: np.array([i % 3, i]) for i, item in enumerate(items)}
    shop = ExactShop(vectors, {})
    paths = {item.key: str(item.path) for item in items}
    search = shop.search

    def with_paths(**query):
        hits = search(**query)
        for hit in hits:
            hit.path = paths[hit.key]
        return hits

    shop.search = with_paths
    query_vectors = np.array([[1.0, 2.0], [0.0, 5.0]])
    data = Dataset(NASTY, NASTY, tmp_path, tmp_path / "m.jsonl", items, [], queries)
    measured = quality.evaluate(
        shop, queries, query_vectors, {item.key: item.label for item in items}
    )
    latencies = live.Latencies([0.1, 0.2, 3.0], [0.2, 0.3])
    section, query, where = gallery.filter_section(shop, data, query_vectors)
    found = findings.Findings(data)
    found.items, found.items_per_s, found.encoder = 12, 34.5, NASTY
    recalls = dict.fromkeys(labels, (0.5, 1.0, 1.0))
    found.before = found.after = dataclasses.replace(measured, by_label=recalls)
    found.picture_ms = [10.0, 11.0]
    found.changes = live.LiveResult(latencies, latencies, 1.0, 2.0, 5, 6, [1.0] * 5, [2.0] * 5, [])
    found.sections = [gallery.query_section(data, measured), section]
    found.filtered = (query.path, where)
    return found


class Checker(HTMLParser):
    """Notes tags, addresses, and elements that are not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in {"meta", "img"}:
            self.open.append(tag)
        self.addresses += [value for name, value in attrs if name in {"src", "href"}]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def page_of(found: findings.Findings) -> str:
    return report.page(findings.summarise(found, NASTY, NASTY, [(NASTY, NASTY)], [NASTY]))


def test_page_escapes_every_text_and_needs_no_other_file(made_up):
    html = page_of(made_up)
    checker = Checker()
    checker.feed(html)
    assert checker.open == []
    assert "script" not in checker.tags
    assert html.count("&lt;script&gt;") > 20
    assert checker.addresses and all(
        address.startswith("data:image/") for address in checker.addresses
    )


def test_page_says_what_was_kept_and_what_was_broken(made_up):
    assert "Each of the 6 added items was the first result" in page_of(made_up)
    made_up.changes.violations.append("item 7 came back")
    html = page_of(made_up)
    assert "item 7 came back" in html
    assert "Each of the 6 added items" not in html


def test_page_frames_results_by_label(made_up):
    html = page_of(made_up)
    marked = html[html.index("What comes back") : html.index("Only some of the items")]
    assert marked.count('class="shot right"') == marked.count('class="shot wrong"') == 8


def test_page_without_labels_leaves_recall_against_them_out(made_up):
    assert "Which labels are hard" in page_of(made_up)
    data = made_up.dataset
    made_up.dataset = dataclasses.replace(
        data,
        items=[Product(item.key, item.path) for item in data.items],
        queries=[Product(query.key, query.path) for query in data.queries],
    )
    made_up.before = quality.Quality(made_up.before.hits, {}, {}, 1.0)
    made_up.sections = [gallery.query_section(made_up.dataset, made_up.before)]
    html = page_of(made_up)
    assert "Which labels are hard" not in html
    assert 'class="shot right"' not in html


# ---- commands to copy ------------------------------------------------------------------------


def test_commands_are_what_a_shell_takes_apart_again():
    tool = vsx.Vsx(Path("/project/build/release/vsx"), Path("/project"))
    words = ["search", Path("/project/build/my shop"), "--where", "label = 'Bag'", "$HOME's"]
    shown = tool.shown(*words)
    assert shown.startswith("build/release/vsx search 'build/my shop' --where \"label = 'Bag'\" ")
    assert shlex.split(shown)[1:] == ["search", "build/my shop", *words[2:]]


def test_labels_with_few_queries_get_no_recall_of_their_own():
    shop = ExactShop({"a": np.array([0.0]), "b": np.array([9.0])}, {})
    queries = [Product(f"{i}", Path(), "cup") for i in range(5)] + [Product("x", Path(), "hat")]
    vectors = np.zeros((6, 1))
    measured = quality.evaluate(shop, queries, vectors, {"a": "cup", "b": "hat"})
    assert measured.recall == {1: 5 / 6, 5: 1.0, 20: 1.0}
    assert measured.by_label == {"cup": (1.0, 1.0, 1.0)}
