"""Blocks of the recurrent convolutional networks, and their attention without weights of its own."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_models.layers import Dropout
from mer_models.pooled_convolution import pooled_convolution, suits

MAPS = 64  # feature maps
POOL = 7  # height and width of what the classifier reads


def conv(
    inputs: int, outputs: int, kernel_size: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> nn.Conv2d:
    """Convolution with a bias, weights Kaiming normal by fan-out."""
    layer = nn.Conv2d(inputs, outputs, kernel_size, stride, padding, dilation)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer


def normalised(inputs: int, outputs: int, kernel_size: int, padding: int = 0) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    return nn.Sequential(conv(inputs, outputs, kernel_size, padding=padding), nn.BatchNorm2d(outputs), nn.ReLU())


def stem() -> nn.Sequential:
    """Input ``[N, 3, 60, 60]``, output ``[N, 64, 28, 28]``."""
    return nn.Sequential(*normalised(3, MAPS, kernel_size=5), nn.MaxPool2d(2), Dropout(0.5))


def stream(outputs: int, dilation: int) -> nn.Sequential:
    """One stream of the wide stem: input ``[N, 3, 60, 60]``, output ``[N, outputs, 20, 20]``."""
    # Normalised after the ReLU, unlike in the blocks.
    layer = conv(3, outputs, kernel_size=3, stride=3, padding=dilation, dilation=dilation)
    return nn.Sequential(layer, nn.ReLU(), nn.BatchNorm2d(outputs), Dropout(0.5))


class PooledStream(nn.Sequential):
    """One stream that pools instead of striding: input ``[N, 3, 60, 60]``, output ``[N, outputs, 20, 20]``."""

    def __init__(self, outputs: int, dilation: int) -> None:
        layer = conv(3, outputs, kernel_size=3, padding=dilation, dilation=dilation)
        pool = nn.MaxPool2d(kernel_size=3, stride=3, padding=1)
        super().__init__(layer, nn.ReLU(), nn.BatchNorm2d(outputs), pool, Dropout(0.5))

    def forward(self, x: Tensor) -> Tensor:
        """Maps of a batch."""
        dropped: Tensor = self[4](self.fused(x) if self.training else self.plain(x))
        return dropped

    def plain(self, x: Tensor) -> Tensor:
        """Pooled maps, layer by layer."""
        pooled: Tensor = self[3](self[2](self[1](self[0](x))))
        return pooled

    def fused(self, x: Tensor) -> Tensor:
        """The same by one kernel, where it may be used."""
        return pooled_convolution(x, self[0], self[2]) if suits(x) else self.plain(x)  # type: ignore[arg-type]


class Recurrent(nn.Module):
    """A convolution that runs twice on its own output and the input; halves the size of ``[N, 64, H, W]``."""

    def __init__(self) -> None:
        super().__init__()
        self.ffconv = normalised(MAPS, MAPS, kernel_size=1)
        self.rrconv = normalised(MAPS, MAPS, kernel_size=3, padding=1)
        self.downsample = nn.Sequential(nn.MaxPool2d(2), Dropout(0.5))

    def forward(self, x: Tensor) -> Tensor:
        """Maps of a batch."""
        y = self.ffconv(x)
        for _ in range(2):
            y = self.rrconv(x + y)
        return cast(Tensor, self.downsample(y))


class Dense(nn.Module):
    """A convolution that runs three times on the sum of all before; halves the size of ``[N, 64, H, W]``.

    `conv3` is idle, as in the original.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = normalised(MAPS, MAPS, kernel_size=1)
        self.conv2 = normalised(MAPS, MAPS, kernel_size=3, padding=1)
        self.conv3 = normalised(MAPS, MAPS, kernel_size=3, padding=1)
        self.downsample = nn.Sequential(nn.MaxPool2d(2), Dropout(0.5))

    def forward(self, x: Tensor) -> Tensor:
        """Maps of a batch."""
        return cast(Tensor, self.downsample(_dense(self.conv2, x + self.conv1(x))))


class Embedding(nn.Module):
    """A dense block whose 1×1 convolution is gated by the attention of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = normalised(MAPS, MAPS, kernel_size=1)
        self.conv2 = normalised(MAPS, MAPS, kernel_size=3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(POOL)
        self.downsample = nn.Sequential(nn.MaxPool2d(2), Dropout(0.5))

    def forward(self, x: Tensor, class_weights: Tensor) -> Tensor:
        """Maps of a batch; `class_weights` as in :func:`attention`."""
        gated = enlarged(attention(self.pool(x), class_weights), x) * self.conv1(x)
        return cast(Tensor, self.downsample(_dense(self.conv2, x + gated)))


def _dense(repeated: nn.Module, total: Tensor) -> Tensor:
    """Three runs of the same module, each on the sum of the input and all results so far."""
    for _ in range(2):
        total = total + repeated(total)
    return cast(Tensor, repeated(total))


def attention(maps: Tensor, class_weights: Tensor) -> Tensor:
    """Where the classifier looks: its weights times the maps, per class stretched to 0..1, averaged over classes.

    Parameters
    ----------
    maps
        float32 ``[N, C, 7, 7]``.
    class_weights
        float32 ``[classes, C, 7, 7]``, or ``[classes, 1, 7, 7]`` for weights averaged over their channels. Gradients
        flow into them.

    Returns
    -------
    float32 ``[N, 1, 7, 7]``. A class with the same value everywhere gives zeros (the original gives 0 / 0).
    """
    seen = (class_weights * maps[:, None]).mean(2)  # [N, classes, 7, 7]
    seen = seen - seen.amin((2, 3), keepdim=True)
    largest = seen.amax((2, 3), keepdim=True)
    return (seen / torch.where(largest > 0, largest, torch.ones_like(largest))).mean(1, keepdim=True)


def enlarged(weights: Tensor, maps: Tensor) -> Tensor:
    """Attention weights at the size of maps, by their nearest neighbour."""
    return F.interpolate(weights, (maps.shape[2], maps.shape[3]))
