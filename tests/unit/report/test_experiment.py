import base64
import json
import zlib
from pathlib import Path

import invented
import numpy as np
import pandas as pd
import pytest

from weft.config import BASELINE, Experiment, Layout, dataset_from, plan
from weft.errors import WeftError
from weft.io.products import CHARGE, META, SEMANTICS, VOXELS, EventId, semantic_scores
from weft.io.store import EventStore
from weft.io.writer import StoreWriter
from weft.metrics.scores import Scores, read_scores, write_scores
from weft.report.experiment import (
    captioned,
    code_notes,
    extreme_events,
    middle_event,
    rank_events,
    report_experiment,
    sample_notes,
    validation_notes,
)
from weft.report.figure import Figure
from weft.report.index import read_summary
from weft.report.show import show_event

EVENTS = 8
TEST_SPLITS = ("test", "noisy")


class Accuracy:
    """A task as the report sees it."""

    headline = ("accuracy", "mean_iou")
    thing, claim_events = "stone", 50

    def metrics(self, counts):
        return invented.metrics(counts)

    def figures(self, scores, split):
        table = pd.DataFrame({"variant": list(scores), "rows": [len(s.events) for s in scores.values()]})
        return [Figure("rows", "Rows", f"Judged by {split}.", table=table)]

    def event_payload(self, store, index, subtitle, label):
        return None

    def event_figures(self, store, index, note):
        return []


def in_order(voxels, *columns):
    order = np.lexsort(voxels.T)
    return [np.ascontiguousarray(x[order]) for x in (voxels, *columns)]


def meta():
    row = np.zeros(1, META.dtype)
    for k, a in enumerate("xyz"):
        row[f"min_{a}"], row[f"size_{a}"], row[f"n{a}"] = invented.GRID.origin[k], 0.3, 256
    return row


def write_truth(path, first):
    with StoreWriter(path, [META, VOXELS, CHARGE, SEMANTICS], provenance={}) as store:
        for k in range(EVENTS):
            voxels, charge, truth = in_order(*invented.event(first + k))
            products = {"meta": meta(), "voxels": voxels, "charge": charge, "semantics": truth}
            store.append(EventId(1, 0, k, 1000 * first + k), products)


def write_prediction(path, truth_path, blunders):
    """Predictions, and the counts of each event."""
    rows = []
    with (
        EventStore.open(truth_path) as truth,
        StoreWriter(
            path, [SEMANTICS, semantic_scores()], provenance={}, parents={"truth": truth.content_hash}
        ) as store,
    ):
        for k, blunder in enumerate(blunders):
            labels = truth["semantics"][k][:, 0]
            called, score = invented.prediction(truth["voxels"][k], labels, k, blunder)
            scores = np.repeat((1 - score[:, None]) / 4, 5, axis=1)
            scores[np.arange(len(called)), called] = score
            store.append(EventId(*truth.events[k].item()), {"semantics": called, "semantic_scores": scores})
            rows.append({"uid": truth.events["uid"][k], "n": len(called), "right": int((called == labels).sum())})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """An experiment whose runs are finished: two seeds and a baseline, two test splits."""
    root = tmp_path_factory.mktemp("results")
    split = {"events": EVENTS, "seed": 1}
    dataset = dataset_from(
        {"name": "box", "source": "simulation", "splits": dict.fromkeys(("train", "val", *TEST_SPLITS), split)}
    )
    experiment = Experiment.model_validate(
        {
            "name": "voxels",
            "title": "A title with <marks> & signs",
            "dataset": "box",
            "seeds": [0, 1],
            "stages": {
                "net": {
                    "task": "segmentation",
                    "training": {"iterations": 5, "batch_size": 1},
                    "evaluation": {"splits": list(TEST_SPLITS)},
                }
            },
        }
    )
    layout = Layout(str(root))
    for k, name in enumerate(TEST_SPLITS):
        write_truth(Path(layout.data(dataset.id, name, "0000")), 40 + 10 * k)
    for run in plan(experiment, dataset, layout):
        worst = 1.2 if run.is_baseline else 0.5
        tables = []
        for name, shards in run.evaluation_inputs().items():
            for shard, files in shards.items():
                table = write_prediction(files["prediction"], files["truth"], np.linspace(0.05, worst, EVENTS))
                tables.append(Scores(table.assign(split=name, shard=shard), pd.DataFrame(), pd.DataFrame()))
        write_scores(Path(run.score("events")).parent, tables)
        record = invented.provenance(None if run.is_baseline else run.seed)
        record |= {"chosen": "a threshold of 3 MeV"} if run.is_baseline else {}
        Path(run.provenance).write_text(json.dumps(record))
        if not run.is_baseline:
            invented.log(run.seed).to_csv(run.log, index=False)
    return experiment, dataset, layout


def payloads_of(text):
    start = text.index('<script type="application/json">') + len('<script type="application/json">')
    return json.loads(text[start : text.index("</script>", start)])["events"]


@pytest.fixture(scope="module")
def written(study):
    experiment, dataset, layout = study
    path = Path(layout.report(experiment.id))
    report_experiment(experiment, dataset, {"net": Accuracy()}, layout, path)
    return path


def test_a_report_from_files(study, written):
    layout = study[2]
    text = written.read_text()
    assert "Judged by test. Baseline: a threshold of 3 MeV." in text
    summary = read_summary(written)
    assert summary["stages"][0]["headline"][0]["events"] == EVENTS
    assert [row["metric"] for row in summary["stages"][0]["headline"]] == ["accuracy", "mean IoU"]
    assert summary["stages"][0]["claim_events"] == Accuracy.claim_events
    assert f"{EVENTS} held-out stones" in summary["stages"][0]["sentence"]
    assert "a claim takes 3 seeds and 50 stones" in summary["stages"][0]["sentence"]
    assert "A title with &lt;marks&gt; &amp; signs" in text
    assert "Shifted tests" in text
    assert "noisy" in text
    assert "Learning curves of seed0, seed1" in text
    assert "Judged by test." in text
    payloads = payloads_of(text)
    assert [p["label"] for p in payloads] == ["worst 1", "worst 2", "worst 3", "best 1", "best 2", "best 3"]
    assert f"weft report voxels --results {layout.root}" in text
    assert "Events of the embedded simulation, dataset box. All settings have their defaults" in text


def test_one_split_is_judged_by_on_the_whole_page(study, tmp_path):
    experiment, dataset, layout = study
    stages = experiment.model_dump(mode="json")["stages"]
    stages["net"]["evaluation"]["splits"] = list(reversed(TEST_SPLITS))
    turned = Experiment.model_validate(experiment.model_dump(mode="json") | {"stages": stages})
    report_experiment(turned, dataset, {"net": Accuracy()}, layout, tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert "Judged by noisy." in text
    assert "The stones of the split &#39;noisy&#39;" in text
    assert ">Worst and best stones</h3>" in text
    assert '<th scope="col">stones</th>' in text


def unpacked(text, dtype):
    return np.frombuffer(zlib.decompress(base64.b64decode(text), wbits=-15), dtype)


def test_the_events_shown_are_the_worst_and_the_best(study, written):
    experiment, dataset, layout = study
    run = plan(experiment, dataset, layout)[0]
    with EventStore.open(run.evaluation_inputs()["test"]["0000"]) as store:
        right = [(store["truth/semantics"][k] == store["prediction/semantics"][k]).mean() for k in range(EVENTS)]
        order = np.argsort(right, kind="stable")
        worst, best = payloads_of(written.read_text())[0], payloads_of(written.read_text())[3]
        for payload, k in ((worst, order[0]), (best, order[-1])):
            assert payload["title"] == f"event 1/0/{k}"
            steps = unpacked(payload["voxels"], "<u2").reshape(-1, 3)
            assert np.array_equal(np.cumsum(steps, axis=0, dtype=np.uint16), store["voxels"][k])
            called = unpacked(payload["predicted"], "i1")
            assert np.array_equal(called, store["prediction/semantics"][k][:, 0])


class Shows(Accuracy):
    """A task that shows events its own way."""

    def event_payload(self, store, index, subtitle, label):
        return {"title": f"mine {index}", "subtitle": subtitle, "label": label}

    def event_figures(self, store, index, note):
        charge = store["charge"][index].sum()
        return [Figure("own", "Its own", f"Event {index} of {charge:.3f} MeV, {note}.", svg="<svg/>")]


def test_a_task_shows_events_its_own_way(study):
    experiment, dataset, layout = study
    run = plan(experiment, dataset, layout)[0]
    events = read_scores(Path(run.score("events")).parent).events
    payloads, how = extreme_events(run, events, Shows(), "test")
    ranked = rank_events(events[events["split"] == "test"].reset_index(drop=True), invented.metrics, "accuracy")
    assert [p["title"] for p in payloads] == [f"mine {k}" for k in [*ranked.index[:3], *ranked.index[:-4:-1]]]
    assert payloads[0]["subtitle"].startswith("accuracy 0.")
    assert "'test'" in how
    (figure,) = middle_event(run, events, Shows(), "test")
    with EventStore.open(run.evaluation_inputs()["test"]["0000"]) as store:
        middle = int(ranked.index[len(ranked) // 2])
        assert figure.caption.startswith(f"Event {middle} of {store['truth/charge'][middle].sum():.3f} MeV, which has")
    assert "of seed0 among the stones of split test: 0." in figure.caption
    assert middle_event(run, events, Accuracy(), "test") == []
    assert middle_event(run, events.iloc[:0], Shows(), "test") == []


def test_a_missing_file_is_named(study, tmp_path):
    experiment, dataset, layout = study
    log = Path(layout.log("voxels", "net", "seed1"))
    away = log.rename(tmp_path / "log.csv")
    try:
        with pytest.raises(WeftError, match=r"net/seed1/log\.csv does not exist: run `weft train`"):
            report_experiment(experiment, dataset, {"net": Accuracy()}, layout, tmp_path / "r.html")
    finally:
        away.rename(log)
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [({"uid": 7}, "no event of id 7, which seed0 was scored on"), ({"shard": "0009"}, "shard 0009 is not one of")],
)
def test_scores_of_other_events_are_refused(study, change, message):
    experiment, dataset, layout = study
    run = plan(experiment, dataset, layout)[0]
    events = read_scores(Path(run.score("events")).parent).events.assign(**change)
    with pytest.raises(WeftError, match=message):
        extreme_events(run, events, Accuracy(), "test")


def test_one_event_as_a_page(study, tmp_path):
    _, dataset, layout = study
    truth = Path(layout.data(dataset.id, "test", "0000"))
    show_event({"truth": truth}, 3, tmp_path / "event.html")
    payload = payloads_of((tmp_path / "event.html").read_text())[0]
    assert payload["title"] == "event 1/0/3"
    assert "predicted" not in payload
    assert payload["origin"] == list(invented.GRID.origin)
    prediction = Path(layout.predictions("voxels", "net", BASELINE, "truth", "test", "0000"))
    show_event({"truth": truth, "prediction": prediction}, 3, tmp_path / "event.html")
    assert {"truth", "predicted", "score"} <= set(payloads_of((tmp_path / "event.html").read_text())[0])
    with pytest.raises(WeftError, match="no event 8; events are numbered 0 to 7"):
        show_event({"truth": truth}, 8, tmp_path / "event.html")
    with pytest.raises(WeftError, match="needs the products meta, voxels and charge"):
        show_event({"truth": prediction}, 0, tmp_path / "event.html")


def test_mixed_code_is_said():
    one = {"a": invented.provenance(0), "b": invented.provenance(1)}
    assert code_notes(one) == []
    mixed = code_notes(one | {"c": invented.provenance(2, commit="0a1b2c3d4e5f")})
    assert mixed == [
        "Results on this page were made by different versions of the code. f74b47c0d1: a, b; 0a1b2c3d4e: c."
    ]
    changed = code_notes({"a": invented.provenance(0) | {"dirty": True}})
    assert len(changed) == 1
    assert "not committed" in changed[0]


def test_events_without_the_metric_are_not_ranked():
    table = pd.DataFrame({"n": [4, 0, 2], "right": [1, 0, 2]}).astype(float)
    with np.errstate(invalid="ignore"):
        ranked = rank_events(table, lambda t: pd.DataFrame({"accuracy": t["right"] / t["n"]}), "accuracy")
    assert ranked.to_dict() == {0: 0.25, 2: 1.0}


def test_what_a_baseline_chose_stands_in_a_caption():
    figures = [Figure("overall", "Metrics", "Of all stacks.", svg="<svg/>"), Figure("b", "B", "Another.", svg="<svg/>")]
    said = captioned(figures, "envelope: log of 0.4 µm, threshold otsu")
    assert said[0].caption == "Of all stacks. Baseline: envelope: log of 0.4 µm, threshold otsu."
    assert said[1:] == figures[1:]
    assert captioned(figures, "") == figures
    assert captioned([], "a filter") == []


def test_weights_that_no_validation_chose_are_marked(study):
    experiment, dataset, layout = study
    assert validation_notes(plan(experiment, dataset, layout)[0]) == []
    stage = experiment.stages["net"].model_dump(warnings=False)
    stage["training"]["validate_every"] = None
    unvalidated = Experiment.model_validate(experiment.model_dump() | {"stages": {"net": stage}})
    (note,) = validation_notes(plan(unvalidated, dataset, layout)[0])
    assert "the weights are those of the last step" in note


def test_in_sample_numbers_are_marked(study):
    experiment, dataset, layout = study
    stage = experiment.stages["net"]
    assert sample_notes(plan(experiment, dataset, layout)[0]) == []
    both = {
        "net": stage,
        "next": stage.model_copy(
            update={
                "needs": {"net": {"predictions": ["semantics"]}},
                "evaluation": {"splits": ["test", "train"]},
            }
        ),
    }
    dumped = {name: s.model_dump(warnings=False) for name, s in both.items()}
    chained = Experiment.model_validate(experiment.model_dump() | {"stages": dumped})
    notes = sample_notes(plan(chained, dataset, layout)[-1])
    assert any("stage 'net'" in note and "in-sample" in note for note in notes)
    for train_on, inputs, fed in (
        ("both", "truth", False),
        ("predictions", "truth", True),
        ("truth", "predictions", True),
    ):
        dumped["next"]["train_on"] = train_on
        other = Experiment.model_validate(experiment.model_dump() | {"stages": dumped})
        said = sample_notes(plan(other, dataset, layout)[-1], inputs)
        assert any(note.startswith("Trained on") and note.endswith("here.") and ", fed" in note for note in said) == fed
        assert any("in-sample predictions" in note for note in said) == (train_on != "truth")
    assert any("'train' is in-sample" in note for note in notes)
