"""A trunk that two networks of a chain have runs once, and nothing else changes."""

import pytest
import torch

from weft.engine.shared_trunks import SharedTrunks
from weft.sparse.synthetic import synthetic_batch
from weft.sparse.tensor import SparseTensor
from weft.sparse.uresnet import UResNet


class Network(torch.nn.Module):
    """A trunk that counts its calls."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.trunk = UResNet(1, 4, 3, 1)
        self.calls = 0
        self.trunk.register_forward_hook(self._count)
        self.eval()

    def _count(self, *_: object) -> None:
        self.calls += 1

    def forward(self, x: SparseTensor) -> torch.Tensor:
        return self.trunk(x).final.features


def batch(seed: int) -> SparseTensor:
    coords, features = synthetic_batch(seed, 2, 60)
    return SparseTensor.from_points(torch.from_numpy(coords), torch.from_numpy(features), 2)


@pytest.fixture
def shared():
    networks = [Network(0), Network(0), Network(1)]
    trunks = SharedTrunks()
    for network in networks:
        trunks.adopt(network)
    return networks


@torch.no_grad()
def test_the_second_network_recalls_what_the_first_one_made(shared):
    first, second, _ = shared
    batches = [batch(1), batch(2)]
    made = [first(x) for x in batches]
    again = [second(batch(seed)) for seed in (1, 2)]
    assert second.calls == 0
    for a, b, x in zip(made, again, batches, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(b, Network(0)(x))
    assert not first.trunk.kept  # nothing stays in memory


@torch.no_grad()
def test_other_weights_and_other_batches_run_by_themselves(shared):
    first, second, third = shared
    first(batch(1))
    assert torch.equal(third(batch(1)), Network(1)(batch(1)))
    assert torch.equal(second(batch(2)), Network(0)(batch(2)))
    changed = batch(1).with_features(batch(1).features + 1)
    assert torch.equal(second(changed), Network(0)(changed))
    assert (third.calls, second.calls) == (1, 2)


@torch.no_grad()
def test_what_nobody_takes_is_forgotten(shared):
    first = shared[0]
    for seed in range(20):
        first(batch(seed))
    assert len(first.trunk.kept) == 8
    assert not shared[2].trunk.kept
