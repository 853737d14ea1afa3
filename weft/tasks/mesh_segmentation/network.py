"""The network of a stage: features and pixels of faces in, logits of their classes out (spec §7)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from weft.errors import WeftError
from weft.tasks.mesh_segmentation.batch import MeshBatch
from weft.tasks.mesh_segmentation.encoder import POSITIONS, Encoder
from weft.tasks.mesh_segmentation.model_options import ModelOptions
from weft.tasks.mesh_segmentation.texture import COLOURS, Fusion, TextureBranch

_TOKENS = 0.02  # standard deviation of fresh tokens


class MeshNetwork(nn.Module):
    """Logits of each face, from its features and, with ``options.texture``, from the pixels of its texture.

    Attributes:
        texture, fusion: None without a texture.
        encoder: all of the faces of a sample together; its ``blocks`` are what ``layer_decay`` counts.
        head: of each face.

    Args:
        features: columns of the features; with ``options.fourier`` the first nine are positions.
        classes: number of classes.
    """

    features_mean: Tensor
    features_deviation: Tensor
    colours_mean: Tensor
    colours_deviation: Tensor

    def __init__(self, options: ModelOptions, features: int, classes: int) -> None:
        super().__init__()
        self.skipped = POSITIONS if options.fourier is not None else 0
        geometry = features - self.skipped
        # Statistics of the training meshes; the model file keeps what was measured, not these.
        for name, n, value in (("features_mean", features, 0.0), ("features_deviation", features, 1.0),
                               ("colours_mean", COLOURS, 0.0), ("colours_deviation", COLOURS, 1.0)):  # fmt: skip
            self.register_buffer(name, torch.full((n,), value), persistent=False)
        self.texture = None if options.texture is None else TextureBranch(options.texture, options)
        self.fusion = None if options.texture is None else Fusion(geometry, options.texture, options.width)
        self.encoder = Encoder(geometry if options.texture is None else options.width, options)
        self.head = _head(options, classes)
        _initialise(self, options)

    def standardise(self, measured: Mapping[str, Any]) -> None:
        """Take the mean and deviation of each feature, and of each colour in 0 to 1, over the training meshes.

        measured: ``features`` and ``colours``, :meth:`weft.meshes.statistics.Standard.plain` of each.

        Raises:
            WeftError: they are missing, or of other features than the network reads.
        """
        for name in ("features", "colours") if self.texture is not None else ("features",):
            given = measured.get(name, {})
            for kind in ("mean", "deviation"):
                buffer, values = getattr(self, f"{name}_{kind}"), given.get(kind)
                if values is None or len(values) != len(buffer):
                    what = "none" if values is None else str(len(values))
                    raise WeftError(
                        f"the {kind} of {name}, measured on the training meshes: expected {len(buffer)} numbers, "
                        f"the model has {what}; train it again"
                    )
                buffer.copy_(torch.tensor(values, dtype=buffer.dtype, device=buffer.device))

    def forward(self, batch: MeshBatch) -> Tensor:
        """[B, N, F, C]; of padding whatever comes out."""
        if batch.geometry is None or batch.real is None or batch.centroids is None:
            raise WeftError("whole meshes are predicted part by part, and have no single output")
        raw, real = batch.geometry, batch.real
        seen = ((raw - self.features_mean) / self.features_deviation)[..., self.skipped :]
        seen = seen * real[..., None]
        if self.fusion is not None:
            seen = self.fusion(seen, self._textures(batch).view(*real.shape, -1))
        return self.head(self.encoder(seen, raw[..., :POSITIONS], batch.centroids, real))

    def _textures(self, batch: MeshBatch) -> Tensor:
        """[B·N·F, Dt]"""
        assert self.texture is not None
        assert batch.real is not None
        if batch.pixels is None or batch.places is None or batch.real_pixels is None or batch.textured is None:
            raise WeftError("the network reads textures, and the batch has none: the task did not read face_pixels")
        pixels = (batch.pixels.float() / 255 - self.colours_mean) / self.colours_deviation
        if self.texture.pixel.in_features > COLOURS:
            pixels = torch.cat([pixels, batch.places], dim=-1)
        return self.texture(pixels, batch.real_pixels, batch.textured, batch.real.numel())


def _head(options: ModelOptions, classes: int) -> nn.Sequential:
    """linear: D to C; mlp2: D, D/2, C; mlp3: D, D/2, D/4, C (spec §7.8)."""
    widths = [options.width // 2**k for k in range({"linear": 1, "mlp2": 2, "mlp3": 3}[options.head])]
    layers: list[nn.Module] = []
    for width, narrower in pairwise(widths):
        layers += [nn.Linear(width, narrower), nn.LayerNorm(narrower), nn.GELU(), nn.Dropout(options.dropout)]
    return nn.Sequential(*layers, nn.Linear(widths[-1], classes))


def _initialise(network: MeshNetwork, options: ModelOptions) -> None:
    """Fresh weights (spec §7.9); norms are 1 and 0 already."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear):
            if options.initialisation == "xavier" or name.startswith("head."):
                nn.init.xavier_uniform_(module.weight)
            else:
                nn.init.trunc_normal_(module.weight, std=0.5 * math.sqrt(2 / module.in_features))
            nn.init.zeros_(module.bias)
    tokens = [network.encoder.summary]
    if network.texture is not None:
        tokens += [network.texture.summary, network.texture.untextured]
    for token in tokens:
        if token is not None:
            nn.init.normal_(token, std=_TOKENS)
