import numpy as np
import pytest
from fragment_events import build, track

from weft.io.products import DELTA, LOW_ENERGY, SHOWER, TRACK, Ragged
from weft.reco.fragment_labels import fragment_answers, fragment_labels

A, B = track((10, 10, 10), (1, 0, 0), 5), track((10, 30, 10), (1, 0, 0), 4)
GAP = track((10, 10, 10), (1, 0, 0), 9)[[0, 1, 2, 6, 7, 8]]


def test_a_label_needs_the_right_class() -> None:
    event = build([(TRACK, A), (SHOWER, B), (LOW_ENERGY, track((40, 40, 40), (1, 0, 0), 3))])
    semantics = event["semantics"][:, 0]
    labels = fragment_labels(event, semantics, (0, 1, 2, 3))
    assert np.bincount(labels + 1).tolist() == [3, 5, 4]  # low-energy, track, shower
    assert fragment_labels(event, semantics, (TRACK,)).max() == 0
    fed = semantics.copy()
    first = np.flatnonzero(semantics == TRACK)[0]
    fed[first] = DELTA
    wrong = fragment_labels(event, fed, (0, 1, 2, 3))
    assert wrong[first] == -1
    assert (wrong >= 0).sum() == (labels >= 0).sum() - 1


def test_pieces_that_do_not_touch_are_fragments_if_asked() -> None:
    event = build([(TRACK, GAP)])
    semantics = event["semantics"][:, 0]
    assert fragment_labels(event, semantics, (TRACK,), broken=True).tolist() == [0, 0, 0, 1, 1, 1]
    assert fragment_labels(event, semantics, (TRACK,), broken=False).tolist() == [0] * 6
    # A voxel lost to another class breaks a track in two.
    whole = build([(TRACK, A)])
    fed = whole["semantics"][:, 0].copy()
    fed[2] = SHOWER
    assert fragment_labels(whole, fed, (SHOWER, TRACK)).tolist() == [0, 0, -1, 1, 1]


def test_events_without_voxels() -> None:
    event = build([])
    assert fragment_labels(event, event["semantics"][:, 0], (0, 1)).shape == (0,)


@pytest.mark.parametrize("broken", [True, False])
def test_answers_judge_by_the_true_classes(broken: bool) -> None:
    event = build([(TRACK, GAP), (SHOWER, B)])

    class Store(dict):
        def __len__(self) -> int:
            return 1

    store = Store({name: [value] for name, value in event.items()})
    store["prediction/fragment_voxels"] = [Ragged.of([np.arange(3, dtype=np.int32)])]
    (answer,) = fragment_answers(store, (0, 1, 2, 3), broken)
    assert answer.prediction.tolist() == [0, 0, 0] + [-1] * 7
    assert len(np.unique(answer.truth)) == (3 if broken else 2)
    assert answer.energy.sum() == event["charge"].sum()
