"""ResNet-18 up to its third layer: the features of magnified frames that AMAN reads."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from mer_models.reference import renamed
from mer_models.spec import Extractor, register_extractor


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with batch normalisation; the shortcut is projected if the size changes.

    Input float32 ``[N, inputs, H, W]``, output ``[N, channels, H / stride, W / stride]``.
    """

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU()
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != channels:
            projection = nn.Conv2d(inputs, channels, kernel_size=1, stride=stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Maps of a batch."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu1(self.bn1(self.conv1(x)))
        return cast(Tensor, self.relu2(self.bn2(self.conv2(x)) + shortcut))


def layer(inputs: int, channels: int, stride: int) -> nn.Sequential:
    """Two basic blocks, the first with the stride."""
    return nn.Sequential(BasicBlock(inputs, channels, stride), BasicBlock(channels, channels, 1))


class ResNet18(nn.Module):
    """ResNet-18 that answers with the maps of layer 3; layer 4 is built, for its published weights, and idle.

    Input float32 ``[N, 3, 224, 224]``: RGB in 0 to 1, less the ImageNet mean (0.485, 0.456, 0.406) and divided by the
    ImageNet deviation (0.229, 0.224, 0.225). Output ``[N, 256, 14, 14]``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = layer(64, 64, 1)
        self.layer2 = layer(64, 128, 2)
        self.layer3 = layer(128, 256, 2)
        self.layer4 = layer(256, 512, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Maps of layer 3."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # [N, 64, 56, 56]
        return cast(Tensor, self.layer3(self.layer2(self.layer1(x))))


def _build(_classes: int) -> ResNet18:
    return ResNet18()


register_extractor(
    Extractor(
        name="aman_resnet18",
        paper="K. He, X. Zhang, S. Ren, J. Sun: Deep residual learning for image recognition. CVPR 2016",
        build=_build,
        reference=renamed(_build, ""),
    )
)
