import os
import signal
import threading

import pytest
from llvmlite.binding import executionengine

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


@pytest.fixture
def ctrl_c_in_llvm(monkeypatch):
    """Ctrl-C while LLVM makes the machine code of a kernel: Python hears it in the callback that takes the code.

    What runs in the background of a shell ignores it, so Python's own handler is asked for.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    copy = executionengine.string_at

    def heard(*given):
        signal.raise_signal(signal.SIGINT)
        return copy(*given)

    monkeypatch.setattr(executionengine, "string_at", heard)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_signal_waits_until_a_kernel_is_compiled(tmp_path, monkeypatch, ctrl_c_in_llvm):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    before = signal.getsignal(signal.SIGINT)

    @compiled.kernel
    def inner(x):
        return x + 1

    @compiled.kernel
    def outer(x):
        return 6 * inner(x)

    with pytest.raises(KeyboardInterrupt):  # not: RuntimeError, no compiled object yet
        outer(6)
    assert signal.getsignal(signal.SIGINT) is before
    assert outer(6) == 42
    assert any(name.endswith(".nbc") for _, _, names in os.walk(tmp_path) for name in names)


def test_a_handler_that_only_notes_a_signal_hears_of_it(tmp_path, monkeypatch, ctrl_c_in_llvm):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    heard, handler = [], signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        assert compiled.kernel(lambda x: x + 1)(41) == 42
    finally:
        signal.signal(signal.SIGINT, handler)
    assert heard
    assert set(heard) == {signal.SIGINT}


def test_of_several_signals_each_is_heard(tmp_path, monkeypatch, ctrl_c_in_llvm):
    """Also where the handler of the first one raises."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    heard = []
    handler = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    copy = executionengine.string_at

    def both(*given):
        made = copy(*given)
        signal.raise_signal(signal.SIGTERM)
        return made

    monkeypatch.setattr(executionengine, "string_at", both)
    try:
        with pytest.raises(KeyboardInterrupt):
            compiled.kernel(lambda x: x + 2)(40)
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert heard


def test_kernels_are_compiled_in_other_threads_too(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    made = []
    square = compiled.kernel(lambda x: x * x)
    threads = [threading.Thread(target=lambda: made.append(square(7))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [49] * 4
