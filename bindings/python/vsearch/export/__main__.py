"""The command line of the exporter: ``python -m vsearch.export SOURCE ... -o OUT.vsm.pt``."""

from __future__ import annotations

import argparse
import sys

from . import ExportError


def main(arguments: list[str] | None = None) -> int:
    options = vars(_parser().parse_args(arguments))
    source = options.pop("kind")
    try:
        package = _sources[source](options)
    except ExportError as error:
        print(f"vsearch.export: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"vsearch.export: {error.filename or options['output']}: {error.strerror or error}",
            file=sys.stderr,
        )
        return 1
    from .package import fingerprint

    description = package.manifest
    print(
        f"wrote {options['output']}: {description['name']}, {description['dim']} dimensions, "
        f"fingerprint {fingerprint(package)}"
    )
    return 0


# Each imports only now: --help and a mistyped command should not wait for torch.


def _hf(options: dict):
    from transformers.utils import logging

    from . import hf

    logging.set_verbosity_error()  # what goes wrong with a folder is told by ExportError
    logging.disable_progress_bar()
    return hf.export(options.pop("model"), **options)


_sources = {"hf": _hf}


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
        help="folder with config.json, weights and preprocessor_config.json",
    )
    _add_output(hf)
    hf.add_argument(
        "--size", type=_size, metavar="H[xW]", help="input size in pixels (default: the model's)"
    )
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
    hf.add_argument(
        "--projection",
        metavar="FILE.safetensors",
        help="a linear map after the pooling: weight [dimensions, pooled dimensions]",
    )
    hf.add_argument("--normalise", action="store_true", help="embeddings of length 1")
    hf.add_argument("--no-text", dest="text", action="store_false", help="leave a text tower away")
    hf.add_argument("--tokens", action="store_true", help="also export the tokens of the patches")
    return parser


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUT.vsm.pt", help="the package to write"
    )
    parser.add_argument("--name", default="", help="name inside the package (default: the model's)")
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


if __name__ == "__main__":
    sys.exit(main())
