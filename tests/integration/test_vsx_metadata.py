"""vsx add --metadata: both formats, how rows find their pictures, and what cells become."""

import json
import tarfile

import pytest
from conftest import SHARED, write_picture


@pytest.fixture
def add(vsx, shop, photos):
    """Writes `content` to the file `name` beside the pictures and adds them with it."""

    def run(name, content, *options, code=0, paths=None):
        file = photos / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        done = vsx("add", shop, *(paths or [photos]), "--metadata", file, *options, code=code)
        return done.stderr

    return run


@pytest.fixture
def metadata(vsx, shop, photos):
    """The metadata of all items by key."""

    def read():
        hits = vsx.hits(shop, "--image", photos / "a.jpg", "-k", 100)
        return {hit["key"]: hit["metadata"] for hit in hits}

    return read


def test_a_path_column_describes_pictures(add, metadata):
    message = add("m.csv", "sku,path,colour\n7,a.jpg,red\n8,shoes/d.jpg,blue\n")
    assert "4 pictures without a row in" in message
    found = metadata()
    assert found["a.jpg"] == {"sku": 7, "colour": "red"}
    assert found["shoes/d.jpg"] == {"sku": 8, "colour": "blue"}
    assert found["b.png"] == {}


def test_the_types_of_cells(add, metadata):
    cells = {
        "integer": ("42", 42),
        "negative": ("-7", -7),
        "zero": ("0", 0),
        "decimal": ("9.50", 9.5),
        "small": ("0.25", 0.25),
        "scientific": ("1.5e-3", 0.0015),
        "yes": ("true", True),
        "no": ("False", False),
        "leading_zero": ("007", "007"),
        "article": ("1E5", "1E5"),
        "exact": ("9007199254740992", 9007199254740992),
        "too_long": ("9007199254740993", "9007199254740993"),
        "lowest": ("-9223372036854775808", "-9223372036854775808"),
        "too_fine": ("9007199254740993.0", "9007199254740993.0"),
        "minus_zero": ("-0", "-0"),
        "fine": ("52.520006599999995", 52.520006599999995),
        "zeros": ("0012.0", "0012.0"),
        "padded": ("100.50", 100.5),
        "far_too_long": ("123456789012345678901234567890", "123456789012345678901234567890"),
        "too_large": ("1.0e+999", "1.0e+999"),
        "spaced": (" 1", " 1"),
        "point_first": (".5", ".5"),
        "point_last": ("5.", "5."),
        "minus": ("-", "-"),
        "date": ("2024-01-02", "2024-01-02"),
        "infinite": ("inf", "inf"),
        "hexadecimal": ("0x10", "0x10"),
    }
    header = ",".join(["path", "nothing", *cells])
    row = ",".join(["a.jpg", "", *(text for text, _ in cells.values())])
    add("m.csv", f"{header}\n{row}\n")
    found = metadata()["a.jpg"]
    assert found == {name: value for name, (_, value) in cells.items()}
    assert {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, (_, value) in cells.items()
    }


def test_quotes_line_breaks_and_a_byte_order_mark(add, metadata):
    content = (
        '\ufeff"path",title,note\r\n'
        '"a.jpg","A ""red"" shirt, long","two\r\nlines"\r\n'
        "\r\n"
        'b.png,"",Größe ✓'
    )
    add("m.csv", content)
    found = metadata()
    assert found["a.jpg"] == {"title": 'A "red" shirt, long', "note": "two\r\nlines"}
    assert found["b.png"] == {"note": "Größe ✓"}


def test_json_lines(add, metadata):
    lines = [
        {"key": "a.jpg", "price": 9.5, "tags": ["new", "sale"], "size": {"cm": 30}},
        {"path": "shoes/d.jpg", "colour": "blue", "stock": None},
    ]
    add("m.jsonl", "\n".join(json.dumps(line) for line in lines) + "\n\n")
    found = metadata()
    assert found["a.jpg"] == {"price": 9.5, "tags": ["new", "sale"], "size": {"cm": 30}}
    assert found["shoes/d.jpg"] == {"colour": "blue", "stock": None}


def test_search_by_metadata(vsx, shop, add):
    add("m.csv", "path,colour,price\na.jpg,red,10\nb.png,red,60\nc.bmp,blue,10\nf.JPEG,red,20\n")
    where = "colour = 'red' AND price < 50"
    hits = vsx.hits(shop, "--like", "c.bmp", "--where", where)
    assert {hit["key"] for hit in hits} == {"a.jpg", "f.JPEG"}


def test_rows_with_one_key_make_one_item(vsx, shop, photos, add, metadata):
    add(
        "m.csv",
        "key,path,colour\nshirt,c.bmp,red\nshirt,a.jpg,other\nboot,shoes/d.jpg,black\n",
        paths=[photos / "c.bmp", photos / "a.jpg", photos / "shoes"],
    )
    found = metadata()
    assert found == {"shirt": {"colour": "red"}, "boot": {"colour": "black"}, "old/e.gif": {}}
    assert vsx.info(shop)["pictures"] == 4
    for picture in ("a.jpg", "c.bmp"):
        hit = vsx.hits(shop, "--image", photos / picture, "-k", 1)[0]
        assert (hit["key"], hit["path"]) == ("shirt", str(photos / picture))


def test_another_key_column(add, metadata):
    add("m.csv", "sku,path,colour\n0017,a.jpg,red\n18,b.png,blue\n", "--key-column", "sku")
    found = metadata()
    assert found["0017"] == {"colour": "red"}
    assert found["18"] == {"colour": "blue"}
    assert "a.jpg" not in found


def test_paths_relative_to_the_metadata_file(add, metadata, photos):
    add(
        "m.csv", "path,colour\nshoes/d.jpg,black\nshoes/old/e.gif,brown\n", paths=[photos / "shoes"]
    )
    assert metadata() == {"d.jpg": {"colour": "black"}, "old/e.gif": {"colour": "brown"}}


def test_rows_without_a_picture_are_counted(add):
    rows = "".join(f"gone{i}.jpg,{i}\n" for i in range(5))
    message = add("m.csv", f"path,n\na.jpg,1\n{rows}")
    assert "5 rows of " in message
    assert "without a picture at the paths given: gone0.jpg, gone1.jpg, gone2.jpg, ..." in message


def test_a_file_about_other_pictures_adds_nothing(vsx, shop, add):
    said = add("m.csv", "path,n\nimages/a.jpg,1\nimages/b.png,2\n", code=1)
    assert "describes none of the 6 pictures: it names 'images/a.jpg'; name" in said
    assert "by their keys, such as 'a.jpg'" in said
    assert vsx.info(shop)["items"] == 0


def test_sync_with_a_file_about_other_pictures_changes_nothing(vsx, shop, photos, tmp_path):
    known = tmp_path / "known.csv"
    known.write_text("key,price\na.jpg,1\nb.png,2\n")
    vsx("sync", shop, photos, "--metadata", known)
    for content, names in (("key,price\nother.jpg,1\n", "other.jpg"), ("key,price\n", "no rows")):
        known.write_text(content)
        done = vsx("sync", shop, photos, "--metadata", known, code=1)
        assert names in done.stderr
        assert "describes none of the 6 pictures" in done.stderr
    assert vsx("get", shop, "a.jpg").stdout.split()[-2:] == ["price", "1"]
    known.write_text("key,price\na.jpg,3\nother.jpg,1\n")
    done = vsx("sync", shop, photos, "--metadata", known)
    assert "1 rows of" in done.stderr and "'other.jpg'" in done.stderr


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", "", "the file is empty"),
        ("m.csv", "path,a,a\n", "line 1: two columns are called 'a'"),
        ("m.csv", "path,,b\n", "line 1: column 2 has no name"),
        (
            "m.csv",
            "sku;path\n1;a.jpg\n",
            "no column 'key' and no column 'path'; the columns are: sku;path",
        ),
        ("m.csv", "path,n\na.jpg,1\nb.png\n", "line 3: the row has 1 cells, the header has 2"),
        ("m.csv", 'path,n\n"x\ny",1\na.jpg,"1\n', "line 4: a quote is opened and never closed"),
        ("m.csv", 'path,n\na.jpg,"1"2\n', "line 2: there is text after a closing quote"),
        ("m.csv", "path,n\n,1\n", "line 2: there is no 'key' and no 'path'"),
        ("m.csv", b"path,n\na.jpg,caf\xe9\n", "line 2: the text is not UTF-8"),
        ("m.csv", "path,n\na.jpg,1\n./a.jpg,2\n", "lines 2 and 3 are both about './a.jpg'"),
        ("m.jsonl", '{"path": "a.jpg"}\n{"path": \n', "line 2: this is not a JSON object"),
        ("m.jsonl", '["a.jpg"]\n', "line 1: this is not a JSON object"),
        ("m.jsonl", '{"key": ["a.jpg"]}\n', "line 1: 'key' must be a text or an integer"),
        ("m.txt", "path\na.jpg\n", "a metadata file ends in .csv or .jsonl"),
    ],
)
def test_a_bad_metadata_file_adds_nothing(vsx, shop, add, name, content, message):
    said = add(name, content, code=1)
    assert message in said
    assert name in said
    assert vsx.info(shop)["items"] == 0


def test_a_missing_metadata_file(vsx, shop, photos):
    said = vsx("add", shop, photos, "--metadata", photos / "none.csv", code=1).stderr
    assert "none.csv' does not exist" in said


def test_a_missing_key_column(vsx, shop, add):
    said = add("m.csv", "path,n\na.jpg,1\n", "--key-column", "sku", code=1)
    assert "there is no column 'sku'; the columns are: path, n" in said
    said = add("m.csv", "sku,path\n1,a.jpg\n,b.png\n", "--key-column", "sku", code=1)
    assert "line 3: there is no 'sku'" in said
    said = vsx("add", shop, "x", "--key-column", "sku", code=2).stderr
    assert "--metadata" in said


def test_two_pictures_with_one_key(vsx, shop, photos, tmp_path):
    other = write_picture(tmp_path / "other" / "a.jpg", 50)
    said = vsx("add", shop, photos, other.parent, code=1).stderr
    assert "the key 'a.jpg' would stand for two pictures" in said
    assert str(photos / "a.jpg") in said
    assert str(other) in said
    assert vsx.info(shop)["items"] == 0


def test_a_real_product_catalogue(vsx, shop, tmp_path):
    archive = SHARED / "data" / "fashion.tar"
    if not archive.exists():
        pytest.skip("shared/data/fashion.tar is not here")
    with tarfile.open(archive) as tar:
        members = [tar.getmember("fashion/catalog.csv")]
        members += [member for member in tar if member.name.endswith("9.jpg")][:200]
        tar.extractall(tmp_path, members)
    fashion = tmp_path / "fashion"
    said = vsx("add", shop, fashion, "--metadata", fashion / "catalog.csv").stderr
    assert "added 200 items" in said
    assert "20,317 rows of" in said
    picture = members[1].name.removeprefix("fashion/")
    (hit,) = vsx.hits(shop, "--image", fashion / picture, "-k", 1)
    assert hit["key"] == picture
    assert hit["metadata"]["sku"] == int(picture.removeprefix("images/").removesuffix(".jpg"))
    assert {"gender", "articleType", "baseColour", "title"} <= set(hit["metadata"])

    vsx("add", shop, fashion, "--metadata", fashion / "catalog.csv", "--key-column", "sku")
    (hit,) = vsx.hits(shop, "--like", picture, "-k", 1)
    assert hit["key"] == picture.removeprefix("images/").removesuffix(".jpg")
