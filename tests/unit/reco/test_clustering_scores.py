"""Score tables of clusterings: classes, objects with their matches, errors, files."""

import numpy as np
import pandas as pd
import pytest

from weft.errors import WeftError
from weft.io.products import EVENT_DTYPE, LOW_ENERGY, SHOWER, TRACK
from weft.metrics.clustering import ari, efficiency
from weft.metrics.scores import concat, pool, read_scores, write_scores
from weft.reco.clustering_scores import EVENT_COLUMNS, OBJECT_COLUMNS, Answer, metrics, score_answers

EVENTS = np.array([(1, 0, k, 100 + k) for k in range(3)], EVENT_DTYPE)

# Six shower voxels in two clusters, three track voxels in one; the prediction joins the second shower to the track.
TRUTH = np.array([5, 5, 5, 5, 8, 8, 9, 9, 9, -1])
PREDICTION = np.array([0, 0, 0, -1, 1, 1, 1, 1, 1, 0])
CLASSES = np.array([SHOWER] * 6 + [TRACK] * 3 + [LOW_ENERGY])
ENERGY = np.arange(1.0, 11.0)
ANSWER = Answer(TRUTH, PREDICTION, CLASSES, ENERGY)
EMPTY = Answer(*(np.empty(0, kind) for kind in (int, int, int, float)))


def scored(answers, **options):
    return score_answers(answers, EVENTS[: len(answers)], "test", "0000", **options)


def test_counts_by_hand():
    row = scored([ANSWER]).events.iloc[0]
    assert (row["uid"], row["split"], row["shard"]) == (100, "test", "0000")
    assert (row["true_all"], row["predicted_all"], row["voxels_all"], row["assigned_all"]) == (3, 2, 9, 8)
    assert (row["found_all"], row["pure_all"]) == (3 + 2 + 3, 3 + 3)
    assert row["purity_all"] == pytest.approx(1 + 3 / 5)
    assert row["efficiency_all"] == pytest.approx(3 / 4 + 1 + 1)
    assert row["ari_all"] == pytest.approx(ari(TRUTH, PREDICTION))


def test_a_class_is_judged_by_its_own_voxels():
    """Restricted to showers, the mixed cluster is pure."""
    row = scored([ANSWER]).events.iloc[0]
    assert row["purity_shower"] == pytest.approx(2.0)
    assert (row["true_track"], row["ari_track"], row["true_michel"], row["judged_michel"]) == (1, 1.0, 0, 0)
    found = metrics(scored([ANSWER]).events).iloc[0]
    assert found["efficiency_shower"] == pytest.approx(efficiency(TRUTH[:6], PREDICTION[:6]))
    assert np.isnan(found["ari_delta"])


def test_objects_by_hand():
    table = scored([ANSWER]).objects
    true, predicted = (table[table["side"] == side].reset_index(drop=True) for side in ("truth", "prediction"))
    assert true["cluster"].tolist() == [5, 8, 9]
    assert true["class"].tolist() == [SHOWER, SHOWER, TRACK]
    assert true["voxels"].tolist() == [4, 2, 3]
    assert true["energy"].tolist() == [10.0, 11.0, 24.0]
    assert true["matched"].tolist() == [0, 1, 1]
    assert true["overlap"].tolist() == [3, 2, 3]
    assert true["matched_voxels"].tolist() == [3, 5, 5]
    assert predicted["cluster"].tolist() == [0, 1]
    assert predicted["class"].tolist() == [SHOWER, TRACK]
    assert predicted["energy"].tolist() == [6.0, 35.0]  # judged voxels alone
    assert predicted["matched"].tolist() == [5, 9]
    assert predicted["overlap"].tolist() == [3, 3]
    assert predicted["matched_voxels"].tolist() == [4, 3]


def test_a_cluster_that_nobody_found_and_one_of_no_class():
    answer = Answer(np.array([0, 0, 1]), np.array([-1, -1, 4]), np.array([TRACK, TRACK, -1]), np.ones(3))
    table = scored([answer]).objects
    assert table["matched"].tolist() == [-1, 4, 1]
    assert table["overlap"].tolist() == [0, 1, 1]
    assert table["matched_voxels"].tolist() == [0, 1, 1]
    assert table["class"].tolist() == [TRACK, -1, -1]


def test_shares_of_objects_add_up_to_the_counts():
    rng = np.random.default_rng(1)
    answers = [
        Answer(rng.integers(-1, 6, 80), rng.integers(-1, 7, 80), rng.integers(-1, 5, 80), rng.random(80))
        for _ in EVENTS
    ]
    scores = scored(answers)
    share = scores.objects["overlap"] / scores.objects["voxels"]
    for side, name, number in (("truth", "efficiency_all", "true_all"), ("prediction", "purity_all", "predicted_all")):
        own = scores.objects["side"] == side
        assert share[own].sum() == pytest.approx(scores.events[name].sum())
        assert own.sum() == scores.events[number].sum()


def test_empty_events_keep_their_row_and_columns_their_types():
    scores = scored([EMPTY, ANSWER, EMPTY])
    assert scores.events["judged_all"].tolist() == [0, 1, 0]
    alone = scored([EMPTY])
    assert len(alone.objects) == 0
    for kind in range(3):
        pd.testing.assert_series_equal(scores[kind].dtypes, alone[kind].dtypes)


def test_chosen_classes():
    columns = scored([ANSWER], classes=(TRACK, LOW_ENERGY)).events
    assert "ari_low_energy" in columns
    assert "ari_shower" not in columns


def test_tables_say_what_they_hold_and_survive_a_file(tmp_path):
    parts = [scored([ANSWER, EMPTY]), scored([EMPTY])]
    assert set(parts[0].objects) == set(OBJECT_COLUMNS)
    assert parts[0].events.attrs["columns"] == dict(EVENT_COLUMNS)
    write_scores(tmp_path, parts)
    for read, made in zip(read_scores(tmp_path), concat(parts), strict=True):
        pd.testing.assert_frame_equal(read, made, check_dtype=False)
    assert metrics(pool(read_scores(tmp_path).events))["ari"][0] == pytest.approx(ari(TRUTH, PREDICTION))


def test_an_answer_that_does_not_fit_names_its_event():
    with pytest.raises(WeftError, match="shard 0000: event 1/0/1: voxels of an answer: truth 10, prediction 9"):
        scored([ANSWER, ANSWER._replace(prediction=PREDICTION[:9])])
