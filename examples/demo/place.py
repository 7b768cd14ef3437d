"""The folder the demo works in: build/demo."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path
from typing import IO

from .data import DemoError


class Place:
    """Knows every path the demo makes, and touches no other."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "build" / "demo"
        self.shop = self.folder / "shop.vsearch"
        self.stamps = self.folder / "stamps.vsearch"
        self.pictures = self.folder / "pictures"
        self.report = self.folder / "report.html"
        self.folder.mkdir(parents=True, exist_ok=True)

    def lock(self) -> IO[str]:
        """Keeps a second demo out until the result is closed or the process ends."""
        file = (self.folder / "lock").open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise DemoError(
                f"another demo is at work in {self.folder}; wait until it is done"
            ) from None
        return file

    def shown(self, path: Path) -> str:
        """The path as one would type it in the project's folder."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)


def remove_catalogue(path: Path) -> bool:
    """Removes what an earlier run left at `path`; whether there was something."""
    if path.is_symlink():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        return False
    return True
