"""Progress, and Ctrl-C: it stops soon, says what is committed, and loses none of it."""

import re
import signal
import subprocess
import time

import pytest
from conftest import Terminal, write_model, write_picture

PICTURES = 400


@pytest.fixture(scope="module")
def slow_model(tmp_path_factory):
    """Slow enough to be interrupted, also on a machine many times as fast as two cores."""
    return write_model(tmp_path_factory.mktemp("slow") / "slow.vsm.pt", work=30)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    for i in range(PICTURES):
        write_picture(folder / f"{i:04}.png", i)
    return folder


@pytest.fixture
def slow_shop(vsx, slow_model, tmp_path):
    path = tmp_path / "slow.vsearch"
    vsx("init", path, "--encoder", slow_model)
    return path


SOME_PROGRESS = rf"[1-9]\d* of {PICTURES} items"


def committed(vsx, shop):
    return vsx.info(shop)["items"]


def test_ctrl_c_loses_nothing(vsx, slow_shop, many):
    terminal = Terminal(vsx.command("add", slow_shop, many))
    terminal.wait_for(SOME_PROGRESS)
    terminal.process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    assert terminal.finish() == 130
    assert time.monotonic() - begin < 20
    assert "stopping; press Ctrl-C again to stop at once" in terminal.seen
    said = re.search(
        r"stopped after [\d,]+ of 400 items; the catalogue holds (\d+) items \(0 before\)",
        terminal.seen,
    )
    assert said, terminal.seen
    items = committed(vsx, slow_shop)
    assert items == int(said[1])
    assert 0 < items < PICTURES

    hits = vsx.hits(slow_shop, "--image", many / "0000.png", "-k", PICTURES, "--exact")
    assert len(hits) == items
    assert hits[0]["key"] == "0000.png"

    again = vsx("add", slow_shop, many).stderr
    assert f"added 400 items ({items} replaced)" in again
    assert committed(vsx, slow_shop) == PICTURES


def test_a_second_ctrl_c_stops_at_once(vsx, slow_shop, many):
    terminal = Terminal(vsx.command("add", slow_shop, many))
    terminal.wait_for(SOME_PROGRESS)
    terminal.process.send_signal(signal.SIGINT)
    terminal.wait_for("press Ctrl-C again")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.finish() == 130
    items = committed(vsx, slow_shop)
    assert 0 < items < PICTURES
    assert len(vsx.hits(slow_shop, "--like", "0000.png", "-k", PICTURES, "--exact")) == items - 1


def test_the_bar(vsx, slow_shop, many):
    terminal = Terminal(vsx.command("add", slow_shop, many))
    terminal.wait_for(r"adding \[=+-+\] +\d+ %  \d+ of 400 items  [\d.]+/s  \d+:\d\d left")
    terminal.process.send_signal(signal.SIGINT)
    terminal.finish()
    bars = re.findall(r"adding \[.*?(?=\r|\n)", terminal.seen)
    assert bars
    assert max(map(len, bars)) < 100


def test_plain_lines_when_nobody_watches(vsx, many, tmp_path):
    # The first line comes after five seconds, which all pictures must outlast on any machine.
    slower_model = write_model(tmp_path / "slower.vsm.pt", work=1500)
    vsx("init", tmp_path / "slower.vsearch", "--encoder", slower_model)
    command = vsx.command("add", tmp_path / "slower.vsearch", many)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    line = process.stderr.readline()
    assert re.fullmatch(r"vsx: adding \d+ of 400 items(, [\d.]+/s, \d+:\d\d left)?\n", line)
    process.send_signal(signal.SIGTERM)
    rest = process.stderr.read()
    assert process.wait(60) == 130
    assert "stopped after" in rest
    assert "\r" not in rest


def test_encode_stops_and_writes_nothing(vsx, slow_model, many, tmp_path):
    files = sorted(many.iterdir())
    terminal = Terminal(vsx.command("encode", slow_model, *files, "-o", tmp_path / "out.npy"))
    terminal.wait_for(r"[1-9]\d* of 400 pictures")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.finish() == 130
    assert "out.npy' was not written" in terminal.seen
    assert not list(tmp_path.glob("out.npy*"))
