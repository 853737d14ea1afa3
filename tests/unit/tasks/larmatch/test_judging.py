import numpy as np
import pytest
import torch
from larmatch_tasks import batch_of, network_of, small_task
from wire_events import event, nothing, single_plane

from weft import tasks
from weft.io.conform import conform
from weft.io.larmatch_products import KEY_POINT_KINDS
from weft.io.products import Filtered

EVENTS = [event(0, dead=20), nothing(), event(1), single_plane(), event(2)]


def predicted(network, events=EVENTS, together=True, **data):
    """`triplet_scores` of events, in one batch or one by one."""
    task = small_task(data=data)
    batches = [batch_of(task, *events)] if together else [batch_of(task, one) for one in events]
    with torch.inference_mode():
        return [made["triplet_scores"] for batch in batches for made in task.predict(network, batch)]


def largest_difference(some: list[Filtered], others: list[Filtered]) -> float:
    """Of scores and lengths, in units of what is larger than 1."""
    differences = [0.0]
    for one, other in zip(some, others, strict=True):
        assert np.array_equal(one.index, other.index)
        for name in one.values.dtype.names:
            difference = np.abs(one.values[name] - other.values[name]) / np.maximum(np.abs(one.values[name]), 1)
            differences.append(float(difference.max(initial=0)))
    return max(differences)


@pytest.fixture(scope="module")
def network():
    return network_of(small_task())


def test_scores_do_not_depend_on_chunks_nor_on_other_events(network):
    """Spec §12.7: by at most 1e-6."""
    whole = predicted(network, min_score=0, chunk=100_000)
    assert [len(made.values) for made in whole] == [len(one["triplets"]) for one in EVENTS]
    for chunk in (1, 7, 64, 199, 1000):
        for together in (True, False):
            assert largest_difference(whole, predicted(network, together=together, min_score=0, chunk=chunk)) <= 1e-6


def test_nor_do_those_of_the_default_sizes_on_the_default_chunk():
    """The network that is trained, on more triplets than it judges at a time: any rows of pixels will do."""
    one, rng = event(0, dead=20), np.random.default_rng(0)
    n = 2 * tasks.build("larmatch", {}).options.data.chunk + 5_000
    triplets = np.zeros(n, one["triplets"].dtype)
    for plane in range(3):
        triplets[f"pixel_{plane}"] = rng.choice(np.flatnonzero(one["pixels"]["plane"] == plane), n)
    made = []
    network = network_of(tasks.build("larmatch", {}))
    for data in ({}, {"chunk": n}, {"chunk": 29_989}):
        task = tasks.build("larmatch", {"data": {"min_score": 0, **data}})
        with torch.inference_mode():
            made.append(task.predict(network, batch_of(task, {**one, "triplets": triplets}))[0]["triplet_scores"])
    assert len(made[0].values) == n
    assert np.ptp(made[0].values["larmatch"]) > 0.01
    for other in made[1:]:
        assert largest_difference([made[0]], [other]) <= 1e-6


def test_no_more_than_a_chunk_is_judged_at_a_time(network):
    """So a deploy has room for any number of triplets; benchmarks/larmatch_deploy.py measures it."""
    seen = []
    handle = network.classify_triplets.register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    predicted(network, min_score=0, chunk=100)
    batch = batch_of(small_task(), *EVENTS, labels=True)
    with torch.inference_mode():
        small_task(data={"chunk": 100}).validate(network, batch)
    handle.remove()
    assert max(seen) == 100
    assert len(seen) > 20


def test_scores_do_not_depend_on_the_order_of_triplets(network):
    task, rng = small_task(data={"min_score": 0}), np.random.default_rng(0)
    sample = task.sample(event(0), (0, 0), False)
    order = rng.permutation(len(sample.arrays["triplet"]))
    shuffled = sample.with_arrays(pixel=sample.arrays["pixel"][order], triplet=sample.arrays["triplet"][order])
    with torch.inference_mode():
        straight, mixed = (task.predict(network, task.collate([s]))[0]["triplet_scores"] for s in (sample, shuffled))
    assert np.array_equal(mixed.index, straight.index[order])
    assert largest_difference([mixed], [Filtered(straight.values[order], straight.index[order])]) <= 1e-6


def test_only_triplets_from_the_least_score_on_are_written(network):
    everything = predicted(network, min_score=0)
    least = float(np.quantile(everything[0].values["larmatch"], 0.6))
    some = predicted(network, min_score=least)
    for kept, all_of_them in zip(some, everything, strict=True):
        rows = np.flatnonzero(all_of_them.values["larmatch"] >= least)
        assert np.array_equal(kept.index, rows)
        assert largest_difference([kept], [Filtered(all_of_them.values[rows], rows)]) <= 1e-6
    assert 0 < len(some[0].index) < len(everything[0].index)
    assert not any(len(made.values) for made in predicted(network, min_score=1))


def test_the_forward_pass_says_the_same(network):
    task = small_task()
    with torch.inference_mode():
        batch = batch_of(task, *EVENTS)
        decoded = [made["triplet_scores"] for made in task.decode(network(batch), batch)]
    assert largest_difference(decoded, predicted(network)) <= 1e-6


def test_a_validation_says_the_same_and_has_the_loss_of_all_triplets(network):
    for chunk in (50, 100_000):
        task = small_task(data={"chunk": chunk}, loss={"uncertainty": {"initial": {"larmatch": 1.0}}})
        own = task.network().eval()
        own.load_state_dict(network.state_dict(), strict=False)
        batch = batch_of(task, *EVENTS, labels=True)
        with torch.inference_mode():
            terms, made = task.validate(own, batch)
            expected = task.loss(own(batch), batch)
        assert largest_difference([event["triplet_scores"] for event in made], predicted(network)) <= 1e-6
        assert terms.keys() == expected.keys()
        for name in terms:
            assert [float(x) for x in terms[name]] == pytest.approx([float(x) for x in expected[name]], rel=1e-5)


def test_what_is_written_is_what_the_columns_say(network):
    task = small_task(data={"min_score": 0})
    (schema,) = task.makes
    batch = batch_of(task, event(0))
    with torch.inference_mode():
        answers = network(batch)
        (made,) = task.predict(network, batch)
    conform(schema, made["triplet_scores"], "prediction")
    values = made["triplet_scores"].values
    assert np.allclose(values["larmatch"], answers["larmatch"].sigmoid(), atol=1e-6)
    for k, kind in enumerate(KEY_POINT_KINDS):
        assert np.allclose(values[f"key_{kind}"], answers["key_points"][:, k], atol=1e-6)
        for a, axis in enumerate("xyz"):
            assert np.allclose(values[f"shift_{kind}_{axis}"], answers["shift"][:, k, a], atol=1e-5)
    classes = np.stack([values[f"class_{name}"] for name in task.options.data.labels.classes.classes], axis=1)
    assert classes.sum(1) == pytest.approx(1, abs=1e-6)  # spec §12.9: over classes, not over triplets
    assert np.array_equal(classes.argmax(1), answers["semantics"].argmax(1))
    affinity = np.stack([values[f"affinity_{axis}"] for axis in "xyz"], axis=1)
    assert np.linalg.norm(affinity, axis=1) == pytest.approx(1, abs=1e-5)
    assert (np.einsum("ij,ij->i", affinity, answers["affinity"].numpy()) > 0).all()


def test_without_heads_there_are_no_columns():
    task = small_task({"heads": {"larmatch": [4]}}, data={"min_score": 0})
    assert task.makes[0].dtype.names == ("larmatch",)
    with torch.inference_mode():
        (made,) = task.predict(network_of(task), batch_of(task, event(0)))
    assert len(made["triplet_scores"].values) == len(event(0)["triplets"])


@pytest.mark.parametrize("events", [[nothing()], [single_plane()], [nothing(), single_plane(), nothing()]])
def test_without_triplets_nothing_is_written(network, events):
    for made in predicted(network, events):
        assert made.values.shape == made.index.shape == (0,)
