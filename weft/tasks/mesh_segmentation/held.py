"""Meshes made ready for training, held as long as there is room for them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

from weft.tasks.mesh_segmentation.clustered import Clustered

_MIB = 1 << 20


class HeldMeshes:
    """The meshes used last, in memory up to a budget; one alone may be larger. What is held changes no sample."""

    def __init__(self, budget_mib: float) -> None:
        self._budget = budget_mib * _MIB
        self._held: OrderedDict[Hashable, Clustered] = OrderedDict()

    def get(self, key: Hashable | None, make: Callable[[], Clustered]) -> Clustered:
        """The mesh of a key, made if it is not held; key None: one that cannot be told from others."""
        if key is None:
            return make()
        found = self._held.pop(key, None) or make()
        self._held[key] = found
        while len(self._held) > 1 and sum(mesh.tile.nbytes for mesh in self._held.values()) > self._budget:
            self._held.popitem(last=False)
        return found
