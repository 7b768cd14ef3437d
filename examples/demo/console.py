"""Plain numbered steps on the terminal."""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path


class Steps:
    """Numbers the steps and knows the time since the beginning."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.number = 0
        self.bold = (
            ("\033[1m", "\033[0m")
            if sys.stdout.isatty() and "NO_COLOR" not in os.environ
            else ("", "")
        )

    def step(self, title: str) -> None:
        self.number += 1
        print(f"\n{self.bold[0]}{self.number}. {title}{self.bold[1]}", flush=True)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began


def say(text: str) -> None:
    print(f"   {text}", flush=True)


def show_progress(what: str, done: int, total: int) -> None:
    """One line that is rewritten on a terminal; nothing elsewhere."""
    if sys.stdout.isatty():
        print(f"\r   {what}: {done} of {total}", end="\n" if done == total else "", flush=True)


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"


def machine() -> str:
    """The processor and how many of its cores this process may use."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return f"{model}, {cores} cores" if cores > 1 else f"{model}, 1 core"
