"""Wire planes: charge is conserved, truth closes, and widths, noise and dead wires are what was asked for."""

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.stats import norm

from weft.detector.meta import VoxelMeta
from weft.detector.pulses import shares_across
from weft.simulation.event import simulate_event
from weft.simulation.labels import Particles
from weft.simulation.readout import ionisation_electrons
from weft.simulation.settings import Response, SimulationSettings
from weft.simulation.stack import DEPOSIT
from weft.simulation.wire_settings import Wires
from weft.simulation.wires import above, channel_status, charge_image, drift, noise_image, plane_metas, read_wires

STILL = {"diffusion_longitudinal": 0.0, "diffusion_transverse": 0.0}
SHARP = {"pulse_time": (0, 0, 0), "pulse_wires": (0, 0, 0)}
QUIET = {"noise": (0, 0, 0), "coherent_noise": (0, 0, 0), "threshold": 0.0, "dead": (0, 0, 0)}
#: 0.21 MeV over 1 mm: 2.1 MeV/cm, of whose electrons 0.7050 escape (modified box at 0.5 kV/cm).
MINIMUM_IONISING = 0.21e6 / 23.6 * 0.7050


def toy(**values):
    return Wires.model_validate({"detector": "toy"} | values)


def point(position, n=1, energy=0.21):
    """n deposits at one place, of one particle of class 1."""
    deposits = np.zeros(n, DEPOSIT)
    for k, a in enumerate("xyz"):
        deposits[a] = position[k]
    deposits["energy"], deposits["dx"] = energy, 0.1
    return deposits, owners(np.zeros(n, int), [1])


def owners(of_deposit, shape):
    none = np.zeros(len(shape), np.int64)
    return Particles(none, np.array(shape), none, of_deposit, none, none, none)


def cloud(n, seed=0, half=38.4):
    rng = np.random.default_rng(seed)
    deposits = np.zeros(n, DEPOSIT)
    for a in "xyz":
        deposits[a] = rng.uniform(-half, half, n)
    deposits["energy"], deposits["dx"] = rng.uniform(0.01, 1, n), 0.1
    return deposits, owners(np.sort(rng.integers(0, 4, n)), [1, 0, 4, 2])


def see(wires, deposits, particles, response=None, seed=1):
    rngs = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    return read_wires(deposits, particles, response or Response(), wires, *rngs)


def clouds_of(deposits, response, wires, tpc=0, seed=1):
    """Clouds of deposits that all lie in one drift volume."""
    position = np.stack([deposits[a] for a in "xyz"], 1) + wires.shift
    electrons = ionisation_electrons(deposits, response)
    return drift(position, electrons, wires.built.tpcs[tpc], response, wires.cloud, np.random.default_rng(seed))


def plane_sums(event, images=3):
    return np.bincount(event.pixels.plane, event.pixels.value, images)


def test_the_charge_of_one_deposit_by_hand():
    """30 cm of drift at 0.1 cm/µs are 300 µs, a tenth of 3 ms: e^−0.1 of the electrons arrive, on each plane."""
    wires = toy(gain=(1.0, 0.5, 2.0), electrons_per_adc=100.0, **QUIET)
    event = see(wires, *point((-38.4 + 30, 1.0, 2.0)), Response(lifetime=3.0))
    expected = MINIMUM_IONISING * np.exp(-0.1)
    assert event.deposits["electrons"].sum() == pytest.approx(expected, rel=1e-4)
    assert plane_sums(event) == pytest.approx(expected / 100 * np.array([1.0, 0.5, 2.0]), rel=1e-4)


def test_the_pixel_of_one_deposit_by_hand():
    """At (y, z) = (0, 3) cm: z/0.3 + 127.5 = 137.5, and ½·z/0.3 + 175 = 180 on the others. 30 cm are 600 ticks after
    tick 48, row 108."""
    wires = toy(**QUIET, **SHARP)
    event = see(wires, *point((-38.4 + 30.01, 0.001, 3.001)), Response(**STILL))
    assert event.deposits[["tpc", "row", "wire_0", "wire_1", "wire_2"]].tolist() == [(0, 108, 180, 180, 138)]
    assert event.pixels.plane.tolist() == [0, 1, 2]
    assert event.pixels.row.tolist() == [108] * 3
    assert event.pixels.col.tolist() == [180, 180, 138]
    row = event.deposits[0]
    assert (row["particle"], row["class"], row["energy"]) == (0, 1, np.float32(0.21))
    assert [row[a] for a in "xyz"] == pytest.approx([-38.4 + 30.01, 0.001, 3.001], rel=1e-5)


def test_charge_is_conserved_deposit_by_deposit():
    deposits, _ = cloud(300)
    response, wires = Response(lifetime=2.0), toy(**QUIET)
    clouds = clouds_of(deposits, response, wires)
    time = (deposits["x"] + 38.4) / 0.1
    kept = ionisation_electrons(deposits, response) * np.exp(-time / 2000)
    arrived = np.bincount(clouds.deposit, clouds.electrons, 300)
    assert arrived == pytest.approx(kept, rel=1e-12)
    assert clouds.electrons.max() <= wires.cloud
    assert np.bincount(clouds.deposit).tolist() == np.ceil(kept / wires.cloud).astype(int).tolist()


def test_charge_is_conserved_in_events(small):
    """What the planes collect is what the truth says to arrive, and nearly all of what was drifted."""
    settings = small.model_copy(update={"wires": toy(**QUIET)})
    for index in range(4):
        event = simulate_event(settings, 7, index)
        assert event.wires is not None
        truth = event.wires.deposits
        clouds = clouds_of(event.transported.deposits, settings.response, settings.wires)
        drifted = clouds.electrons.sum()
        assert truth["electrons"].sum() == pytest.approx(drifted, rel=1e-5)
        assert plane_sums(event.wires) * 200 == pytest.approx(drifted, rel=1e-4)
        assert truth["energy"].sum() == pytest.approx(event.transported.deposits["energy"].sum(), rel=1e-5)
        energies = np.bincount(truth["particle"], truth["energy"], len(event.particles["_pdg"]))
        assert energies == pytest.approx(event.particles["_energy_deposit"], rel=1e-4, abs=1e-5)
        assert np.array_equal(truth["class"], event.particles["_shape"][truth["particle"]])


def test_images_are_the_true_deposits_when_pulses_are_sharp(small):
    wires = toy(**QUIET, **SHARP)
    event = simulate_event(small.model_copy(update={"wires": wires}), 7, 0).wires
    truth = event.deposits
    for k in range(3):
        rows, columns = wires.built.tpcs[0].readout.rows, wires.built.tpcs[0].planes[k].wires
        image, expected = np.zeros((rows, columns)), np.zeros((rows, columns))
        p = event.pixels
        of = p.plane == k
        image[p.row[of], p.col[of]] = p.value[of]
        np.add.at(expected, (truth["row"], truth[f"wire_{k}"]), truth["electrons"] / 200)
        assert np.allclose(image, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("detector", ["toy", "two_sided"])
@pytest.mark.parametrize("response", [STILL, {}], ids=["still", "diffused"])
def test_truth_closes(detector, response):
    """The position of every row is seen by its wires, in its row, in its drift volume."""
    wires = Wires.model_validate({"detector": detector} | QUIET)
    truth = see(wires, *cloud(2000), Response(**response)).deposits
    position = np.stack([truth[a] for a in "xyz"], 1).astype(np.float64)
    stored = np.stack([truth[f"wire_{k}"] for k in range(3)], 1)
    assert len(truth) > 1500
    for number, tpc in enumerate(wires.built.tpcs):
        of = truth["tpc"] == number
        assert np.sum(of) > 500
        on = of[:, None] & (stored >= 0)
        distance = np.abs(tpc.coordinates(position) - stored)
        assert distance[on].max() <= 0.5 + 1e-4
        seen = of & (truth["row"] >= 0)
        late = tpc.readout.row_of(tpc.tick(position[seen, 0])) - truth["row"][seen]
        assert late.min() >= -1e-3
        assert late.max() <= 1 + 1e-3
        whole = of & (stored >= 0).all(1)
        closure = tpc.closure
        assert np.abs(closure.residual(stored[whole])).max() < closure.reach
    if response != STILL:
        assert np.sum(truth["energy"] == 0) > 500, "electrons diffuse to where nothing was left"
    else:
        assert truth["energy"].min() > 0


def test_rows_of_the_truth_are_unique_and_sorted():
    truth = see(toy(**QUIET), *cloud(2000, half=3.0)).deposits
    key = ["tpc", "row", "wire_0", "wire_1", "wire_2", "particle"]
    assert len(np.unique(truth[key])) == len(truth)
    assert np.array_equal(np.argsort(truth[key], order=key, kind="stable"), np.arange(len(truth)))
    assert truth["electrons"].min() >= 0


def test_drift_volumes_have_images_of_their_own():
    wires = Wires.model_validate({"detector": "two_sided"} | QUIET)
    deposits, particles = cloud(2)
    deposits["x"], deposits["y"], deposits["z"] = (-10.0, 20.0), 0.0, 0.0
    event = see(wires, deposits, particles, Response(**STILL))
    assert event.deposits["tpc"].tolist() == [0, 1]
    # 30 cm and 20 cm from the anodes: 468.75 and 312.5 ticks of 0.4 µs after tick 50 of the image, 5 to a row.
    assert event.deposits["row"].tolist() == [103, 72]
    assert set(event.pixels.plane.tolist()) == set(range(6))
    charge = np.bincount(event.deposits["tpc"], event.deposits["electrons"])
    assert plane_sums(event, 6) * 200 == pytest.approx(np.repeat(charge, 3), rel=1e-5)


def test_what_no_drift_volume_holds_is_lost():
    deposits, particles = point((0.0, 0.0, 38.5))
    event = see(toy(**QUIET), deposits, particles)
    assert len(event.deposits) == 0
    assert len(event.pixels.value) == 0
    moved = see(toy(centre=(0.0, 0.0, -1.0), **QUIET), deposits, particles)
    assert moved.deposits["z"] == pytest.approx(37.5, abs=0.3)


def variance(charge):
    at = np.arange(len(charge))
    mean = at @ charge / charge.sum()
    return (at - mean) ** 2 @ charge / charge.sum()


@pytest.mark.parametrize("drifted", [5.0, 70.0])
def test_widths_follow_the_diffusion_law(drifted):
    """Along time variances add: 2Dt, the pulse's own, and 1/12 of a row's. Across wires the Gaussian is cut into those
    that are nearest, and the deconvolution's share comes on top."""
    response = Response(diffusion_longitudinal=7.2, diffusion_transverse=12.0)
    wires = toy(cloud=2.0, **QUIET)
    deposits, _ = point((-38.4 + drifted, 0.1, 0.2), n=15)
    clouds = clouds_of(deposits, response, wires)
    assert len(clouds.deposit) > 40000
    time, tpc = drifted / 0.1, wires.built.tpcs[0]
    centre = tpc.coordinates(np.array([[0, 0.1, 0.2]]))[0]
    for k in range(3):
        image = charge_image(clouds, tpc, k, wires)
        row = 2e-6 * 7.2 * time / 0.3**2 + (1.4 / 3.0) ** 2 + 1 / 12
        assert variance(image.sum(0)) == pytest.approx(row, rel=0.03)
        edges = np.arange(tpc.planes[k].wires + 1) - 0.5
        nearest = np.diff(norm.cdf(edges, centre[k], np.sqrt(2e-6 * 12.0 * time) / 0.3))
        shares = shares_across(wires.pulse_wires[k])
        assert variance(image.sum(1)) == pytest.approx(variance(nearest) + variance(shares), rel=0.03, abs=1e-3)


def test_wide_clouds_across_wires():
    response = Response(diffusion_longitudinal=7.2, diffusion_transverse=100.0)
    wires = toy(cloud=2.0, **QUIET, **SHARP)
    clouds = clouds_of(point((31.6, 0.1, 0.2), n=15)[0], response, wires)
    for k in range(3):
        charge = charge_image(clouds, wires.built.tpcs[0], k, wires).sum(1)
        assert variance(charge) == pytest.approx(2e-6 * 100 * 700 / 0.3**2 + 1 / 12, rel=0.03)


def test_the_planes_see_the_same_electrons():
    """A cloud's three wires are those of one point, so the planes' charges agree row by row."""
    wires = toy(**QUIET, **SHARP)
    clouds = clouds_of(cloud(400, half=30)[0], Response(diffusion_transverse=100.0), wires)
    images = [charge_image(clouds, wires.built.tpcs[0], k, wires).sum(0) for k in range(3)]
    assert np.allclose(images[0], images[1], rtol=1e-12)
    assert np.allclose(images[0], images[2], rtol=1e-12)


def test_noise_has_its_widths():
    wires = toy(noise=(300.0, 0.0, 500.0), coherent_noise=(400.0, 200.0, 0.0), coherent_group=48)
    images = [noise_image((470, 1000), wires, k, np.random.default_rng(k)) for k in range(3)]
    assert np.std(images[0]) == pytest.approx(500, rel=0.01)
    assert np.std(images[1]) == pytest.approx(200, rel=0.02)
    assert np.std(images[2]) == pytest.approx(500, rel=0.01)
    assert np.array_equal(images[1][0], images[1][47])
    assert not np.array_equal(images[1][47], images[1][48])
    own = np.corrcoef(images[0][[10, 30, 60]])
    assert own[0, 1] == pytest.approx(0.64, abs=0.06), "400² of 500² is shared in a group"
    assert abs(own[0, 2]) < 0.1
    alone = np.corrcoef(images[2][[10, 30, 60]])
    assert np.abs(alone - np.eye(3)).max() < 0.1


def test_noise_is_seen_at_its_size_in_an_image():
    """Without a threshold the positive half of the noise is kept."""
    wires = toy(noise=(400.0,) * 3, coherent_noise=(0.0,) * 3, threshold=0.0, dead=(0, 0, 0))
    nothing = np.zeros(0, DEPOSIT), owners(np.zeros(0, np.int64), [])
    event = see(wires, *nothing)
    pixels = 272 * (351 + 351 + 256)
    assert len(event.pixels.value) == pytest.approx(pixels / 2, rel=0.01)
    assert np.sqrt(np.mean(event.pixels.value.astype(float) ** 2)) == pytest.approx(2.0, rel=0.01)
    kept = see(toy(noise=(400.0,) * 3, coherent_noise=(0.0,) * 3, threshold=4.0, dead=(0, 0, 0)), *nothing)
    assert len(kept.pixels.value) == pytest.approx(0.02275 * pixels, rel=0.05), "two standard deviations"
    assert kept.pixels.value.min() >= 4


def test_threshold():
    image = np.array([[0.0, 9.9, 10.0], [12.0, -11.0, 3.0]])
    pixels = above(image, 10.0, 2)
    assert pixels.plane.tolist() == [2, 2]
    assert pixels.col.tolist() == [0, 1]
    assert pixels.row.tolist() == [2, 0]
    assert pixels.value.tolist() == [10.0, 12.0]
    assert above(image, 0.0, 2).value.tolist() == pytest.approx([9.9, 10.0, 12.0, 3.0])


def test_dead_wires_have_their_share_and_see_nothing():
    noisy = toy(threshold=0.0, noise=(500.0,) * 3)
    event = see(noisy, *cloud(500))
    for k, share in enumerate((0.18, 0.04, 0.09)):
        dead = noisy.dead_wires[k]
        assert dead.sum() == round(share * len(dead))
        seen = np.zeros(len(dead), bool)
        seen[event.pixels.col[event.pixels.plane == k]] = True
        assert np.array_equal(seen, ~dead)
        assert np.array_equal(channel_status(noisy)[k], np.where(dead, 1, 4))
    other = toy(dead_map=2)
    assert any(not np.array_equal(a, b) for a, b in zip(noisy.dead_wires, other.dead_wires, strict=True))
    assert len(see(toy(dead=(1, 1, 1)), *cloud(500)).pixels.value) == 0


def test_other_noise_and_other_dead_wires_see_the_same_electrons():
    events = [see(wires, *cloud(300)) for wires in (toy(), toy(noise=(900.0,) * 3), toy(dead_map=5))]
    for event in events[1:]:
        assert np.array_equal(event.deposits, events[0].deposits)
        assert not np.array_equal(event.pixels.value, events[0].pixels.value)


def test_an_empty_event():
    event = see(toy(), np.zeros(0, DEPOSIT), owners(np.zeros(0, np.int64), []))
    assert len(event.deposits) == 0
    assert set(event.pixels.plane.tolist()) <= {0, 1, 2}


def test_metas_span_the_readout():
    metas = plane_metas(toy())
    assert [m.cols for m in metas] == [351, 351, 256]
    assert {(m.rows, m.min_tick, m.max_tick) for m in metas} == {(272, 0.0, 1632.0)}
    assert len(plane_metas(Wires.model_validate({"detector": "two_sided"}))) == 6


def test_the_voxels_do_not_know_of_the_wires(small):
    plain = simulate_event(small, 3, 1)
    seen = simulate_event(small.model_copy(update={"wires": toy()}), 3, 1)
    assert plain.wires is None
    assert np.array_equal(plain.voxel_value, seen.voxel_value)
    assert np.array_equal(plain.cluster_id, seen.cluster_id)
    again = simulate_event(small.model_copy(update={"wires": toy()}), 3, 1)
    assert np.array_equal(seen.wires.deposits, again.wires.deposits)
    assert np.array_equal(seen.wires.pixels.value, again.wires.pixels.value)


def test_a_track_of_a_few_voxels_is_where_its_voxels_are(small):
    """Both readouts place the same particle: voxel centres and true points of the wires agree."""
    settings = SimulationSettings.parse(small.model_dump() | {"wires": {"detector": "toy"}})
    event = simulate_event(settings, 5, 2)
    meta: VoxelMeta = settings.box.meta()
    centre = meta.centre(meta.xyz(event.voxel_id))
    truth = event.wires.deposits
    distance, _ = cKDTree(np.stack([truth[a] for a in "xyz"], 1)).query(centre)
    assert np.quantile(distance, 0.99) < 0.3
