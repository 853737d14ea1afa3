import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from weft.io.identity import event_table, split_fraction


def test_numbers_that_differ_make_the_id_whatever_the_file():
    numbers = np.array([[1, 0, 1], [1, 0, 2], [1, 1, 1]])
    a, distinct = event_table(3, numbers, "a.root")
    b, _ = event_table(2, numbers[1:], "b.root")
    assert distinct
    assert np.array_equal(a["uid"][1:], b["uid"])
    assert len(np.unique(a["uid"])) == 3
    other, _ = event_table(3, numbers, "a.root", namespace="shifted")
    assert not np.intersect1d(a["uid"], other["uid"]).size


def test_numbers_that_repeat_or_are_missing_leave_file_and_entry():
    repeated = np.array([[1, 0, 1], [1, 0, 1]])
    a, distinct = event_table(2, repeated, "a.root")
    assert not distinct
    assert a["uid"][0] != a["uid"][1]
    assert not np.intersect1d(a["uid"], event_table(2, repeated, "b.root")[0]["uid"]).size
    missing, distinct = event_table(3, None, "a.h5")
    assert not distinct
    assert missing["event"].tolist() == [0, 1, 2]


def test_the_id_is_pinned():
    """A change of the rule would give all existing splits and joins a new meaning."""
    table, _ = event_table(1, np.array([[6324, 94, 4707]]), "x")
    expected = int.from_bytes(
        __import__("hashlib").blake2b(b"\x006324\x0094\x004707", digest_size=8).digest(), "little"
    )
    assert int(table["uid"][0]) == expected


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20))
def test_fractions_lie_in_the_unit_interval_and_repeat(uids):
    fractions = split_fraction(np.array(uids, np.uint64))
    assert ((fractions >= 0) & (fractions < 1)).all()
    assert np.array_equal(fractions, split_fraction(np.array(uids, np.uint64)))


def test_counting_ids_spread_evenly():
    counts = np.histogram(split_fraction(np.arange(100_000, dtype=np.uint64)), 20, (0, 1))[0]
    assert np.abs(counts - 5000).max() < 5 * np.sqrt(5000)
