"""SPINE's tables of particles and interactions, and its post-processors."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.bench.spine_chain.side import Found, Side, require_close
from weft.io.products import TRACK


class Reconstruction(Side):
    """Fragments, particles and interactions as objects, and the post-processors that measure what ours measure."""

    def prepare(self) -> None:
        from spine.construct import BuildManager
        from spine.data import ImageMeta3D, TensorBatch
        from spine.io.unwrap import Unwrapper
        from spine.post.manager import PostManager

        settings = self.model
        self.unwrap = Unwrapper()
        self.build = BuildManager(True, True, True, mode="reco", units="cm")
        reco = {"run_mode": "reco"}
        calo, local, rules = settings.calorimetry, settings.local, settings.vertex
        cfg: dict[str, Any] = {
            "shape_logic": {},
            "track_extrema": {"method": "local", "local_radius": local.orientation_radius},
            "direction": {"radius": settings.directions.radius, "optimize": settings.directions.optimize, **reco},
            "calo_ke": {"scaling": calo.scale, "shower_fudge": calo.shower_fudge, **reco},
            "csda_ke": {"fill_per_pid": True, "segment_length": settings.tracking.segment, **reco},
            "mcs_ke": {"fill_per_pid": True, "segment_length": settings.scattering.segment, **reco},
            "pid_template": {"fill_per_pid": True, **reco},
            "vertex": {
                "anchor_vertex": rules.anchor,
                "touching_threshold": rules.touching,
                "angle_threshold": rules.angle,
                "confluence_selection": "pointing" if rules.pointing else None,
                "update_orientations": rules.orient_tracks,
                **reco,
            },
            "local_dedx": {"radius": local.dedx_radius},
            "start_straightness": {"radius": local.straightness_radius},
            "particle_spread": {},
            "containment": {"margin": settings.containment.margin, "mode": "meta", **reco},
            "fiducial": {"margin": settings.containment.fiducial, "mode": "meta", **reco},
            "topology_threshold": {"ke_thresholds": 25, **reco},
        }
        self.post = PostManager({"stages": [{"name": name, **given} for name, given in cfg.items()]})
        self.meta = []
        for box in (event["meta"][0] for event in self.events):
            low, size, count = (np.array([box[f"{n}{a}"] for a in "xyz"]) for n in ("min_", "size_", "n"))
            self.meta.append(ImageMeta3D(lower=low, upper=low + size * count, size=size, count=count))
        self.given = self._given(TensorBatch)

    def _given(self, batch: Any) -> dict[str, Any]:
        """What the model of SPINE's chain would hand over: our products in its types."""
        boxes = [event["meta"][0] for event in self.events]

        def ends(table: str, point: str) -> Any:
            values = [
                np.stack([(t[f"{point}_{a}"] - box[f"min_{a}"]) / box[f"size_{a}"] - 0.5 for a in "xyz"], 1)
                for t, box in zip(self.read(table), boxes, strict=True)
            ]
            counts = [len(v) for v in values]
            return batch(np.concatenate(values).astype(np.float32), counts, coord_cols=np.arange(3))

        def logits(values: list[np.ndarray]) -> Any:
            return batch(np.log(np.concatenate(values) + 1e-9).astype(np.float32), [len(v) for v in values])

        def two(values: np.ndarray) -> np.ndarray:
            score = np.nan_to_num(values[:, 0])
            return np.stack([1 - score, score], 1)

        owner = []
        for fragments in self.read("candidate_fragments"):
            label = np.zeros(len(fragments.values), np.int64)
            label[fragments.values] = np.repeat(np.arange(len(fragments)), fragments.counts)
            owner.append(label)
        given = {
            "data": self.voxels(),
            "fragment_clusts": self.clusters(self.read("fragment_voxels")),
            "fragment_shapes": self.per_event([t["shape"].astype(np.int64) for t in self.read("fragments")]),
            "fragment_start_points": ends("fragments", "start"),
            "fragment_end_points": ends("fragments", "end"),
            "fragment_group_pred": self.per_event(owner),
            "particle_clusts": self.clusters(self.read("candidate_voxels")),
            "particle_shapes": self.per_event([t["shape"].astype(np.int64) for t in self.read("candidates")]),
            "particle_start_points": ends("candidates", "start"),
            "particle_end_points": ends("candidates", "end"),
            "particle_group_pred": self.per_event([g[:, 0].astype(np.int64) for g in self.read("interaction_groups")]),
            "particle_node_type_pred": logits(self.read("interaction_pid")),
            "particle_node_primary_pred": logits([two(p) for p in self.read("interaction_primary")]),
        }
        return given | {"index": list(range(len(self.events))), "meta": self.meta}

    def __call__(self) -> Found:
        data: Found = self.unwrap(dict(self.given))
        self.build(data)
        self.post(data)
        return data

    def agreement(self) -> str:
        ours = np.concatenate(self.own("reco_particles"))
        theirs = [particle for event in self.found["reco_particles"] for particle in event]
        said = [require_close("calo_ke", ours["calo_ke"] / ours["calo_ke"].max(),
                              np.array([p.calo_ke for p in theirs]) / ours["calo_ke"].max())]  # fmt: skip
        track = ours["shape"] == TRACK
        length = np.array([p.length for p in theirs])
        near = np.isclose(ours["length"][track], length[track], rtol=0.05, atol=0.5).mean()
        interactions = np.concatenate(self.own("reco_interactions"))
        vertex = np.array([i.vertex for event in self.found["reco_interactions"] for i in event])
        apart = np.linalg.norm(np.stack([interactions[f"vertex_{a}"] for a in "xyz"], 1) - vertex, axis=1)
        same = (apart < 1).mean()
        return f"{said[0]}; lengths of {near:.0%} of tracks within 5 %, {same:.0%} of vertices within 1 cm"
