"""STSTNet as re-implemented for the Off-TANet comparison: no normalisation, and a hidden layer of 400 units."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_models.reference import renamed
from mer_models.spec import InputSpec, ModelSpec, Published, Recipe, register
from mer_models.train import fit


class STSTNetTable(nn.Module):
    """Three convolutions of 3, 5 and 8 filters, each pooled, then max pooling and two linear layers.

    Input float32 ``[N, 3, 28, 28]`` (u, v in pixels; strain), output logits ``[N, classes]``.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        # No activation in the streams: the re-implementation has none.
        self.streams = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(3, filters, kernel_size=3, padding=1), nn.MaxPool2d(kernel_size=3, stride=3, padding=1)
            )
            for filters in (3, 5, 8)
        )
        self.pool = nn.MaxPool2d(2)
        self.dense = nn.Sequential(nn.Linear(16 * 5 * 5, 400), nn.ReLU(), nn.Linear(400, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch."""
        x = self.fused(x) if self.training else self.plain(x)  # [N, 16, 5, 5]
        logits: Tensor = self.dense(torch.flatten(x, 1))
        return logits

    def plain(self, x: Tensor) -> Tensor:
        """Pooled maps, layer by layer as in the re-implementation."""
        pooled: Tensor = self.pool(torch.cat([stream(x) for stream in self.streams], 1))  # [N, 16, 10, 10] within
        return pooled

    def fused(self, x: Tensor) -> Tensor:
        """The same by one convolution of 16 filters, and one pooling: 2 × 2 windows of windows of 3 pixels have 6."""
        weights, biases = zip(*(stream[0].parameters() for stream in self.streams), strict=True)  # type: ignore[index]
        return F.max_pool2d(F.conv2d(x, torch.cat(weights), torch.cat(biases), padding=1), 6, 6, 1)


register(
    ModelSpec(
        name="ststnet_table",
        paper=(
            "S.-T. Liong, Y. S. Gan, J. See, H.-Q. Khor, Y.-C. Huang: Shallow triple stream three-dimensional CNN "
            "(STSTNet) for micro-expression recognition. IEEE FG 2019; the variant in the table of the Off-TANet "
            "paper (PRICAI 2021)"
        ),
        inputs=(InputSpec("flow_offtanet_28", ("u", "v", "strain"), (28, 28)),),
        instead=((InputSpec("flow_uvs_28", ("u", "v", "strain"), (28, 28), scale=1 / 127.5, shift=-1.0, bytes=True),),),
        recipe=Recipe(epochs=1001, batch_size=64, lr=5e-5, keep_every=20),
        fit=fit,
        build=STSTNetTable,
        published=(Published("casmes", 0.5399, 0.5584, "oracle-epoch, mean of folds", "Off-TANet table"),),
        deviations=(
            "Not the network of the STSTNet paper: 162,051 parameters instead of 1,683; the model `ststnet` is that.",
            "The published configuration leaves the strain out, which this network cannot take; strain is given here.",
            "Tested after epochs 20, 40, ..., 1000, 1001; the original after 1, 21, ..., 1001.",
            "Where there are only published byte maps, all three channels are scaled to [-1, 1], strain too, though "
            "strain is never negative.",
        ),
        reference=renamed(
            STSTNetTable,
            "dense.2.weight",
            (r"^streams\.0\.0", "stream1.conv"),
            (r"^streams\.1\.0", "stream2.conv"),
            (r"^streams\.2\.0", "stream3.conv"),
        ),
    )
)
