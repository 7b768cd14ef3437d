"""Model packages: one TorchScript archive with a manifest inside. The format is specified in
docs/models.md.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from . import ExportError
from .preprocess import golden_picture, preprocess

FORMAT_VERSION = 1
MANIFEST_FILE = "vsearch.json"
# The precisions of fast forms. A form whose cosines on the golden pictures are less than these, to
# the plain form and to itself in another batch, is not this model's.
FAST_LIMITS = {"fp32": (0.99999, 0.99999), "bf16": (0.998, 0.9995), "int8": (0.98, 0.9995)}
PRECISIONS = tuple(FAST_LIMITS)
# Plain words; accents, composed and not; what tokenizers easily get wrong; more than a tower takes.
GOLDEN_TEXTS = (
    "a photo of a cat",
    "Crème brûlée für 2, e\u0301clairs",
    "It's 日本語 &amp; <b>한국어</b>!?\t🐱👍🏽 №½",
    "red shoes, " * 60,
)
# The keys of a manifest that tell nothing about the model that the others and the weights do not.
_NOT_IN_FINGERPRINT = ("golden", "golden_text", "fast")
GOLDEN_PICTURES = ((320, 240, 1), (240, 320, 2))  # width, height, seed: one landscape, one portrait


@dataclass
class Package:
    """A package as read from a file."""

    module: torch.jit.ScriptModule
    manifest: dict
    fast: dict[str, bytes] = field(default_factory=dict)  # precision: archive of the fast form
    left_out: dict[str, str] = field(default_factory=dict)  # precision: why it has no such form

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 RGB ``[3, H, W]`` to its embedding, float32 ``[dim]``."""
        with torch.no_grad():
            return self.module.encode_image(preprocess(pixels, self.manifest["input"])[None])[0]

    def load_fast(self, precision: str) -> torch.jit.ScriptModule:
        """The fast form of ``precision`` over the weights of ``module``, ready to encode."""
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore", DeprecationWarning)
            form = torch.jit.load(io.BytesIO(self.fast[precision]), map_location="cpu").eval()
            form.prepare(_tensors(self.module))
        return form


def input_spec(
    width: int,
    height: int,
    resize: dict,
    crop: str,
    mean: list[float],
    std: list[float],
    colour_order: str = "rgb",
) -> dict:
    """The manifest's ``input``. Refuses what no picture could pass, so that a wrong configuration
    fails at export.
    """
    if resize["edge"] == "shortest":
        possible = crop == "center" and resize["size"] >= max(width, height)
    elif resize["edge"] == "stretch":
        resized_height, resized_width = resize["size"]
        fits = resized_height >= height and resized_width >= width
        possible = fits if crop == "center" else (resized_height, resized_width) == (height, width)
    else:
        possible = True
    if not possible:
        raise ExportError(
            f"the preprocessing resizes to {resize['size']} ({resize['edge']} edge), "
            f"then crop is {crop}, but the model takes {width} x {height}; "
            "a package needs a resize that covers the crop"
        )
    if any(value == 0 for value in std):
        raise ExportError(
            f"std {std} holds a zero; every channel must be divided by a number other than 0"
        )
    return {
        "width": width,
        "height": height,
        "resize": resize,
        "crop": crop,
        "mean": [_short(value) for value in mean],
        "std": [_short(value) for value in std],
        "colour_order": colour_order,
    }


def manifest(
    *,
    name: str,
    licence: str,
    source: str,
    architecture: str,
    dim: int,
    spec: dict,
    metric: str = "cosine",
    tokens: int = 0,
    text: bool = False,
) -> dict:
    """A manifest without golden pairs; ``write_package`` adds those. ``tokens``: floats of a local
    token, 0 without ``encode_tokens``.
    """
    return {
        "format_version": FORMAT_VERSION,
        "name": name,
        "license": licence,
        "source": source,
        "architecture": architecture,
        "dim": dim,
        "metric": metric,
        "input": spec,
        "outputs": {"embedding": dim, "tokens": tokens} if tokens else {"embedding": dim},
        "text": text,
    }


def golden_pictures(spec: dict) -> tuple[tuple[int, int, int], ...]:
    """(width, height, seed) of the golden pictures for a manifest's ``input``: one landscape and
    one portrait, or such as need no resize where there is none.
    """
    if spec["resize"]["edge"] == "none":
        return tuple((spec["width"], spec["height"], seed) for _, _, seed in GOLDEN_PICTURES)
    return GOLDEN_PICTURES


def write_package(
    path: str | os.PathLike,
    module: torch.jit.ScriptModule,
    description: dict,
    fast: dict[str, torch.jit.ScriptModule] | None = None,
    *,
    all_fast: bool = True,
) -> Package:
    """Writes ``module`` with the manifest ``description`` to ``path`` and returns the package as
    reloaded from there.

    ``fast`` holds its fast forms by their precision. One that does not give the model's embeddings,
    or that this CPU cannot run, is an error; without ``all_fast`` it is left out, and the package's
    ``left_out`` tells why.

    The golden pairs, of pictures and texts, are computed by the module as reloaded from its file,
    so they also prove that saving lost nothing. The file appears whole or not at all.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".tmp")
    try:
        _save(module, unfinished, description)
        archives = {precision: _archive(form, {}) for precision, form in (fast or {}).items()}
        reloaded = Package(_load(unfinished)[0], description, archives)
        _check_module(reloaded)
        golden = []
        for width, height, seed in golden_pictures(description["input"]):
            embedding = reloaded.encode(golden_picture(width, height, seed))
            golden.append(
                {"width": width, "height": height, "seed": seed, "embedding": _decimals(embedding)}
            )
        if description["text"]:
            description = {**description, "golden_text": _golden_texts(reloaded)}
        kept, left_out = {}, {}
        for precision in archives:
            try:
                kept[precision] = {"min_cosine": _least_cosine(reloaded, precision)}
            except ExportError as error:
                if all_fast:
                    raise
                left_out[precision] = str(error)
        if kept:
            description = {**description, "fast": kept}
        archives = {precision: archives[precision] for precision in kept}
        _save(reloaded.module, unfinished, {**description, "golden": golden}, archives)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return replace(read_package(path), left_out=left_out)


def write_module(module: torch.nn.Module, path: Path, extra_files: dict[str, str]) -> None:
    """Writes ``module``, scripted, with ``extra_files``. The file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".tmp")
    try:
        unfinished.write_bytes(_archive(script(module), extra_files))
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_package(path: str | os.PathLike) -> Package:
    """Reads a package onto the CPU. Does not compute its golden pairs."""
    path = Path(path)
    if not path.is_file():
        raise ExportError(f"{path}: no such file")
    try:
        module, text, archives = _load(path)
    except RuntimeError as error:
        raise ExportError(
            f"{path} is not a TorchScript archive: {str(error).splitlines()[0]}"
        ) from error
    if not text:
        raise ExportError(
            f"{path} is a TorchScript archive without {MANIFEST_FILE}: not a model package"
        )
    try:
        return Package(module, json.loads(text), archives)
    except ValueError as error:
        raise ExportError(f"{path}: its {MANIFEST_FILE} is not valid JSON: {error}") from error


def fingerprint(package: Package) -> str:
    """SHA-256 over manifest and weights, 64 lower-case hex digits: embeddings of two fingerprints
    never mix.
    """
    digest = hashlib.sha256()
    description = {
        key: value for key, value in package.manifest.items() if key not in _NOT_IN_FINGERPRINT
    }
    digest.update(_canonical(description).encode())
    tensors = _tensors(package.module).items()
    for name, tensor in sorted(tensors, key=lambda item: item[0].encode()):
        dtype = str(tensor.dtype).removeprefix("torch.")
        shape = "x".join(str(size) for size in tensor.shape)
        digest.update(f"{name}\0{dtype}\0{shape}\0".encode())
        values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(values.numpy().tobytes())
    return digest.hexdigest()


def script(module: torch.nn.Module) -> torch.jit.ScriptModule:
    """``torch.jit.script`` without torch's deprecation notices, which are no user's concern."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(module)


def trace(module: torch.nn.Module, example: torch.Tensor) -> torch.jit.ScriptModule:
    """``torch.jit.trace``, checked for a batch of another size than the example's: shapes must not
    be baked in.
    """
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(module, example, check_trace=False)
        for batch in (1, example.shape[0] + 1):
            other = torch.randn(
                batch, *example.shape[1:], generator=torch.Generator().manual_seed(batch)
            )
            difference = (traced(other) - module(other)).abs().max().item()
            if difference > 1e-4 * max(1.0, module(other).abs().max().item()):
                raise ExportError(
                    f"the traced module differs from the original by {difference:g} "
                    f"for a batch of {batch}"
                )
    return traced


def _tensors(module: torch.jit.ScriptModule) -> dict[str, torch.Tensor]:
    return {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }


def _load(path: Path) -> tuple[torch.jit.ScriptModule, bytes, dict[str, bytes]]:
    extra = {MANIFEST_FILE: "", **{_fast_file(precision): "" for precision in PRECISIONS}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = torch.jit.load(str(path), map_location="cpu", _extra_files=extra)
    archives = {precision: extra[_fast_file(precision)] for precision in PRECISIONS}
    present = {precision: archive for precision, archive in archives.items() if archive}
    return module.eval(), extra[MANIFEST_FILE], present


def _save(
    module: torch.jit.ScriptModule,
    path: Path,
    description: dict,
    fast: dict[str, bytes] | None = None,
) -> None:
    """Goes through memory: where torch itself writes the file, a full disk ends the process."""
    text = json.dumps(description, indent=1, ensure_ascii=False)
    forms = {_fast_file(precision): archive for precision, archive in (fast or {}).items()}
    path.write_bytes(_archive(module, {MANIFEST_FILE: text, **forms}))


def _archive(module: torch.jit.ScriptModule, extra_files: dict) -> bytes:
    archive = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(module, archive, _extra_files=extra_files)
    return archive.getvalue()


def _fast_file(precision: str) -> str:
    return f"fast_{precision}.pt"


def _least_cosine(package: Package, precision: str) -> float:
    """What the fast form promises of the golden pictures, with a margin for CPUs that round
    otherwise.
    """
    spec = package.manifest["input"]
    pictures = [preprocess(golden_picture(*golden), spec) for golden in golden_pictures(spec)]
    batch = torch.stack(pictures)
    with torch.no_grad():
        plain = package.module.encode_image(batch)
        try:
            form = package.load_fast(precision)
            embeddings = form.encode_image(batch)
            alone = torch.cat([form.encode_image(picture[None]) for picture in pictures])
        except RuntimeError as error:
            raise ExportError(
                f"this CPU cannot run the fast form {precision}, so it cannot be checked: "
                f"{str(error).strip().splitlines()[-1]}; leave {precision} out of the precisions"
            ) from error
    together = torch.cosine_similarity(embeddings, alone).min().item()
    cosine = torch.cosine_similarity(embeddings, plain).min().item()
    longer = (embeddings.norm(dim=1) / plain.norm(dim=1) - 1).abs().max().item()
    least, least_together = FAST_LIMITS[precision]
    if not (cosine >= least and together >= least_together and longer < 0.03):
        raise ExportError(
            f"the fast form {precision} does not give this model's embeddings: cosine "
            f"{cosine:.6f}, length off by {longer:.1%}, alone and in a batch {together:.6f}; "
            f"leave {precision} out of the precisions"
        )
    return round(min(0.9999, 1 - 3 * (1 - cosine)), 6)


def _golden_texts(package: Package) -> list[dict]:
    with torch.no_grad():
        return [
            {"text": text, "embedding": _decimals(package.module.encode_text([text])[0])}
            for text in GOLDEN_TEXTS
        ]


def _check_module(package: Package) -> None:
    """Every method that the manifest names: shape, type, finite, independent of the batch."""
    spec, outputs = package.manifest["input"], package.manifest["outputs"]
    if not any(True for _ in package.module.parameters()):
        raise ExportError(
            "the module has no parameters: it was frozen into constants and could never be tuned"
        )
    pictures = torch.randn(
        3, 3, spec["height"], spec["width"], generator=torch.Generator().manual_seed(0)
    )
    _check_method(package, "encode_image", pictures, (3, package.manifest["dim"]))
    if "tokens" in outputs:
        _check_method(package, "encode_tokens", pictures, (3, -1, outputs["tokens"]))
    if package.manifest["text"]:
        _check_method(package, "encode_text", list(GOLDEN_TEXTS[:3]), (3, package.manifest["dim"]))


def _check_method(package: Package, name: str, inputs, shape: tuple[int, ...]) -> None:
    """``shape``: what the method gives for the three ``inputs``; -1 is any number."""
    if not hasattr(package.module, name):
        raise ExportError(f"the module has no method {name}, which its manifest promises")
    method = getattr(package.module, name)
    with torch.no_grad():
        batch, alone = method(inputs), method(inputs[:1])
    given = tuple(batch.shape)
    fits = len(given) == len(shape) and all(b in (a, -1) for a, b in zip(given, shape))
    if not fits or batch.dtype != torch.float32:
        raise ExportError(
            f"{name} gives {batch.dtype} {given} for 3 inputs, not torch.float32 {shape}"
        )
    if not torch.isfinite(batch).all():
        raise ExportError(f"{name} gives NaN or infinite values")
    if torch.cosine_similarity(batch[:1].flatten(1), alone.flatten(1)).item() < 0.99999:
        raise ExportError(f"{name} gives another result for an input alone than in a batch")


def _canonical(value: object) -> str:
    """JSON whose bytes depend on the values alone: floats by their bits, since libraries do not
    print all of them alike.
    """

    def exact(item: object) -> object:
        if isinstance(item, float):
            return "f64:" + struct.pack(">d", item).hex()
        if isinstance(item, dict):
            return {key: exact(inner) for key, inner in item.items()}
        if isinstance(item, list):
            return [exact(inner) for inner in item]
        return item

    return json.dumps(exact(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _short(value: float) -> float:
    """Eight decimals: exact enough for a float32, and legible in the manifest."""
    return round(float(value), 8)


def _decimals(embedding: torch.Tensor) -> list[float]:
    return [float(f"{value:.7g}") for value in embedding.tolist()]
