"""Micro-Attention as re-implemented for the Off-TANet comparison: residual blocks that weigh their own positions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_models.layers import Dropout, Linear
from mer_models.reference import renamed
from mer_models.spec import InputSpec, ModelSpec, Published, Recipe, register
from mer_models.train import fit


def _conv_bn(c_in: int, c: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(c_in, c, kernel_size=3, padding=1), nn.BatchNorm2d(c), nn.ReLU())


class AttentionBlock(nn.Module):
    """A residual block whose sum is weighed by one attention map: ``[N, c_in, H, W]`` to ``[N, c, H, W]``.

    The weights of a map sum to 1 over its positions, so each is of the order 1 / (H * W), and the block is close to a
    plain residual block.
    """

    def __init__(self, c_in: int, c: int) -> None:
        super().__init__()
        self.first = _conv_bn(c_in, c)
        self.second = _conv_bn(c, c)
        self.shortcut = nn.Conv2d(c_in, c, kernel_size=1)
        self.project = nn.Conv2d(3 * c, 3 * c, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Add, and weigh; there is no activation afterwards."""
        first = self.first(x)
        second = self.second(first)
        shortcut = self.shortcut(x)
        added = second + shortcut
        score = self.score(torch.cat((first, second, shortcut), 1))  # [N, 1, H, W]
        weight = score.flatten(1).softmax(1).view_as(score)  # over all positions of a clip
        weighed: Tensor = added + added * weight
        return weighed

    def score(self, x: Tensor) -> Tensor:
        """Mean over the channels of the projection, ``[N, 3 * c, H, W]`` to ``[N, 1, H, W]``.

        The mean of the outputs of linear filters is the output of their mean, which saves a third of the network's
        work.
        """
        weight, bias = (parameter.mean(0, keepdim=True) for parameter in self.project.parameters())
        return F.conv2d(x, weight, bias)


class PlainAttentionBlock(AttentionBlock):
    """The same block with the projection as it was published."""

    def score(self, x: Tensor) -> Tensor:
        """Project, and then take the mean."""
        projected: Tensor = self.project(x)
        return projected.mean(1, keepdim=True)


class MicroAttention(nn.Module):
    """Three attention blocks of 64 to 256 channels with pooling between them, and two linear layers.

    Input float32 ``[N, 3, 224, 224]`` (u, v in pixels; strain), output logits ``[N, classes]``.

    Parameters
    ----------
    classes
        Number of classes.
    block
        The kind of attention block; both compute the same.
    """

    def __init__(self, classes: int, block: type[AttentionBlock] = AttentionBlock) -> None:
        super().__init__()
        self.classes = classes
        self.stem = nn.Sequential(
            nn.Conv2d(3, 32, kernel_size=7, stride=2, padding=3),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )
        self.blocks = nn.Sequential(
            block(32, 64),
            nn.MaxPool2d(2),
            block(64, 128),
            nn.MaxPool2d(2),
            block(128, 256),
            nn.MaxPool2d(2),
        )
        self.dense = nn.Sequential(Linear(256 * 7 * 7, 4096), nn.ReLU(), Dropout(0.5), nn.Linear(4096, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch."""
        x = self.blocks(self.stem(x))  # [N, 32, 56, 56] -> [N, 256, 7, 7]
        logits: Tensor = self.dense(x.flatten(1))
        return logits

    def published_form(self) -> nn.Module:
        """The layers as they were published, for counting."""
        return MicroAttention(self.classes, PlainAttentionBlock)


register(
    ModelSpec(
        name="micro_attention",
        paper=(
            "C. Wang, M. Peng, T. Bi, T. Chen: Micro-attention for micro-expression recognition. Neurocomputing 410, "
            "2020; the variant in the table of the Off-TANet paper (PRICAI 2021)"
        ),
        inputs=(InputSpec("flow_offtanet_224", ("u", "v", "strain"), (224, 224)),),
        recipe=Recipe(
            epochs=51,
            batch_size=10,
            optimizer="sgd",
            lr=1e-3,
            momentum=0.9,
            weight_decay=5e-4,
            step_every=10,
            step_factor=0.1,
            keep_every=10,
        ),
        fit=fit,
        build=MicroAttention,
        published=(Published("casmes", 0.7021, 0.7086, "oracle-epoch, mean of folds", "Off-TANet table"),),
        deviations=(
            "Network and recipe are those of the Off-TANet re-implementation, fed with optical flow; the original "
            "method takes the grey apex frame, has another head, and a sigmoid in place of the softmax.",
            "Tested after epochs 10, 20, ..., 50, 51; the re-implementation after 1, 11, ..., 51.",
        ),
        reference=renamed(
            MicroAttention,
            "dense.3.weight",
            ("^stem", "conv"),
            ("^blocks", "ma"),
            ("first", "convl_1"),
            ("second", "convl_2"),
            ("shortcut", "convm"),
            ("project", "convr"),
        ),
        gpu_share=0.25,  # 0.6 GiB of weights, gradients and moments; 0.2 GiB of activations, 0.2 GiB of clips
    )
)
