"""examples/python/search.py, run as a user would."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[3] / "examples" / "python" / "search.py"


def run(*args):
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, args)], capture_output=True, text=True, timeout=300
    )


def test_it_finds_the_picture_it_was_asked_for(default_encoder, photos, tmp_path):
    (photos[0].parent / "broken.jpg").write_text("no picture")
    for _ in range(2):  # the second time the catalogue is there
        done = run(tmp_path / "shop.vsearch", photos[0].parent, photos[3])
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert len(lines) == 5
        assert lines[0] == "1.000  3.png"
        assert "broken.jpg" in done.stderr


def test_it_says_what_is_wrong(tmp_path):
    assert "usage:" in run().stderr
    done = run(tmp_path, tmp_path, "none.jpg")
    assert done.returncode == 1
    assert str(tmp_path) in done.stderr
    assert "Traceback" not in done.stderr
