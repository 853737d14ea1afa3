"""The trees that SPINE reads: its parsers, and the products of the event store that they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft.config.dialects.lartpc import charge_and_labels
from weft.config.dialects.rules import Noted, Several, Source, Unfit
from weft.config.dialects.spine_uresnet import name_of, only

SCHEMA = "io.loader.dataset.schema"

_CLUSTER_OPTIONS = {
    *("parser", "cluster_event", "particle_event", "particle_mpv_event", "neutrino_event", "particle_info"),
    *("sparse_semantics_event", "sparse_value_event", "add_particle_info", "clean_data", "label_le"),
    *("type_include_mpr", "type_include_secondary", "primary_include_mpr", "break_clusters", "break_eps"),
    *("break_metric", "shape_precedence"),
}
#: Parsers of what the networks and their losses read: {our product: the option that names its tree}, and all options.
_PARSERS: Mapping[str, tuple[Mapping[str, str], set[str]]] = {
    "sparse3d": (
        {"": "sparse_event"},
        {"parser", "sparse_event", "sparse_event_list", "num_features", "feature_only", "lexsort"},
    ),
    "cluster3d": (
        {
            "clusters": "cluster_event",
            "particles": "particle_event",
            "semantics": "sparse_semantics_event",
            "charge": "sparse_value_event",
        },
        _CLUSTER_OPTIONS,
    ),
    "particle_points": (
        {"particles": "particle_event"},
        {"parser", "particle_event", "sparse_event", "cluster_event", "include_point_tagging"},
    ),
    "particle_coords": (
        {"particles": "particle_event"},
        {"parser", "particle_event", "sparse_event", "cluster_event"},
    ),
    "particle_graph": (
        {"particles": "particle_event"},
        {"parser", "particle_event", "cluster_event", "include_fragment_edges"},
    ),
}
#: What else the arguments of the networks may be: nothing that an event store does not have anyway.
_WITHOUT_PRODUCT = ("meta", "meta3d", "run_info", "particle", "neutrino")
#: The arguments of the networks and losses that are images of one value a voxel, and the product of each.
_IMAGES = {"data": "charge", "seg_label": "semantics"}
_FIXED: Mapping[str, tuple[Any, str]] = {
    "label_le": (False, "low-energy scatters are no primaries"),
    "break_eps": (1.1, "pieces are detached that do not touch"),
    "break_metric": ("chebyshev", "pieces are detached that do not touch"),
}


def schema(value: Mapping[str, Any], source: Source) -> Several:
    """The products that the networks and their losses read, by the trees that the parsers name."""
    read: dict[str, str] = {}
    for block in ("model.network_input", "model.loss_input"):
        for argument, entry in source.get(block, default={}).items():
            if entry not in value:
                where = f"{block}.{argument} is '{entry}'"
                raise Unfit(f"{where}, which the schema does not have; it has: {', '.join(value)}")
            read.setdefault(entry, argument)
    products: dict[str, str] = {}
    notes = []
    for entry, argument in read.items():
        for product, tree in _trees(entry, value[entry], argument, name_of(source) != "grappa").items():
            other = products.setdefault(product, tree)
            if other != tree:
                notes.append(f"{product} of {entry} are there of {tree}")
    if "charge" not in products and "clusters" in products:
        products["charge"] = products["clusters"].replace("cluster3d", "sparse3d", 1)
        notes.append(f"charge: the file says only {products['clusters']}")
    unread = [name for name in value if name not in read]
    if unread:
        of = "the U-ResNet or its loss" if name_of(source) == "uresnet" else "the networks or their losses"
        notes.append(f"not read by {of}: {', '.join(unread)}")
    return Several({"dataset:products": Noted(charge_and_labels(products), "; ".join(notes))})


def _trees(entry: str, block: Mapping[str, Any], argument: str, image: bool) -> dict[str, str]:
    """The trees of one product of theirs, by ours; image: whether the networks see voxels, not clusters."""
    parser = str(block.get("parser"))
    if parser in _WITHOUT_PRODUCT:
        return {}
    if argument in _IMAGES and parser != "sparse3d" and (parser != "cluster3d" or image):
        raise Unfit(f"{entry}.parser: {_IMAGES[argument]} come from sparse3d; nearest that works: sparse3d")
    if parser not in _PARSERS:
        raise Unfit(f"{entry}.parser: '{parser}' makes nothing here; nearest that work: {', '.join(_PARSERS)}")
    options, known = _PARSERS[parser]
    only(block, known, entry)
    block = {**block, **block["particle_info"]} if isinstance(block.get("particle_info"), Mapping) else dict(block)
    for key, (standard, reason) in _FIXED.items():
        if block.get(key, standard) != standard:
            raise Unfit(f"{entry}.{key}: {reason}; nearest that works: {standard}")
    found: dict[str, str] = {}
    for product, key in options.items():
        trees = block.get(f"{key}_list") or ([block[key]] if block.get(key) else [])
        product = product or _IMAGES.get(argument, "")
        if not product or (not trees and key != "sparse_event"):
            continue
        if len(trees) != 1:
            given = f"{len(trees)} are given"
            raise Unfit(f"{entry}: one {key} is read, {given}; nearest that works: {trees[0] if trees else 'one'}")
        found[product] = trees[0]
    return found
