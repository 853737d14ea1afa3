"""The baseline says what the network says, wherever it is run from."""

from weft import tasks
from weft.config import BASELINE, Layout, load_dataset, load_experiment, run_of


def test_the_rules_of_the_baseline_know_the_heads():
    experiment, dataset = tasks.resolve(load_experiment("larmatch", "tiny")), load_dataset("wires", "tiny")
    model, baseline = (
        run_of(experiment, dataset, Layout("out"), "larmatch", variant) for variant in ("seed0", BASELINE)
    )
    for options in (baseline.training_options(), baseline.deploy_options()):
        made = tasks.build("larmatch", options).makes
        assert made == tasks.build("larmatch", model.deploy_options()).makes
        assert "shift_michel_x" in (made[0].dtype.names or ())
