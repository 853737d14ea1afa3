import numpy as np
import pytest
import torch

from weft.tasks.spice.lovasz import lovasz_hinge


def one(logits: list[float], members: list[int]) -> float:
    return lovasz_hinge(
        torch.tensor(logits, dtype=torch.float64)[:, None], torch.tensor(members)[:, None].bool()
    ).item()


def test_by_hand() -> None:
    # Errors 1 − logit·sign: 0.5 (member), 1.5 (not), 0 (member). In falling order: the second, the first, the third.
    # Wrong {2}: 1 − 2/3 = 1/3; wrong {2, 1}: 1 − 1/3 = 2/3; steps 1/3, 1/3, 1/3.
    assert one([0.5, 0.5, 1.0], [1, 0, 1]) == pytest.approx(1.5 / 3 + 0.5 / 3)
    assert one([-1.0], [1]) == pytest.approx(2.0)
    assert one([3.0, -2.0], [1, 0]) == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_jaccard_loss_of_hard_answers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    members, predicted = rng.random(40) < 0.4, rng.random(40) < 0.5
    iou = (members & predicted).sum() / (members | predicted).sum()
    logits = np.where(predicted, 1.0, -1.0)
    # What is wrong by 1 costs a hinge of 2; what is right nothing.
    assert one(logits.tolist(), members.tolist()) == pytest.approx(2 * (1 - iou))
    undecided = np.where(predicted == members, logits, 0.0)  # a hinge of 1
    assert one(undecided.tolist(), members.tolist()) == pytest.approx(1 - iou)


def test_gradients_and_columns() -> None:
    torch.manual_seed(0)
    logits = torch.randn(12, 3, dtype=torch.float64, requires_grad=True)
    members = torch.rand(12, 3) < 0.5
    assert torch.autograd.gradcheck(lambda x: lovasz_hinge(x, members), (logits,))
    each = [lovasz_hinge(logits[:, k : k + 1], members[:, k : k + 1]) for k in range(3)]
    torch.testing.assert_close(lovasz_hinge(logits, members), torch.cat(each))
    order = torch.randperm(12)
    torch.testing.assert_close(lovasz_hinge(logits[order], members[order]), lovasz_hinge(logits, members))


def test_of_nothing_it_is_zero() -> None:
    assert lovasz_hinge(torch.zeros(0, 2), torch.zeros(0, 2).bool()).tolist() == [0, 0]
