from math import exp, log

import pytest
import torch

from weft.tasks.spice.loss import TERMS, SpiceLoss, Subset
from weft.tasks.spice.lovasz import lovasz_hinge
from weft.tasks.spice.network import Embedding
from weft.tasks.spice.options import LossOptions

T = torch.tensor


def loss(**options: object) -> SpiceLoss:
    return SpiceLoss(LossOptions(**options))  # type: ignore[arg-type]


def two_clusters(dtype: torch.dtype = torch.float64) -> tuple[Embedding, Subset]:
    """Cluster 0 at −0.1 and 0.1 (centre 0, width 0.5), cluster 1 alone at x = 0.3 (width 0.25)."""
    position = T([[-0.1, 0, 0], [0.1, 0, 0], [0.3, 0, 0]], dtype=dtype)
    output = Embedding(position, T([0.4, 0.6, 0.25], dtype=dtype), T([0.9, 0.5, 0.2], dtype=dtype))
    return output, Subset(torch.arange(3), T([0, 0, 1]), 1.0)


def p(distance: float, width: float) -> float:
    return exp(-(distance**2) / (2 * width**2))


def test_two_clusters_of_2020_by_hand() -> None:
    mask, inter, seed, smoothing = (float(x) for x in loss().of_subset(*two_clusters()))
    assert inter == pytest.approx((0.4 - 0.3) ** 2)
    assert seed == pytest.approx((abs(0.9 - p(0.1, 0.5)) + abs(0.5 - p(0.1, 0.5)) + abs(0.2 - 1)) / 3)
    assert smoothing == pytest.approx((0.1 + 0) / 2)  # mean over clusters of the mean over members
    claims = T([[p(0.1, 0.5), p(0.4, 0.25)], [p(0.1, 0.5), p(0.2, 0.25)], [p(0.3, 0.5), 1.0]], dtype=torch.float64)
    members = T([[1, 0], [1, 0], [0, 1]]).bool()
    assert mask == pytest.approx(lovasz_hinge(2 * claims - 1, members).mean().item(), rel=1e-6)
    # Cluster 1: errors 1 ∓ (2p − 1): 2p(0.4) and 2p(0.2) of strangers, 0 of its own; in falling order the second voxel,
    # the first: Jaccard 1 − 1/2, 1 − 1/3.
    second = 2 * p(0.2, 0.25) * 0.5 + 2 * p(0.4, 0.25) * (2 / 3 - 1 / 2)
    assert lovasz_hinge(2 * claims - 1, members)[1].item() == pytest.approx(second)


def test_the_distance_that_centroids_keep_is_twice_the_margin() -> None:
    for margin, expected in ((0.25, (0.5 - 0.3) ** 2), (0.15, 0.0), (0.1, 0.0)):
        assert float(loss(inter_margin=margin).of_subset(*two_clusters())[1]) == pytest.approx(expected, abs=1e-7)


def test_two_clusters_of_the_later_form_by_hand() -> None:
    mask, inter, seed, smoothing = (float(x) for x in loss(form="bce").of_subset(*two_clusters()))
    claims = [(p(0.1, 0.5), 1), (p(0.4, 0.25), 0), (p(0.1, 0.5), 1), (p(0.2, 0.25), 0), (p(0.3, 0.5), 0), (1 - 1e-6, 1)]
    assert mask == pytest.approx(-sum(log(q if y else 1 - q) for q, y in claims) / 6, rel=1e-6)
    assert inter == pytest.approx((0.4 - 0.3) ** 2)
    assert smoothing == pytest.approx((0.1 + 0.1 + 0) / 3)  # mean over voxels
    assert seed == pytest.approx((abs(0.9 - p(0.1, 0.5)) + abs(0.5 - p(0.1, 0.5)) + abs(0.2 - 1)) / 3, rel=1e-5)


@pytest.mark.parametrize("form", ["se_lovasz_inter", "bce"])
def test_one_cluster_keeps_no_distance(form: str) -> None:
    output, _ = two_clusters()
    subset = Subset(torch.arange(3), T([0, 0, 0]), 1.0)
    assert loss(form=form).of_subset(output, subset)[1] == 0
    one = Subset(torch.arange(1), T([0]), 1.0)
    assert all(torch.isfinite(term) for term in loss(form=form).of_subset(output, one))


@pytest.mark.parametrize("form", ["se_lovasz_inter", "bce"])
def test_gradients(form: str) -> None:
    output, subset = two_clusters()
    inputs = [tensor.clone().requires_grad_() for tensor in output]
    judge = loss(form=form)
    assert torch.autograd.gradcheck(lambda *x: judge.of_subset(Embedding(*x), subset)[:2], inputs)
    # What is held fixed: seediness learns from p and not p from it, nor the width from the spread of margins.
    _, _, seed, smoothing = judge.of_subset(Embedding(*inputs), subset)
    gradient = torch.autograd.grad(seed + smoothing, inputs, allow_unused=True)
    assert gradient[0] is None or not gradient[0].any()
    assert gradient[1] is not None
    assert gradient[1].abs().sum() > 0
    two = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)  # centroids that coincide
    both = judge.of_subset(
        Embedding(two, T([0.5, 0.5]).double(), T([0.5, 0.5]).double()), Subset(T([0, 1]), T([0, 1]), 1)
    )
    assert torch.isfinite(torch.autograd.grad(both[1], two)[0]).all()


def test_factors() -> None:
    output, subset = two_clusters()
    plain = {name: total / weight for name, (total, weight) in loss()(output, [subset]).items()}
    factors = {"embedding_weight": 2.0, "inter_weight": 3.0, "seediness_weight": 5.0, "smoothing_weight": 7.0}
    for form, inter in (("se_lovasz_inter", 6.0), ("bce", 3.0)):
        plain = {name: total for name, (total, _) in loss(form=form)(output, [subset]).items()}
        made = loss(form=form, **factors)(output, [subset])
        for name, factor in zip(TERMS, (2.0, inter, 5.0, 7.0), strict=True):
            assert float(made[name][0]) == pytest.approx(factor * float(plain[name])), (form, name)


def batch_of(dtype: torch.dtype = torch.float64) -> tuple[Embedding, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Three events: two classes; none with labels; one class."""
    torch.manual_seed(0)
    output = Embedding(torch.randn(9, 3, dtype=dtype), torch.rand(9, dtype=dtype) + 0.2, torch.rand(9, dtype=dtype))
    return output, T([5, 5, 2, 2, -1, -1, 0, 3, 3]), T([1, 1, 0, 0, 0, 1, 2, 2, 2]), T([0, 4, 6, 9])


def test_means_over_classes_then_events_or_over_all() -> None:
    output, fragments, classes, offsets = batch_of()
    judge = loss()
    subsets = judge.subsets(fragments, classes, offsets)
    assert [(s.rows.tolist(), s.fragments.tolist(), s.weight) for s in subsets] == [
        ([2, 3], [0, 0], 0.5),
        ([0, 1], [0, 0], 0.5),
        ([6, 7, 8], [0, 1, 1], 1.0),
    ]
    assert judge.weight(subsets) == 2.0
    values = [judge.of_subset(output, s)[0] for s in subsets]
    total, weight = judge(output, subsets)["mask"]
    assert float(total / weight) == pytest.approx(float(((values[0] + values[1]) / 2 + values[2]) / 2))
    flat = loss(form="bce")
    total, weight = flat(output, flat.subsets(fragments, classes, offsets))["mask"]
    values = [flat.of_subset(output, s)[0] for s in subsets]
    assert weight == 3.0
    assert float(total / weight) == pytest.approx(float(sum(values) / 3))
    assert len(loss(min_voxels=3).subsets(fragments, classes, offsets)) == 1


@pytest.mark.parametrize("form", ["se_lovasz_inter", "bce"])
def test_sums_and_weights_add_up_over_micro_batches(form: str) -> None:
    output, fragments, classes, offsets = batch_of()
    judge = loss(form=form)
    whole = judge(output, judge.subsets(fragments, classes, offsets))
    parts = []
    for start, stop in ((0, 4), (4, 6), (6, 9)):
        part = Embedding(*(tensor[start:stop] for tensor in output))
        cut = judge.subsets(fragments[start:stop], classes[start:stop], T([0, stop - start]))
        parts.append(judge(part, cut))
    for name in TERMS:
        assert float(sum(part[name][0] for part in parts)) == pytest.approx(float(whole[name][0]))
        assert sum(part[name][1] for part in parts) == pytest.approx(whole[name][1])


def test_without_labels_there_is_a_zero_with_a_gradient() -> None:
    output, _, classes, offsets = batch_of()
    position = output.position.requires_grad_()
    terms = loss()(output, loss().subsets(torch.full((9,), -1), classes, offsets))
    total = sum(term for term, _ in terms.values())
    assert all(weight == 0 for _, weight in terms.values())
    assert not torch.autograd.grad(total, position)[0].any()


def test_order_and_names_of_fragments_do_not_matter() -> None:
    output, fragments, classes, offsets = batch_of()
    judge = loss()
    order = torch.cat([torch.randperm(4), T([4, 5]), 6 + torch.randperm(3)])
    renamed = torch.where(fragments >= 0, 17 - fragments, -1)[order]
    there = judge(output, judge.subsets(fragments, classes, offsets))
    moved = Embedding(*(tensor[order] for tensor in output))
    again = judge(moved, judge.subsets(renamed, classes[order], offsets))
    for name in TERMS:
        assert float(again[name][0]) == pytest.approx(float(there[name][0]))
