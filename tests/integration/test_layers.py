"""Guards the layers (docs/architecture.md): who may include what, and that headers stand alone."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)

# Third-party headers and the only places that may see them.
CONFINED = {
    r"(torch|ATen|c10)/": ("src/encoder/torch", "src/index/exact_torch", "src/train/"),
    r"sqlite3": ("src/catalog/",),
    r"(turbojpeg|jpeglib|png\.h|stb/|stb_image|webp/)": ("src/image/",),
    r"roaring/": ("src/index/",),
    r"hdf5": ("src/index/hdf5",),
}
# The way of the data: a module may use what stands to its left.
ORDER = ["util", "image", "encoder", "index", "catalog", "search", "eval", "train"]


def sources(*folders: str) -> list[Path]:
    found = [
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".h", ".hpp", ".cpp", ".c")
    ]
    assert found, f"no sources in {folders}"
    return found


def includes(path: Path) -> list[str]:
    return INCLUDE.findall(path.read_text(encoding="utf-8"))


def test_public_headers_are_light():
    forbidden = re.compile("|".join(CONFINED) + r"|nlohmann/|fmt/|openssl/|xxhash|Eigen/|spdlog/")
    for header in sources("include", "capi/include"):
        bad = [name for name in includes(header) if forbidden.match(name)]
        assert not bad, f"{header.relative_to(ROOT)} includes {bad}"


@pytest.mark.parametrize("pattern", CONFINED)
def test_third_party_headers_stay_in_their_room(pattern):
    for path in sources("src", "capi", "tools", "bindings", "examples"):
        relative = path.relative_to(ROOT).as_posix()
        if relative.startswith(CONFINED[pattern]):
            continue
        bad = [name for name in includes(path) if re.match(pattern, name)]
        assert not bad, f"{relative} includes {bad}; only {CONFINED[pattern]} may"


def test_modules_use_only_what_stands_to_their_left():
    for module in ORDER:
        right = ORDER[ORDER.index(module) + 1 :]
        of_catalog = ["filter", "field", "source", "sync", "edition", "care", "crop", "catalog"]
        public_right = {
            "image": ["encoder", "index", *of_catalog, "searcher"],
            "encoder": ["index", *of_catalog, "searcher"],
            "index": ["encoder", "image", *of_catalog, "searcher"],
            "catalog": ["searcher"],
        }.get(module, [])
        for path in sources(f"src/{module}"):
            for name in includes(path):
                assert name.split("/")[0] not in right, f"{path.relative_to(ROOT)} includes {name}"
                bad = [f"vsearch/{header}.h" for header in public_right]
                assert name not in bad, f"{path.relative_to(ROOT)} includes {name}"


def test_tools_and_examples_use_public_headers_only():
    modules = set(ORDER)
    for path in sources("tools", "examples", "capi", "bindings/python"):
        for name in includes(path):
            assert name.split("/")[0] not in modules, f"{path.relative_to(ROOT)} includes {name}"


def compile_alone(tmp_path: Path, header: str, compiler: str, *flags: str) -> None:
    source = tmp_path / "alone.src"
    source.write_text(f"#include <{header}>\n")
    done = subprocess.run(
        [compiler, *flags, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", source],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler on the path")
@pytest.mark.parametrize(
    "header", [path.name for path in sorted((ROOT / "include/vsearch").glob("*.h"))]
)
def test_every_public_header_compiles_alone(tmp_path, header):
    compile_alone(
        tmp_path, f"vsearch/{header}", "c++", "-x", "c++", "-std=c++20", f"-I{ROOT}/include"
    )


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler on the path")
@pytest.mark.parametrize("language", [("cc", "c", "c99"), ("c++", "c++", "c++11")])
def test_the_c_header_compiles_alone(tmp_path, language):
    compiler, name, standard = language
    compile_alone(
        tmp_path,
        "vsearch_c.h",
        compiler,
        "-x",
        name,
        f"-std={standard}",
        "-pedantic",
        f"-I{ROOT}/capi/include",
    )


def test_versions_agree():
    header = (ROOT / "include/vsearch/version.h").read_text()
    version = re.search(r'VSEARCH_VERSION "([^"]+)"', header).group(1)
    parts = [
        re.search(rf"VSEARCH_VERSION_{part} (\d+)", header).group(1)
        for part in ("MAJOR", "MINOR", "PATCH")
    ]
    assert version == ".".join(parts)
    assert f"VERSION {version} " in (ROOT / "CMakeLists.txt").read_text()
    assert f'version = "{version}"' in (ROOT / "bindings/python/pyproject.toml").read_text()
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()
