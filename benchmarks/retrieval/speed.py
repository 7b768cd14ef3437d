"""The part "speed": pictures a second of a training step beside the same step in PyTorch, by turns;
and an epoch of learning a head from a million embeddings.

What is compared: the peer's pictures are prepared before. ``vsx train`` prepares its own, which it
keeps in memory, while it learns. That cannot be turned off; so that it weighs little, they are of
the size that the network's resize would make of them, and nothing is changed by chance. Its first
epoch, which reads the files, does not count. Both draw batches, step in bfloat16 where the CPU has
it, clip gradients and update by AdamW. What augmentation costs on top is a row of its own.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

from common import report
from common.workers import Worker
from PIL import Image
from retrieval import runs
from retrieval.sets import FOLDER, START, Sets

ROUNDS = 3 if report.quick() else 5
CLASSES, PICTURES = 12, 40  # of a class
SIDE_PX = 256  # what the network's resize makes of the short side
EPOCHS = 3
STEPS = CLASSES * PICTURES // 48 * (EPOCHS - 1)  # those of vsx train that count
PEERS = ("written", "optimised")
AS_THEY_ARE = ("--no-crop", "--no-flip", "--colour-jitter", "0", "--greyscale", "0", "--erase", "0")
PROGRAM = report.ROOT / "build" / "release" / "head_bench"
HEAD_ROWS = 100_000 if report.quick() else 1_000_000
HEAD_DIM = 384
HEAD_CLASSES = (1_000, 10_000)
HEAD_EPOCHS = 2


def measure(sets: Sets) -> None:
    runs.kept("speed-step", _step_key(), lambda: _step(sets))
    for classes in HEAD_CLASSES:
        runs.kept(f"speed-head-{classes}", _head_key(classes), lambda c=classes: _head(c))


def is_done() -> bool:
    heads = [runs.find(f"speed-head-{classes}", _head_key(classes)) for classes in HEAD_CLASSES]
    return None not in (runs.find("speed-step", _step_key()), *heads)


def rows_of() -> list[dict]:
    rows: list[dict] = []
    step = runs.find("speed-step", _step_key())
    if step:
        rows += step["rows"]
    for classes in HEAD_CLASSES:
        head = runs.find(f"speed-head-{classes}", _head_key(classes))
        if head:
            rows.append({key: head[key] for key in head if key not in ("name", "key", "commit")})
    return rows


def goals_of(rows: list[dict]) -> list[dict]:
    steps = [row for row in rows if row["what"] == "step" and row["contender"] == "vsx train"]
    heads = [row for row in rows if row["what"] == "head" and row["classes"] == HEAD_CLASSES[0]]
    return [
        report.goal(
            "training step, to PyTorch", steps[0]["to_best_peer"] if steps else None, 1.0, "x"
        ),
        report.goal(
            f"head, an epoch of {HEAD_ROWS:,} x {HEAD_DIM}, {HEAD_CLASSES[0]:,} classes",
            statistics.median(heads[0]["epoch_s"]) if heads else None,
            60,
            "s",
            at_most=True,
        ),
    ]


def _step_key() -> list:
    return [ROUNDS, CLASSES, PICTURES, SIDE_PX, EPOCHS, STEPS, PEERS, AS_THEY_ARE]


def _head_key(classes: int) -> list:
    return [HEAD_ROWS, HEAD_DIM, classes, HEAD_EPOCHS]


def _step(sets: Sets) -> dict:
    folder = _pictures(sets)
    workers = [Worker("retrieval.torch_step", [how, str(START), str(folder)]) for how in PEERS]
    ours = [("vsx train", AS_THEY_ARE), ("vsx train, augmented", ())]
    names = [name for name, _ in ours] + [f"PyTorch, graph {how}" for how in PEERS]
    rates: dict[str, list[float]] = {name: [] for name in names}
    try:
        for worker in workers:
            worker.ask({"warm": True})

        def ask(name: str) -> float:
            for own, options in ours:
                if own == name:
                    return _our_rate(folder, options)
            return workers[names.index(name) - len(ours)].ask({"steps": STEPS})["rate"]

        for number in range(ROUNDS):
            for name in names if number % 2 == 0 else reversed(names):
                rates[name].append(ask(name))
    finally:
        for worker in workers:
            worker.close()
    best = max(names[len(ours) :], key=lambda name: statistics.median(rates[name]))
    rows = [
        {
            "what": "step",
            "contender": name,
            "pictures_per_s": statistics.median(values),
            "low": min(values),
            "high": max(values),
            "best_peer": best,
            "to_best_peer": statistics.median(v / p for v, p in zip(values, rates[best])),
            "threads": workers[0].ready["threads"],
            "bf16": workers[0].ready["bf16"],
        }
        for name, values in rates.items()
    ]
    return {"rows": rows}


def _our_rate(folder: Path, options: tuple[str, ...]) -> float:
    """Pictures a second of the epochs after the first."""
    with tempfile.TemporaryDirectory(dir=FOLDER, prefix="speed-") as place:
        told = Path(place) / "told.json"
        arguments = ["train", str(START), "--dataset", "folder", "--root", str(folder)]
        arguments += ["-o", f"{place}/tuned.vsm.pt", "--depth", "full", "--epochs", str(EPOCHS)]
        arguments += ["--held-out", "0", "--no-mix", "--cache", str(runs.CACHE), *options]
        runs.vsx([*arguments, "--json", str(told), "--quiet"])
        epochs = json.loads(told.read_text())["epochs"]
    return statistics.median(e["pictures_per_second"] for e in epochs if e["epoch"] > 1)


def _pictures(sets: Sets) -> Path:
    """Classes of equally many pictures from the training split of grocery, as squares."""
    folder = FOLDER / "speed"
    if folder.exists():
        return folder
    classes: dict[str, list[Path]] = {}
    for line in (sets.grocery.root / "train.txt").read_text().splitlines():
        path, label, _ = (cell.strip() for cell in line.split(","))
        classes.setdefault(label, []).append(sets.grocery.root / path)
    large = [label for label in sorted(classes) if len(classes[label]) >= PICTURES][:CLASSES]
    if len(large) < CLASSES:
        raise SystemExit(f"bench-retrieval: grocery has {len(large)} classes of {PICTURES}")
    unfinished = FOLDER / "speed.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    for label in large:
        (unfinished / label).mkdir(parents=True)
        for i, path in enumerate(classes[label][:PICTURES]):
            square = Image.open(path).convert("RGB").resize((SIDE_PX, SIDE_PX), Image.BICUBIC)
            square.save(unfinished / label / f"{i:02}.jpg", quality=90)
    unfinished.rename(folder)
    return folder


def _head(classes: int) -> dict:
    command = [str(PROGRAM), *map(str, (HEAD_ROWS, HEAD_DIM, classes, HEAD_EPOCHS))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}\nended with {done.returncode}")
    return json.loads(done.stdout)
