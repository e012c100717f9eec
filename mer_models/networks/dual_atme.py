"""Dual-ATME: one inception tower for the flow of the face, one for that of a puzzle of its regions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_models.batch_norm import normalise
from mer_models.layers import Dropout, Linear, MaxPool3
from mer_models.reference import renamed
from mer_models.spec import InputSpec, ModelSpec, Recipe, register
from mer_models.train import fit

_REDUCED = 6  # channels before the larger kernels, in every unit


def _conv(channels: int, filters: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, filters, kernel, padding=kernel // 2), nn.BatchNorm2d(filters), nn.ReLU())


class Inception(nn.Module):
    """Four branches side by side: ``[N, channels, H, W]`` to ``[N, 4 * filters, H, W]``."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.branch1x1 = _conv(channels, filters, 1)
        self.branch3x3 = nn.Sequential(*_conv(channels, _REDUCED, 1), *_conv(_REDUCED, filters, 3))
        self.branch5x5 = nn.Sequential(*_conv(channels, _REDUCED, 1), *_conv(_REDUCED, filters, 5))
        self.branch_pool = nn.Sequential(MaxPool3(), *_conv(channels, filters, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Branches 1 × 1, 3 × 3, 5 × 5 and pooling, in this order."""
        return self.fused(x) if self.training else self.plain(x)

    def plain(self, x: Tensor) -> Tensor:
        """Layer by layer as in the original."""
        return torch.cat([self.branch1x1(x), self.branch3x3(x), self.branch5x5(x), self.branch_pool(x)], 1)

    def fused(self, x: Tensor) -> Tensor:
        """The same: one convolution for what reads `x`, one normalisation before the larger kernels and one after."""
        one, three, five, pool = self.branch1x1, self.branch3x3, self.branch5x5, self.branch_pool
        weights, biases = zip(*(branch[0].parameters() for branch in (one, three, five)), strict=True)
        squeezed = F.conv2d(x, torch.cat(weights), torch.cat(biases))
        # Splitting, unlike slicing, puts the gradients together in one step.
        narrow, inner = squeezed.split((squeezed.shape[1] - 2 * _REDUCED, 2 * _REDUCED), 1)  # type: ignore[no-untyped-call]
        for_three, for_five = F.relu(normalise(inner, three[1], five[1])).chunk(2, 1)
        branches = narrow, three[3](for_three), five[3](for_five), pool[1](pool[0](x))
        return F.relu(normalise(torch.cat(branches, 1), one[1], three[4], five[4], pool[2]))


class CBAM(nn.Module):
    """Gate of the channels, then gate of the positions; a map ``[N, channels, H, W]`` in and out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shared_mlp = nn.Sequential(
            nn.Linear(channels, channels // 16), nn.ReLU(), nn.Linear(channels // 16, channels)
        )
        self.conv = nn.Conv2d(2, 1, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """The gated map."""
        gate = self.shared_mlp(x.mean((2, 3))) + self.shared_mlp(x.amax((2, 3)))
        x = x * gate.sigmoid()[:, :, None, None]
        over_channels = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        gated: Tensor = x * self.conv(over_channels).sigmoid()
        return gated


def _tower(pool: nn.MaxPool2d) -> nn.Sequential:
    """``[N, 3, 28, 28]`` to ``[N, 48, 7, 7]``."""
    return nn.Sequential(Inception(3, 6), pool, Inception(24, 12), pool)


class DualATME(nn.Module):
    """Two towers with one attention module for both, whose features are drawn together while training.

    Inputs: the flow of the face and the flow of the puzzle as RGB pictures, float32 ``[N, 3, 28, 28]`` each, -1 to 1.
    Output: logits ``[N, classes]``.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        pool = nn.MaxPool2d(2)  # one module, as in the original: the rules of complexity count it once
        self.face = _tower(pool)
        self.puzzle = _tower(pool)
        self.cbam = CBAM(48)
        self.head = nn.Sequential(
            Linear(2 * 48 * 7 * 7, 1024), nn.BatchNorm1d(1024), nn.ReLU(), Dropout(0.5), nn.Linear(1024, classes)
        )

    def features(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        """Features of the face and of the puzzle after the attention, each ``[N, 2352]``."""
        return torch.flatten(self.cbam(self.face(x1)), 1), torch.flatten(self.cbam(self.puzzle(x2)), 1)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Logits of a batch."""
        logits: Tensor = self.head(torch.cat(self.features(x1, x2), 1))
        return logits

    def with_penalty(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and 1 - cosine between the features of the two towers, averaged over the batch."""
        one, other = self.features(x1, x2)
        logits = self.head(torch.cat([one, other], 1))
        return logits, (1 - F.cosine_similarity(one, other)).mean()


register(
    ModelSpec(
        name="dual_atme",
        paper=(
            "H. Zhou, S. Huang, J. Li, S.-J. Wang: Dual-ATME: dual-branch attention network for micro-expression "
            "recognition. Entropy 25(3), 460, 2023"
        ),
        inputs=tuple(
            InputSpec(feature, ("r", "g", "b"), (28, 28), scale=1 / 127.5, shift=-1.0, bytes=True)
            for feature in ("flow_picture_28", "flow_puzzle_28")
        ),
        # The released script makes a schedule that halves the learning rate, and never uses it.
        recipe=Recipe(epochs=60, batch_size=128, lr=1e-3, loss="focal", penalty=0.01),
        fit=fit,
        build=DualATME,
        deviations=(
            "How the original turns flow into RGB and where its puzzle is cut is not released. Ours: red, green "
            "and blue are u, v and strain; the puzzle is the strip of brows and eyes over that of the mouth.",
            "As released, one attention module serves both towers; the paper's figure has it on the face's tower only.",
            "The original's lists exchange the labels of two SAMM clips, 006_5_9 and 006_5_11; here labels are those "
            "of the official list.",
            "The original reduces finished pictures of the flow to 28 × 28 by a bilinear filter; ours is computed at "
            "the crop's own size and reduced by an area filter, before it becomes a picture.",
            "The original's lists name an apex for each clip of SMIC, whose sheets have none; here it is the middle "
            "frame, or the one of most motion (`mer data import smic SOURCE --apex spotted`).",
            "The original sets its seed once, before the first fold; here each fold has draws of its own.",
            "No published score stands here, because the paper's figures were not at hand when this was written.",
        ),
        reference=renamed(
            DualATME,
            "fc.4.weight",
            (r"^face\.0\.", "Inception1_1."),
            (r"^face\.2\.", "Inception1_2."),
            (r"^puzzle\.0\.", "Inception2_1."),
            (r"^puzzle\.2\.", "Inception2_2."),
            (r"^cbam\.shared_mlp", "cbam.shared_MLP"),
            (r"^cbam\.conv", "cbam.conv2d"),
            (r"^head", "fc"),
        ),
    )
)
