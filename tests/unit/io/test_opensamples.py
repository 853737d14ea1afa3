"""OpenSamples: images, particles and what is known of pixels, from files written as HDF5Maker writes them.

No file of MicroBooNE's was at hand: what is tested is the layout that its maker and its description state.
"""

import h5py
import numpy as np
import pytest
from opensamples_files import MICROBOONE, SHIFT, TPC, Charge, Event, Neutrino, Particle, write_opensamples

from weft.errors import WeftError
from weft.io.check import check
from weft.io.convert import convert_file, recognise
from weft.io.inspect import describe
from weft.io.store import EventStore
from weft.triplets.images import pixels_of

MUON, PROTON = Particle(1, 13, 1, instance=0), Particle(4, 2212, 3, instance=1)


def converted(tmp_path, events, **options):
    source = write_opensamples(tmp_path / "events.h5", events, **options)
    done = convert_file(source, tmp_path / "store.h5")
    assert done.kind == "opensamples"
    assert check(tmp_path / "store.h5") == []
    return done, EventStore.open(tmp_path / "store.h5")


def simple():
    """A muon and a proton side by side, and a cosmic ray far away."""
    charges = [Charge((100, 0, 500), ((1, 2.0),)), Charge((100, 5, 505), ((4, 3.0),)), Charge((60, -30, 300))]
    return Event(charges, [MUON, PROTON])


@pytest.mark.parametrize("counts", [True, False])
def test_an_image_is_the_sum_of_six_ticks(tmp_path, counts):
    rng = np.random.default_rng(0)
    waves = {(0, 7): rng.normal(size=6400), (2, 3455): rng.normal(size=6400), (1, 2399): np.arange(6400) % 7}
    other = Event(waves={(2, 0): np.ones(6400)}, ids=(7000, 1, 5))
    done, store = converted(tmp_path, [Event(waves=waves), other], counts=counts)
    with store:
        assert store.events[["run", "subrun", "event"]].tolist() == [(7000, 1, 1), (7000, 1, 5)]
        image = store["image2d_wire"][0][:]
        assert image.shape == (3, 1008, 3456)
        assert image.dtype == np.float32
        for (plane, wire), wave in waves.items():
            by_hand = wave[:6048].astype(np.float32).astype(float).reshape(1008, 6).sum(axis=1)
            assert np.allclose(image[plane, :, wire], by_hand, atol=1e-5)
            image[plane, :, wire] = 0
        assert not image.any()
        second = store["image2d_wire"][1][:]
        assert (second[2, :, 0] == 6).all()
        assert second.sum() == 6 * 1008
        meta = store["image2d_wire_meta"][0]
        assert meta["rows"].tolist() == [1008] * 3
        assert meta["cols"].tolist() == [3456] * 3
        assert meta["min_y"].tolist() == [2400] * 3
        assert meta["max_y"].tolist() == [2400 + 6048] * 3
        assert "chstatus_wire" not in store
    assert done.notes["channel status"] == "not in these files"


def test_pixels_are_where_the_charge_is(tmp_path):
    _, store = converted(tmp_path, [simple()])
    with store:
        pixels = pixels_of(MICROBOONE, store["image2d_wire"][0][:], 10)
        for charge in simple().charges:
            wires, row = TPC.wires(np.array([charge.position]))[0], TPC.rows(np.array([charge.position[0]]))[0]
            for plane in range(3):
                mine = pixels[(pixels["plane"] == plane) & (pixels["wire"] == wires[plane])]
                assert mine["row"][np.argmax(mine["charge"])] == row
                assert mine["charge"].sum() == pytest.approx(300, rel=0.05)
        hits = store["hits"][0]
        assert hits["tick"][0] == pytest.approx(TPC.tick(100.0))
        assert len(hits) == 9


def test_what_made_a_pixel(tmp_path):
    both = Charge((100, 0, 500), ((1, 2.0), (-4, 1.0)))
    on_top = Charge((60, -30, 300), ((1, 2.5),)), Charge((60.4, -30, 300))  # of a particle, and one row on a cosmic ray
    far = Charge((60, 50, 320))
    _, store = converted(tmp_path, [Event([both, *on_top, far], [MUON, PROTON])])
    with store:
        truth, particles = store["pixel_truth"][0], store["particles"][0]
        wires = TPC.wires(np.array([both.position]))[0]
        row = int(TPC.rows(np.array([100.0]))[0])
        for plane in range(3):
            mine = truth[(truth["plane"] == plane) & (truth["wire"] == wires[plane])]
            # 3 widths are 9 ticks: at most 3 rows and a bit, whose shares of both particles add up to all
            assert set(mine["row"]) <= {row - 2, row - 1, row, row + 1, row + 2}
            assert len(mine) == 2 * len(set(mine["row"]))
            for whose, energy in ((0, 2.0), (1, 1.0)):
                assert mine["energy"][mine["particle"] == whose].sum() == pytest.approx(energy, rel=1e-5)
            assert (mine["known"] == 1).all()
            assert (mine["class"] == 1).all()
        mixed = truth[(truth["wire"] == TPC.wires(np.array([(60, -30, 300)]))[0][2]) & (truth["plane"] == 2)]
        reached = TPC.readout.row_of(TPC.tick(60.4)) - 1.5  # of the cosmic ray, 9 ticks to either side
        assert mixed["known"].tolist() == [int(r + 1 <= reached) for r in mixed["row"]]
        assert {0, 1} == set(mixed["known"].tolist())
        assert not (truth["wire"] == TPC.wires(np.array([(60, 50, 320)]))[0][0])[truth["plane"] == 0].any()
        assert particles["energy_deposit"].tolist() == pytest.approx([4.5, 1.0])
        order = np.argsort(truth[["plane", "row", "wire", "particle"]], kind="stable")
        assert (order == np.arange(len(truth))).all()


@pytest.mark.parametrize(("energy", "known"), [(0.01, 0), (1.2, 0), (1.3, 1), (2.5, 1)])
def test_a_hit_is_known_where_the_simulation_explains_its_charge(tmp_path, energy, known):
    """Half of 300 ADC at 120 ADC/MeV is 1.25 MeV; two particles may share it."""
    shared = ((1, energy / 2), (4, energy / 2))
    _, store = converted(tmp_path, [Event([Charge((100, 0, 500), shared)], [MUON, PROTON])])
    with store:
        truth = store["pixel_truth"][0]
        assert len(truth) > 6
        assert (truth["known"] == known).all()
        assert truth["energy"][truth["plane"] == 2].sum() == pytest.approx(energy, rel=1e-5)


def test_particles_as_far_as_known(tmp_path):
    particles = [
        MUON,
        Particle(9, 11, 5, parent=1, instance=2, processes=("Decay", "eIoni")),  # a Michel electron
        Particle(7, 22, 8, instance=3, start=(100, 0, 500), end=(130, 2, 520), processes=("primary", "conv")),
        Particle(12, 11, 8, parent=7, instance=3, start=(130, 2, 520), end=(131, 2, 520)),
        Particle(13, 11, 1, parent=1, instance=0, processes=("muIoni", "eIoni")),  # a slow delta ray
        Particle(20, 2112, 7, momentum=0.25),
        Particle(21, 22, 7, parent=20, processes=("nCapture", "phot")),
        Particle(22, 2212, 7, parent=20, processes=("neutronInelastic", "hIoni")),
    ]
    event = Event([Charge((100, 0, 500), ((1, 2.0), (99, 0.5)))], particles, Neutrino((90.0, 1.0, 499.0), 12, 0))
    done, store = converted(tmp_path, [event])
    with store:
        rows, codes = store["particles"][0], store["particles"].schema.codes["process"]
        assert rows["trackid"].tolist() == [1, 9, 7, 12, 13, 20, 21, 22, 99]
        assert rows["pdg"].tolist() == [13, 11, 22, 11, 11, 2112, 22, 2212, -1]
        assert rows["shape"].tolist() == [1, 2, 0, 0, 4, -1, 4, 1, -1]
        assert rows["group_id"].tolist() == [0, 1, 2, 2, 0, 5, 6, 7, 8]
        assert rows["parent_id"].tolist() == [-1, 0, -1, 2, 0, -1, 5, 5, -1]
        assert rows["parent_pdg"].tolist() == [-1, 13, -1, 22, 13, -1, 2112, 2112, -1]
        assert [codes[code] for code in rows["process"][:5]] == ["primary", "Decay", "primary", "primary", "muIoni"]
        assert rows["p"][[0, 5]].tolist() == pytest.approx([500, 250])
        assert np.isnan(rows["px"]).all()
        assert np.isnan(rows["vtx_x"][8])
        # The neutrino is the ancestor of all; its x is in the coordinates of the images.
        assert (rows["ancestor_pdg"] == 12).all()
        assert (rows["current_type"] == 1).all()
        vertex = [rows[f"ancestor_vtx_{axis}"][0] for axis in "xyz"]
        assert vertex == pytest.approx([90, 1, 499], abs=1e-3)
        # Points lie at the x of their ticks; a photon is seen from where it converts.
        assert [rows[f"vtx_{axis}"][0] for axis in "xyz"] == pytest.approx([100, 0, 500], abs=1e-3)
        assert [rows[f"first_step_{axis}"][2] for axis in "xyz"] == pytest.approx([130, 2, 520], abs=1e-3)
        assert rows["vtx_x"][2] == pytest.approx(100, abs=1e-3)
        assert rows["parent_vtx_z"][3] == pytest.approx(500, abs=1e-3)
    assert done.notes["particles with energy that particle_table does not list"] == 1


def test_the_offset_in_x_is_recorded(tmp_path):
    from weft.io.convert import open_source

    path = write_opensamples(tmp_path / "events.h5", [simple()])
    assert describe(path)["products"].keys() >= {"image2d_wire", "hits", "particles", "pixel_truth"}
    source = open_source(path)
    offset = next(value for name, value in source.about.items() if name.startswith("x of corrected"))
    assert offset == pytest.approx(SHIFT, abs=1e-3)
    source.close()


def test_events_without_hits_or_particles(tmp_path):
    quiet = Event(waves={(0, 3): np.zeros(6400)}, ids=(7000, 1, 2))
    _, store = converted(tmp_path, [simple(), quiet, Event(simple().charges, simple().particles, ids=(7000, 1, 3))])
    with store:
        assert [len(store["hits"][k]) for k in range(3)] == [9, 0, 9]
        assert [len(store["pixel_truth"][k]) > 0 for k in range(3)] == [True, False, True]
        assert [len(store["particles"][k]) for k in range(3)] == [2, 0, 2]
        assert (store["image2d_wire"][0][:] == store["image2d_wire"][2][:]).all()
    _, store = converted(tmp_path, [quiet])
    with store:
        assert len(store["particles"][0]) == 0


def test_files_without_a_neutrino(tmp_path):
    source = write_opensamples(tmp_path / "events.h5", [simple()])
    with h5py.File(source, "r+") as file:
        for column in [name for name in file["event_table"] if not name.startswith("event_id")]:
            del file["event_table"][column]
    convert_file(source, tmp_path / "store.h5")
    with EventStore.open(tmp_path / "store.h5") as store:
        assert (store["particles"][0]["ancestor_pdg"] == -1).all()
        assert np.isnan(store["particles"][0]["ancestor_vtx_x"]).all()


def test_a_range_of_events_is_the_same_as_all(tmp_path):
    events = [Event(simple().charges[k:], [MUON, PROTON], ids=(7000, 1, k)) for k in range(3)]
    source = write_opensamples(tmp_path / "events.h5", events)
    convert_file(source, tmp_path / "all.h5")
    convert_file(source, tmp_path / "part.h5", start=1, stop=3)
    with EventStore.open(tmp_path / "all.h5") as whole, EventStore.open(tmp_path / "part.h5") as part:
        for k in range(2):
            assert whole.events[k + 1] == part.events[k]
            assert np.array_equal(whole["pixel_truth"][k + 1], part["pixel_truth"][k])
            assert np.array_equal(whole["image2d_wire"][k + 1][:], part["image2d_wire"][k][:])


def drop(name):
    def change(file):
        del file[name]

    return change


def put(name, value, at=...):
    def change(file):
        data = file[name][:]
        data[at] = value
        file[name][:] = data

    return change


def replace(name, value):
    def change(file):
        del file[name]
        file[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (drop("wire_table"), 'no wire_table among .*; images are in the files "WithWire" only'),
        (drop("edep_table"), "no edep_table among event_table"),
        (drop("hit_table/rms"), "hit_table: no column rms; it has event_id"),
        (replace("hit_table/rms", np.zeros((2, 1))), "hit_table: rms has 2 rows, event_id has 9"),
        (replace("wire_table/adc", np.zeros((9, 600), "f4")), "adc has 600 ticks, expected at least 6048"),
        (replace("wire_table/event_id.seq_cnt", [[0, 4]]), "seq_cnt adds up to 4 rows, the table has 9"),
        (replace("wire_table/event_id.seq_cnt", [[3, 9]]), "names events 3 to 3, event_table has 2"),
        (
            replace("particle_table/event_id.seq_cnt", [[0, 1], [1, 1]]),
            "particle_table: row 1 is of event 7000/1/1, by event_id.seq_cnt of 7/1/2",
        ),
        (put("wire_table/local_wire", 2400, 0), "event 7000/1/1: wire_table has wire 2400 of plane 0, expected 0 to"),
        (put("wire_table/local_wire", 2.5, 0), "wire_table has wire 2.5 of plane 0"),
        (put("wire_table/local_plane", 3, 8), "wire_table has planes 0 to 3, expected 0 to 2"),
        (put("wire_table/local_wire", 9, slice(0, 2)), "event 7000/1/1: wire_table has wire 9 of plane 0 twice"),
        (put("wire_table/adc", np.nan, (1, 5)), "adc holds values that are not numbers"),
        (put("edep_table/hit_id", 77, 0), "edep_table names hit 77, which hit_table has not"),
        (put("hit_table/hit_id", 1, 0), "hit_table has hit_id 1 twice"),
        (replace("event_table/event_id", np.zeros(2)), r"event_id has shape \(2,\), expected run, subrun, event"),
    ],
)  # fmt: skip
def test_files_that_do_not_add_up(tmp_path, change, reason):
    # The second event has no hits, and no wires: it is read last.
    source = write_opensamples(tmp_path / "events.h5", [simple(), Event(ids=(7, 1, 2))])
    with h5py.File(source, "r+") as file:
        change(file)
    with pytest.raises(WeftError, match=reason) as error:
        convert_file(source, tmp_path / "store.h5")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "store.h5").exists()


def test_other_things_that_are_wrong(tmp_path):
    source = write_opensamples(tmp_path / "events.h5", [simple(), Event(ids=(7, 1, 2))])
    assert recognise(source) == "opensamples"
    with pytest.raises(WeftError, match="event 7/1/2: wire_table has no rows of it"):
        convert_file(source, tmp_path / "store.h5")
    with pytest.raises(WeftError, match="products of OpenSamples have fixed names"):
        convert_file(source, tmp_path / "store.h5", products={"clusters": None})
    foreign = write_opensamples(tmp_path / "foreign.h5", [simple()], counts=False)
    with h5py.File(foreign, "r+") as file:
        file["hit_table/event_id"][4:] = 3
    with pytest.raises(WeftError, match="hit_table: row 4 is of event 3/3/3, which event_table has not"):
        convert_file(foreign, tmp_path / "store.h5")
    torn = write_opensamples(tmp_path / "torn.h5", [simple(), Event(simple().charges, [MUON], ids=(8, 1, 1))], False)
    with h5py.File(torn, "r+") as file:
        file["hit_table/event_id"][1] = file["hit_table/event_id"][17]
    with pytest.raises(WeftError, match=r"hit_table: rows of event [78].* are in more than one place"):
        convert_file(torn, tmp_path / "store.h5")
