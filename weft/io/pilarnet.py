"""Events of PILArNet-M HDF5 files (layout: specs/anchors.md §1.1).

Per event ``point`` is a flat array of rows x, y, z (voxels), voxel value, energy deposit, time, electrons, dx;
``cluster`` of rows points, fragment, group, interaction, semantic class (v1) and particle id (v2), the points being in
cluster order; ``cluster_extra``, where there, of rows mass, momentum (GeV/c), interaction vertex x, y, z (mm, from the
centre of the box).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from weft.errors import WeftError
from weft.io.lartpc import Clusters, EventBuilder, particle_rows
from weft.io.products import META
from weft.io.voxels import voxel_id

POINT_WIDTH = 8
EXTRA_WIDTH = 5
#: Widths of `cluster` rows, by version.
CLUSTER_WIDTHS = {5: "v1", 6: "v2"}

#: The box is 768 voxels of 3 mm a side.
BOX = 768
VOXEL_CM = 0.3

#: PDG code of each particle id; charges are not in the file: negative leptons and positive pions stand for both.
PDG = {0: 22, 1: 11, 2: 13, 3: 211, 4: 2212}


class PilarnetSource:
    """A source of events, see `weft.io.convert.Source`.

    The charge of a voxel is the voxel value, as the dataset's own readers use it. Each cluster is one row of
    `particles`; what the files do not say is −1 or NaN. The interaction vertex is stored as `ancestor_vtx`.
    """

    kind = "pilarnet"

    def __init__(self, path: Path, products: Mapping[str, str | None]) -> None:
        self.path = path
        if any(tree is not None for tree in products.values()):
            raise WeftError(
                f"{path}: products of PILArNet-M have fixed names; clusters alone can be left out, with clusters=none"
            )
        unknown = products.keys() - {"clusters"}
        if unknown:
            raise WeftError(f"{path}: only clusters can be left out of PILArNet-M, not {', '.join(sorted(unknown))}")
        self.file = h5py.File(path, "r", locking=False)
        names = [n for n in ("point", "cluster", "cluster_extra") if n in self.file]
        lengths = {n: len(self.file[n]) for n in names}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{n} {length}" for n, length in lengths.items())
            raise WeftError(f"{path}: datasets have unequal entry counts: {listed}")
        self.entries = lengths["point"]
        self.has_extra = "cluster_extra" in names
        self.with_clusters = "clusters" not in products
        self.width = self._cluster_width()
        self.skipped = {n: "unknown dataset" for n in self.file if n not in names}
        # Classes and charges come with the clusters, so the builder is told of both and the union is made here.
        self._builder = EventBuilder(charge=False, semantics=False, clusters=True, particles=True)
        self.schemas = [s for s in self._builder.schemas if self.with_clusters or s.name != "clusters"]

    def _cluster_width(self) -> int:
        """5 or 6 columns: the one with which each event's cluster sizes add up to its points."""
        for i in range(min(self.entries, 16)):
            points, flat = len(self.file["point"][i]) // POINT_WIDTH, np.asarray(self.file["cluster"][i])
            if flat.ndim == 2:
                fits = [flat.shape[1]] if flat.shape[1] in CLUSTER_WIDTHS else []
            else:
                fits = [
                    w
                    for w in CLUSTER_WIDTHS
                    if len(flat) % w == 0 and len(flat) and flat.reshape(-1, w)[:, 0].sum() == points
                ]
            if len(fits) == 1:
                return fits[0]
        if self.entries == 0:
            return max(CLUSTER_WIDTHS)
        raise WeftError(
            f"{self.path}: cluster rows have neither {' nor '.join(map(str, CLUSTER_WIDTHS))} columns whose sizes "
            "add up to the points"
        )

    @property
    def about(self) -> dict[str, Any]:
        return {"version": CLUSTER_WIDTHS[self.width], "cluster_extra": self.has_extra}

    @property
    def notes(self) -> dict[str, Any]:
        return dict(self._builder.notes)

    def numbers(self) -> None:
        return None

    def events(
        self, start: int, stop: int, encode: Callable[[str, str, Sequence[str]], np.ndarray]
    ) -> Iterator[dict[str, Any]]:
        meta = _meta()
        for i in range(start, stop):
            where = f"{self.path}: event {i}"
            points = self._rows("point", i, POINT_WIDTH)
            clusters = self._rows("cluster", i, self.width)
            sizes = clusters[:, 0].astype(np.int64)
            if sizes.sum() != len(points) or (sizes < 0).any():
                raise WeftError(f"{where}: cluster sizes add up to {sizes.sum()}, the points are {len(points)}")
            index = points[:, :3].astype(np.int64)
            if len(index) and not 0 <= index.min() <= index.max() < BOX:
                raise WeftError(
                    f"{where}: coordinates run from {index.min()} to {index.max()}, expected 0 to {BOX - 1}"
                )
            voxels = Clusters(voxel_id(index, (BOX, BOX, BOX)), points[:, 3], np.concatenate([[0], np.cumsum(sizes)]))
            products = self._builder.build(where, meta, clusters=voxels, particles=self._particles(i, clusters))
            if not self.with_clusters:
                del products["clusters"]
            yield products

    def _rows(self, name: str, i: int, width: int) -> np.ndarray:
        try:
            flat = np.asarray(self.file[name][i])
        except OSError as error:
            raise WeftError(f"{self.path}: {name} of event {i} cannot be read (truncated or damaged?)") from error
        if flat.size % width:
            raise WeftError(f"{self.path}: {name} of event {i} has {flat.size} numbers, no multiple of {width}")
        return flat.reshape(-1, width)

    def _particles(self, i: int, clusters: np.ndarray) -> np.ndarray:
        count = len(clusters)
        whole = clusters.astype(np.int64)
        columns: dict[str, np.ndarray] = {
            "id": np.arange(count),
            "num_voxels": whole[:, 0],
            "group_id": self._group(whole),
            "interaction_id": whole[:, 3],
            "shape": whole[:, 4],
            "pdg": np.array([PDG.get(int(p), -1) for p in whole[:, 5]], np.int64)
            if self.width > 5
            else -np.ones(count, int),
        }
        if self.has_extra:
            extra = self._rows("cluster_extra", i, EXTRA_WIDTH)
            if len(extra) != count:
                raise WeftError(f"{self.path}: event {i} has {count} clusters, cluster_extra has {len(extra)} rows")
            columns["p"] = extra[:, 1] * 1000.0
            centre = BOX * VOXEL_CM / 2
            for k, a in enumerate("xyz"):
                columns[f"ancestor_vtx_{a}"] = extra[:, 2 + k] / 10.0 + centre
        return particle_rows(count, columns)

    @staticmethod
    def _group(whole: np.ndarray) -> np.ndarray:
        """Row of the first cluster of each group: the files number groups apart from clusters."""
        group = whole[:, 2]
        _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
        return np.where(group < 0, -1, first[inverse])

    def close(self) -> None:
        self.file.close()


def _meta() -> np.ndarray:
    meta = np.zeros(1, META.dtype)
    for a in "xyz":
        meta[f"size_{a}"], meta[f"n{a}"] = VOXEL_CM, BOX
    return meta
