"""A liquid-argon event from what the formats of the field hold: voxel sets, clusters of voxels, particles."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from weft.errors import WeftError
from weft.io.products import CHARGE, CLUSTERS, META, PARTICLES, SEMANTICS, VOXELS, Ragged, Schema
from weft.io.voxels import merge_voxels, voxel_index

LOW_ENERGY, GHOST, UNKNOWN = 4, 5, 6

#: What to do about clusters that cannot be used.
WITHOUT_CLUSTERS = "leave the clusters out: `--product clusters=none`, in a dataset `products: {clusters: null}`"


class VoxelSet(NamedTuple):
    """LArCV ids uint64 (n,) and a value for each."""

    ids: np.ndarray
    values: np.ndarray


class Clusters(NamedTuple):
    """Voxel sets of several clusters, end to end, and int64 offsets (clusters + 1,)."""

    ids: np.ndarray
    values: np.ndarray
    offsets: np.ndarray


class EventBuilder:
    """Turns the parts that a source has into the products of docs/architecture.md.

    Voxels are those of the charge; without one, those of the semantics; without either, the union of the clusters,
    whose values are then summed and whose class is that of the particle that comes first in `PRECEDENCE`.

    Attributes:
        schemas: of the products that `build` returns.
        notes: what was left out, counted over all events, for the provenance.
    """

    def __init__(
        self, charge: bool, semantics: bool, clusters: bool, particles: bool, particle_schema: Schema = PARTICLES
    ) -> None:
        self.has_charge, self.has_semantics = charge, semantics
        self.has_clusters, self.has_particles = clusters, particles
        self.has_voxels = charge or semantics or clusters
        self.makes_semantics = semantics or (clusters and particles)
        self.schemas: list[Schema] = []
        if self.has_voxels:
            self.schemas += [META, VOXELS]
        if charge or (clusters and not semantics):
            self.schemas.append(CHARGE)
        if self.makes_semantics:
            self.schemas.append(SEMANTICS)
        if particles:
            self.schemas.append(particle_schema)
        if clusters:
            self.schemas.append(CLUSTERS if particles else dataclasses.replace(CLUSTERS, items_on=None))
        self.notes: Counter[str] = Counter()

    def build(
        self,
        where: str,
        meta: np.ndarray | None = None,
        charge: VoxelSet | None = None,
        semantics: VoxelSet | None = None,
        clusters: Clusters | None = None,
        particles: np.ndarray | None = None,
    ) -> dict[str, Any]:
        """Products of one event.

        Args:
            where: names file and event in errors.
            meta: one row of the `meta` product.
            particles: rows of the `particles` product.

        Raises:
            WeftError: voxel ids beyond the box, semantics of other voxels than the charge, or clusters that do not
                fit the particles.
        """
        products: dict[str, Any] = {}
        if particles is not None:
            products["particles"] = particles
        if not self.has_voxels or meta is None:
            return products
        shape = tuple(int(n) for n in (meta["nx"][0], meta["ny"][0], meta["nz"][0]))
        if not 0 <= min(shape) <= max(shape) < 2**31:
            raise WeftError(f"{where}: a box of {'×'.join(map(str, shape))} voxels; voxel numbers are below 2³¹")
        if clusters is not None and particles is not None:
            clusters = self._match(where, clusters, particles)
        ids, values, classes = self._voxels(where, charge, semantics, clusters, particles)
        if len(ids) and int(ids[-1]) >= shape[0] * shape[1] * shape[2]:
            raise WeftError(
                f"{where}: voxel id {ids[-1]} lies beyond the box of {shape[0]}×{shape[1]}×{shape[2]} voxels"
            )
        products["meta"] = meta
        products["voxels"] = voxel_index(ids, shape)
        if values is not None:
            products["charge"] = values.astype(np.float32)
        if classes is not None:
            products["semantics"] = _classes(where, classes)
        if clusters is not None:
            products["clusters"] = self._on_voxels(clusters, ids)
        return products

    def _voxels(
        self,
        where: str,
        charge: VoxelSet | None,
        semantics: VoxelSet | None,
        clusters: Clusters | None,
        particles: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Sorted unique ids, their charge and their class."""
        owner_shape = None
        if clusters is not None and particles is not None:
            owner_shape = np.repeat(particles["shape"], np.diff(clusters.offsets))
        if charge is None and semantics is None:
            assert clusters is not None
            union, sums, row = merge_voxels(clusters.ids, clusters.values, owner_shape)
            return union, sums, None if owner_shape is None else owner_shape[row]
        ids: np.ndarray = np.empty(0, np.uint64)
        values: np.ndarray | None = None
        if charge is not None:
            ids, values = _sorted_sum(charge)
        if semantics is not None:
            order = np.argsort(semantics.ids, kind="stable")
            labelled, labels = semantics.ids[order], semantics.values[order]
            if (np.diff(labelled.astype(np.int64)) == 0).any():
                raise WeftError(f"{where}: the semantics name a voxel twice")
            if charge is not None and not np.array_equal(ids, labelled):
                raise WeftError(
                    f"{where}: the semantics are of {len(labelled)} voxels and the charge of {len(ids)}, of which "
                    f"{len(np.intersect1d(ids, labelled))} agree; choose the trees that belong together with --product"
                )
            return labelled, values, labels
        if owner_shape is None or clusters is None:
            return ids, values, None
        owned, _, row = merge_voxels(clusters.ids, clusters.values, owner_shape)
        classes = np.full(len(ids), -1, np.int64)
        place = np.searchsorted(owned, ids)
        found = place < len(owned)
        found[found] = owned[place[found]] == ids[found]
        classes[found] = owner_shape[row[place[found]]]
        return ids, values, classes

    def _match(self, where: str, clusters: Clusters, particles: np.ndarray) -> Clusters:
        """Clusters in the order of the particles: particle `id` owns the cluster of that number."""
        count, number = len(clusters.offsets) - 1, particles["id"].astype(np.int64)
        if (number < 0).all():
            number = np.arange(len(particles))
        if len(number) and (len(np.unique(number)) < len(number) or number.min() < 0 or number.max() >= count):
            raise WeftError(
                f"{where}: {len(particles)} particles with ids {number.min()} to {number.max()} cannot be matched with "
                f"{count} clusters, which they number; {WITHOUT_CLUSTERS}"
            )
        if count > len(particles):
            self.notes["clusters without a particle, left out"] += count - len(particles)
        sizes = np.diff(clusters.offsets)
        stated = particles["num_voxels"]
        wrong = np.flatnonzero((stated >= 0) & (stated != sizes[number]))
        if len(wrong):
            k = int(wrong[0])
            raise WeftError(
                f"{where}: particle {k} states {stated[k]} voxels, its cluster has {sizes[number][k]}: the clusters "
                "were not read rightly, or belong to other particles"
            )
        if count == len(particles) and np.array_equal(number, np.arange(count)):
            return clusters
        spans = [np.arange(clusters.offsets[n], clusters.offsets[n + 1]) for n in number]
        rows = np.concatenate([np.empty(0, np.int64), *spans])
        return Clusters(clusters.ids[rows], clusters.values[rows], np.cumsum([0, *sizes[number]]).astype(np.int64))

    def _on_voxels(self, clusters: Clusters, ids: np.ndarray) -> Ragged:
        """Rows of `voxels` instead of ids; voxels that are not there are left out and counted."""
        place = np.searchsorted(ids, clusters.ids)
        found = place < len(ids)
        found[found] = ids[place[found]] == clusters.ids[found]
        values = np.empty(int(found.sum()), CLUSTERS.dtype)
        values["voxel"], values["energy"] = place[found], clusters.values[found]
        if len(values) < len(found):
            self.notes["voxels of clusters that are not in the image, left out"] += len(found) - len(values)
        kept = np.concatenate([[0], np.cumsum(found)])
        return Ragged(values, kept[clusters.offsets])


def _sorted_sum(voxels: VoxelSet) -> tuple[np.ndarray, np.ndarray]:
    if (voxels.ids[1:] > voxels.ids[:-1]).all():
        return voxels.ids, voxels.values
    ids, values, _ = merge_voxels(voxels.ids, voxels.values)
    return ids, values


def _classes(where: str, labels: np.ndarray) -> np.ndarray:
    """int8 (n,): classes 0 to 5; unknown (6) and negative ones become −1."""
    classes = labels.astype(np.int64)
    if len(classes) and ((classes != labels).any() or classes.max() > UNKNOWN):
        raise WeftError(
            f"{where}: semantic classes run from {labels.min()} to {labels.max()}, expected whole 0 to {UNKNOWN}"
        )
    return np.where((classes < 0) | (classes == UNKNOWN), -1, classes).astype(np.int8)


def particle_rows(count: int, columns: dict[str, np.ndarray], schema: Schema = PARTICLES) -> np.ndarray:
    """Rows of the `particles` product from the columns that a source has; the others are −1 or NaN.

    Sentinels of LArCV (65535, 2³²−1, 2⁶³−1 and the like) become −1; `p` is computed where the source lacks it.

    Raises:
        WeftError: an integer that is no sentinel does not fit its column.
    """
    rows = np.empty(count, schema.dtype)
    for name in schema.dtype.names or ():
        kind = schema.dtype[name]
        if name not in columns:
            rows[name] = np.nan if kind.kind == "f" else -1
        elif kind.kind == "f":
            rows[name] = columns[name]
        else:
            rows[name] = _without_sentinels(name, columns[name], kind)
    if "p" not in columns and "px" in columns:
        rows["p"] = np.sqrt(rows["px"] ** 2 + rows["py"] ** 2 + rows["pz"] ** 2)
    return rows


def _without_sentinels(name: str, values: np.ndarray, kind: np.dtype) -> np.ndarray:
    if values.dtype.kind == "u":
        invalid = values == np.iinfo(values.dtype).max
        if values.dtype.itemsize == 8:
            invalid |= (values == 2**63 - 1) | (values == 2**32 - 1) | (values == 65535)
        values = np.where(invalid, 0, values).astype(np.int64)
        values[invalid] = -1
    elif values.dtype.itemsize == 8 and values.dtype.kind == "i":
        values = np.where(values == 2**63 - 1, -1, values)
    limits = np.iinfo(kind)
    if len(values) and not limits.min <= values.min() <= values.max() <= limits.max:
        raise WeftError(f"particles: {name} runs from {values.min()} to {values.max()}, beyond {kind}")
    return values.astype(kind)
