"""ATN, the Apex-Time Network: a ResNet-10 on the apex frame and two LSTM layers on the motion of facial cells."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_models.layers import Dropout
from mer_models.networks import caffe
from mer_models.spec import InputSpec, ModelSpec, register
from mer_models.train import fit


class ATN(nn.Module):
    """Image branch and temporal branch, each 512 features of unit length, joined by one linear layer.

    Inputs float32 ``[N, 1, 224, 224]`` (gray apex frame, 0 to 255) and ``[N, 64, 128]`` (per step, direction in
    radians and magnitude of 64 cells), output logits ``[N, classes]``.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.image = caffe.ResNet10()
        self.lstm1 = caffe.Lstm(128, 512)
        self.lstm2 = caffe.Lstm(512, 512)
        self.dropout = Dropout(0.5)
        self.classifier = caffe.classifier(512 + 512, classes)

    def forward(self, image: Tensor, points: Tensor) -> Tensor:
        """Logits of a batch. Empty steps are in the temporal mean too: the LSTM answers them through its biases."""
        steps = empty_steps_first(points).transpose(0, 1)  # [T, N, 128]
        time = F.normalize(self.lstm2(self.lstm1(steps)).mean(0))  # [N, 512]
        logits: Tensor = self.classifier(self.dropout(torch.cat([self.image(image), time], 1)))
        return logits


def empty_steps_first(points: Tensor) -> Tensor:
    """Move the steps that hold something to the end, in their order; the front becomes zero.

    Parameters
    ----------
    points
        float32 ``[N, T, D]``. A step whose values sum to zero holds nothing.
    """
    filled = points.sum(2) != 0  # [N, T]
    order = filled.int().argsort(dim=1, stable=True)
    kept = torch.where(filled[..., None], points, torch.zeros_like(points))
    return kept.gather(1, order[..., None].expand_as(points))


register(
    ModelSpec(
        name="atn",
        paper=(
            "M. Peng, C. Wang, T. Bi, Y. Shi, X. Zhou, T. Chen: A novel apex-time network for cross-dataset "
            "micro-expression recognition. ACII 2019"
        ),
        inputs=(InputSpec("apex_gray_224", ("gray",), (224, 224)), InputSpec("atn_points", (), (64, 128))),
        recipe=caffe.RECIPE,
        fit=fit,
        build=ATN,
        groups=caffe.groups,
        reference=caffe.reference(ATN),
        gpu_share=0.25,  # 0.3 GiB of activations, 0.1 GiB of weights, gradients and moments, 0.1 GiB of clips
        deviations=(
            *caffe.DEVIATIONS,
            "The paper's UF1 and UAR could not be verified, so none are given here; its code keeps the last snapshot.",
        ),
    )
)
