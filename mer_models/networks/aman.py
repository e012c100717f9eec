"""AMAN: attention over magnification factors, then over frames, on features of magnified frames."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_models.batch_norm import batch_norm
from mer_models.networks.resnet18 import BasicBlock, layer
from mer_models.reference import renamed
from mer_models.spec import InputSpec, ModelSpec, Recipe, register
from mer_models.train import fit


class AMAN(nn.Module):
    """Layer 4 of a ResNet-18 on every slice, weighted means over factors and over frames, one linear layer.

    Input float32 ``[N, J, I, 256, 14, 14]``, J frames magnified by I factors each, output logits ``[N, classes]``.
    A slice is one frame with one factor. The order of frames and factors does not matter in evaluation.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layer4 = layer(256, 512, 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.alpha = nn.Sequential(nn.Linear(512, 1), nn.Sigmoid())
        self.beta = nn.Sequential(nn.Linear(512, 1), nn.Sigmoid())
        self.pred_fc = nn.Linear(512, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch; in training, every slice is a batch of its own for the batch normalisation."""
        clips, frames, factors = x.shape[:3]
        slices = x.flatten(1, 2)  # [N, J * I, 256, 14, 14]
        vectors = self.fused(slices) if self.training else self._vectors(slices.flatten(0, 1))
        vectors = vectors.reshape(clips, frames, factors, -1)
        vectors = weighted_mean(vectors, self.alpha(vectors), dim=2)  # [N, J, 512]
        vectors = weighted_mean(vectors, self.beta(vectors), dim=1)  # [N, 512]
        logits: Tensor = self.pred_fc(vectors)
        return logits

    def plain(self, slices: Tensor) -> Tensor:
        """Vectors ``[N, J * I, 512]`` of slices one after the other, as in the original."""
        return torch.stack([self._vectors(one) for one in slices.unbind(1)], 1)

    def fused(self, slices: Tensor) -> Tensor:
        """The same by convolutions of all slices together; each is still normalised by its own statistics."""
        count = slices.shape[1]
        x = slices.flatten(0, 1)
        for block in self.layer4:
            x = _block_of_slices(cast(BasicBlock, block), x, count)
        return x.mean((2, 3))

    def _vectors(self, maps: Tensor) -> Tensor:
        return torch.flatten(self.avgpool(self.layer4(maps)), 1)


def _block_of_slices(block: BasicBlock, x: Tensor, count: int) -> Tensor:
    """A residual block on maps ``[N * count, C, H, W]``, the slice the inner index."""
    shortcut = x
    if block.downsample is not None:
        convolution, norm = block.downsample
        shortcut = _normalise_slices(convolution(x), cast(nn.BatchNorm2d, norm), count)
    x = F.relu(_normalise_slices(block.conv1(x), block.bn1, count))
    return F.relu(_normalise_slices(block.conv2(x), block.bn2, count) + shortcut)


def _normalise_slices(x: Tensor, norm: nn.BatchNorm2d, count: int) -> Tensor:
    """Batch normalisation in training, each slice by itself; running averages move as if slice came after slice."""
    channels, momentum = x.shape[1], cast(float, norm.momentum)
    # Each channel of each slice is a channel of its own. With momentum 1 the averages become this batch's statistics.
    mean, variance = x.new_zeros(2, count * channels)
    weight, bias = norm.weight.repeat(count), norm.bias.repeat(count)
    by_slice = x.reshape(-1, count * channels, *x.shape[2:])
    y = batch_norm(by_slice, mean, variance, weight, bias, momentum=1.0, eps=norm.eps)
    age = torch.arange(count - 1, -1, -1, device=x.device)
    weights = momentum * (1 - momentum) ** age
    for average, statistics in ((norm.running_mean, mean), (norm.running_var, variance)):
        cast(Tensor, average).mul_((1 - momentum) ** count).add_(weights @ statistics.view(count, channels))
    cast(Tensor, norm.num_batches_tracked).add_(count)
    return y.view(x.shape)


def weighted_mean(values: Tensor, weights: Tensor, dim: int) -> Tensor:
    """Mean along a dimension, by weights that need not sum to one."""
    return (weights * values).sum(dim) / weights.sum(dim)


register(
    ModelSpec(
        name="aman",
        paper=(
            "M. Wei, W. Zheng, Y. Zong, X. Jiang, C. Lu, J. Liu: A novel micro-expression recognition approach using "
            "attention-based magnification-adaptive networks. ICASSP 2022"
        ),
        inputs=(InputSpec("aman_maps", (), (11, 9, 256, 14, 14), free_axes=2),),
        recipe=Recipe(
            epochs=50,
            batch_size=4,
            optimizer="rmsprop",
            lr=1e-3,
            weight_decay=1e-4,
            step_every=30,
            step_factor=0.2,
        ),
        fit=fit,
        build=AMAN,
        reference=renamed(AMAN, "pred_fc.weight"),
        # Memory, with 0.4 GiB of activations, would allow a quarter. But a step is 10^12 operations on 80 MB that come
        # from disk: two folds are enough for one to compute while the other reads.
        gpu_share=0.5,
        deviations=(
            "The features come from a ResNet-18 in evaluation mode; the original forgets to switch, so its batch "
            "normalisation takes the statistics of each frame's stack of factors.",
            "The original's frames are magnified by a trained network (MagNet), ours by a linear Eulerian magnifier.",
            "The original stops a fold as soon as its test accuracy is 100 % and keeps the epoch of the best test "
            "accuracy; ours trains all epochs.",
            "The original tests a whole subject at once and reports accuracy and F1 with five classes (three for "
            "SMIC); these figures could not be verified, and no composite UF1 or UAR is known.",
        ),
    )
)
