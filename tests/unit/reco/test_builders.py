"""Objects of an event worked out by hand: two tracks from one vertex, a shower apart from it, and a stray track.

Voxels of 0.3 cm in a box of 60 cm; coordinates below in voxels.
"""

import itertools

import numpy as np
import pytest

from weft.io.products import META, SHOWER, TRACK, Ragged
from weft.io.reco_objects import RECO_PARTICLE_POINTS, RECONSTRUCTED
from weft.io.reco_products import CANDIDATES, ELECTRON, FRAGMENTS, MUON, PHOTON, POINTS, PROTON
from weft.reco.builders import build, near_groups
from weft.reco.csda import kinetic_of_range
from weft.reco.matching import match, overlap_matrix
from weft.reco.objects import match_events, reconstructed
from weft.reco.settings import Settings, needed

MU, P, GAMMA, STRAY = range(4)


def _line(start, direction, length):
    """Voxels of a bar 3×3 voxels thick along an axis."""
    axis = int(np.abs(direction).argmax())
    across = [a for a in range(3) if a != axis]
    steps = np.arange(length)
    out = []
    for u in (-1, 0, 1):
        for v in (-1, 0, 1):
            voxels = np.tile(start, (length, 1)) + np.outer(steps, direction)
            voxels[:, across[0]] += u
            voxels[:, across[1]] += v
            out.append(voxels)
    return np.concatenate(out)


@pytest.fixture
def event():
    """The proton's fragment ends at the vertex in its row, so that it must be turned round."""
    meta = np.zeros(1, META.dtype)
    for axis in "xyz":
        meta[f"size_{axis}"], meta[f"n{axis}"] = 0.3, 200
    bodies = [
        _line((100, 100, 100), (1, 0, 0), 60),
        _line((98, 103, 100), (0, 1, 0), 40),
        _line((100, 100, 130), (0, 0, 1), 30),
        _line((5, 30, 30), (0, 0, 1), 20),
    ]
    tail = _line((100, 100, 165), (0, 0, 1), 5)  # a second fragment of the shower
    pieces = [*bodies, tail]
    voxels = np.concatenate(pieces).astype(np.int32)
    charge = np.full((len(voxels), 1), 0.07, np.float32)  # 0.63 MeV a step of 0.3 cm: 2.1 MeV/cm
    offsets = np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])])
    rows = [np.arange(a, b, dtype=np.int32) for a, b in itertools.pairwise(offsets.tolist())]
    charge[rows[P]] *= 3
    near_end = voxels[rows[P], 1] > 128
    charge[rows[P][near_end]] *= 2  # what stops loses more at its end
    fragments = np.zeros(5, FRAGMENTS.dtype)
    fragments["shape"] = [TRACK, TRACK, SHOWER, TRACK, SHOWER]
    ends = [
        ((100, 100, 100), (159, 100, 100)), ((98, 142, 100), (98, 103, 100)), ((100, 100, 130),) * 2,
        ((5, 30, 30), (5, 30, 49)), ((100, 100, 165),) * 2,
    ]  # fmt: skip
    for point, k in (("start", 0), ("end", 1)):
        for a, axis in enumerate("xyz"):
            fragments[f"{point}_{axis}"] = [0.3 * (end[k][a] + 0.5) for end in ends]
    fragments["size"] = [len(piece) for piece in pieces]
    fragments["energy"] = [charge[r].sum() for r in rows]
    candidates = np.zeros(4, CANDIDATES.dtype)
    for name in FRAGMENTS.dtype.names:
        candidates[name] = fragments[name][:4]
    candidates["primary_fragment"] = np.arange(4)
    shower = np.concatenate([rows[2], rows[4]])
    candidates["size"][GAMMA], candidates["energy"][GAMMA] = len(shower), charge[shower].sum()
    scores = np.zeros((4, 5), np.float32)
    scores[[0, 1, 2, 3], [MUON, PROTON, PHOTON, MUON]] = 0.8
    scores[:, ELECTRON] += 0.2
    points = np.zeros(1, POINTS.dtype)
    points["x"], points["y"], points["z"], points["end_score"] = 0.3 * 159.5, 0.3 * 100.5, 0.3 * 100.5, 0.1
    return {
        "meta": meta,
        "voxels": voxels,
        "charge": charge,
        "fragments": fragments,
        "fragment_voxels": Ragged.of(rows),
        "candidates": candidates,
        "candidate_voxels": Ragged.of([rows[0], rows[1], shower, rows[3]]),
        "candidate_fragments": Ragged.of([np.array(k, np.int32) for k in ([0], [1], [2, 4], [3])]),
        "interaction_groups": np.array([[0], [0], [0], [3]], np.int32),
        "interaction_primary": np.array([[0.9], [0.9], [0.9], [0.2]], np.float32),
        "interaction_pid": scores,
        "interaction_orientation": np.array([[0.2], [np.nan], [np.nan], [0.9]], np.float32),
        "interaction_momentum": np.array([[300.0], [np.nan], [120.0], [80.0]], np.float32),
        "interaction_vertex": np.array(
            [[0.9, 30, 30, 30], [0.9, 31, 30, 30], [0.9, 32, 30, 30], [0.1, 1, 2, 3]], np.float32
        ),
        "shower_primary": np.array([[np.nan], [np.nan], [0.7], [np.nan], [0.1]], np.float32),
        "points": points,
    }  # fmt: skip


def _build(event, **changes):
    return build(event, Settings(**changes))


def test_products_have_the_form_of_their_schemas(event):
    products = _build(event)
    assert set(products) == {schema.name for schema in RECONSTRUCTED}
    for schema in RECONSTRUCTED:
        values = products[schema.name].values if schema.kind == "list" else products[schema.name]
        assert schema.conform(values, "here").dtype == schema.dtype


def test_a_muon_by_hand(event):
    muon = _build(event)["reco_particles"][MU]
    assert muon["length"] == pytest.approx(59 * 0.3, rel=0.01)
    assert (muon["pid"], muon["is_primary"], muon["interaction"], muon["is_contained"]) == (MUON, 1, 0, 1)
    assert muon["csda_ke"] == pytest.approx(kinetic_of_range(muon["length"], MUON))
    assert muon["ke"] == muon["csda_ke"]
    assert muon["p"] == pytest.approx(np.sqrt(muon["ke"] ** 2 + 2 * muon["ke"] * 105.6583755), rel=1e-5)
    assert muon["calo_ke"] == pytest.approx(540 * 0.07, rel=1e-5)
    assert muon["start_dir_x"] == pytest.approx(1, abs=0.01)
    assert muon["end_dir_x"] == pytest.approx(1, abs=0.01)
    assert muon["start_dedx"] == pytest.approx(2.1, rel=0.15)
    assert muon["score_muon"] == 1  # the electron's share is not allowed to a track
    assert muon["is_valid"] == 1


def test_a_proton_is_turned_by_what_it_loses(event):
    proton = _build(event)["reco_particles"][P]
    assert proton["start_y"] == pytest.approx(0.3 * 103.5)
    assert proton["end_y"] == pytest.approx(0.3 * 142.5)
    assert proton["start_dir_y"] == pytest.approx(1, abs=0.01)
    assert proton["end_dedx"] > 1.5 * proton["start_dedx"]
    as_it_comes = _build(event, sources={"orientation": "none"})["reco_particles"][P]
    assert as_it_comes["start_y"] == pytest.approx(0.3 * 142.5)


@pytest.mark.parametrize(("source", "turned"), [("grappa", [MU]), ("points", [MU]), ("dedx", [P]), ("none", [])])
def test_who_says_which_way_a_track_went(event, source, turned):
    x = _build(event, sources={"orientation": source})["reco_particles"]["start_x"]
    y = _build(event, sources={"orientation": source})["reco_particles"]["start_y"]
    assert (x[MU] > 40) == (MU in turned)
    assert (y[P] < 32) == (P in turned)


def test_a_shower_by_hand(event):
    shower = _build(event)["reco_particles"][GAMMA]
    assert (shower["pid"], shower["fragments"], shower["size"]) == (PHOTON, 2, 9 * 35)
    assert shower["calo_ke"] == pytest.approx(9 * 35 * 0.07 / 0.83, rel=1e-5)
    assert shower["ke"] == shower["calo_ke"]
    assert shower["p"] == pytest.approx(shower["ke"])
    assert shower["start_dir_z"] == pytest.approx(1, abs=1e-3)
    for name in ("length", "end_dir_x", "csda_ke", "mcs_ke", "end_dedx", "chi2_muon"):
        assert np.isnan(shower[name])


def test_interactions_by_hand(event):
    products = _build(event)
    table, members = products["reco_interactions"], products["reco_interaction_particles"]
    assert [item.tolist() for item in members] == [[0, 1, 2], [3]]
    first, second = table
    vertex = [first[f"vertex_{axis}"] for axis in "xyz"]
    assert np.allclose(vertex, [0.3 * 99.5, 0.3 * 102.0, 0.3 * 100.5], atol=1e-4)  # between the starts of the tracks
    assert first["vertex_rule"] == 1
    assert second["vertex_rule"] == 0
    assert (first["particles"], first["is_contained"], first["is_fiducial"]) == (3, 1, 1)
    assert (second["is_contained"], second["is_fiducial"], second["primaries"]) == (0, 0, 0)
    assert first["size"] == 540 + 360 + 315
    assert first["energy"] == pytest.approx(event["candidates"]["energy"][:3].sum())
    assert (first["n_muon"], first["n_proton"], first["n_photon"]) == (1, 1, 1)
    weak = _build(event, topology={"thresholds": {"muon": 500.0, "proton": 5.0, "photon": 26.6}})
    assert weak["reco_interactions"]["n_muon"][0] == 0
    assert weak["reco_particles"]["is_valid"].tolist() == [0, 1, 0, 0]


def test_fragments_know_their_particles(event):
    fragments = _build(event, sources={"fragment_primary": "grappa"})["reco_fragments"]
    assert fragments["particle"].tolist() == [0, 1, 2, 3, 2]
    assert fragments["interaction"].tolist() == [0, 0, 0, 1, 0]
    assert fragments["is_primary"].tolist() == [1, 1, 1, 1, 0]
    assert fragments["primary_score"][[2, 4]].tolist() == pytest.approx([0.7, 0.1])
    assert np.isnan(_build(event)["reco_fragments"]["primary_score"]).all()


def test_networks_may_say_momentum_and_vertex(event):
    products = _build(event, sources={"momentum": "grappa", "vertex": "grappa"})
    particles = products["reco_particles"]
    assert particles["p"][[MU, GAMMA, STRAY]].tolist() == [300, 120, 80]
    assert np.isfinite(particles["p"][P])  # where it says nothing, from the energy
    first = products["reco_interactions"][0]
    assert (first["vertex_x"], first["vertex_rule"]) == (31, 7)  # the mean of the three primaries


def test_the_vertex_of_the_network_is_that_of_the_particles_it_was_asked_about(event):
    event["interaction_vertex"][[P, STRAY]] = np.nan  # too small to take part
    event["interaction_primary"][[MU, P, GAMMA]] = np.nan
    first, stray = _build(event, sources={"vertex": "grappa"})["reco_interactions"]
    assert (first["vertex_x"], first["vertex_rule"]) == (31, 7)
    assert np.isnan(stray["vertex_x"])
    assert stray["vertex_rule"] == -1


def test_classical_rules_need_nothing_of_the_networks(event):
    settings = Settings(containment={"margin": 0.3}).classical()
    only = {name: event[name] for name in needed(settings)}
    assert not any(name.startswith("interaction") for name in only)
    products = build(only, settings)
    particles = products["reco_particles"]
    assert particles["interaction"].tolist() == [0, 0, 1, 2]  # the shower is 9 cm away
    assert particles["pid"].tolist()[:3] == [MUON, PROTON, ELECTRON]
    wide = build(only, settings.model_copy(update={"grouping": settings.grouping.model_copy(update={"distance": 9.0})}))
    assert wide["reco_particles"]["interaction"].tolist() == [0, 0, 0, 1]
    assert wide["reco_particles"]["is_primary"].tolist() == [1, 1, 1, 1]
    assert build(event, settings)["reco_particles"].tobytes() == particles.tobytes()


def test_needed_products_follow_the_sources():
    assert "interaction_pid" in needed(Settings())
    assert "points" not in needed(Settings())
    assert "points" in needed(Settings(sources={"orientation": "points"}))
    assert "points" in needed(Settings(sources={"points": "ppn"}))
    assert "shower_primary" in needed(Settings(sources={"fragment_primary": "grappa"}))
    assert "interaction_vertex" in needed(Settings(sources={"vertex": "grappa"}))
    assert "interaction_momentum" in needed(Settings(sources={"momentum": "grappa"}))


def test_particles_have_the_points_that_were_proposed_there(event):
    event["points"] = np.repeat(event["points"], 3)
    event["points"]["y"] += [0, 1.0, 30.0]
    event["points"]["class"] = [TRACK, SHOWER, TRACK]
    made = _build(event, sources={"points": "ppn"})
    found = made["reco_particle_points"]
    assert [rows.tolist() for rows in found] == [[0, 1], [], [], []]
    assert found.values.dtype == RECO_PARTICLE_POINTS.dtype
    for changes, expected in (({"same_class": True}, [0]), ({"within": 0.5}, [0])):
        assert _build(event, sources={"points": "ppn"}, points=changes)["reco_particle_points"][MU].tolist() == expected
    objects = reconstructed(made, event["voxels"], event["charge"], event["meta"])
    assert objects.particles[MU].point_ids.tolist() == [0, 1]
    assert "reco_particle_points" in build(event, Settings(sources={"points": "ppn"}).classical())


def test_a_vertex_may_turn_tracks(event):
    event["candidates"]["start_y"][P], event["candidates"]["end_y"][P] = 0.3 * 142.5, 0.3 * 103.5
    kept = _build(event, sources={"orientation": "none"})["reco_particles"][P]
    turned = _build(event, sources={"orientation": "none"}, vertex={"orient_tracks": True})["reco_particles"][P]
    assert turned["start_y"] == kept["end_y"]
    assert turned["start_dir_y"] == -kept["end_dir_y"]
    assert turned["start_dedx"] == kept["end_dedx"]
    # All that depends on which end is the start is measured anew.
    base = _build(event)["reco_particles"][P]
    for name in base.dtype.names:
        np.testing.assert_allclose(turned[name], base[name], rtol=1e-5, err_msg=name)


def test_primary_showers_may_start_where_the_vertex_is_nearest(event):
    """The shower along z is fed the wrong way round; once moved it is as if it had been fed its new start."""
    for point in ("start", "end"):
        event["candidates"][f"{point}_z"][GAMMA] = 0.3 * 169.5
    kept = _build(event)["reco_particles"][GAMMA]
    assert kept["start_dir_z"] == pytest.approx(-1, abs=0.01)
    made = _build(event, vertex={"start_showers": True})
    moved, vertex = made["reco_particles"][GAMMA], made["reco_interactions"][0]
    points = 0.3 * (event["voxels"][event["candidate_voxels"][GAMMA]] + 0.5)
    away = np.linalg.norm(points - [vertex[f"vertex_{axis}"] for axis in "xyz"], axis=1)
    expected = points[away.argmin()]
    assert [moved[f"start_{axis}"] for axis in "xyz"] == pytest.approx(expected)
    assert moved["start_z"] == pytest.approx(0.3 * 130.5)
    for axis, value in zip("xyz", expected, strict=True):
        event["candidates"][f"start_{axis}"][GAMMA] = event["candidates"][f"end_{axis}"][GAMMA] = value
    fed = _build(event)["reco_particles"][GAMMA]
    for name in fed.dtype.names:
        np.testing.assert_allclose(moved[name], fed[name], rtol=1e-4, err_msg=name)
    event["interaction_primary"][GAMMA] = 0.1
    event["candidates"]["start_z"][GAMMA] = 0.3 * 169.5
    secondary = _build(event, vertex={"start_showers": True})["reco_particles"][GAMMA]
    assert secondary["start_z"] == pytest.approx(0.3 * 169.5)


def test_steps_can_be_turned_off(event):
    off = _build(event, scattering={"enabled": False}, template={"enabled": False}, types={"shape_logic": False})
    particles = off["reco_particles"]
    assert np.isnan(particles["mcs_ke"]).all()
    assert np.isnan(particles["chi2_proton"]).all()
    assert particles["score_electron"][MU] == pytest.approx(0.2)
    on = _build(event)["reco_particles"]
    assert np.isfinite(on["chi2_proton"][[MU, P, STRAY]]).all()


def test_numbers_of_the_steps_are_used(event):
    base = _build(event)["reco_particles"]
    for changes, column, row in (
        ({"calorimetry": {"scale": 2.0}}, "calo_ke", MU),
        ({"calorimetry": {"shower_fudge": 2.0}}, "calo_ke", GAMMA),
        ({"tracking": {"segment": 4.0}}, "length", MU),
        ({"tracking": {"method": "bin_pca"}}, "length", MU),
        ({"local": {"dedx_radius": 1.0}}, "start_dedx", MU),
        ({"local": {"straightness_radius": 1.0}}, "start_straightness", MU),
        ({"template": {"segment": 2.0}}, "chi2_proton", P),
        ({"template": {"visible": False}}, "chi2_proton", P),
        ({"template": {"both_ways": False}, "sources": {"orientation": "none"}}, "chi2_proton", P),
        ({"template": {"fewest": 155}}, "chi2_proton", P),
        ({"containment": {"margin": 30.0}}, "is_contained", MU),
        ({"types": {"primary_threshold": 0.95}}, "is_primary", MU),
        ({"types": {"thresholds": {"electron": 0.1}, "shape_logic": False}}, "pid", MU),
    ):
        changed = _build(event, **changes)["reco_particles"]
        assert changed[column][row] != base[column][row], (changes, column)
    far = _build(event, containment={"fiducial": 30.5})["reco_interactions"]
    assert far["is_fiducial"][0] == 0
    loose = _build(event, vertex={"touching": 0.5})["reco_interactions"]
    assert loose["vertex_rule"][0] == 4


def test_the_order_of_candidates_only_renumbers(event):
    order = np.array([2, 0, 3, 1])
    moved = dict(event)
    moved["candidates"] = event["candidates"][order]
    for name in ("candidate_voxels", "candidate_fragments"):
        moved[name] = Ragged.of([event[name][k] for k in order.tolist()])
    for name in ("interaction_primary", "interaction_pid", "interaction_orientation", "interaction_momentum"):
        moved[name] = event[name][order]
    moved["interaction_groups"] = np.array([[0], [0], [2], [0]], np.int32)
    first, second = _build(event)["reco_particles"][order], _build(moved)["reco_particles"]
    for name in first.dtype.names:
        if name not in ("interaction", "primary_fragment"):
            assert np.array_equal(first[name], second[name], equal_nan=True), name


def test_empty_events_and_particles_without_interaction(event):
    nothing = {
        name: value[:0] if isinstance(value, np.ndarray) and name != "meta" else value for name, value in event.items()
    }
    none = Ragged(np.empty(0, np.int32), np.zeros(1, np.int64))
    nothing |= dict.fromkeys(("fragment_voxels", "candidate_voxels", "candidate_fragments"), none)
    for settings in (Settings(), Settings().classical()):
        products = build(nothing, settings)
        assert all(len(value) == 0 for value in products.values())
    event["interaction_groups"][:] = -1
    products = _build(event)
    assert len(products["reco_interactions"]) == 0
    assert (products["reco_particles"]["interaction"] == -1).all()
    alone = _build(event, vertex={"orient_tracks": True})
    assert len(alone["reco_interactions"]) == 0


def test_one_voxel(event):
    one = dict(event)
    one |= {"voxels": event["voxels"][:1], "charge": event["charge"][:1]}
    one |= {name: event[name][:1] for name in ("fragments", "candidates")}
    one |= {name: event[name][:1] for name in event if name.startswith("interaction_")}
    one |= dict.fromkeys(
        ("fragment_voxels", "candidate_voxels", "candidate_fragments"), Ragged.of([np.zeros(1, np.int32)])
    )
    for settings in (Settings(), Settings().classical()):
        particle = build(one, settings)["reco_particles"][0]
        assert particle["length"] == 0
        assert np.isnan(particle["mcs_ke"])


def test_near_groups_hang_together_by_steps():
    points = np.array([[0.0, 0, 0], [4, 0, 0], [8, 0, 0], [20, 0, 0]])
    nodes = Ragged.of([np.array([k], np.int32) for k in range(4)])
    assert near_groups(points, nodes, 4.5).tolist() == [0, 0, 0, 1]
    assert len(set(near_groups(points, nodes, 4.0).tolist())) == 4
    assert near_groups(points, Ragged.of([], np.empty(0, np.int32)), 4.0).tolist() == []


# --- objects --------------------------------------------------------------------------------------------------


def _objects(event, **changes):
    return reconstructed(_build(event, **changes), event["voxels"], event["charge"], event["meta"])


def test_objects_read_like_their_tables(event):
    objects = _objects(event)
    interaction = objects.interactions[0]
    assert interaction.topology == "1g1mu1p"
    assert [particle.pid_name for particle in interaction.members] == ["muon", "proton", "photon"]
    assert interaction.primary_members == interaction.members
    assert interaction.vertex_rule_name == "confluence"
    assert len(interaction.index) == interaction.size
    muon = objects.particles[MU]
    assert muon.start.tolist() == pytest.approx([30.15, 30.15, 30.15])
    assert muon.points.shape == (540, 3)
    assert muon.depositions.sum() == pytest.approx(muon.energy)
    assert muon.points.mean(0) == pytest.approx([0.3 * 130, 30.15, 30.15])
    assert objects.particles[GAMMA].fragment_ids.tolist() == [2, 4]
    assert objects.fragments[4].particle == GAMMA
    assert [len(kind) for kind in (objects.fragments, objects.particles, objects.interactions)] == [5, 4, 2]
    assert objects.particles[-1] == objects.particles[STRAY]
    assert len({*objects.particles, objects.particles[0]}) == 4
    assert objects.particles[1:3] == [objects.particles[1], objects.particles[2]]
    assert "muon" in repr(muon)
    assert "1g1mu1p" in repr(interaction)
    assert "shower" in repr(objects.fragments[2])
    with pytest.raises(AttributeError, match="a particle has no 'mass'"):
        _ = muon.mass
    with pytest.raises(IndexError):
        _ = objects.particles[4]


def test_objects_know_their_matches(event):
    event["interaction_groups"][2] = 2
    reco, truth = _objects(event), _objects(event, sources={"interactions": "distance"})
    match_events(reco, truth)
    assert [particle.match_ids.tolist() for particle in reco.particles] == [[0], [1], [2], [3]]
    assert reco.particles[0].match_overlaps.tolist() == [1]
    assert truth.interactions[0].match_ids.tolist() == [0]
    first, _ = match(overlap_matrix(reco.interaction_voxels, truth.interaction_voxels, len(event["voxels"])))
    assert reco.matches["interactions"].best.tolist() == first.best.tolist()
