import numpy as np
import pytest

from weft.reco.nodes import numbered_by_first
from weft.tasks.fragmenting_components import fragments, touching_parts
from weft.tasks.graph_spice.options import ClusteringOptions

LINE = np.arange(10)[:, None] * np.array([1, 0, 0])
NONE = np.empty((0, 2), np.int64)


def run(kept: object, classes: object = 1, coords: np.ndarray = LINE, **options: object) -> list[int]:
    kept = np.array(kept, np.int64).reshape(-1, 2)
    each = np.broadcast_to(np.asarray(classes), len(coords))
    return fragments(coords, each, kept, (0, 1), ClusteringOptions(**options)).tolist()  # type: ignore[arg-type]


def chain(start: int, stop: int) -> list[list[int]]:
    return [[i, i + 1] for i in range(start, stop - 1)]


def test_components() -> None:
    assert run(chain(0, 4) + chain(4, 10)) == [0] * 4 + [1] * 6
    assert run([], min_size=0) == list(range(10))


def test_orphans_are_adopted_round_by_round() -> None:
    # Voxels 4, 5 and 6 are on their own between two components: 4 and 6 have one neighbour each, then 5 is asked by
    # both sides, and of equals the first is taken.
    found = run(chain(0, 4) + chain(7, 10))
    assert found[:6] == [0] * 6
    assert len(set(found[6:])) == 1
    assert found[6] != 0


def test_orphans_without_neighbours_touch_each_other_or_are_dropped() -> None:
    apart = np.concatenate([LINE[:5], LINE[5:] + np.array([50, 0, 0])])
    found = run(chain(0, 5), coords=apart)
    assert found[:5] == [0] * 5
    assert len(set(found[5:])) == 1
    assert found[5] > 0
    assert run(chain(0, 5), coords=apart, assign_all=False) == [0] * 5 + [-1] * 5


def test_neighbours_of_orphans_are_as_far_as_told() -> None:
    apart = np.concatenate([LINE[:5], LINE[5:6] + np.array([2, 0, 0])])  # an orphan three steps behind the others
    assert run(chain(0, 5), coords=apart, assign_all=False)[5] == -1
    assert run(chain(0, 5), coords=apart, assign_all=False, orphan_radius=2.9)[5] == -1
    assert run(chain(0, 5), coords=apart, assign_all=False, orphan_radius=3.1)[5] == 0


def test_most_neighbours_decide() -> None:
    # The orphan in the middle touches two voxels of the second component and one of the first.
    coords = np.array([[0, 0, 0], [-1, 0, 0], [-2, 0, 0], [2, 1, 0], [2, -1, 0], [3, 0, 0], [1, 0, 0]])
    found = run([[0, 1], [1, 2], [3, 5], [4, 5]], coords=coords)
    assert found[6] == found[3] != found[0]


def test_classes_stay_apart_and_others_have_none() -> None:
    classes = np.array([0] * 5 + [1] * 4 + [4])
    found = run(chain(0, 5) + chain(5, 9), classes)
    assert found == [0] * 5 + [1] * 4 + [-1]
    lonely = run(chain(0, 5), np.array([0] * 5 + [1] * 5))
    assert len(set(lonely[5:])) == 1
    assert lonely[5] != lonely[0]  # neighbours of another class adopt nobody


@pytest.mark.parametrize("n", [0, 1])
def test_few_voxels(n: int) -> None:
    assert run(NONE, coords=LINE[:n]) == [0] * n
    assert run(NONE, coords=LINE[:n], assign_all=False) == [-1] * n


def same(found: object, expected: object) -> bool:
    """Whether two partitions are one, whatever the numbers."""
    return numbered_by_first(np.asarray(found)).tolist() == numbered_by_first(np.asarray(expected)).tolist()


def test_parts_of_a_cluster_that_do_not_touch_are_fragments_of_their_own() -> None:
    coords = np.concatenate([LINE[:4], LINE[4:8] + np.array([2, 0, 0]), LINE[8:] + np.array([20, 0, 0])])
    one = np.zeros(10, np.int64)
    assert touching_parts(one, coords, one, 1).tolist() == [0] * 4 + [1] * 4 + [2] * 2
    corner = np.array([[0, 0, 0], [1, 1, 1], [3, 1, 1]])
    assert touching_parts(np.zeros(3, np.int64), corner, np.zeros(3), 1).tolist() == [0, 0, 1]


def test_a_small_part_joins_the_one_beside_it_of_its_class_alone() -> None:
    # Two voxels in the middle of a line of ten, of a cluster of their own.
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2, 2])
    one = np.ones(10, np.int64)
    assert same(touching_parts(labels, LINE, one, 2), labels)
    assert same(touching_parts(labels, LINE, one, 3), [0] * 5 + [1] * 5)
    classes = np.where(labels == 1, 0, 1)
    assert len(set(touching_parts(labels, LINE, classes, 3).tolist())) == 3  # nobody of its class: it stays
    assert touching_parts(np.where(labels == 1, -1, labels), LINE, one, 3).tolist()[4:6] == [-1, -1]


def test_touching_parts_of_nothing() -> None:
    none = np.empty(0, np.int64)
    assert touching_parts(none, np.empty((0, 3), np.int64), none, 3).tolist() == []
    gone = np.full(10, -1)
    assert touching_parts(gone, LINE, np.ones(10, np.int64), 3).tolist() == [-1] * 10
