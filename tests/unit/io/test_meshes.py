"""Files of meshes become event stores."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from mesh_files_made import FACES, LABELS, OBJ, TEXTURE, VERTICES, colour, ply_of, write_obj, write_textures, write_tile

from weft.errors import WeftError
from weft.io.check import check
from weft.io.convert import convert_file, open_source, recognise
from weft.io.inspect import describe
from weft.io.mesh_files import files_of, find_meshes
from weft.io.mesh_options import MeshReading
from weft.io.mesh_reading import read_mesh
from weft.io.obj import read_materials, read_obj
from weft.io.ply import Element, write_ply
from weft.io.products import Ragged
from weft.io.store import EventStore
from weft.meshes.surface import face_surface

FORMS = ("ascii", "binary_little_endian", "binary_big_endian")


def converted(source, target, **options):
    done = convert_file(source, target, **options)
    assert check(target) == []
    return done, EventStore.open(target)


@pytest.mark.parametrize("form", FORMS)
def test_a_tile_with_labels_and_two_textures(tmp_path, form):
    tile = write_tile(tmp_path, form=form)
    assert recognise(tile) == recognise(tmp_path) == "meshes"
    done, store = converted(tile, tmp_path / "a.h5")
    assert (done.kind, done.events, done.notes) == ("meshes", 1, {})
    with store:
        np.testing.assert_array_equal(store["vertices"][0], VERTICES)
        np.testing.assert_array_equal(store["faces"][0], FACES)
        assert store["face_labels"][0][:, 0].tolist() == [0, 0, 2, 2, 2, 2, 0, -1]
        assert store.products["face_labels"].codes["class"] == {0: "terrain", 1: "high vegetation", 2: "building"}
        np.testing.assert_array_equal(store["texture"][0][:, 0], TEXTURE)
        assert np.isnan(store["texcoords"][0][6:]).all()
        np.testing.assert_array_equal(store["texcoords"][0][0], [0, 0, 1, 0, 0, 1])
        pixels = store["face_pixels"][0]
        assert pixels.counts.tolist() == [10] * 6 + [0, 0]
        for face in range(6):
            of = pixels[face]
            assert {tuple(row) for row in zip(of["r"], of["g"], of["b"], strict=True)} == {tuple(colour(TEXTURE[face]))}
        np.testing.assert_array_equal(store["face_surface"][0], face_surface(VERTICES, FACES))
        assert store.products["origin"].codes["mesh"] == {0: "tile"}
        assert "parent_face" not in store
        provenance = store.files["0"].provenance
        assert set(provenance["inputs"]) == {"tile.ply", "tile_0.png", "tile_1.png"}
        assert provenance["source"]["classes"][2] == {"name": "building", "label": 3}
        assert provenance["source"]["reading"]["ground"] == "local"


@pytest.mark.parametrize(
    "order", list(itertools.permutations(("vertex_indices", "label", "texcoord", "texnumber")))[::5]
)
def test_properties_in_any_order_are_one_mesh(tmp_path, order):
    write_textures(tmp_path)
    ply = ply_of()
    face = ply.elements["face"]
    shuffled = Element.of("face", {name: face.columns[name] for name in order})
    write_ply(tmp_path / "a.ply", replace(ply, elements={"face": shuffled, "vertex": ply.elements["vertex"]}))
    write_ply(tmp_path / "b.ply", ply)
    one, other = (read_mesh(files) for files in find_meshes(tmp_path))
    for name in ("vertices", "faces", "labels", "texcoords", "texture"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("name", ["label", "cls", "class", "classification"])
def test_names_of_the_label(tmp_path, name):
    write_tile(tmp_path, label=name)
    assert read_mesh(find_meshes(tmp_path)[0]).labels.tolist() == LABELS.tolist()


def test_a_label_of_another_name_is_asked_for(tmp_path):
    write_tile(tmp_path, label="kind", cls=np.zeros(8, "i4"))
    mesh = read_mesh(find_meshes(tmp_path)[0], "kind")
    assert (mesh.labels.tolist(), mesh.label_property) == (LABELS.tolist(), "kind")
    assert read_mesh(find_meshes(tmp_path)[0], "sort").notes == {"without property": "sort"}


def test_older_files_say_minus_one_where_newer_say_zero(tmp_path):
    write_tile(tmp_path / "a", labels=[1, 1, 3, 3, 3, 3, 1, -1])
    write_tile(tmp_path / "b", labels=[1, 1, 3, 3, 3, 3, 1, 0])
    found = []
    for name in "ab":
        with converted(tmp_path / name, tmp_path / f"{name}.h5")[1] as store:
            found.append(store["face_labels"][0][:, 0].tolist())
    assert found[0] == found[1]
    assert found[0][-1] == -1


def test_a_map_says_which_label_is_which_class(tmp_path):
    write_tile(tmp_path)
    reading = MeshReading(label_map={3: 0, 1: 1}, classes=("house", "ground"))
    with converted(tmp_path, tmp_path / "a.h5", meshes=reading)[1] as store:
        assert store["face_labels"][0][:, 0].tolist() == [1, 1, 0, 0, 0, 0, 1, -1]
        assert store.products["face_labels"].codes["class"] == {0: "house", 1: "ground"}
    reading = MeshReading(label_map={1: 0})
    with converted(tmp_path, tmp_path / "b.h5", meshes=reading)[1] as store:
        assert store["face_labels"][0][:, 0].tolist() == [0, 0, -1, -1, -1, -1, 0, -1], "absent labels are not valid"
        assert store.products["face_labels"].codes["class"] == {0: "terrain"}


def test_without_names_labels_are_classes(tmp_path):
    write_ply(tmp_path / "tile.ply", replace(ply_of(textures=None), comments=()))
    with converted(tmp_path, tmp_path / "a.h5")[1] as store:
        assert store["face_labels"][0][:, 0].tolist() == LABELS.tolist()


def test_a_mesh_without_a_texture_has_faces_without_pixels(tmp_path):
    write_ply(tmp_path / "tile.ply", ply_of(textures=None))
    done, store = converted(tmp_path, tmp_path / "a.h5")
    assert done.notes == {}
    with store:
        assert store["face_pixels"][0].counts.tolist() == [0] * 8
        assert store["texture"][0][:, 0].tolist() == [-1] * 8
        assert np.isnan(store["texcoords"][0]).all()


def test_a_file_of_labels_stands_before_those_of_the_mesh(tmp_path):
    tile = write_tile(tmp_path)
    (tmp_path / "tile.txt").write_text("3 3 3 3\n1 1 1 -1\n")
    (tmp_path / "classes.txt").write_text("0 unclassified\n3 building\n1 terrain\n")
    with converted(tile, tmp_path / "a.h5")[1] as store:
        assert store["face_labels"][0][:, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, -1]
        assert store.products["face_labels"].codes["class"] == {0: "building", 1: "terrain"}
    (tmp_path / "tile.txt").write_text("3 3 3")
    with pytest.raises(WeftError, match=r"tile\.txt: 3 labels, tile\.ply has 8 faces"):
        convert_file(tile, tmp_path / "b.h5")
    (tmp_path / "tile.txt").write_text("3 3 a 3 1 1 1 -1")
    with pytest.raises(WeftError, match=r"tile\.txt: expected whole numbers"):
        convert_file(tile, tmp_path / "b.h5")
    (tmp_path / "tile.txt").write_text("3 3 2 3 1 1 1 -1")
    with pytest.raises(WeftError, match=r"tile\.txt: labels 2 of 1 faces are no classes, expected 0, 1, 3"):
        convert_file(tile, tmp_path / "b.h5")
    assert not (tmp_path / "b.h5").exists()


def test_labels_and_textures_lie_where_they_are_said_to(tmp_path):
    tile = write_tile(tmp_path / "meshes", labels=None, name="x")
    for name in ("tile_0.png", "tile_1.png"):
        (tmp_path / "textures").mkdir(exist_ok=True)
        (tmp_path / "meshes" / name).rename(tmp_path / "textures" / name)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/x.txt").write_text("0 0 1 1 1 1 0 -1")
    products = {"labels": "../labels/{name}.txt", "textures": "../textures"}
    done, store = converted(tile, tmp_path / "a.h5", products=products)
    with store:
        assert store["face_labels"][0][:, 0].tolist() == [0, 0, 1, 1, 1, 1, 0, -1]
        assert store["face_pixels"][0].counts.sum() == 60
    assert {path.name for path in files_of(tile, products)} == {"x.ply", "x.txt", "tile_0.png", "tile_1.png"}
    with pytest.raises(WeftError, match=r"x\.ply: texture tile_0\.png is not there.*--product textures=FOLDER says"):
        convert_file(tile, tmp_path / "b.h5")
    with converted(tile, tmp_path / "b.h5", products={"textures": None, "labels": None})[1] as store:
        assert set(store.products) == {"vertices", "faces", "face_surface", "origin"}
    assert done.notes == {}
    with pytest.raises(WeftError, match="products: 'cost'"):
        convert_file(tile, tmp_path / "c.h5", products={"cost": "x"})


def test_a_mesh_without_labels_has_none(tmp_path):
    write_tile(tmp_path, labels=None)
    with converted(tmp_path, tmp_path / "a.h5")[1] as store:
        assert "face_labels" not in store


def test_what_only_some_meshes_have_is_filled_and_said(tmp_path):
    write_tile(tmp_path, name="a")
    write_ply(tmp_path / "b.ply", ply_of(labels=None, textures=None, faces=[[0, 1, 2, 3], [0, 4, 5]]))
    done, store = converted(tmp_path, tmp_path / "s.h5")
    assert done.notes == {"without texture": ["b"], "without labels": ["b"]}
    with store:
        assert store["face_labels"][1][:, 0].tolist() == [-1, -1, -1]
        assert store["texture"][1][:, 0].tolist() == [-1, -1, -1]
        assert store["face_pixels"][1].counts.tolist() == [0, 0, 0]
        assert np.isnan(store["texcoords"][1]).all()
        assert store["parent_face"][0][:, 0].tolist() == list(range(8))
        assert store["parent_face"][1][:, 0].tolist() == [0, 0, 1]
        assert store["faces"][1].tolist() == [[0, 1, 2], [0, 2, 3], [0, 4, 5]]


def test_no_faces_at_all(tmp_path):
    write_ply(tmp_path / "tile.ply", ply_of(labels=[], textures=None, faces=[]))
    with converted(tmp_path, tmp_path / "a.h5")[1] as store:
        assert store["faces"][0].shape == (0, 3)
        assert store["face_surface"][0].shape == (0, 2)


def test_a_cap_of_pixels_is_said(tmp_path):
    write_tile(tmp_path)
    done, store = converted(tmp_path, tmp_path / "a.h5", meshes=MeshReading(max_pixels=4))
    with store:
        assert store["face_pixels"][0].counts.tolist() == [4] * 6 + [0, 0]
    assert done.notes == {"pixels": {"tile": "6 of 8 faces have more pixels than the 4 kept, 60 under all faces"}}


def test_a_mesh_is_the_same_event_in_its_folder_and_alone(tmp_path):
    for name in "abc":
        write_tile(tmp_path / "s", name=name)
    with converted(tmp_path / "s", tmp_path / "s.h5")[1] as store:
        uids = store.events["uid"].tolist()
    with converted(tmp_path / "s/b.ply", tmp_path / "b.h5")[1] as store:
        assert store.events["uid"].tolist() == uids[1:2]
    with converted(tmp_path / "s", tmp_path / "c.h5", start=2, stop=3)[1] as store:
        assert store.events["uid"].tolist() == uids[2:]
        assert store.products["origin"].codes["mesh"] == {0: "c"}


def test_coordinates_of_texture_at_vertices(tmp_path):
    write_textures(tmp_path, ("t.png",))
    ply = ply_of(labels=None, textures=None)
    uv = {"s": np.array([0, 1, 1, 0, 0, 1], "f4"), "t": np.array([0, 0, 1, 1, 0.5, 0.5], "f4")}
    vertex = Element.of("vertex", dict(ply.elements["vertex"].columns) | uv)
    write_ply(
        tmp_path / "a.ply", replace(ply, elements={**ply.elements, "vertex": vertex}, comments=("TextureFile t.png",))
    )
    mesh = read_mesh(find_meshes(tmp_path)[0])
    assert mesh.texcoords[0].tolist() == [0, 0, 1, 0, 1, 1]
    assert mesh.texture.tolist() == [0] * 8


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"vertex_indices": Ragged.of([np.array([0, 1, 9], "i4")] * 8)}, "face 0 names vertex 9, there are 6"),
        ({"vertex_indices": Ragged.of([np.array([0, 1], "i4")] * 8)}, "face 0 has 2 corners, expected 3 or more"),
        ({"texcoord": Ragged.of([np.zeros(4, "f4")] * 8)}, "face 0 of 3 corners has 4 numbers of texcoord"),
        ({"texnumber": np.full(8, 2, "i4")}, "texnumber from 2 to 2, the comments name 2 textures"),
        ({"label": np.full(8, 0.5, "f4")}, "label of the faces has values that are no whole numbers"),
        ({"label": np.full(8, 7, "i4")}, "labels 7 of 8 faces are no classes, expected 0, 1, 2, 3"),
    ],
)
def test_damage_is_named(tmp_path, change, said):
    write_textures(tmp_path)
    ply = ply_of()
    face = Element.of("face", dict(ply.elements["face"].columns) | change)
    path = write_ply(tmp_path / "a.ply", replace(ply, elements={**ply.elements, "face": face}))
    with pytest.raises(WeftError, match=said) as error:
        convert_file(path, tmp_path / "a.h5")
    assert str(path) in str(error.value)


def test_several_textures_and_no_number_is_an_error(tmp_path):
    write_textures(tmp_path)
    ply = ply_of()
    columns = {name: column for name, column in ply.elements["face"].columns.items() if name != "texnumber"}
    write_ply(tmp_path / "a.ply", replace(ply, elements={**ply.elements, "face": Element.of("face", columns)}))
    with pytest.raises(WeftError, match="2 textures, but faces have no texnumber"):
        convert_file(tmp_path, tmp_path / "a.h5")


def test_meshes_that_name_labels_differently_need_a_map(tmp_path):
    write_tile(tmp_path, name="a")
    ply = ply_of()
    comments = tuple(comment.replace("terrain", "soil") for comment in ply.comments)
    write_ply(tmp_path / "b.ply", replace(ply, comments=comments))
    with pytest.raises(WeftError, match=r"a\.ply and b\.ply name their labels differently: give a label_map"):
        convert_file(tmp_path, tmp_path / "a.h5")
    reading = MeshReading(label_map={1: 0, 2: 1, 3: 2}, classes=("ground", "tree", "house"))
    with converted(tmp_path, tmp_path / "a.h5", meshes=reading)[1] as store:
        assert store["face_labels"][1][:, 0].tolist() == [0, 0, 2, 2, 2, 2, 0, -1]


@pytest.mark.parametrize(
    ("reading", "said"),
    [
        (MeshReading(label_map={1: 0, 3: 2}), "no label becomes class 1, of classes 0 to 2"),
        (MeshReading(label_map={1: 0}, classes=("a", "b")), "1 classes, but classes names 2"),
        (MeshReading(classes=("a", "b", "c")), "the files name terrain, high vegetation, building: give a label_map"),
        (MeshReading(label_map={1: 0, 2: 1}, classes=("a", "a")), "two are called a"),
        (MeshReading(max_pixels=0), "0 pixels of a face"),
    ],
)
def test_readings_that_make_no_sense(tmp_path, reading, said):
    write_tile(tmp_path)
    with pytest.raises(WeftError, match=said):
        convert_file(tmp_path, tmp_path / "a.h5", meshes=reading)


def test_an_obj_with_materials_polygons_and_negative_numbers(tmp_path):
    path = write_obj(tmp_path)
    assert recognise(path) == "meshes"
    assert read_materials(tmp_path / "tile.mtl") == {"red tiles": "sub folder/red tiles.png", "plain": None}
    obj = read_obj(path)
    assert [face.tolist() for face in obj.corners] == [[0, 1, 2], [0, 2, 3], [0, 1, 2, 3], [0, 1, 3]]
    assert obj.uv.tolist() == [0, 1, 2, -1, -1, -1, 0, 1, 2, 3, 0, 1, 3]
    assert (obj.material.tolist(), obj.materials, obj.left_out) == ([0, 1, 0, 0], ("red tiles", "plain"), {"o": 1})
    (tmp_path / "tile.txt").write_text("0 1 2 3")
    with converted(path, tmp_path / "a.h5")[1] as store:
        assert store["faces"][0].tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2], [0, 2, 3], [0, 1, 3]]
        assert store["parent_face"][0][:, 0].tolist() == [0, 1, 2, 2, 3]
        assert store["face_labels"][0][:, 0].tolist() == [0, 1, 2, 2, 3]
        assert store["texture"][0][:, 0].tolist() == [0, -1, 0, 0, 0]
        assert store["texcoords"][0][3].tolist() == [0, 0, 1, 1, 0, 1]
        assert store["face_pixels"][0].counts.tolist() == [10, 0, 10, 10, 10]
        assert set(store.files["0"].provenance["inputs"]) == {"tile.obj", "tile.mtl", "tile.txt", "red tiles.png"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("f 1/1 2/2 3/3", "f 1/1 2/2 8/3"), "face 0 names v 8, there are 4"),
        (("f 1/1 2/2 3/3", "f 1/1 2/2 3/9"), "face 0 names vt 9, there are 4"),
        (("f 1/1 2/2 3/3", "f 1/1 2/2 0/3"), "face 0 names v 0"),
        (("f 1/1 2/2 3/3", "f 1/1 2/2"), "line 12: a face of 2 corners"),
        (("f 1/1 2/2 3/3", "f 1/1 2/2 x"), "corners are not v, v/vt or v/vt/vn"),
        (("v 1 1 0", "v 1 1"), "a line v of 2 numbers"),
        (("v 1 1 0", "v 1 1 y"), "'y' is no number"),
        (("tile.mtl", "other.mtl"), "other.mtl: materials cannot be read"),
    ],
)
def test_a_damaged_obj_is_named(tmp_path, change, said):
    path = write_obj(tmp_path, OBJ.replace(*change))
    with pytest.raises(WeftError, match=said) as error:
        convert_file(path, tmp_path / "a.h5")
    assert str(tmp_path) in str(error.value)


def test_a_material_that_no_library_has_is_said(tmp_path):
    path = write_obj(tmp_path, OBJ.replace("usemtl plain", "usemtl odd"))
    done, store = converted(path, tmp_path / "a.h5")
    store.close()
    assert done.notes == {"materials that no library has": {"tile": ["odd"]}}


def test_inspect_shows_what_is_there_and_what_is_wrong(tmp_path):
    write_tile(tmp_path, name="a")
    write_tile(tmp_path, name="b", labels=[1, 1, 3, 3, 3, 9, 1, 0])
    (tmp_path / "tile_1.png").unlink()
    good, bad = describe(tmp_path)["meshes"]
    assert good["labels"] == {0: 1, 1: 3, 3: 4}
    assert good["problems"] == ("texture tile_1.png is not there",)
    assert good["warnings"] == ("1 duplicated faces", "1 faces without area", "3 edges of more than two faces")
    np.testing.assert_allclose(good["extent"], [2, 2, 2])
    assert good["textured"] == 0.75
    assert bad["problems"][0] == "labels: labels 9 of 1 faces are no classes, expected 0, 1, 2, 3"
    few = describe(tmp_path, classes=2, products={"textures": None})["meshes"][0]
    assert few["problems"] == ("labels: class 2 of a network with 2",)


def damaged(path, cut=20):
    path.write_bytes(path.read_bytes()[:-cut])
    return path


def test_inspect_lists_all_meshes_where_some_are_damaged(tmp_path):
    write_tile(tmp_path, name="a")
    damaged(write_tile(tmp_path, name="b", form="binary_little_endian"))
    (tmp_path / "c.ply").write_text("ply\nformat ascii 2.0\n")
    write_tile(tmp_path, name="d")
    write_tile(tmp_path, name="e")
    (tmp_path / "e.txt").write_text("3 3")
    found = describe(tmp_path)
    assert [row["mesh"] for row in found["meshes"]] == ["a", "b", "c", "d", "e"]
    assert [row["faces"] for row in found["meshes"]] == [8, None, None, 8, None]
    assert [row["problems"] for row in found["meshes"]] == [
        (),
        ("face: the file ends in row 7 of 8",),
        ("format 'ascii 2.0', expected one of ascii, binary_little_endian, binary_big_endian, version 1.0",),
        (),
        (f"{tmp_path / 'e.txt'}: 2 labels, e.ply has 8 faces",),
    ]
    assert (found["events"], sorted(found["about"]["meshes"])) == (5, ["a", "d"])
    (tmp_path / "c.ply").unlink()  # whose header is read before anything is converted
    for start in (0, 2):
        with pytest.raises(WeftError, match=r"b\.ply: face: the file ends in row 7"):
            convert_file(tmp_path, tmp_path / "a.h5", start=start)
    assert not (tmp_path / "a.h5").exists()
    damaged(tmp_path / "a.ply")
    damaged(tmp_path / "d.ply")
    assert all(row["problems"] for row in describe(tmp_path)["meshes"])


def test_options_of_other_kinds_are_refused(tmp_path):
    write_tile(tmp_path)
    with pytest.raises(WeftError, match="a voxel size is for stacks"):
        open_source(tmp_path, spacing=(1, 1, 1))
    (tmp_path / "x").mkdir()
    (tmp_path / "x/a.tif").write_bytes(b"II*\0")
    with pytest.raises(WeftError, match="labels and grounds of meshes are for meshes"):
        open_source(tmp_path / "x", meshes=MeshReading())
