"""Stacks at the command line: simulated, looked at, converted."""

from pathlib import Path

import numpy as np
import pytest
from command_line import weft

from weft.io.store import EventStore
from weft.io.tiff_write import write_ome_tiff
from weft.io.volume_products import spacing_of

DATASET = """
name: few
source: simulation
kind: stacks
simulation: {shape: [6, 24, 24], size: 0.2}
splits: {train: {events: 2, seed: 1}, test: {events: 1, seed: 2}}
"""


def test_simulated_looked_at_and_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset, results = tmp_path / "few.yaml", tmp_path / "results"
    dataset.write_text(DATASET)
    assert weft("simulate", str(dataset), "--results", str(results), "camera.photons=1") == 1
    assert "camera" in capsys.readouterr().err
    assert weft("simulate", str(dataset), "--results", str(results), "--split", "train") == 0
    folder = results / "data/few/train/0000.stacks"
    assert str(folder) in capsys.readouterr().out
    assert weft("inspect", str(folder), "--check", "--classes", "2", "--smallest", "6,24,24") == 0
    assert weft("inspect", str(folder), "--check", "--smallest", "6,24,25") == 1
    said = capsys.readouterr()
    assert "img_001_00001 T0: image: 6 × 24 × 24 voxels, patches have 6 × 24 × 25" in said.out
    assert "2 problems found" in said.err
    assert weft("convert", str(folder), str(tmp_path / "a.h5"), "--product", "cost=none") == 0
    with EventStore.open(tmp_path / "a.h5") as store:
        assert "cost" not in store.products
        assert store["labels"][1].shape == (6, 24, 24)


def test_the_voxel_size_of_a_plain_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = write_ome_tiff(tmp_path / "a.ome.tif", np.zeros((2, 3, 4), np.uint8))
    assert weft("convert", str(image), str(tmp_path / "a.h5"), "--spacing", "0.3,0.1,0.2") == 0
    with EventStore.open(tmp_path / "a.h5") as store:
        assert spacing_of(store["spacing"][0]) == (0.3, 0.1, 0.2)
    for wrong in ("0.3,0.1", "a,b,c", "0,1,1"):
        assert weft("convert", str(image), str(tmp_path / "b.h5"), "--spacing", wrong) == 1
        assert f"--spacing {wrong}: expected" in capsys.readouterr().err
    assert weft("inspect", str(image), "--smallest", "2,x,2") == 1
    assert "--smallest 2,x,2: expected three numbers" in capsys.readouterr().err
