"""Copies the README's examples out and runs them, as a reader would."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RELEASE = ROOT / "build/release"
STAMPS = Path("/usr/share/tuxpaint/stamps/animals")

pytestmark = [
    pytest.mark.skipif(not STAMPS.is_dir(), reason=f"the example pictures are absent: {STAMPS}"),
    pytest.mark.skipif(not (RELEASE / "vsx").exists(), reason="build/release/vsx is not built"),
]


def blocks(heading: str, language: str) -> list[str]:
    section = re.split(rf"^##+ {re.escape(heading)}$", README, flags=re.MULTILINE)[1]
    section = re.split(r"^##+ ", section, flags=re.MULTILINE)[0]
    found = re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found, f"no {language} example below {heading!r} in the README"
    return found


def run(command: list, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def shell(script: str, cwd: Path) -> str:
    return run(["bash", "-euc", script], cwd)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A stand-in for build/try in a tree of its own, with the pictures and the vsx examples run."""
    root = tmp_path_factory.mktemp("readme")
    (root / "build").mkdir()
    os.symlink(RELEASE, root / "build/release")
    shell(blocks("Examples", "sh")[0], root)
    return root / "build/try"


@pytest.fixture(scope="module")
def command_line(folder):
    return shell(blocks("Command line", "sh")[0], folder)


def test_command_line(command_line):
    assert '"hits"' in command_line
    assert "birds/duck.png" in command_line
    assert "efficientnet-lite0" in command_line


def test_python(folder, command_line):
    (folder / "search.py").write_text(blocks("Python", "python")[0])
    lines = run([ROOT / ".venv/bin/python", "search.py"], folder).splitlines()
    assert lines[0].startswith("1.000 seen-today"), lines
    assert len(lines) == 2 + 3, "two items are birds under 50, then three like the duck"


def test_c_and_cpp(folder, command_line):
    install, build = blocks("Building your program", "sh")
    (folder / "search.cpp").write_text(blocks("C++", "cpp")[0])
    (folder / "search.c").write_text(blocks("C", "c")[0])
    (folder / "CMakeLists.txt").write_text(blocks("Building your program", "cmake")[0])
    shell(install, folder)
    lines = shell(build, folder).splitlines()
    hits = [line for line in lines if line.endswith(".png")]
    assert len(hits) == 10, lines
    by_cpp, by_c = hits[:5], hits[5:]
    assert [line.split("  ", 1)[1] for line in by_cpp] == by_c
    shutil.rmtree(folder / "installed")
