"""From scored triplets to space points and key points, on tables made by hand."""

from __future__ import annotations

import numpy as np

from weft.io.larmatch_products import KEY_POINT_KINDS, space_points, triplet_scores
from weft.io.products import Filtered
from weft.io.wire_products import PIXELS, TRIPLETS
from weft.triplets.points import find_key_points, kept_rows, space_points_of

SCORES = triplet_scores(("key_points", "semantics"), ("muon",))


def event() -> tuple[np.ndarray, np.ndarray, Filtered]:
    """Two pixels in each plane, the second of plane 1 dead; triplets of all, the first of them not scored."""
    pixels = np.zeros(6, PIXELS.dtype)
    pixels["tpc"], pixels["plane"], pixels["row"] = 1, [0, 0, 1, 1, 2, 2], 7
    pixels["wire"], pixels["charge"], pixels["dead"] = [10, 11, 20, 21, 30, 31], [1, 2, 3, 0, 5, 6], [0, 0, 0, 1, 0, 0]
    triplets = np.zeros(8, TRIPLETS.dtype)
    for plane, members in enumerate(np.array(np.meshgrid([0, 1], [2, 3], [4, 5], indexing="ij")).reshape(3, -1)):
        triplets[f"pixel_{plane}"] = members
    triplets["x"], triplets["y"] = np.arange(8), 0.5
    said = np.zeros(7, SCORES.dtype)
    said["larmatch"] = [0.2, 0.9, 0.6, 0.5, 0.95, 0.4, 0.6]
    said["class_muon"], said["key_delta"] = np.arange(7) / 10, 0.1
    return pixels, triplets, Filtered(said, np.arange(1, 8, dtype=np.int32))


def test_kept_rows_by_score_and_by_pixel() -> None:
    _, triplets, scores = event()
    assert kept_rows(triplets, scores, 0.5, None).tolist() == [1, 2, 3, 4, 6]
    assert kept_rows(triplets, scores, 0.6, None).tolist() == [1, 2, 4, 6]  # as float32, 0.6 is not below 0.6
    # Pixels 4 and 5 of plane 2: triplets 2, 4, 6 and 3, 5, 7.
    assert kept_rows(triplets, scores, 0.5, 2).tolist() == [1, 4]
    # Pixels 2 and 3 of plane 1: triplets 4, 5 and 2, 3, 7; the dead one has its best triplet too.
    assert kept_rows(triplets, scores, 0.5, 1).tolist() == [1, 4]
    # Of plane 0: triplets 2, 3 and 4, 5, 7.
    assert kept_rows(triplets, scores, 0.5, 0).tolist() == [1, 4]
    assert kept_rows(triplets, scores, 0.99, 0).tolist() == []


def test_a_space_point_says_all_of_itself() -> None:
    pixels, triplets, scores = event()
    schema = space_points(triplet_scores(("semantics",), ("muon",)))
    made = space_points_of(pixels, triplets, scores, np.array([1, 4]), schema)
    assert made.dtype == schema.dtype
    assert made["triplet"].tolist() == [2, 5]
    assert made[0].tolist()[1:10] == (1, 7, 10, 21, 30, 1.0, 0.0, 5.0, 1)
    assert made["dead_plane"].tolist() == [1, -1]
    assert made["wire_2"].tolist() == [30, 31]
    assert made["x"].tolist() == [2.0, 5.0]
    np.testing.assert_allclose(made["larmatch"], [0.9, 0.95], rtol=1e-6)
    np.testing.assert_allclose(made["class_muon"], [0.1, 0.4], rtol=1e-6)
    assert "key_delta" not in made.dtype.names
    assert len(space_points_of(pixels, triplets, scores, np.zeros(0, np.int64), schema)) == 0


def points(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    triplets, said = np.zeros(len(x), TRIPLETS.dtype), np.zeros(len(x), SCORES.dtype)
    triplets["x"], said["larmatch"] = x, 1.0
    return triplets, said


def test_key_points_are_the_best_triplets_kind_by_kind() -> None:
    x = np.arange(0, 40, 0.25)
    triplets, said = points(x)
    said["key_track_start"] = np.exp(-0.5 * ((x - 5) / 3) ** 2)
    said["key_track_end"] = np.maximum(np.exp(-0.5 * ((x - 12) / 3) ** 2), np.exp(-0.5 * ((x - 30) / 3) ** 2))
    said["larmatch"][x == 12] = 0.8
    found = find_key_points(triplets, said, 3.0, [0.5] * 6, 3)
    assert [KEY_POINT_KINDS[kind] for kind in found["kind"]] == ["track_start", "track_end", "track_end"]
    assert found["x"].tolist() == [5.0, 30.0, 11.75]  # beside the triplet that is less likely
    np.testing.assert_allclose(found["score"], [1, 1, np.exp(-0.5 / 144)], rtol=1e-6)
    assert found["support"].tolist() == [25, 25, 25]


def test_thresholds_of_kinds_and_support() -> None:
    triplets, said = points(np.array([0.0, 0.1, 20.0, 20.1, 20.2]))
    said["key_michel"] = said["key_delta"] = [0.6, 0.4, 0.6, 0.6, 0.6]

    def kinds(least: list[float], support: int) -> list[int]:
        return find_key_points(triplets, said, 3.0, least, support)["kind"].tolist()

    assert kinds([0.5] * 6, 1) == [4, 4, 5, 5]
    assert kinds([0.5, 0.5, 0.5, 0.5, 0.7, 0.5], 1) == [5, 5]
    assert kinds([0.5] * 6, 2) == [4, 5]
    assert kinds([0.3] * 6, 2) == [4, 4, 5, 5]
    assert kinds([0.5] * 6, 4) == []


def test_nothing_at_all() -> None:
    triplets, said = points(np.zeros(0))
    assert len(find_key_points(triplets, said, 3.0, [0.5] * 6, 1)) == 0
