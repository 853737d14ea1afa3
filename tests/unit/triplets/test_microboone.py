"""The triplets of a real event, against an independent count of every pair of pixels."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from weft.config.detector import load_detector
from weft.io.convert import convert_file
from weft.io.store import EventStore
from weft.triplets.build import build_triplets
from weft.triplets.images import dead_of, pixels_of
from weft.triplets.options import TripletOptions
from weft.triplets.search import Rows, find_triplets

ROOT = Path(__file__).resolve().parents[3]
FILE = ROOT.parent / "shared" / "data" / "ublarcvapp_reco3d" / "out_larcv_test.root"

pytestmark = pytest.mark.skipif(not FILE.is_file(), reason="the MicroBooNE file is not here")


@pytest.fixture(scope="module")
def event(tmp_path_factory):
    """Detector, images and channel status."""
    path = tmp_path_factory.mktemp("real") / "a.h5"
    convert_file(FILE, path)
    with EventStore.open(path) as store:
        images = np.asarray(store["image2d_wire"][0])
        return load_detector(ROOT / "config/detectors/microboone.yaml"), images, store["chstatus_wire"][0]


def differences(event):
    wires = [event.pixels["wire"][event.triplets[f"pixel_{p}"]].astype(int) for p in range(3)]
    row = event.pixels["row"][event.triplets["pixel_0"]]
    assert len(np.unique(np.stack([*wires, row], axis=1), axis=0)) == len(event.triplets)
    values, counts = np.unique(wires[2] - wires[0] - wires[1], return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def test_the_closure_set(event):
    detector, images, _ = event
    pixels = pixels_of(detector, images, 10)
    alive = dead_of(detector, np.ones_like(images), None)
    found = build_triplets(detector, pixels, alive, TripletOptions(use_dead=False))
    assert differences(found) == {-672: 74_196, -671: 74_530}
    assert len(found.triplets) == 148_726
    assert found.dropped == 0
    assert not found.pixels["dead"].any()


def test_dead_wires_in_time_and_memory(event):
    detector, images, status = event
    pixels, dead = pixels_of(detector, images, 10), dead_of(detector, images, status)
    assert [int(mask.sum()) for mask in dead[0]] == [555, 300, 1104]
    build_triplets(detector, pixels[:10], dead, TripletOptions())  # compiles
    seconds, search = [], []
    live = [pixels[pixels["plane"] == p] for p in range(3)]
    rows = tuple(Rows.of(plane["row"], plane["wire"], 1008) for plane in live)
    for _ in range(7):
        start = time.process_time()
        found = build_triplets(detector, pixels, dead, TripletOptions())
        middle = time.process_time()
        find_triplets(detector.tpcs[0], rows, dead[0], TripletOptions())
        seconds.append(middle - start)
        search.append(time.process_time() - middle)
    assert set(differences(found)) == {-672, -671}
    assert len(found.triplets) == 517_415
    members = [found.pixels["dead"][found.triplets[f"pixel_{p}"]] for p in range(3)]
    assert (np.sum(members, axis=0) == 0).sum() == 148_726, "the others are untouched by dead wires"
    assert min(seconds) < 1
    assert len(found.triplets) / min(search) > 2e6


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux to know what a process held")
def test_memory(event, tmp_path):
    """Of a process of its own that does nothing else, the images and the compiler included."""
    _, images, status = event
    np.savez(tmp_path / "event.npz", images=images, status=status)
    script = """
import sys
from pathlib import Path
import numpy as np
from weft.config.detector import load_detector
from weft.triplets.build import build_triplets
from weft.triplets.images import dead_of, pixels_of
from weft.triplets.options import TripletOptions

detector = load_detector(sys.argv[1])
with np.load(sys.argv[2]) as event:
    images, status = event["images"], event["status"]
pixels, dead = pixels_of(detector, images, 10), dead_of(detector, images, status)
found = build_triplets(detector, pixels, dead, TripletOptions())
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(len(found.triplets), peak.split()[1])
"""
    command = [sys.executable, "-c", script, ROOT / "config/detectors/microboone.yaml", tmp_path / "event.npz"]
    number, kilobytes = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert number == "517415"
    assert int(kilobytes) * 1024 < 1e9
