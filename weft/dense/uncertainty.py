"""How sure a network with dropout is: several passes with other channels dropped (microscopy spec §7).

Monte Carlo dropout after Gal and Ghahramani, "Dropout as a Bayesian Approximation", ICML 2016. What is blended over
windows are the means of p, p² and of the entropy of p; the maps follow from them at each voxel. So where windows
overlap their passes count together, and mutual information and variance cannot be negative.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from weft.dense.size_law import SizeLaw
from weft.dense.windows import sliding_windows
from weft.errors import WeftError
from weft.volumes.lazy import LazyVolume

_SMALLEST = 1e-30  # below it, p log p is 0 in float32 anyway


class DropoutPasses(nn.Module):
    """A network with dropout as one that gives the moments of its probabilities over several passes.

    Args:
        network: in eval mode but for its dropouts, which this puts in training mode while it runs.
        passes: forward passes of each batch of windows.
        seed: of the channels that are dropped, which depend on it, on the number of batches before and on nothing else.

    Raises:
        WeftError: the network has no dropout that drops anything.
    """

    def __init__(self, network: nn.Module, passes: int, seed: int) -> None:
        super().__init__()
        self.network, self.passes, self.seed, self.batches = network, passes, seed, 0
        self._dropouts = [m for m in network.modules() if isinstance(m, _DropoutNd) and m.p > 0]
        if not self._dropouts:
            raise WeftError(
                "uncertainty: the network has no dropout, so all passes would be the same; train one with model.dropout"
            )
        self.eval()

    def forward(self, windows: Tensor) -> Tensor:
        """[B, C, z, y, x] to [B, 2 K + 1, z', y', x']: means of p, of p², of the entropy of p in nats."""
        devices = [windows.device] if windows.is_cuda else []
        total: Tensor | None = None
        with torch.random.fork_rng(devices):
            torch.manual_seed(
                int(np.random.SeedSequence([self.seed, self.batches]).generate_state(1, np.uint64)[0] >> 1)
            )
            self.batches += 1
            try:
                self._drop(True)
                for _ in range(self.passes):
                    output: Any = self.network(windows)
                    logits = output["main"] if isinstance(output, Mapping) else output
                    p = logits.float().softmax(1)
                    moments = torch.cat((p, p * p, entropy(p)), 1)
                    total = moments if total is None else total.add_(moments)
            finally:
                self._drop(False)
        assert total is not None
        return total / self.passes

    def _drop(self, yes: bool) -> None:
        for module in self._dropouts:
            module.train(yes)


def entropy(p: Tensor) -> Tensor:
    """Of probabilities [B, K, ...], in nats: [B, 1, ...]."""
    return -(p * p.clamp_min(_SMALLEST).log()).sum(1, keepdim=True)


def uncertain_windows(
    network: nn.Module,
    volume: LazyVolume,
    law: SizeLaw,
    size_in: Sequence[int],
    *,
    passes: int = 10,
    seed: int = 0,
    **options: Any,
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Mean probabilities of a volume and how uncertain they are, in consecutive slabs along z.

    Args:
        passes: of each window, and of each view of it.
        seed: of the dropped channels; with the same ``batch_size`` the result is the same.
        options: as for :func:`weft.dense.windows.sliding_windows`, without its activation and mean.

    Yields:
        (first plane, probabilities float32 [K, planes, Y, X], uncertainty float32 [4, planes, Y, X]): the entropy of
        the mean, the variance over passes (mean over the classes), the mutual information of prediction and weights,
        1 - the largest mean probability; entropies in nats.

    Raises:
        WeftError: the network has no dropout; as `sliding_windows`.
    """
    moments = DropoutPasses(network, passes, seed)
    for z, slab in sliding_windows(moments, volume, law, size_in, activation="none", **options):
        yield z, *maps(slab)


def maps(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean probabilities [K, ...], uncertainty [4, ...]) of moments [2 K + 1, ...] as `DropoutPasses` gives them."""
    classes = len(moments) // 2
    p, squared, expected = moments[:classes], moments[classes : 2 * classes], moments[-1]
    total = -(p * np.log(np.maximum(p, np.float32(_SMALLEST)))).sum(0)
    variance = (squared - p * p).mean(0)
    found = np.stack([total, variance.clip(0), (total - expected).clip(0), 1 - p.max(0)])
    return p, found
