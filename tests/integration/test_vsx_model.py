"""vsx model: list, pull, info, verify and export. The exporter that pull and export run is mostly a
stand-in here: what the real one does has tests of its own.
"""

import io
import json
import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT, fast_form, write_model

SUBCOMMANDS = ["list", "pull", "info", "verify", "export"]


@pytest.fixture
def home(tmp_path):
    """The environment of a user who has no models yet."""
    return {"HOME": str(tmp_path / "home"), "XDG_DATA_HOME": "", "VSEARCH_MODEL_PATH": ""}


@pytest.fixture
def python(tmp_path):
    """A Python that shows how it is called, and whose exporter copies a package to its output."""

    def make(package=None, lacking=""):
        export = f'cp "{package}" "$6"' if package else "echo no network >&2; exit 1"
        path = tmp_path / "python"
        path.write_text(f"""#!/bin/sh
if [ "$1" = "-c" ]; then
  shift 2
  i=100
  for module in "$@"; do
    [ "$module" = "{lacking}" ] && exit $i
    i=$((i + 1))
  done
  exit 0
fi
echo "$@" >> "{tmp_path}/calls"
[ "$3" = "hf" ] || exit 0
mkdir -p "$(dirname "$6")"
{export}
""")
        path.chmod(0o755)
        return {"VSEARCH_PYTHON": str(path)}

    return make


def calls(tmp_path):
    return (tmp_path / "calls").read_text().splitlines()


@pytest.mark.parametrize("command", SUBCOMMANDS)
def test_help_has_examples(vsx, command):
    text = vsx("model", command, "--help").stdout
    assert f"vsx model {command}" in text.split("Examples:")[1]


def test_no_subcommand(vsx):
    assert "see: vsx model --help" in vsx("model", code=2).stderr


def test_list(vsx, home, fast_model, tmp_path):
    models = json.loads(vsx("model", "list", "--json", env=home).stdout)["models"]
    named = {model["name"]: model for model in models}
    assert next(iter(named)) == "efficientnet-lite0"
    assert named["efficientnet-lite0"]["repository"] is None
    dinov2 = named["dinov2-small"]
    assert (dinov2["repository"], dinov2["dim"]) == ("facebook/dinov2-small", 384)
    assert (dinov2["license"], dinov2["has_text"], dinov2["path"]) == ("Apache-2.0", False, None)
    clip = named["clip-vit-base-patch32"]
    assert (clip["dim"], clip["has_text"], clip["license"]) == (512, True, "MIT")

    installed = (
        tmp_path / "home" / ".local" / "share" / "vsearch" / "models" / "dinov2-small.vsm.pt"
    )
    installed.parent.mkdir(parents=True)
    shutil.copy(fast_model, installed)
    lines = vsx("model", "list", env=home).stdout.splitlines()
    assert lines[0].split() == ["name", "dim", "input", "params", "licence", "words", "installed"]
    (line,) = [line for line in lines if line.startswith("dinov2-small ")]
    assert line.split() == [
        "dinov2-small", "384", "224", "px", "22", "M", "Apache-2.0", "no", str(installed),
    ]  # fmt: skip
    assert vsx("model", "info", "dinov2-small", env=home).stdout.startswith(f"model {installed}\n")


def test_pull(vsx, home, python, fast_model, tmp_path):
    env = {**home, **python(fast_model)}
    place = tmp_path / "home" / ".local" / "share" / "vsearch" / "models" / "dinov2-small.vsm.pt"
    said = vsx("model", "pull", "dinov2-small", env=env).stderr
    assert "use it with: vsx init shop.vsearch --encoder dinov2-small" in said
    assert calls(tmp_path) == [
        f"-m vsearch.export hf facebook/dinov2-small -o {place} --name dinov2-small "
        "--license Apache-2.0 --source Hugging Face, facebook/dinov2-small"
    ]
    vsx("init", tmp_path / "shop.vsearch", "--encoder", "dinov2-small", env=env)
    said = vsx("model", "pull", "dinov2-small", env=env).stderr
    assert f"'dinov2-small' is here already: {place}" in said
    assert len(calls(tmp_path)) == 1

    elsewhere = tmp_path / "elsewhere"
    vsx("model", "pull", "dinov2-base", env={**env, "VSEARCH_MODEL_PATH": f"{elsewhere}:/none"})
    assert (elsewhere / "dinov2-base.vsm.pt").is_file()


def test_pull_without_a_network(vsx, home, python, tmp_path):
    env = {**home, **python(None)}
    done = subprocess.run(
        vsx.command("model", "pull", "dinov2-small"),
        env={**os.environ, **env},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "no network" in done.stderr
    assert "vsx: could not get dinov2-small; without a network, fetch facebook/dinov2-small" in (
        done.stderr
    )
    assert "vsx model export hf FOLDER -o " in done.stderr


def test_pull_of_what_is_none(vsx, home):
    said = vsx("model", "pull", "resnet-9000", env=home, code=1).stderr
    assert "'resnet-9000' is no known name; see: vsx model list" in said
    if not (ROOT / "models" / "efficientnet-lite0.vsm.pt").exists():
        said = vsx("model", "pull", "efficientnet-lite0", env=home, code=1).stderr
        assert "scripts/setup makes it" in said


def test_a_python_that_lacks_something(vsx, home, python, tmp_path):
    for lacking in ("vsearch", "torch", "transformers", "safetensors"):
        env = {**home, **python(lacking=lacking)}
        for command in (["pull", "dinov2-small"], ["export", "hf", "folder", "-o", "x"]):
            said = vsx("model", *command, env=env, code=1).stderr
            assert f"it has no module {lacking}; set VSEARCH_PYTHON to a Python that has" in said
    env = {**home, "VSEARCH_PYTHON": str(tmp_path / "no-python")}
    said = vsx("model", "export", "--version", env=env, code=1).stderr
    assert f"cannot run the exporter with '{tmp_path}/no-python': No such file" in said
    assert not (tmp_path / "calls").exists()


def test_export_hands_its_arguments_on(vsx, home, python, tmp_path):
    env = {**home, **python()}
    vsx("model", "export", "timm", "vit_tiny", "-o", "x y.vsm.pt", "--tokens", "--help", env=env)
    assert calls(tmp_path) == ["-m vsearch.export timm vit_tiny -o x y.vsm.pt --tokens --help"]


def test_export_runs_the_real_exporter(vsx, tmp_path):
    pytest.importorskip("transformers")
    done = subprocess.run(
        vsx.command("model", "export", "hf", tmp_path / "none", "-o", tmp_path / "x.vsm.pt"),
        env={**os.environ, "VSEARCH_PYTHON": sys.executable},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "vsearch.export: " in done.stderr
    assert str(tmp_path / "none") in done.stderr


def test_verify(vsx, model, fast_model):
    lines = vsx("model", "verify", model).stdout.splitlines()
    assert lines[0].startswith("precision  cosine to fp32  ms a picture  at batch 1  golden")
    assert [line.split()[0] for line in lines[1:]] == ["fp32", "PASS"]

    lines = vsx("model", "verify", fast_model).stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["fp32", "bf16", "PASS"]
    precision, cosine, _, rate, golden = lines[2].split()
    assert (precision, golden) == ("bf16", "pass")
    assert float(cosine) > 0.9999
    assert rate.endswith("/s")

    lines = vsx("model", "verify", model, "--precision", "bf16").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["bf16", "PASS"]


def test_verify_a_model_that_does_not_resize(vsx, tmp_path):
    path = write_model(tmp_path / "plain.vsm.pt", resize={"edge": "none"})
    assert "pass" in vsx("model", "verify", path).stdout.splitlines()[1]


def test_verify_finds_what_is_wrong(vsx, fast_model, tmp_path):
    torch = pytest.importorskip("torch")
    from vsearch.export import package

    original = package.read_package(fast_model)

    def write(name, manifest, form):
        path = tmp_path / name
        extra = {package.MANIFEST_FILE: json.dumps(manifest), "fast_bf16.pt": form}
        torch.jit.save(original.module, str(path), _extra_files=extra)
        return path

    archive = io.BytesIO()
    torch.jit.save(fast_form(-1.0), archive)
    path = write("form.vsm.pt", original.manifest, archive.getvalue())
    done = vsx("model", "verify", path, code=1)
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    assert [(row[0], row[-1]) for row in rows] == [
        ("fp32", "pass"), ("bf16", "FAIL"), ("FAIL", "FAIL"),
    ]  # fmt: skip
    assert f"{path}: golden pair 1 of 2" in done.stderr

    manifest = json.loads(json.dumps(original.manifest))
    manifest["golden"][0]["embedding"][0] += 1.0
    path = write("golden.vsm.pt", manifest, original.fast["bf16"])
    done = vsx("model", "verify", path, code=1)
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    assert [(row[0], row[-1]) for row in rows] == [
        ("fp32", "FAIL"), ("bf16", "FAIL"), ("FAIL", "FAIL"),
    ]  # fmt: skip

    said = vsx("model", "verify", tmp_path / "none.vsm.pt", code=1).stderr
    assert "none.vsm.pt: no such model file" in said
