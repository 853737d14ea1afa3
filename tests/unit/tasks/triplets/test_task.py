"""The stage makes what `weft triplets` makes; its masks, scores and figures."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from weft import tasks
from weft.config.detector import load_detector
from weft.config.loading import ConfigError
from weft.engine.deploy import deploy
from weft.engine.fixed import settle
from weft.errors import WeftError
from weft.io.convert import convert_file
from weft.io.products import EventId
from weft.io.root_planes import Pixels, PlaneMeta, write_images, write_status
from weft.io.root_write import RootWriter
from weft.io.store import EventStore
from weft.io.writer import StoreWriter
from weft.metrics.scores import concat
from weft.reco.feed import FedStore
from weft.simulation.produce import simulate_file
from weft.simulation.settings import SimulationSettings
from weft.tasks.triplets.figures import figures
from weft.triplets.options import TripletOptions
from weft.triplets.produce import write_triplets

TOY = Path(__file__).resolve().parents[4] / "config/detectors/toy.yaml"
META = ("rows", "cols", "min_y", "max_y", "min_x", "max_x")
MADE = ("pixels", "dead_wires", "triplets", "triplet_rows")


def stage(**model):
    return tasks.build("triplets", {"model": {"detector": str(TOY), **model}})


def deployed(task, events, output):
    folder = output.with_suffix("")
    settle(task, folder, {}, 0)
    deploy(task, folder / "model.ckpt", {"truth": events}, output, {})
    return output


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    """Three simulated events: a store with truth and a mask of half of plane 0."""
    folder = tmp_path_factory.mktemp("wires")
    settings = SimulationSettings.parse({"box": {"voxels": 64}, "wires": {"detector": str(TOY)}})
    simulate_file(settings, 5, 0, 3, folder / "a.root")
    convert_file(folder / "a.root", folder / "plain.h5")
    with EventStore.open(folder / "plain.h5") as store:
        images = store.products["image2d_wire"]
        names = [*store.products]
        schemas = [*store.products.values(), dataclasses.replace(images, name="image2d_tagged")]
        with StoreWriter(folder / "a.h5", schemas) as writer:
            for i, event in enumerate(store.events):
                read = {name: store[name][i] for name in names}
                read["image2d_wire"] = np.asarray(read["image2d_wire"])
                tagged = np.zeros_like(read["image2d_wire"])
                tagged[0, :, 175:] = 0.5
                number = EventId(*(int(event[name]) for name in EventId._fields))
                writer.append(number, read | {"image2d_tagged": tagged})
    return folder / "a.h5"


def test_the_stage_and_the_verb_make_the_same(events, tmp_path):
    for mask in (None, "image2d_tagged"):
        deployed(stage(mask=mask), events, tmp_path / f"stage-{mask}.h5")
        write_triplets(events, tmp_path / f"verb-{mask}.h5", load_detector(TOY), TripletOptions(), mask=mask)
        with (
            EventStore.open(tmp_path / f"stage-{mask}.h5") as one,
            EventStore.open(tmp_path / f"verb-{mask}.h5") as two,
        ):
            assert sorted(one.products) == sorted(MADE)
            for name in MADE:
                assert [one[name][i].tolist() for i in range(3)] == [two[name][i].tolist() for i in range(3)]
            assert sum(len(one["triplets"][i]) for i in range(3)) > 100


def test_a_mask_takes_pixels_and_leaves_wires_alive(events, tmp_path):
    whole = deployed(stage(), events, tmp_path / "a.h5")
    masked = deployed(stage(mask="image2d_tagged"), events, tmp_path / "b.h5")
    with EventStore.open(whole) as one, EventStore.open(masked) as two:
        for i in range(3):
            before, after = one["pixels"][i], two["pixels"][i]
            live = before[(before["dead"] == 0) & ((before["plane"] != 0) | (before["wire"] < 175))]
            assert np.array_equal(after[after["dead"] == 0], live)
            assert np.array_equal(one["dead_wires"][i], two["dead_wires"][i])
        assert sum(len(two["triplets"][i]) for i in range(3)) < sum(len(one["triplets"][i]) for i in range(3))


def test_gaps_are_seen_before_the_mask(events, tmp_path):
    """A wire whose charge is all masked works; a gap rule that saw the masked image would call it dead."""
    text = TOY.read_text().replace("gaps: {longest: 0}", "gaps: {longest: 400, empty_below: 1}")
    assert text != TOY.read_text()
    (tmp_path / "gaps.yaml").write_text(text)
    masked = stage(detector=str(tmp_path / "gaps.yaml"), mask="image2d_tagged")
    plain = stage(detector=str(tmp_path / "gaps.yaml"))
    whole, without = deployed(plain, events, tmp_path / "a.h5"), deployed(masked, events, tmp_path / "b.h5")
    with EventStore.open(whole) as one, EventStore.open(without) as two:
        for i in range(3):
            assert np.array_equal(one["dead_wires"][i], two["dead_wires"][i])
            assert len(one["dead_wires"][i]) > 300


def test_masks_that_cannot_be(events, tmp_path):
    with pytest.raises(WeftError, match=r"a\.h5: no product 'image2d_tags'; it has: "):
        deployed(stage(mask="image2d_tags"), events, tmp_path / "b.h5")
    with pytest.raises(WeftError, match="no product image2d_tags for the mask; it has: "):
        write_triplets(events, tmp_path / "b.h5", load_detector(TOY), TripletOptions(), mask="image2d_tags")
    with pytest.raises(WeftError, match=r"event 0: mask chstatus_wire has the shape \(\d+,\), the images image2d_wire"):
        deployed(stage(mask="chstatus_wire"), events, tmp_path / "b.h5")
    assert not (tmp_path / "b.h5").exists()


def test_options():
    with pytest.raises(ConfigError, match=r"model\.detector"):
        tasks.build("triplets", {"model": {"threshold": 5}})
    # The rule of a workflow sees the detector, not its name.
    options = stage(threshold=5).options.model_dump(mode="json")["model"]
    assert options["threshold"] == 5
    assert options["detector"]["tpcs"][0]["planes"][0]["wires"] == 351
    assert tasks.build("triplets", {"model": options}).options == stage(threshold=5).options


@pytest.fixture(scope="module")
def scores(events, tmp_path_factory):
    output = deployed(stage(), events, tmp_path_factory.mktemp("scores") / "a.h5")
    with EventStore.open({"truth": events, "prediction": output}) as store:
        return stage().score(FedStore(store), "test", "0000")


def test_what_must_hold_of_simulated_events(scores):
    values = stage().summary(scores.events)
    assert values["efficiency_live"] == 1
    assert values["efficiency_one_dead"] == 1
    assert values["efficiency"] + values["lost_dead"] + values["lost_below"] == pytest.approx(1)
    assert 0 < values["ghost_share_live"] < values["ghost_share"] < values["ghost_share_dead"] < 1
    assert 0.5 < values["energy_efficiency"] < 1
    assert values["dropped"] == values["capped_rows"] == 0
    found, events = [f"found_{s}" for s in ("live", "one_dead", "below", "more_dead")], scores.events
    # A candidate is good exactly if it is a true cell.
    assert (events[found].sum(axis=1) == events["n_good"]).all()
    curve = scores.curves[["n_rows", "n_pixels", "n_triplets", "n_good"]].sum()
    assert curve.tolist() == [events[name].sum() for name in ("n_rows", "n_pixels", "n_triplets", "n_good")]
    energy = [f"energy_{s}" for s in ("live", "one_dead", "below", "more_dead")]
    assert scores.objects["energy"].sum() == pytest.approx(events[energy].to_numpy().sum())
    for table in scores:
        assert set(table.attrs["columns"]) == set(table.columns)


def test_a_file_that_is_backward_in_time(events, tmp_path):
    """A reversed copy of the simulated images gives the same products, once it is said to be one."""
    with EventStore.open(events) as store, RootWriter(tmp_path / "a.root", {"weft_provenance": {}}) as writer:
        metas = [PlaneMeta(*(m[name].item() for name in META)) for m in store["image2d_wire_meta"][0]]
        number = {f"_{name}": store.events[name].astype(np.uint64) for name in ("run", "subrun", "event")}
        reversed_images = []
        for i in range(len(store)):
            image = np.asarray(store["image2d_wire"][i])
            plane, row, col = np.nonzero(image)
            reversed_images.append(Pixels(plane, metas[0].rows - 1 - row, col, image[plane, row, col]))
        write_images(writer, "image2d_wire_tree", number, metas, reversed_images)
        status = store["chstatus_wire"][0]
        planes = [status["status"][status["plane"] == p] for p in range(3)]
        write_status(writer, "chstatus_wire_tree", number, planes)
    convert_file(tmp_path / "a.root", tmp_path / "turned.h5", tick_backward=True)
    convert_file(tmp_path / "a.root", tmp_path / "as_it_is.h5")
    made = [deployed(stage(), events, tmp_path / "1.h5"), deployed(stage(), tmp_path / "turned.h5", tmp_path / "2.h5")]
    other = deployed(stage(), tmp_path / "as_it_is.h5", tmp_path / "3.h5")
    with EventStore.open(made[0]) as one, EventStore.open(made[1]) as two, EventStore.open(other) as three:
        for i in range(3):
            assert all(np.array_equal(one[name][i], two[name][i]) for name in MADE)
            assert not np.array_equal(one["pixels"][i], three["pixels"][i])


def test_a_file_that_seems_to_be_backward_is_said_to_be(events, tmp_path):
    with EventStore.open(events) as store, StoreWriter(tmp_path / "a.h5", store.products.values()) as writer:
        read = {name: store[name][0] for name in store.products}
        for name in ("image2d_wire", "image2d_tagged"):
            read[name] = np.asarray(read[name])
        read["image2d_wire_meta"] = read["image2d_wire_meta"].copy()
        read["image2d_wire_meta"]["min_y"] += 1632
        read["image2d_wire_meta"]["max_y"] += 1632
        writer.append(EventId(1, 1, 1, 1), read)
    with pytest.raises(WeftError, match=r"toy has 272 of 0 to 1632; if the file is backward in time, conv"):
        deployed(stage(), tmp_path / "a.h5", tmp_path / "b.h5")


def test_a_cap_is_scored(events, tmp_path):
    output = deployed(stage(max_per_row=3), events, tmp_path / "a.h5")
    with EventStore.open({"truth": events, "prediction": output}) as store:
        values = stage().summary(stage().score(FedStore(store), "test", "0000").events)
    assert 0 < values["capped_rows"] < 1
    assert 0 < values["dropped"] < 1
    assert values["efficiency_live"] < 1


def test_figures(scores):
    shifted = type(scores)(*(table.assign(split="test_noise") for table in scores))
    both = concat([scores, shifted])
    made = {figure.key: figure for figure in figures({"seed0": both}, "test")}
    assert list(made) == ["overall", "states", "occupancy", "energy", "per-event", "shifts"]
    assert made["shifts"].table["split"].tolist() == ["test", "test_noise"]
    assert made["states"].table["true cells"].sum() == scores.events.filter(like="cells_").to_numpy().sum()
    assert "no baseline" in made["overall"].caption


def test_figures_of_empty_events(scores):
    empty = type(scores)(scores.events.iloc[:1], scores.objects.iloc[:0], scores.curves.iloc[:0])
    zero = empty.events.copy()
    numbers = zero.columns[6:]
    zero[numbers] = zero[numbers] * 0
    made = figures({"seed0": empty._replace(events=zero)}, "test")
    assert [figure.key for figure in made] == ["overall", "states", "occupancy", "per-event"]
    assert made[0].table["share, or number"].tolist()[0] == "–"


def test_without_truth(events, tmp_path):
    output = deployed(stage(), events, tmp_path / "a.h5")
    with EventStore.open(output) as store, pytest.raises(WeftError, match="shard 0000: no product wire_deposits"):
        stage().score(FedStore(store), "test", "0000")
