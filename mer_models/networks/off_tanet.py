"""Off-TANet: a small residual network whose last stage combines three kinds of attention, and its four ablations."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from torch import Tensor, nn

from mer_models.layers import Dropout
from mer_models.networks.off_tanet_blocks import ChannelGate, MapAttention, ResidualBlock, SpatialGate, conv_bn
from mer_models.reference import renamed
from mer_models.spec import InputSpec, ModelSpec, Published, Recipe, register
from mer_models.train import fit

Attention = Literal["ta", "sa", "cbam", "res", "bot"]


def last_stage(attention: Attention) -> ResidualBlock:
    """Build the last stage, ``[N, 28, 14, 14]`` to ``[N, 8, 7, 7]``.

    Parameters
    ----------
    attention
        ``ta``, the published network: between two convolutions a channel gate, a spatial gate and map attention, in
        this order. ``cbam`` has the gates only, ``sa`` the map attention only, ``res`` none of them, and ``bot`` is
        two map attentions without any convolution.
    """
    layers: dict[str, nn.Module]
    match attention:
        case "ta":
            layers = {
                "conv1": conv_bn(28, 28),
                "ca": ChannelGate(28),
                "spa": SpatialGate(),
                "sa": MapAttention(28, 28, size=14),
                "conv2": conv_bn(28, 8),
            }
        case "cbam":
            layers = {
                "conv1": conv_bn(28, 28),
                "ca": ChannelGate(28),
                "spa": SpatialGate(),
                "conv2": conv_bn(28, 8),
            }
        case "sa":
            layers = {"conv1": conv_bn(28, 28), "sa": MapAttention(28, 8, size=14)}
        case "bot":
            layers = {"sa": nn.Sequential(MapAttention(28, 8, size=14), MapAttention(8, 8, size=14))}
        case "res":
            return ResidualBlock(28, 8, conv_bn(28, 8, 8))
    stage = ResidualBlock(28, 8, nn.Sequential(OrderedDict(layers)))
    if attention == "sa":
        stage.conv2 = conv_bn(28, 8)  # as published: it has parameters, and nothing passes it
    return stage


class OffTANet(nn.Module):
    """A stem, two residual blocks, the last stage, and three linear layers.

    Input float32 ``[N, 3, 112, 112]`` (u, v in pixels; strain), output logits ``[N, classes]``.

    Parameters
    ----------
    classes
        Number of classes.
    attention
        What the last stage is made of; see :func:`last_stage`.
    """

    def __init__(self, classes: int, attention: Attention = "ta") -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, kernel_size=7, stride=2, padding=3),
            nn.ReLU(),  # before the normalisation here, after it everywhere else
            nn.BatchNorm2d(8),
        )
        self.stage1 = ResidualBlock(8, 18, conv_bn(8, 18, 18))
        self.stage2 = ResidualBlock(18, 28, conv_bn(18, 28, 28))
        self.stage3 = last_stage(attention)
        self.dense = nn.Sequential(
            nn.Linear(8 * 7 * 7, 64),
            nn.ReLU(),
            Dropout(0.5),
            nn.Linear(64, 64),
            nn.ReLU(),
            Dropout(0.5),
            nn.Linear(64, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch."""
        x = self.stage2(self.stage1(self.stem(x)))  # [N, 8, 56, 56] -> [N, 18, 28, 28] -> [N, 28, 14, 14]
        logits: Tensor = self.dense(self.stage3(x).flatten(1))
        return logits


def _register(name: str, attention: Attention, published: tuple[Published, ...], *deviations: str) -> None:
    def build(classes: int) -> nn.Module:
        return OffTANet(classes, attention)

    register(
        ModelSpec(
            name=name,
            paper=(
                "J. Zhang, F. Liu, A. Zhou: Off-TANet: A lightweight neural micro-expression recognizer with optical "
                "flow features and integrated attention mechanism. PRICAI 2021"
            ),
            inputs=(InputSpec("flow_offtanet_112", ("u", "v", "strain"), (112, 112)),),
            recipe=Recipe(epochs=201, batch_size=64, lr=1e-3, step_every=60, step_factor=0.3, keep_every=20),
            fit=fit,
            build=build,
            published=published,
            deviations=(
                "Tested after epochs 20, 40, ..., 200, 201; the original after 1, 21, ..., 201.",
                "The original is scored on each held-out subject by itself, over the classes that occur there, and its "
                "epoch is the best one of the mean of these scores over the test subjects; here folds are pooled.",
                *deviations,
            ),
            dead=("stage3.conv2.",) if attention == "sa" else (),
            reference=renamed(
                build,
                "dense.6.weight",
                ("^stem", "conv1"),
                ("^stage1", "res1"),
                ("^stage2", "res2"),
                ("^stage3", "eres"),
                (r"path\.(\d)", r"conv.\1"),
                (r"path\.", ""),
                ("shortcut", "botneck"),
                (r"spa\.conv", "spa.conv1"),
                ("heads", "sa_blocks"),
                ("query", "w_q"),
                ("key", "w_k"),
                ("value", "w_v"),
            ),
        )
    )


_ABLATION = "An ablation that the authors' code offers; no score of it was published."
_register("off_tanet", "ta", (Published("casmes", 0.7242, 0.7315, "oracle-epoch, mean of folds", "paper"),))
_register(
    "off_tanet_sa",
    "sa",
    (),
    _ABLATION,
    "Its second convolution is built and never used, as published: of its parameters, 2,040 stay as they are.",
)
_register("off_tanet_cbam", "cbam", (), _ABLATION)
_register("off_tanet_res", "res", (), _ABLATION)
_register("off_tanet_bot", "bot", (), _ABLATION)
