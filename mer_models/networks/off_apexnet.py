"""OFF-ApexNet, the two-stream network that complexity tables list with 2.66 million parameters."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_models.layers import Dropout, Linear
from mer_models.reference import renamed
from mer_models.spec import InputSpec, ModelSpec, Published, Recipe, register
from mer_models.train import fit


def _stream() -> nn.Sequential:
    # No activation between the convolutions: the reference has none, and it changes the numbers.
    return nn.Sequential(
        nn.Conv2d(1, 6, kernel_size=5, padding=2),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, kernel_size=5, padding=2),
        nn.MaxPool2d(2),
        nn.Flatten(),
    )


class OffApexNet(nn.Module):
    """Two streams, one for each component of the flow, joined by two wide linear layers.

    Input float32 ``[N, 2, 28, 28]`` (u, v in pixels), output logits ``[N, classes]``.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.horizontal = _stream()
        self.vertical = _stream()
        self.head = nn.Sequential(
            Linear(2 * 16 * 7 * 7, 1024),
            nn.ReLU(),
            Dropout(0.5),
            Linear(1024, 1024),
            nn.ReLU(),
            Dropout(0.5),
            nn.Linear(1024, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch."""
        logits: Tensor = self.head(self.fused(x) if self.training else self.plain(x))  # [N, 1568]
        return logits

    def plain(self, x: Tensor) -> Tensor:
        """Features of both streams, layer by layer as in the reference."""
        return torch.cat((self.horizontal(x[:, :1]), self.vertical(x[:, 1:])), 1)

    def fused(self, x: Tensor) -> Tensor:
        """The same, the streams as two groups of one convolution."""
        for layer in (0, 2):
            pair = self.horizontal[layer], self.vertical[layer]
            weights, biases = zip(*(convolution.parameters() for convolution in pair), strict=True)
            x = F.max_pool2d(F.conv2d(x, torch.cat(weights), torch.cat(biases), padding=2, groups=2), 2)
        return x.flatten(1)


register(
    ModelSpec(
        name="off_apexnet",
        paper=(
            "Y. S. Gan, S.-T. Liong, W.-C. Yau, Y.-C. Huang, L.-K. Tan: OFF-ApexNet on micro-expression recognition "
            "system. Signal Processing: Image Communication 74, 2019"
        ),
        inputs=(InputSpec("flow_offtanet_28", ("u", "v"), (28, 28)),),
        instead=((InputSpec("flow_uvs_28", ("u", "v"), (28, 28), scale=1 / 127.5, shift=-1.0, bytes=True),),),
        recipe=Recipe(epochs=3000, batch_size=64, lr=1e-4, keep_every=200),
        fit=fit,
        build=OffApexNet,
        published=(
            Published("megc2019", 0.7196, 0.7096, "not stated", "STSTNet paper, table III"),
            Published("casmes", 0.5650, 0.5832, "oracle-epoch, mean of folds", "Off-TANet table"),
        ),
        deviations=(
            "Network and recipe are those of the Off-TANet re-implementation; the original has 2.77 million "
            "parameters, and its code is not public.",
            "Tested after epochs 200, 400, ..., 3000; the re-implementation after 1, 201, ..., 2801.",
            "Where there are only published byte maps, stretched per clip, they are scaled to [-1, 1].",
        ),
        reference=renamed(
            OffApexNet,
            "dense.6.weight",
            (r"^horizontal\.0", "cnn1.conv1"),
            (r"^horizontal\.2", "cnn1.conv2"),
            (r"^vertical\.0", "cnn2.conv1"),
            (r"^vertical\.2", "cnn2.conv2"),
            ("^head", "dense"),
        ),
    )
)
