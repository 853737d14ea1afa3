import math

import pytest
import torch
import torch.nn.functional as F

from weft.errors import WeftError
from weft.tasks.segmentation.loss import SegmentationLoss

PLAIN, BALANCED = SegmentationLoss(), SegmentationLoss(balance=True)


def mean(terms, name="semantic"):
    total, weight = terms[name]
    return total / weight


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(40, 5, generator=generator, dtype=torch.float64)
    labels = torch.randint(-1, 5, (40,), generator=generator)
    return logits.requires_grad_(), labels


def test_plain_loss_is_the_mean_cross_entropy_of_labelled_voxels(batch):
    logits, labels = batch
    total, weight = PLAIN(logits, labels)["semantic"]
    assert weight == (labels >= 0).sum()
    expected = F.cross_entropy(logits, labels, ignore_index=-1)
    torch.testing.assert_close(total / weight, expected)
    torch.testing.assert_close(*(torch.autograd.grad(x, logits)[0] for x in (total / weight, expected)))
    assert not weight.requires_grad


def test_balanced_loss_is_torchs_weighted_cross_entropy(batch):
    logits, labels = batch
    n = torch.bincount(labels[labels >= 0], minlength=5)
    expected = F.cross_entropy(logits, labels, weight=(n.sum() / (5 * n)).double(), ignore_index=-1)
    torch.testing.assert_close(mean(BALANCED(logits, labels)), expected)


def test_balanced_loss_by_hand():
    # Undecided logits cost ln 2, sure and right ones nothing. Three voxels of class 0 and one of class 1 weigh
    # 4/(2·3) and 4/(2·1) each, so the classes weigh 2 in all.
    logits = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 60.0]])
    total, weight = SegmentationLoss(n_classes=2, balance=True)(logits, torch.tensor([0, 0, 0, 1]))["semantic"]
    assert weight.item() == pytest.approx(4)
    assert total.item() == pytest.approx(2 * math.log(2))


def test_half_balanced_loss_takes_the_root_of_the_weights():
    logits = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 60.0]])
    total, weight = SegmentationLoss(n_classes=2, balance=0.5)(logits, torch.tensor([0, 0, 0, 1]))["semantic"]
    assert weight.item() == pytest.approx(3 * (4 / 6) ** 0.5 + (4 / 2) ** 0.5)
    assert total.item() == pytest.approx(3 * (4 / 6) ** 0.5 * math.log(2))


def test_an_absent_class_takes_no_weight():
    total, weight = BALANCED(torch.zeros(3, 5), torch.tensor([1, 1, 3]))["semantic"]
    assert (total / weight).item() == pytest.approx(math.log(5))
    assert weight.item() == pytest.approx(3 * 2 / 5)


def test_parts_with_reduced_counts_add_up_to_the_whole(batch):
    logits, labels = batch
    near = torch.arange(40) % 3 == 0
    loss = SegmentationLoss(balance=True, upweight_points=True)
    whole = loss(logits, labels, near=near)["semantic"]
    parts = [slice(0, 7), slice(7, 40)]
    counts = torch.stack([loss.counts(labels[p], near[p]) for p in parts]).sum(0)
    torch.testing.assert_close(counts, loss.counts(labels, near))
    pieces = [loss(logits[p], labels[p], near=near[p], counts=counts)["semantic"] for p in parts]
    torch.testing.assert_close(sum(p[0] for p in pieces), whole[0])
    torch.testing.assert_close(sum(p[1] for p in pieces), whole[1])


def test_points_weigh_near_and_far_voxels_alike():
    # One voxel near a point (undecided) weighs 4/(2·1), three far ones (sure and right) 4/(2·3) each.
    logits = torch.tensor([[0.0, 0.0], [60.0, 0.0], [60.0, 0.0], [60.0, 0.0]])
    labels, near = torch.zeros(4, dtype=torch.long), torch.tensor([True, False, False, False])
    loss = SegmentationLoss(n_classes=2, upweight_points=True)
    total, weight = loss(logits, labels, near=near)["semantic"]
    assert weight.item() == pytest.approx(4)
    assert total.item() == pytest.approx(2 * math.log(2))
    with pytest.raises(WeftError, match="near="):
        loss(logits, labels)


def test_counts_of_kinds_by_hand():
    labels = torch.tensor([0, 2, 2, 3, 3, 3, -1])  # 3 is ghost
    near = torch.tensor([True, True, False, True, False, False, True])
    assert SegmentationLoss(3, ghosts=True).counts(labels, near).tolist() == [1, 0, 2, 1, 2, 3, 3]
    assert SegmentationLoss(3, ghosts=True).counts(labels).tolist() == [1, 0, 2, 0, 0, 3, 3]


def test_ghost_head_by_hand():
    labels = torch.tensor([0, 5, 5, 5, -1])
    logits = torch.zeros(5, 5)
    ghost_logits = torch.tensor([[0.0, 0.0], [0.0, 60.0], [0.0, 60.0], [0.0, 60.0], [60.0, 0.0]])
    terms = SegmentationLoss(ghosts=True, semantic_weight=2.0, ghost_weight=3.0)(logits, labels, ghost_logits)
    assert terms["semantic"][0].item() == pytest.approx(2 * math.log(5))  # the one true non-ghost
    assert terms["semantic"][1].item() == 1
    assert terms["ghost"][0].item() == pytest.approx(3 * math.log(2))
    assert terms["ghost"][1].item() == 4
    balanced = SegmentationLoss(ghosts=True, balance=True)(logits, labels, ghost_logits)
    assert mean(balanced, "ghost").item() == pytest.approx(math.log(2) / 2)


def test_ghosts_do_not_reach_the_semantic_head():
    logits = torch.randn(4, 5, requires_grad=True)
    ghost_logits = torch.randn(4, 2, requires_grad=True)
    terms = SegmentationLoss(ghosts=True)(logits, torch.tensor([1, 5, 5, -1]), ghost_logits)
    (terms["semantic"][0] + terms["ghost"][0]).backward()
    assert (logits.grad.abs().sum(1) > 0).tolist() == [True, False, False, False]
    assert (ghost_logits.grad.abs().sum(1) > 0).tolist() == [True, True, True, False]


@pytest.mark.parametrize("labels", [[], [-1, -1]])
@pytest.mark.parametrize("loss", [PLAIN, BALANCED])
def test_nothing_labelled_costs_nothing(labels, loss):
    logits = torch.randn(len(labels), 5, requires_grad=True)
    labels = torch.tensor(labels, dtype=torch.long)
    total, weight = loss(logits, labels)["semantic"]
    total.backward()
    assert total.item() == 0
    assert weight.item() == 0
    assert not logits.grad.any()


@pytest.mark.parametrize(("label", "ghosts"), [(5, False), (-2, False), (6, True)])
def test_labels_out_of_range_are_refused(label, ghosts):
    loss, labels = SegmentationLoss(ghosts=ghosts), torch.tensor([0, label])
    ghost_logits = torch.zeros(2, 2) if ghosts else None
    with pytest.raises(WeftError, match=f"semantic label {label}: expected"):
        loss.counts(labels)
    with pytest.raises(WeftError, match=f"semantic label {label}: expected"):
        loss(torch.zeros(2, 5), labels, ghost_logits, counts=torch.ones(9))


def test_ghost_logits_go_with_the_ghost_option():
    logits, labels = torch.zeros(1, 5), torch.tensor([0])
    with pytest.raises(WeftError, match="ghost logits"):
        SegmentationLoss(ghosts=True)(logits, labels)
    with pytest.raises(WeftError, match="ghost logits"):
        SegmentationLoss()(logits, labels, torch.zeros(1, 2))
