"""Small files in the layout of LArMatch's second generation.

uproot does not write vectors in vectors. So the branches ``.shape`` and ``.data`` are written as the very bytes that
ROOT has in them, as a list of bytes per event; the reader takes the bytes of a branch in either case, and the layout of
the bytes is that of a real branch of the same type (``test_split_vectors.py``).
"""

from __future__ import annotations

import struct
from pathlib import Path

import awkward as ak
import numpy as np
import uproot

TREE = "larmatchtrainingdata"
TYPES = {
    "coord_v": ">i4", "feat_v": ">f4", "matchtriplet_v": ">i4", "larmatch_truth_v": ">i4", "larmatch_weight_v": ">f4",
    "larmatch_label_v": ">f4", "ssnet_truth_v": ">i4", "ssnet_class_weight_v": ">f4", "ssnet_top_weight_v": ">f4",
    "kp_truth_v": ">f4", "kp_weight_v": ">f4",
}  # fmt: skip


def split_bytes(vectors: list, dtype: str) -> np.ndarray:
    """Bytes of one entry of a branch ``vector<number> x[n]``."""
    body = struct.pack(">H", 9)
    for vector in vectors:
        values = np.asarray(vector).astype(dtype)
        body += struct.pack(">i", values.size) + values.tobytes()
    return np.frombuffer(struct.pack(">I", 0x40000000 | len(body)) + body, np.uint8)


def event(planes: list[list[tuple]], triplets: list[tuple], **labels: np.ndarray) -> dict[str, list]:
    """planes: (row, wire, charge) of the pixels of each plane. triplets: rows of them. labels: one array each."""
    columns: dict[str, list] = {
        "coord_v": [np.array([p[:2] for p in plane]).reshape(-1, 2) for plane in planes],
        "feat_v": [np.array([p[2] for p in plane], float) for plane in planes],
        "matchtriplet_v": [np.array(triplets).reshape(-1, 3)],
    }
    return columns | {f"{name}_v": [np.asarray(values)] for name, values in labels.items()}


def write_larmatch(path: Path, events: list[dict[str, list]], **columns: np.ndarray) -> Path:
    n = len(events)
    rows: dict[str, object] = {
        "run": np.full(n, 7, np.int32), "subrun": np.zeros(n, np.int32), "event": np.arange(n, dtype=np.int32),
        "isnueccfile": np.ones(n, np.int32),
    }  # fmt: skip
    rows |= columns
    for name in dict.fromkeys(name for of in events for name in of):
        arrays = [of[name] for of in events]
        rows[f"{name}.ndims"] = _lists([np.array([a.ndim for a in entry], np.int32) for entry in arrays])
        for part, dtype in (("shape", ">i4"), ("data", TYPES[name])):
            held = [split_bytes([a.shape if part == "shape" else a for a in entry], dtype) for entry in arrays]
            rows[f"{name}.{part}"] = _lists(held)
    with uproot.recreate(path) as file:
        types = {k: v.dtype if isinstance(v, np.ndarray) else v.type.content for k, v in rows.items()}
        file.mktree(TREE, types)
        for start in range(0, n, 2):
            file[TREE].extend({k: v[start : start + 2] for k, v in rows.items()})
    return path


def _lists(rows: list[np.ndarray]) -> ak.Array:
    return ak.unflatten(np.concatenate(rows), [len(row) for row in rows])
