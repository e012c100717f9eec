"""STSTNet, the network of its authors' PyTorch port."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mer_models import train
from mer_models.spec import InputSpec, ModelSpec, Published, Recipe, register


class STSTNet(nn.Module):
    """Shallow triple-stream network: three convolutions of 3, 5 and 8 filters side by side, then one linear layer.

    The streams read the same input, have the same kernel and are concatenated before the linear layer, so they are
    one convolution of 16 filters with its batch normalisation: filters 0-2, 3-7 and 8-15 are the three streams. The
    initial weights have the same distribution too, since it depends on the kernel and the input channels only.

    Input float32 ``[N, 3, 28, 28]`` (strain, v, u; bytes 0 to 255), output logits ``[N, classes]``.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3 + 5 + 8, kernel_size=3, padding=2)
        self.bn = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(kernel_size=3, stride=3, padding=1)
        self.dropout = nn.Dropout(0.5)
        self.average = nn.AvgPool2d(kernel_size=2)
        self.fc = nn.Linear(16 * 5 * 5, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch; normalisation comes after the ReLU, as in the port."""
        x = self.bn(self.relu(self.conv(x)))  # [N, 16, 30, 30]
        x = self.average(self.dropout(self.pool(x)))  # [N, 16, 10, 10] -> [N, 16, 5, 5]
        logits: Tensor = self.fc(torch.flatten(x, 1))
        return logits


register(
    ModelSpec(
        name="ststnet",
        paper=(
            "S.-T. Liong, Y. S. Gan, J. See, H.-Q. Khor, Y.-C. Huang: Shallow triple stream three-dimensional CNN "
            "(STSTNet) for micro-expression recognition. IEEE FG 2019"
        ),
        # The port reads PNG files (red u, green v, blue strain) with OpenCV and never reorders: strain comes first.
        inputs=(InputSpec("flow_uvs_28", ("strain", "v", "u"), (28, 28)),),
        # Unshuffled in class-sorted order: the two batches of an epoch differ in their classes, and with them the
        # statistics of the batch normalisation.
        recipe=Recipe(epochs=800, batch_size=256, order="by-class", lr=5e-5),
        fit=train.fit,
        build=STSTNet,
        published=(
            Published("megc2019", 0.7209, 0.7250, "last", "authors' PyTorch port, its published log"),
            Published("megc2019", 0.7353, 0.7186, "last", "paper (MATLAB); UAR from its log, 0.7605 is precision"),
        ),
        deviations=("Within a class, clips are in the order of their ids; the port takes the file system's order.",),
    )
)
