import json

import numpy as np
from fragment_events import event, track

from weft.reco.dbscan_choice import Setting, as_json, choose, divide, fragments_of, from_json
from weft.reco.fragment_labels import fragment_labels

CROSS = np.unique(np.concatenate([track((5, 20, 20), (1, 0, 0), 31), track((20, 5, 20), (0, 1, 0), 31)]), axis=0)


def test_a_cross_is_one_component_and_four_arms_where_it_is_cut() -> None:
    assert divide(CROSS, Setting(1.8)).max() == 0
    labels = divide(CROSS, Setting(1.8, 1.0, 0.9))
    assert labels.min() == 0
    ends = labels[
        [np.flatnonzero((end == CROSS).all(1))[0] for end in ([5, 20, 20], [35, 20, 20], [20, 5, 20], [20, 35, 20])]
    ]
    assert len(set(ends.tolist())) == 4
    assert divide(np.empty((0, 3), np.int32), Setting(1.8, 1.0)).shape == (0,)


def test_what_suits_a_class_is_chosen() -> None:
    examples = []
    for seed in range(3):
        made = event(seed)
        semantics = made["semantics"][:, 0]
        examples.append((made["voxels"], semantics, fragment_labels(made, semantics, (0, 1))))
    settings = [Setting(1.8), Setting(30.0), Setting(1.8, 2.0, 0.9)]
    chosen = choose(examples, (0, 1, 2), settings)
    assert chosen[0].best == Setting(1.8)  # blobs are not lines
    assert chosen[0].scores[Setting(1.8)] > chosen[0].scores[Setting(30.0)]
    assert chosen[1].best == Setting(1.8, 2.0, 0.9)  # tracks meet at a vertex
    assert chosen[2].best == settings[0]  # no event has any: the first
    assert from_json(json.loads(json.dumps(as_json(chosen)))) == chosen


def test_fragments_keep_classes_apart_and_drop_small_ones() -> None:
    voxels = np.concatenate([track((0, 0, 0), (1, 0, 0), 4), track((0, 1, 0), (1, 0, 0), 4), [[50, 50, 50]]])
    semantics = np.array([0] * 4 + [1] * 4 + [1])
    chosen = {0: Setting(1.8), 1: Setting(1.8)}
    labels = fragments_of(voxels, semantics, chosen, 2)
    assert len(set(labels[:8].tolist())) == 2
    assert labels[8] == -1
    assert fragments_of(voxels, semantics, chosen, 1)[8] >= 0
    assert (fragments_of(voxels, semantics, {0: Setting(1.8)}, 1)[4:] == -1).all()
