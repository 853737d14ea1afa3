"""From an event store with images of wire planes to one with triplets."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from weft.detector.wires import PLANES, Detector
from weft.errors import WeftError
from weft.io.products import EventId, Schema
from weft.io.provenance import collect
from weft.io.store import EventStore
from weft.io.wire_products import (
    DEAD_WIRES,
    GHOST_TRIPLET,
    GOOD_TRIPLET,
    PIXELS,
    TRIPLET_ROWS,
    TRIPLET_TRUTH,
    TRIPLETS,
)
from weft.io.writer import StoreWriter
from weft.progress import Report
from weft.triplets.build import build_triplets
from weft.triplets.images import dead_of, dead_table, pixels_of
from weft.triplets.label_options import TruthOptions
from weft.triplets.options import TripletOptions
from weft.triplets.pixel_truth import label_from_pixels
from weft.triplets.truth import label_triplets

#: Where images, channel status and true deposits are, as the converter calls them.
IMAGES, STATUS, DEPOSITS, PIXEL_ORIGINS = "image2d_wire", "chstatus_wire", "wire_deposits", "pixel_truth"


@dataclass
class Done:
    """What a file of triplets holds. A cap left out `dropped` more, in `capped` rows; the last are None: no truth."""

    events: int = 0
    triplets: int = 0
    dropped: int = 0
    capped: int = 0
    good: int | None = None
    ghosts: int | None = None

    def __str__(self) -> str:
        text = f"{self.events} events, {self.triplets} triplets"
        if self.dropped:
            text += f", {self.dropped} more left out by the cap in {self.capped} rows"
        if self.good is None or self.ghosts is None:
            return text + ", no truth"
        unknown = self.triplets - self.good - self.ghosts
        return text + f", {self.good} good, {self.ghosts} ghosts" + (f", {unknown} unknown" if unknown else "")


class Event(Protocol):
    """One event: its products by name."""

    def __getitem__(self, product: str) -> Any: ...
    def __contains__(self, product: object) -> bool: ...


@dataclass(frozen=True)
class _Read:
    """One event of a store."""

    store: EventStore
    index: int

    def __getitem__(self, product: str) -> Any:
        return self.store[product][self.index]

    def __contains__(self, product: object) -> bool:
        return product in self.store


def triplet_products(
    detector: Detector, event: Event, options: TripletOptions, mask: str | None = None
) -> dict[str, Any]:
    """`pixels`, `dead_wires`, `triplets` and `triplet_rows` of an event.

    Args:
        event: `image2d_wire` and its meta; `chstatus_wire` is read where it is.
        mask: an image product of the same shape; pixels where it is not zero are set to zero before the search. Which
            wires are dead is seen in the images as they were read: a wire whose charge is masked does work.

    Raises WeftError where images are not of the detector or the mask is not of the images.
    """
    _check_times(detector, event[f"{IMAGES}_meta"])
    images = np.asarray(event[IMAGES])
    has_status = STATUS in event
    dead = dead_of(detector, images, event[STATUS] if has_status else None)
    if mask is not None:
        tagged = np.asarray(event[mask])
        if tagged.shape != images.shape:
            raise WeftError(f"mask {mask} has the shape {tagged.shape}, the images {IMAGES} have {images.shape}")
        images = np.where(tagged != 0, 0, images)
    found = build_triplets(detector, pixels_of(detector, images, options.threshold), dead, options)
    return {
        "pixels": found.pixels,
        "dead_wires": dead_table(dead),
        "triplets": found.triplets,
        "triplet_rows": found.rows,
    }


def write_triplets(
    source: str | Path,
    target: str | Path,
    detector: Detector,
    options: TripletOptions,
    progress: Report | None = None,
    mask: str | None = None,
    labels: TruthOptions | None = None,
) -> Done:
    """Write `pixels`, `dead_wires`, `triplets` and `triplet_rows` of each event, and `triplet_truth` if there is truth.

    Args:
        source: an event store with `image2d_wire` and its meta; `chstatus_wire` and `wire_deposits`, or `pixel_truth`,
            are read where they are.
        target: the event store to write; it opens together with the source.
        mask: see :func:`triplet_products`.
        labels: what makes a triplet good; None: the default.
    """
    done, labels = Done(), labels or TruthOptions()
    with EventStore.open(source) as store:
        for name in (IMAGES, f"{IMAGES}_meta"):
            if name not in store:
                raise WeftError(f"{source}: no product {name}; convert a file with images of wire planes")
        if mask is not None and mask not in store:
            raise WeftError(f"{source}: no product {mask} for the mask; it has: {', '.join(store.products)}")
        truth = next((name for name in (DEPOSITS, PIXEL_ORIGINS) if name in store), None)
        has_truth = truth is not None
        schemas: list[Schema] = [PIXELS, DEAD_WIRES, TRIPLETS, TRIPLET_ROWS]
        if has_truth:
            schemas.append(TRIPLET_TRUTH)
            done.good = done.ghosts = 0
        parents = {alias: file.content_hash for alias, file in store.files.items()}
        config = {
            "detector": dataclasses.asdict(detector), "options": options.model_dump(mode="json"), "mask": mask,
            "labels": labels.model_dump(mode="json"),
        }  # fmt: skip
        with StoreWriter(target, schemas, collect(config=config, inputs=parents), parents) as writer:
            for i, event in enumerate(store.events):
                try:
                    products = triplet_products(detector, _Read(store, i), options, mask)
                except WeftError as error:
                    number = f"{event['run']}/{event['subrun']}/{event['event']}"
                    raise WeftError(f"{source}: event {number}: {error}") from None
                if truth is not None:
                    label = label_triplets if truth == DEPOSITS else label_from_pixels
                    products["triplet_truth"] = label(
                        products["pixels"], products["triplets"], store[truth][i], labels.min_electrons
                    )
                _count(done, products)
                writer.append(EventId.of(event), products)
                if progress is not None:
                    progress(i + 1, len(store))
    return done


def _count(done: Done, products: dict[str, Any]) -> None:
    rows = products["triplet_rows"]
    done.events += 1
    done.triplets += len(products["triplets"])
    done.dropped += int((rows["found"] - rows["kept"]).sum())
    done.capped += int((rows["found"] > rows["kept"]).sum())
    if done.good is not None and done.ghosts is not None:
        good = products["triplet_truth"]["good"]
        done.good += int((good == GOOD_TRIPLET).sum())
        done.ghosts += int((good == GHOST_TRIPLET).sum())


def _check_times(detector: Detector, meta: np.ndarray) -> None:
    """Whether rows and columns of the images are those of the detector."""
    for number, image in enumerate(meta[: len(detector.tpcs) * PLANES]):
        readout = detector.tpcs[number // PLANES].readout
        ticks = readout.first_tick, readout.first_tick + readout.rows * readout.ticks_per_row
        seen = float(image["min_y"]), float(image["max_y"])
        if int(image["rows"]) != readout.rows or not np.allclose(seen, ticks, atol=1e-3):
            backward = int(image["rows"]) == readout.rows and np.isclose(seen[0], ticks[1], atol=1e-3)
            hint = "; if the file is backward in time, convert it with tick_backward" if backward else ""
            raise WeftError(
                f"image {number} has {image['rows']} rows of ticks {seen[0]:g} to {seen[1]:g}; the detector "
                f"{detector.name} has {readout.rows} of {ticks[0]:g} to {ticks[1]:g}{hint}"
            )
        if not np.isclose(image["min_x"], 0) or not np.isclose(image["max_x"] - image["min_x"], image["cols"]):
            raise WeftError(
                f"the columns of image {number} span {image['min_x']:g} to {image['max_x']:g}, "
                f"expected one per wire from 0 on"
            )
