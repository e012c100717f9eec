"""Dual-Inception, two towers of inception blocks, one for each component of the flow."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_models.layers import Linear, MaxPool3
from mer_models.reference import renamed
from mer_models.spec import InputSpec, ModelSpec, Published, Recipe, register
from mer_models.train import fit


class Inception(nn.Module):
    """Four paths side by side, then pooling: ``[N, c_in, H, W]`` to ``[N, 4 * c, H / 2, W / 2]``."""

    def __init__(self, c_in: int, c: int) -> None:
        super().__init__()
        self.path1 = nn.Sequential(
            nn.Conv2d(c_in, c, kernel_size=1), nn.ReLU(), nn.Conv2d(c, c, kernel_size=5, padding=2), nn.ReLU()
        )
        self.path2 = nn.Sequential(
            nn.Conv2d(c_in, c, kernel_size=1), nn.ReLU(), nn.Conv2d(c, c, kernel_size=3, padding=1), nn.ReLU()
        )
        self.path3 = nn.Sequential(MaxPool3(), nn.Conv2d(c_in, c, kernel_size=1), nn.ReLU())
        self.path4 = nn.Conv2d(c_in, c, kernel_size=1)  # the only path without a ReLU
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        """Join the paths, and pool."""
        return self.fused(x) if self.training else self.plain(x)

    def plain(self, x: Tensor) -> Tensor:
        """Layer by layer as in the re-implementation."""
        paths = self.path1(x), self.path2(x), self.path3(x), self.path4(x)
        joined: Tensor = self.pool(torch.cat(paths, 1))
        return joined

    def fused(self, x: Tensor) -> Tensor:
        """The same: one convolution for what reads `x`, and the last ReLU after the pooling, on a smaller map."""
        squeezing = self.path1[0], self.path2[0], self.path4
        weights, biases = zip(*(convolution.parameters() for convolution in squeezing), strict=True)
        squeezed = F.conv2d(x, torch.cat(weights), torch.cat(biases))
        c = squeezed.shape[1] // 3
        # Splitting, unlike slicing, puts the gradients together in one step.
        inner, last = squeezed.split((2 * c, c), 1)  # type: ignore[no-untyped-call]
        one, two = F.relu(inner).chunk(2, 1)
        paths = self.path1[2](one), self.path2[2](two), self.path3[1](self.path3[0](x)), last
        first, last = self.pool(torch.cat(paths, 1)).split((3 * c, c), 1)
        return torch.cat((F.relu(first), last), 1)


class DualInception(nn.Module):
    """Two towers of two inception blocks, joined by two linear layers.

    Input float32 ``[N, 2, 28, 28]`` (u, v in pixels), output logits ``[N, classes]``.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.horizontal = nn.Sequential(Inception(1, 6), Inception(24, 16), nn.Flatten())
        self.vertical = nn.Sequential(Inception(1, 6), Inception(24, 16), nn.Flatten())
        self.dense = nn.Sequential(Linear(2 * 64 * 7 * 7, 1024), nn.ReLU(), nn.Linear(1024, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch."""
        towers = self.horizontal(x[:, :1]), self.vertical(x[:, 1:])  # each [N, 3136]
        logits: Tensor = self.dense(torch.cat(towers, 1))
        return logits


register(
    ModelSpec(
        name="dual_inception",
        paper=(
            "L. Zhou, Q. Mao, L. Xue: Dual-Inception network for cross-database micro-expression recognition. "
            "IEEE FG 2019"
        ),
        inputs=(InputSpec("flow_offtanet_28", ("u", "v"), (28, 28)),),
        instead=((InputSpec("flow_uvs_28", ("u", "v"), (28, 28), scale=1 / 127.5, shift=-1.0, bytes=True),),),
        recipe=Recipe(epochs=501, batch_size=64, lr=1e-3, keep_every=20),
        fit=fit,
        build=DualInception,
        published=(
            Published("megc2019", 0.7322, 0.7278, "not stated", "paper"),
            Published("casmes", 0.5814, 0.6167, "oracle-epoch, mean of folds", "Off-TANet table"),
        ),
        deviations=(
            "Network and recipe are those of the Off-TANet re-implementation; the authors' code and training settings "
            "are not public.",
            "Tested after epochs 20, 40, ..., 500, 501; the re-implementation after 1, 21, ..., 501.",
            "Where there are only published byte maps, stretched per clip, they are scaled to [-1, 1].",
        ),
        reference=renamed(DualInception, "dense.2.weight", ("^horizontal", "icpt1"), ("^vertical", "icpt2")),
    )
)
