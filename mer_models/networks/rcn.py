"""The RCN family: small recurrent convolutional networks with attention, dense shortcuts and wide stems."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mer_models.networks.rcn_blocks import (
    MAPS,
    POOL,
    Dense,
    Embedding,
    PooledStream,
    Recurrent,
    attention,
    enlarged,
    stem,
    stream,
)
from mer_models.reference import renamed
from mer_models.spec import InputSpec, ModelSpec, Published, Recipe, register
from mer_models.train import fit


class RCN(nn.Module):
    """What the variants share: input float32 ``[N, 3, 60, 60]`` (RGB of the flow, 0 to 1), logits ``[N, classes]``."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(POOL)
        self.classifier = nn.Linear(MAPS * POOL * POOL, classes)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def class_weights(self) -> Tensor:
        """The classifier's weights as maps ``[classes, 64, 7, 7]``."""
        return self.classifier.weight.view(-1, MAPS, POOL, POOL)

    def logits(self, maps: Tensor) -> Tensor:
        """Logits of maps ``[N, 64, 7, 7]``."""
        logits: Tensor = self.classifier(torch.flatten(maps, 1))
        return logits


class WideRCN(RCN):
    """What the variants with the wide stem share: three dilations side by side, 32 + 16 + 16 maps of 20×20."""

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.stream1 = stream(MAPS // 2, dilation=1)
        self.stream2 = stream(MAPS // 4, dilation=2)
        self.stream3 = stream(MAPS // 4, dilation=3)

    def wide(self, x: Tensor) -> Tensor:
        """Maps ``[N, 64, 20, 20]``."""
        return torch.cat([self.stream1(x), self.stream2(x), self.stream3(x)], 1)


class RCNA(RCN):
    """Recurrent block; the attention of the stem's maps gates what the classifier reads."""

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.conv1 = stem()
        self.rcls = nn.Sequential(Recurrent())

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch."""
        x = self.conv1(x)  # [N, 64, 28, 28]
        gate = attention(self.avgpool(x), self.class_weights())
        return self.logits(self.avgpool(self.rcls(x)) * gate)


class RCNS(RCN):
    """Dense block."""

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.conv1 = stem()
        self.dbl = nn.Sequential(Dense())

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch."""
        return self.logits(self.avgpool(self.dbl(self.conv1(x))))


class RCNW(WideRCN):
    """Wide stem and recurrent block."""

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.rcls = nn.Sequential(Recurrent())

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch."""
        return self.logits(self.avgpool(self.rcls(self.wide(x))))


class RCNP(RCN):
    """Found by search: two pooled streams, dense block, attention of the streams; `rcls` is idle."""

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.stream1 = PooledStream(MAPS // 2, dilation=1)
        self.stream2 = PooledStream(MAPS // 2, dilation=3)
        self.dbl = nn.Sequential(Dense())
        self.rcls = nn.Sequential(Recurrent())

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch."""
        x = torch.cat([self.stream1(x), self.stream2(x)], 1)  # [N, 64, 20, 20]
        gate = attention(self.avgpool(x), self.class_weights())
        return self.logits(self.avgpool(self.dbl(x)) * gate)


class RCNC(WideRCN):
    """Wide stem gated by the attention of the raw input, dense block; `ebl` is idle."""

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.dbl = nn.Sequential(Dense())
        self.ebl = Embedding()

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch."""
        # The input has 3 channels, the classifier's weights 64: each class has the mean of its 64 maps.
        gate = attention(self.avgpool(x), self.class_weights().mean(1, keepdim=True))
        maps = self.wide(x)
        return self.logits(self.avgpool(self.dbl(enlarged(gate, maps) * maps)))


class RCNF(WideRCN):
    """Wide stem whose third stream is the second once more, embedding block; `stream3` is idle."""

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.ebl = Embedding()

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch."""
        # In training the second stream's two runs differ by their dropout, and both move its running averages.
        x = torch.cat([self.stream1(x), self.stream2(x), self.stream2(x)], 1)  # [N, 64, 20, 20]
        return self.logits(self.avgpool(self.ebl(x, self.class_weights())))


_FLOW = "The coding of the flow as a colour picture is not released; ours is that of `flow_picture_60`."
_GATE = "Attention of a class with the same value everywhere is zero; in the original it is 0 / 0."
_NAMES = "The original cannot be built as shipped, because it calls another class's constructor; ours is the repair."
_SIZES = (
    "Settings are the defaults of the authors' script: 64 maps, pooled to 7 × 7, 100 epochs. The example in their "
    "README has 32 maps, pooled to 5 × 5 (15,331 parameters), and 20 epochs; MEB trains 500 epochs with 64 maps, "
    "pooled to 5 × 5."
)
_REPRINTED = "The published figure is one that HTNet's table reprints; with which settings it was obtained is not said."
_SOURCE = "Network and recipe are those of the authors' repository; MEB's copies differ in names and settings."


def _register(
    variant: str,
    build: type[RCN],
    dead: tuple[str, ...] = (),
    published: tuple[Published, ...] = (),
    deviations: tuple[str, ...] = (),
) -> None:
    register(
        ModelSpec(
            name=f"rcn_{variant}",
            paper=(
                "Z. Xia, W. Peng, H.-Q. Khor, X. Feng, G. Zhao: Revealing the invisible with model and data shrinking "
                "for composite-database micro-expression recognition. IEEE Transactions on Image Processing 29, 2020"
            ),
            inputs=(InputSpec("flow_picture_60", ("r", "g", "b"), (60, 60), scale=1 / 255),),
            # The original also makes a schedule that halves the rate, and never steps it.
            recipe=Recipe(epochs=100, batch_size=64, optimizer="sgd", lr=5e-4, momentum=0.9),
            fit=fit,
            build=build,
            published=published,
            deviations=(_FLOW, *deviations, _SOURCE),
            dead=dead,
            reference=renamed(build, "classifier.weight"),
        )
    )


_register(
    "a",
    RCNA,
    published=(Published("megc2019", 0.7432, 0.7190, "last", "row RCN of HTNet's table"),),
    deviations=(_GATE, _SIZES, _REPRINTED),
)
_register("s", RCNS, dead=("dbl.0.conv3.",))
_register("w", RCNW)
_register("p", RCNP, dead=("dbl.0.conv3.", "rcls."), deviations=(_GATE, _NAMES))
_register("c", RCNC, dead=("dbl.0.conv3.", "ebl."), deviations=(_GATE,))
_register("f", RCNF, dead=("stream3.",), deviations=(_GATE, _NAMES))
