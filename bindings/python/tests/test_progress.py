"""The bar that progress=True draws."""

import io

import numpy as np
import vsearch
from vsearch import _progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_describe():
    assert _progress.describe(0, 10, "items", 0.0) == f"[{' ' * 30}] 0/10 items  0.0/s"
    assert (
        _progress.describe(120, 480, "items", 2.0)
        == f"[{'#' * 7}{' ' * 23}] 120/480 items  60.0/s  ETA 0:06"
    )
    assert _progress.describe(1, 1000, "items", 1.0).endswith("1.0/s  ETA 16:39")
    assert _progress.describe(10, 10, "items", 4.0) == f"[{'#' * 30}] 10/10 items  2.5/s"
    assert _progress.describe(5, None, "items", 2.0) == "5 items  2.5/s"


def test_callbacks():
    def own(done, total):
        return True

    assert _progress.callback(None, "items") is None
    assert _progress.callback(False, "items") is None
    assert _progress.callback(own, "items") is own
    assert isinstance(_progress.callback(True, "items"), _progress.Bar)


def test_on_a_terminal_the_bar_is_drawn_in_place(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    bar = _progress.Bar("items")
    for done in range(101):
        assert bar(done, 100) is None  # never cancels
    drawn = terminal.getvalue()
    assert drawn.startswith("\r\x1b[K[")
    assert drawn.endswith("100/100 items  " + drawn.rsplit("  ", 1)[1])
    assert drawn.count("\n") == 1
    assert drawn.count("\r") < 10  # not at every call


def test_elsewhere_it_is_lines(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr("sys.stderr", log)
    bar = _progress.Bar("items")
    for done in range(101):
        bar(done, 100)
    lines = log.getvalue().splitlines()
    assert len(lines) == 2
    assert " 100/100 items" in lines[-1]
    assert "\r" not in log.getvalue()


def test_progress_true_prints_and_the_default_prints_nothing(capfd):
    index = vsearch.Index(4)
    index.add(np.ones((3, 4)), [1, 2, 3])
    assert capfd.readouterr() == ("", "")
    index.add(np.ones((3, 4)), [1, 2, 3], progress=True)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "3/3 vectors" in printed.err


def test_the_last_line_is_drawn_once(capsys):
    draw = _progress.Bar("pictures")
    for done in (1, 3, 3, 3):  # asked on while pictures are ranked
        draw(done, 3)
    assert capsys.readouterr().err.count("3/3 pictures") == 1
