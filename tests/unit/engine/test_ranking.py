import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.engine.ranking import Kept, Ranking

values = st.lists(st.one_of(st.integers(0, 6).map(float), st.just(math.nan)), min_size=1, max_size=20)


def entries(numbers: list[float]) -> list[Kept]:
    return [Kept(step, value, f"{step}.ckpt") for step, value in enumerate(numbers, 1)]


@given(values, st.sampled_from(["min", "max"]), st.integers(1, 4))
def test_the_best_are_kept_best_first_and_of_equals_the_earlier(numbers: list[float], mode: str, keep: int) -> None:
    ranking = Ranking(mode, keep)
    entered = [ranking.enter(entry) for entry in entries(numbers)]
    worst = math.inf if mode == "min" else -math.inf
    key = [(worst if math.isnan(value) else value) * (1 if mode == "min" else -1) for value in numbers]
    expected = sorted(range(len(numbers)), key=lambda i: (key[i], i))[:keep]
    assert [kept.step - 1 for kept in ranking.kept] == expected
    for i, among in enumerate(entered):
        assert among == (sorted(range(i + 1), key=lambda j: (key[j], j)).index(i) < keep)


@given(values, st.sampled_from(["min", "max"]), st.integers(0, 20), st.integers(1, 3))
def test_a_restored_ranking_goes_on_as_if_nothing_had_been(
    numbers: list[float], mode: str, cut: int, keep: int
) -> None:
    whole, first, second = (Ranking(mode, keep, 0.5) for _ in range(3))
    for entry in entries(numbers):
        whole.enter(entry)
    for entry in entries(numbers)[:cut]:
        first.enter(entry)
    second.restore(first.state())
    for entry in entries(numbers)[cut:]:
        second.enter(entry)
    assert repr(second.state()) == repr(whole.state())  # NaN is not equal to itself


@pytest.mark.parametrize(("mode", "sign"), [("max", 1), ("min", -1)])
def test_small_steps_are_no_progress_until_they_add_up(mode: str, sign: int) -> None:
    ranking = Ranking(mode, min_delta=0.25)
    waiting = []
    for entry in entries([sign * value for value in (1, 1.125, 1.25, 1.375, 1.375, 1.0)]):
        ranking.enter(entry)
        waiting.append(ranking.waiting)
    assert waiting == [0, 1, 2, 0, 1, 2]
    assert ranking.kept[0].step == 4


def test_nan_at_first_is_replaced_by_any_number() -> None:
    ranking = Ranking("min")
    for entry in entries([math.nan, math.nan, 5.0]):
        assert ranking.enter(entry) == (entry.step in (1, 3))
    assert (ranking.kept[0].step, ranking.waiting) == (3, 0)
