"""PLY files by their header, against hand-made texts and plyfile."""

import itertools

import numpy as np
import plyfile
import pytest

from weft.errors import WeftError
from weft.io import ply as ply_file
from weft.io.ply import Element, Ply, is_ply, read_header, read_ply, write_ply
from weft.io.products import Ragged

FORMS = ("ascii", "binary_little_endian", "binary_big_endian")
HEADER = """ply
format ascii 1.0
comment TextureFile a b.jpg
comment label 1 high vegetation
element vertex 3
property double x
property double y
property double z
element face 2
property list uchar int vertex_indices
property int label
end_header
"""
BODY = "7750.950 4750.950 16.6\n1 0 0\n0 1 1e-3\n3 0 1 2 1\n3 2 1 0 -1\n"


def write(path, text):
    path.write_bytes(text.encode("utf-8"))
    return path


def everything(form, polygons=False):
    """A file with a column of every type; with `polygons`, lists of several lengths."""
    rng = np.random.default_rng(3)
    columns = {kind: rng.integers(0, 100, 5).astype(kind) for kind in ("i1", "u1", "i2", "u2", "i4", "u4")}
    columns |= {"f4": rng.normal(size=5).astype("f4"), "f8": np.array([np.pi * 1e9, -0.1, 0, 1e-300, 7])}
    counts = [3, 4, 0, 3, 5] if polygons else [3] * 5
    lists = [rng.integers(-9, 9, n).astype("i4") for n in counts]
    uv = [rng.uniform(size=6).astype("f4") for _ in counts]
    columns |= {"vertex_indices": Ragged.of(lists), "texcoord": Ragged.of(uv)}
    return Ply(form, {"face": Element.of("face", columns)}, ("TextureFile a.jpg", "", "label 1 x"), ("made by hand",))


def assert_equal(one, other):
    assert (one.comments, one.obj_info, list(one.elements)) == (other.comments, other.obj_info, list(other.elements))
    for name, element in one.elements.items():
        assert element.properties == other.elements[name].properties
        for column, values in element.columns.items():
            twin = other.elements[name].columns[column]
            if isinstance(values, Ragged):
                np.testing.assert_array_equal(values.offsets, twin.offsets)
                values, twin = values.values, twin.values
            assert values.dtype == twin.dtype
            np.testing.assert_array_equal(values, twin)


def test_a_text_by_hand(tmp_path):
    path = write(tmp_path / "a.ply", HEADER + BODY)
    assert is_ply(path)
    ply = read_ply(path)
    assert ply.comments == ("TextureFile a b.jpg", "label 1 high vegetation")
    np.testing.assert_array_equal(ply.elements["vertex"].columns["x"], [7750.950, 1, 0])
    np.testing.assert_array_equal(ply.elements["vertex"].columns["z"], [16.6, 0, 1e-3])
    np.testing.assert_array_equal(ply.elements["face"].columns["vertex_indices"].values, [0, 1, 2, 2, 1, 0])
    np.testing.assert_array_equal(ply.elements["face"].columns["label"], [1, -1])


def test_lines_may_end_as_on_windows_and_be_empty(tmp_path):
    plain = read_ply(write(tmp_path / "a.ply", HEADER + BODY))
    other = read_ply(write(tmp_path / "b.ply", (HEADER + BODY + "\n").replace("\n", "\r\n")))
    assert_equal(plain, other)


@pytest.mark.parametrize("polygons", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_what_is_written_is_read_again(tmp_path, form, polygons):
    ply = everything(form, polygons)
    assert_equal(read_ply(write_ply(tmp_path / "a.ply", ply)), ply)
    header = read_header(tmp_path / "a.ply")
    assert (header.form, header.elements["face"].rows, header.elements["face"].columns) == (form, 5, {})


@pytest.mark.filterwarnings("ignore:loadtxt")  # plyfile's, of empty lists
@pytest.mark.parametrize("polygons", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_plyfile_reads_what_we_write_and_we_what_it_writes(tmp_path, form, polygons):
    ply = everything(form, polygons)
    peer = plyfile.PlyData.read(write_ply(tmp_path / "a.ply", ply))
    for name, values in ply.elements["face"].columns.items():
        for row, value in enumerate(values):
            np.testing.assert_array_equal(peer["face"][name][row], value)
    if form == "binary_big_endian":
        return  # plyfile 1.1.5 writes scalars beside lists in the order of the machine, and does not read them again
    peer.write(tmp_path / "b.ply")
    assert_equal(read_ply(tmp_path / "b.ply"), ply)


@pytest.mark.parametrize("order", list(itertools.permutations(("vertex_indices", "label", "texcoord")))[1:])
@pytest.mark.parametrize("form", FORMS)
def test_properties_in_any_order(tmp_path, order, form):
    columns = {
        "vertex_indices": Ragged.of([np.array([0, 1, 2], "i4"), np.array([2, 1, 0], "i4")]),
        "label": np.array([4, -1], "i4"),
        "texcoord": Ragged.of([np.arange(6, dtype="f4") / 7, np.ones(6, "f4")]),
    }
    ply = Ply(form, {"face": Element.of("face", {name: columns[name] for name in order})})
    assert_equal(read_ply(write_ply(tmp_path / "a.ply", ply)), ply)


@pytest.mark.parametrize("form", FORMS)
def test_no_faces(tmp_path, form):
    columns = {"vertex_indices": Ragged(np.empty(0, "i4"), np.zeros(1, np.int64)), "label": np.empty(0, "i4")}
    ply = Ply(form, {"face": Element.of("face", columns)})
    assert_equal(read_ply(write_ply(tmp_path / "a.ply", ply)), ply)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("3 0 1 2 1", "3 0 1 2.5 1"), "vertex_indices is 2.5, expected int"),
        (("3 0 1 2 1", "3 0 1 a 1"), "'a' is no number"),
        (("element vertex 3", "element vertex 2"), "expected uchar, the length of row 1 of face: are the rows"),
        (("3 2 1 0 -1\n", "3 2 1\n"), "face: the file ends in row 1 of 2"),
        (("3 2 1 0 -1\n", ""), "face: the file ends in row 1 of 2"),
        (("3 2 1 0 -1\n", "-3 2 1 0 -1\n"), "vertex_indices is -3, expected uchar"),
        (("3 2 1 0 -1\n", "3 2 1 0 -1\n9\n"), "1 values after what the header says"),
        (("property int label", "property long label"), "type 'long' of face is none of PLY"),
        (("property int label", "property int"), "'property int' of face"),
        (("list uchar int", "list float int"), "lengths of face vertex_indices are of type float"),
        (("property int label", "property int label\nproperty int label"), "two properties of one name"),
        (("element face", "element vertex"), "declares the element vertex twice"),
        (("ascii 1.0", "ascii 2.0"), "format 'ascii 2.0'"),
        (("format ascii 1.0\n", ""), "says no format"),
        (("end_header\n", ""), "is none of PLY"),
        (("ply\n", "PLY!\n"), "the first line is not 'ply'"),
        (("element face 2", "elephant face 2"), "header line 'elephant face 2'"),
    ],
)
def test_damage_is_named(tmp_path, change, said):
    path = write(tmp_path / "a.ply", (HEADER + BODY).replace(*change))
    with pytest.raises(WeftError, match=said.replace("(", r"\(")) as error:
        read_ply(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("polygons", [False, True])
def test_a_truncated_binary_file_is_named(tmp_path, polygons):
    path = write_ply(tmp_path / "a.ply", everything("binary_little_endian", polygons))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeftError, match="face: the file ends in row 4 of 5"):
        read_ply(path)


@pytest.mark.parametrize("length", ["u1", "i1", "u2", "i2", "u4", "i4"])
@pytest.mark.parametrize("form", FORMS)
def test_lengths_of_every_type_are_walked_over(tmp_path, form, length):
    lists = [np.arange(n, dtype="f8") for n in (3, 0, 120, 3, 0, 1)]
    columns = {"first": Ragged.of(lists), "label": np.arange(6, dtype="i2"), "last": Ragged.of(lists[::-1])}
    if length not in ("u1", "i1"):
        columns["long"] = Ragged.of([np.zeros(n, "i1") for n in (0, 259, 1, 513, 2, 0)])
    ply = Ply(
        form, {"face": Element.of("face", columns, length), "edge": Element.of("edge", {"a": np.arange(2, dtype="i4")})}
    )
    assert_equal(read_ply(write_ply(tmp_path / "a.ply", ply)), ply)


@pytest.mark.parametrize("form", FORMS)
def test_rows_of_different_lengths_are_not_walked_in_python(tmp_path, form, monkeypatch):
    lists = [np.zeros(0 if k % 10 else 6, "f4") for k in range(200)]
    path = write_ply(tmp_path / "a.ply", Ply(form, {"face": Element.of("face", {"texcoord": Ragged.of(lists)})}))
    rows = []
    monkeypatch.setattr(ply_file, "_row", lambda *given, own=ply_file._row: rows.append(given[-1]) or own(*given))
    assert read_ply(path).elements["face"].columns["texcoord"].counts.tolist() == [len(one) for one in lists]
    assert rows == [0]


@pytest.mark.parametrize("form", FORMS[1:])
def test_a_binary_length_below_zero_is_named(tmp_path, form):
    lists = [np.zeros(n, "i1") for n in (1, 2, 3)]
    path = write_ply(tmp_path / "a.ply", Ply(form, {"face": Element.of("face", {"corners": Ragged.of(lists)}, "i2")}))
    path.write_bytes(path.read_bytes()[:-5] + b"\xff\xff" + b"\0\0\0")
    with pytest.raises(WeftError, match="face: corners of row 2 has -1 values"):
        read_ply(path)


@pytest.mark.parametrize(
    ("length", "said"),
    [
        ("-2", "corners of row 2 has -2 values"),
        ("nan", "corners is nan, expected int, the length of row 2 of face"),
        ("3000000000", "corners is 3000000000, expected int, the length of row 2 of face"),
        ("7", "the file ends in row 2 of 3"),
    ],
)
def test_a_length_of_a_text_that_is_none_is_named(tmp_path, length, said):
    header = "ply\nformat ascii 1.0\nelement face 3\nproperty list int int corners\nend_header\n"
    path = write(tmp_path / "a.ply", f"{header}1 5\n2 5 5\n{length} 5 5 5\n")
    with pytest.raises(WeftError, match=said):
        read_ply(path)


def test_more_rows_than_any_memory_are_named(tmp_path):
    header = "ply\nformat ascii 1.0\nelement face 90000000000000\nproperty list int int corners\nend_header\n"
    with pytest.raises(WeftError, match="face: the file ends in row 2 of 90000000000000"):
        read_ply(write(tmp_path / "a.ply", f"{header}1 5\n2 5 5\n"))


def test_what_ply_cannot_hold_is_refused(tmp_path):
    for columns, said in (
        ({"label": np.zeros(2, "i8")}, "type int64"),
        ({"a label": np.zeros(2, "i4")}, "no blanks"),
        ({"corners": Ragged.of([np.zeros(256, "i4")])}, "a list of 256"),
    ):
        with pytest.raises(WeftError, match=said):
            write_ply(tmp_path / "a.ply", Ply("ascii", {"face": Element.of("face", columns)}))
    with pytest.raises(WeftError, match="line break"):
        write_ply(tmp_path / "a.ply", Ply("ascii", {}, ("a\nend_header",)))
    assert not list(tmp_path.iterdir())
