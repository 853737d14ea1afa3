import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from weft.engine.randomness import batch_events, draw_generator, epoch_order, initial_seed, loader_seed, torch_seed


@given(st.integers(0, 2**31), st.integers(1, 50), st.integers(1, 17))
def test_epochs_visit_every_event_once_whatever_the_batch_size(seed: int, count: int, size: int) -> None:
    batches = -(-3 * count // size)
    visited = np.concatenate([batch_events(seed, t, size, count) for t in range(batches)])
    for epoch in range(3):
        within = visited[epoch * count : (epoch + 1) * count]
        np.testing.assert_array_equal(within, epoch_order(seed, epoch, count))
        assert sorted(within) == list(range(count))


def test_epochs_and_seeds_differ() -> None:
    orders = [tuple(epoch_order(seed, epoch, 20)) for seed in range(3) for epoch in range(3)]
    assert len(set(orders)) == 9


def test_streams_do_not_share_numbers() -> None:
    draws = [draw_generator(s, t, p).random() for s in range(3) for t in range(3) for p in range(3)]
    assert len(set(draws)) == 27
    seeds = [torch_seed(s, t, r) for s in range(3) for t in range(3) for r in range(2)] + [
        initial_seed(s) for s in range(3)
    ]
    seeds += [loader_seed(s, t, r) for s in range(3) for t in range(3) for r in range(2)]
    assert len(set(seeds)) == 39
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_draw_depends_on_its_key_only() -> None:
    assert draw_generator(1, 2, 3).random() == draw_generator(1, 2, 3).random()
