"""`weft deploy --stage chain`, and one stage alone, over events of one's own; the stages have nothing to learn."""

from pathlib import Path

import pytest
import yaml
from command_line import weft

from weft.io.products import CHARGE, META, SEMANTICS, VOXELS, EventId
from weft.io.provenance import of_file
from weft.io.store import EventStore
from weft.io.writer import StoreWriter

SPLIT = {"events": 3, "seed": 3}
DATASET = {
    "name": "few",
    "source": "simulation",
    "simulation": {"box": {"voxels": 64}},
    "splits": {"train": SPLIT, "val": SPLIT, "test": SPLIT},
}
STAGES = {
    "pieces": {"task": "fragments", "model": {"providers": {"shower": "dbscan", "delta": "dbscan"}}},
    "joined": {
        "task": "fragments",
        "needs": {"pieces": ["fragments", "fragment_voxels"]},
        "model": {"providers": {"shower": "pieces"}},
    },
    "fed": {
        "task": "fragments",
        "needs": {"pieces": ["fragments", "fragment_voxels"]},
        "model": {"providers": {"delta": "pieces"}},
        "evaluation": {"inputs": ["predictions", "truth"]},
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Events, and the stages of an experiment that are settled."""
    folder = tmp_path_factory.mktemp("chain")
    (folder / "few.yaml").write_text(yaml.safe_dump(DATASET))
    document = {"name": "fixed", "dataset": str(folder / "few.yaml"), "chain": ["joined"], "stages": STAGES}
    (folder / "fixed.yaml").write_text(yaml.safe_dump(document))
    assert weft("simulate", folder / "few.yaml", "--split", "test", "--results", folder / "results") == 0
    assert weft("convert", events(folder).with_suffix(".root"), events(folder)) == 0
    for stage in ("pieces", "joined"):
        assert run("train", folder, "--stage", stage) == 0
    return folder


def events(folder: Path) -> Path:
    return folder / "results/data/few/test/0000.h5"


def run(verb: str, folder: Path, *more: object) -> int:
    return weft(verb, folder / "fixed.yaml", "--results", folder / "results", *more)


def test_the_chain_is_the_stages_one_by_one(folder: Path) -> None:
    for stage in ("pieces", "joined", "chain"):
        assert run("deploy", folder, "--stage", stage) == 0
    where = folder / "results/fixed"
    name = "test/0000.h5"
    with (
        EventStore.open(where / "chain/seed0/predictions/truth" / name) as together,
        EventStore.open(where / "pieces/seed0/predictions/truth" / name) as pieces,
        EventStore.open(where / "joined/seed0/predictions/pieces.seed0" / name) as joined,
    ):
        assert set(together.products) == {
            "pieces.fragments", "pieces.fragment_voxels", "fragments", "fragment_voxels",
        }  # fmt: skip
        assert pieces["fragments"].counts.sum() > joined["fragments"].counts.sum() > 0
        for i in range(3):
            assert together["fragments"][i].tolist() == joined["fragments"][i].tolist()
            assert together["pieces.fragments"][i].tolist() == pieces["fragments"][i].tolist()
        models = together.files["0"].provenance["models"]
        assert set(models) == {"pieces", "joined"}
        assert models["joined"] == joined.files["0"].provenance["model"]
        assert models["joined"] == of_file(where / "joined/seed0/model.ckpt")


def test_over_a_file_of_ones_own(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "deep/own.h5"
    assert run("deploy", folder, "--stage", "chain", "--events", events(folder), "--output", own, "--root") == 0
    assert capsys.readouterr().out.split() == [str(own), str(own.with_suffix(".root"))]
    with EventStore.open({"truth": events(folder), "chain": own}) as store:
        assert len(store) == 3
    assert weft("show", events(folder), "--prediction", own, "-o", tmp_path / "event.html") == 0
    assert '"name":"fragments of pieces"' in (tmp_path / "event.html").read_text()
    assert weft("inspect", own, "--check") == 0


def test_a_stage_alone_takes_true_products_and_says_so(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train", folder, "--stage", "fed") == 0
    own = ("--events", events(folder), "--output", tmp_path / "own.h5")
    capsys.readouterr()
    assert run("deploy", folder, "--stage", "fed", *own) == 0
    assert "fed true products in place of the predictions of pieces" in capsys.readouterr().out
    bare = tmp_path / "bare.h5"
    names = (META, VOXELS, CHARGE, SEMANTICS)
    with EventStore.open(events(folder)) as full, StoreWriter(bare, names) as writer:
        for i, event in enumerate(full.events):
            writer.append(EventId(*event.tolist()), {schema.name: full[schema.name][i] for schema in names})
    assert run("deploy", folder, "--stage", "chain", "--events", bare, "--output", tmp_path / "chain.h5") == 0
    capsys.readouterr()
    assert run("deploy", folder, "--stage", "fed", "--events", bare, "--output", tmp_path / "none.h5") == 1
    error = capsys.readouterr().err
    assert "bare.h5: no product 'fragments'" in error
    assert "with the predictions of pieces instead: --stage chain" in error
    assert not (tmp_path / "none.h5").exists()


MISTAKES = {
    "overrides": (["--stage", "chain", "model.x=1"], "--stage chain takes no overrides"),
    "no such seed": (["--stage", "chain", "--variant", "seed7"], "the chain has no variant 'seed7'; it has: seed0"),
    "no output": (["--stage", "chain", "--events", "x.h5"], "--events and --output belong together"),
    "no such split": (["--stage", "chain", "--split", "tset"], "no split 'tset'"),
    "no events": (["--stage", "chain", "--events", "x.h5", "--output", "{out}"], "x.h5: no such file"),
    "broken events": (
        ["--stage", "chain", "--events", "{broken}", "--output", "{out}"],
        "broken.h5: not an HDF5 file, or truncated",
    ),
    "later stage": (
        ["--stage", "joined", "--events", "x.h5", "--output", "{out}"],
        "stage 'joined' reads predictions of pieces: run all with --stage chain",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    broken, output = tmp_path / "broken.h5", tmp_path / "out.h5"
    whole = events(folder).read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    assert run("deploy", folder, *(a.format(broken=broken, out=output) for a in arguments)) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == [broken]


def test_stages_without_anything_to_learn_need_no_training_before(folder: Path, tmp_path: Path) -> None:
    own = ("--stage", "chain", "--events", events(folder), "--output")
    assert run("deploy", folder, *own, tmp_path / "settled.h5") == 0
    elsewhere = ("--results", tmp_path / "results")
    assert weft("deploy", folder / "fixed.yaml", *elsewhere, *own, tmp_path / "unsettled.h5") == 0
    with EventStore.open(tmp_path / "settled.h5") as one, EventStore.open(tmp_path / "unsettled.h5") as other:
        assert one.content_hash == other.content_hash
    assert not (tmp_path / "results").exists()


def test_a_stage_that_was_not_trained_is_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = {"task": "segmentation", "training": {"iterations": 1, "batch_size": 1}}
    document = {"name": "learned", "dataset": str(folder / "few.yaml"), "stages": {"network": network} | STAGES}
    (folder / "learned.yaml").write_text(yaml.safe_dump(document))
    own = ("--stage", "chain", "--events", events(folder), "--output", tmp_path / "own.h5")
    assert weft("deploy", folder / "learned.yaml", "--results", tmp_path, *own) == 1
    missing = "learned/network/seed0/model.ckpt: no such file; train the stage first"
    assert missing in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
