"""All stages of the chain beside SPINE's, with the same weights and inputs (`pip install spine`, `make minkowski`).

What is compared, stage by stage, is in `weft/bench/spine_chain/`; where answers should be equal and are not, the
benchmark itself refuses to go on.
"""

import pytest
import torch

from weft import tasks
from weft.bench.chain import ALIKE
from weft.bench.compare import compare
from weft.bench.events import simulate_events
from weft.bench.spine_chain import SIDES
from weft.bench.spine_setup import load_spine
from weft.bench.stages import steps_of
from weft.config import load_dataset, load_experiment
from weft.errors import WeftError

try:
    load_spine()
except WeftError as error:
    pytest.skip(str(error), allow_module_level=True)

pytestmark = pytest.mark.peer


def test_every_stage_answers_as_spine_does(tmp_path):
    torch.set_num_threads(1)
    experiment = tasks.resolve(load_experiment("full_chain", "tiny", list(ALIKE)))
    steps = steps_of(experiment, load_dataset(experiment.dataset, "tiny"))
    found = compare(steps, simulate_events(tmp_path / "events.h5", 2), 2, 1, peer=True)
    compared = {stage.name: stage.agreement for stage in found.stages if stage.theirs}
    assert compared.keys() == SIDES.keys()
    assert all(compared.values())
    for name in ("shower", "track", "interaction"):
        assert "groups the same in 2 of 2 events" in compared[name]
    same, _, rest = compared["points"].partition(" points, SPINE ")
    assert same.rpartition(" ")[2] == rest
    assert all(step.theirs and step.ours for step in found.training)
