"""The matrix product of the torch engine, whichever library does it."""

import pytest
import torch

from weft.sparse.gemm import multiply, row_blocks, uses_onednn


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 3, 5), (300, 32, 64), (256, 40, 16), (1923, 33, 7)])
@pytest.mark.parametrize("transposed", [False, True])
def test_equals_a_float64_product(dtype, shape, transposed):
    n, k, m = shape
    a, b = torch.randn(n, k).to(dtype), torch.randn(k, m).to(dtype)
    if transposed:
        b = b.t().contiguous().t()
    out = torch.full((n, m), torch.nan, dtype=dtype)
    multiply(a, b, out)
    exact = a.double() @ b.double()
    assert (out.double() - exact).abs().max() <= 8 * torch.finfo(dtype).eps * k**0.5 * exact.abs().max().clamp_min(1)


def test_onednn_multiplies_float32_on_cpu_only_where_it_is_built_in(monkeypatch):
    a = torch.ones(2, 2)
    assert uses_onednn(a) == torch.backends.mkldnn.is_available()
    assert not uses_onednn(a.double())
    with monkeypatch.context() as patch:
        patch.setattr("weft.sparse.gemm._HAS_ONEDNN", False)
        assert not uses_onednn(a)


@pytest.mark.parametrize(
    ("rows", "blocks"), [(0, []), (255, []), (256, [256]), (1023, [512, 256]), (5000, [4096, 512, 256])]
)
def test_rows_split_into_powers_of_two(rows, blocks):
    assert row_blocks(rows) == blocks
