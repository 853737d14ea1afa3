"""SPINE's HDF5 against SPINE's own reader and writer (`pip install spine`)."""

import numpy as np
import pytest
from spine_events import write_stores

from weft.io.convert import convert_file
from weft.io.products import Ragged
from weft.io.store import EventStore
from weft.reco.objects import match_events, reconstructed
from weft.reco.spine_export import export_spine
from weft.reco.true_objects import true_objects

pytest.importorskip("spine.io", reason="SPINE is not installed: pip install spine")

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    return write_stores(tmp_path_factory.mktemp("spine"))


@pytest.fixture(scope="module")
def exported(stores):
    target = stores["truth"].with_name("exported.h5")
    export_spine(stores, target)
    return target


def read(path):
    from spine.io.read import HDF5Reader

    reader = HDF5Reader(str(path), build_classes=True, create_run_map=True)
    return [reader.get(i) for i in range(len(reader))]


def xyz(row, name):
    return np.array([row[f"{name}_{axis}"] for axis in "xyz"], np.float32)


def test_spine_reads_our_objects_with_all_their_fields(stores, exported):
    events = read(exported)
    with EventStore.open(stores) as store:
        assert len(events) == len(store)
        for i, event in enumerate(events):
            products = {name: store[name][i] for name in store.products}
            reco = reconstructed(products, products["voxels"], products["charge"], products["meta"])
            true = reconstructed(
                true_objects(products), products["voxels"], products["charge"], products["meta"], truth=True
            )
            match_events(reco, true)
            assert event["run_info"].event == store.events[i]["event"]
            np.testing.assert_array_equal(event["meta"].count, [64, 64, 64])
            # SPINE places voxels itself: the same points as ours.
            voxels = np.floor(event["meta"].to_px(event["points"])) if len(event["points"]) else event["points"]
            np.testing.assert_array_equal(voxels, products["voxels"])
            check_particles(event["reco_particles"], reco)
            check_true_particles(event["truth_particles"], true)
            check_interactions(event["reco_interactions"], reco)
            assert [f.particle_id for f in event["reco_fragments"]] == products["reco_fragments"]["particle"].tolist()
            for k, fragment in enumerate(event["reco_fragments"]):
                np.testing.assert_array_equal(fragment.index, products["reco_fragment_voxels"][k])
    assert events[-1]["reco_particles"] == events[-1]["truth_interactions"] == []


@pytest.mark.parametrize("version", [1, 2])
def test_both_layouts_that_spine_writes_are_read(tmp_path, stores, exported, version):
    """SPINE reads our file and writes it again: from its file we make the store that we make from ours."""
    import spine.data
    from spine.io.write import HDF5Writer

    events = read(exported)
    for event in events:  # as SPINE does before it writes: sums and counts are made of these
        for name in ("reco_fragments", "reco_particles", "reco_interactions"):
            for thing in event[name]:
                thing.depositions = event["depositions"][thing.index]
        for interaction in event["reco_interactions"]:
            interaction.particles = [event["reco_particles"][k] for k in interaction.particle_ids]
    lists = {"reco_fragments": "RecoFragment", "reco_particles": "RecoParticle", "reco_interactions": "RecoInteraction"}
    lists |= {"truth_particles": "TruthParticle"}
    kept = ["index", "run_info", "meta", "points", "depositions", *lists]
    batch = {name: [event[name] for event in events] for name in kept}
    for name, kind in lists.items():
        batch[name] = [spine.data.ObjectList(objects, getattr(spine.data, kind)()) for objects in batch[name]]
    with_points = slice(0, len(events) - 1)  # its writer takes no event without points
    writer = HDF5Writer(str(tmp_path / "theirs.h5"), format_version=version)
    writer({name: values[with_points] for name, values in batch.items()})
    writer.finalize()
    writer.close()
    convert_file(tmp_path / "theirs.h5", tmp_path / "from_theirs.h5")
    convert_file(exported, tmp_path / "from_ours.h5", stop=len(events) - 1)
    with EventStore.open(tmp_path / "from_theirs.h5") as theirs, EventStore.open(tmp_path / "from_ours.h5") as ours:
        assert set(theirs.products) == set(ours.products)
        assert theirs.files["0"].provenance["source"]["layout"] == version
        for i in range(len(ours)):
            for name in ours.products:
                a, b = ours[name][i], theirs[name][i]
                if isinstance(a, Ragged):
                    np.testing.assert_array_equal(a.offsets, b.offsets, name)
                    a, b = a.values, b.values
                for column in a.dtype.names or ():
                    if (name, column) not in THEIR_OWN:
                        rounded = 1e-6 if column == "energy" else 0  # added up in another order
                        np.testing.assert_allclose(a[column], b[column], rounded, err_msg=f"{name}.{column}")
                if a.dtype.names is None:
                    np.testing.assert_array_equal(a, b, name)


#: What SPINE works out anew when it reads a file.
THEIR_OWN = {
    ("reco_particles", "ke"),
    ("reco_particles", "p"),
}


def check_particles(theirs, ours):
    table = ours.tables["particles"]
    assert len(theirs) == len(table)
    for k, (particle, row) in enumerate(zip(theirs, table, strict=True)):
        assert (particle.id, particle.units, particle.is_truth) == (k, "cm", False)
        for name in ("pid", "shape"):
            assert getattr(particle, name) == row[name]
        assert particle.interaction_id == row["interaction"]
        for name in ("is_primary", "is_valid", "is_contained"):
            assert getattr(particle, name) == bool(row[name])
        for name in ("length", "calo_ke", "csda_ke", "mcs_ke", "start_dedx", "directional_spread", "axial_spread"):
            np.testing.assert_array_equal(np.float32(getattr(particle, name)), row[name], name)
        np.testing.assert_array_equal(particle.start_point, xyz(row, "start"))
        np.testing.assert_array_equal(particle.end_dir, xyz(row, "end_dir"))
        np.testing.assert_array_equal(particle.csda_ke_per_pid[2:], [row[f"csda_ke_{p}"] for p in TRACKS])
        np.testing.assert_array_equal(particle.pid_scores[:5], [row[f"score_{p}"] for p in SCORED])
        assert np.isnan(particle.csda_ke_per_pid[:2]).all()
        np.testing.assert_array_equal(particle.primary_scores[1], row["primary_score"])
        np.testing.assert_array_equal(particle.index, ours.tables["particle_voxels"][k])
        np.testing.assert_array_equal(particle.fragment_ids, ours.tables["particle_fragments"][k])
        np.testing.assert_array_equal(particle.match_ids, ours.matches["particles"].ids[k])
        np.testing.assert_array_equal(particle.match_overlaps, ours.matches["particles"].overlaps[k])
        # What SPINE works out itself from what it has read.
        if row["pid"] >= 0:
            assert abs(particle.pdg_code) == PDG[row["pid"]]


def check_true_particles(theirs, ours):
    for k, (particle, row) in enumerate(zip(theirs, ours.tables["particles"], strict=True)):
        assert particle.is_truth
        assert (particle.orig_id, particle.pdg_code, particle.nu_id) == (row["particle"], row["pdg"], row["nu"])
        np.testing.assert_array_equal(particle.index, ours.tables["particle_voxels"][k])
        np.testing.assert_array_equal(np.float32(particle.energy_init), row["energy_init"])
        np.testing.assert_array_equal(particle.first_step, xyz(row, "true_start"))
        np.testing.assert_array_equal(particle.match_ids, ours.matches["particles"].ids[k])
        if row["true_p"] > 0:  # its size is their own property
            assert particle.p == pytest.approx(row["true_p"], rel=1e-5)


def check_interactions(theirs, ours):
    members: Ragged = ours.tables["interaction_particles"]
    for k, (interaction, row) in enumerate(zip(theirs, ours.tables["interactions"], strict=True)):
        np.testing.assert_array_equal(interaction.particle_ids, members[k])
        np.testing.assert_array_equal(interaction.vertex, xyz(row, "vertex"))
        np.testing.assert_array_equal(interaction.index, ours.interaction_voxels[k])
        assert interaction.is_fiducial == bool(row["is_fiducial"])


PDG = [22, 11, 13, 211, 2212, 321]
SCORED = ("photon", "electron", "muon", "pion", "proton")
TRACKS = ("muon", "pion", "proton", "kaon")
