"""Whole tiles: what is in them, what does not change them, and their files."""

import re

import numpy as np
import pytest
from PIL import Image

from weft.config.loading import ConfigError
from weft.simulation.towns.classes import COLOURS, NAMES
from weft.simulation.towns.files import write_town
from weft.simulation.towns.palette import _CONFUSABLE, _DISTINCT
from weft.simulation.towns.produce import simulate_towns, tile_name
from weft.simulation.towns.settings import TownSettings
from weft.simulation.towns.town import simulate_town

SMALL = {"edge": 30, "resolution": 3, "textures": {"gsd": 0.3}, "ground": {"water": 1}}


def town(index=0, **changes):
    return simulate_town(TownSettings.parse({**SMALL, **changes}), 1, index)


def area(surface):
    a, b, c = (surface.vertices[surface.faces[:, k]] for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


@pytest.fixture(scope="module")
def tile():
    return town()


@pytest.fixture(scope="module")
def clean():
    """Without any damage."""
    none = dict.fromkeys(("noise", "duplicates", "junctions", "holes", "unlabelled", "untextured"), 0)
    return town(damage=none).surface


def test_all_classes_within_the_tile_and_few_without(tile):
    surface = tile.surface
    assert set(np.unique(surface.labels)) == set(range(7))
    assert np.mean(surface.labels == 0) < 0.1
    span = np.ptp(surface.vertices, axis=0)
    assert (span[:2] < 34).all()
    assert surface.vertices[:, :2].min() > 1000, "coordinates of a map"
    assert surface.faces.max() < len(surface.vertices)
    assert set(np.unique(surface.texture)) == {-1, *range(len(tile.textures))}
    used = surface.coordinates[surface.texture >= 0]
    assert used.min() >= 0
    assert used.max() <= 1


def test_meshes_are_not_manifold(tile, clean):
    twice = len(tile.surface.faces) - len(np.unique(np.sort(tile.surface.faces, axis=1), axis=0))
    assert twice > 0
    assert len(clean.faces) == len(np.unique(np.sort(clean.faces, axis=1), axis=0))
    edges = np.sort(tile.surface.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    _, count = np.unique(edges, axis=0, return_counts=True)
    assert count.max() > 2
    assert (count == 1).any(), "holes and isolated parts"


def test_water_is_level_with_boats_on_it_and_land_above_and_below(clean):
    z = clean.vertices[clean.faces].mean(axis=1)[:, 2]
    level = float(z[clean.labels == 4].mean())
    assert np.ptp(z[clean.labels == 4]) < 1
    boats = clean.vertices[clean.faces[clean.labels == 6]].reshape(-1, 3)
    assert boats[:, 2].min() < level < boats[:, 2].max()
    assert (z[clean.labels == 1] > level + 0.5).any()
    assert (z[clean.labels == 1] < level - 0.5).any()


def test_damage_is_what_the_settings_say(clean):
    count = len(clean.faces)
    none = dict.fromkeys(("noise", "duplicates", "junctions", "holes", "unlabelled", "untextured"), 0.0)
    holes = town(damage={**none, "holes": 0.3}).surface
    assert len(holes.faces) == pytest.approx(0.7 * count, rel=0.05)
    assert len(town(damage={**none, "duplicates": 0.3}).surface.faces) == pytest.approx(1.3 * count, rel=0.05)
    cut = town(damage={**none, "junctions": 0.3}).surface
    assert len(cut.faces) == pytest.approx(1.3 * count, rel=0.05)
    assert area(cut).sum() == pytest.approx(area(clean).sum())
    noisy = town(damage={**none, "noise": 0.1}).surface
    assert np.std(np.sort(noisy.vertices[:, 2]) - np.sort(clean.vertices[:, 2])) > 0
    assert (noisy.labels == clean.labels).all()
    unlabelled = town(damage={**none, "unlabelled": 0.2}).surface.labels
    assert 0.2 <= np.mean(unlabelled == 0) < 0.5
    assert np.mean(town(damage={**none, "untextured": 0.3}).surface.texture < 0) == pytest.approx(0.3, abs=0.05)


def test_a_tile_is_a_function_of_seed_and_number(tile):
    again, other = town(), town(1)
    for part, same in zip(tile.surface, again.surface, strict=True):
        np.testing.assert_array_equal(part, same)
    np.testing.assert_array_equal(tile.textures[0], again.textures[0])
    assert len(other.surface.faces) != len(tile.surface.faces)


def test_light_changes_the_pictures_and_nothing_else(tile):
    dark = town(textures={"gsd": 0.3, "brightness": 1.5})
    np.testing.assert_array_equal(dark.surface.vertices, tile.surface.vertices)
    np.testing.assert_array_equal(dark.surface.coordinates, tile.surface.coordinates)
    assert abs(float(dark.textures[0].mean()) - float(tile.textures[0].mean())) > 10


def test_colours_of_classes_are_alike_unless_they_shall_not_be():
    assert set(_CONFUSABLE) == set(_DISTINCT)

    def spread(palette):
        """Between the mean colours of classes, over that within them."""
        made = town(textures={"gsd": 0.3, "palette": palette, "grain": 0, "brightness": 0, "tint": 0, "sun": 0})
        surface, page = made.surface, made.textures[0].astype(float)
        uv = surface.coordinates.mean(axis=1)
        at = ((1 - uv[:, 1]) * page.shape[0]).astype(int), (uv[:, 0] * page.shape[1]).astype(int)
        known = (surface.texture == 0) & (surface.labels > 0)
        seen, labels = page[at[0][known], at[1][known]], surface.labels[known]
        means = np.array([seen[labels == k].mean(axis=0) for k in range(1, 7)])
        within = np.mean([seen[labels == k].std(axis=0).mean() for k in range(1, 7)])
        return means.std(axis=0).mean() / within

    assert spread("distinct") > 1.3 * spread("confusable")


def test_ascii_file_has_the_header_of_sum_and_says_what_was_made(tile, tmp_path):
    path = write_town(tile, tmp_path, "Tile_+1984_+2692", "ascii", 90)
    assert path.name == "Tile_+1984_+2692_groundtruth_L1.ply"
    header, body = path.read_text().split("end_header\n")
    lines = header.splitlines()
    assert lines[:3] == ["ply", "format ascii 1.0", "comment TextureFile Tile_+1984_+2692_0.jpg"]
    assert "comment label 2 high vegetation" in lines
    properties = [line for line in lines if line.startswith("property")]
    assert properties == [
        "property double x",
        "property double y",
        "property double z",
        "property list uchar int vertex_indices",
        "property int label",
        "property uchar red",
        "property uchar green",
        "property uchar blue",
        "property list uchar float texcoord",
        "property int texnumber",
        "property int face_segment_id",
        "property float label_probabilities",
    ]
    vertices, faces = (int(re.search(rf"element {name} (\d+)", header).group(1)) for name in ("vertex", "face"))  # type: ignore[union-attr]
    rows = body.splitlines()
    assert len(rows) == vertices + faces
    np.testing.assert_allclose([float(x) for x in rows[7].split()], tile.surface.vertices[7], atol=1e-3)
    face = [float(x) for x in rows[vertices + 5].split()]
    assert face[:4] == [3, *tile.surface.faces[5]]
    assert face[4] == tile.surface.labels[5]
    assert tuple(face[5:8]) == COLOURS[tile.surface.labels[5]]
    assert face[8] == 6
    textured = tile.surface.texture[5] >= 0
    np.testing.assert_allclose(face[9:15], tile.surface.coordinates[5].ravel() * textured, atol=1e-6)
    assert face[15:] == [tile.surface.texture[5], tile.surface.segments[5], 1]
    picture = np.asarray(Image.open(tmp_path / "Tile_+1984_+2692_0.jpg"))
    assert np.abs(picture.astype(float) - tile.textures[0]).mean() < 8, "a JPEG of the page"


def test_binary_file_holds_the_same(tile, tmp_path):
    path = write_town(tile, tmp_path, "Tile", "binary", 90)
    content = path.read_bytes()
    assert b"format binary_little_endian 1.0" in content
    body = content.split(b"end_header\n", 1)[1]
    vertices = np.frombuffer(body, "<f8", 3 * len(tile.surface.vertices)).reshape(-1, 3)
    np.testing.assert_array_equal(vertices, tile.surface.vertices)
    row = 1 + 12 + 4 + 3 + 1 + 24 + 4 + 4 + 4
    assert len(body) == vertices.nbytes + row * len(tile.surface.faces)
    first = body[vertices.nbytes :]
    assert first[0] == 3
    assert np.frombuffer(first[1:17], "<i4").tolist() == [*tile.surface.faces[0], tile.surface.labels[0]]


def test_several_pages_where_one_is_full():
    made = town(textures={"gsd": 0.15, "page": 256})
    assert len(made.textures) > 1
    assert all(max(page.shape) <= 256 for page in made.textures)
    assert set(np.unique(made.surface.texture)) == {-1, *range(len(made.textures))}


def test_a_folder_is_whole_and_does_not_depend_on_processes(tmp_path):
    settings = TownSettings.parse({**SMALL, "edge": 20})
    one = simulate_towns(settings, 4, 1, 2, tmp_path / "one")
    two = simulate_towns(settings, 4, 1, 2, tmp_path / "two", processes=2)
    names = sorted(path.name for path in one.iterdir())
    assert f"{tile_name(4, 1)}_groundtruth_L1.ply" in names
    assert f"{tile_name(4, 2)}_0.jpg" in names
    assert names == sorted(path.name for path in two.iterdir())
    for name in names:
        if name != "provenance.json":
            assert (one / name).read_bytes() == (two / name).read_bytes()


def test_settings_name_what_is_wrong():
    with pytest.raises(ConfigError, match=r"edg.*edge"):
        TownSettings.parse({"edg": 3})
    with pytest.raises(ConfigError, match=r"water_share"):
        TownSettings.parse({"ground": {"water_share": [0.5, 0.2]}})
    with pytest.raises(ConfigError, match=r"textures.page"):
        TownSettings.parse({"edge": 400, "textures": {"gsd": 0.1}})
    with pytest.raises(ConfigError, match=r"roofs"):
        TownSettings.parse(
            {"buildings": {"roofs": dict.fromkeys(("flat", "gable", "hip", "pyramid", "dome", "shed"), 0)}}
        )


def test_things_that_are_not_wanted_are_not_there():
    empty = {
        "buildings": {"per_hectare": 0, "huts": 0},
        "plants": {"per_hectare": 0, "bushes": 0},
        "vehicles": {"cars": 0, "boats": 0, "heaps": 0},
        "ground": {"water": 0},
    }
    assert set(np.unique(town(**empty).surface.labels)) <= {NAMES.index("unclassified"), NAMES.index("terrain")}
