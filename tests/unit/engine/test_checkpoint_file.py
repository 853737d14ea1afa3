import errno
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weft.engine.checkpoint_file import DamagedFile, DiskFull, read_checked, write_checked
from weft.engine.model_file import FORMAT, ModelFile, read_model, save_model
from weft.errors import WeftError

CONTENT = {"weights": torch.arange(40.0), "step": 7, "names": ["a", None, True, float("inf")]}
any_byte = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)


def test_what_is_written_is_read_and_torch_and_zip_read_it_too(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    write_checked(path, CONTENT)
    for content in (read_checked(path), torch.load(path, weights_only=True)):
        assert torch.equal(content["weights"], CONTENT["weights"])
        assert content["step"] == 7
        assert content["names"] == ["a", None, True, float("inf")]
    assert zipfile.ZipFile(path).comment.startswith(b"weft sha256 ")
    assert os.listdir(tmp_path) == ["a.ckpt"]


@any_byte
@given(st.data())
def test_any_changed_bit_and_any_cut_is_noticed(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "a.ckpt"
    write_checked(path, CONTENT)
    whole = path.read_bytes()
    place, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
    with pytest.raises(DamagedFile, match=r"a\.ckpt: (damaged|cut short)"):
        read_checked(path)
    path.write_bytes(whole[:place])
    with pytest.raises(DamagedFile, match="cut short"):
        read_checked(path)
    path.write_bytes(whole[:place] + bytes(len(whole) - place))  # blocks that never reached the disk
    with pytest.raises(DamagedFile):
        read_checked(path)


def test_the_error_can_be_told_to_other_processes() -> None:
    again = pickle.loads(pickle.dumps(DamagedFile(Path("a.ckpt"), "damaged")))
    assert (type(again), str(again), again.reason) == (DamagedFile, "a.ckpt: damaged", "damaged")


def test_nothing_but_tensors_and_plain_data_is_unpickled(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "was here"),)

    write_checked(tmp_path / "a.ckpt", {"x": Evil()})
    with pytest.raises(DamagedFile, match="not a file of tensors and plain data"):
        read_checked(tmp_path / "a.ckpt")
    assert not (tmp_path / "was here").exists()


def test_the_file_before_is_kept(tmp_path: Path) -> None:
    for step in range(3):
        write_checked(tmp_path / "last.ckpt", {"step": step}, keep_as="previous.ckpt")
    assert [read_checked(tmp_path / name)["step"] for name in ("last.ckpt", "previous.ckpt")] == [2, 1]
    assert sorted(os.listdir(tmp_path)) == ["last.ckpt", "previous.ckpt"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    path = tmp_path / "last.ckpt"
    for step in range(2):
        write_checked(path, {"step": step}, keep_as="previous.ckpt")

    def full(*arguments: Any) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(DiskFull, match=r"last\.ckpt: no space left .* run again"):
            write_checked(path, {"step": 2}, keep_as="previous.ckpt")
    assert sorted(os.listdir(tmp_path)) == ["last.ckpt", "previous.ckpt"]
    assert [read_checked(tmp_path / name)["step"] for name in ("last.ckpt", "previous.ckpt")] == [1, 0]


def test_other_errors_of_the_system_are_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        write_checked(tmp_path / "a" / "b.ckpt", {})


def test_a_model_file_with_a_changed_bit_is_refused_and_one_without_a_sum_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    model = ModelFile({"w": torch.ones(100)}, "toy", {}, {})
    save_model(path, model)
    assert torch.equal(read_model(path).state["w"], model.state["w"])
    whole = path.read_bytes()
    place = whole.index(torch.ones(100).numpy().tobytes())
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises(WeftError, match="not a model file of weft: damaged"):
        read_model(path)
    torch.save({"format": FORMAT, **model._asdict()}, path)
    assert torch.equal(read_model(path).state["w"], model.state["w"])
