"""What the tests of vsx share: the tool, small models that take milliseconds, and pictures."""

import json
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from fcntl import ioctl
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("VSEARCH_SHARED", ROOT.parent / "shared"))


class Vsx:
    """Runs the built tool. Every call says which exit code it expects."""

    def __init__(self, program: Path):
        self.program = program

    def command(self, *args) -> list[str]:
        return [str(self.program), *map(str, args)]

    def __call__(self, *args, code=0, cwd=None, env=None) -> subprocess.CompletedProcess:
        done = subprocess.run(
            self.command(*args),
            capture_output=True,
            text=True,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            timeout=300,
        )
        assert done.returncode == code, (
            f"exit code {done.returncode}, expected {code}:\n{done.stderr}"
        )
        for line in done.stderr.splitlines():
            assert line.startswith(("vsx: ", "  ")), f"no message of vsx: {line!r}"
        return done

    def hits(self, *args) -> list[dict]:
        done = self("search", *args, "--json")
        answer = json.loads(done.stdout)
        assert list(answer) == ["hits"]
        return answer["hits"]

    def info(self, subject) -> dict:
        return json.loads(self("info", subject, "--json").stdout)


class Terminal:
    """vsx with its standard error, or output, on a terminal of 100 columns."""

    def __init__(self, command, stream="stderr"):
        self.master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        self.process = subprocess.Popen(command, start_new_session=True, **{stream: slave})
        os.close(slave)
        self.seen = ""

    def read(self, seconds=0.2):
        ready, _, _ = select.select([self.master], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:  # the other side is closed
            return False
        self.seen += data.decode()
        return bool(data)

    def wait_for(self, pattern):
        deadline = time.monotonic() + 120
        while not (match := re.search(pattern, self.seen)):
            assert self.read() and time.monotonic() < deadline, f"no {pattern!r} in {self.seen!r}"
        return match

    def finish(self):
        while self.read(1.0):
            assert self.process.poll() is None or self.seen
            if self.process.poll() is not None and not select.select([self.master], [], [], 0)[0]:
                break
        self.process.wait(60)
        os.close(self.master)
        return self.process.returncode


@pytest.fixture(scope="session")
def vsx() -> Vsx:
    program = Path(os.environ.get("VSX", ROOT / "build" / "release" / "vsx")).resolve()
    if not program.is_file():
        pytest.skip(f"{program} is not built (make build, or set VSX)")
    return Vsx(program)


def write_model(
    path: Path, work: int = 0, name: str = "grid-colour", fast=None, resize=None
) -> Path:
    """A model package without pretrained weights: the mean colour of each cell of a 4 x 4 grid.

    Its embeddings tell colours and where they are. ``work`` makes it slow: convolutions a batch.
    """
    torch = pytest.importorskip("torch")
    from vsearch.export import package

    class GridColour(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.work = work
            self.scale = torch.nn.Parameter(torch.linspace(0.5, 1.5, 48))
            self.filter = torch.nn.Parameter(torch.full((3, 3, 15, 15), 1e-3))

        @torch.jit.export
        def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
            cells = torch.nn.functional.adaptive_avg_pool2d(pixels, 4)
            embedding = cells.flatten(1) * self.scale
            for _ in range(self.work):
                busy = torch.nn.functional.conv2d(pixels, self.filter)
                embedding = embedding + 0.0 * busy.mean()
            return embedding

    torch.manual_seed(0)
    stretch = {"edge": "stretch", "size": [96, 96], "interpolation": "bilinear"}
    spec = package.input_spec(
        96, 96, resize or stretch, "none",
        mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5],
    )  # fmt: skip
    description = package.manifest(
        name=name,
        licence="Apache-2.0",
        source="a test",
        architecture="grid colour",
        dim=48,
        spec=spec,
    )
    package.write_package(path, package.script(GridColour().eval()), description, fast)
    return path


def fast_form(scale: float):
    """A fast form for the models of ``write_model``, told by a scale."""
    torch = pytest.importorskip("torch")
    from vsearch.export import package

    class Fast(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.zeros(1)
            self.factor = scale

        @torch.jit.export
        def prepare(self, weights: dict[str, torch.Tensor]) -> None:
            self.scale = weights["scale"].clone()
            self.scale[:24] *= self.factor

        @torch.jit.export
        def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.adaptive_avg_pool2d(pixels, 4).flatten(1) * self.scale

    return package.script(Fast().eval())


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "grid-colour.vsm.pt")


@pytest.fixture(scope="session")
def fast_model(tmp_path_factory) -> Path:
    """A package with a fast form in bf16 whose first 24 values are 1.01 times too large."""
    path = tmp_path_factory.mktemp("models") / "fast.vsm.pt"
    return write_model(path, name="fast", fast={"bf16": fast_form(1.01)})


def write_picture(path: Path, seed: int, size=(60, 45)) -> Path:
    """A picture of its own for every seed: a smooth pattern of random colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    corners = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(corners).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture
def photos(tmp_path) -> Path:
    """A folder with pictures in every format, two of them further down."""
    folder = tmp_path / "photos"
    names = ["a.jpg", "b.png", "c.bmp", "shoes/d.jpg", "shoes/old/e.gif", "f.JPEG"]
    for seed, name in enumerate(names):
        write_picture(folder / name, seed)
    return folder


@pytest.fixture
def shop(vsx, model, tmp_path) -> Path:
    """An empty catalogue."""
    path = tmp_path / "shop.vsearch"
    vsx("init", path, "--encoder", model)
    return path
