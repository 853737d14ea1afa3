import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import invented
import pandas as pd
import pytest

from weft.errors import WeftError
from weft.report.figure import Figure
from weft.report.index import read_summary, render_index
from weft.report.page import Cover, StageReport, interval_bar, is_wide, render_report

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Checks that elements nest and that ids are unique; keeps addresses and text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.addresses, self.said = [], Counter(), [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if "id" in attributes:
            self.ids[attributes["id"]] += 1
        self.addresses += [attributes[k] for k in ("src", "href", "xlink:href", "action", "poster") if k in attributes]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.said.append(data)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "deep" / "report.html"
    render_report(path, *invented.page())
    return path


def test_the_page_is_sound_and_asks_for_nothing(report):
    text = report.read_text()
    page = Page(text)
    assert [name for name, times in page.ids.items() if times > 1] == []
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)|fetch\(|XMLHttpRequest|importScripts", text)
    assert len(text) < 2_000_000


def test_the_page_says_what_was_found(report):
    said = " ".join("".join(Page(report.read_text()).said).split())
    assert "Voxel segmentation with U-ResNet <3 mm> & trees" in said
    assert "uresnet beats the baseline in mean IoU by" in said
    assert "another version of the code" in said
    assert "snakemake --cores 2 segmentation --config scale=study" in said
    assert "weft train segmentation --scale study --stage uresnet --variant seed0" in said
    assert "noise_high" in said
    assert "2 745 845" in said


def test_nothing_given_is_taken_for_markup(tmp_path):
    evil = "</script><img src=x onerror=alert(1)> & <b>"
    stage = StageReport(name="s", task=evil, variants=[evil], notes=[evil], rerun=[(evil, evil)],
                        provenance={evil: {"device": evil}})  # fmt: skip
    cover = Cover(name=evil, title=evil, description=evil, facts={evil: evil}, rerun=[(evil, evil)], notes=[evil])
    render_report(tmp_path / "r.html", cover, [stage])
    text = (tmp_path / "r.html").read_text()
    assert "<img" not in text
    assert "<b>" not in text
    Page(text)


def test_a_stage_without_curves_or_events_has_no_empty_sections(tmp_path):
    render_report(tmp_path / "r.html", Cover("n", "t"), [StageReport("s", "t", ["baseline"])])
    text = (tmp_path / "r.html").read_text()
    assert "Training" not in "".join(Page(text).said)
    assert "Worst and best" not in text


def test_the_bar_shows_zero_and_every_seed():
    bar = interval_bar(invented.comparisons()[0])
    assert bar.count("<circle") == 3
    assert 'class="bar-beats"' in bar
    assert "seed2" in bar


def test_broad_figures_take_the_width_of_the_page():
    assert is_wide(invented.classes_table())
    assert not is_wide(invented.confusion())
    assert is_wide(Figure("k", "t", "", svg='<svg height="10pt" width="700.5pt"></svg>'))


def test_the_index_links_and_compares(report, tmp_path):
    index = report.parent.parent / "index.html"
    render_index(index, [report])
    text = index.read_text()
    page = Page(text)
    assert "deep/report.html" in page.addresses
    said = "".join(page.said)
    assert "uresnet beats the baseline in mean IoU by" in said
    assert "mean IoU" in said
    assert read_summary(report)["stages"][0]["headline"][0]["seeds"] == 3
    with pytest.raises(WeftError, match="does not exist"):
        render_index(index, [tmp_path / "none.html"])
    (tmp_path / "other.html").write_text("<html></html>")
    with pytest.raises(WeftError, match="not a report of weft"):
        render_index(index, [tmp_path / "other.html"])


def test_the_index_finds_reports_of_other_calls(tmp_path):
    """A run of one scale must not drop the others from the index."""
    cover, stages = invented.page()
    for name in ("segmentation-study", "segmentation-demo"):
        render_report(tmp_path / name / "report.html", replace(cover, name=name), stages)
    (tmp_path / "data" / "lartpc-demo").mkdir(parents=True)
    render_index(tmp_path / "index.html", [tmp_path / "segmentation-demo" / "report.html"])
    page = Page((tmp_path / "index.html").read_text())
    links = [address for address in page.addresses if address.endswith(".html")]
    assert links == ["segmentation-demo/report.html", "segmentation-study/report.html"]
    assert "2 experiments" in "".join(page.said)


def test_many_stages_are_a_table_of_the_index(tmp_path):
    """One line a stage; of few stages the index has the sentences."""
    cover, (stage,) = invented.page()
    names = [replace(stage, name=f"stage{k}", key=f"stage{k}-on-truth" if k % 2 else "") for k in range(5)]
    render_report(tmp_path / "chain" / "report.html", cover, names)
    render_index(tmp_path / "index.html", [tmp_path / "chain" / "report.html"])
    page = Page((tmp_path / "index.html").read_text())
    said = " ".join("".join(page.said).split())
    assert "in mean IoU by" not in said
    assert said.count("beats the baseline") == 5
    assert "stage1 on truth" in said
    assert "held-out events, 3 seeds" in said
    first = invented.comparisons()[0]
    assert all(str(difference) in said for difference in first.differences.values())
    assert "chain/report.html#stage1-on-truth" in page.addresses
    there = Page((tmp_path / "chain" / "report.html").read_text()).ids
    assert {address.partition("#")[2] for address in page.addresses if "#stage" in address} <= set(there)


def test_the_index_says_how_many_events_a_claim_takes_of_each_task(tmp_path):
    cover, (stage,) = invented.page()

    def said(*least):
        compared = [[replace(c, claim_events=n) for c in stage.comparisons] for n in least]
        stages = [replace(stage, name=f"stage{k}", comparisons=c) for k, c in enumerate(compared)]
        render_report(tmp_path / "chain" / "report.html", cover, stages)
        render_index(tmp_path / "index.html", [tmp_path / "chain" / "report.html"])
        return " ".join("".join(Page((tmp_path / "index.html").read_text()).said).split())

    assert "a claim takes" not in said(10, 200, 240, 10)
    assert "An indication: a claim takes 3 seeds and 10 to 300 events." in said(10, 300, 200, 10)


def test_drawings_that_are_alike_do_not_share_identifiers(tmp_path):
    cover, (stage,) = invented.page()
    render_report(tmp_path / "r.html", cover, [stage, replace(stage, key="again")])
    page = Page((tmp_path / "r.html").read_text())
    assert [name for name, times in page.ids.items() if times > 1] == []
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)


def test_the_dataset_and_the_way_back_are_on_the_page(tmp_path):
    cover, stages = invented.page()
    table = pd.DataFrame({"split": ["test_noise"], "events": [400], "settings": ["response.noise = 1200"]})
    shown = Figure("dataset", "Events in a box", "Defaults elsewhere.", table=table)
    render_report(tmp_path / "r.html", replace(cover, dataset=shown), stages)
    page = Page((tmp_path / "r.html").read_text())
    said = " ".join("".join(page.said).split())
    assert "Dataset Events in a box" in said
    assert "response.noise = 1200" in said
    assert "Defaults elsewhere." in said
    assert "#page.dataset" in page.addresses


def test_reporting_does_not_need_torch():
    code = (
        "import sys, weft.report.experiment, weft.report.index, weft.report.show; "
        "sys.exit('torch' in sys.modules or 'snakemake' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
