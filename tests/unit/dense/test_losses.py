"""Losses against loops, hand-computed values and MONAI."""

import math

import pytest
import torch
from monai.losses import DiceLoss, FocalLoss, GeneralizedDiceLoss
from pydantic import ValidationError

from weft.dense.loss_options import LossOptions
from weft.dense.losses import check_labels, loss_terms, term_weights
from weft.errors import WeftError

SHAPE = (2, 3, 4, 5)


@pytest.fixture
def volumes():
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(2, 3, *SHAPE[1:], generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 3, SHAPE, generator=generator)
    cost = torch.rand(SHAPE, generator=generator) * (torch.rand(SHAPE, generator=generator) > 0.3)
    return logits, labels, cost


def value(logits, labels, cost=None, **options):
    terms = loss_terms({"main": logits}, labels, cost, LossOptions(**options))
    return sum(float(total) / float(weight) for total, weight in terms.values())


@pytest.mark.parametrize("normalise", ["cost", "voxels"])
@pytest.mark.parametrize("ignore", [None, 1])
@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
def test_sums_over_voxels_equal_a_loop(volumes, normalise, ignore, loss):
    logits, labels, cost = volumes
    labels[0, 0, 0, :3] = -1
    total = weight = 0.0
    for b, z, y, x in torch.cartesian_prod(*map(torch.arange, SHAPE)).tolist():
        label = int(labels[b, z, y, x])
        if label == -1 or label == ignore:
            continue
        scores = [math.exp(float(logit)) for logit in logits[b, :, z, y, x]]
        p = scores[label] / sum(scores)
        w = float(cost[b, z, y, x])
        total -= w * math.log(p) * ((1 - p) ** 1.5 if loss == "focal" else 1)
        weight += w
    count = weight if normalise == "cost" else labels.numel()
    got = value(logits, labels, cost, terms={loss: 1}, normalise=normalise, ignore_index=ignore, focal_gamma=1.5)
    assert got == pytest.approx(total / count, rel=1e-5)


def test_the_formula_of_aux(volumes):
    """L = sum_t a_t · (1/V) · sum_v -w_v l_v, over log-probabilities and all voxels."""
    logits, labels, cost = volumes
    outputs = {"main": logits, "aux1": logits * 2, "aux2": -logits}
    options = LossOptions(loss_weight=(1.0, 0.5, 0.25), normalise="voxels")
    terms = loss_terms(outputs, labels, cost, options)
    expected = 0.0
    for output, a in zip(outputs.values(), options.loss_weight, strict=True):
        picked = output.log_softmax(1).gather(1, labels[:, None])[:, 0]
        expected += a * float((-cost * picked).mean())
    assert sum(float(total / weight) for total, weight in terms.values()) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("background", [True, False])
def test_equal_to_monai_without_costs(volumes, background):
    logits, labels, _ = volumes
    labels[0][labels[0] == 2] = 1  # a class that one volume does not have
    given = {"softmax": True, "to_onehot_y": True, "include_background": background}
    peer = float(DiceLoss(**given)(logits, labels[:, None]))
    assert value(logits, labels, terms={"dice": 1}, dice_background=background) == pytest.approx(peer, rel=1e-5)
    peer = float(GeneralizedDiceLoss(**given)(logits, labels[:, None]))
    got = value(logits, labels, terms={"generalised_dice": 1}, dice_background=background)
    assert got == pytest.approx(peer, rel=1e-5)


def test_focal_is_monai_times_its_classes(volumes):
    logits, labels, _ = volumes
    peer = float(FocalLoss(use_softmax=True, to_onehot_y=True, gamma=2.0)(logits, labels[:, None]))
    assert value(logits, labels, terms={"focal": 1}) == pytest.approx(3 * peer, rel=1e-5)


def test_focal_without_gamma_is_cross_entropy(volumes):
    assert value(*volumes, terms={"focal": 1}, focal_gamma=0) == pytest.approx(value(*volumes), rel=1e-6)


def test_sums_and_factors(volumes):
    single = {name: value(*volumes, terms={name: 1}) for name in ("cross_entropy", "dice", "generalised_dice", "focal")}
    assert value(*volumes, terms={"cross_entropy": 1, "dice": 2}) == pytest.approx(
        single["cross_entropy"] + 2 * single["dice"], rel=1e-6
    )
    assert value(*volumes, terms=dict.fromkeys(single, 0.5)) == pytest.approx(sum(single.values()) / 2, rel=1e-6)


ALL = {"cross_entropy": 1, "dice": 1, "generalised_dice": 1, "focal": 1}


def test_what_does_not_count_has_no_gradient(volumes):
    logits, labels, cost = volumes
    labels[1, 0, 0, 0] = -1
    logits.requires_grad_()
    terms = loss_terms({"main": logits}, labels, cost, LossOptions(terms=ALL, ignore_index=2))
    sum(total / weight for total, weight in terms.values()).backward()
    silent = (cost == 0) | (labels == 2) | (labels == -1)
    assert silent.any()
    assert (~silent).any()
    gradient = logits.grad.abs().amax(1)
    assert gradient[silent].max() == 0
    assert (gradient[~silent] > 0).all()


def test_what_does_not_count_has_no_influence(volumes):
    logits, labels, cost = volumes
    other_logits, other_labels = logits.clone(), labels.clone()
    silent = cost == 0
    other_logits += 100 * silent[:, None]
    other_logits[:, 0] -= 300 * silent
    other_labels[silent] = 0
    assert value(logits, labels, cost, terms=ALL) == pytest.approx(value(other_logits, other_labels, cost, terms=ALL))


def test_nothing_that_counts_is_zero_and_not_nan(volumes):
    logits, labels, _ = volumes
    logits.requires_grad_()
    terms = loss_terms({"main": logits}, labels, torch.zeros(SHAPE), LossOptions(terms=ALL))
    assert all(float(total.detach()) == 0 and float(weight) == 0 for total, weight in terms.values())
    sum(total for total, _ in terms.values()).backward()
    assert logits.grad.abs().max() == 0
    half = torch.ones(SHAPE)
    half[1] = 0  # one of two volumes
    for name in ("dice", "generalised_dice"):
        alone = value(logits[:1].detach(), labels[:1], terms={name: 1})
        assert value(logits.detach(), labels, half, terms={name: 1}) == pytest.approx(alone)


def test_certain_and_right_is_nearly_zero_and_certain_and_wrong_finite():
    labels = torch.randint(0, 2, (1, 2, 4, 4), generator=torch.Generator().manual_seed(0))
    right = torch.stack([labels == 0, labels == 1], 1).float() * 60
    assert value(right, labels, terms=ALL) < 1e-4
    wrong = right.flip(1).requires_grad_()
    terms = loss_terms({"main": wrong}, labels, None, LossOptions(terms=ALL, focal_gamma=0.5))
    sum(total / weight for total, weight in terms.values()).backward()
    assert torch.isfinite(wrong.grad).all()


@pytest.mark.parametrize("loss", ALL)
def test_parts_add_up_and_their_weights_are_known_before(volumes, loss):
    """Gradient accumulation: sums and weights of the volumes of a batch are those of the batch."""
    logits, labels, cost = volumes
    options = LossOptions(terms={loss: 1})
    whole = loss_terms({"main": logits, "aux1": 2 * logits}, labels, cost, options)
    for name, (total, weight) in whole.items():
        parts = [
            loss_terms({"main": logits[i:i + 1], "aux1": 2 * logits[i:i + 1]}, labels[i:i + 1], cost[i:i + 1], options)
            for i in range(2)
        ]  # fmt: skip
        assert float(total) == pytest.approx(sum(float(part[name][0]) for part in parts), rel=1e-6)
        assert float(weight) == pytest.approx(sum(float(part[name][1]) for part in parts), rel=1e-6)
    known = term_weights(("main", "aux1"), labels, cost, options)
    assert {name: float(weight) for name, (_, weight) in whole.items()} == {k: float(v) for k, v in known.items()}


def test_the_loss_of_an_autoencoder_counts_once_a_volume(volumes):
    logits, labels, _ = volumes
    terms = loss_terms({"main": logits, "vae": torch.tensor(3.0)}, labels, None, LossOptions(vae_weight=0.2))
    total, weight = terms["vae"]
    assert float(total / weight) == pytest.approx(0.6)
    assert float(weight) == 2 == float(term_weights(("main", "vae"), labels, None, LossOptions())["vae"])


def test_errors():
    labels = torch.tensor([[[[0, 1, 4]]]])
    with pytest.raises(WeftError, match=r"labels: class 4, but model.classes is \[3, 2\]: ids from 0 to 1"):
        check_labels(labels, (3, 2), None)
    check_labels(labels, (5, 5), None)
    logits = torch.zeros(1, 5, 1, 1, 3)
    with pytest.raises(WeftError, match=r"loss.loss_weight: \[1.0\]: the network has an output 'aux1'"):
        loss_terms({"main": logits, "aux1": logits}, labels, None, LossOptions(loss_weight=(1.0,)))
    with pytest.raises(ValidationError, match="first is of the output"):
        LossOptions(loss_weight=(0.0, 1.0))
    with pytest.raises(ValidationError):
        LossOptions(terms={})
    assert LossOptions(terms={"dice": 1, "cross_entropy": None}).terms == {"dice": 1.0}
