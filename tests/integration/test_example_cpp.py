"""examples/cpp does what its first lines say, as built inside the tree."""

import subprocess

import pytest
from conftest import ROOT


@pytest.fixture
def example(vsx):
    program = vsx.program.parent / "example_cpp"
    if not program.is_file():
        pytest.skip(f"{program} is not built (VSEARCH_BUILD_EXAMPLES)")
    if not (ROOT / "models" / "efficientnet-lite0.vsm.pt").exists():
        pytest.skip("the default encoder is not packed (scripts/setup)")

    def run(*args):
        return subprocess.run([program, *args], capture_output=True, text=True, timeout=300)

    return run


def test_a_folder_becomes_a_catalogue_that_finds(example, vsx, photos, tmp_path):
    (photos / "broken.jpg").write_bytes(b"no picture")
    for _ in range(2):  # makes the catalogue, then opens it
        done = example(tmp_path / "shop.vsearch", photos, photos / "shoes" / "d.jpg")
        assert done.returncode == 0, done.stderr
        assert f"{photos}/broken.jpg" in done.stderr
        lines = done.stdout.splitlines()
        assert len(lines) == 5
        assert lines[0].endswith("  shoes/d.jpg")
    assert vsx.info(tmp_path / "shop.vsearch")["items"] == 6


def test_what_is_missing_is_named(example, photos, tmp_path):
    assert example().returncode == 2
    done = example(tmp_path / "shop.vsearch", photos, photos / "none.jpg")
    assert done.returncode == 1
    assert f"{photos}/none.jpg" in done.stderr
