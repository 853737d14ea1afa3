import numpy as np
import pytest
import torch
import torch.nn.functional as F
from point_events import LINES, Fed, event, random_event

from weft import tasks
from weft.engine.accumulation import totals
from weft.engine.randomness import draw_generator
from weft.errors import WeftError
from weft.tasks.points.loss import EveryScaleLoss, ThreeScalesLoss
from weft.tasks.points.network import Proposals
from weft.tasks.points.options import LossOptions

SMALL = {"filters": 4, "depth": 3, "reps": 1}
THREE = SMALL | {"form": "scales3", "spatial_size": 64, "ppn1_size": 16, "ppn2_size": 32}
FORMS = {"every_scale": SMALL | {"ends": True}, "scales3": THREE}


def targets():
    """Four voxels, three coarse cells, two label points: a track's end and a shower's start."""
    return {
        "nearest": torch.tensor([0, 0, 1, -1]),
        "points": torch.tensor([[0.0, 0, 0], [9, 9, 9]]),
        "point_class": torch.tensor([1, 0], dtype=torch.int8),
        "point_end": torch.tensor([1, 0], dtype=torch.int8),
        "point_event": torch.tensor([0, 0]),
        "centres": torch.tensor([[0.5, 0.5, 0.5], [1.5, 0.5, 0.5], [9.5, 9.5, 9.5], [20.5, 20.5, 20.5]]),
        "mask_1": torch.tensor([True, True, False]),
    }


def output(end=True):
    torch.manual_seed(0)
    ends = torch.randn(4, 2) if end else None
    kept = torch.ones(4, dtype=torch.bool)
    return Proposals(torch.randn(4, 3), torch.randn(4, 5), torch.randn(4, 2), kept, ends, None, [torch.randn(3, 2)], [])


def means(terms):
    return {name: (total.detach() / weight).item() for name, (total, weight) in terms.items()}


def test_every_scale_by_hand():
    out, t = output(), targets()
    terms = means(EveryScaleLoss(LossOptions(), 2, True)(out, t))
    # Balanced: 4/(2·1) for the empty voxel, 4/(2·3) for the three others; 3/(2·1) and 3/(2·2) on the coarse scale.
    fine = F.cross_entropy(out.score, torch.tensor([1, 1, 1, 0]), weight=torch.tensor([2, 2 / 3]))
    coarse = F.cross_entropy(out.coarse[0], torch.tensor([1, 1, 0]), weight=torch.tensor([1.5, 0.75]))
    assert terms["mask_1"] == pytest.approx(fine.item() / 2, rel=1e-5)
    assert terms["mask_0"] == pytest.approx(coarse.item() / 2, rel=1e-5)
    # Either class has one of two label points: all weigh the same.
    assert terms["class"] == pytest.approx(F.cross_entropy(out.classes[:3], torch.tensor([1, 1, 0])).item(), rel=1e-5)
    at = out.offset[:3] + t["centres"][:3]
    assert terms["position"] == pytest.approx(F.mse_loss(at, t["points"][[0, 0, 1]]).item(), rel=1e-5)
    assert terms["end"] == pytest.approx(F.cross_entropy(out.end[:2], torch.tensor([1, 1])).item(), rel=1e-5)


def test_class_weights_are_those_of_label_points():
    t = targets() | {"point_class": torch.tensor([1, 0, 0, 0]), "points": torch.zeros(4, 3)}
    t |= {"point_end": torch.zeros(4), "point_event": torch.zeros(4)}
    out = output()
    expected = F.cross_entropy(
        out.classes[:3], torch.tensor([1, 1, 0]), weight=torch.tensor([4 / 15, 4 / 5, 1.0, 1, 1])
    )
    assert means(EveryScaleLoss(LossOptions(), 2, True)(out, t))["class"] == pytest.approx(expected.item(), rel=1e-5)
    plain = F.cross_entropy(out.classes[:3], torch.tensor([1, 1, 0])).item()
    flat = EveryScaleLoss(LossOptions(balance_class=0), 2, True)
    assert means(flat(out, t))["class"] == pytest.approx(plain, rel=1e-5)


def test_the_balance_of_masks_is_a_power():
    out, t = output(), targets()
    for power in (0.0, 0.5):
        weight = torch.tensor([2, 2 / 3]) ** power
        expected = F.cross_entropy(out.score, torch.tensor([1, 1, 1, 0]), weight=weight).item() / 2
        terms = EveryScaleLoss(LossOptions(balance_mask=power), 2, True)(out, t)
        assert means(terms)["mask_1"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("weight", "term"), [("mask_weight", "mask_0"), ("class_weight", "class"),
                                              ("position_weight", "position"), ("end_weight", "end")])  # fmt: skip
def test_a_weight_multiplies_its_term_alone(weight, term):
    plain = means(EveryScaleLoss(LossOptions(), 2, True)(output(), targets()))
    more = means(EveryScaleLoss(LossOptions(**{weight: 3.0}), 2, True)(output(), targets()))
    changed = {name for name in plain if more[name] != pytest.approx(plain[name])}
    assert changed == ({"mask_0", "mask_1"} if term == "mask_0" else {term})
    assert more[term] == pytest.approx(3 * plain[term])


def three_scales():
    t = targets() | {"mask_2": torch.tensor([True, True, False, False]), "mask_1": torch.tensor([True, False])}
    t |= {"rows_0": torch.tensor([0, 3, 4]), "rows_1": torch.tensor([0, 1, 2]), "rows_2": torch.tensor([0, 3, 4])}
    torch.manual_seed(0)
    kept = torch.tensor([True, False, True, True])
    coarse = [torch.randn(2, 2), torch.randn(4, 2)]
    masks = [torch.ones(2, dtype=torch.bool), torch.tensor([True, True, True, False])]
    out = Proposals(torch.randn(4, 3), torch.randn(4, 5), torch.randn(4, 2), kept, None, None, coarse, masks)
    return out, t


def test_three_scales_by_hand():
    out, t = three_scales()  # the second event has no label points and does not count
    terms = means(ThreeScalesLoss(LossOptions())(out, t))
    # Two of three of the middle scale are positive: an empty one weighs 2/3, a positive one 1/3.
    middle = F.cross_entropy(out.coarse[1][:3], torch.tensor([1, 1, 0]), weight=torch.tensor([2 / 3, 1 / 3]))
    assert terms["mask_1"] == pytest.approx(middle.item(), rel=1e-5)
    # On the coarse scale, and on the finest among what is kept, all are positive: nothing to tell apart.
    assert terms["mask_0"] == terms["mask_2"] == 0
    at = (out.offset + t["centres"])[[0, 2]]
    distance, closest = torch.cdist(at, t["points"]).min(1)
    assert terms["position"] == pytest.approx(distance.mean().item(), rel=1e-5)
    classes = torch.tensor([1, 0])[closest]
    assert terms["class"] == pytest.approx(F.cross_entropy(out.classes[[0, 2]], classes).item(), rel=1e-5)


def test_the_class_of_the_three_scales_is_that_of_the_point_nearest_to_the_prediction():
    out, t = three_scales()
    out = out._replace(offset=torch.full((4, 3), 20.0))  # everything is predicted near the second point
    terms = means(ThreeScalesLoss(LossOptions())(out, t))
    assert terms["class"] == pytest.approx(F.cross_entropy(out.classes[[0, 2]], torch.tensor([0, 0])).item(), rel=1e-5)


def test_the_coarsest_scale_has_a_weight_of_its_own():
    out, t = three_scales()
    t["mask_1"] = torch.tensor([True, True])
    t["rows_1"] = torch.tensor([0, 2, 2])
    t["mask_1"][1] = False
    plain = means(ThreeScalesLoss(LossOptions())(out, t))
    more = means(ThreeScalesLoss(LossOptions(ppn1_weight=2.0))(out, t))
    assert more["mask_0"] == pytest.approx(2 * plain["mask_0"])
    assert plain["mask_0"] > 0
    assert more["mask_1"] == plain["mask_1"]


def built(form, **loss):
    return tasks.build("points", {"model": FORMS[form] | {"semantic": True}, "loss": loss})


def batch_of(task, events):
    return task.collate([task.sample(Fed(e), (0, k), labels=True) for k, e in enumerate(events)])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("balance", [0.0, 1.0])
def test_micro_batches_add_up_to_the_loss_of_the_whole(form, balance):
    if form == "scales3" and not balance:
        pytest.skip("the form has no such option")
    task = built(form, **({"balance_mask": balance, "balance_class": balance} if form == "every_scale" else {}))
    torch.manual_seed(0)
    network = task.network().eval()
    events = [random_event(0), event([]), random_event(1), event([(4, (5, 5, 5), (1, 0, 0), 8)]), random_event(2)]
    whole = batch_of(task, events)
    parts = [batch_of(task, events[:2]), batch_of(task, events[2:4]), batch_of(task, events[4:])]
    counts, weights = totals(task, parts)
    together = means(task.loss(network(whole), whole, task.counts(whole)))
    summed = dict.fromkeys(together, 0.0)
    for part in parts:
        for name, (total, _) in task.loss(network(part), part, counts).items():
            summed[name] += (total / weights[name]).item()
    assert summed == pytest.approx(together, rel=1e-4)
    assert set(weights) == set(together)


@pytest.mark.parametrize("form", FORMS)
def test_weights_are_known_before_the_output(form):
    task = built(form)
    batch = batch_of(task, [random_event(k) for k in range(3)])
    terms = task.loss(task.network()(batch), batch)
    weights = task.weights(batch, task.counts(batch))
    assert {n: float(w) for n, w in weights.items()} == pytest.approx({n: float(w) for n, (_, w) in terms.items()})


@pytest.mark.parametrize("form", FORMS)
def test_no_points_teach_nothing_and_make_no_nans(form):
    task = built(form)
    batch = batch_of(task, [event([(4, (5, 5, 5), (1, 0, 0), 8)]), event([])])
    for name, (total, weight) in task.loss(task.network()(batch), batch).items():
        assert torch.isfinite(total), name
        assert float(weight) >= 0
        if name in ("class", "position", "end"):
            assert float(total.detach()) == float(weight) == 0
        total.backward(retain_graph=True)


@pytest.mark.parametrize("form", FORMS)
def test_the_loss_does_not_depend_on_the_order_of_events(form):
    task = built(form)
    network = task.network().eval()
    events = [random_event(k) for k in range(3)]
    one, other = (means(task.loss(network(b), b)) for b in (batch_of(task, events), batch_of(task, events[::-1])))
    assert one == pytest.approx(other, rel=1e-4)


def test_labels_of_the_same_particle():
    # The shower passes the end of the track.
    lines = [(1, (5, 5, 5), (1, 0, 0), 10), (0, (15, 2, 5), (0, 1, 0), 12)]
    for same, others in ((False, True), (True, False)):
        task = built("every_scale", same_particle=same)
        batch = batch_of(task, [event(lines)])
        shower = batch.targets["semantics"] == 0
        classes = batch.targets["point_class"][batch.targets["nearest"]]
        near = batch.targets["nearest"] >= 0
        assert bool((classes[shower & near] == 1).any() or (classes[~shower & near] == 0).any()) == others
        assert ("clusters" in task.labels) == same


def test_the_radius_is_that_of_the_options():
    counts = [
        int((batch_of(built("every_scale", radius=radius), [event(LINES)]).targets["nearest"] >= 0).sum())
        for radius in (1.0, 3.0, 6.0)
    ]
    assert counts == sorted(counts)
    assert len(set(counts)) == 3


def test_the_segmentation_is_learned_where_it_weighs_something():
    batch = batch_of(built("every_scale"), [event(LINES)])
    plain = built("every_scale").loss(out := built("every_scale").network()(batch), batch)
    double = built("every_scale", semantic_weight=2.0).loss(out, batch)
    assert means(double)["semantic"] == pytest.approx(2 * means(plain)["semantic"])
    labels = batch.targets["semantics"].long()
    assert means(plain)["semantic"] == pytest.approx(F.cross_entropy(out.semantic, labels).item(), rel=1e-5)
    task = built("every_scale", semantic_weight=0.0)
    assert "semantic" not in task.loss(out, batch)
    assert "semantic" not in task.weights(batch, None)


def test_the_balance_of_2020_is_its_own():
    with pytest.raises(WeftError, match="balance_mask: the form scales3 weighs by the share of positives"):
        built("scales3", balance_mask=0.5)


def test_views_have_the_targets_of_their_samples():
    task = built("every_scale")
    sample = task.sample(Fed(random_event(3)), (0, 0), labels=True)
    seen = set()
    for t in range(20):
        view = task.draw(sample, draw_generator(0, t, 0))
        batch = task.collate([view])
        near = batch.targets["nearest"] >= 0
        at = batch.targets["points"][batch.targets["nearest"][near]]
        distance = (batch.targets["centres"][near] - at).norm(dim=1)
        before = sample.arrays["coords"][near.numpy()] + 0.5 - sample.arrays["points"][sample.arrays["nearest"][near]]
        np.testing.assert_allclose(distance.numpy(), np.linalg.norm(before, axis=1), atol=1e-4)
        ratio = view.arrays["charge"] / sample.arrays["charge"]
        np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-5)
        seen.add(view.arrays["coords"].tobytes())
    assert len(seen) == 20
