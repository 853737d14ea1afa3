"""The loss of LArMatch (specs/larmatch.md §5.3): terms as sums and weights.

Weights are made event by event, so that an event weighs the same however many triplets it has and whatever else is in
the batch; batches, micro-batches and ranks then add up exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from weft.engine.task import Batch
from weft.tasks.larmatch.loss_options import TERMS, LossOptions

Term = tuple[Tensor, Tensor]


class LarmatchLoss:
    """Terms of the loss by name, those of the heads that the network has.

    heads: names out of :data:`weft.tasks.larmatch.loss_options.TERMS`.

    A batch is a :class:`weft.tasks.larmatch.batch.TripletBatch`: `triplet_offsets` int64 [B+1] and, for its T triplets,
    the targets `good` [T], `key_points` [T, 6], `semantic` [T], `boundary` [T], `affinity` [T, 3], `shift` [T, 6, 3] of
    :class:`weft.triplets.labels.TripletLabels`.
    """

    def __init__(self, options: LossOptions, heads: Sequence[str] = TERMS) -> None:
        self.options, self.heads = options, tuple(heads)

    def weights(self, batch: Batch) -> dict[str, Tensor]:
        """The weight of each term, from the targets alone."""
        raise NotImplementedError

    def __call__(self, output: Mapping[str, Tensor], batch: Batch) -> dict[str, Term]:
        """{term: (sum, weight)}, scalars.

        output: `larmatch` [T] logits, `key_points` [T, 6] scores (not logits), `semantics` [T, K] logits,
            `affinity` [T, 3], `shift` [T, 6, 3] cm; with `options.uncertainty` also `log_variance`
            {term: scalar} of every head.
        """
        raise NotImplementedError
