"""SPINE's U-ResNet and PPN."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from weft.bench.spine_chain.side import Found, Side, as_spine, require_close, values_batch
from weft.bench.spine_setup import give_weights, unet_config
from weft.engine.task import Batch

CLASSES_OF_VOXELS = 5


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
