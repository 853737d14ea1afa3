"""The names of classes that the truth and the predictions of a store share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from weft.errors import WeftError
from weft.io.store import EventStore


def class_names(store: EventStore, sides: Sequence[str], product: str) -> list[str]:
    """Names of the classes by number, as the `product` of each side that has one says them; none where none says any.

    Raises:
        WeftError: two sides say different ones: their numbers would mean different things in one picture.
    """
    named: Mapping[int, str] = {}
    for side in sides:
        codes = store[f"{side}/{product}"].schema.codes.get("class", {}) if f"{side}/{product}" in store else {}
        if named and codes and codes != named:
            raise WeftError(
                f"{store.files[side].path}: {product} has the classes {_said(codes)}; others have {_said(named)}"
            )
        named = named or codes
    return [named.get(k, str(k)) for k in range(max(named, default=-1) + 1)]


def _said(codes: Mapping[int, str]) -> str:
    return ", ".join(codes[k] for k in sorted(codes))
