"""The steps of the demo, in the order they are shown."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path
from typing import Any

import numpy as np

from . import fashion_mnist, folder, gallery, live, quality, stamps
from .console import Steps, duration, machine, say, show_progress
from .data import Dataset, DemoError, Product
from .findings import MOST_SHOWN, Findings, promises, summarise
from .place import Place, remove_catalogue
from .report import page
from .sampling import stable_order
from .vsx import PARTLY_DONE, Vsx, shell_word

MOST_REMOVED = 500


def times(p50_ms: float, p99_ms: float) -> str:
    return f"p50 {p50_ms:.2f} ms, p99 {p99_ms:.2f} ms"


def encode(encoder: Any, products: list[Product]) -> np.ndarray:
    """Their pictures' embeddings [len(products) x dim]."""
    return encoder.encode([str(product.path) for product in products])


class Demo:
    """One run over the pictures in `own`, or over Fashion-MNIST."""

    def __init__(self, root: Path, vsearch: Any, own: Path | None) -> None:
        self.vsearch, self.own = vsearch, own
        self.steps = Steps()
        self.place = Place(root)
        self.vsx = Vsx(root / "build" / "release" / "vsx", root)
        self.sources: list[str] = []

    def run(self) -> bool:
        """Whether every promise was kept."""
        with self.place.lock():
            self.steps.step("Pictures")
            self.found = Findings(self.pictures())
            self.steps.step("A catalogue, made with the command-line tool")
            self.make_catalogue()
            self.steps.step("Searching with pictures that are not in the catalogue")
            encoder = self.vsearch.Encoder()
            with self.vsearch.open(str(self.place.shop), encoder=encoder) as shop:
                vectors = self.ask(shop, encoder)
                self.change(shop, encoder, vectors)
            self.colour()
            self.steps.step("The report")
            self.write_report()
        self.steps.step("What to try next")
        self.say_goodbye()
        return not self.found.changes.violations

    def pictures(self) -> Dataset:
        if self.own:
            say(f"your own: {self.own}")
            data = folder.prepare(self.own, self.place.folder)
        else:
            say("Fashion-MNIST: 28 x 28 grey pixels, ten kinds of clothes, shoes and bags")
            data = fashion_mnist.prepare(self.place.pictures / "fashion-mnist")
        say(f"{len(data.items):,} for the catalogue, {len(data.live):,} to be added later")
        say(f"{len(data.queries):,} held out, to search with")
        self.sources.append(data.source)
        return data

    def make_catalogue(self) -> None:
        found, shop = self.found, self.place.shop
        if remove_catalogue(shop):
            say(f"{self.place.shown(shop)} of an earlier run is removed")
        self.vsx.run("init", shop)
        took_s = self.vsx.run(
            "add",
            shop,
            found.dataset.folder,
            "--metadata",
            found.dataset.metadata_file,
            allowed=(PARTLY_DONE,),
        )
        found.items = int(self.vsx.json("info", shop)["items"])
        if not found.items:
            raise DemoError("not one of the pictures could be read; the messages above say why")
        found.items_per_s = found.items / took_s
        say(f"the whole command, with loading the encoder: {found.items_per_s:.0f} items a second")

    def ask(self, shop: Any, encoder: Any) -> np.ndarray:
        """Measures the answers to the held-out pictures; returns their embeddings."""
        found = self.found
        if self.own:
            self.take_out(shop)
        data = found.dataset
        info = shop.info()
        found.items, found.encoder = int(info["items"]), str(info["encoder_name"])
        vectors = encode(encoder, data.queries)
        found.before = quality.evaluate(shop, data.queries, vectors, self.labels(data.items))
        if data.labelled:
            shares = ", ".join(f"@{k} {share:.1%}" for k, share in found.before.recall.items())
            say(f"recall, an item of the query's label among the first K results: {shares}")
        else:
            say("all pictures lie in one folder: there are no labels to compare the results with")
        recall = f"{found.before.index_recall:.2%}"
        say(f"recall@{quality.INDEX_K} of the index against exact search: {recall}")
        found.picture_ms = quality.picture_latencies_ms(shop, data.queries)
        p50, p99 = live.p50_p99(found.picture_ms)
        say("a whole query by picture, from reading the file to the hits: " + times(p50, p99))
        found.sections.append(gallery.query_section(data, found.before))
        filtered = gallery.filter_section(shop, data, vectors)
        if filtered:
            section, query, where = filtered
            found.sections.append(section)
            found.filtered = (query.path, where)
        return vectors

    def take_out(self, shop: Any) -> None:
        """For a folder of one's own, which `vsx add` has added whole.

        Forgets pictures that could not be read, and takes the held-out ones out of the catalogue.
        """
        data = self.found.dataset
        self.found.dataset = data = dataclasses.replace(
            data,
            items=[item for item in data.items if item.key in shop],
            live=[item for item in data.live if item.key in shop],
            queries=[item for item in data.queries if item.key in shop],
        )
        if len(data.items) < live.RESULTS + 2 or not data.live or not data.queries:
            raise DemoError(
                f"too few pictures in {self.own} can be read; the messages above say what is wrong"
            )
        held_out = [product.key for product in [*data.live, *data.queries]]
        shop.remove(held_out)
        say(f"{len(held_out)} of them are taken out again, to search with and to add later")

    def labels(self, products: list[Product]) -> dict[str, str]:
        """By key; empty where there are none."""
        return (
            {item.key: item.label or "" for item in products} if self.found.dataset.labelled else {}
        )

    def change(self, shop: Any, encoder: Any, vectors: np.ndarray) -> None:
        """Changes the catalogue while it is being searched, and opens it again afterwards."""
        found, data = self.found, self.found.dataset
        count = min(MOST_REMOVED, max(1, len(data.items) // 20))
        self.steps.step(f"Removing {count} items and adding {len(data.live)} while searches go on")
        keys = [item.key for item in data.items]
        order = [keys[i] for i in stable_order(keys, "vsearch demo removals")]
        removals, staying = order[:count], order[count:]
        changes = live.Changes(removals, data.live, encode(encoder, data.live))
        found.changes = result = live.change_while_searching(
            shop,
            changes,
            vectors,
            staying,
            progress=lambda done, total: show_progress("rounds", done, total),
        )
        gone = set(removals)
        now = [item for item in data.items if item.key not in gone] + data.live
        found.after = quality.evaluate(shop, data.queries, vectors, self.labels(now))
        shop.close()
        with self.vsearch.open(str(self.place.shop)) as again:
            result.violations += live.check_contents(again, len(now), changes)
        self.say_changes(result)

    def say_changes(self, result: live.LiveResult) -> None:
        for name, part, seconds in (
            ("before", result.idle, result.idle_s),
            ("meanwhile", result.during, result.during_s),
        ):
            if not part.by_vector or not part.by_item:
                raise DemoError(f"no search succeeded {name}: {result.violations[0]}")
            p50, p99 = live.p50_p99(part.by_vector)
            say(f"{name}: {len(part):,} searches in {seconds:.1f} s, by vector: {times(p50, p99)}")
        recall = f"{self.found.after.index_recall:.2%}"
        say(f"recall@{quality.INDEX_K} of the index after the changes: {recall}")
        for sentence in promises(self.found):
            say(f"checked: {sentence}")
        for violation in result.violations[:MOST_SHOWN]:
            say(f"BROKEN: {violation}")

    def colour(self) -> None:
        self.steps.step("A second catalogue, in colour")
        metadata_file = self.place.folder / "stamps.jsonl"
        products = stamps.prepare(metadata_file)
        if not products:
            say(
                f"skipped: {stamps.PACKAGE} is not there (Debian's package tuxpaint-stamps-default)"
            )
            return
        remove_catalogue(self.place.stamps)
        self.vsx.run("init", self.place.stamps)
        took_s = self.vsx.run("add", self.place.stamps, stamps.PACKAGE, "--metadata", metadata_file)
        say(f"{len(products)} pictures in {duration(took_s)}")
        with self.vsearch.open(str(self.place.stamps)) as shop:
            self.found.sections.insert(1, gallery.stamp_section(shop, products))
        self.sources.append(stamps.LICENCE)

    def commands(self) -> list[tuple[str, str]]:
        """What to try next, and the command that does it."""
        data, shop = self.found.dataset, self.place.shop
        query = data.queries[0].path
        python = (
            f"import vsearch; [print(hit) for hit in vsearch.open({self.place.shown(shop)!r})"
            f".search(image={self.place.shown(query)!r}, k=5)]"
        )
        like = data.live[0].key
        rows = [
            ("Search with a picture", self.vsx.shown("search", shop, "--image", query, "-k", "5")),
            ("More like an item", self.vsx.shown("search", shop, "--like", like, "-k", "5")),
        ]
        if self.found.filtered:
            picture, where = self.found.filtered
            words = ("search", shop, "--image", picture, "--where", where, "--json")
            rows.append(("Only some of the items, as JSON", self.vsx.shown(*words)))
        return [
            *rows,
            ("From Python", f".venv/bin/python -c {shell_word(python)}"),
            ("The demo with pictures of your own", "make demo PICTURES=~/Pictures"),
            ("All tests", "make test"),
        ]

    def write_report(self) -> None:
        date = datetime.date.today().strftime("%-d %B %Y")
        contents = summarise(self.found, machine(), date, self.commands(), self.sources)
        self.place.report.write_text(page(contents), encoding="utf-8")
        size = self.place.report.stat().st_size // 1024
        say(f"{self.place.shown(self.place.report)}: one file of {size} KiB, pictures included")

    def say_goodbye(self) -> None:
        for what, command in self.commands():
            print(f"\n   {what}:\n" + "\n".join(f"     {line}" for line in command.splitlines()))
        print(f"\n   The report, in a browser:\n     {self.place.report.as_uri()}")
        print(f"\nDone in {duration(self.steps.seconds)}.")
