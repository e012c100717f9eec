"""SSSNet, a small network with normalisation after pooling."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mer_models.layers import Dropout, Linear
from mer_models.reference import renamed
from mer_models.spec import InputSpec, ModelSpec, Recipe, register
from mer_models.train import fit


class SSSNet(nn.Module):
    """Two convolutions, each with pooling, normalisation and dropout of whole channels, then two linear layers.

    Input float32 ``[N, 3, 64, 64]`` (u, v, strain), output logits ``[N, classes]``.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, kernel_size=5)
        self.pool1 = nn.MaxPool2d(3)
        self.bn1 = nn.BatchNorm2d(32)
        self.drop1 = nn.Dropout2d(0.5)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3)
        self.pool2 = nn.MaxPool2d(2)
        self.bn2 = nn.BatchNorm2d(64)
        self.drop2 = nn.Dropout2d(0.5)
        self.fc1 = Linear(64 * 9 * 9, 256)
        self.drop3 = Dropout(0.5)
        self.fc = nn.Linear(256, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch."""
        # ReLU is a function here as in the original, so that complexity tables, which count modules, agree.
        x = self.drop1(self.bn1(self.pool1(F.relu(self.conv1(x)))))  # [N, 32, 20, 20]
        x = self.drop2(self.bn2(self.pool2(F.relu(self.conv2(x)))))  # [N, 64, 9, 9]
        logits: Tensor = self.fc(self.drop3(F.relu(self.fc1(x.flatten(1)))))
        return logits


register(
    ModelSpec(
        name="sssnet",
        paper=(
            "T. Varanka, W. Peng, G. Zhao: Micro-expression recognition with noisy labels. IS&T Electronic Imaging "
            "(HVEI) 2021; network and settings of T. Varanka et al., arXiv 2211.11425"
        ),
        inputs=(InputSpec("flow_meb_64", ("u", "v", "strain"), (64, 64)),),
        recipe=Recipe(epochs=200, batch_size=64, lr=1e-4, weight_decay=1e-3),
        fit=fit,
        build=SSSNet,
        deviations=(
            "The published settings are for several action units at once; here the classes exclude each other, with "
            "cross-entropy. The batch size is ours.",
            "No score under this protocol was published.",
        ),
        reference=renamed(SSSNet, "fc.weight"),
    )
)
