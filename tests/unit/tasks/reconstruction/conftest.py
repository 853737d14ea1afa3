"""A few simulated events, and what scoring them needs, in memory."""

import numpy as np
import pytest

from weft.io.convert import convert_file
from weft.io.products import Ragged
from weft.io.reco_objects import RECONSTRUCTED
from weft.io.store import EventStore
from weft.reco.feed import FedStore
from weft.simulation.produce import simulate_file
from weft.simulation.settings import SimulationSettings
from weft.tasks.reconstruction import TASK
from weft.tasks.reconstruction.options import Options
from weft.tasks.reconstruction.score import score_shard


class InMemory:
    """A store with predictions, as validation joins them."""

    def __init__(self, fed, predictions):
        self.fed, self.predictions = fed, predictions

    @property
    def events(self):
        return self.fed.events

    def __len__(self):
        return len(self.fed)

    def __contains__(self, name):
        return name.startswith("prediction/") or name in self.fed

    def __getitem__(self, name):
        alias, _, product = name.partition("/")
        return [made[product] for made in self.predictions] if alias == "prediction" else self.fed[name]


@pytest.fixture(scope="session")
def task():
    return TASK(Options())


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """Path of four simulated events."""
    folder = tmp_path_factory.mktemp("events")
    simulate_file(SimulationSettings(), 3, 0, 4, folder / "events.root")
    convert_file(folder / "events.root", folder / "events.h5")
    return folder / "events.h5"


@pytest.fixture(scope="session")
def scored(store, task):
    """Scores of true products, of the baseline, and of nothing at all."""
    with EventStore.open({"truth": store}) as opened:
        fed = FedStore(opened)
        events = [fed.event(i) for i in range(len(fed))]
        answers = {
            "truth": [task.predict_event(event) for event in events],
            "baseline": [task.baseline().predict(event) for event in events],
            "nothing": [_nothing() for _ in events],
        }
        steps = task.options.model
        return {name: score_shard(InMemory(fed, made), "test", "0", steps) for name, made in answers.items()}


def _nothing():
    none = Ragged(np.empty(0, np.int32), np.zeros(1, np.int64))
    return {s.name: none if s.kind == "list" else np.empty(0, s.dtype) for s in RECONSTRUCTED}
