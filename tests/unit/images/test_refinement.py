"""Opening, closing and the conditional random field."""

import numpy as np
import pytest

from weft.images.crf import refined
from weft.images.crf_options import CrfOptions
from weft.images.morphology import closed, disc, opened


def one_hot(mask, classes=3, sure=0.8):
    """Probabilities of a mask, the rest on the class after it."""
    k = np.maximum(mask, 0)
    made = np.full((classes, *mask.shape), 0.01, np.float32)
    np.put_along_axis(made, ((k + 1) % classes)[None], 1 - sure, 0)
    np.put_along_axis(made, k[None], sure, 0)
    return made / made.sum(0)


def test_discs():
    assert disc(1).astype(int).tolist() == [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    assert disc(2).sum() == 13


def test_opening_gives_spots_to_the_next_best_class():
    mask = np.zeros((12, 12), np.int16)
    mask[2, 2] = 1  # a spot
    mask[6:11, 6:11] = 1  # stays but for its corners
    mask[0, 11] = -1
    made = opened(mask, 1, one_hot(mask))
    assert made[2, 2] == 2
    assert made[8, 8] == 1
    assert made[0, 11] == -1
    assert (made[6:11, 6:11] == 1).sum() == 21
    assert (made == 0).sum() == (mask == 0).sum(), "large areas and the borders of the picture stay"
    certain = (np.arange(3)[:, None, None] == np.maximum(mask, 0)).astype(np.float32)
    assert np.array_equal(opened(mask, 1, certain), mask), "where no other class is possible nothing changes"


def test_closing_fills_gaps():
    mask = np.zeros((13, 20), np.int16)
    mask[4:9, 2:18] = 1
    mask[6, 9] = 0  # a hole
    mask[0, 0] = -1
    mask[6, 14] = -1  # a hole without a label
    made = closed(mask, 1)
    assert made[6, 9] == 1
    assert made[0, 0] == made[6, 14] == -1
    assert (made == 1).sum() == 5 * 16 - 1
    two = np.where(np.arange(20) < 10, 1, 2)[None].repeat(13, 0).astype(np.int16)
    assert np.array_equal(closed(two, 2), two), "straight borders stay where they are"


def brute_force(probabilities, picture, options):
    """As published, pixel by pixel."""
    classes, rows, columns = probabilities.shape
    unary = np.log(np.maximum(probabilities.astype(np.float64), 1e-6))
    q = np.exp(unary) / np.exp(unary).sum(0)
    places = [(y, x) for y in range(rows) for x in range(columns)]
    for _ in range(options.iterations):
        message = np.zeros((classes, rows, columns))
        for y, x in places:
            others = [(j, i) for j, i in places if (j, i) != (y, x) and max(abs(j - y), abs(i - x)) <= options.radius]
            far = np.array([(j - y) ** 2 + (i - x) ** 2 for j, i in others])
            differ = np.array([((picture[:, j, i] - picture[:, y, x]) ** 2).sum() for j, i in others])
            beliefs = np.stack([q[:, j, i] for j, i in others], 1)
            near = np.exp(-far / (2 * options.smooth_width**2))
            alike = np.exp(-far / (2 * options.colour_width**2) - differ / (2 * options.colour_range**2))
            message[:, y, x] = options.smooth_weight * beliefs @ near / near.sum()
            message[:, y, x] += options.colour_weight * beliefs @ alike / alike.sum()
        logits = unary + message
        q = np.exp(logits - logits.max(0))
        q /= q.sum(0)
    return q


@pytest.mark.parametrize("options", [CrfOptions(radius=2, iterations=2), CrfOptions(radius=1, smooth_weight=0)])
def test_mean_field_equals_brute_force(options):
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), (6, 7)).transpose(2, 0, 1).astype(np.float32)
    picture = (0.2 * rng.random((3, 6, 7))).astype(np.float32)
    made = refined(probabilities, picture, options)
    assert made == pytest.approx(brute_force(probabilities, picture, options), abs=1e-4)
    assert made.sum(0) == pytest.approx(1, abs=1e-5)


def test_a_mask_follows_the_edges_of_the_picture():
    truth = np.zeros((30, 40), np.int64)
    truth[:, 20:] = 1
    rng = np.random.default_rng(1)
    picture = (0.3 + 0.4 * truth + 0.02 * rng.normal(size=(3, 30, 40))).astype(np.float32)
    # A network that is unsure, noisy, and two pixels off.
    shifted = np.roll(truth, 2, axis=1)
    shifted[:, :2] = 0
    one = np.clip(0.35 + 0.3 * shifted + 0.15 * rng.normal(size=truth.shape), 0.02, 0.98)
    probabilities = np.stack([1 - one, one]).astype(np.float32)
    before = (probabilities.argmax(0) == truth).mean()
    after = (refined(probabilities, picture, CrfOptions()).argmax(0) == truth).mean()
    assert before < 0.9
    assert after > 0.97


def test_without_weights_nothing_changes():
    probabilities = one_hot(np.random.default_rng(0).integers(0, 3, (8, 8)))
    picture = np.zeros((1, 8, 8), np.float32)
    none = CrfOptions(smooth_weight=0, colour_weight=0)
    assert refined(probabilities, picture, none) == pytest.approx(probabilities, abs=1e-6)
