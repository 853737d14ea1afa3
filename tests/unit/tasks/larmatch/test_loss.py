import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from triplet_batches import KINDS, answers, join, labels, part

from weft.errors import WeftError
from weft.tasks.larmatch.loss import LarmatchLoss
from weft.tasks.larmatch.loss_options import TERMS, LossOptions

NAN = float("nan")


def options(**terms):
    return LossOptions.model_validate(terms)


def loss(*heads, **terms):
    return LarmatchLoss(options(**terms), heads or TERMS)


def mean(term):
    total, weight = term
    return total / weight


def event(good, **given):
    """Labels of an event, those not given empty."""
    n = len(good)
    empty = {
        "key_points": np.zeros((n, KINDS)),
        "shift": np.full((n, KINDS, 3), NAN),
        "affinity": np.full((n, 3), NAN),
        "semantic": np.full(n, -1),
        "boundary": np.ones(n),
    }
    types = {"semantic": np.int8}
    filled = {
        name: np.asarray(given.get(name, value)).astype(types.get(name, np.float32)) for name, value in empty.items()
    }
    return {"good": np.array(good, np.int8), **filled}


@pytest.fixture
def three_events():
    """A batch of 40, 7 and 25 triplets, and answers to it in double precision."""
    rng = np.random.default_rng(3)
    batch = join([labels(rng, n) for n in (40, 7, 25)])
    return batch, answers(rng, 72, dtype=torch.float64)


# --- larmatch -----------------------------------------------------------------------------------------------


def test_larmatch_by_hand():
    # One good of three known and one unknown: it weighs 1/2, each of the two ghosts 1/4.
    batch = join([event([1, 0, 0, -1])])
    logits = torch.tensor([0.0, math.log(3), 0.0, 7.0])  # p = 1/2, 3/4, 1/2
    total, weight = loss("larmatch")({"larmatch": logits}, batch)["larmatch"]
    assert weight.item() == pytest.approx(1)
    assert total.item() == pytest.approx(0.5 * math.log(2) + 0.25 * math.log(4) + 0.25 * math.log(2))
    plain = loss("larmatch", larmatch={"balance": False})({"larmatch": logits}, batch)["larmatch"]
    assert mean(plain).item() == pytest.approx((math.log(2) + math.log(4) + math.log(2)) / 3)
    focal = loss("larmatch", larmatch={"form": "focal", "gamma": 2})({"larmatch": logits}, batch)["larmatch"]
    expected = 0.5 * math.log(2) / 4 + 0.25 * math.log(4) * 9 / 16 + 0.25 * math.log(2) / 4
    assert mean(focal).item() == pytest.approx(expected)
    square = loss("larmatch", larmatch={"form": "mse", "weight": 3})({"larmatch": logits}, batch)["larmatch"]
    assert mean(square).item() == pytest.approx(3 * (0.5 / 4 + 0.25 * 9 / 16 + 0.25 / 4))


def test_focal_loss_without_modulation_is_the_cross_entropy(three_events):
    batch, output = three_events
    focal = loss("larmatch", larmatch={"form": "focal", "gamma": 0})(output, batch)["larmatch"]
    torch.testing.assert_close(focal, loss("larmatch")(output, batch)["larmatch"])


@pytest.mark.parametrize("form", ["bce", "focal", "mse"])
@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_sure_answers_keep_finite_losses_and_gradients(form, gamma):
    logits = torch.tensor([200.0, -200.0, 200.0, -200.0, 0.0], requires_grad=True)
    batch = join([event([1, 1, 0, 0, 1])])
    hard = {"share": 0.3, "temperature": 0.5}
    terms = loss("larmatch", larmatch={"form": form, "gamma": gamma, "hard": hard})({"larmatch": logits}, batch)
    terms["larmatch"][0].backward()
    assert terms["larmatch"][0].isfinite()
    assert logits.grad.isfinite().all()


def test_a_class_weighs_the_same_however_many_it_has():
    few, many = event([1] + [0] * 3), event([1] * 50 + [0] * 900)
    for labelled in (few, many):
        good = torch.tensor(labelled["good"])
        logits = torch.where(good == 1, 1.0, 0.0)  # only good ones are answered better than by 1/2
        total, weight = loss("larmatch")({"larmatch": logits}, join([labelled]))["larmatch"]
        assert weight.item() == pytest.approx(1)
        assert total.item() == pytest.approx(0.5 * math.log(1 + math.exp(-1)) + 0.5 * math.log(2), rel=1e-5)


# --- key points ---------------------------------------------------------------------------------------------


def test_key_points_by_hand():
    # Two good triplets, one of them close to a vertex; a ghost and an unknown one, which do not count.
    scores = np.zeros((4, KINDS))
    scores[0, 0] = 0.8
    batch = join([event([1, 1, 0, -1], key_points=scores)])
    predicted = torch.zeros((4, KINDS))
    predicted[0, 0], predicted[1, 0], predicted[1, 5] = 0.5, 0.1, 0.6
    predicted[2:] = 100.0
    total, weight = loss("key_points")({"key_points": predicted}, batch)["key_points"]
    # Vertices: ½ on the close one, ½ on the other. Deltas: no close one, so ½ on two others.
    assert total.item() == pytest.approx(0.5 * 0.3**2 + 0.5 * 0.1**2 + 0.25 * 0.6**2)
    assert weight.item() == pytest.approx((1 + 5 * 0.5) / KINDS)
    plain = loss("key_points", key_points={"balance": False})({"key_points": predicted}, batch)["key_points"]
    assert plain[0].item() == pytest.approx(0.5 * (0.3**2 + 0.1**2 + 0.6**2))
    assert plain[1].item() == pytest.approx(1)
    # With a higher bar nothing is close.
    barred = loss("key_points", key_points={"positive": 0.9})({"key_points": predicted}, batch)["key_points"]
    assert barred[1].item() == pytest.approx(0.5)


def test_key_points_that_are_not_known_are_not_far_ones():
    scores = np.zeros((3, KINDS))
    scores[0, 0], scores[2], scores[1, 3] = 0.8, NAN, NAN
    predicted = torch.full((3, KINDS), 0.6, requires_grad=True)
    term = loss("key_points")({"key_points": predicted}, join([event([1, 1, 1], key_points=scores)]))["key_points"]
    (slope,) = torch.autograd.grad(term[0], predicted)
    assert slope.isfinite().all()
    assert (slope == 0).tolist() == np.isnan(scores).tolist()
    nothing = loss("key_points")({"key_points": predicted}, join([event([1] * 3, key_points=scores * NAN)]))
    assert [float(x.detach()) for x in nothing["key_points"]] == [0, 0]


# --- semantics ----------------------------------------------------------------------------------------------


def test_semantics_by_hand():
    # Classes of 2, 1 and 0 triplets: by class they weigh 1/2, 1/2 and 1; a topology weight of 3 on the first.
    batch = join([event([1, 1, 1, 0, 1], semantic=[0, 0, 1, -1, -1], boundary=[3, 1, 1, 9, 1])])
    logits = torch.tensor([[0.0, 0, 0], [math.log(2), 0, 0], [0, 0, math.log(2)], [9, 0, 0], [0, 9, 0]])
    total, weight = loss("semantics")({"semantics": logits}, batch)["semantics"]
    assert weight.item() == pytest.approx(1)
    # Entropies ln 3, ln 2 (p = 1/2), ln 4 (p = 1/4); a softmax over the triplets would give others.
    assert total.item() == pytest.approx((1.5 * math.log(3) + 0.5 * math.log(2) + math.log(4)) / 3)
    plain = loss("semantics", semantics={"balance": 0})({"semantics": logits}, batch)["semantics"]
    assert plain[0].item() == pytest.approx((3 * math.log(3) + math.log(2) + math.log(4)) / 5)
    focal = loss("semantics", semantics={"balance": 0, "gamma": 1})({"semantics": logits}, batch)["semantics"]
    assert focal[0].item() == pytest.approx((3 * math.log(3) * 2 / 3 + math.log(2) / 2 + math.log(4) * 3 / 4) / 5)


def test_semantic_weights_are_torchs_class_weights(three_events):
    batch, output = three_events
    rows = slice(0, 40)
    target = batch.targets["semantic"][rows].long()
    batch.targets["boundary"] = torch.ones(72)
    number = torch.bincount(target[target >= 0], minlength=5)
    expected = F.cross_entropy(output["semantics"][rows], target, (1 / number).double(), ignore_index=-1)
    one = join([{name: values[rows].numpy() for name, values in batch.targets.items()}])
    terms = loss("semantics")(part(output, rows), one)
    torch.testing.assert_close(mean(terms["semantics"]), expected, check_dtype=False, rtol=1e-5, atol=0)


def test_a_class_that_the_network_does_not_have_is_named():
    batch = join([event([1], semantic=[3])])
    with pytest.raises(WeftError, match=r"semantic label 3: expected a class in 0\.\.2"):
        loss("semantics")({"semantics": torch.zeros((1, 3))}, batch)


# --- affinity and shift -------------------------------------------------------------------------------------


def test_affinity_by_hand():
    batch = join([event([1, 1, 1, 0], affinity=[[0, 0, 1], [0, 1, 0], [NAN] * 3, [NAN] * 3])])
    predicted = torch.tensor([[0.0, 0, 1], [0, -1, 0], [5, 5, 5], [5, 5, 5]])
    total, weight = loss("affinity")({"affinity": predicted}, batch)["affinity"]
    assert (total.item(), weight.item()) == (pytest.approx(4 / 2), pytest.approx(1))


def test_an_axis_has_no_sense():
    """1 − cos², of answers of any length; one that is none has no slope, as has one across the axis."""
    batch = join([event([1] * 4 + [0], affinity=[[0, 0, 1], [0, 1, 0], [1, 0, 0], [1, 0, 0], [NAN] * 3])])
    predicted = torch.tensor([[0.0, 0, -7], [0, 3, 4], [0, 0, 0], [0, 2, 0], [5, 5, 5]], requires_grad=True)
    total, weight = loss("affinity", affinity={"form": "axis"})({"affinity": predicted}, batch)["affinity"]
    assert (total.item(), weight.item()) == (pytest.approx((0 + 0.64 + 1 + 1) / 4), pytest.approx(1))
    (slope,) = torch.autograd.grad(total, predicted)
    assert slope.isfinite().all()
    assert (slope[1] @ predicted[1]).item() == pytest.approx(0, abs=1e-6)
    assert slope[1, 1] < 0 < slope[1, 2]
    assert (slope[[2, 3, 4]] == 0).all()


def test_an_axis_is_learned_where_the_sense_cannot_be():
    """Labels along two lines with a sense by chance: their mean is no vector, but their lines are known."""
    rng = np.random.default_rng(0)
    line = rng.integers(0, 2, 400)
    along = np.array([[0.6, 0, 0.8], [0, 1, 0]])[line] * rng.choice([-1, 1], (400, 1))
    batch, seen = join([event([1] * 400, affinity=along)]), torch.eye(2)[line]
    said = {}
    for form in ("vector", "axis"):
        torch.manual_seed(0)
        head = torch.nn.Linear(2, 3)
        optimizer, term = torch.optim.Adam(head.parameters(), 0.05), loss("affinity", affinity={"form": form})
        for _ in range(150):
            optimizer.zero_grad()
            value = mean(term({"affinity": head(seen)}, batch)["affinity"])
            value.backward()
            optimizer.step()
        said[form] = value.item()
        cosine = F.cosine_similarity(head(seen), torch.from_numpy(along).float()).abs()
    assert said["vector"] > 0.95
    assert said["axis"] < 0.01
    assert cosine.min() > 0.99


def test_the_form_of_old_trainings_is_not_written():
    """What they are recognised by does not change; another one is, and both are read again."""
    assert options().model_dump(mode="json")["affinity"] == {"weight": 1.0}
    axis = options(affinity={"form": "axis"})
    assert axis.model_dump(mode="json")["affinity"] == {"weight": 1.0, "form": "axis"}
    for one in (options(), axis):
        assert LossOptions.model_validate(one.model_dump(mode="json")) == one


def test_shift_by_hand():
    shift = np.full((3, KINDS, 3), NAN)
    shift[0, 1], shift[1, 1], shift[1, 4] = (3, 4, 0), (0, 0, 0), (0, 0, 1)
    batch = join([event([1, 1, 0], shift=shift)])
    predicted = torch.zeros((3, KINDS, 3))
    predicted[2] = 50.0
    total, weight = loss("shift", shift={"unit": 2.5})({"shift": predicted}, batch)["shift"]
    # Two kinds. Of starts one is 5 cm off, twice the unit: 2 − ½; one is right. The Michel electron is 1 cm off.
    assert weight.item() == pytest.approx(2)
    assert total.item() == pytest.approx((1.5 + 0) / 2 + 0.5 * 0.4**2)


def test_shift_does_not_care_about_the_axes(three_events):
    batch, output = three_events
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    turn = torch.from_numpy(turn)
    before = loss("shift")(output, batch)["shift"][0]
    batch.targets["shift"] = batch.targets["shift"].double() @ turn
    after = loss("shift")({"shift": output["shift"] @ turn}, batch)["shift"][0]
    torch.testing.assert_close(after, before, rtol=1e-6, atol=0)


def test_shifts_can_be_learned():
    rng = np.random.default_rng(0)
    batch, term = join([labels(rng, 60)]), loss("shift")
    predicted = torch.zeros((60, KINDS, 3), requires_grad=True)
    optimizer = torch.optim.Adam([predicted], 0.1)
    values = []
    for _ in range(300):
        optimizer.zero_grad()
        value = mean(term({"shift": predicted}, batch)["shift"])
        value.backward()
        optimizer.step()
        values.append(value.item())
    known = batch.targets["shift"].isfinite()
    assert values[-1] < 1e-3 * values[0]
    torch.testing.assert_close(predicted[known], batch.targets["shift"][known], rtol=0, atol=0.1)
    assert (predicted[~known] == 0).all()


# --- events, batches, ranks ---------------------------------------------------------------------------------


def test_terms_are_the_sums_over_events(three_events):
    batch, output = three_events
    together = loss()(output, batch)
    assert tuple(together) == TERMS
    rows = [slice(0, 40), slice(40, 47), slice(47, 72)]
    events = [{name: values[r].numpy() for name, values in batch.targets.items()} for r in rows]
    apart = [loss()(part(output, r), join([e])) for r, e in zip(rows, events, strict=True)]
    backwards = loss()(
        {name: torch.cat([values[r] for r in rows[::-1]]) for name, values in output.items()}, join(events[::-1])
    )
    for name, (total, weight) in together.items():
        for k, value in enumerate((total, weight)):
            torch.testing.assert_close(sum(terms[name][k] for terms in apart), value, rtol=1e-6, atol=0)
            torch.testing.assert_close(backwards[name][k], value, rtol=1e-6, atol=0)


def test_other_events_never_reach_the_loss_of_an_event(three_events):
    batch, output = three_events
    mine = slice(40, 47)
    for name, (total, _) in loss()(output, batch).items():
        (gradient,) = torch.autograd.grad(total, output[name])
        changed = output[name].detach().clone()
        changed[:40], changed[47:] = 50.0, -50.0
        changed.requires_grad_()
        (again,) = torch.autograd.grad(loss(name)({name: changed}, batch)[name][0], changed)
        assert torch.equal(gradient[mine], again[mine])
        assert (gradient[mine] != 0).any()


def test_the_order_of_triplets_does_not_matter(three_events):
    batch, output = three_events
    order = torch.cat([torch.randperm(n, generator=torch.manual_seed(1)) + s for n, s in ((40, 0), (7, 40), (25, 47))])
    before = loss()(output, batch)
    batch.targets = {name: values[order] for name, values in batch.targets.items()}
    after = loss()(part(output, order), batch)
    for name in TERMS:
        torch.testing.assert_close(after[name], before[name], rtol=1e-6, atol=0)


def test_weights_are_known_before_the_output(three_events):
    batch, output = three_events
    with_hard = loss(larmatch={"hard": {"share": 0.3}})
    terms, weights = with_hard(output, batch), with_hard.weights(batch)
    assert weights.keys() == terms.keys()
    for name, (total, weight) in terms.items():
        assert weight == weights[name]
        assert not weight.requires_grad
        assert total.requires_grad


def test_unlabelled_triplets_learn_nothing(three_events):
    batch, output = three_events
    unknown, good = batch.targets["good"] == -1, batch.targets["good"] == 1
    for name, (total, _) in loss()(output, batch).items():
        (gradient,) = torch.autograd.grad(total, output[name])
        assert gradient.isfinite().all()
        assert (gradient[unknown] == 0).all()
        if name != "larmatch":
            assert (gradient[~good] == 0).all()


@pytest.mark.parametrize("name", TERMS)
def test_gradients_are_the_slopes(three_events, name):
    batch, output = three_events
    torch.autograd.gradcheck(lambda answer: loss(name)({name: answer}, batch)[name][0], output[name])
    if name == "affinity":
        axis = loss(name, affinity={"form": "axis"})
        torch.autograd.gradcheck(lambda answer: axis({name: answer}, batch)[name][0], output[name])


@pytest.mark.parametrize(
    "events",
    [
        [event([])],
        [event([]), event([0, 0, -1]), event([])],
        [event([-1, -1])],
        [event([1, 1, 0])],
    ],
    ids=["empty", "only ghosts", "only unknown", "no other labels"],
)
def test_poor_events_give_zeros_and_no_nan(events):
    batch = join(events)
    n = len(batch.triplets)
    output = answers(np.random.default_rng(0), n)
    for name, (total, weight) in loss(larmatch={"hard": {}})(output, batch).items():
        assert total.isfinite()
        assert weight.isfinite()
        (gradient,) = torch.autograd.grad(total, output[name])
        assert gradient.isfinite().all()
        if weight == 0:
            assert total == 0


@pytest.mark.parametrize("name", TERMS)
def test_factors_scale_their_own_term(three_events, name):
    batch, output = three_events
    plain, scaled = loss()(output, batch), loss(**{name: {"weight": 2.5}})(output, batch)
    for term, (total, weight) in plain.items():
        torch.testing.assert_close(scaled[term][0], total * (2.5 if term == name else 1))
        assert scaled[term][1] == weight


# --- hard examples ------------------------------------------------------------------------------------------


@pytest.fixture
def skilled():
    """An event of 4,000 triplets that a network mostly gets right, of another of 400, and its answers."""
    rng = np.random.default_rng(5)
    events = [event(rng.choice([0, 1, -1], n, p=[0.7, 0.25, 0.05])) for n in (4000, 400)]
    batch = join(events)
    good = batch.targets["good"]
    logits = torch.where(good == 1, 2.0, -2.0) + torch.from_numpy(rng.normal(0, 1.5, len(good))).float()
    return batch, logits.requires_grad_()


def boosts(batch, logits, **hard):
    """How many times its usual weight each triplet has."""
    hard_loss = loss("larmatch", larmatch={"form": "mse", "hard": hard})
    (with_hard,) = torch.autograd.grad(hard_loss({"larmatch": logits}, batch)["larmatch"][0], logits)
    plain = loss("larmatch", larmatch={"form": "mse"})
    (without,) = torch.autograd.grad(plain({"larmatch": logits}, batch)["larmatch"][0], logits)
    return torch.where(without == 0, torch.nan, with_hard / without)


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
def test_hard_examples_are_harder_and_not_more_than_their_share(skilled, temperature):
    batch, logits = skilled
    good = batch.targets["good"]
    torch.manual_seed(0)
    boost = boosts(batch, logits, share=0.2, temperature=temperature)
    mistake = (logits.detach().sigmoid() - good).abs()
    for rows in (slice(0, 4000), slice(4000, 4400)):
        for state in (0, 1):
            among = torch.zeros(len(good), dtype=torch.bool)
            among[rows] = good[rows] == state
            hard = among & (boost > 1)
            n, m = int(among.sum()), int(hard.sum())
            assert m == math.ceil(0.2 * n)
            # They have 0.2 of the weight on top of what they have as all others.
            torch.testing.assert_close(boost[hard], torch.full((m,), 0.8 + 0.2 * n / m), rtol=1e-4, atol=0)
            torch.testing.assert_close(boost[among & ~hard], torch.full((n - m,), 0.8), rtol=1e-4, atol=0)
            assert mistake[hard].mean() > 1.5 * mistake[among].mean()
            if temperature == 0:
                assert mistake[hard].min() >= mistake[among & ~hard].max()
    assert boost[good == -1].isnan().all()


def test_colder_draws_are_harder(skilled):
    batch, logits = skilled
    mistake = (logits.detach().sigmoid() - batch.targets["good"]).abs()
    means = []
    for temperature in (0.0, 0.3, 1.0, 3.0):
        torch.manual_seed(0)
        means.append(mistake[boosts(batch, logits, share=0.2, temperature=temperature) > 1].mean().item())
    assert means == sorted(means, reverse=True)
    assert means[0] > means[-1] + 0.05


def test_hard_examples_differ_by_step_and_not_by_run(skilled):
    batch, logits = skilled

    def chosen(seed):
        torch.manual_seed(seed)
        return boosts(batch, logits, share=0.2) > 1

    assert torch.equal(chosen(1), chosen(1))
    assert not torch.equal(chosen(1), chosen(2))
    # What is learned changes what is hard: the worst ones of other answers are others.
    torch.manual_seed(1)
    assert not torch.equal(chosen(1), boosts(batch, (-logits).detach().requires_grad_(), share=0.2) > 1)


def test_a_validation_is_of_all_triplets_alike(skilled):
    batch, logits = skilled
    judged = {"larmatch": logits.detach()}
    state = torch.get_rng_state()
    with_hard = loss("larmatch", larmatch={"hard": {}})(judged, batch)["larmatch"]
    torch.testing.assert_close(with_hard, loss("larmatch")(judged, batch)["larmatch"], rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_draw_has_the_odds_that_it_says():
    from weft.tasks.larmatch.hard_examples import choose_hard

    # One of three is drawn, with odds 1 : 4 : 16 at temperature 1/2.
    mistake, group = torch.tensor([0.2, 0.4, 0.8, 0.9]), torch.tensor([0, 0, 0, -1])
    torch.manual_seed(0)
    drawn = sum(choose_hard(mistake, group, 0.3, 0.5)[0].double() for _ in range(3000)) / 3000
    torch.testing.assert_close(drawn, torch.tensor([1, 4, 16, 0]).double() / 21, rtol=0, atol=0.03)


# --- learned weights ----------------------------------------------------------------------------------------


def test_uncertainty_by_hand(three_events):
    batch, output = three_events
    scale = {name: torch.tensor(0.1 * k - 0.2, dtype=torch.float64, requires_grad=True) for k, name in enumerate(TERMS)}
    plain = loss(affinity={"weight": 2})(output, batch)
    learned = loss(affinity={"weight": 2}, uncertainty={})(output | {"log_variance": scale}, batch)
    for name in TERMS:
        expected = mean(plain[name]) * (-scale[name]).exp() + scale[name]
        torch.testing.assert_close(mean(learned[name]), expected.detach(), check_dtype=False, rtol=1e-6, atol=0)
        (slope,) = torch.autograd.grad(mean(learned[name]), scale[name])
        assert slope.item() == pytest.approx(1 - mean(plain[name]).item() * math.exp(-scale[name].item()), rel=1e-5)


def test_the_best_log_variance_is_the_logarithm_of_the_loss(three_events):
    batch, output = three_events
    target = mean(loss("larmatch")(output, batch)["larmatch"]).item()
    s = torch.tensor(0.0, requires_grad=True)
    optimizer = torch.optim.SGD([s], 0.3)
    for _ in range(200):
        optimizer.zero_grad()
        mean(loss("larmatch", uncertainty={})(output | {"log_variance": {"larmatch": s}}, batch)["larmatch"]).backward()
        optimizer.step()
    assert s.item() == pytest.approx(math.log(target), abs=1e-4)


def test_a_step_without_labels_of_a_head_does_not_move_its_log_variance():
    batch = join([event([0, 0])])
    s = torch.tensor(0.5, requires_grad=True)
    term = loss("affinity", uncertainty={})({"affinity": torch.ones((2, 3)), "log_variance": {"affinity": s}}, batch)
    term["affinity"][0].backward()
    assert (s.grad.item(), term["affinity"][1].item()) == (0, 0)
