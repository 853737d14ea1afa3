"""Batch normalisation over voxels: one process against torch, two processes against one."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from clouds import cloud, draw
from torch import nn

from weft.sparse import SparseTensor, VoxelBatchNorm

# Rows of the two ranks: ragged, and a rank without any.
SPLITS = ((5, 12), (17, 0))


def norm_state(norm):
    return [norm.running_mean, norm.running_var, norm.weight.grad, norm.bias.grad]


def prepared_norm(channels=3):
    norm = VoxelBatchNorm(channels, eps=1e-4, momentum=0.01).double()
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, 2, channels))
        norm.bias.copy_(torch.linspace(-1, 1, channels))
    return norm


def test_equals_torch_and_its_gradients():
    ours, theirs = prepared_norm(), nn.BatchNorm1d(3, eps=1e-4, momentum=0.01).double()
    theirs.load_state_dict(ours.state_dict(), strict=False)
    x = draw(1, 17, 3)
    for training in (True, False):
        ours.train(training), theirs.train(training)
        torch.testing.assert_close(ours.normalise(x), theirs(x))
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    ours.train()
    assert torch.autograd.gradcheck(lambda v, *_: ours.normalise(v), (x, ours.weight, ours.bias))


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_voxels_use_the_running_statistics_and_leave_them(rows):
    norm = prepared_norm()
    norm.running_mean.fill_(2.0)
    before = norm.running_mean.clone(), norm.running_var.clone()
    x = SparseTensor.from_points(cloud(1, 40)[:rows], draw(2, rows, 3))
    out = norm(x).features
    torch.testing.assert_close(out, (x.features - 2) / (1 + 1e-4) ** 0.5 * norm.weight + norm.bias)
    assert torch.equal(norm.running_mean, before[0])
    assert torch.equal(norm.running_var, before[1])


def test_half_precision_features_come_back_in_their_type():
    out = VoxelBatchNorm(3).normalise(torch.randn(50, 3).bfloat16() + 100)
    assert out.dtype == torch.bfloat16
    assert abs(out.float().mean()) < 0.1


def run_rank(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    results = []
    for split in SPLITS:
        norm = prepared_norm()
        x = draw(3, 17, 3).detach()
        probe = draw(4, 17, 3).detach()
        rows = slice(0, split[0]) if rank == 0 else slice(split[0], 17)
        mine = x[rows].clone().requires_grad_()
        out = norm.normalise(mine)
        (out * probe[rows]).sum().backward()
        results.append([out.detach(), mine.grad, *norm_state(norm)])
    norm = prepared_norm()
    lonely = norm.normalise(torch.full((1 - rank, 3), 7.0, dtype=torch.float64))  # one row over both ranks
    torch.save((results, lonely.detach(), norm.running_mean), f"{folder}/rank{rank}.pt")
    dist.destroy_process_group()


def test_two_ranks_equal_one(tmp_path: Path):
    mp.spawn(run_rank, (str(tmp_path),), nprocs=2)
    ranks = [torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1)]
    x, probe = draw(3, 17, 3), draw(4, 17, 3)
    norm = prepared_norm()
    out = norm.normalise(x)
    (out * probe).sum().backward()
    for split in range(len(SPLITS)):
        (a, b) = (rank[0][split] for rank in ranks)
        torch.testing.assert_close(torch.cat([a[0], b[0]]), out)
        torch.testing.assert_close(torch.cat([a[1], b[1]]), x.grad)
        for one, other, alone in zip(a[2:4], b[2:4], norm_state(norm)[:2], strict=True):
            assert torch.equal(one, other)
            torch.testing.assert_close(one, alone)
        for one, other, alone in zip(a[4:], b[4:], norm_state(norm)[2:], strict=True):
            torch.testing.assert_close(one + other, alone)
    lonely = ranks[0][1]
    reference = prepared_norm()
    torch.testing.assert_close(lonely[0], 7 * reference.weight / (1 + 1e-4) ** 0.5 + reference.bias)
    assert not ranks[0][2].any()
