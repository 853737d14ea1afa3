"""What SPINE does after its networks, ``build`` and ``post``: the stage reconstruction."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from weft.config.dialects.rules import Checked, Drops, Maps, Only, Refuses, Rule, Source, Unfit, choice
from weft.config.dialects.spine_fragments import made_points
from weft.config.dialects.stages import Defaults
from weft.io.reco_products import PIDS

_TRACKS = [2, 3, 4, 5]
_ALIASES = {
    "calo_ke": "reconstruct_calo_energy",
    "calibration": "apply_calibrations",
    "calorimetric_direction": ("reconstruct_calorimetric_direction", "reconstruct_calo_direction"),
    "cathode_crosser": "find_cathode_crossers",
    "children_count": "count_children",
    "containment": ("time_containment", "check_containment", "check_time_containment"),
    "crt_match": "run_crt_matching",
    "csda_ke": "reconstruct_csda_energy",
    "direction": "reconstruct_directions",
    "fiducial": "check_fiducial",
    "flash_match": "run_flash_matching",
    "local_dedx": ("start_dedx", "end_dedx"),
    "mcs_ke": "reconstruct_mcs_energy",
    "neutrino_logic": "enforce_neutrino_topology",
    "particle_threshold": "adjust_particle_properties",
    "ppn": "get_ppn_candidates",
    "shape_logic": "enforce_particle_semantics",
    "topology_threshold": "adjust_interaction_topology",
    "track_extrema": "assign_track_extrema",
    "trigger": "parse_trigger",
    "vertex": "reconstruct_vertex",
}


def canonical(name: str) -> str:
    """The name of a post-processor, of one that it also has."""
    for known, others in _ALIASES.items():
        if name in ((others,) if isinstance(others, str) else others):
            return known
    return name


def reconstruction_defaults(source: Source) -> Defaults:
    """What the reconstruction does where the file does not say: SPINE's defaults, and what is left out there, off."""
    post: Mapping[str, Any] = source.get("post", default={})

    def absent(name: str) -> str:
        return f"there is no post.{name}"

    found: dict[str, tuple[Any, str]] = {
        "model.scattering.enabled": ("mcs_ke" in post, "as there is post.mcs_ke or not"),
        "model.template.enabled": ("pid_template" in post, "as there is post.pid_template or not"),
        "model.types.shape_logic": ("shape_logic" in post, "as there is post.shape_logic or not"),
        "model.calorimetry.shower_fudge": (1.0, "SPINE's default"),
    }
    if "topology_threshold" not in post:
        found["model.topology.thresholds"] = ({}, absent("topology_threshold"))
    return found


def _number(value: float | str, source: Source) -> float:
    """A number, or an expression like 1/0.83."""
    if not isinstance(value, str):
        return value
    above, slash, below = value.partition("/")
    try:
        return float(Fraction(above.strip()) / Fraction(below.strip() if slash else "1"))
    except ValueError:
        raise Unfit("a number or one number over another; nearest that works: 1.0") from None


def _method(value: str, source: Source) -> str:
    if value not in ("step_next", "bin_pca"):
        raise Unfit("tracks are cut by step_next or bin_pca; nearest that works: step_next")
    return value


def _margin(value: Any, source: Source) -> float:
    if not isinstance(value, int | float):
        raise Unfit("one margin for all walls; nearest that works: the largest of them")
    return value


def _by_type(value: Any, source: Source) -> dict[str, float]:
    """Thresholds by number of the type, or for all that are not named."""
    given = value if isinstance(value, Mapping) else {"default": value}
    rest = given.get("default")
    found = {name: given.get(pid, given.get(str(pid), rest)) for pid, name in PIDS.items()}
    return {name: threshold for name, threshold in found.items() if threshold is not None}


def _thresholds(value: Mapping[int, float], source: Source) -> dict[str, float]:
    """Those of showers and of tracks, in their orders: the classes of a type never mix."""
    both = [source.beside(key, default={}) for key in ("shower_pid_thresholds", "track_pid_thresholds")]
    return {PIDS[int(pid)]: threshold for given in both for pid, threshold in given.items()}


def _both(value: bool, source: Source) -> bool:
    other = {source.beside(key, default=True) for key in ("enforce_pid", "enforce_primary")}
    if len(other) > 1:
        raise Unfit("types and primaries fit their class or neither does; nearest that works: both true")
    return value


def _pointing(value: str, source: Source) -> bool:
    if value != "pointing":
        raise Unfit("no such choice of a confluence; nearest that works: pointing")
    return True


def _extrema(value: str, source: Source) -> str:
    known = {"local": "dedx", "ppn": "points"}
    if value not in known:
        raise Unfit(f"tracks are turned by {', '.join(known)}; nearest that works: local")
    return known[value]


def _assigned(value: bool, source: Source) -> str:
    return "ppn" if value else "none"


def _units(value: str, source: Source) -> None:
    if value != "cm":
        raise Unfit("positions of products are in cm; nearest that works: cm")


def _unless(allowed: list[int], reason: str) -> Checked:
    """Only these, in whatever order."""

    def compare(value: Any, source: Source) -> None:
        if sorted(value) != sorted(allowed):
            raise Unfit(f"{reason}; nearest that works: {allowed}")

    return Checked(compare, reason)


_EVERY = "for every particle that it is defined of"
_ALIKE = "true objects are built by the same steps"
_SEGMENT = {
    "min_count": Only((10,), "slices of fewer voxels go along the axis of the track"),
    "anchor_point": Only((True,), "a track begins at one of its voxels"),
    "spline_smooth": Drops("read only with splines"),
}
_TRACK_TYPES = "read for muons, pions, protons and kaons"


def _steps() -> dict[str, dict[str, Rule]]:
    types = _unless(_TRACKS, _TRACK_TYPES)
    volume = {
        "cathode_margin": Refuses("the volume is that of the image; nearest that works: null"),
        "mode": Only(("meta",), "the volume is that of the image"),
    }
    shower = {"include_pids": Drops(_EVERY), "include_secondary": Drops(_EVERY)}
    return {
        "shape_logic": {
            "enforce_pid": Maps("reconstruction:model.types.shape_logic", _both),
            "enforce_primary": Maps("reconstruction:model.types.shape_logic", _both),
            "maximum_michel_ke": Refuses("a particle keeps its class; nearest that works: null"),
        },
        "particle_threshold": {
            "shower_pid_thresholds": Maps("reconstruction:model.types.thresholds", _thresholds, "by name, in order"),
            "track_pid_thresholds": Maps("reconstruction:model.types.thresholds", _thresholds, "by name, in order"),
            "primary_threshold": Maps("reconstruction:model.types.primary_threshold"),
        },
        "topology_threshold": {
            "ke_thresholds": Maps("reconstruction:model.topology.thresholds", _by_type, "MeV, by name"),
            "reco_ke_mode": Only(("ke",), "the best kinetic energy decides"),
            "truth_ke_mode": Drops(_ALIKE),
        },
        "direction": {
            "radius": Maps("reconstruction:model.directions.radius", says="cm"),
            "optimize": Maps("reconstruction:model.directions.optimize"),
        },
        "calo_ke": {
            "scaling": Maps("reconstruction:model.calorimetry.scale", _number),
            "shower_fudge": Maps("reconstruction:model.calorimetry.shower_fudge", _number),
        },
        "csda_ke": {
            "tracking_mode": Maps("reconstruction:model.tracking.method", _method),
            "segment_length": Maps("reconstruction:model.tracking.segment", says="cm"),
            "include_pids": types,
            "fill_per_pid": Drops("filled for every type"),
            **_SEGMENT,
        },
        "mcs_ke": {
            "tracking_mode": Maps("reconstruction:model.scattering.method", _method),
            "segment_length": Maps("reconstruction:model.scattering.segment", says="cm"),
            "res_a": Maps("reconstruction:model.scattering.resolution"),
            "res_b": Maps("reconstruction:model.scattering.resolution_power"),
            "res_mixture": Only((False,), "angles have one resolution"),
            "res_weight_ratio": Drops("read only with res_mixture"),
            "res_scale_ratio": Drops("read only with res_mixture"),
            "lower_bound": Maps("reconstruction:model.scattering.low", says="MeV"),
            "upper_bound": Maps("reconstruction:model.scattering.high", says="MeV"),
            "return_invalid": Only((False,), "what cannot be fitted is NaN"),
            "include_pids": types,
            "fill_per_pid": Drops("filled for every type"),
            "only_uncontained": Only((False,), "fitted for every track"),
            "angle_method": Only(("atan2",), "angles are exact when small"),
            **_SEGMENT,
        },
        "containment": {
            "margin": Maps("reconstruction:model.containment.margin", _margin, "cm"),
            **volume,
            "allow_multi_module": Drops("the volume is that of the image"),
            "logical": Only((False,), "the volume is that of the image"),
            "exclude_pids": Refuses("all particles of an interaction count; nearest that works: null"),
            "min_particle_sizes": Only((0,), "all particles of an interaction count"),
        },
        "fiducial": {
            "margin": Maps("reconstruction:model.containment.fiducial", _margin, "cm"),
            **volume,
            "truth_vertex_mode": Drops(_ALIKE),
        },
        "vertex": {
            "include_shapes": _unless([0, 1], "showers and tracks tell it"),
            "use_primaries": Only((True,), "primaries say where it is, if there are any"),
            "update_orientations": Maps("reconstruction:model.vertex.orient_tracks"),
            "update_primaries": Only((False,), "primaries are those of the network"),
            "anchor_vertex": Maps("reconstruction:model.vertex.anchor"),
            "touching_threshold": Maps("reconstruction:model.vertex.touching", says="cm"),
            "angle_threshold": Maps("reconstruction:model.vertex.angle", says="rad"),
            "confluence_selection": Maps("reconstruction:model.vertex.pointing", _pointing),
        },
        "ppn": {
            "assign_to_particles": Maps("reconstruction:model.sources.points", _assigned, "true is ppn, false none"),
            "restrict_shape": Maps("reconstruction:model.points.same_class"),
            "match_threshold": Maps("reconstruction:model.points.within", says="cm"),
            **made_points(),
        },
        "track_extrema": {
            "method": Maps("reconstruction:model.sources.orientation", _extrema, "local is dedx, ppn points"),
            "local_radius": Maps("reconstruction:model.local.orientation_radius", says="cm"),
            "anchor_points": Only((True,), "the ends of a track are voxels of it"),
            **{f"segment_{key}": Drops("read only with gradient") for key in ("method", "length", "min_count")},
        },
        "local_dedx": {
            "radius": Maps("reconstruction:model.local.dedx_radius", says="cm"),
            "anchor": Drops("the ends of a particle are voxels of it"),
            "mode": Drops("energy in a ball over its extent; direction looks at what lies ahead alone"),
            **shower,
        },
        "start_straightness": {
            "radius": Maps("reconstruction:model.local.straightness_radius", says="cm"),
            "n_components": Only((3,), "a share of all three variances"),
            **shower,
        },
        "particle_spread": {
            "start_mode": Drops("seen from the start of the particle"),
            "length_scale": Only((14.0,), "the radiation length of argon"),
            "use_start_dir": Drops("along the direction at the start"),
            **shower,
        },
        "pid_template": {
            "fill_per_pid": Drops("filled for every type"),
            "use_table": Only((True,), "expected energy losses are tabulated"),
            "use_mpv": Only((False,), "expected energy losses are means"),
            "include_pids": types,
            "optimize_rr": Only((False,), "a track stops at its end"),
            "max_rr": Drops("read only with optimize_rr"),
            "optimize_orient": Maps("reconstruction:model.template.both_ways"),
            "tracking_mode": Only(("step_next",), "a track is cut by step_next"),
            "segment_length": Maps("reconstruction:model.template.segment", says="cm"),
            "min_count": Maps("reconstruction:model.template.fewest"),
            "anchor_point": Only((True,), "a track begins at one of its voxels"),
        },
    }


#: Post-processors that only add what there is not here, and those that change what others have made.
_MATCHED = "weft evaluate compares with the truth"
_ADDS = {
    "match": _MATCHED,
    "children_count": "particles do not count their children",
    "source": "there are no modules of a detector",
    "flash_match": "there is no light",
    "crt_match": "there are no counters around the detector",
    "trigger": "there is no trigger",
    "calorimetric_direction": "directions are geometric",
    "shower_parametric_energy": "energies of showers are sums of deposits",
    "shower_conversion_distance": "follows from start and vertex",
    "template": "an example that does nothing",
}
_CHANGES = {
    "calibration": "charge is taken as it is",
    "cathode_crosser": "there is one drift volume",
    "neutrino_logic": "types are those of the particles alone",
    "shower_start_merge": "particles are those of GrapPA",
    "shower_start_correction": "starts are those of the points",
    "track_cluster": "particles are those of GrapPA",
}
_COMMON = ("run_mode", "truth_point_mode", "truth_dep_mode", "pid_mode", "obj_type", "parent_path", "priority")

POST: Mapping[str, Rule] = {
    **{f"post.{step}.{key}": rule for step, rules in _steps().items() for key, rule in rules.items()},
    **{f"post.{step}": Drops(reason) for step, reason in _ADDS.items()},
    **{f"post.{step}": Refuses(f"{reason}; nearest that works: null") for step, reason in _CHANGES.items()},
    **{f"post.{choice(*_steps())}.{key}": Drops(_ALIKE if "truth" in key else _EVERY) for key in _COMMON[:6]},
    f"post.{choice(*_steps())}.priority": Drops("the steps have one order"),
}

BUILD: Mapping[str, Rule] = {
    "build.mode": Drops(_ALIKE),
    "build.units": Checked(_units, "only cm: positions of products are in cm"),
    **{f"build.{key}": Drops("all are built, in one stage") for key in ("fragments", "particles", "interactions")},
    "build.sources": Drops("stages name what they read by needs"),
    "build.lite": Drops("tables and lists of voxels are products of their own"),
}
