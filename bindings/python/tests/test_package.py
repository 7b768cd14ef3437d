"""The package as a whole: what importing does, beside which other packages, and its typing."""

import ast
import inspect
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import vsearch

PACKAGE = Path(__file__).resolve().parents[1] / "vsearch"
DEVELOP = PACKAGE.parent / "develop.py"


def python(code: str, *args, **kwargs) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=120,
        **kwargs,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_version_is_that_of_the_library():
    header = PACKAGE.parents[2] / "include" / "vsearch" / "version.h"
    assert f'"{vsearch.__version__}"' in header.read_text()
    assert f'version = "{vsearch.__version__}"' in (PACKAGE.parent / "pyproject.toml").read_text()


def test_every_public_name_is_there_and_documented():
    assert set(vsearch.__all__) <= set(dir(vsearch))
    for name in vsearch.__all__:
        thing = getattr(vsearch, name)
        if name != "__version__":
            assert inspect.getdoc(thing), name
        if inspect.isclass(thing):
            for member, value in vars(thing).items():
                if inspect.isfunction(value) and not member.startswith("_"):
                    assert inspect.getdoc(value), f"{name}.{member}"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        vsearch.serach  # noqa: B018


def test_the_stub_describes_the_compiled_module():
    from vsearch import _vsearch

    stub = ast.parse((PACKAGE / "_vsearch.pyi").read_text())
    declared = {
        node.name: {member.name for member in node.body if isinstance(member, ast.FunctionDef)}
        for node in stub.body
        if isinstance(node, ast.ClassDef)
    }
    actual = {
        name: {member for member in vars(kind) if not member.startswith("_")}
        for name, kind in vars(_vsearch).items()
        if inspect.isclass(kind)
    }
    for members in declared.values():
        members.discard("__init__")
    assert declared == actual


def test_importing_loads_no_compiled_module():
    code = "import sys, vsearch; print([m for m in sys.modules if 'vsearch' in m])"
    assert "_vsearch" not in python(code)


def test_without_the_compiled_module_the_exporter_works_and_the_rest_says_what_to_do(tmp_path):
    ignore = shutil.ignore_patterns("_vsearch*", "__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "vsearch", ignore=ignore)
    code = """
import vsearch, vsearch.export
try:
    vsearch.open("shop.vsearch")
except ImportError as error:
    print(vsearch.__file__, error)
"""
    printed = python(f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{code}")
    assert printed.startswith(str(tmp_path))
    assert "without its compiled part" in printed
    assert "make build" in printed


@pytest.mark.parametrize(
    "imports",
    ["import torch, vsearch", "import vsearch; vsearch.Encoder; import torch"],
    ids=["torch first", "vsearch first"],
)
def test_lives_beside_torch_in_one_process(imports, model, photos):
    pytest.importorskip("torch")
    code = f"""
import sys
{imports}
encoder = vsearch.Encoder(sys.argv[1])
first = encoder.encode(sys.argv[2])
script = torch.jit.load(sys.argv[1])
assert torch.linalg.norm(torch.ones(4, 4) @ torch.ones(4, 4)).item() == 16
assert (encoder.encode(sys.argv[2]) == first).all()
print(script.encode_image(torch.zeros(1, 3, 64, 64)).shape[1], first.shape[0])
"""
    assert python(code, model, photos[0]).split() == ["48", "48"]


def test_errors_are_also_python_errors():
    kinds = {
        vsearch.InvalidArgumentError: ValueError,
        vsearch.MissingFileError: FileNotFoundError,
        vsearch.KeyNotFoundError: KeyError,
        vsearch.AlreadyExistsError: FileExistsError,
        vsearch.InputOutputError: OSError,
        vsearch.OutOfMemoryError: MemoryError,
        vsearch.InternalError: RuntimeError,
    }
    for kind, python_kind in kinds.items():
        assert issubclass(kind, vsearch.Error)
        assert issubclass(kind, python_kind)
        assert str(kind("what and why")) == "what and why"


def test_error_classes_are_those_of_the_c_header():
    header = (PACKAGE.parents[2] / "capi" / "include" / "vsearch_c.h").read_text()
    names = ["VSEARCH_" + kind.code.upper() for kind in vsearch.errors._CLASSES]
    for number, name in enumerate(names, start=1):
        assert f"  {name} = {number}" in header
    statuses = header.split("typedef int32_t vsearch_status;")[1].split("};")[0]
    assert statuses.count("VSEARCH_") == len(names) + 1  # and VSEARCH_OK
    assert vsearch.errors.class_of(99) is vsearch.Error


def test_develop_makes_the_package_importable_in_a_virtual_environment(tmp_path):
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    folder = tmp_path / "built"
    (folder / "vsearch").mkdir(parents=True)
    (folder / "vsearch" / "__init__.py").write_text("where = 'in the build folder'")
    inside = environment / "bin" / "python"
    for _ in range(2):  # the second time there is nothing to do
        subprocess.run([inside, DEVELOP, folder], check=True)
    printed = subprocess.run(
        [inside, "-c", "import vsearch; print(vsearch.where)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert printed.stdout.strip() == "in the build folder"


def test_develop_refuses_to_change_the_system(tmp_path):
    outside = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    if not outside.is_file():
        pytest.skip(f"{outside} is absent")
    done = subprocess.run([outside, DEVELOP, tmp_path], capture_output=True, text=True)
    assert done.returncode == 1
    assert "is not in a virtual environment" in done.stderr
