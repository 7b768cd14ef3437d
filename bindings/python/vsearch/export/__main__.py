"""The command line of the exporter: ``python -m vsearch.export SOURCE ... -o OUT.vsm.pt``."""

from __future__ import annotations

import argparse
import sys

from . import ExportError


def main(arguments: list[str] | None = None) -> int:
    options = vars(_parser().parse_args(arguments))
    source = options.pop("kind")
    try:
        told = _sources[source](options)
    except ExportError as error:
        print(f"vsearch.export: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"vsearch.export: {error.filename or options['output']}: {error.strerror or error}",
            file=sys.stderr,
        )
        return 1
    print(told)
    return 0


def _tell(package, output: str) -> str:
    from .package import fingerprint

    for precision, reason in package.left_out.items():
        print(f"vsearch.export: without {precision}: {reason}", file=sys.stderr)
    description = package.manifest
    return (
        f"wrote {output}: {description['name']}, {description['dim']} dimensions, "
        f"fingerprint {fingerprint(package)}"
    )


# Each imports only now: --help and a mistyped command should not wait for torch.


def _hf(options: dict) -> str:
    from . import hf

    _quieten_transformers()
    return _tell(hf.export(options.pop("model"), **options), options["output"])


def _sentence(options: dict) -> str:
    from . import sentence

    _quieten_transformers()
    description = sentence.export(options.pop("model"), **options)
    return (
        f"wrote {options['output']}: {description['name']}, for vsx train-text --sentence; "
        f"{description['dim']} dimensions"
    )


def _quieten_transformers() -> None:
    from transformers.utils import logging

    logging.set_verbosity_error()  # what goes wrong with a folder is told by ExportError
    logging.disable_progress_bar()


def _timm(options: dict) -> str:
    from . import timm_models

    return _tell(timm_models.export(options.pop("model"), **options), options["output"])


def _torchvision(options: dict) -> str:
    from . import torchvision_models

    return _tell(torchvision_models.export(options.pop("model"), **options), options["output"])


def _module(options: dict) -> str:
    from . import module

    interpolation = options.pop("interpolation")
    resize = {**options.pop("resize"), "interpolation": interpolation}
    if resize["edge"] == "none":
        if interpolation:
            raise ExportError("--interpolation means nothing with --resize none; leave one out")
        resize = {"edge": "none"}
    elif not interpolation:
        raise ExportError("--interpolation is missing; a resize is bilinear or bicubic")
    elif resize["edge"] == "stretch" and "size" not in resize:
        resize["size"] = list(options["size"])
    package = module.export(options.pop("model"), resize=resize, **options)
    return _tell(package, options["output"])


_sources = {
    "hf": _hf,
    "timm": _timm,
    "torchvision": _torchvision,
    "module": _module,
    "sentence": _sentence,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vsearch.export",
        description="Makes a model package (*.vsm.pt) from a pretrained model.",
    )
    sources = parser.add_subparsers(dest="kind", required=True, metavar="SOURCE")
    hf = sources.add_parser(
        "hf",
        help="a Hugging Face model",
        description="Makes a package from a Hugging Face model.",
    )
    hf.add_argument(
        "model",
        metavar="MODEL",
        help="folder with config.json, weights and preprocessor_config.json, or a name to fetch",
    )
    _add_output(hf)
    _add_size(hf)
    hf.add_argument(
        "--interpolation",
        default="",
        choices=["bilinear", "bicubic"],
        help="of the resize of pictures (default: the model's)",
    )
    hf.add_argument(
        "--pooling",
        default="",
        choices=["cls", "mean", "cls_mean", "gem", "attention"],
        help="from tokens to the embedding (default: the model's own)",
    )
    _add_head(hf)
    hf.add_argument("--no-text", dest="text", action="store_false", help="leave a text tower away")
    hf.add_argument("--tokens", action="store_true", help="also export the tokens of the patches")
    _add_fast(hf)
    for library in ("timm", "torchvision"):
        models = sources.add_parser(
            library,
            help=f"a model of {library}",
            description=f"Makes a package from a model of {library}, which must be installed.",
        )
        models.add_argument("model", metavar="NAME", help=f"as {library} calls it")
        _add_output(models)
        _add_size(models)
        models.add_argument(
            "--weights", metavar="FILE", help=f"a file of weights (default: {library} fetches them)"
        )
        _add_head(models)
        if library == "timm":
            _add_fast(models)
    _add_module(sources)
    sentence = sources.add_parser(
        "sentence",
        help="a sentence encoder, to learn words from",
        description="Makes what vsx train-text begins from of a sentence encoder, as the library "
        "sentence-transformers keeps it.",
    )
    sentence.add_argument(
        "model",
        metavar="MODEL",
        help="folder with config.json, vocab.txt and weights, or a name to fetch",
    )
    _add_output(sentence, "OUT.vst.pt", "file")
    return parser


def _add_module(sources) -> None:
    module = sources.add_parser(
        "module",
        help="any TorchScript module",
        description="Makes a package from a TorchScript file whose forward turns float32 "
        "[B, 3, H, W] into [B, dim]. How pictures are prepared is said by the options; nothing is "
        "guessed.",
    )
    module.add_argument("model", metavar="FILE.pt", help="a file of torch.jit.save")
    _add_output(module)
    module.add_argument(
        "--size", type=_size, required=True, metavar="H[xW]", help="input size in pixels"
    )
    module.add_argument(
        "--resize",
        type=_resize,
        required=True,
        metavar="RULE",
        help="shortest:EDGE, stretch (to --size), stretch:H[xW] or none; the middle is cropped",
    )
    module.add_argument(
        "--interpolation", default="", choices=["bilinear", "bicubic"], help="of the resize"
    )
    for option in ("--mean", "--std"):
        module.add_argument(
            option,
            type=_three,
            required=True,
            metavar="A,B,C",
            help="of each channel, for values from 0 to 1",
        )
    module.add_argument("--bgr", action="store_true", help="the module takes blue first")
    _add_head(module)


def _add_size(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--size", type=_size, metavar="H[xW]", help="input size in pixels (default: the model's)"
    )


def _add_head(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--projection",
        metavar="FILE.safetensors",
        help="a linear map behind the embedding: weight [dimensions, dimensions before]",
    )
    parser.add_argument("--normalise", action="store_true", help="embeddings of length 1")


def _add_fast(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--precision",
        dest="precisions",
        type=_precisions,
        metavar="LIST",
        help="fast forms for CPUs, of fp32,bf16,int8; or none (default: all that give the model's "
        "embeddings)",
    )
    parser.add_argument(
        "--calibration",
        metavar="FOLDER",
        help="pictures like those that the model will see, for int8 (default: generated ones)",
    )


def _add_output(
    parser: argparse.ArgumentParser, metavar: str = "OUT.vsm.pt", what: str = "package"
) -> None:
    parser.add_argument(
        "-o", "--output", required=True, metavar=metavar, help=f"the {what} to write"
    )
    parser.add_argument("--name", default="", help=f"name inside the {what} (default: the model's)")
    parser.add_argument(
        "--license",
        dest="licence",
        default="",
        help="licence of the weights, as an SPDX identifier",
    )
    parser.add_argument("--source", default="", help="where the weights come from")


def _size(text: str) -> tuple[int, int]:
    """ "224" or "192x256" as (height, width)."""
    numbers = [int(number) for number in text.lower().split("x")]  # ValueError: argparse tells
    if len(numbers) > 2 or min(numbers) <= 0:
        raise ValueError
    return numbers[0], numbers[-1]


def _precisions(text: str) -> tuple[str, ...]:
    names = () if text == "none" else tuple(text.split(","))
    if not set(names) <= {"fp32", "bf16", "int8"}:
        raise ValueError
    return names


def _resize(text: str) -> dict:
    """The manifest's ``resize`` without its interpolation."""
    edge, _, size = text.partition(":")
    if (edge, size) in (("none", ""), ("stretch", "")):
        return {"edge": edge}
    if edge == "stretch":
        return {"edge": edge, "size": list(_size(size))}
    if edge != "shortest" or int(size) <= 0:
        raise ValueError
    return {"edge": edge, "size": int(size)}


def _three(text: str) -> list[float]:
    numbers = [float(number) for number in text.split(",")]
    if len(numbers) != 3:
        raise ValueError
    return numbers


if __name__ == "__main__":
    sys.exit(main())
