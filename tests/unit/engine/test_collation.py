import numpy as np

from weft.engine.collation import join_voxels
from weft.engine.task import Sample


def test_rows_lie_end_to_end_and_references_move_with_them() -> None:
    def sample(n: int, k: int, edges: list[list[int]]) -> Sample:
        coords = np.full((n, 3), k, np.int32)
        return Sample(
            {"coords": coords, "label": np.full(n, k), "edges": np.array(edges, np.int32).reshape(-1, 2)}, (0, k)
        )

    samples = [sample(2, 0, [[0, 1]]), sample(0, 1, []), sample(3, 2, [[0, 2], [1, -1]])]
    batch = join_voxels(samples, np.ones((5, 1), np.float32), ("label", "absent"), {"edges": "pairs", "absent": "none"})
    assert batch.offsets.tolist() == [0, 2, 2, 5]
    assert batch.coords.tolist() == [[0, 0, 0, 0]] * 2 + [[2, 2, 2, 2]] * 3
    assert batch.targets["label"].tolist() == [0, 0, 2, 2, 2]
    assert batch.targets["pairs"].tolist() == [[0, 1], [2, 4], [3, -1]]
    assert set(batch.targets) == {"label", "pairs"}
    assert batch.events == [(0, 0), (0, 1), (0, 2)]
