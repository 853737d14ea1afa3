"""True labels against SPINE: shared voxels, fragments, and which groups are clear enough to learn from
(`pip install spine`)."""

import numpy as np
import pytest

from weft.bench.spine_setup import spine_grouping
from weft.io.products import CLUSTERS, PARTICLES, Ragged
from weft.io.voxels import merge_voxels
from weft.reco.labels import PRECEDENCE, voxel_particles
from weft.reco.truth import Truth
from weft.tasks.grappa.batch import targets_of
from weft.tasks.grappa.options import Options

pytest.importorskip("spine", reason="SPINE is not installed: pip install spine")

from spine.cluster.formation import form_clusters
from spine.io.parse.clean_data import clean_sparse_data

pytestmark = pytest.mark.peer

SIDE = 6


def shared(seed, rows=300, clusters=12):
    """Rows of overlapping clusters: voxel, value, cluster and the class of each cluster; a voxel once in a cluster."""
    rng = np.random.default_rng(seed)
    voxel, cluster = np.divmod(rng.choice(SIDE**3 * clusters, rows, replace=False), clusters)
    order = np.argsort(cluster, kind="stable")
    voxel, cluster = voxel[order], cluster[order]
    z, rest = np.divmod(voxel, SIDE * SIDE)
    y, x = np.divmod(rest, SIDE)
    return np.stack([x, y, z], 1), rng.gamma(2, 1, rows), cluster, rng.integers(0, 7, clusters), voxel


def theirs(coords, value, cluster, shape, precedence):
    """SPINE's rows: voxels, then value, cluster and class."""
    features = np.stack([value, cluster, shape], 1).astype(np.float64)
    return clean_sparse_data(
        coords.astype(np.int64), features, sum_cols=np.array([0]), prec_col=2, precedence=np.array(precedence)
    )


def test_voxels_that_clusters_share_have_the_sum_and_the_first_class():
    for seed in range(20):
        coords, value, cluster, shapes, voxel = shared(seed)
        order = (1, 2, 0, 3, 4, 6, 5)
        voxels, features = theirs(coords, value, cluster, shapes[cluster], order)
        ids, sums, row = merge_voxels(voxel.astype(np.uint64), value, shapes[cluster], order)
        np.testing.assert_array_equal(voxels @ [1, SIDE, SIDE**2], ids)
        np.testing.assert_allclose(sums, features[:, 0])
        np.testing.assert_array_equal(shapes[cluster][row], features[:, 2])
        np.testing.assert_array_equal(cluster[row], features[:, 1])  # of several of a class the last one


def overlapping(seed):
    """An event of overlapping clusters with the classes that SPINE gives its voxels, and SPINE's features of them."""
    coords, value, cluster, shapes, voxel = shared(seed)
    shapes %= 5
    voxels, features = theirs(coords, value, cluster, shapes[cluster], (*PRECEDENCE, 6, 5))
    items = np.empty(len(voxel), CLUSTERS.dtype)
    items["voxel"], items["energy"] = np.unique(voxel, return_inverse=True)[1], value
    particles = np.zeros(len(shapes), PARTICLES.dtype)
    particles["shape"] = shapes
    counts = np.bincount(cluster, minlength=len(shapes))
    event = {
        "voxels": voxels,
        "semantics": features[:, 2:].astype(np.int8),
        "clusters": Ragged(items, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)),
        "particles": particles,
    }
    return event, features, np.stack([items["voxel"], shapes[cluster]], 1)


def test_the_owner_of_a_voxel_is_of_the_class_that_comes_first():
    """SPINE knows the class of a voxel by the order alone; of several of a class ours is the one that left most."""
    for seed in range(20):
        event, features, claims = overlapping(seed)
        owner = voxel_particles(event)
        shape = event["particles"]["shape"][owner]
        np.testing.assert_array_equal(shape, features[:, 2])
        claimed, number = np.unique(claims, axis=0, return_counts=True)
        several = claimed[number > 1]
        single = ~(np.stack([np.arange(len(owner)), shape], 1)[:, None] == several).all(2).any(1)
        assert single.sum() > 50
        np.testing.assert_array_equal(owner[single], features[single, 1])


def test_true_fragments_are_the_clusters_that_are_formed_of_owners():
    for seed in range(10):
        event, _, _ = overlapping(seed)
        ours = Truth(event).fragment_voxels
        owner = voxel_particles(event)
        found, sizes = form_clusters(owner, -1, [0, 1, 2, 3], event["semantics"][:, 0])
        assert [rows.tolist() for rows in ours] == [rows.tolist() for rows in found]
        assert ours.counts.tolist() == sizes.tolist()
        assert len(ours) > 5


@pytest.fixture(scope="module")
def evaluation():
    return spine_grouping()


def test_groups_with_one_primary_are_learned_from(evaluation):
    """Nodes as SPINE's `high_purity` has it. Edges: SPINE leaves out those between two groups that are both unclear as
    well; their label is certain (off), so ours keep it."""
    options = Options.model_validate({"model": {"instance": "shower"}})
    model, loss = options.model, options.loss
    assert loss.edge.high_purity
    assert loss.primary.high_purity
    for seed in range(50):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 20))
        group, own = rng.integers(0, 5, n), np.arange(n)
        own[rng.random(n) < 0.2] = 0  # one particle in several pieces
        primary = (rng.random(n) < 0.35).astype(np.int64)
        primary[own == 0] = primary[0]
        group[own == 0] = group[0]
        edges = np.stack(np.triu_indices(n, 1), 1)
        targets = targets_of(arrays_of(group, own, primary), edges, model, loss)
        clear = evaluation.node_purity_mask(group, primary)
        np.testing.assert_array_equal(targets["primary"], np.where(clear, primary, -1))
        mask = evaluation.edge_purity_mask(edges, own, group, primary)
        together = group[edges[:, 0]] == group[edges[:, 1]]
        np.testing.assert_array_equal(targets["edge"][mask], together[mask])
        np.testing.assert_array_equal(targets["edge"][~mask], np.where(together[~mask], -1, 0))


def arrays_of(group, own, primary):
    """Nodes as the network reads them, as far as their targets need."""
    n = len(group)
    points = {name: np.zeros((n, 3), np.float32) for name in ("start", "end", "true_start", "true_end", "vertex")}
    return points | {
        "group": group,
        "own": own,
        "parent": np.full(n, -1),
        "primary": primary,
        "pid": np.full(n, -1),
        "momentum": np.full(n, np.nan, np.float32),
        "good": np.ones(n, bool),
        "shape": np.zeros(n, np.int64),
        "extent": np.full(3, 64.0),
    }
