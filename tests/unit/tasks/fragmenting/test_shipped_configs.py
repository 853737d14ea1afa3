"""The experiments that come with weft."""

import pytest

from weft import tasks
from weft.config import load_dataset, load_experiment
from weft.simulation.settings import SimulationSettings
from weft.tasks.fragmenting import Fragmenting

SCALES = ["tiny", "demo", "reference"]


@pytest.mark.parametrize(
    ("name", "scale"),
    [(name, scale) for name in ("full_chain", "joint_chain", "spice") for scale in SCALES]
    + [("full_chain", "study"), ("spice", "study")],
)
def test_coordinate_convolutions_span_the_image(name: str, scale: str) -> None:
    """Coordinates go from −1 to 1 over the simulated box; over a third of it SPICE's embedding would be as narrow."""
    experiment = tasks.resolve(load_experiment(name, scale))
    box = SimulationSettings.parse(load_dataset(experiment.dataset, scale).simulation).box.voxels
    built = {stage: tasks.of(one) for stage, one in experiment.stages.items()}
    built |= {part: task for one in list(built.values()) for part, task in one.parts().items()}
    sizes = {
        stage: task.options.model.spatial_size
        for stage, task in built.items()
        if isinstance(task, Fragmenting) and task.options.model.coord_conv
    }
    assert set(sizes.values()) <= {box}, sizes
