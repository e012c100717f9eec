"""MagNet: learned motion magnification of one frame against a reference frame."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_models.reference import renamed
from mer_models.spec import Extractor, register_extractor


class Encoder(nn.Module):
    """An image to its texture, at a quarter of its size, and its shape, at half of it; both have 32 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _conv(3, 16, kernel_size=7)
        self.conv2 = _conv(16, 32, stride=2)
        self.resblks = _residuals(32, 3)
        self.conv1_text = _conv(32, 32, stride=2)
        self.resblks_text = _residuals(32, 2)
        self.conv1_shape = _conv(32, 32)
        self.resblks_shape = _residuals(32, 2)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Texture and shape."""
        x = self.resblks(F.relu(self.conv2(F.relu(self.conv1(image)))))
        texture = self.resblks_text(F.relu(self.conv1_text(x)))
        return texture, self.resblks_shape(F.relu(self.conv1_shape(x)))


class Convolved(nn.Module):
    """One convolution; it has a module of its own because of the published keys."""

    def __init__(self, kernel_size: int) -> None:
        super().__init__()
        self.conv1 = _conv(32, 32, kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        """Maps of the same shape."""
        return cast(Tensor, self.conv1(x))


class Residual(nn.Module):
    """Two convolutions with a ReLU between, plus the input; nothing after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _conv(channels, channels)
        self.conv2 = _conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Maps of the same shape."""
        return cast(Tensor, self.conv2(F.relu(self.conv1(x))) + x)


class Manipulator(nn.Module):
    """The shape of the later frame, with its difference from the reference magnified."""

    def __init__(self) -> None:
        super().__init__()
        self.convblks = nn.Sequential(Convolved(7), nn.ReLU())
        self.convblks_after = nn.Sequential(Convolved(3))
        self.resblks = _residuals(32, 1)

    def forward(self, a: Tensor, b: Tensor, m: Tensor) -> Tensor:
        """Shape of ``b``, moved on by ``m - 1`` times its difference from ``a``, after a nonlinear transform."""
        magnified = self.convblks_after(self.convblks(b - a) * (m - 1))
        return cast(Tensor, b + self.resblks(magnified))


class Decoder(nn.Module):
    """A texture and a shape to an image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1_text = _conv(32, 32)
        self.resblks = _residuals(64, 9)
        self.conv1 = _conv(64, 32)
        self.conv2 = _conv(32, 3, kernel_size=7)

    def forward(self, texture: Tensor, shape: Tensor) -> Tensor:
        """RGB, not limited in range."""
        texture = F.relu(self.conv1_text(F.interpolate(texture, scale_factor=2)))  # as large as the shape
        x = self.resblks(torch.cat([texture, shape], 1))
        return cast(Tensor, self.conv2(F.relu(self.conv1(F.interpolate(x, scale_factor=2)))))


class Magnifier(nn.Module):
    """Magnify the motion from one frame to another.

    All convolutions are without bias and padded by reflection.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.manipulator = Manipulator()
        self.decoder = Decoder()

    def forward(self, a: Tensor, b: Tensor, m: Tensor) -> Tensor:
        """Frame `b` with its motion against frame `a` magnified.

        Parameters
        ----------
        a, b
            RGB in -1 to 1, float32 ``[N, 3, H, W]``: the reference and a later frame; H and W are multiples of 4.
        m
            Factor per pair, float32 ``[N, 1, 1, 1]``; with 1 nothing is magnified.

        Returns
        -------
        RGB in -1 to 1, float32 ``[N, 3, H, W]``.
        """
        (_, shape_a), (texture_b, shape_b) = self.representations(a, b)
        image: Tensor = self.decoder(texture_b, self.manipulator(shape_a, shape_b, m))
        return image.clamp(-1, 1)

    def representations(self, a: Tensor, b: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Texture ``[N, 32, H / 4, W / 4]`` and shape ``[N, 32, H / 2, W / 2]`` of both frames."""
        return self.encoder(a), self.encoder(b)


def _conv(inputs: int, outputs: int, kernel_size: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size, stride, padding=kernel_size // 2, bias=False, padding_mode="reflect")


def _residuals(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(Residual(channels) for _ in range(count)))


def _build(_classes: int) -> Magnifier:
    return Magnifier()


register_extractor(
    Extractor(
        name="aman_magnifier",
        paper=(
            "T.-H. Oh, R. Jaroensri, C. Kim, M. Elgharib, F. Durand, W. T. Freeman, W. Matusik: Learning-based video "
            "motion magnification. ECCV 2018"
        ),
        build=_build,
        reference=renamed(_build, ""),
    )
)
