"""What vsx says to bad input: each message is read, with its exit code, and nothing is damaged."""

import json
import os
import shutil
import subprocess

import numpy as np
import pytest
from conftest import Terminal, write_model, write_picture


@pytest.fixture
def filled(vsx, shop, photos):
    vsx("add", shop, photos)
    return shop


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- pictures ----------------------------------------------------------------------------------


def test_a_missing_picture(vsx, shop, filled, photos):
    said = vsx("add", shop, photos / "none.jpg", code=1).stderr
    assert f"'{photos}/none.jpg': no such file or folder" in said
    said = vsx("search", shop, "--image", photos / "none.jpg", code=1).stderr
    assert f"{photos}/none.jpg" in said


def test_bad_pictures_are_named_and_the_others_added(vsx, shop, photos):
    (photos / "empty.jpg").write_bytes(b"")
    whole = (photos / "a.jpg").read_bytes()
    (photos / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    whole = (photos / "b.png").read_bytes()
    (photos / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (photos / "text.jpg").write_text("this is no picture")
    (photos / "broken-link.jpg").symlink_to("nowhere.jpg")
    shutil.copy(photos / "b.png", photos / "misnamed-but-good.jpg")

    said = vsx("add", shop, photos, code=3).stderr
    assert "added 7 items in " in said
    assert "5 pictures could not be added:" in said
    for name in ("empty.jpg", "truncated.jpg", "truncated.png", "text.jpg", "broken-link.jpg"):
        (line,) = [line for line in said.splitlines() if f"{photos}/{name}" in line]
        assert line.startswith("  ")
    assert "empty" in next(line for line in said.splitlines() if "/empty.jpg" in line)
    hits = vsx.hits(shop, "--image", photos / "b.png", "-k", 2)
    assert {hit["key"] for hit in hits} == {"b.png", "misnamed-but-good.jpg"}


def test_many_bad_pictures_are_counted(vsx, shop, photos):
    for i in range(13):
        (photos / f"bad{i:02}.jpg").write_bytes(b"")
    said = vsx("add", shop, photos, code=3).stderr
    assert "13 pictures could not be added:" in said
    assert said.count("/bad") == 10
    assert "... and 3 more" in said


def test_a_bad_query_picture(vsx, filled, photos):
    (photos / "empty.jpg").write_bytes(b"")
    done = vsx("search", filled, "--image", photos / "empty.jpg", "--json", code=1)
    assert f"{photos}/empty.jpg" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("folder", ["empty", "texts"])
def test_a_folder_without_pictures(vsx, shop, tmp_path, folder):
    (tmp_path / folder).mkdir()
    if folder == "texts":
        (tmp_path / folder / "readme.txt").write_text("text")
    said = vsx("add", shop, tmp_path / folder, code=1).stderr
    assert f"the folder '{tmp_path}/{folder}' holds no pictures" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read(vsx, shop, photos):
    (photos / "shoes").chmod(0)
    try:
        said = vsx("add", shop, photos, code=3).stderr
    finally:
        (photos / "shoes").chmod(0o755)
    assert f"cannot read the folder '{photos}/shoes'" in said
    assert "added 4 items" in said


def test_encode_writes_all_or_nothing(vsx, model, photos, tmp_path):
    (photos / "empty.jpg").write_bytes(b"")
    before = sorted(tmp_path.rglob("*"))
    args = [model, photos / "a.jpg", photos / "empty.jpg", "-o", tmp_path / "out.npy"]
    assert f"{photos}/empty.jpg" in vsx("encode", *args, code=1).stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_encode_to_where_nothing_can_be_written(vsx, model, photos, tmp_path):
    for output in (tmp_path / "none" / "out.npy", photos):
        said = vsx("encode", model, photos / "a.jpg", "-o", output, code=1).stderr
        assert f"cannot write '{output}'" in said


# --- models ------------------------------------------------------------------------------------


def edit_package(source, target, change):
    """Copies a package, its manifest changed by `change`; None leaves it out."""
    torch = pytest.importorskip("torch")
    from vsearch.export import package

    original = package.read_package(source)
    manifest = change(original.manifest)
    extra = {} if manifest is None else {package.MANIFEST_FILE: json.dumps(manifest)}
    torch.jit.save(original.module, str(target), _extra_files=extra)


def refuse_model(vsx, path, tmp_path):
    """The message, the same from each command that loads a model; no command leaves anything."""
    before = sorted(tmp_path.rglob("*"))
    said = vsx("info", path, code=1).stderr
    assert vsx("init", tmp_path / "new.vsearch", "--encoder", path, code=1).stderr == said
    assert sorted(tmp_path.rglob("*")) == before
    assert str(path) in said
    return said


def test_a_file_that_is_no_model(vsx, tmp_path):
    path = tmp_path / "text.vsm.pt"
    path.write_text("this is no model")
    assert "TorchScript" in refuse_model(vsx, path, tmp_path)


def test_a_model_without_a_manifest(vsx, model, tmp_path):
    path = tmp_path / "bare.pt"
    edit_package(model, path, lambda manifest: None)
    assert "vsearch.json" in refuse_model(vsx, path, tmp_path)


def test_golden_pairs_that_do_not_match(vsx, model, tmp_path):
    def wrong(manifest):
        manifest["golden"][1]["embedding"].reverse()
        return manifest

    path = tmp_path / "wrong.vsm.pt"
    edit_package(model, path, wrong)
    assert "golden" in refuse_model(vsx, path, tmp_path)


def test_a_missing_model(vsx, tmp_path):
    said = vsx("init", tmp_path / "new.vsearch", "--encoder", "no-such-model", code=1).stderr
    assert "no-such-model" in said
    assert not (tmp_path / "new.vsearch").exists()
    assert "no-such-model" in vsx("info", "no-such-model", code=1).stderr


def test_a_catalogue_made_with_another_encoder(vsx, tmp_path, photos):
    model = write_model(tmp_path / "model.vsm.pt", name="first")
    shop = tmp_path / "shop.vsearch"
    vsx("init", shop, "--encoder", model)
    vsx("add", shop, photos / "a.jpg")
    fingerprint = vsx.info(shop)["encoder_fingerprint"]
    write_model(model, name="second")
    for command in (["add", shop, photos], ["search", shop, "--image", photos / "a.jpg"]):
        said = vsx(*command, code=1).stderr
        assert str(shop) in said
        assert fingerprint[:8] in said
    assert vsx.info(shop)["items"] == 1
    vsx("search", shop, "--like", "a.jpg")  # needs no encoder


# --- catalogues --------------------------------------------------------------------------------


def test_no_catalogue_there(vsx, tmp_path, photos):
    path = tmp_path / "none.vsearch"
    for command in (
        ["add", path, photos],
        ["search", path, "--like", "x"],
        ["remove", path, "x"],
    ):
        said = vsx(*command, code=1).stderr
        assert f"there is no catalogue at '{path}'" in said
        assert f"vsx init {path}" in said
    assert not path.exists()


def test_a_folder_that_is_no_catalogue(vsx, photos):
    before = contents(photos / "shoes" / "old")
    assert str(photos / "shoes/old") in vsx("info", photos / "shoes" / "old", code=1).stderr
    assert contents(photos / "shoes" / "old") == before


def test_init_where_something_is(vsx, filled, model):
    said = vsx("init", filled, "--encoder", model, code=1).stderr
    assert str(filled) in said
    assert vsx.info(filled)["items"] == 6


def test_a_catalogue_open_in_another_process(vsx, tmp_path):
    model = write_model(tmp_path / "slow.vsm.pt", work=40)
    shop = tmp_path / "shop.vsearch"
    vsx("init", shop, "--encoder", model)
    for i in range(400):
        write_picture(tmp_path / "many" / f"{i}.png", i)
    holder = Terminal(vsx.command("add", shop, tmp_path / "many"))
    holder.wait_for("of 400 items")
    for command in (
        ["info", shop],
        ["search", shop, "--like", "x"],
        ["add", shop, tmp_path / "many"],
        ["remove", shop, "x"],
    ):
        said = vsx(*command, code=1).stderr
        assert f"{shop} is open in process {holder.process.pid}; " in said
    holder.process.kill()
    holder.finish()
    vsx("info", shop)  # what a killed process had open is free again


def test_a_damaged_snapshot_is_rebuilt(vsx, filled, photos):
    expected = vsx.hits(filled, "--image", photos / "a.jpg")
    snapshots = [path for path in filled.iterdir() if not path.name.startswith("catalog.db")]
    snapshot = max(snapshots, key=lambda path: path.stat().st_size)
    content = bytearray(snapshot.read_bytes())
    content[len(content) // 2] ^= 0xFF
    snapshot.write_bytes(content)
    done = vsx("search", filled, "--image", photos / "a.jpg", "--json")
    assert json.loads(done.stdout)["hits"] == expected
    assert "warning: " in done.stderr
    assert snapshot.name in done.stderr
    assert "building the index of 6 pictures anew" in done.stderr
    assert vsx("search", filled, "--image", photos / "a.jpg").stderr == ""  # mended


def test_a_missing_snapshot_is_rebuilt(vsx, filled, photos):
    expected = vsx.hits(filled, "--image", photos / "a.jpg")
    for path in filled.iterdir():
        if not path.name.startswith("catalog.db"):
            path.unlink()
    assert vsx.hits(filled, "--image", photos / "a.jpg") == expected


@pytest.mark.parametrize("damage", ["header", "middle", "truncated", "empty"])
def test_a_damaged_catalogue_is_refused_and_left_alone(vsx, filled, photos, damage):
    database = filled / "catalog.db"
    content = bytearray(database.read_bytes())
    if damage == "header":
        content[:100] = b"x" * 100
    elif damage == "middle":
        # All pages after the first, so that the schema still reads.
        content[4096:] = bytes(b ^ 0x5A for b in content[4096:])
    elif damage == "truncated":
        del content[len(content) // 2 :]
    else:
        content.clear()
    database.write_bytes(content)
    before = contents(filled)
    for command in (
        ["search", filled, "--like", "a.jpg"],
        ["add", filled, photos],
        ["remove", filled, "a.jpg"],
        ["info", filled],
    ):
        said = vsx(*command, code=1).stderr
        assert str(database) in said
        assert "backup" in said  # the remedy
    assert contents(filled)["catalog.db"] == before["catalog.db"]


# --- queries and the command line --------------------------------------------------------------


def test_an_unknown_key(vsx, filled):
    said = vsx("search", filled, "--like", "no such key", code=1).stderr
    assert "no such key" in said
    said = vsx("remove", filled, "no such key", "a.jpg", "neither", code=3).stderr
    assert "removed 1 item\n" in said
    assert "'neither', 'no such key'" in said
    assert vsx.info(filled)["items"] == 5


def test_k_is_at_least_one(vsx, filled, photos):
    said = vsx("search", filled, "--image", photos / "a.jpg", "-k", 0, code=2).stderr
    assert "-k is the number of hits wanted: at least 1, not 0" in said
    for wrong in ("-1", "many", "1.5"):
        said = vsx("search", filled, "--image", photos / "a.jpg", "-k", wrong, code=2).stderr
        assert f"-k = {wrong}" in said


@pytest.mark.parametrize("where", ["colour =", "colour ~ 3", "(a = 1", ""])
def test_a_bad_condition(vsx, filled, where):
    said = vsx("search", filled, "--like", "a.jpg", "--where", where, code=2).stderr
    assert "--where: " in said


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "no command given"),
        (["find"], "find"),
        (["search", "shop"], "one of --image FILE, --like KEY and --text WORDS"),
        (
            ["search", "shop", "--image", "a", "--like", "b"],
            "one of --image FILE, --like KEY and --text WORDS",
        ),
        (["search", "shop", "--like", "b", "--breadth", "0"], "--breadth must be at least 1"),
        (["search", "shop", "--like"], "--like"),
        (["add", "shop"], "PATH is required"),
        (["remove", "shop"], "KEY is required"),
        (["init"], "CATALOG is required"),
        (["init", "shop", "--fast"], "--fast"),
        (["encode", "model", "a.jpg"], "--output is required"),
    ],
)
def test_wrong_usage(vsx, args, message):
    done = subprocess.run(vsx.command(*args), capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("vsx: ")
    assert message in done.stderr
    assert done.stdout == ""


def test_a_full_disk_is_an_error(vsx, filled, photos):
    with open("/dev/full", "w") as full:
        command = vsx.command("search", filled, "--image", photos / "a.jpg", "--json")
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "cannot write to standard output" in done.stderr


def test_encode_keeps_an_old_file_when_it_fails(vsx, model, photos, tmp_path):
    output = tmp_path / "out.npy"
    vsx("encode", model, photos / "a.jpg", "-o", output)
    before = np.load(output)
    vsx("encode", model, photos / "none.jpg", "-o", output, code=1)
    assert np.array_equal(np.load(output), before)


def test_help_of_the_command_that_was_wrong(vsx, tmp_path):
    done = vsx("index", "search", tmp_path / "x.index", code=2)
    assert "see: vsx index search --help" in done.stderr


def test_a_name_too_long_is_an_error_of_the_path(vsx):
    name = "x" * 300
    for command in (("info", name), ("check", name), ("search", name, "--like", "a")):
        done = vsx(*command, code=1)
        assert f"'{name}'" in done.stderr and "unexpected" not in done.stderr


def test_a_device_is_not_replaced_by_a_file(vsx, model, photos):
    done = vsx("encode", model, photos / "a.jpg", "-o", "/dev/null", code=1)
    assert "it is a device or a pipe" in done.stderr


def test_fields_are_changed_all_or_none(vsx, shop, photos, tmp_path):
    table = tmp_path / "known.csv"
    table.write_text("key,number\na.jpg,1\n")
    vsx("add", shop, photos, "--metadata", table)
    vsx("fields", shop, "--declare", "number:number")
    vsx("fields", shop, "--drop", "number", "--drop", "none", code=1)
    assert "number" in vsx("fields", shop).stdout
    vsx("fields", shop, "--drop", "number", "--declare", "number:text", code=1)
    assert vsx("fields", shop).stdout.split() == ["name", "type", "number", "number"]
