from math import exp, log

import pytest
import torch

from weft.tasks.graph_spice.kernels import Bilinear, DistanceKernel, MlpKernel

EDGES = torch.tensor([[0, 1], [1, 2], [2, 0]])


def test_bilinear_by_hand() -> None:
    kernel = Bilinear(2, bias=True)
    kernel.weight.data = torch.tensor([[[1.0, 2.0], [0.0, -1.0]]])
    assert kernel.bias is not None
    kernel.bias.data = torch.tensor([0.5])
    x = torch.tensor([[1.0, 0.0], [3.0, 1.0], [0.0, 0.0]])
    # x0·W·x1 = (1, 2)·(3, 1) = 5; x1·W·x0 = (3, 5)·(1, 0) = 3.
    assert kernel(x, EDGES)[0].tolist() == [5.5, 3.5]
    torch.testing.assert_close(
        kernel(x, EDGES)[:, 0],
        torch.nn.functional.bilinear(x[EDGES[:, 0]], x[EDGES[:, 1]], kernel.weight, kernel.bias)[:, 0],
    )


def test_mlp_judges_both_ends() -> None:
    torch.manual_seed(0)
    kernel, x = MlpKernel(4, 8, 2, bias=True).eval(), torch.randn(3, 4)
    there = kernel(x, EDGES)
    torch.testing.assert_close(kernel(x, EDGES.flip(1)), there.flip(1))
    hidden = x
    for linear, norm in zip(kernel.linears, kernel.norms, strict=True):
        hidden = torch.nn.functional.elu(norm.normalise(linear(hidden)))
    pairs = torch.cat([hidden[EDGES[:, 0]], hidden[EDGES[:, 1]]], 1)
    torch.testing.assert_close(there[:, :1], kernel.last(pairs))


def test_distance_by_hand() -> None:
    # Place 1 apart, feature 2 apart; covariances (1, 2) and (2, 1); occupancies 1 and 3.
    x = torch.tensor([[0.0, 0, 0, 0, 1, 2, 1], [1.0, 0, 0, 2, 2, 1, 3]], dtype=torch.float64)
    e = 1e-3
    p1, p2 = exp(-1 / (1 + e) - 4 / (4 + e)), exp(-1 / (4 + e) - 4 / (1 + e))
    p = (p1 + p2 - p1 * p2) * (1 + e) / (3 + e)
    logits = DistanceKernel()(x, torch.tensor([[0, 1]]))
    assert logits[0].tolist() == pytest.approx([log(p / (1 - p))] * 2)
    same = DistanceKernel()(x[:1].expand(2, -1), torch.tensor([[0, 1]]))
    assert same[0, 0].item() == pytest.approx(log((1 - 1e-6) / 1e-6), rel=1e-4)


@pytest.mark.parametrize("kernel", [Bilinear(7), MlpKernel(7), DistanceKernel()])
def test_graphs_without_edges(kernel: torch.nn.Module) -> None:
    empty = torch.empty(0, 2, dtype=torch.int64)
    assert kernel.eval()(torch.rand(3, 7), empty).shape == (0, 2)
    assert kernel(torch.rand(0, 7), empty).shape == (0, 2)
