"""Micro-Attention as published in Caffe files: a ResNet-10 on the apex frame with a sigmoid gate after every unit."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mer_models.networks import caffe
from mer_models.spec import InputSpec, ModelSpec, register
from mer_models.train import fit


class Gate(nn.Module):
    """Micro-attention: one map of weights, made from all maps of a unit, added to the residual sum times that sum.

    Input four times float32 ``[N, channels, height, width]``, output the same shape.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = caffe.conv(3 * channels, channels, kernel_size=1)
        # The average over channels is a convolution that never learns; it is in published model files and in counts.
        self.average = nn.Conv2d(channels, 1, kernel_size=1, bias=False)
        nn.init.constant_(self.average.weight, 1 / channels)
        self.average.weight.requires_grad_(False)
        self.sigmoid = nn.Sigmoid()

    def forward(self, total: Tensor, shortcut: Tensor, inner: Tensor, outer: Tensor) -> Tensor:
        """The gated residual sum."""
        weight: Tensor = self.sigmoid(
            self.average(self.project(torch.cat([shortcut, inner, outer], 1)))
        )  # [N, 1, H, W]
        return total + total * weight


class MicroAttentionCaffe(nn.Module):
    """Gated ResNet-10 and one linear layer; there is no dropout.

    Input float32 ``[N, 1, 224, 224]`` (gray apex frame, 0 to 255), output logits ``[N, classes]``.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.image = caffe.ResNet10(Gate)
        self.classifier = caffe.classifier(512, classes)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of a batch."""
        logits: Tensor = self.classifier(self.image(image))
        return logits


register(
    ModelSpec(
        name="micro_attention_caffe",
        paper=(
            "C. Wang, M. Peng, T. Bi, T. Chen: Micro-attention for micro-expression recognition. Neurocomputing 410, "
            "2020"
        ),
        inputs=(InputSpec("apex_gray_224", ("gray",), (224, 224)),),
        recipe=caffe.RECIPE,
        fit=fit,
        build=MicroAttentionCaffe,
        dead=(".average.weight",),
        groups=caffe.groups,
        reference=caffe.reference(MicroAttentionCaffe),
        gpu_share=0.25,  # 0.3 GiB of activations
        deviations=(
            *caffe.DEVIATIONS,
            "The 960 weights that average the gates' channels are fixed, as in the original, and counted.",
            "The comparison figures of the ATN paper could not be verified, so none are given here.",
        ),
    )
)
