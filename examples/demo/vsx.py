"""Runs the command-line tool and shows what is run."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any

from .data import DemoError

PARTLY_DONE = 3  # some pictures could not be read


def shell_word(word: str) -> str:
    """`word` as a shell takes it, in double quotes where that is easier to read."""
    if "'" in word and not set(word) & set('"$`\\!'):
        return f'"{word}"'
    return shlex.quote(word)


class Vsx:
    """The tool at `program`; commands are shown relative to `root`."""

    def __init__(self, program: Path, root: Path) -> None:
        self.program, self.root = program, root

    def shown(self, *arguments: str | Path) -> str:
        """The command as one would type it in `root`."""
        words = []
        for word in [self.program, *arguments]:
            if isinstance(word, Path) and word.is_relative_to(self.root):
                word = word.relative_to(self.root)
            words.append(shell_word(str(word)))
        return " ".join(words)

    def run(self, *arguments: str | Path, allowed: tuple[int, ...] = (0,)) -> float:
        """Runs it with its output on ours; the seconds it took. Raises DemoError if it fails."""
        print(f"   $ {self.shown(*arguments)}", flush=True)
        began = time.perf_counter()
        code = subprocess.run(
            [self.program, *map(str, arguments)], cwd=self.root, check=False
        ).returncode
        if code not in (0, *allowed):
            raise DemoError(
                f"`{self.shown(*arguments)}` ended with exit code {code}; its message stands above"
            )
        return time.perf_counter() - began

    def json(self, *arguments: str | Path) -> Any:
        """What it prints with --json."""
        result = subprocess.run(
            [self.program, *map(str, arguments), "--json"],
            cwd=self.root,
            check=False,
            capture_output=True,
            text=True,
        )
        if result.returncode:
            raise DemoError(f"`{self.shown(*arguments)} --json` failed: {result.stderr.strip()}")
        return json.loads(result.stdout)
