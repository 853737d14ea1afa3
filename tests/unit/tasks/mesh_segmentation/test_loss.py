"""Losses against loops over faces; what does not count; weights of classes; additivity."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from weft.errors import WeftError
from weft.tasks.mesh_segmentation.class_weights import class_weights
from weft.tasks.mesh_segmentation.loss import loss_terms, target, term_weights
from weft.tasks.mesh_segmentation.loss_options import LossOptions

CLASSES = ("a", "b", "c")
ALL = {"cross_entropy": 1.0, "focal": 1.0, "dice": 1.0}


def case(seed: int = 0, samples: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (samples, 3, 5)
    logits = torch.randn((*shape, 3), generator=generator)
    labels = torch.randint(-1, 3, shape, generator=generator)
    return logits, labels, torch.rand(shape, generator=generator) + 0.1


def terms(logits: Tensor, labels: Tensor, area: Tensor, weights: list[float] | None = None, **options: Any) -> Any:
    asked = LossOptions(**options)
    to = target(labels, area, torch.tensor(weights or [1.0, 1.0, 1.0]), asked)
    made = loss_terms(logits, to, asked)
    for name, weight in term_weights(to, asked).items():
        torch.testing.assert_close(made[name][1], weight)
    return {name: (float(total), float(weight)) for name, (total, weight) in made.items()}


@pytest.mark.parametrize("by", ["count", "area"])
def test_against_a_loop(by: str) -> None:
    logits, labels, area = case()
    weights = [1.0, 3.0, 0.5]
    made = terms(logits, labels, area, weights, terms=ALL, faces=by, label_smoothing=0.2, focal_gamma=1.5)
    entropy = focal = total = 0.0
    dice, present = 0.0, 0
    for b in range(2):
        predicted, true, both = np.zeros(3), np.zeros(3), np.zeros(3)
        has = set()
        for n in range(3):
            for f in range(5):
                label, own = int(labels[b, n, f]), float(area[b, n, f]) if by == "area" else 1.0
                if label < 0:
                    continue
                p = logits[b, n, f].double().softmax(0).numpy()
                shares = np.full(3, 0.2 / 3) + 0.8 * (np.arange(3) == label)
                entropy += own * weights[label] * -(shares * np.log(p)).sum()
                focal += own * weights[label] * (1 - p[label]) ** 1.5 * -math.log(p[label])
                total += own * weights[label]
                predicted += own * p
                true[label] += own
                both[label] += own * p[label]
                has.add(label)
        dice += sum(1 - (2 * both[c] + 1e-5) / (predicted[c] + true[c] + 1e-5) for c in has)
        present += len(has)
    assert made["cross_entropy"] == pytest.approx((entropy, total), rel=1e-5)
    assert made["focal"] == pytest.approx((focal, total), rel=1e-5)
    assert made["dice"] == pytest.approx((dice, present), rel=1e-5)


def test_padding_and_faces_without_a_label_do_not_count() -> None:
    logits, labels, area = case()
    before = terms(logits, labels, area, terms=ALL)
    wild = torch.where((labels < 0)[..., None], 1e4, logits)
    assert terms(wild, labels, area, terms=ALL) == before
    wider = torch.nn.functional.pad(logits, (0, 0, 0, 4), value=7.0)
    padded = torch.nn.functional.pad(labels, (0, 4), value=-1), torch.nn.functional.pad(area, (0, 4))
    for name, value in terms(wider, *padded, terms=ALL).items():
        assert value == pytest.approx(before[name], rel=1e-6)


def test_parts_of_a_batch_add_up() -> None:
    logits, labels, area = case(samples=3)
    whole = terms(logits, labels, area, terms=ALL, faces="area")
    parts = [terms(logits[b : b + 1], labels[b : b + 1], area[b : b + 1], terms=ALL, faces="area") for b in range(3)]
    for name in ALL:
        assert whole[name] == pytest.approx(tuple(sum(part[name][k] for part in parts) for k in (0, 1)), rel=1e-5)


def test_a_batch_without_a_label_is_zero_and_has_a_gradient() -> None:
    logits, labels, area = case()
    logits.requires_grad_()
    asked = LossOptions(terms=ALL)
    made = loss_terms(logits, target(torch.full_like(labels, -1), area, torch.ones(3), asked), asked)
    assert all(float(total.detach()) == 0 and float(weight) == 0 for total, weight in made.values())
    torch.stack([total for total, _ in made.values()]).sum().backward()
    assert logits.grad is not None
    assert (logits.grad == 0).all()


def test_focal_without_gamma_is_cross_entropy() -> None:
    made = terms(*case(), terms={"cross_entropy": 1.0, "focal": 1.0}, focal_gamma=0.0)
    assert made["focal"] == pytest.approx(made["cross_entropy"])


def test_factors_of_the_terms() -> None:
    half, one = (terms(*case(), terms={"cross_entropy": 1.0, "dice": factor}) for factor in (0.5, 1.0))
    assert half["dice"][0] == pytest.approx(one["dice"][0] / 2)
    assert half["cross_entropy"] == one["cross_entropy"]


MEASURED = {"faces": [600.0, 300.0, 100.0], "area": [100.0, 100.0, 800.0]}


@pytest.mark.parametrize(("kind", "by", "expected"), [
    ("inverse", "count", np.array([1 / 0.6, 1 / 0.3, 1 / 0.1])),
    ("inverse_offset", "count", np.array([1 / 0.62, 1 / 0.32, 1 / 0.12])),
    ("inverse", "area", np.array([1 / 0.1, 1 / 0.1, 1 / 0.8])),
    ("effective_number", "count", 0.001 / (1 - 0.999 ** np.array([600.0, 300.0, 100.0]))),
])  # fmt: skip
def test_weights_of_classes(kind: str, by: str, expected: np.ndarray) -> None:
    options = LossOptions(class_weight=kind, faces=by, effective_beta=0.999)
    weights = class_weights(options, MEASURED, CLASSES)
    share = np.array(MEASURED["faces" if by == "count" else "area"]) / 1000
    np.testing.assert_allclose(weights, expected / (expected * share).sum(), rtol=1e-5)


def test_a_class_without_a_training_face_weighs_as_the_heaviest() -> None:
    weights = class_weights(LossOptions(class_weight="inverse"), {"faces": [90.0, 10.0, 0.0]}, CLASSES)
    assert weights[2] == weights[1] > weights[0]


def test_weights_that_cannot_be_known_are_an_error() -> None:
    with pytest.raises(WeftError, match="does not say how many faces of each of 3 classes"):
        class_weights(LossOptions(class_weight="inverse"), {}, CLASSES)
    with pytest.raises(WeftError, match="no training face has a label"):
        class_weights(LossOptions(class_weight="inverse"), {"faces": [0.0, 0.0, 0.0]}, CLASSES)
    np.testing.assert_array_equal(class_weights(LossOptions(), {}, CLASSES), np.ones(3, np.float32))
