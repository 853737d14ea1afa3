"""The classical segmentation and the scores on a real stack with its instances, where it is present."""

from pathlib import Path

import numpy as np
import pytest
from made_stacks import MemoryStore

from weft.io.volume_products import spacing_row
from weft.tasks.volume_segmentation.baseline import VolumeBaseline
from weft.tasks.volume_segmentation.baseline_options import BaselineOptions
from weft.tasks.volume_segmentation.score import metrics, score_shard
from weft.volumes.objects import ObjectOptions
from weft.volumes.recipes import Background
from weft.volumes.suggestion import suggest

REAL = Path(__file__).parents[5] / "shared/data/stardist3d"
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="the real sample is not there")
CLASSES = ("background", "nucleus")


@pytest.fixture(scope="module")
def stack():
    import tifffile

    image, nuclei = (tifffile.imread(REAL / f"{name}3d.tif") for name in ("img", "mask"))
    return {
        "image": image[None],
        "spacing": spacing_row(2.0, 1.0, 1.0),
        "truth/labels": (nuclei > 0).astype(np.int16),
        "truth/instances": nuclei.astype(np.int32),
    }


def test_packed_nuclei_are_found_and_hardly_told_apart(stack):
    """38 % of the voxels are nuclei that touch: a threshold finds them, and components merge them."""
    options = BaselineOptions(scales=(1.0,), filters=("intensity", "gaussian"))
    baseline = VolumeBaseline(options, CLASSES, objects=ObjectOptions(min_voxels=30))
    baseline.fit([stack], seed=0)
    found = score_shard(MemoryStore([stack], [baseline.predict(stack)]), "test", "0000", CLASSES)
    values = metrics(found.events, CLASSES).iloc[0]
    assert len(found.objects) == 51
    assert 0.75 < values["dice"] < 0.85
    assert values["dice"] == pytest.approx(baseline.chosen[0].dice, abs=0.02)
    assert values["object_f1"] < 0.3


def test_its_nuclei_are_no_background(stack):
    assert not any(isinstance(step, Background) for step in suggest(stack["image"][0]).steps)
