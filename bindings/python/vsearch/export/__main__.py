"""The command line of the exporter: ``python -m vsearch.export SOURCE ... -o OUT.vsm.pt``."""

from __future__ import annotations

import argparse
import sys

from . import ExportError


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        package = _export(options)
    except ExportError as error:
        print(f"vsearch.export: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"vsearch.export: {error.filename or options.output}: {error.strerror or error}",
            file=sys.stderr,
        )
        return 1
    from .package import fingerprint

    description = package.manifest
    print(
        f"wrote {options.output}: {description['name']}, {description['dim']} dimensions, "
        f"fingerprint {fingerprint(package)}"
    )
    return 0


def _export(options: argparse.Namespace):
    # Imported only now: --help and a mistyped command should not wait for torch.
    from transformers.utils import logging

    from . import hf

    logging.set_verbosity_error()  # what goes wrong with a folder is told by ExportError
    logging.disable_progress_bar()
    return hf.export(
        options.model_dir,
        options.output,
        name=options.name,
        licence=options.license,
        source=options.source,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vsearch.export",
        description="Makes a model package (*.vsm.pt) from a pretrained model.",
    )
    sources = parser.add_subparsers(dest="kind", required=True, metavar="SOURCE")
    hf = sources.add_parser(
        "hf",
        help="a Hugging Face model folder",
        description="Makes a package from a Hugging Face model folder (ViT, DeiT).",
    )
    hf.add_argument(
        "model_dir",
        metavar="MODEL_DIR",
        help="folder with config.json, weights and preprocessor_config.json",
    )
    hf.add_argument(
        "-o", "--output", required=True, metavar="OUT.vsm.pt", help="the package to write"
    )
    hf.add_argument(
        "--name", default="", help="name inside the package (default: the folder's name)"
    )
    hf.add_argument("--license", default="", help="licence of the weights, as an SPDX identifier")
    hf.add_argument("--source", default="", help="where the weights come from")
    return parser


if __name__ == "__main__":
    sys.exit(main())
