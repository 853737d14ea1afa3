import torch

from weft.sparse.gather_scatter import _workspace


def test_a_buffer_made_in_inference_mode_serves_training() -> None:
    with torch.inference_mode():
        _workspace(1_000_003, 3, torch.zeros(1))
    out = _workspace(5, 3, torch.zeros(1))
    torch.mm(torch.ones(5, 2), torch.ones(2, 3), out=out)
    assert out.sum() == 30
