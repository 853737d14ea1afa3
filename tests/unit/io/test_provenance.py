import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel

from weft.io.provenance import canonical_json, collect, config_hash, of_file


class Settings(BaseModel):
    rate: float = 0.5
    name: str = "uresnet"


def test_a_file_by_what_is_in_it(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert of_file(tmp_path / "a") == {
        "path": str(tmp_path / "a"),
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    }


def test_a_record_names_code_packages_machine_config_and_inputs():
    record = collect(config={"b": 1, "a": Path("x")}, seeds=3, inputs={"truth": "ab12"}, stage="uresnet")
    assert json.loads(json.dumps(record)) == record
    assert record["config"] == {"a": "x", "b": 1}
    assert record["config_hash"] == config_hash({"a": "x", "b": 1})
    assert record["seeds"] == {"seed": 3}
    assert record["inputs"] == {"truth": "ab12"}
    assert record["stage"] == "uresnet"
    assert record["packages"]["numpy"] == np.__version__
    assert record["peak_memory_mb"] > 10
    assert record["wall_time_s"] > 0
    assert record["created"].endswith("+00:00")


def test_the_config_hash_sees_values_not_their_order_or_class():
    assert config_hash({"name": "uresnet", "rate": 0.5}) == config_hash(Settings())
    assert config_hash(Settings()) != config_hash(Settings(rate=0.6))
    assert canonical_json({"b": np.float64(1.5), "a": {3, 1}}) == '{"a":[1,3],"b":1.5}'
    with pytest.raises(TypeError, match="cannot be written"):
        canonical_json({"x": object()})


def test_it_works_away_from_a_checkout_and_without_torch(tmp_path):
    """An installed copy has no commit; making the record imports nothing heavy."""
    package = Path(__file__).resolve().parents[3] / "weft"
    (tmp_path / "weft").symlink_to(package)
    code = (
        "import sys, json; from weft.io import provenance; from pathlib import Path; import weft;"
        "weft.__file__ = str(Path('nowhere/weft/__init__.py').absolute()); r = provenance.collect();"
        "assert 'torch' not in sys.modules; print(json.dumps(r))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    record = json.loads(done.stdout)
    assert "commit" not in record
    assert record["weft"]


def test_reading_and_writing_stores_needs_neither_torch_nor_uproot():
    code = "import sys, weft.io.store, weft.io.inspect; assert not {'torch', 'uproot', 'awkward'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)
