"""`weft inspect --suggest`: of a TIFF file, of a folder, of an event store; its recipe is one that a stage takes."""

import numpy as np
import pytest
import tifffile
import yaml
from typer.testing import CliRunner

from weft.cli import app
from weft.errors import WeftError
from weft.io.products import EventId
from weft.io.store import StoreWriter
from weft.io.volume_products import SPACING, image, spacing_row
from weft.volumes.recipes import recipe
from weft.volumes.suggested import suggestions
from weft.volumes.suggestion import suggest


@pytest.fixture
def stack():
    return np.random.default_rng(0).normal(1000, 50, (2, 5, 20, 24)).astype(np.uint16)


def test_a_tiff_file_and_a_folder(stack, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", stack[0], metadata={"axes": "ZYX"})
    result = CliRunner().invoke(app, ["inspect", str(tmp_path), "--suggest"])
    assert result.exit_code == 0, result.output
    line = next(line for line in result.output.splitlines() if "normalisation:" in line)
    said = yaml.safe_load(line)["normalisation"]
    assert recipe(said) == suggest(stack[0]).steps
    assert "a.tif, channel 0" in result.output
    assert "standard deviation: " in result.output
    with pytest.raises(WeftError, match="no stack 3: it has 1"):
        list(suggestions(tmp_path / "a.tif", 3))


def test_each_channel_of_an_event_store(stack, tmp_path):
    path = tmp_path / "0000.h5"
    with StoreWriter(path, [image("u2"), SPACING]) as writer:
        writer.append(EventId(1, 0, 0, 5), {"image": stack, "spacing": spacing_row(1, 1, 1)})
    found = list(suggestions(path))
    assert [name for name, _ in found] == [f"{path}, event 0, channel {c}" for c in (0, 1)]
    assert found[1][1] == suggest(stack[1])
    with pytest.raises(WeftError, match="no stack 1: it has 1"):
        list(suggestions(path, 1))


def test_other_stores_are_refused(tmp_path):
    with StoreWriter(tmp_path / "0.h5", [SPACING]) as writer:
        writer.append(EventId(1, 0, 0, 5), {"spacing": spacing_row(1, 1, 1)})
    with pytest.raises(WeftError, match="no product 'image'"):
        list(suggestions(tmp_path / "0.h5"))
