import numpy as np
import pandas as pd
import pytest

from weft.errors import WeftError
from weft.metrics.scores import Scores, concat, counts, pool, read_scores, write_scores


def shard(name, n):
    events = pd.DataFrame({"uid": np.arange(n, dtype=np.uint64) + 2**63, "shard": pd.array([name] * n, dtype="str")})
    events.attrs = {"columns": {"uid": "unique id"}}
    objects = pd.DataFrame({"energy": np.linspace(0, 1, 2 * n), "contained": np.arange(2 * n) % 2 == 0})
    return Scores(events, objects, pd.DataFrame({"n": np.arange(n)}))


def test_round_trip_of_a_stream_of_shards(tmp_path):
    shards = [shard("a", 3), shard("b", 0), shard("c", 2)]
    write_scores(tmp_path / "scores", iter(shards))
    back = read_scores(tmp_path / "scores")
    for frame, expected in zip(back, concat(shards), strict=True):
        pd.testing.assert_frame_equal(frame, expected)
    assert back.events.attrs == {"columns": {"uid": "unique id"}}
    assert sorted(p.name for p in (tmp_path / "scores").iterdir()) == [
        "curves.parquet", "events.parquet", "objects.parquet"
    ]  # fmt: skip


def test_a_failure_on_the_way_leaves_the_old_files(tmp_path):
    write_scores(tmp_path, [shard("old", 2)])

    def stream():
        yield shard("new", 4)
        raise RuntimeError("broken shard")

    with pytest.raises(RuntimeError, match="broken shard"):
        write_scores(tmp_path, stream())
    assert len(list(tmp_path.iterdir())) == 3
    assert set(read_scores(tmp_path).events["shard"]) == {"old"}


def test_refusals_name_what_is_missing(tmp_path):
    with pytest.raises(WeftError, match="no scored shards"):
        write_scores(tmp_path, [])
    with pytest.raises(WeftError, match=r"events\.parquet does not exist"):
        read_scores(tmp_path)
    with pytest.raises(WeftError, match="at least one"):
        concat([])
    odd = shard("b", 1)._replace(curves=pd.DataFrame({"m": [1.0]}))
    with pytest.raises(WeftError, match="curves tables of two shards"):
        write_scores(tmp_path, [shard("a", 1), odd])


def test_counts_are_numbers_that_add_up():
    events = pd.DataFrame(
        {"run": [1, 1], "uid": np.array([7, 2**64 - 1], np.uint64), "split": "test", "n": [2, 3], "nll": [0.5, 1.0]}
    )
    assert list(counts(events)) == ["n", "nll"]
    assert pool(events).to_dict("records") == [{"n": 5.0, "nll": 1.5}]
    assert pool(events.iloc[:0]).to_dict("records") == [{"n": 0.0, "nll": 0.0}]
    assert pool(events.assign(nll=[0.5, np.nan]))["nll"].isna().all()
