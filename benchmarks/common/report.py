"""What every benchmark writes: a JSON file with the machine, the commit, rows and goals; the goals
are printed last.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def quick() -> bool:
    """QUICK=1 asks for a smaller run, honest and within ten minutes."""
    return os.environ.get("QUICK", "") not in ("", "0")


def _commit() -> str:
    answer = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True
    )
    return answer.stdout.strip() or "unknown"


COMMIT = _commit()  # at the start: a run is long


def goal(name: str, value: float | None, target: float, unit: str, at_most: bool = False) -> dict:
    """A figure and what it should be: at least ``target``, or at most. None: not measured."""
    met = value is not None and (value <= target if at_most else value >= target)
    return {"name": name, "target": target, "value": value, "unit": unit, "met": met}


def write(name: str, rows: list[dict], goals: list[dict], **more) -> Path:
    path = ROOT / "build" / "bench" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"benchmark": name, "quick": quick(), "machine": machine(), "commit": COMMIT}
    content |= {**more, "rows": rows, "goals": goals}
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def print_goals(goals: list[dict]) -> None:
    print("\ngoals")
    width = max((len(item["name"]) for item in goals), default=0)
    for item in goals:
        value = "not measured" if item["value"] is None else f"{item['value']:.4g} {item['unit']}"
        verdict = "met" if item["met"] else "MISSED"
        print(f"  {item['name']:<{width}}  {value:>16}  (goal {item['target']:g})  {verdict}")


def print_table(rows: list[dict], columns: list[str]) -> None:
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in [columns, *cells]) for i in range(len(columns))]
    for line in [columns, *cells]:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())


def machine() -> dict:
    info = {"system": f"{platform.system()} {platform.machine()}", "cores": os.cpu_count()}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            info["cpu"] = value.strip()
        if key.strip() == "flags":
            wanted = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
            info["features"] = [flag for flag in wanted if flag in value.split()]
            break
    return info


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
