"""One file of an event store: what it says of itself, and fast reads of its arrays."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (registers the Blosc2 filter)
import numpy as np
from h5py import h5s, h5t

from weft.errors import WeftError
from weft.io.products import Schema
from weft.io.writer import FORMAT, FORMAT_VERSION


class StoreFile:
    """One shard: its metadata, read once, and a handle that each process opens when it first reads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pid = -1
        self._handle: h5py.File | None = None
        self._datasets: dict[str, DatasetReader] = {}
        with self._open() as file:
            try:
                self.schemas = {
                    name: Schema.from_json(json.loads(group.attrs["schema"]))
                    for name, group in file["products"].items()
                }
                self.events: np.ndarray = file["events"][:]
                self.content_hash: str = file.attrs["content_hash"]
                self.parents: dict[str, str] = json.loads(file["parents"][()])
                self.provenance: dict[str, Any] = json.loads(file["provenance"][()])
            except (KeyError, ValueError) as error:
                raise WeftError(f"{path}: damaged event store ({error}); make it again") from error

    def _open(self) -> h5py.File:
        if not self.path.is_file():
            raise WeftError(f"{self.path}: no such file")
        try:
            file = h5py.File(self.path, "r", locking=False)
        except OSError as error:
            raise WeftError(f"{self.path}: not an HDF5 file, or truncated; expected an event store") from error
        attributes = file.attrs
        if attributes.get("format") != FORMAT:
            problem = "not an event store; `weft convert` makes one"
        elif attributes["format_version"] != FORMAT_VERSION:
            version = attributes["format_version"]
            problem = f"event store of format version {version}, this weft reads {FORMAT_VERSION}"
        elif not attributes.get("complete", False):
            problem = "incomplete event store: its writer did not finish; make it again"
        else:
            return file
        file.close()
        raise WeftError(f"{self.path}: {problem}")

    @property
    def handle(self) -> h5py.File:
        """The file, opened in this process."""
        if self._handle is None or self._pid != os.getpid():
            self.close()
            self._handle, self._pid = self._open(), os.getpid()
        return self._handle

    def dataset(self, name: str) -> DatasetReader:
        """``<product>/<array>`` for direct reads in this process."""
        if self._pid != os.getpid():
            _ = self.handle
        if name not in self._datasets:
            self._datasets[name] = DatasetReader(self.handle["products"][name], f"{self.path}: {name}")
        return self._datasets[name]

    def close(self) -> None:
        self._datasets = {}
        if self._handle is not None:
            self._handle.close()
            self._handle = None


class DatasetReader:
    """Contiguous runs of rows through HDF5's own calls: h5py slicing costs more than a small event."""

    def __init__(self, dataset: h5py.Dataset, where: str) -> None:
        self.id = dataset.id
        self.where = where
        self.dtype = dataset.dtype
        self.width = dataset.shape[1:]
        self._type = h5t.py_create(dataset.dtype)
        self._tail = (0,) * len(self.width)

    def read(self, start: int, stop: int) -> np.ndarray:
        shape = (stop - start, *self.width)
        out = np.empty(shape, self.dtype)
        if stop > start:
            space = self.id.get_space()
            space.select_hyperslab((start, *self._tail), shape)
            try:
                self.id.read(h5s.create_simple(shape), space, out, self._type)
            except OSError as error:
                raise WeftError(f"{self.where}: rows {start} to {stop} cannot be read (damaged file?)") from error
        return out
