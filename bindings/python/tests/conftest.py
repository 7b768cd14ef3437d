"""What the tests of the Python package share: small models that take milliseconds, pictures, and a
catalogue.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import vsearch
from PIL import Image

DIM = 48  # of the small models


def write_model(
    path: Path,
    name: str = "grid-colour",
    work: int = 0,
    reverse: bool = False,
    blind: bool = False,
    shortest: bool = False,
) -> Path:
    """A model package without pretrained weights: the mean colour of each cell of a 4 x 4 grid.

    ``work`` makes it slow, without changing what it computes. ``reverse`` gives other numbers that
    say the same. A ``blind`` one sees nothing but the colour of a corner; one of the ``shortest``
    edge sees the middle of a picture, as most do.
    """
    torch = pytest.importorskip("torch")
    from vsearch.export import package

    class GridColour(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.work = work
            self.reverse = reverse
            self.blind = blind
            self.scale = torch.nn.Parameter(torch.linspace(0.5, 1.5, DIM))
            self.filter = torch.nn.Parameter(torch.full((3, 3, 15, 15), 1e-3))

        @torch.jit.export
        def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
            if self.blind:
                pixels = pixels[:, :, :4, :4]
            embedding = torch.nn.functional.adaptive_avg_pool2d(pixels, 4).flatten(1) * self.scale
            if self.reverse:
                embedding = embedding.flip(1)
            for _ in range(self.work):
                busy = torch.nn.functional.conv2d(pixels, self.filter)
                embedding = embedding + 0.0 * busy.mean()
            return embedding

    resize = {"edge": "stretch", "size": [64, 64], "interpolation": "bilinear"}
    if shortest:
        resize = {"edge": "shortest", "size": 64, "interpolation": "bilinear"}
    crop = "center" if shortest else "none"
    spec = package.input_spec(64, 64, resize, crop, mean=[0.5] * 3, std=[0.5] * 3)
    description = package.manifest(
        name=name,
        licence="Apache-2.0",
        source="a test",
        architecture="grid colour",
        dim=DIM,
        spec=spec,
    )
    package.write_package(path, package.script(GridColour().eval()), description)
    return path


def write_rich_model(path: Path) -> Path:
    """A package with all that a package can have: local tokens (the colours of the 16 cells), words
    (a text's characters, counted), and a fast form in bf16 that is told by a slight scale.
    """
    torch = pytest.importorskip("torch")
    from vsearch.export import package

    class Rich(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.linspace(0.5, 1.5, DIM))

        @torch.jit.export
        def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.adaptive_avg_pool2d(pixels, 4).flatten(1) * self.scale

        @torch.jit.export
        def encode_tokens(self, pixels: torch.Tensor) -> torch.Tensor:
            cells = torch.nn.functional.adaptive_avg_pool2d(pixels, 4)
            return cells.flatten(2).transpose(1, 2) * self.scale[0]

        @torch.jit.export
        def encode_text(self, texts: list[str]) -> torch.Tensor:
            counts = torch.ones(len(texts), self.scale.shape[0])
            for i, text in enumerate(texts):
                for character in text:
                    counts[i, ord(character) % self.scale.shape[0]] += 1
            return counts * self.scale

    class Fast(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.zeros(1)

        @torch.jit.export
        def prepare(self, weights: dict[str, torch.Tensor]) -> None:
            self.scale = weights["scale"] * 1.01

        @torch.jit.export
        def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.adaptive_avg_pool2d(pixels, 4).flatten(1) * self.scale

    resize = {"edge": "stretch", "size": [64, 64], "interpolation": "bilinear"}
    description = package.manifest(
        name="rich",
        licence="Apache-2.0",
        source="a test",
        architecture="grid colour with words",
        dim=DIM,
        spec=package.input_spec(64, 64, resize, "none", mean=[0.5] * 3, std=[0.5] * 3),
        tokens=3,
        text=True,
    )
    forms = {"bf16": package.script(Fast().eval())}
    package.write_package(path, package.script(Rich().eval()), description, forms)
    return path


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard():
    """Also where the tests run in the background of a script, whose shell has SIGINT ignored. What
    a test starts hears it, too.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def rich_model(tmp_path_factory) -> Path:
    return write_rich_model(tmp_path_factory.mktemp("models") / "rich.vsm.pt")


@pytest.fixture(scope="session")
def rich(rich_model) -> vsearch.Encoder:
    return vsearch.Encoder(rich_model, precision="fp32")


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "grid-colour.vsm.pt")


@pytest.fixture(scope="session")
def slow_model(tmp_path_factory) -> Path:
    """About 10 ms a picture."""
    return write_model(tmp_path_factory.mktemp("models") / "slow.vsm.pt", "slow", work=12)


@pytest.fixture(scope="session")
def other_model(tmp_path_factory) -> Path:
    """As good as ``model``, and none of its embeddings fits."""
    return write_model(tmp_path_factory.mktemp("models") / "other.vsm.pt", "other", reverse=True)


@pytest.fixture(scope="session")
def blind_model(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "blind.vsm.pt", "blind", blind=True)


@pytest.fixture(scope="session")
def encoder(model) -> vsearch.Encoder:
    return vsearch.Encoder(model)


@pytest.fixture(scope="session")
def default_encoder() -> vsearch.Encoder:
    try:
        return vsearch.Encoder()
    except FileNotFoundError as error:
        pytest.skip(str(error))


def pixels(seed: int, size: tuple[int, int] = (60, 45)) -> np.ndarray:
    """A picture of its own for every seed: a smooth pattern of random colours."""
    corners = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(corners).resize(size, Image.Resampling.BICUBIC))


def save(path: Path, seed: int) -> Path:
    """Writes pixels(seed) as a picture file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(seed)).save(path)
    return path


@pytest.fixture
def photos(tmp_path) -> list[Path]:
    """Eight pictures; photos[i] shows pixels(i)."""
    return [save(tmp_path / "photos" / f"{i}.png", i) for i in range(8)]


@pytest.fixture
def empty(tmp_path, encoder):
    """A catalogue without items."""
    with vsearch.create(tmp_path / "shop.vsearch", encoder=encoder) as catalog:
        yield catalog


@pytest.fixture
def shop(tmp_path, encoder, photos):
    """A catalogue of the eight pictures, with keys "item-0" to "item-7"."""
    with vsearch.create(tmp_path / "shop.vsearch", encoder=encoder) as catalog:
        catalog.add_many(
            (f"item-{i}", path, {"number": i, "even": i % 2 == 0}) for i, path in enumerate(photos)
        )
        yield catalog


@pytest.fixture
def ticks() -> Callable[[Callable[[], object]], int]:
    """Runs a function and tells how often another thread ran meanwhile: about once per
    millisecond if the function lets it, hardly ever if it holds on to the interpreter.
    """

    def count_during(work: Callable[[], object]) -> int:
        count = 0
        stop = threading.Event()

        def tick() -> None:
            nonlocal count
            while not stop.is_set():
                count += 1
                time.sleep(0.001)

        ticker = threading.Thread(target=tick)
        ticker.start()
        try:
            before = count
            work()
            return count - before
        finally:
            stop.set()
            ticker.join()

    return count_during
