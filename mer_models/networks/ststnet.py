"""STSTNet, the network of its authors' PyTorch port."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mer_models.layers import Dropout
from mer_models.pooled_convolution import pooled_convolution, suits
from mer_models.spec import InputSpec, ModelSpec, Published, Recipe, Reference, State, register
from mer_models.train import fit

_FILTERS = (3, 5, 8)


class STSTNet(nn.Module):
    """Shallow triple-stream network: three convolutions of 3, 5 and 8 filters side by side, then one linear layer.

    The streams read the same input, have the same kernel and are concatenated before the linear layer, so they are
    one convolution of 16 filters with its batch normalisation: filters 0-2, 3-7 and 8-15 are the three streams. The
    initial weights have the same distribution too, since it depends on the kernel and the input channels only.

    Input float32 ``[N, 3, 28, 28]`` (strain, v, u; bytes 0 to 255), output logits ``[N, classes]``.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, sum(_FILTERS), kernel_size=3, padding=2)
        self.bn = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(kernel_size=3, stride=3, padding=1)
        self.dropout = Dropout(0.5)
        self.average = nn.AvgPool2d(kernel_size=2)
        self.fc = nn.Linear(16 * 5 * 5, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch."""
        x = self.fused(x) if self.training else self.plain(x)  # [N, 16, 10, 10]
        logits: Tensor = self.fc(torch.flatten(self.average(self.dropout(x)), 1))  # [N, 16, 5, 5] within
        return logits

    def plain(self, x: Tensor) -> Tensor:
        """Pooled maps, layer by layer; normalisation comes after the ReLU, as in the port."""
        pooled: Tensor = self.pool(self.bn(self.relu(self.conv(x))))  # [N, 16, 30, 30] within
        return pooled

    def fused(self, x: Tensor) -> Tensor:
        """The same by one kernel, where it may be used."""
        return pooled_convolution(x, self.conv, self.bn) if suits(x) else self.plain(x)

    def published_form(self) -> nn.Module:
        """The layers as they were published, for counting."""
        return ThreeStreams(self.fc.out_features)


class ThreeStreams(nn.Module):
    """The same network layer by layer as in the port, with the keys of its checkpoints.

    It is never trained here. One ReLU, one pooling and one dropout layer serve all three streams.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = (nn.Conv2d(3, c, kernel_size=3, padding=2) for c in _FILTERS)
        self.bn1, self.bn2, self.bn3 = (nn.BatchNorm2d(c) for c in _FILTERS)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(kernel_size=3, stride=3, padding=1)
        self.dropout = nn.Dropout(0.5)
        self.average = nn.AvgPool2d(kernel_size=2)
        self.fc = nn.Linear(16 * 5 * 5, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch."""
        layers = (self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)
        streams = [self.dropout(self.pool(bn(self.relu(conv(x))))) for conv, bn in layers]
        logits: Tensor = self.fc(torch.flatten(self.average(torch.cat(streams, 1)), 1))
        return logits


def _shapes(classes: int) -> Mapping[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in ThreeStreams(classes).state_dict().items()}


def _convert(state: State) -> dict[str, Tensor]:
    """Concatenate the filters of the streams."""
    own = {key: state[key] for key in ("fc.weight", "fc.bias")}
    # The three counters are always equal: every batch passes all streams.
    own["bn.num_batches_tracked"] = state["bn1.num_batches_tracked"]
    for layer, kinds in (("conv", ("weight", "bias")), ("bn", ("weight", "bias", "running_mean", "running_var"))):
        for kind in kinds:
            own[f"{layer}.{kind}"] = torch.cat([state[f"{layer}{stream}.{kind}"] for stream in (1, 2, 3)])
    return own


register(
    ModelSpec(
        name="ststnet",
        paper=(
            "S.-T. Liong, Y. S. Gan, J. See, H.-Q. Khor, Y.-C. Huang: Shallow triple stream three-dimensional CNN "
            "(STSTNet) for micro-expression recognition. IEEE FG 2019"
        ),
        # The port reads PNG files (red u, green v, blue strain) with OpenCV and never reorders: strain comes first.
        inputs=(InputSpec("flow_uvs_28", ("strain", "v", "u"), (28, 28), bytes=True),),
        # Unshuffled in class-sorted order: the two batches of an epoch differ in their classes, and with them the
        # statistics of the batch normalisation.
        recipe=Recipe(epochs=800, batch_size=256, order="by-class", lr=5e-5),
        fit=fit,
        build=STSTNet,
        published=(
            Published("megc2019", 0.7209, 0.7250, "last", "authors' PyTorch port, its published log"),
            Published("megc2019", 0.7353, 0.7186, "last", "paper (MATLAB); UAR from its log, 0.7605 is precision"),
        ),
        deviations=(
            "Within a class, clips are in the order of their ids; the port takes the file system's order.",
            "The paper's MATLAB network differs from its port: it subtracts the mean training image, keeps the size "
            "28x28 in the convolutions, and trains for 500 epochs.",
            "The three streams run as one convolution of 16 filters; FLOPs and memory traffic are those of the port, "
            "whose streams share a ReLU and a pooling layer that count once.",
        ),
        reference=Reference("fc.weight", _shapes, _convert),
    )
)
