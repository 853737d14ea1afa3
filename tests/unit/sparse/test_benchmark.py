"""The benchmark: what its table says, and a run of it on a tiny event."""

import torch

from weft.sparse.benchmark import Rate, SparseBenchmark, StepTiming, benchmark_sparse


def test_ratios_are_minkowski_over_the_engine():
    steps = [
        StepTiming("numba", 4, 100, wall=2.0, cpu=1.0, peak=10.0),
        StepTiming("minkowski", 4, 100, wall=5.0, cpu=3.0, peak=20.0),
    ]
    rates = [Rate("numba", "forward", gflop=30.0, seconds=0.2, product_seconds=0.1)]
    result = SparseBenchmark("a machine", 1, steps, rates, 4)
    assert result.ratio(4, "numba", "cpu") == 3.0
    assert result.ratio(4, "numba", "wall") == 2.5
    table = result.table()
    assert "| 4 | 100 | numba | 1.000 | 2.000 | 10 | 3.00 | 2.50 |" in table
    assert "| numba | forward | 30.0 | 150 | 300 | 50% |" in table


def test_a_tiny_run():
    threads = torch.get_num_threads()
    result = benchmark_sparse((1,), engines=("torch",), repeats=1, voxels=60, rate_events=1)
    assert torch.get_num_threads() == threads
    (step,) = result.steps
    assert step.engine == "torch"
    assert 0 < step.voxels <= 60
    assert min(step.wall, step.cpu) > 0
    assert step.peak >= 0
    assert [rate.direction for rate in result.rates] == ["forward", "backward"]
    assert result.rates[1].gflop == 2 * result.rates[0].gflop > 0
