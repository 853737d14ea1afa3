"""What stages take from each other: made, read, and of one piece; nothing is taken from the truth by mistake."""

from typing import Any

import pytest

from weft import tasks
from weft.config import ConfigError, Experiment, load_experiment

LEARNS = {"training": {"iterations": 1, "batch_size": 1}}
FRAGMENTS = ["fragments", "fragment_voxels"]
STAGES: dict[str, dict[str, Any]] = {
    "net": {"task": "segmentation", **LEARNS},
    "lines": {"task": "graph_spice", "needs": {"net": ["semantics"]}, **LEARNS},
    "other": {"task": "graph_spice", "needs": {"net": ["semantics"]}, **LEARNS},
    "fragments": {
        "task": "fragments",
        "needs": {"net": ["semantics"], "lines": FRAGMENTS},
        "model": {"providers": {"track": "lines", "shower": "dbscan"}},
    },
    "shower": {"task": "grappa", "needs": {"fragments": FRAGMENTS}, **LEARNS},
    "candidates": {
        "task": "candidates",
        "needs": {"fragments": FRAGMENTS, "shower": ["shower_groups", "shower_primary"]},
        "model": {"groups": ["shower"], "primary": ["shower"]},
    },
}


def resolved(**changed: dict[str, Any]) -> Experiment:
    """The stages above, some with other keys."""
    stages = {name: stage | changed.get(name, {}) for name, stage in STAGES.items()}
    return tasks.resolve(Experiment.model_validate({"name": "x", "dataset": "events", "stages": stages}))


def test_a_chain_that_fits() -> None:
    assert list(resolved().stages) == list(STAGES)


@pytest.mark.parametrize("scale", ["tiny", "demo", "study", "reference"])
def test_the_full_chain_fits(scale: str) -> None:
    tasks.resolve(load_experiment("full_chain", scale))


REFUSED = {
    "a misspelt product": (
        {"shower": {"needs": {"fragments": ["fragments", "fragment_voxls"]}}},
        r"'shower': needs.fragments.predictions: stage 'fragments' makes no 'fragment_voxls' "
        r"\(did you mean 'fragment_voxels'\?\); it makes: fragments, fragment_voxels",
    ),
    "a product of another stage": (
        {"shower": {"needs": {"net": FRAGMENTS}}},
        r"stage 'net' makes no 'fragments'.*; it makes: semantics, semantic_scores",
    ),
    "what is not read": (
        {"lines": {"needs": {"net": ["semantics", "semantic_scores"]}}},
        r"'lines': needs.net.predictions: with these options task 'graph_spice' does not read 'semantic_scores' "
        r"\(did you mean 'semantics'\?\); leave it out",
    ),
    "a truth that is neither read nor a label": (
        {"net": {"needs": {"truth": ["voxels", "points"]}}},
        r"needs.truth.predictions: .* does not read 'points'",
    ),
    "a provider that options have no use for": (
        {"fragments": {"model": {"providers": {"shower": "dbscan"}}}},
        r"'fragments': needs.lines.predictions: with these options .* does not read 'fragments'",
    ),
    "a provider that is not needed": (
        {"fragments": {"needs": {"net": ["semantics"]}}},
        r"'fragments': model.providers.track: lines: .* needs.lines.predictions: \[fragments, fragment_voxels\]",
    ),
    "half of a provider": (
        {"fragments": {"needs": {"net": ["semantics"], "lines": ["fragments"]}}},
        r"'fragment_voxels' of 'lines' is read: add it to needs.lines.predictions",
    ),
    "one product of two": (
        {"shower": {"needs": {"lines": FRAGMENTS, "fragments": FRAGMENTS}}},
        r"'shower': needs has 'fragments' of several stages, lines, fragments: say of one",
    ),
    "true voxels for predicted fragments": (
        {"shower": {"needs": {"fragments": ["fragments"]}}},
        r"'shower': 'fragment_voxels' of the truth belongs to 'fragments' of the truth, but needs has 'fragments' "
        r"of 'fragments'",
    ),
    "voxels of other fragments": (
        {"shower": {"needs": {"fragments": ["fragments"], "lines": ["fragment_voxels"]}}},
        r"'fragment_voxels' of 'lines' belongs to 'fragments' of 'lines', but needs has 'fragments' of 'fragments'",
    ),
    "groups of other fragments": (
        {"candidates": {"needs": {"lines": FRAGMENTS, "shower": ["shower_groups", "shower_primary"]}}},
        r"'candidates': 'shower_groups' of 'shower' belongs to 'fragments' of 'fragments', but needs has 'fragments' "
        r"of 'lines'",
    ),
    "true groups of predicted fragments": (
        {"candidates": {"needs": {"fragments": FRAGMENTS, "shower": ["shower_primary"]}}},
        r"'shower_groups' of the truth belongs to 'fragments' of the truth, but needs has 'fragments' of 'fragments'",
    ),
}


@pytest.mark.parametrize(("changed", "message"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolved(**changed)


def test_two_providers_of_one_name_are_told_apart_by_their_stage() -> None:
    needs = {"net": ["semantics"], "lines": FRAGMENTS, "other": FRAGMENTS}
    model = {"providers": {"track": "lines", "shower": "other"}}
    chosen = resolved(fragments={"needs": needs, "model": model})
    assert chosen.stages["fragments"].inputs == ["net", "lines", "other"]


def test_every_point_of_a_sweep_is_looked_at() -> None:
    sweep = {"model.providers": [{"track": "lines"}, {"track": "dbscan"}]}
    with pytest.raises(ConfigError, match=r"does not read 'fragments'"):
        resolved(fragments={"sweep": sweep}, shower={"follow": True}, candidates={"follow": True})


def test_a_point_that_is_not_chosen_need_not_fit() -> None:
    shower = {"sweep": [{}, {"model.heads": ["edge"]}]}
    with pytest.raises(ConfigError, match=r"stage 'shower' makes no 'shower_primary'"):
        resolved(shower=shower, candidates={"follow": True})
    chosen = {"predictions": ["shower_groups", "shower_primary"], "point": "base"}
    resolved(shower=shower, candidates={"needs": {"fragments": FRAGMENTS, "shower": chosen}})
