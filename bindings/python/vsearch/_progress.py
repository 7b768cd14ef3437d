"""The progress bar that ``progress=True`` asks for."""

from __future__ import annotations

import sys
import time

from ._arguments import Progress, ProgressCallback

_WIDTH = 30
_INTERVAL_S = 0.1  # between two drawings on a terminal
_LINE_INTERVAL_S = 5.0  # between two lines elsewhere: a log file, a pipe


def callback(progress: Progress, what: str) -> ProgressCallback | None:
    """What the library calls: None, the caller's function, or a bar over `what` ("items")."""
    if progress is None or progress is False:
        return None
    return Bar(what) if progress is True else progress


class Bar:
    """Draws ``[#####     ] 120/500 items  32.0/s  ETA 0:12`` on stderr: in place on a terminal, in
    lines elsewhere."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = time.monotonic()
        self._drawn = float("-inf")
        self._is_finished = False

    def __call__(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        on_terminal = sys.stderr.isatty()
        finished = done == total
        if finished and self._is_finished:
            return  # asked on, while something else is done
        self._is_finished = finished
        if not finished and now - self._drawn < (_INTERVAL_S if on_terminal else _LINE_INTERVAL_S):
            return
        self._drawn = now
        line = describe(done, total, self._what, now - self._began)
        if on_terminal:
            sys.stderr.write("\r\x1b[K" + line + ("\n" if finished else ""))
        else:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()


def describe(done: int, total: int | None, what: str, elapsed_s: float) -> str:
    rate = done / elapsed_s if elapsed_s > 0 else 0.0
    if not total:  # nobody knows, or there is nothing to do
        return f"{done} {what}  {rate:.1f}/s"
    filled = _WIDTH * done // total
    text = f"[{'#' * filled}{' ' * (_WIDTH - filled)}] {done}/{total} {what}  {rate:.1f}/s"
    if 0 < done < total:
        minutes, seconds = divmod(round((total - done) / rate), 60) if rate > 0 else (0, 0)
        text += f"  ETA {minutes}:{seconds:02}"
    return text
