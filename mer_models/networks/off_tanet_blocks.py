"""The blocks of Off-TANet: residual block, channel gate, spatial gate, and attention over the positions of a map."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def conv_bn(c_in: int, *channels: int) -> nn.Sequential:
    """Build 3x3 convolutions to the given channels one after the other, each with normalisation and ReLU."""
    layers: list[nn.Module] = []
    for c in channels:
        layers += [nn.Conv2d(c_in, c, kernel_size=3, padding=1), nn.BatchNorm2d(c), nn.ReLU()]
        c_in = c
    return nn.Sequential(*layers)


class ResidualBlock(nn.Module):
    """A path beside a 1x1 convolution, then pooling: ``[N, c_in, H, W]`` to ``[N, c, H / 2, W / 2]``.

    Parameters
    ----------
    c_in, c
        Channels of the input and of the output.
    path
        Layers from `c_in` to `c` channels that keep the map's size.
    """

    def __init__(self, c_in: int, c: int, path: nn.Sequential) -> None:
        super().__init__()
        self.path = path
        self.shortcut = nn.Conv2d(c_in, c, kernel_size=1)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        """Add and pool; there is no activation after the sum."""
        pooled: Tensor = self.pool(self.shortcut(x) + self.path(x))
        return pooled


class ChannelGate(nn.Module):
    """Weigh each channel by its mean and its maximum, ``[N, c, H, W]`` to the same shape.

    Both pass the same two layers with a bottleneck of a single unit.
    """

    def __init__(self, c: int) -> None:
        super().__init__()
        self.average = nn.AdaptiveAvgPool2d(1)
        self.maximum = nn.AdaptiveMaxPool2d(1)
        self.fc1 = nn.Conv2d(c, 1, kernel_size=1, bias=False)
        self.relu = nn.ReLU()
        self.fc2 = nn.Conv2d(1, c, kernel_size=1, bias=False)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Multiply by the gate."""
        average, maximum = (self.fc2(self.relu(self.fc1(pool(x)))) for pool in (self.average, self.maximum))
        gated: Tensor = self.sigmoid(average + maximum) * x
        return gated


class SpatialGate(nn.Module):
    """Weigh each position by the mean and the maximum of its channels, ``[N, c, H, W]`` to the same shape."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size=3, padding=1, bias=False)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Multiply by the gate."""
        summary = torch.cat((x.mean(1, keepdim=True), x.amax(1, keepdim=True)), 1)  # [N, 2, H, W], mean first
        gated: Tensor = self.sigmoid(self.conv(summary)) * x
        return gated


def position_code(size: int) -> Tensor:
    """The constant added to the keys, float32 ``[size, size]``: ``P[r, s] = p[r] + p[s]``.

    ``p[i]`` is the sine (i even) or cosine (i odd) of ``10000 ** (-floor(i / 2) / size)``. As published, the position
    itself is no factor of that argument, unlike in the usual code of transformers.
    """
    index = torch.arange(size)
    angle = 10000.0 ** (-(index // 2) / size)
    code = torch.where(index % 2 == 0, angle.sin(), angle.cos())
    return code[:, None] + code[None, :]


class AttentionHead(nn.Module):
    """Attention within each channel of a square map, ``[N, c_in, size, size]`` to ``[N, c, size, size]``.

    Query, key and value of a channel are matrices of the map's size. One distribution per clip and channel, over all
    positions together, weighs the value position by position: no product of matrices, so the output is about
    1 / size² of the value.
    """

    position: Tensor

    def __init__(self, c_in: int, c: int, size: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(c_in, c, kernel_size=1)
        self.key = nn.Conv2d(c_in, c, kernel_size=1)
        self.value = nn.Conv2d(c_in, c, kernel_size=1)
        self.register_buffer("position", position_code(size), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Weigh the values."""
        # q k^T + q P^T in one product; there is no division by the root of the size.
        scores = self.query(x) @ (self.key(x) + self.position).transpose(-2, -1)
        weights = scores.flatten(2).softmax(-1).view_as(scores)
        weighed: Tensor = weights * self.value(x)
        return weighed


class MapAttention(nn.Module):
    """Four attention heads, their channels concatenated: ``[N, c_in, size, size]`` to ``[N, c, size, size]``."""

    def __init__(self, c_in: int, c: int, size: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(AttentionHead(c_in, c // 4, size) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """Concatenate what the heads say."""
        return torch.cat([head(x) for head in self.heads], 1)
