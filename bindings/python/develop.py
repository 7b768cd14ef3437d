#!/usr/bin/env python3
"""Makes ``import vsearch`` find the package in a build folder: ``develop.py FOLDER``, run by the
interpreter concerned.

Only inside a virtual environment: it writes ``vsearch-dev.pth`` into its site-packages.
"""

import sys
import sysconfig
from pathlib import Path


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    if sys.prefix == sys.base_prefix:
        print(
            f"develop.py: {sys.executable} is not in a virtual environment: "
            f"use PYTHONPATH={sys.argv[1]}",
            file=sys.stderr,
        )
        return 1
    link = Path(sysconfig.get_path("purelib")) / "vsearch-dev.pth"
    wanted = f"{Path(sys.argv[1]).resolve()}\n"
    if not link.exists() or link.read_text() != wanted:
        link.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
