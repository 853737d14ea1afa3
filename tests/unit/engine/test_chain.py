"""All stages over one file in one process: the products of the staged deploys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_chain import pieces, sizes
from toy_task import Toy

from weft.config.experiment import Stage
from weft.engine.chain import Link, deploy_chain, names_of
from weft.engine.deploy import deploy
from weft.engine.fit import fit
from weft.engine.fixed import settle
from weft.engine.predict import predictor
from weft.errors import WeftError
from weft.io.products import Ragged
from weft.io.store import EventStore

Shards = list[dict[str, Path]]
NEEDS = {
    "net": {},
    "pieces": {"semantics": "net"},
    "sizes": dict.fromkeys(("piece_voxels", "pieces", "kept"), "pieces"),
}


@pytest.fixture
def models(toy: Toy, shards: Shards, make_stage: Callable[..., Stage], tmp_path: Path) -> dict[str, Path]:
    fit(toy, make_stage(iterations=4), 0, shards, shards, tmp_path / "net", tmp_path / "work", {})
    settle(pieces(), tmp_path / "pieces", {}, 0)
    settle(sizes(), tmp_path / "sizes", {}, 0)
    return {name: tmp_path / name / "model.ckpt" for name in NEEDS}


def chained(models: dict[str, Path], events: Path, output: Path, **changes: Any) -> Path:
    tasks = {"net": Toy(Toy.options_model()), "pieces": pieces(), "sizes": sizes()} | changes
    links = [Link(name, task, predictor(task, models[name], batch_size=2), NEEDS[name]) for name, task in tasks.items()]
    deploy_chain(links, events, output, {}, {}, run_length=2)
    return output


def staged(models: dict[str, Path], events: Path, folder: Path) -> dict[str, Path]:
    files = {"truth": events}
    for name, task in {"net": Toy(Toy.options_model()), "pieces": pieces(), "sizes": sizes()}.items():
        needed = {"truth", *NEEDS[name].values()}
        inputs = {alias: path for alias, path in files.items() if alias in needed}
        deploy(task, models[name], inputs, folder / f"{name}.h5", {}, providers=NEEDS[name], batch_size=2)
        files[name] = folder / f"{name}.h5"
    return files


def test_a_chain_gives_the_products_of_the_staged_deploys(
    models: dict[str, Path], shards: Shards, tmp_path: Path
) -> None:
    events = shards[0]["truth"]
    files = staged(models, events, tmp_path / "staged")
    output = chained(models, events, tmp_path / "chain.h5")
    with EventStore.open(files) as one_by_one, EventStore.open({"truth": events, "chain": output}) as together:
        for stage, product in (("net", "semantics"), ("pieces", "piece_voxels"), ("sizes", "large")):
            for i in range(len(together)):
                a, b = one_by_one[f"{stage}/{product}"][i], together[f"chain/{product}"][i]
                if isinstance(a, Ragged):
                    np.testing.assert_array_equal(a.offsets, b.offsets)
                    a, b = a.values, b.values
                np.testing.assert_array_equal(a, b)
        # Two stages make `pieces`: the last keeps the name, the other has its own before it.
        for name, product in (("pieces/pieces", "chain/pieces.pieces"), ("sizes/pieces", "chain/pieces")):
            for i in range(len(together)):
                np.testing.assert_array_equal(one_by_one[name][i], together[product][i])
        schemas = together.files["chain"].schemas
    assert schemas["piece_voxels"].items_on == "pieces.pieces"
    assert schemas["large"].on == "pieces"
    assert schemas["kept"].on == "pieces.pieces"


def test_names_in_the_store_of_a_chain() -> None:
    links = [Link("a", pieces(), lambda events: iter(()), {}), Link("b", sizes(), lambda events: iter(()), {})]
    assert names_of(links) == {
        ("a", "pieces"): "a.pieces",
        ("a", "piece_voxels"): "piece_voxels",
        ("a", "kept"): "kept",
        ("b", "pieces"): "pieces",
        ("b", "large"): "large",
    }


def test_a_failure_names_stage_and_event_and_leaves_no_file(
    models: dict[str, Path], shards: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = sizes()
    monkeypatch.setattr(wrong, "predict_event", lambda event: {"pieces": np.zeros((0, 1), np.int32)})
    output = tmp_path / "chain.h5"
    with pytest.raises(WeftError, match=r"0\.h5, event 0: stage 'sizes': products missing \['large'\]"):
        chained(models, shards[0]["truth"], output, sizes=wrong)
    assert not output.exists()

    def interrupted(event: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(wrong, "predict_event", interrupted)
    with pytest.raises(KeyboardInterrupt):
        chained(models, shards[0]["truth"], output, sizes=wrong)
    assert [path.name for path in tmp_path.glob("*chain.h5*")] == []


def test_what_no_stage_makes_is_asked_of_the_events(models: dict[str, Path], shards: Shards, tmp_path: Path) -> None:
    links = [Link("sizes", sizes(), lambda events: iter(()), {})]
    with pytest.raises(WeftError, match=r"no product 'piece_voxels'; it has: "):
        deploy_chain(links, shards[0]["truth"], tmp_path / "chain.h5", {}, {})


def test_a_fixed_stage_keeps_the_options_of_its_training(models: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(WeftError, match=r"of task 'pieces', not 'sizes'"):
        predictor(sizes(), models["pieces"])
    settle(sizes(least=3), tmp_path / "other", {}, 0)
    with pytest.raises(WeftError, match=r"trained with model\.least = 3, deploy asks for 4"):
        predictor(sizes(least=4), tmp_path / "other" / "model.ckpt")
    with pytest.raises(WeftError, match="train the stage first"):
        predictor(sizes(), tmp_path / "nowhere.ckpt")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(WeftError, match="expected what `weft train` leaves"):
        predictor(sizes(), tmp_path / "text")
    with pytest.raises(WeftError, match="task 'sizes' does not learn"):
        sizes().network()
    assert (tmp_path / "other" / "log.csv").read_text() == "step,epoch,split,loss\n"
