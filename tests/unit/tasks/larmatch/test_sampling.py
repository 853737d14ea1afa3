import numpy as np
import pytest
import wire_events
from pydantic import ValidationError

from weft.io.larmatch_products import KEY_POINT_KINDS
from weft.tasks.larmatch.sampling import has_charge, sample_triplets
from weft.tasks.larmatch.sampling_options import QUOTAS, SamplingOptions
from weft.triplets.label_options import LabelOptions
from weft.triplets.labels import label_event

VERTEX, START, END, SHOWER, MICHEL, DELTA = range(6)


def arrays(good, ghosts, unknown=0, near=(), seed=0):
    """Triplets of the three states of truth, shuffled; near: (kind, how many) good ones close to key points."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.array([1, 0, -1], np.int8), (good, ghosts, unknown))
    scores = np.zeros((len(truth), 6), np.float32)
    for kind, number in near:
        scores[rng.choice(good, number, replace=False), kind] = rng.uniform(0.1, 1, number)
    order = rng.permutation(len(truth))
    return {"good": truth[order], "key_points": scores[order]}


def options(**given):
    return SamplingOptions.model_validate(given)


def sample(event, seed=0, **given):
    return sample_triplets(event, options(**given), np.random.default_rng(seed))


def counts(event, rows):
    """Good ones and ghosts among the rows, which are in order, once each and of known truth."""
    assert rows.dtype == np.int64
    assert (np.diff(rows) > 0).all()
    truth = event["good"][rows]
    assert (truth >= 0).all()
    return int((truth == 1).sum()), int((truth == 0).sum())


@pytest.mark.parametrize(
    ("event", "number", "expected"),
    [
        ((500, 3000), 600, (300, 300)),
        ((500, 3000), 601, (301, 300)),
        ((100, 3000), 600, (100, 500)),  # too few good ones: filled with ghosts
        ((3000, 50), 600, (550, 50)),  # too few ghosts: filled with good ones
        ((0, 3000), 600, (0, 600)),
        ((3000, 0), 600, (600, 0)),
        ((100, 200), 600, (100, 200)),  # fewer than asked for: all
        ((0, 0), 600, (0, 0)),
        ((100, 200), None, (100, 200)),
    ],
)
@pytest.mark.parametrize("near", [True, False])
def test_half_are_good(event, number, expected, near):
    good, ghosts = event
    made = arrays(good, ghosts, unknown=70, near=[(START, good // 3), (SHOWER, good // 5)])
    given = {"key_points": {}} if near else {"key_points": None}
    assert counts(made, sample(made, triplets=number, **given)) == expected


def test_without_balance_they_come_as_they_are():
    made = arrays(3000, 9000, near=[(END, 1000)])
    shares = [counts(made, sample(made, seed, triplets=2000, balance=False))[0] / 2000 for seed in range(40)]
    assert np.mean(shares) == pytest.approx(0.25, abs=0.005)
    assert 0.005 < np.std(shares) < 0.015  # √(¼·¾/2000) = 0.0097, times √(1 − 2000/12000)


def test_a_sample_depends_on_the_generator_only():
    made = arrays(3000, 9000, near=[(VERTEX, 500)])
    again = sample(made, 7, triplets=1000)
    assert np.array_equal(sample(made, 7, triplets=1000), again)
    assert not np.array_equal(sample(made, 8, triplets=1000), again)
    np.random.seed(3)  # noqa: NPY002, that of others does not matter
    assert np.array_equal(sample(made, 7, triplets=1000), again)


def test_every_triplet_of_a_kind_is_as_likely():
    made = arrays(60, 240)
    drawn = np.zeros(300)
    for seed in range(2000):
        drawn[sample(made, seed, triplets=60, key_points=None)] += 1 / 2000
    # 30 of 60 good ones, 30 of 240 ghosts; within five standard deviations of 2,000 draws.
    for state, chance in ((1, 1 / 2), (0, 1 / 8)):
        spread = 5 * np.sqrt(chance * (1 - chance) / 2000)
        assert np.abs(drawn[made["good"] == state] - chance).max() < spread


def near(made, rows, kind):
    return int((made["key_points"][rows, kind] > 0.05).sum())


def test_key_points_take_their_share():
    # 20 of 2,000 good ones are near a vertex: by chance 5 of 500 would be drawn.
    made = arrays(2000, 8000, near=[(VERTEX, 20)])
    rows = sample(made, triplets=1000)
    assert counts(made, rows) == (500, 500)
    assert near(made, rows, VERTEX) == 20
    assert near(made, sample(made, triplets=1000, key_points=None), VERTEX) < 15


def test_quotas_hold_and_what_is_left_is_drawn_from_the_others():
    # No two kinds on one triplet, so that each kind has its quota and chance adds what it adds.
    made = arrays(4000, 4000)
    good = np.flatnonzero(made["good"] == 1)
    for kind, part in ((SHOWER, slice(0, 1000)), (DELTA, slice(1000, 2000))):
        made["key_points"][good[part], kind] = 0.5
    rows = sample(made, triplets=2000, key_points={"share": 1, "quotas": {"shower_start": 300, "delta": 100}})
    assert counts(made, rows) == (1000, 1000)
    # The other 600 are drawn from the 3,600 good ones left, of which 700 and 900 are near.
    assert near(made, rows, SHOWER) == pytest.approx(300 + 600 * 700 / 3600, abs=50)
    assert near(made, rows, DELTA) == pytest.approx(100 + 600 * 900 / 3600, abs=50)


def test_rare_kinds_come_first():
    made = arrays(4000, 4000)
    good = np.flatnonzero(made["good"] == 1)
    made["key_points"][good[:90], MICHEL] = 0.5
    made["key_points"][good[90:3000], END] = 0.5
    # A share of 100: the 90 of the Michel electron first, whatever the order of the quotas.
    given = {"triplets": 1000, "key_points": {"share": 0.2, "quotas": {"track_end": 2000, "michel": 2000}}}
    rows = sample(made, **given)
    assert near(made, rows, MICHEL) == 90
    # 10 of the ends are left of the share, and 400 of 3,900 are drawn by chance, 2,900 of which are ends.
    assert near(made, rows, END) == pytest.approx(10 + 400 * 2900 / 3900, abs=40)
    assert tuple(QUOTAS)[:3] == ("nu_vertex", "shower_start", "michel")
    assert set(QUOTAS) == set(KEY_POINT_KINDS)


def test_a_triplet_near_two_key_points_counts_once():
    made = arrays(2000, 2000)
    good = np.flatnonzero(made["good"] == 1)[:50]
    made["key_points"][good] = 0.9
    assert counts(made, sample(made, triplets=1000)) == (500, 500)
    assert near(made, sample(made, triplets=1000), DELTA) == 50


def test_how_close_is_close():
    made = arrays(2000, 2000)
    good = np.flatnonzero(made["good"] == 1)
    made["key_points"][good[:40], VERTEX], made["key_points"][good[40:80], VERTEX] = 0.3, 0.8
    rows = sample(made, triplets=200, key_points={"above": 0.5})
    assert np.isin(good[40:80], rows).all()
    assert np.isin(good[:40], rows).sum() < 20
    assert near(made, sample(made, triplets=400), VERTEX) == 80


def test_charge_cut():
    pixel = np.array([[0, 1, 2], [0, 1, 3], [0, 3, 4], [3, 3, 3]])
    charge = np.array([31.0, 50, 30, 10, 0], np.float32)  # the last on a dead wire
    above = options(charge={"above": 30, "pixels": 2}).charge
    assert has_charge(pixel, charge, above).tolist() == [True, True, False, False]
    assert has_charge(pixel, charge, above.model_copy(update={"pixels": 3})).tolist() == [False] * 4
    made = {**arrays(2, 2), "pixel": pixel, "charge": charge}
    assert sample(made, charge={"above": 30}).tolist() == [0, 1]
    assert sample(made).tolist() == [0, 1, 2, 3]


def test_unknown_kinds_and_empty_quotas_are_errors():
    with pytest.raises(ValidationError, match="'vertex' is no kind of key point: there are nu_vertex"):
        options(key_points={"quotas": {"vertex": 100}})
    with pytest.raises(ValidationError, match="delta: 0, expected at least 1"):
        options(key_points={"quotas": {"delta": 0}})


@pytest.mark.parametrize("seed", range(3))
def test_events_on_wires_are_balanced(seed):
    event = wire_events.event(seed, particles=8, dead=20)
    truth = event["truth/wire_deposits"], event["truth/particles"]
    labels = label_event(event["pixels"], event["triplets"], *truth, LabelOptions())
    made = {"good": labels.good, "key_points": labels.key_points}
    good, half = labels.good == 1, 90
    assert half < min(good.sum(), (~good).sum())
    rows = sample(made, triplets=2 * half)
    assert counts(made, rows) == (half, half)
    # Half of the good ones are near key points, or all that there are.
    close = labels.key_points.max(1) > 0.05
    assert close[rows].sum() >= min(close.sum(), half // 2) > 0
