"""From a mesh to batches: every face is seen, and what is said of a face is of that face."""

from typing import Any

import numpy as np
import pytest
from made_meshes import CLASSES, plain

from weft import tasks
from weft.engine.randomness import view_generator
from weft.engine.task import Batch, Sample
from weft.errors import WeftError
from weft.meshes.augment import rotation
from weft.meshes.features import face_features, feature_names
from weft.meshes.samples import covering
from weft.tasks.mesh_segmentation.batch import MeshBatch, of_samples
from weft.tasks.mesh_segmentation.clustered import Clustered
from weft.tasks.mesh_segmentation.inference import prediction_parts
from weft.tasks.mesh_segmentation.sampling import fixed_sample
from weft.tasks.mesh_segmentation.task import MeshSegmentation
from weft.tasks.mesh_segmentation.tile import read_tile

TEXTURE = {"texture": {"width": 8}}


def task(model: dict[str, Any] | None = None, **data: Any) -> MeshSegmentation:
    small = {"classes": CLASSES, "clusters": {"faces": 16, "per_sample": 4}, "pixels": 4, "augment": None}
    built = tasks.build("mesh_segmentation", {"model": model or {}, "data": small | data})
    assert isinstance(built, MeshSegmentation)
    return built


def drawn(built: MeshSegmentation, event: dict[str, Any], number: int = 0, seed: int = 0) -> Sample:
    picked = built.pick(seed, number, 1)
    assert picked is not None
    return built.draw(built.sample(event, (0, picked[0]), labels=True), picked[1])  # type: ignore[arg-type]


def clustered(event: dict[str, Any], built: MeshSegmentation) -> Clustered:
    data, texture = built.options.data, built.options.model.texture
    tile = read_tile(
        event,  # type: ignore[arg-type]
        surface=data.features.surface,
        texture=None if texture is None else texture.positions,
        classes=data.classes,
    )
    return Clustered.of(tile, data.clusters)


def test_a_pass_of_training_has_every_face() -> None:
    """Defect 11 of the original: clusters that did not fill a batch were never used."""
    event, built = plain(), task()
    faces: set[int] = set()
    number = 0
    while len(faces) < len(event["faces"]):
        assert number < 200
        faces |= set(drawn(built, event, number).arrays["face"].tolist())
        number += 1
    mesh = clustered(event, built)
    passed = [mesh.sample(turn, 4) for turn in range(number)]
    assert len(set(np.concatenate(passed).tolist())) == len(mesh.centres)
    assert len(mesh.sample(5000, 4)) == 4  # it goes on


def test_samples_come_again_so_that_a_late_one_costs_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[np.ndarray] = []

    def counted(samples: np.ndarray, seed: int) -> np.ndarray:
        passes.append(covering(samples, seed))
        return passes[-1]

    monkeypatch.setattr("weft.tasks.mesh_segmentation.clustered.covering", counted)
    read = [clustered(plain(size=20), task()) for _ in range(2)]
    early = [read[0].sample(turn, 4).tolist() for turn in range(1000)]
    once = len(passes)
    late = read[1].sample(10**12, 4).tolist()
    assert len(passes) == 2 * once
    again = sum(map(len, passes[:once]))
    assert again > len(read[0].centres)
    assert late == early[10**12 % again]
    assert [early[0], early[1]] == [read[0].sample(again + turn, 4).tolist() for turn in (0, 1)]
    assert len({tuple(sample) for sample in early}) > 0.9 * len(read[0].centres)


def test_a_mesh_smaller_than_a_sample_is_one() -> None:
    made = drawn(task(clusters={"faces": 64, "per_sample": 50, "recluster": False}), event := plain(size=3, boxes=0))
    assert sorted(made.arrays["face"].tolist()) == list(range(len(event["faces"])))


def test_samples_are_compact() -> None:
    """A sample reaches over a small part of the mesh, not over all of it as a random one would."""
    event = plain(size=20, boxes=0)
    for number in range(10):
        middles = drawn(task(), event, number).arrays["centroids"]
        assert np.ptp(middles, axis=0).max() < 30 < np.ptp(event["vertices"], axis=0)[:2].max()


@pytest.mark.parametrize("recluster", [True, False])
def test_clusters_have_no_more_faces_than_asked_for(recluster: bool) -> None:
    built, event = task(clusters={"faces": 16, "per_sample": 4, "recluster": recluster}), plain()
    for number in range(5):
        clusters = drawn(built, event, number).arrays["cluster"]
        counts = np.bincount(clusters)
        assert counts.min() >= 1
        assert counts.max() <= 16


def test_a_sample_depends_on_seed_and_number_alone() -> None:
    built, event = task(TEXTURE, augment={}), plain()
    once, again, other = drawn(built, event, 3), drawn(task(TEXTURE, augment={}), event, 3), drawn(built, event, 4)
    for name, array in once.arrays.items():
        np.testing.assert_array_equal(array, again.arrays[name])
    assert not np.array_equal(once.arrays["geometry"], other.arrays["geometry"])


class Sourced(dict[str, Any]):
    source = ("file", 0)


def test_a_mesh_is_read_once_where_there_is_room() -> None:
    reads: list[str] = []

    class Counted(Sourced):
        def __getitem__(self, name: str) -> Any:
            reads.append(name)
            return super().__getitem__(name)

    event = Counted(plain())
    built = task(TEXTURE)
    samples = [drawn(built, event, number) for number in (0, 1)]
    assert reads.count("face_pixels") == 1
    forgetful = [drawn(task(TEXTURE, held=0), event, number) for number in (0, 1)]
    assert reads.count("face_pixels") == 3
    for held, read in zip(samples, forgetful, strict=True):
        np.testing.assert_array_equal(held.arrays["pixels"], read.arrays["pixels"])


def test_labels_pixels_and_features_belong_to_their_face() -> None:
    """Defects 7 and 8 of the original: clusters and pixels of other faces."""
    event, built = plain(textured=0.8), task(TEXTURE, clusters={"faces": 16, "per_sample": 4, "recluster": False})
    mesh = clustered(event, built)
    features, surface = built.options.data.features, event["face_surface"]
    whole = face_features(event["vertices"], event["faces"], surface, features, clusters=mesh.clusters)
    for number in range(6):
        arrays = drawn(built, event, number).arrays
        rows = arrays["face"]
        np.testing.assert_array_equal(arrays["labels"], event["truth/face_labels"][rows, 0])
        np.testing.assert_allclose(arrays["geometry"], whole[rows], atol=1e-5)
        pixels = event["face_pixels"]
        np.testing.assert_array_equal(arrays["textured"], np.flatnonzero(pixels.counts[rows] > 0))
        start = 0
        for k, n in zip(arrays["textured"], arrays["pixel_counts"], strict=True):
            own = pixels[rows[k]]
            assert n == min(4, len(own))
            mine = {tuple(colour) for colour in np.stack([own[c] for c in "rgb"], 1).tolist()}
            assert {tuple(colour) for colour in arrays["pixels"][start : start + n].tolist()} <= mine
            start += n


def test_a_batch_puts_every_face_where_its_cluster_is() -> None:
    event, built = plain(textured=0.5), task(TEXTURE)
    samples = [drawn(built, event, number) for number in range(3)]
    made = built.collate(samples)
    assert isinstance(made, MeshBatch)
    assert made.real is not None
    assert made.face is not None
    assert made.geometry is not None
    assert made.textured is not None
    assert made.pixels is not None
    assert made.real_pixels is not None
    labels = made.targets["labels"]
    assert labels.shape == made.real.shape == made.geometry.shape[:3]
    assert (labels[~made.real] == -1).all()
    assert (made.face[~made.real] == -1).all()
    assert (made.geometry[~made.real] == 0).all()
    first = 0
    for b, sample in enumerate(samples):
        arrays = sample.arrays
        assert int(made.real[b].sum()) == len(arrays["face"])
        for n in range(made.real.shape[1]):
            own = arrays["cluster"] == n
            assert made.face[b, n][made.real[b, n]].tolist() == arrays["face"][own].tolist()
            np.testing.assert_array_equal(made.geometry[b, n][made.real[b, n]], arrays["geometry"][own])
        rows = made.textured[first : first + len(arrays["textured"])]
        assert made.face.view(-1)[rows].tolist() == arrays["face"][arrays["textured"]].tolist()
        shown = made.pixels[first : first + len(rows)][made.real_pixels[first : first + len(rows)]]
        np.testing.assert_array_equal(shown, arrays["pixels"])
        first += len(rows)
    assert first == len(made.textured)


@pytest.mark.parametrize("positions", ["cluster", "bbox", "mesh"])
def test_features_follow_the_turn_of_the_mesh(positions: str) -> None:
    """Turning, then extracting, is what a training sample has: its normals are those of the mesh, turned."""
    features = {"positions": positions, "normals": True, "surface": True}
    asked = {"rotate": 90.0, "scale": None, "mirror": [], "colour": None, "texture_drop": 0.0}
    fixed = {"clusters": {"faces": 16, "per_sample": 4, "recluster": False}, "features": features}
    event = plain()
    plainly, turned = task(**fixed), task(**fixed, augment=asked)
    a, b = drawn(plainly, event).arrays, drawn(turned, event).arrays
    np.testing.assert_array_equal(a["face"], b["face"])
    names = feature_names(turned.options.data.features)
    normals = [[names.index(f"normal_{axis}") for axis in "xyz"]]
    own, other = a["geometry"][:, *normals], b["geometry"][:, *normals]
    k = np.hypot(own[:, 0], own[:, 1]).argmax()
    angle = np.arctan2(other[k, 1], other[k, 0]) - np.arctan2(own[k, 1], own[k, 0])
    about = rotation(np.array([0.0, 0.0, 1.0]), angle)
    np.testing.assert_allclose(other, own @ about.T, atol=1e-5)
    assert abs(np.degrees((angle + np.pi) % (2 * np.pi) - np.pi)) <= 90
    if positions == "cluster":
        np.testing.assert_allclose(
            b["geometry"][:, :9].reshape(-1, 3), a["geometry"][:, :9].reshape(-1, 3) @ about.T, atol=1e-4
        )
    if positions == "bbox":
        assert -1e-6 <= b["geometry"][:, :9].min() <= b["geometry"][:, :9].max() <= 1 + 1e-6
    same = [k for k, name in enumerate(names) if name.startswith("angle") or name in ("slope", "height", "area")]
    np.testing.assert_allclose(b["geometry"][:, same], a["geometry"][:, same], atol=1e-4)


def test_mirrored_meshes_keep_normals_outwards_and_pixels_in_place() -> None:
    """A pixel at a corner of a face stays there: its weights are swapped with the corners."""
    asked = {"rotate": 0.0, "scale": None, "mirror": ["x"], "colour": None, "texture_drop": 0.0}
    fixed = {"clusters": {"faces": 16, "per_sample": 4, "recluster": False}, "features": {"surface": True}}
    model = {"texture": {"width": 8, "positions": "bary"}}
    event = plain()
    up = feature_names(task(**fixed).options.data.features).index("normal_z")
    seen = set()
    for number in range(8):
        a = drawn(task(model, **fixed, pixels=100), event, number).arrays
        b = drawn(task(model, **fixed, pixels=100, augment=asked), event, number).arrays
        np.testing.assert_allclose(a["geometry"][:, up], b["geometry"][:, up], atol=1e-5)
        mirrored = not np.allclose(a["centroids"], b["centroids"], atol=1e-3)
        seen.add(mirrored)
        corners_a, corners_b = (arrays["geometry"][:, :9].reshape(-1, 3, 3) for arrays in (a, b))
        owner = np.repeat(a["textured"], a["pixel_counts"])
        at_a, at_b = (
            corners[owner, 0] + np.einsum("nk,nkd->nd", arrays["places"], corners[owner, 1:] - corners[owner, :1])
            for corners, arrays in ((corners_a, a), (corners_b, b))
        )
        np.testing.assert_allclose(at_b, at_a * [-1 if mirrored else 1, 1, 1], atol=1e-3)
    assert seen == {True, False}


def test_augmentation_drops_faces_clusters_and_textures() -> None:
    event, still = plain(), {"rotate": 0.0, "scale": None, "mirror": [], "colour": None, "texture_drop": 0.0}
    whole = drawn(task(TEXTURE), event).arrays
    for option, share in (("face_drop", 0.4), ("cluster_drop", 0.5), ("texture_drop", 0.4)):
        less = drawn(task(TEXTURE, augment=still | {option: share}), event).arrays
        name = "textured" if option == "texture_drop" else "face"
        assert 0 < len(less[name]) < 0.85 * len(whole[name])
        assert set(less["face"].tolist()) <= set(whole["face"].tolist())
    jittered = drawn(task(TEXTURE, augment=still | {"colour": {}}), event).arrays
    assert jittered["pixels"].dtype == np.uint8
    assert not np.array_equal(jittered["pixels"], whole["pixels"])


def test_uv_places_are_in_the_texture() -> None:
    event = plain()
    built = task({"texture": {"width": 8, "positions": "uv"}}, pixels=100)
    arrays = drawn(built, event).arrays
    owner = arrays["face"][np.repeat(arrays["textured"], arrays["pixel_counts"])]
    values = np.concatenate([event["face_pixels"][face] for face in arrays["face"]])
    uv = event["texcoords"][owner].reshape(-1, 3, 2)
    weights = np.stack([1 - values["w1"] - values["w2"], values["w1"], values["w2"]], 1).astype(np.float64)
    np.testing.assert_allclose(arrays["places"], (weights[..., None] * uv).sum(1), atol=2e-3)


def test_parts_of_a_prediction_have_every_face_in_one_core() -> None:
    built = task(inference={"context": 2, "clusters": 6})
    event = plain(size=20)
    mesh = clustered(event, built)
    parts = prediction_parts(mesh.centres, 6, 2)
    assert sorted(np.concatenate([mesh.rows(part.core) for part in parts]).tolist()) == list(range(len(event["faces"])))
    one = parts[0]
    sample = fixed_sample(mesh, np.concatenate([one.core, one.context]), built.options.data, "none")
    assert len(one.context) == 2
    again = fixed_sample(mesh, np.concatenate([one.core, one.context]), built.options.data, "none")
    np.testing.assert_array_equal(sample["geometry"], again["geometry"])


def test_labels_of_other_classes_are_named() -> None:
    event = plain() | {"truth/face_labels": np.full((len(plain()["faces"]), 1), 7, np.int16)}
    with pytest.raises(WeftError, match=r"class 7, expected -1 to 2: data.classes has 3"):
        drawn(task(), event)

    class Coded(dict[str, Any]):
        def codes(self, product: str) -> dict[str, dict[int, str]]:
            return {"class": {0: "ground", 1: "wall", 2: "roof"}}

    with pytest.raises(WeftError, match="ground, roof, wall; the labels of the meshes are of ground, wall, roof"):
        drawn(task(), Coded(plain()))


def test_views_of_a_mesh_are_refused() -> None:
    built = task()
    with pytest.raises(WeftError, match=r"data.inference.shifted"):
        built.draw(built.sample(plain(), (0, 0), labels=False), view_generator(1, 1))  # type: ignore[arg-type]


def test_turns_draw_several_samples_of_a_mesh_in_a_row() -> None:
    picks = [task(turns=3).pick(5, number, 4) for number in range(24)]
    meshes = [picked[0] for picked in picks if picked is not None]
    assert all(len(set(meshes[k : k + 3])) == 1 for k in range(0, 24, 3))
    assert sorted(meshes[::3][:4]) == [0, 1, 2, 3]


def test_an_empty_mesh_is_a_sample_without_faces() -> None:
    event = plain()
    empty = {
        "vertices": event["vertices"][:0],
        "faces": event["faces"][:0],
        "face_surface": event["face_surface"][:0],
        "truth/face_labels": event["truth/face_labels"][:0],
    }
    made: Batch = of_samples([drawn(task(), empty)])
    assert isinstance(made, MeshBatch)
    assert made.real is not None
    assert not made.real.any()
