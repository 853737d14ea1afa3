"""Predictions of stacks as OME-TIFF: values, voxel size, names and provenance come back."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from stack_folders import SPACING, volumes, write_stack

from weft.errors import WeftError
from weft.io.convert import convert_file
from weft.io.products import EventId
from weft.io.provenance import collect
from weft.io.stack_export import export_stacks
from weft.io.stacks import StackSource
from weft.io.store import EventStore, StoreWriter
from weft.io.tiff import TiffStack
from weft.io.volume_products import INSTANCES, LABELS, OBJECTS, probabilities


def predicted(events: Path, target: Path) -> Path:
    """Made-up predictions of a store of stacks, other values for each event."""
    schemas = [LABELS, INSTANCES, OBJECTS, probabilities(("background", "nucleus"))]
    with EventStore.open(events) as store:
        parents = {"truth": store.content_hash}
        record = collect(config={"stage": 1}, inputs=parents, model={"path": "model.ckpt", "sha256": "ab"})
        with StoreWriter(target, schemas, record, parents) as writer:
            for row, event in enumerate(store.events):
                shape = store["image"][row].shape[1:]
                share = np.random.default_rng(row).random(shape, np.float32)
                objects = np.zeros(1, OBJECTS.dtype)
                objects["label"], objects["voxels"], objects["volume"] = 1, row + 5, np.nan if row else 0.1 + 0.2
                objects["mean_probability"] = 0.1
                made = {
                    "labels": (share > 0.5).astype(np.int16),
                    "instances": np.full(shape, 70000 + row, np.int32),
                    "probabilities": np.stack([1 - share, share]),
                    "objects": objects if row < 2 else objects[:0],
                }
                writer.append(EventId.of(event), made)
    return target


def converted(folder: Path, target: Path) -> Path:
    convert_file(folder, target)
    return target


def test_each_image_is_a_file_a_product(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    for seed, name in enumerate(("b", "a")):
        write_stack(folder, name, image=volumes(seed, (3, 6 + seed, 7))["image"])
    events = converted(folder, tmp_path / "events.h5")
    target = predicted(events, tmp_path / "predicted.h5")
    files = export_stacks(events, target, tmp_path / "out")
    assert [path.name for path in files] == [
        *(f"a_{name}.ome.tif" for name in ("instances", "labels", "probabilities")),
        *(f"b_{name}.ome.tif" for name in ("instances", "labels", "probabilities")),
        "objects.csv",
    ]
    with EventStore.open(target) as store, EventStore.open(events) as truth:
        names = truth["origin"].schema.codes["image"]
        for row in range(2):
            name = names[int(truth["origin"][row]["image"][0])]
            for product in ("labels", "instances", "probabilities"):
                with TiffStack(tmp_path / f"out/{name}_{product}.ome.tif") as tiff:
                    expected = np.asarray(store[product][row])
                    assert tiff.dtype == expected.dtype
                    np.testing.assert_array_equal(tiff.volume()[:].reshape(expected.shape), expected)
                    assert tiff.spacing == SPACING
                    assert tiff.channels == (("background", "nucleus") if product == "probabilities" else ())
                    record = tiff.record
                assert record["predictions"] == store.content_hash
                assert record["config"] == {"stage": 1}
                assert record["model"]["sha256"] == "ab"
                assert record["uids"] == [int(truth.events["uid"][row])]
                assert (record["image"], record["product"]) == (name, product)
                assert record.get("classes") == ({"0": "background", "1": "nucleus"} if product == "labels" else None)
                assert "created" not in record, "the same predictions give the same bytes"
    again = export_stacks(events, target, tmp_path / "again", ["labels"])
    assert [path.name for path in again] == ["a_labels.ome.tif", "b_labels.ome.tif"]
    assert again[0].read_bytes() == files[1].read_bytes()


def test_objects_of_all_images_are_one_table(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_stack(tmp_path / "images", name, image=volumes()["image"])
    events = converted(tmp_path / "images", tmp_path / "events.h5")
    export_stacks(events, predicted(events, tmp_path / "p.h5"), tmp_path, ["objects"])
    with (tmp_path / "objects.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["image"], row["time"], row["voxels"]) for row in rows] == [("a", "0", "5"), ("b", "0", "6")]
    assert [row["volume_um3"] for row in rows] == [repr(0.1 + 0.2), ""]
    assert rows[0]["mean_probability"] == "0.1", "float32 in its own digits"
    assert not list(tmp_path.glob("*.ome.tif"))


def test_a_time_lapse_is_one_file_again(tmp_path: Path) -> None:
    movie = np.stack([volumes(seed)["image"][None] for seed in range(4)])
    write_stack(tmp_path / "images", "movie", image=movie)
    events = converted(tmp_path / "images", tmp_path / "events.h5")
    target = predicted(events, tmp_path / "p.h5")
    export_stacks(events, target, tmp_path / "out")
    with EventStore.open(target) as store, TiffStack(tmp_path / "out/movie_probabilities.ome.tif") as tiff:
        assert (tiff.axes, tiff.shape) == ("TCZYX", (4, 2, 3, 6, 7))
        assert tiff.record["times"] == [0, 1, 2, 3]
        for time in range(4):
            np.testing.assert_array_equal(tiff.volume(time)[:], np.asarray(store["probabilities"][time]))
    with TiffStack(tmp_path / "out/movie_labels.ome.tif") as tiff:
        assert tiff.axes == "TZYX"
    # Files of ours are images to others, and to a conversion: their record does not make event numbers of theirs.
    assert StackSource(tmp_path / "out/movie_labels.ome.tif").numbers() is None


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    write_stack(folder, "a", image=volumes()["image"])
    events = converted(folder, tmp_path / "events.h5")
    target = predicted(events, tmp_path / "p.h5")
    with pytest.raises(WeftError, match="no product 'label' to write; there are instances, labels, objects, prob"):
        export_stacks(events, target, tmp_path, ["label"])
    with pytest.raises(WeftError, match=r"events\.h5: no prediction of stacks, .* it holds image, origin, spacing"):
        export_stacks(events, events, tmp_path)
    write_stack(folder, "b", image=volumes(1)["image"])
    other = converted(folder, tmp_path / "other.h5")
    with pytest.raises(WeftError, match=r"p\.h5"):
        export_stacks(other, target, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_events_without_names_are_called_by_their_numbers(tmp_path: Path) -> None:
    from weft.io.volume_products import SPACING as SPACING_TABLE
    from weft.io.volume_products import image, spacing_row

    events = tmp_path / "events.h5"
    with StoreWriter(events, [image("u1"), SPACING_TABLE]) as writer:
        for number in (3, 4):
            made = {"image": np.zeros((1, 2, 3, 4), np.uint8), "spacing": spacing_row(*[np.nan] * 3)}
            writer.append(EventId(1, 2, number, number), made)
    export_stacks(events, predicted(events, tmp_path / "p.h5"), tmp_path / "out", ["labels"])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"1_2_3_labels.ome.tif", "1_2_4_labels.ome.tif"}
    with TiffStack(tmp_path / "out/1_2_3_labels.ome.tif") as tiff:
        assert np.isnan(tiff.spacing).all()
        assert json.dumps(tiff.record)
