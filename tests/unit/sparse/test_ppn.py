"""Point proposal networks on the maps of a small trunk."""

import pytest
import torch
from clouds import cloud

from weft.sparse import SparseTensor, UResNet
from weft.sparse.ppn import EveryScale, PointMaps, ThreeScales, rows_above, rows_of

WIDTHS = [4, 8, 12, 16]


def maps(seed: int = 0, points: int = 400, shift: int = 0):
    torch.manual_seed(seed)
    trunk = UResNet(1, filters=4, depth=4, reps=1).eval()
    coords = cloud(seed, points, span=14)
    coords[:, 1:] += shift
    x = SparseTensor.from_points(coords, torch.linspace(0, 1, len(coords))[:, None], 2)
    with torch.no_grad():
        return x, trunk(x)


def every_scale(**options) -> EveryScale:
    torch.manual_seed(1)
    return EveryScale(WIDTHS, reps=1, **options).eval()


def three_scales(convolutions: int = 1) -> ThreeScales:
    torch.manual_seed(1)
    return ThreeScales(WIDTHS, (3, 1), convolutions).eval()


def test_every_scale_scores_each_grid_of_the_decoder():
    x, trunk = maps()
    out = every_scale(ends=True)(trunk)
    sizes = [len(x.maps.levels[(step,) * 3]) for step in (4, 2, 1)]
    assert [len(score) for score in out.scores] == sizes
    assert (out.offset.shape, out.classes.shape) == ((sizes[-1], 3), (sizes[-1], 5))
    assert out.end is not None
    assert out.end.shape == (sizes[-1], 2)
    assert every_scale()(trunk).end is None


def test_three_scales_score_the_two_levels_and_the_finest():
    x, trunk = maps()
    out = three_scales()(trunk)
    assert [len(score) for score in out.scores] == [len(x.maps.levels[(step,) * 3]) for step in (8, 2, 1)]
    assert out.kept[0] is None
    assert [len(mask) for mask in out.kept[1:]] == [len(score) for score in out.scores[1:]]
    assert sum(p.numel() for p in three_scales(0).parameters()) < sum(p.numel() for p in three_scales(2).parameters())


@pytest.mark.parametrize(("option", "gate"), [({}, "score"), ({"binary_mask": True}, "binary"),
                                              ({"propagate_all": True}, "one")])  # fmt: skip
def test_features_are_damped_by_the_score(option, gate):
    _, trunk = maps()
    network = every_scale(**option)
    x = trunk.decoder[0].with_features(torch.ones(len(trunk.decoder[0]), 4))
    scores = torch.randn(len(x), 2)
    probability = scores.softmax(1)[:, 1:]
    expected = {"score": probability, "binary": (probability > 0.5).float(), "one": torch.ones_like(probability)}[gate]
    torch.testing.assert_close(network._passed_on(x, scores).features, expected.expand(-1, 4))


def test_a_binary_mask_has_the_threshold_asked_for():
    _, trunk = maps()
    x = trunk.decoder[0]
    scores = torch.zeros(len(x), 2)  # a probability of a half everywhere
    assert every_scale(binary_mask=True, threshold=0.4)._passed_on(x, scores).features.equal(x.features)
    assert not every_scale(binary_mask=True, threshold=0.5)._passed_on(x, scores).features.any()


def test_no_gradient_flows_through_the_gate():
    _, trunk = maps()
    network = every_scale()
    network(trunk).offset.sum().backward()
    assert all(mask.weight.grad is None for mask in network.masks)
    assert network.up[-1][1].weight.grad.abs().sum() > 0


def test_a_coarse_scale_masks_the_voxels_below_it():
    x, trunk = maps()
    network = three_scales()
    out = network(trunk)
    found = out.scores[0].softmax(1)[:, 1] > 0.5
    assert 0 < found.sum() < len(found)
    assert out.kept[1].equal(found[rows_above(x.maps, (2, 2, 2), (8, 8, 8))])
    with torch.no_grad():
        network.masks[0].weight.zero_()  # scores of a half nowhere exceed it
    masked = network(trunk)
    assert not masked.kept[1].any()
    assert not masked.scores[1].any()  # without a bias nothing comes of nothing


def test_true_cells_are_kept_at_every_scale():
    x, trunk = maps()
    network = three_scales()
    with torch.no_grad():
        for mask in network.masks:
            mask.weight.zero_()
    true = torch.cat([x.coords[:3], torch.tensor([[0, 500, 0, 0]])])  # the last is nowhere near
    out = network(trunk, true)
    assert out.kept[2].nonzero()[:, 0].tolist() == [0, 1, 2]
    cells = torch.unique(torch.div(true[:3, 1:], 2, rounding_mode="floor"), dim=0)
    assert out.kept[1].sum() == len(cells)


def test_rows_above_and_rows_of_agree_with_coordinates():
    x, trunk = maps()
    rows = rows_above(x.maps, (1, 1, 1), (8, 8, 8))
    coarse = trunk.decoder[3].coords[rows]
    assert torch.div(x.coords[:, 1:], 8, rounding_mode="floor").mul(8).equal(coarse[:, 1:])
    assert coarse[:, 0].equal(x.coords[:, 0])
    assert rows_of(trunk.decoder[3], x.coords).equal(rows)
    assert rows_of(x, torch.tensor([[1, 400, 400, 400]], dtype=torch.int32)).tolist() == []


@pytest.mark.parametrize("build", [every_scale, three_scales])
def test_moving_by_the_coarsest_step_changes_nothing(build):
    here, there = (build()(maps(shift=shift)[1]) for shift in (0, 8))
    for one, other in zip(_flat(here), _flat(there), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("build", [every_scale, three_scales])
def test_an_empty_batch_has_empty_answers(build):
    trunk = UResNet(1, filters=4, depth=4, reps=1).eval()
    x = SparseTensor.from_points(torch.zeros(0, 4, dtype=torch.int32), torch.zeros(0, 1), 2)
    assert [len(part) for part in _flat(build()(trunk(x)))] == [0] * len(_flat(build()(trunk(x))))


def _flat(out: PointMaps):
    return [out.offset, out.classes, *out.scores]
