import os

import pytest

from weft import compiled


@pytest.fixture(autouse=True)
def _fresh():
    compiled._cache_directory.cache_clear()
    yield
    compiled._cache_directory.cache_clear()


def test_kernels_are_kept_where_told(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))

    @compiled.kernel
    def twice(x):
        return 2 * x

    assert twice(21) == 42
    assert any(name.endswith(".nbi") for _, _, names in os.walk(tmp_path) for name in names)


def test_where_nothing_can_be_written_kernels_still_run(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")  # a file where a directory is wanted: refused even to root
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(blocked))
    assert compiled._cache_directory() is None

    @compiled.kernel
    def thrice(x):
        return 3 * x

    assert thrice(14) == 42


def test_numba_settings_of_others_are_left_alone(tmp_path, monkeypatch):
    import numba

    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    before = numba.config.CACHE_DIR
    compiled.kernel(lambda x: x)
    assert before == numba.config.CACHE_DIR


def test_a_change_in_a_room_leaves_kernels_of_rooms_below_alone(tmp_path, monkeypatch):
    package = tmp_path / "weft"
    for room in compiled._ROOMS:
        (package / room).mkdir(parents=True)
        (package / room / "a.py").write_text("x = 1")
    monkeypatch.setattr(compiled, "__file__", str(package / "compiled.py"))
    before = {room: compiled._digest(room) for room in compiled._ROOMS}
    assert len(set(before.values())) == len(before)
    (package / "graph" / "a.py").write_text("x = 2")
    changed = {room for room in compiled._ROOMS if compiled._digest(room) != before[room]}
    assert changed == {"graph", "reco", "tasks"}


def test_kernels_of_others_see_all_rooms():
    assert compiled._room("weft.reco.ends") == "reco"
    assert compiled._room("weft.tasks.spice.fit") == "tasks"
    assert compiled._room("somebody.else") == compiled._ROOMS[-1]
