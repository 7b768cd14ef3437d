"""The whole pipeline from Python: a folder of pictures becomes a catalogue on disk, and a picture
finds what looks like it there.

    python search.py CATALOG FOLDER PICTURE
"""

import sys
from pathlib import Path

import vsearch

PICTURES = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp"}


def main(catalog: str, folder: str, picture: str) -> None:
    with vsearch.open(catalog) if Path(catalog).exists() else vsearch.create(catalog) as shop:
        files = sorted(file for file in Path(folder).rglob("*") if file.suffix.lower() in PICTURES)
        report = shop.add_many(
            [(str(file.relative_to(folder)), file.resolve()) for file in files], progress=True
        )
        for failure in report.failures:
            print(failure.error, file=sys.stderr)
        for hit in shop.search(image=picture, k=5):
            print(f"{hit.score:.3f}  {hit.key}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(f"usage: {sys.argv[0]} CATALOG FOLDER PICTURE")
    try:
        main(*sys.argv[1:])
    except vsearch.Error as error:
        sys.exit(str(error))
