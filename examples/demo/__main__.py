"""Runs the demo; scripts/demo calls it. Exit code 0: done and every promise kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .data import DemoError
from .run import Demo

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    try:
        import vsearch
    except ImportError as error:
        print(
            f"demo: the Python module is not built ({error}); run `make demo` or `make build`",
            file=sys.stderr,
        )
        return 1
    pictures = os.environ.get("PICTURES")
    own = Path(pictures).expanduser().absolute() if pictures else None
    try:
        kept = Demo(ROOT, vsearch, own).run()
    except (DemoError, vsearch.Error, OSError) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: stopped; a new `make demo` starts afresh", file=sys.stderr)
        return 130
    if not kept:
        print("\ndemo: a promise was broken; see BROKEN above and the report", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
