import numpy as np
import pytest

from weft.tasks.spice.clustering import cluster, cluster_one
from weft.tasks.spice.options import ModelOptions


def toy() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """On a line: 0 and 0.1 around a sure seed, 1 and 1.2 around a less sure one, and a straggler at 3."""
    position = np.zeros((5, 3))
    position[:, 0] = [0.0, 0.1, 1.0, 1.2, 3.0]
    return position, np.full(5, 0.2), np.array([0.9, 0.3, 0.7, 0.2, 0.1])


def run(s: float = 0.5, p: float = 0.5, greedy: bool = False, cluster_all: bool = True, least: int = 1) -> list[int]:
    return cluster_one(*toy(), s, p, greedy, cluster_all, least).tolist()


@pytest.mark.parametrize("greedy", [False, True])
def test_toys(greedy: bool) -> None:
    assert run(greedy=greedy) == [0, 0, 1, 1, 1]  # the straggler goes to the nearest
    assert run(greedy=greedy, cluster_all=False) == [0, 0, 1, 1, -1]
    assert run(greedy=greedy, s=0.8) == [0] * 5  # one seed is sure enough
    assert run(greedy=greedy, s=0.95) == [-1] * 5  # none is
    assert run(greedy=greedy, s=0.0) == [0, 0, 1, 1, 2]  # the straggler is a seed itself


def test_what_a_seed_claims_depends_on_the_threshold() -> None:
    # p of 0.1 and 0.2 at a width of 0.2: exp(−1/8) = 0.88, exp(−1/2) = 0.61.
    assert run(p=0.7, cluster_all=False) == [0, 0, 1, -1, -1]
    assert run(p=0.9, cluster_all=False) == [0, -1, 1, -1, -1]


def test_voxels_compete_or_stay() -> None:
    # The sure seed is wide and takes the second voxel; the other seed has a greater claim on it.
    position = np.zeros((3, 3))
    position[:, 0] = [0.0, 0.5, 0.7]
    margin, seediness = np.array([0.5, 0.5, 0.4]), np.array([0.9, 0.1, 0.8])
    claims = [np.exp(-(0.5**2) / 0.5), np.exp(-(0.2**2) / 0.32)]
    assert claims[0] > 0.5
    assert claims[1] > claims[0]
    assert cluster_one(position, margin, seediness, 0.5, 0.5, False, True, 1).tolist() == [0, 1, 1]
    assert cluster_one(position, margin, seediness, 0.5, 0.5, True, True, 1).tolist() == [0, 0, 1]


@pytest.mark.parametrize(("rule", "expected"), [("compete", [0, 1, 1]), ("greedy", [0, 0, 1])])
def test_the_rule_is_an_option(rule: str, expected: list[int]) -> None:
    position = np.array([[0.0, 0, 0], [0.5, 0, 0], [0.7, 0, 0]])
    how = {"rule": rule, "s_thresholds": 0.5, "min_size": 1}
    options = ModelOptions.model_validate({"classes": ["shower"], "clustering": how})
    margin, seediness = np.array([0.5, 0.5, 0.4]), np.array([0.9, 0.1, 0.8])
    assert cluster(position, margin, seediness, np.zeros(3, int), options).tolist() == expected


def test_small_ones() -> None:
    # 2020 drops them in the end; SPINE takes the seed away and leaves its voxels to others.
    position = np.zeros((4, 3))
    position[:, 0] = [0.0, 5.0, 5.1, 5.2]
    margin, seediness = np.full(4, 0.5), np.array([0.9, 0.8, 0.1, 0.1])
    assert cluster_one(position, margin, seediness, 0.5, 0.5, False, True, 2).tolist() == [-1, 0, 0, 0]
    assert cluster_one(position, margin, seediness, 0.5, 0.5, True, False, 2).tolist() == [-1, 0, 0, 0]
    assert cluster_one(position, margin, seediness, 0.5, 0.5, True, True, 2).tolist() == [0, 0, 0, 0]


def reference_2020(position, margin, seediness, s, p, cluster_all):
    """The recipe of the specification, word by word, with a matrix of claims."""
    left, claims = seediness.copy(), []
    while True:
        seed = int(left.argmax())
        if left[seed] < s:
            break
        claim = np.exp(-((position - position[seed]) ** 2).sum(1) / (2 * margin[seed] ** 2 + 1e-8))
        new = (claim > p) & (left > -1)
        left[new] = -1
        claims.append(claim)
        if not new.any() or (left == -1).all():
            break
    if not claims:
        return np.full(len(seediness), -1)
    table = np.stack(claims, 1)
    return np.where(cluster_all | (table.max(1) >= p), table.argmax(1), -1)


@pytest.mark.parametrize("cluster_all", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_the_recipe_of_2020(seed: int, cluster_all: bool) -> None:
    rng = np.random.default_rng(seed)
    n = 300
    position, margin, seediness = rng.normal(size=(n, 3)) * 0.5, rng.uniform(0.1, 0.6, n), rng.random(n)
    expected = reference_2020(position, margin, seediness, 0.4, 0.3, cluster_all)
    found = cluster_one(position, margin, seediness, 0.4, 0.3, False, cluster_all, 1)
    # Seeds that nobody belongs to in the end have no number.
    pairs = {tuple(pair) for pair in np.stack([expected, found], 1).tolist()}
    assert len(pairs) == len(np.unique(expected)) == len(np.unique(found))
    assert all((a < 0) == (b < 0) for a, b in pairs)


def test_far_from_all_seeds_the_nearest_wins() -> None:
    position = np.zeros((3, 3))
    position[:, 0] = [0.0, 1.0, 900.0]  # exp of such distances is 0 for both
    assert cluster_one(position, np.full(3, 0.1), np.array([0.9, 0.8, 0]), 0.5, 0.5, False, True, 1).tolist() == [
        0,
        1,
        1,
    ]


def test_classes_have_thresholds_of_their_own() -> None:
    position, margin, seediness = toy()
    options = ModelOptions.model_validate(
        {
            "classes": ["track", "shower"],
            "clustering": {"s_thresholds": [0.8, 0.15], "p_thresholds": 0.5, "min_size": 1},
        }
    )
    twice = [np.concatenate([x, x]) for x in (position, margin, seediness)]
    labels = cluster(*twice, np.array([1] * 5 + [0] * 5), options)
    assert labels.tolist() == [0] * 5 + [1, 1, 2, 2, 2]
    assert cluster(*twice, np.array([4] * 5 + [1] * 5), options).tolist() == [-1] * 5 + [0] * 5
    assert cluster(*(x[:0] for x in twice), np.empty(0, int), options).shape == (0,)
    assert cluster(*(x[:1] for x in twice), np.array([1]), options).tolist() == [0]


def test_thresholds_by_the_name_of_the_class() -> None:
    by_name = {"michel": 0.55, "track": 0.9, "delta": 0.8, "shower": 0.7}
    options = ModelOptions.model_validate(
        {"clustering": {"s_thresholds": by_name, "p_thresholds": [0.1, 0.2, 0.3, 0.4]}}
    )
    assert options.thresholds("s_thresholds") == {0: 0.7, 1: 0.9, 2: 0.55, 3: 0.8}
    assert options.thresholds("p_thresholds") == {0: 0.1, 1: 0.2, 2: 0.3, 3: 0.4}
    assert ModelOptions().thresholds("p_thresholds") == dict.fromkeys(range(4), 0.5)


@pytest.mark.parametrize(
    "s", [[0.5], [0.5, 1.5, 0, 0], -0.1, {"track": 0.5}, {"shower": 2.0, "track": 0, "michel": 0, "delta": 0}]
)
def test_thresholds_must_fit(s: object) -> None:
    with pytest.raises(ValueError, match="s_thresholds"):
        ModelOptions.model_validate({"clustering": {"s_thresholds": s}})


def rim(mean_shift: int, fresh: float, rule: bool = False) -> list[int]:
    """Two clusters on a line, at 0 to 0.6 and at 2; the surest voxel of the first lies at its left rim."""
    position = np.zeros((9, 3))
    position[:, 0] = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 2.0, 2.1]
    margin, seediness = np.full(9, 0.3), np.array([0.9, 0.5, 0.5, 0.5, 0.5, 0.6, 0.8, 0.7, 0.6])
    return cluster_one(position, margin, seediness, 0.4, 0.5, rule, True, 1, mean_shift, fresh).tolist()


def test_a_seed_at_the_rim_moves_to_the_middle_of_what_it_claims() -> None:
    # p is 0.5 at 0.353: from 0 it claims up to 0.3, from their mean 0.15 up to 0.5, from 0.25 up to 0.6.
    assert rim(0, 0.0, True) == [0] * 4 + [1] * 3 + [2] * 2
    assert rim(1, 0.0, True) == [0] * 6 + [1] + [2] * 2
    assert rim(2, 0.0, True) == rim(2, 0.0) == [0] * 7 + [1] * 2


@pytest.mark.parametrize("greedy", [False, True])
def test_a_seed_whose_claim_is_mostly_taken_is_none(greedy: bool) -> None:
    # The voxel at 0.6 is surer than any that is left, and claims 0.3 to 0.6: three of four are fresh. The one at 0.3 is
    # as far from either.
    found = rim(0, 0.7, greedy)
    assert found[:3] + found[4:] == [0] * 3 + [1] * 3 + [2] * 2
    assert rim(0, 0.8, greedy) == [0] * 7 + [1] * 2


def test_a_first_seed_whose_centre_leaves_all_is_none() -> None:
    """A wide seed amid narrow voxels on a half sphere: its centre moves to where it claims nothing."""
    generator = np.random.default_rng(0)
    shell = generator.normal(size=(200, 3))
    shell[:, 0] = abs(shell[:, 0])
    shell *= 5 / np.linalg.norm(shell, axis=1, keepdims=True)
    far = np.array([[50.0, 0, 0], [50.1, 0, 0], [50, 0.1, 0]])
    position = np.concatenate([np.zeros((1, 3)), shell, far])
    margin = np.concatenate([[10.0], np.full(200, 0.05), np.full(3, 1.0)])
    seediness = np.concatenate([[0.95], np.full(200, 0.5), np.full(3, 0.6)])
    labels = cluster_one(position, margin, seediness, 0.4, 0.5, False, True, 1, 2, 0.0)
    assert labels[-1] == labels[-2] == labels[-3]
    assert labels[-1] not in labels[1:-3]


def reference(position, margin, seediness, s, p, greedy, mean_shift, fresh):
    """Mean shift and fresh seeds as the documentation has them, with whole rows of claims; least size 1."""
    n, limit = len(seediness), -np.log(p)
    taken, seeds, table = np.full(n, -1), ~np.zeros(n, bool), []
    for seed in np.argsort(-seediness, kind="stable"):
        if seediness[seed] < s or (taken >= 0).all():
            break
        if taken[seed] >= 0 or not seeds[seed]:
            continue
        centre, width = position[seed], margin[seed]
        for round_ in range(mean_shift + 1):
            q = ((position - centre) ** 2).sum(1) / (2 * width**2 + (0 if greedy else 1e-8))
            own = q <= limit if greedy else q < limit
            if round_ < mean_shift and own.any():
                centre, width = position[own].mean(0), margin[own].mean()
        new = own & (taken < 0)
        if new.sum() <= fresh * own.sum():
            seeds[own] = False
            continue
        taken[new] = len(table)
        table.append(q)
    if not table:
        return taken
    closest = np.stack(table, 1).argmin(1)
    return np.where(taken >= 0, taken, closest) if greedy else closest


@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize("mean_shift", [0, 4])
@pytest.mark.parametrize("fresh", [0.3, 0.8])
@pytest.mark.parametrize("seed", range(4))
def test_near_a_seed_is_all_that_it_claims(seed: int, fresh: float, mean_shift: int, greedy: bool) -> None:
    rng = np.random.default_rng(seed)
    n = 400
    position = rng.normal(size=(12, 3))[rng.integers(12, size=n)] + rng.normal(size=(n, 3)) * 0.15
    position[:5] = 40 * rng.normal(size=(5, 3))  # far away, so that most cells of the grid are empty
    margin, seediness = rng.uniform(0.05, 0.5, n), rng.random(n)
    expected = reference(position, margin, seediness, 0.2, 0.4, greedy, mean_shift, fresh)
    found = cluster_one(position, margin, seediness, 0.2, 0.4, greedy, True, 1, mean_shift, fresh)
    pairs = {tuple(pair) for pair in np.stack([expected, found], 1).tolist()}
    assert len(pairs) == len(np.unique(expected)) == len(np.unique(found)) > 5


def test_what_has_no_place_is_in_no_fragment() -> None:
    position, margin, seediness = toy()
    position[1] = np.nan
    assert cluster_one(position, margin, seediness, 0.5, 0.5, False, True, 1).tolist() == [0, -1, 1, 1, 1]
