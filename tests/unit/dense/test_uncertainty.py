"""Uncertainty from passes with dropout, against sums by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from weft.dense.size_law import AxisLaw, SizeLaw
from weft.dense.uncertainty import DropoutPasses, maps, uncertain_windows
from weft.errors import WeftError

LAW = SizeLaw(AxisLaw(1), AxisLaw(1), AxisLaw(1))


def network(p=0.5):
    torch.manual_seed(4)
    return nn.Sequential(nn.Conv3d(1, 6, 1), nn.BatchNorm3d(6), nn.Dropout3d(p), nn.Conv3d(6, 3, 1)).eval()


def run(given, net=None, size=(4, 6, 6), **options):
    slabs = list(uncertain_windows(net or network(), given, LAW, size, **options))
    return np.concatenate([p for _, p, _ in slabs], 1), np.concatenate([u for _, _, u in slabs], 1)


def test_maps_are_those_of_the_passes():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), (20, 5)).astype(np.float32).transpose(0, 2, 1)  # passes, classes, voxels
    entropies = -(p * np.log(p)).sum(1)
    moments = np.concatenate([p.mean(0), (p**2).mean(0), entropies.mean(0)[None]])
    mean, found = maps(moments)
    np.testing.assert_allclose(mean, p.mean(0))
    total = -(p.mean(0) * np.log(p.mean(0))).sum(0)
    expected = [total, p.var(0).mean(0), total - entropies.mean(0), 1 - p.mean(0).max(0)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_certain_and_undecided_voxels():
    sure = np.array([[1.0, 0.0, 1.0, 0.0, 0.0]]).T.astype(np.float32)
    np.testing.assert_allclose(maps(sure)[1][:, 0], 0, atol=1e-7)
    half = np.array([[0.5, 0.5, 0.25, 0.25, np.log(2)]]).T.astype(np.float32)
    np.testing.assert_allclose(maps(half)[1][:, 0], [np.log(2), 0, 0, 0.5], atol=1e-6)
    # Each pass is sure, half of them of either class: all of the entropy is what the weights do not know.
    torn = np.array([[0.5, 0.5, 0.5, 0.5, 0.0]]).T.astype(np.float32)
    np.testing.assert_allclose(maps(torn)[1][:, 0], [np.log(2), 0.25, np.log(2), 0.5], atol=1e-6)


def test_passes_differ_and_the_same_seed_gives_the_same():
    given = np.random.default_rng(1).random((6, 9, 7), np.float32)
    p, found = run(given, passes=6, seed=3)
    assert p.shape == (3, 6, 9, 7)
    assert found.shape == (4, 6, 9, 7)
    np.testing.assert_allclose(p.sum(0), 1, atol=1e-6)
    assert (found >= 0).all()
    assert found[1].max() > 1e-4
    assert (found[2] <= found[0] + 1e-6).all(), "mutual information is part of the entropy"
    again = run(given, passes=6, seed=3)
    assert np.array_equal(again[0], p)
    assert np.array_equal(again[1], found)
    assert not np.array_equal(run(given, passes=6, seed=4)[0], p)


def test_the_generator_of_others_and_the_modes_of_modules_are_left_alone():
    net = network()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    run(np.ones((2, 3, 3), np.float32), net, passes=2)
    assert torch.equal(torch.rand(3), expected)
    assert not any(module.training for module in net.modules())
    assert torch.equal(net[1].running_mean, torch.zeros(6)), "statistics of the batch norm stay"


def test_many_passes_come_near_the_mean_over_all_masks():
    """Six channels with dropout 1/2 have 64 masks: their mean, one by one."""
    net = network()
    given = torch.rand(1, 1, 1, 1, 1)
    with torch.inference_mode():
        features = net[1](net[0](given))
        masks = torch.cartesian_prod(*[torch.tensor([0.0, 2.0])] * 6)
        p = net[3](features * masks[:, :, None, None, None]).softmax(1)[:, :, 0, 0, 0].numpy()
        many = DropoutPasses(net, 4000, 0)(given)[0, :, 0, 0, 0].numpy()
    np.testing.assert_allclose(many[:3], p.mean(0), atol=0.02)
    np.testing.assert_allclose(many[3:6], (p**2).mean(0), atol=0.02)
    np.testing.assert_allclose(many[6], -(p * np.log(p)).sum(1).mean(), atol=0.03)


def test_a_network_without_dropout_is_refused():
    for net in (nn.Conv3d(1, 2, 1).eval(), network(p=0.0)):
        with pytest.raises(WeftError, match=r"model\.dropout"):
            run(np.ones((2, 3, 3), np.float32), net)
