"""The network of LArMatch: features of the pixels of all planes at once, gathered to triplets, which heads judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from weft.detector.wires import PLANES
from weft.io.wire_products import GOOD_TRIPLET
from weft.sparse.layers import PerVoxel, SubmanifoldConv
from weft.sparse.norm import VoxelBatchNorm
from weft.sparse.tensor import SparseTensor
from weft.sparse.uresnet import ResidualBlock, UResNet
from weft.tasks.larmatch.batch import TripletBatch
from weft.tasks.larmatch.gather import extract_features
from weft.tasks.larmatch.heads import TripletHeads
from weft.tasks.larmatch.options import ModelOptions

Answers = dict[str, Tensor | dict[str, Tensor]]
"""by head, see :class:`weft.tasks.larmatch.heads.TripletHeads`; and `log_variance` {term: scalar}, `prior_shift`"""
DIMS = 2


def measured(options: ModelOptions) -> int:
    """How many of a batch's features the network sees: charge and dead flag, and with `multiplicity` two counts."""
    return 4 if options.multiplicity else 2


class PlaneFeatures(nn.Module):
    """Features of pixels from their surroundings in their plane: stem, U-Net, residual blocks, a 1×1 layer (spec §4.1).

    The weights are the same for all planes; a learned embedding tells them apart. Planes of all events are images of
    one sparse batch.
    """

    def __init__(self, options: ModelOptions) -> None:
        super().__init__()
        self.engine, self.measured = options.engine, measured(options)
        style = _style(options)
        self.plane = nn.Embedding(PLANES, options.plane_embedding) if options.plane_embedding else None
        width, first = options.stem_width, options.widths[0]
        stem: list[nn.Module] = [SubmanifoldConv(self.measured + options.plane_embedding, width, 3, DIMS)]
        if options.stem_blocks:
            stem += [ResidualBlock(width, width, style, DIMS) for _ in range(options.stem_blocks)]
        else:
            stem += [style(width), SubmanifoldConv(width, width, 3, DIMS)]
        self.stem = nn.Sequential(*stem, style(width))
        # Its own first convolution is the third of the stem.
        self.unet = UResNet(
            width, reps=options.blocks, input_kernel=options.input_kernel, style=style, dims=DIMS, widths=options.widths
        )
        self.blocks = nn.Sequential(*(ResidualBlock(first, first, style, DIMS) for _ in range(options.final_blocks)))
        self.features = nn.Sequential(style(first), PerVoxel(nn.Linear(first, options.features)))

    def forward(self, batch: TripletBatch) -> Tensor:
        """float32 [P, features], in the order of the batch's pixels."""
        seen = batch.features[:, : self.measured]
        if self.plane is not None:
            seen = torch.cat([seen, self.plane(batch.plane).to(seen.dtype)], dim=1)
        pixels = SparseTensor.from_points(batch.coords, seen, batch.images, engine=self.engine)
        return self.features(self.blocks(self.unet(self.stem(pixels)).final)).at_points()

    def levels(self) -> list[list[nn.Module]]:
        """The modules in the order of the forward pass."""
        first: list[nn.Module] = [self.stem] if self.plane is None else [self.plane, self.stem]
        return [first, *self.unet.levels(), [self.blocks, self.features]]


class LarmatchNetwork(nn.Module):
    """Answers about the triplets of a batch, see :class:`weft.tasks.larmatch.heads.TripletHeads`.

    Args:
        classes: number of semantic classes.
        log_variances: terms of the loss whose weight is learned, and where that begins: `log_variance` {term: scalar}
            is among the answers.
    """

    def __init__(
        self, options: ModelOptions, classes: int, log_variances: Mapping[str, float] = MappingProxyType({})
    ) -> None:
        super().__init__()
        self.prior_shift = 0.0
        """what a deploy adds to the logit of larmatch (:mod:`weft.tasks.larmatch.prior`); answers are without it"""
        self.added = measured(options) if options.charges else 0
        self.forward_features = PlaneFeatures(options)
        channels = PLANES * (options.features + self.added)
        self.classify_triplets = TripletHeads(channels, options.heads, classes, options.leak)
        self.log_variance = nn.ParameterDict(
            {term: nn.Parameter(torch.tensor(float(value))) for term, value in log_variances.items()}
        )

    def pixels(self, batch: TripletBatch) -> Tensor:
        """[P, F]: what triplets are judged by, of every pixel of whole images."""
        features = self.forward_features(batch)
        seen = batch.features[:, : self.added].to(features.dtype)
        return torch.cat([features, seen], dim=1) if self.added else features

    def forward(self, batch: TripletBatch) -> Answers:
        """Answers about all triplets. In training only the larmatch head is asked about those that are not good, of
        which nothing else is taught: the answers of other heads are 0 there."""
        asked = batch.targets["good"] == GOOD_TRIPLET if self.training and "good" in batch.targets else None
        return self.with_scalars(self.answers(self.pixels(batch), batch.triplets, asked))

    def with_scalars(self, answers: dict[str, Tensor]) -> Answers:
        """The answers, and beside them what is of no triplet: `log_variance` where there are any, and `prior_shift`."""
        found: Answers = {**answers}
        if self.log_variance:
            found["log_variance"] = dict(self.log_variance.items())
        if self.prior_shift:
            found["prior_shift"] = torch.tensor(self.prior_shift)
        return found

    def answers(self, pixels: Tensor, triplets: Tensor, asked: Tensor | None = None) -> dict[str, Tensor]:
        """Answers by head about `triplets` int64 [T, 3], rows of `pixels` [P, F].

        asked: bool [T], triplets about which other heads than larmatch are asked; the answer is 0 elsewhere. None: all.
        """
        heads, features = self.classify_triplets, extract_features(pixels, triplets)
        if asked is None:
            return heads(features)
        return self.with_others(heads(features, ["larmatch"]), features, asked)

    def with_others(self, answers: dict[str, Tensor], features: Tensor, asked: Tensor) -> dict[str, Tensor]:
        """`answers` of the larmatch head on features [T, F] of triplets, and beside it what the other heads say of
        those that are `asked` about, bool [T]; 0 elsewhere."""
        heads, rows = self.classify_triplets, asked.nonzero()[:, 0]
        for name, part in heads(features[rows], [name for name in heads.names if name != "larmatch"]).items():
            answers[name] = part.new_zeros(len(features), *part.shape[1:]).index_copy(0, rows, part)
        return answers


def _style(options: ModelOptions) -> Callable[[int], nn.Module]:
    """What normalises and activates the layers of the trunk."""

    def style(channels: int) -> nn.Module:
        norm: nn.Module = (
            VoxelBatchNorm(channels, options.norm_eps, options.norm_momentum)
            if options.norm == "batch"
            else PerVoxel(nn.LayerNorm(channels, options.norm_eps))
        )
        # In place: nobody else reads the normalised features. torch cannot undo a slope that is not positive.
        return nn.Sequential(norm, PerVoxel(nn.LeakyReLU(options.leak, inplace=options.leak > 0)))

    return style
