from math import log

import pytest
import torch

from weft.tasks.graph_spice.loss import EdgeLoss
from weft.tasks.graph_spice.network import Edges
from weft.tasks.graph_spice.options import LossOptions

T = torch.tensor
ENDS = T([[0, 1], [1, 2], [2, 3], [3, 4]])
FRAGMENTS = T([5, 5, 7, 7, -1])


def judge(invert: bool = True, **options: object) -> EdgeLoss:
    return EdgeLoss(LossOptions(**options), invert)  # type: ignore[arg-type]


def test_targets_are_cuts_or_what_stays() -> None:
    learned, target = judge().targets(FRAGMENTS, ENDS)
    assert learned.tolist() == [0, 1, 2]  # the last edge ends where nothing is known
    assert target.tolist() == [False, True, False]
    assert judge(invert=False).targets(FRAGMENTS, ENDS)[1].tolist() == [True, False, True]


def test_terms_by_hand() -> None:
    p = T([[0.2, 0.3], [0.6, 0.8], [0.1, 0.5], [0.9, 0.9]], dtype=torch.float64)
    loss = judge()
    terms = loss(Edges(p.logit(), ENDS), *loss.targets(FRAGMENTS, ENDS))
    bce = -(log(0.8) + log(0.7) + log(0.6) + log(0.8) + log(0.9) + log(0.5)) / 6
    total, weight = terms["bce"]
    assert (float(total / weight), float(weight)) == (pytest.approx(0.2 * bce), 3.0)
    squares = 0.04 + 0.09 + 0.36 + 0.64 + 0.01 + 0.25
    dice = (2 * (0.6 + 0.8) + 1e-6) / (squares + 2 + 1e-6)
    total, weight = terms["log_dice"]
    assert (float(total / weight), float(weight)) == (pytest.approx(-0.8 * log(dice)), 3.0)


def test_weights_of_terms_scale_them() -> None:
    edges = Edges(torch.randn(4, 2), ENDS)
    learned = judge().targets(FRAGMENTS, ENDS)
    plain, scaled = (judge(dice_weight=d, bce_weight=b)(edges, *learned) for d, b in ((1.0, 1.0), (0.3, 2.0)))
    for name, factor in (("log_dice", 0.3), ("bce", 2.0)):
        torch.testing.assert_close(scaled[name][0], factor * plain[name][0])
        torch.testing.assert_close(scaled[name][1], plain[name][1])


def test_balanced_kinds_weigh_the_same() -> None:
    loss = judge(balance=True, bce_weight=1.0)
    learned, target = loss.targets(FRAGMENTS, ENDS)
    assert loss.counts(target).tolist() == [2, 1]
    p = T([[0.2, 0.2], [0.6, 0.6], [0.1, 0.1], [0.9, 0.9]], dtype=torch.float64)
    total, weight = loss(Edges(p.logit(), ENDS), learned, target)["bce"]
    assert float(total / weight) == pytest.approx(-(log(0.8) / 2 + log(0.9) / 2 + log(0.6)) / 2)
    whole = T([30, 10])  # of a step of several micro-batches
    weights = loss.weights(target, whole)
    assert float(weights["bce"]) == pytest.approx(2 * 40 / 60 + 40 / 20)
    assert float(loss(Edges(p.logit(), ENDS), learned, target, whole)["bce"][1]) == float(weights["bce"])


def test_as_many_of_either_kind_are_drawn() -> None:
    loss = judge(equal_sampling=True, min_sample_edges=4)
    fragments, ends = torch.arange(100) // 10, torch.stack([torch.arange(99), torch.arange(1, 100)], 1)
    learned, target = loss.targets(fragments, ends)
    assert (int(target.sum()), len(target)) == (9, 18)  # 9 cuts, none of them twice
    assert len(learned.unique()) == 18
    assert (fragments[ends[learned, 0]] != fragments[ends[learned, 1]]).tolist() == target.tolist()
    again = loss.targets(fragments, ends)
    assert torch.equal(learned, again[0])
    more = judge(equal_sampling=True, min_sample_edges=50).targets(fragments, ends)
    assert (int(more[1].sum()), len(more[1])) == (50, 100)
    one_kind = judge(equal_sampling=True).targets(torch.zeros(100), ends)
    assert len(one_kind[0]) == 99
    with pytest.raises(ValueError, match="nothing to balance"):
        LossOptions(balance=True, equal_sampling=True)


def test_without_labels_there_is_a_zero_with_a_gradient() -> None:
    logits = torch.randn(4, 2, requires_grad=True)
    loss = judge()
    terms = loss(Edges(logits, ENDS), *loss.targets(torch.full((5,), -1), ENDS))
    assert all(float(weight) == 0 for _, weight in terms.values())
    assert not torch.autograd.grad(sum(total for total, _ in terms.values()), logits)[0].any()


def test_gradients() -> None:
    loss = judge()
    learned, target = loss.targets(FRAGMENTS, ENDS)

    def both(logits: torch.Tensor) -> torch.Tensor:
        return torch.stack([total for total, _ in loss(Edges(logits, ENDS), learned, target).values()])

    assert torch.autograd.gradcheck(both, (torch.randn(4, 2, dtype=torch.float64, requires_grad=True),))
