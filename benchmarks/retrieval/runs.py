"""A training, and what its package finds, as one row that is kept: what is done is not done again.

Everything goes through ``vsx``, as a user would.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from common import report
from retrieval.sets import FOLDER, START, VSX, Set

ROWS = report.ROOT / "build" / "bench" / ("retrieval-runs" + ("-quick" if report.quick() else ""))
CACHE = FOLDER / "cache"
FAULTS_FOUND = 3  # exit code of vsx audit


@dataclass(frozen=True)
class Tuning:
    group: str  # what all seeds of it are called
    seed: int
    learned: Set
    options: tuple[str, ...]
    measured: tuple[Set, ...]
    audited: Set | None = None
    # With nothing in the cache: the seconds count the encoding of pictures too.
    cold: bool = False

    @property
    def name(self) -> str:
        return f"{self.group}-{self.seed}"

    def command(self) -> list[str]:
        """Of vsx train, without where it puts what it makes."""
        command = ["train", str(START), "--dataset", self.learned.kind]
        command += ["--root", str(self.learned.root), *self.options, "--seed", str(self.seed)]
        # A published set's own test split is kept apart by vsx train itself.
        for one in self.measured:
            if one != self.learned and set(one.sources) & set(self.learned.sources):
                command += ["--keep-apart", f"{one.kind}:{one.root}"]
        return command


def vsx(arguments: list[str], may_end_with: tuple[int, ...] = (0,)) -> str:
    """What it prints."""
    command = [str(VSX), *arguments]
    done = subprocess.run(command, cwd=report.ROOT, capture_output=True, text=True)
    if done.returncode not in may_end_with:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}\nended with {done.returncode}")
    return done.stdout


def kept(name: str, key: object, work: Callable[[], dict]) -> dict:
    """The row ``name``, from its file if that was made with the same ``key``, else by ``work``."""
    found = find(name, key)
    if found is not None:
        return found
    print(f"{time.strftime('%H:%M:%S')}  {name}", flush=True)
    row = {"name": name, "key": _key(key), "commit": report.COMMIT, **work()}
    ROWS.mkdir(parents=True, exist_ok=True)
    unfinished = ROWS / f"{name}.unfinished"
    unfinished.write_text(json.dumps(row, indent=1) + "\n")
    unfinished.replace(ROWS / f"{name}.json")
    return row


def find(name: str, key: object) -> dict | None:
    """The row, if it is there and was made with the same ``key``."""
    path = ROWS / f"{name}.json"
    if not path.exists():
        return None
    row = json.loads(path.read_text())
    return row if row["key"] == _key(key) else None


def tune(tuning: Tuning) -> dict:
    return kept(tuning.name, tuning_key(tuning), lambda: _tune(tuning))


def tuning_key(tuning: Tuning) -> list:
    """What the row depends on, besides the start and the program."""
    audited = tuning.audited.name if tuning.audited else None
    content = [set_key(one) for one in (tuning.learned, *tuning.measured)]
    return [tuning.command(), content, audited, tuning.cold]


def set_key(one: Set) -> list[str]:
    listed = hashlib.sha256(one.root.read_bytes()).hexdigest() if one.root.is_file() else ""
    return [one.name, one.kind, str(one.root), one.protocol, listed]


def measure_start(one: Set) -> dict:
    return kept(*start_row(one), lambda: evaluate(START, one, CACHE))


def start_row(one: Set) -> tuple[str, object]:
    return f"start-{one.root.stem}", set_key(one)


def audit_start(one: Set) -> dict:
    return kept(*start_audit_row(one), lambda: audit(START, one, CACHE))


def start_audit_row(one: Set) -> tuple[str, object]:
    return f"start-audit-{one.root.stem}", set_key(one)


def evaluate(package: Path, one: Set, cache_folder: Path) -> dict:
    """Percent."""
    arguments = ["eval", str(package), "--dataset", one.kind, "--root", str(one.root)]
    arguments += ["--protocol", one.protocol, "--cache", str(cache_folder), "--json", "--quiet"]
    (found,) = json.loads(vsx(arguments))
    (protocol,) = found["protocols"]
    return {
        "queries": protocol["queries"] - protocol["without_answer"],
        "gallery": protocol["gallery"],
        "precision": found["precision"],
        **{name: 100 * protocol["metrics"][name]["mean"] for name in ("R@1", "R@5", "mAP")},
    }


def audit(package: Path, one: Set, cache_folder: Path) -> dict:
    """The shares that tell of background leakage, in percent; none if they were not measured."""
    arguments = ["audit", str(package), "--dataset", one.kind, "--root", str(one.root)]
    arguments += ["--only", "background", "--cache", str(cache_folder), "--json", "--quiet"]
    (finding,) = json.loads(vsx(arguments, (0, FAULTS_FOUND)))["findings"]
    return {
        number["name"]: 100 * number["mean"]
        for number in finding["numbers"]
        if number["unit"] == "share" and number["mean"] is not None
    }


def _tune(tuning: Tuning) -> dict:
    packages = FOLDER / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    package = packages / f"{tuning.name}.vsm.pt"
    told = packages / f"{tuning.name}.json"
    cold_cache = tempfile.mkdtemp(dir=FOLDER, prefix="cache-") if tuning.cold else None
    cache_folder = Path(cold_cache or CACHE)
    try:
        began = time.perf_counter()
        arguments = [*tuning.command(), "-o", str(package), "--json", str(told)]
        vsx([*arguments, "--cache", str(cache_folder), "--quiet"])
        command_s = time.perf_counter() - began
        trained = json.loads(told.read_text())
        row = {
            "command": " ".join(["vsx", *tuning.command()]),
            "start": trained["start_fingerprint"],
            "seconds": trained["seconds"],
            "command_s": command_s,  # with what vsx train measures before and after
            **{key: trained[key] for key in ("best_epoch", "mixture", "stopped", "dropped_forms")},
            **{key: trained["data"][key] for key in ("pictures", "classes", "held_out")},
            "leaks": len(trained["data"]["leaks"]),
            "epochs": trained["epochs"],
            "measured": {one.name: evaluate(package, one, cache_folder) for one in tuning.measured},
        }
        if tuning.audited:
            row["audit"] = audit(package, tuning.audited, cache_folder)
        return row
    finally:
        if cold_cache:
            shutil.rmtree(cold_cache)
        for file in (package, told):
            file.unlink(missing_ok=True)


@cache
def _start_hash() -> str:
    return hashlib.sha256(START.read_bytes()).hexdigest()[:16]


def _key(key: object) -> str:
    return hashlib.sha256(json.dumps([_start_hash(), key]).encode()).hexdigest()[:16]
