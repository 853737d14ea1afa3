"""The stages of the chain in SPINE: each is fed what ours was fed, with the same weights, and compared with what ours
made.

Nothing of SPINE is changed. What ours has from elsewhere, and SPINE makes in a stage, it makes in its time too, and
then takes ours: the ends of clusters before GrapPA, and the classes of voxels where points are held against them. So
both sides do the whole work, and yet what they answer can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from weft.bench.spine_setup import give_weights, graph_spice_config, grappa_config, unet_config
from weft.bench.stages import Run, Step
from weft.engine.stream import EventBatches
from weft.engine.task import Batch
from weft.errors import WeftError
from weft.io.products import CLASSES, TRACK, Ragged

CLASSES_OF_VOXELS = 5
FEATURE_TOLERANCE = 1e-3
_NO_ROWS = np.empty(0, np.int32)
Found = dict[str, Any]
"""what a stage of SPINE gives, by its own names"""


class Side:
    """A stage of SPINE: made once, run any number of times."""

    def __init__(self, step: Step, run: Run, steps: Mapping[str, Step]) -> None:
        self.step, self.run, self.steps = step, run, steps
        self.events = [run.view(step)[k] for k in range(len(run))]
        self.counts = np.array([len(event["truth/voxels"]) for event in self.events])
        self.offsets = np.concatenate([[0], np.cumsum(self.counts)])
        self.found: Found = {}
        self.prepare()

    @property
    def model(self) -> Any:
        """Options of our network."""
        return self.step.task.options.model

    def prepare(self) -> None:
        """Network with our weights, and the inputs in SPINE's types; not part of the time."""
        raise NotImplementedError

    def make(self) -> Any:
        """SPINE's network with our weights."""
        raise NotImplementedError

    def __call__(self) -> Found:
        """What is timed."""
        raise NotImplementedError

    def agreement(self) -> str:
        """How what it found compares with our products; raises WeftError where they should be equal and are not."""
        raise NotImplementedError

    def loss(self, network: Any, batch: Batch) -> Tensor:
        """One number to learn from, of a copy of the network in training; batch: ours, with targets."""
        raise NotImplementedError

    # --- for the stages -----------------------------------------------------------------------------------

    def own(self, product: str) -> list[Any]:
        """What our stage has made, event by event."""
        return [made[product] for made in self.run.stretch.made[self.step.name]]

    def read(self, product: str) -> list[Any]:
        """What our stage was fed."""
        return [event[product] for event in self.events]

    def batch(self) -> Batch:
        """All events as our network reads them."""
        return EventBatches(self.step.task, self.run.view(self.step), len(self.run), labels=False)[0]

    def voxels(self) -> Any:
        """The event's voxels with their charge in MeV, as a batch of SPINE's."""
        rows = [
            np.column_stack([np.full(len(coords), k), coords, charge])
            for k, (coords, charge) in enumerate(zip(self.read("voxels"), self.read("charge"), strict=True))
        ]
        return tensor_batch(torch.from_numpy(np.concatenate(rows).astype(np.float32)), self.counts)

    def clusters(self, items: list[Ragged]) -> Any:
        """Lists of voxel rows as SPINE's, over all events."""
        from spine.data import IndexBatch

        flat = [part[k].astype(np.int64) + first for part, first in zip(items, self.offsets, strict=False)
                for k in range(len(part))]  # fmt: skip
        sizes = np.array([len(rows) for rows in flat], np.int64)
        return IndexBatch(flat, self.counts, [len(part) for part in items], sizes, default=np.empty(0, np.int64))

    def per_event(self, values: list[np.ndarray]) -> Any:
        """Arrays of the events as one batch of SPINE's."""
        from spine.data import TensorBatch

        return TensorBatch(np.concatenate(values), [len(part) for part in values])


def tensor_batch(rows: Tensor, counts: Any) -> Any:
    """[N, 4 + F] (batch, x, y, z, features) in SPINE's type."""
    from spine.data import TensorBatch

    return TensorBatch(rows, counts=np.asarray(counts), has_batch_col=True, coord_cols=np.array([1, 2, 3]))


def as_spine(batch: Batch) -> Any:
    """Coordinates and features of a batch of ours."""
    return tensor_batch(torch.cat([batch.coords.float(), batch.features], 1), batch.offsets.diff().numpy())


def require_close(name: str, ours: np.ndarray, theirs: np.ndarray, tolerance: float = 2e-3) -> str:
    """Largest difference of two arrays of scores; raises WeftError above the tolerance."""
    if ours.shape != theirs.shape:
        raise WeftError(f"{name}: ours has the shape {ours.shape}, SPINE's {theirs.shape}")
    both = np.isfinite(ours) & np.isfinite(theirs)
    largest = float(np.abs(ours - theirs)[both].max(initial=0.0))
    if largest > tolerance:
        raise WeftError(f"{name}: ours and SPINE's differ by up to {largest:.2g}, expected at most {tolerance}")
    return f"{name} to {largest:.0e}" if largest else f"{name} equal"


class Segmentation(Side):
    """U-ResNet with its head; classes and their probabilities."""

    def make(self) -> Any:
        from spine.model.uresnet.model import UResNetSegmentation

        network = UResNetSegmentation({**unet_config(self.model, 1), "num_classes": CLASSES_OF_VOXELS})
        give_weights(self.step.task, self.step.network, network)  # type: ignore[arg-type]
        return network

    def prepare(self) -> None:
        self.network = self.make().eval()
        self.data = as_spine(self.batch())

    def __call__(self) -> Found:
        logits = self.network(self.data)["segmentation"].torch_tensor()
        return {"scores": logits.softmax(1), "classes": logits.argmax(1)}

    def loss(self, network: Any, batch: Batch) -> Tensor:
        logits = network(self.data)["segmentation"].torch_tensor()
        return cross_entropy(logits, batch.targets["semantics"].long(), ignore_index=-1)

    def agreement(self) -> str:
        return require_close("scores", np.concatenate(self.own("semantic_scores")), self.found["scores"].numpy())


class Points(Side):
    """U-ResNet and PPN as one network, which is what SPINE has, and the points."""

    def make(self) -> Any:
        from spine.model.uresnet.ppn import UResNetPPN

        ppn = {
            "propagate_all": self.model.propagate_all,
            "use_binary_mask": self.model.use_binary_mask,
            "mask_score_threshold": self.model.mask_score_threshold,
            "classify_endpoints": self.model.ends,
        }
        network = UResNetPPN({**unet_config(self.model, 1), "num_classes": CLASSES_OF_VOXELS}, ppn)
        more: dict[str, Tensor] = {}
        if not self.model.semantic:  # SPINE's has the head that the segmentation has here
            segmentation = self.steps["uresnet"]
            layout = segmentation.task.foreign_layout()
            assert layout is not None
            assert segmentation.network is not None
            state = segmentation.network.state_dict()
            wanted = network.state_dict()
            more = {
                f"uresnet.{theirs}": state[ours].reshape(wanted[f"uresnet.{theirs}"].shape)
                for ours, theirs in layout.names.items()
                if not theirs.startswith("backbone.")
            }
        give_weights(self.step.task, self.step.network, network, more)  # type: ignore[arg-type]
        return network

    def prepare(self) -> None:
        from spine.utils.ppn import PPNPredictor

        self.network = self.make().eval()
        options = self.model.points
        self.predictor = PPNPredictor(
            score_threshold=options.score,
            type_score_threshold=options.class_score,
            type_dist_threshold=options.class_distance,
            pool_score_fn=options.pool,
            pool_dist=options.distance,
            enforce_type=options.enforce_class,
        )
        self.data = as_spine(self.batch())
        fed = torch.from_numpy(np.concatenate(self.read("semantics"))[:, 0].astype(np.int64))
        self.fed = values_batch(10.0 * torch.nn.functional.one_hot(fed.clamp(min=0), 5).float(), self.counts)

    def __call__(self) -> Found:
        found = self.network(self.data)
        found["segmentation"].torch_tensor().argmax(1)
        found["segmentation"] = self.fed
        return {**found, "points": self.predictor(**found)}

    def loss(self, network: Any, batch: Batch) -> Tensor:
        """Of the masks of all scales and of the points; the positive ones as ours has them."""
        if "trunk" in self.step.stage.freeze:
            network.uresnet.requires_grad_(False).eval()
        found = network(self.data)
        raw, positive = found["ppn_points"], batch.targets["nearest"] >= 0
        total = cross_entropy(raw.feature("point_logits").torch_tensor(), positive.long())
        total = total + cross_entropy(
            raw.feature("type_logits").torch_tensor()[positive],
            batch.targets["point_class"].long()[batch.targets["nearest"][positive]],
        )
        aim = batch.targets["points"][batch.targets["nearest"][positive]] - batch.targets["centres"][positive]
        total = total + (raw.feature("offsets").torch_tensor()[positive] - aim).norm(dim=1).mean()
        for layer in found["ppn_layers"][:-1]:
            scores = layer.torch_tensor()
            total = total + cross_entropy(scores, torch.zeros(len(scores), dtype=torch.long))
        return total

    def agreement(self) -> str:
        raw = self.found["ppn_points"]
        score = raw.feature("point_logits").torch_tensor().softmax(1)[:, 1].numpy()
        ours = np.concatenate(self.own("point_proposals"))
        kept = ours[:, 3] > 0
        said = [require_close("scores", ours[kept, 3], score[kept])]
        offset = raw.feature("offsets").torch_tensor().numpy()
        said.append(require_close("offsets", ours[:, :3], offset, 2e-3 * max(1.0, float(np.abs(offset).max()))))
        theirs = len(self.found["points"].torch_tensor())
        mine = sum(len(points) for points in self.own("points"))
        return f"{', '.join(said)}; {mine} points, SPINE {theirs}"


def values_batch(values: Tensor, counts: Any) -> Any:
    from spine.data import TensorBatch

    return TensorBatch(values, counts=np.asarray(counts))


class GraphSpice(Side):
    """Voxels of the classes that are divided, their graph, the network, components and orphans."""

    def make(self) -> Any:
        from spine.model.graph_spice.model import GraphSPICE

        network = GraphSPICE(graph_spice_config(self.model, list(self.model.classes)))
        give_weights(self.step.task, self.step.network, network)  # type: ignore[arg-type]
        return network

    def prepare(self) -> None:
        self.network = self.make().eval()
        batch = self.batch()
        self.rows = batch.targets["row"].numpy() + np.repeat(self.offsets[:-1], batch.offsets.diff().numpy())
        self.data = as_spine(batch)
        classes = batch.targets["semantics"].float()[:, None]
        self.classes = tensor_batch(torch.cat([batch.coords.float(), classes], 1), batch.offsets.diff().numpy())

    def __call__(self) -> Found:
        return self.network(self.data, self.classes)

    def loss(self, network: Any, batch: Batch) -> Tensor:
        from spine.model.common.losses import BinaryLogDiceCELoss

        network.make_clusters = False
        logits = network(self.data, self.classes)["edge_attr"].torch_tensor().flatten()
        fragments = batch.targets["fragments"]
        ends = batch.targets["edges"]
        cut = (fragments[ends[:, 0]] != fragments[ends[:, 1]]).float().repeat(2)[: len(logits)]
        found: Tensor = BinaryLogDiceCELoss(reduction="mean")(logits[: len(cut)], cut)
        return found

    def agreement(self) -> str:
        """Fragments that are the same set of voxels. Of edges that one direction keeps and the other cuts, SPINE
        follows those to voxels that it has not visited yet, so not all are."""
        theirs = {tuple(sorted(self.rows[np.asarray(rows)].tolist())) for rows in self.found["clusts"].index_list}
        ours = voxel_sets(self.own("fragment_voxels"), self.offsets)
        return f"{len(ours & theirs)} of {len(ours)} fragments the same (SPINE {len(theirs)})"


def voxel_sets(items: list[Ragged], offsets: np.ndarray) -> set[tuple[int, ...]]:
    """Clusters of all events as sets of rows."""
    return {
        tuple(sorted((part[k].astype(np.int64) + first).tolist()))
        for part, first in zip(items, offsets, strict=False)
        for k in range(len(part))
    }


class Fragments(Side):
    """DBSCAN of the classes that no network divides, put together with those that one does."""

    def prepare(self) -> None:
        from spine.model.common.dbscan import DBSCAN

        numbers = {name: number for number, name in CLASSES.items()}
        own = self.model.by_dbscan
        dbscan = self.model.dbscan
        if any(name in dbscan.split for name in own):
            raise WeftError("the benchmark compares fragments whose DBSCAN cuts nothing at points")
        self.shapes = [numbers[name] for name in own]
        rules = [dbscan.rule(name) for name in own]
        self.dbscan = DBSCAN(
            eps=[rule.eps for rule in rules],
            min_samples=[rule.min_samples for rule in rules],
            min_size=[rule.min_size for rule in rules],
            shapes=self.shapes,
            break_shapes=[],
        )
        self.data = self.voxels()
        self.classes = values_batch(torch.from_numpy(np.concatenate(self.read("semantics"))[:, 0]), self.counts)
        taken: list[Ragged] = []
        shapes: list[np.ndarray] = []
        for event in self.events:
            parts: list[np.ndarray] = []
            classes: list[int] = []
            for name, provider in self.model.providers.items():
                if provider in self.model.stages:
                    table, voxels = event[f"{provider}/fragments"], event[f"{provider}/fragment_voxels"]
                    rows = np.flatnonzero(table["shape"] == numbers[name])
                    parts += [voxels[i] for i in rows]
                    classes += [numbers[name]] * len(rows)
            taken.append(Ragged.of(parts, _NO_ROWS))
            shapes.append(np.array(classes, np.int64))
        self.taken = self.clusters(taken)
        self.taken_shapes = self.per_event(shapes)

    def __call__(self) -> Found:
        found, shapes = self.dbscan(self.data, self.classes)
        merged = found.merge(self.taken)
        return {"clusts": merged, "shapes": shapes.merge(self.taken_shapes)}

    def agreement(self) -> str:
        theirs = {tuple(sorted(rows.tolist())) for rows in self.found["clusts"].index_list}
        ours = voxel_sets(self.own("fragment_voxels"), self.offsets)
        if ours != theirs:
            raise WeftError(f"fragments: {len(ours & theirs)} of {len(ours)} are SPINE's, which has {len(theirs)}")
        return f"{len(ours)} fragments the same"


class Aggregation(Side):
    """GrapPA with all around it: ends of clusters by PPN, graph, features, network, groups, and what they make."""

    def make(self) -> Any:
        from spine.model.grappa.model import GrapPA

        network = GrapPA(grappa_config(self.model))
        give_weights(self.step.task, self.step.network, network)  # type: ignore[arg-type]
        return network

    def prepare(self) -> None:
        from spine.data import TensorBatch, TensorSchema
        from spine.model.full_chain.ops import AggregationOperations

        from weft.tasks.grappa.nodes import read_nodes

        self.network = self.make().eval()
        nodes = [read_nodes(event, self.model) for event in self.events]
        self.node_rows = [each["row"] for each in nodes]
        name = f"{self.model.nodes[:-1]}_voxels"
        items = [
            Ragged.of([voxels[i] for i in rows], _NO_ROWS)
            for voxels, rows in zip(self.read(name), self.node_rows, strict=True)
        ]
        self.data, self.nodes = self.voxels(), self.clusters(items)
        self.shapes = self.per_event([each["shape"] for each in nodes])
        samples = self.batch()  # start and end as our network sees them, tracks in the order that it fixes
        ends = np.concatenate(
            [
                np.concatenate([each.arrays["start"], each.arrays["end"]], 1)
                for each in (self.step.task.sample(event, (0, k), labels=False) for k, event in enumerate(self.events))
            ]
        )
        assert len(ends) == len(samples.nodes)  # type: ignore[attr-defined]
        schema = TensorSchema(coordinate_groups={"start": (0, 1, 2), "end": (3, 4, 5)})
        points = TensorBatch(
            torch.from_numpy(ends.astype(np.float32)), self.nodes.counts, coord_cols=np.arange(6), schema=schema
        )
        self.operations = AggregationOperations({})
        self.operations.point_predictor = _OurEnds(self.operations.point_predictor, points)
        self.ppn = _proposals(self.run, self.counts)

    def __call__(self) -> Found:
        fragments = self.model.nodes == "fragments"
        primary = fragments and "primary" in self.model.heads
        groups, shapes, primaries, _, found = self.operations.run_grappa(
            self.network,
            self.data,
            self.nodes,
            self.shapes,
            self.model.classes,
            primaries=self.nodes,
            ppn_points=self.ppn,
            aggregate_shapes=fragments,
            shape_use_primary=primary,
            point_use_primary=not fragments,
            retain_primaries=primary,
        )
        return {**found, "groups": groups, "group_shapes": shapes, "primaries": primaries}

    def loss(self, network: Any, batch: Batch) -> Tensor:
        network.make_groups = False
        given = self.operations.prepare_grappa_input(
            network, self.data, self.nodes, self.shapes, self.nodes, ppn_points=self.ppn
        )
        found = network(**given)
        targets = batch.targets
        total = cross_entropy(found["edge_pred"].torch_tensor(), targets["edge"], ignore_index=-1)
        for head, key in (("primary", "primary"), ("pid", "type"), ("orientation", "orient")):
            if head in self.model.heads:
                name = f"node_{key}_pred" if self.model.instance == "interaction" else "node_pred"
                total = total + cross_entropy(found[name].torch_tensor(), targets[head], ignore_index=-1)
        return total

    def agreement(self) -> str:
        """Features as SPINE finds them beside ours, and what its network and grouping make of ours."""
        from spine.data import EdgeIndexBatch, TensorBatch

        instance = self.model.instance
        batch: Any = self.batch()
        nodes, edges = batch.node_offsets.diff().tolist(), batch.edge_offsets.diff().tolist()
        given = self.operations.prepare_grappa_input(
            self.network, self.data, self.nodes, self.shapes, self.nodes, ppn_points=self.ppn
        )
        graph = self.network.materialize_graph(**given)
        if graph["edge_index"].index.shape != tuple(batch.edge_index.shape):
            raise WeftError(
                f"{instance}: {batch.edge_index.shape[1]} edges, SPINE has {graph['edge_index'].index.shape}"
            )
        theirs = np.sort(graph["edge_features"].torch_tensor().numpy(), axis=0)
        said = [require_close("edge features", np.sort(batch.edges.numpy(), axis=0), theirs)]
        apart = np.abs(batch.nodes.numpy() - graph["node_features"].torch_tensor().numpy())
        said.append(f"{(apart < FEATURE_TOLERANCE).mean():.1%} of node features equal")
        found = self.network(
            node_features=TensorBatch(batch.nodes, counts=nodes),
            edge_index=EdgeIndexBatch(batch.edge_index, counts=edges, spans=nodes, directed=False),
            edge_features=TensorBatch(batch.edges, counts=edges),
            shapes=self.shapes,
        )
        scores = found["edge_pred"].torch_tensor().softmax(1)[:, 1].numpy().reshape(-1, 2).mean(1)
        ours = np.concatenate([pairs["score"] for pairs in self.own(f"{instance}_edges")])
        said.append(require_close("edges", np.sort(ours), np.sort(scores)))
        for head, key in (("primary", "primary"), ("pid", "type")):
            if head in self.model.heads:
                name = f"node_{key}_pred" if instance == "interaction" else "node_pred"
                scores = found[name].torch_tensor().softmax(1).numpy()
                mine = self._of_nodes(f"{instance}_{head}")
                said.append(require_close(head, np.concatenate(mine), scores if head == "pid" else scores[:, 1:]))
        group = found["group_pred"].to_numpy()
        mine = self._of_nodes(f"{instance}_groups")
        same = [pairs_equal(mine[k][:, 0], np.asarray(group[k]).reshape(-1)) for k in range(len(mine))]
        return f"{', '.join(said)}; groups the same in {sum(same)} of {len(same)} events"

    def _of_nodes(self, product: str) -> list[np.ndarray]:
        """What ours said of the nodes of each event."""
        return [values[rows] for values, rows in zip(self.own(product), self.node_rows, strict=True)]


class _OurEnds:
    """SPINE's predictor of ends does its work; then ours are taken, so that features can be compared."""

    def __init__(self, predictor: Any, points: Any) -> None:
        self.predictor, self.points = predictor, points

    def __call__(self, *given: Any) -> Any:
        self.predictor(*given)
        return self.points


def _proposals(run: Run, counts: np.ndarray) -> Any:
    """Our raw point proposals as those of SPINE's network."""
    from spine.data import TensorBatch
    from spine.utils.ppn import ppn_raw_schema

    made = np.concatenate([products["point_proposals"] for products in run.stretch.made["points"]])
    score = np.clip(made[:, 3:4], 1e-6, 1 - 1e-6)
    rows = np.concatenate([made[:, :3], np.log(made[:, 4:9] + 1e-9), np.log(1 - score), np.log(score)], 1)
    return TensorBatch(torch.from_numpy(rows.astype(np.float32)), counts=counts, schema=ppn_raw_schema())


def pairs_equal(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two labellings are the same partition."""
    pairs = np.unique(np.stack([a, b], 1), axis=0)
    return len(pairs) == len(np.unique(a)) == len(np.unique(b))


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


SIDES: Mapping[str, type[Side]] = {
    "uresnet": Segmentation,
    "points": Points,
    "graph_spice": GraphSpice,
    "fragments": Fragments,
    "shower": Aggregation,
    "track": Aggregation,
    "interaction": Aggregation,
    "reconstruction": Reconstruction,
}
"""SPINE's counterpart of each stage; `candidates` are made by its aggregation"""
