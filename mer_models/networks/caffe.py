"""What the Caffe networks share: a pre-activation ResNet-10, batch normalisation, LSTM, rates and published blobs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_models.batch_norm import batch_norm
from mer_models.reference import WrongCheckpoint
from mer_models.spec import Recipe, Reference, State

WIDTHS = (64, 128, 256, 512)
CLASSIFIER = "classifier-Micro_expression.0"
# The solver file of both networks. 54 passes over the balanced list of a fold are about its 2500 steps.
RECIPE = Recipe(
    epochs=54,
    batch_size=16,
    optimizer="sgd",
    lr=0.01,
    momentum=0.9,
    weight_decay=5e-6,
    step_every=500,
    step_factor=0.1,
    step_unit="step",
    balance="oversample",
)
DEVIATIONS = (
    "The image branch starts from random weights; the original starts from a network trained on macro-expressions "
    "(facia_expression_iter_50000), which is not distributed.",
    "54 epochs; the original stops after 2500 steps of 16 clips, which is about as many.",
    "No augmentation: mirror, rotation and brightness are configured in the original, but its loader reads their "
    "probability under another key, so they never happen.",
    "The constant that the original's L2 normalisation adds is unknown; ours is 1e-12.",
    "Caffe multiplies the learning rate into its momentum, PyTorch applies it after: the few steps that follow a "
    "change of the rate differ.",
)
# Caffe's default: a running average keeps this part of what it was.
_KEPT = 0.999


class BatchNormScale(nn.BatchNorm2d):
    """Batch normalisation with a gain and a bias, and Caffe's running averages.

    Caffe sums the statistics of all steps, the older ones weighted down by 0.999 per step, and divides by the sum of
    the weights. So the first steps count in full, and the averages reach back about a thousand steps, where PyTorch's
    reach back ten. `scale_factor` is that sum of weights, float32 ``[1]``; the averages are stored divided by it.
    """

    scale_factor: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__(channels, track_running_stats=False)  # PyTorch's own averages; Caffe's are below
        self.running_mean = torch.zeros(channels)
        self.running_var = torch.ones(channels)
        self.register_buffer("scale_factor", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Maps of the same shape, normalised per channel."""
        mean, variance = cast(Tensor, self.running_mean), cast(Tensor, self.running_var)
        if not self.training:
            return F.batch_norm(x, mean, variance, self.weight, self.bias, eps=self.eps)
        # With momentum 1 these become the statistics of this batch, as the averages want them (variance unbiased).
        batch_mean, batch_variance = torch.zeros_like(mean), torch.zeros_like(variance)
        y = batch_norm(x, batch_mean, batch_variance, self.weight, self.bias, 1.0, self.eps)
        with torch.no_grad():
            self.scale_factor.mul_(_KEPT).add_(1)
            mean.lerp_(batch_mean, 1 / self.scale_factor)
            variance.lerp_(batch_variance, 1 / self.scale_factor)
        return y


class Lstm(nn.LSTM):
    """An LSTM layer from a zero state, with one bias vector as in Caffe.

    Input float32 ``[T, N, inputs]``, output ``[T, N, hidden]``. The second bias that PyTorch has stays zero: it is a
    buffer, so it neither learns nor counts. Gates are in PyTorch's order: input, forget, candidate, output.
    """

    bias_hh_l0: Tensor

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__(inputs, hidden)
        del self.bias_hh_l0
        self.register_buffer("bias_hh_l0", None, persistent=False)
        self.bias_hh_l0 = torch.zeros(4 * hidden)  # assigned, so that the layer's own list of weights has it too
        for name, parameter in self.named_parameters():
            if name.startswith("weight"):
                nn.init.normal_(parameter, std=0.1)
            else:
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # the state of the last step has no user
        """Hidden states of all steps."""
        return super().forward(x)[0]


class Unit(nn.Module):
    """A residual unit; the first one takes its input as it is, the others normalise it and halve its size.

    Output: the shortcut, the inner maps and the outer maps, each float32 ``[N, channels, height, width]``. The
    residual sum is the shortcut plus the outer maps.
    """

    def __init__(self, inputs: int, channels: int, first: bool) -> None:
        super().__init__()
        self.first = first
        if not first:
            self.bn1 = BatchNormScale(inputs)
            self.relu1 = nn.ReLU()
            self.conv_expand = conv(inputs, channels, kernel_size=1, stride=2)
        self.conv1 = conv(inputs, channels, kernel_size=3, stride=1 if first else 2)
        self.bn2 = BatchNormScale(channels)
        self.relu2 = nn.ReLU()
        self.conv2 = conv(channels, channels, kernel_size=3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Shortcut, inner maps, outer maps."""
        if not self.first:
            x = self.relu1(self.bn1(x))
        inner = self.relu2(self.bn2(self.conv1(x)))
        return x if self.first else self.conv_expand(x), inner, self.conv2(inner)


class ResNet10(nn.Module):
    """Pre-activation ResNet-10 on gray images, with a gate after every residual sum if `gate` makes one.

    Input float32 ``[N, 1, 224, 224]`` (gray, 0 to 255; the first layer normalises it), output ``[N, 512]`` of unit
    length.

    Parameters
    ----------
    gate
        Channels to a module that takes the residual sum, the shortcut, the inner and the outer maps of a unit.
    """

    def __init__(self, gate: Callable[[int], nn.Module] | None = None) -> None:
        super().__init__()
        self.data_bn = BatchNormScale(1)
        self.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3)
        nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(cast(Tensor, self.conv1.bias))
        self.conv1_bn = BatchNormScale(64)
        self.conv1_relu = nn.ReLU()
        self.pool = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
        inputs = (64, *WIDTHS)
        self.units = nn.ModuleDict({str(c): Unit(inputs[i], c, first=i == 0) for i, c in enumerate(WIDTHS)})
        self.gates = nn.ModuleDict({str(c): gate(c) for c in WIDTHS} if gate else {})
        self.last_bn = BatchNormScale(512)
        self.last_relu = nn.ReLU()
        self.global_pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        """Features of unit length."""
        x = self.pool(self.conv1_relu(self.conv1_bn(self.conv1(self.data_bn(x)))))  # [N, 64, 56, 56]
        for name, unit in self.units.items():
            shortcut, inner, outer = unit(x)
            x = shortcut + outer
            if name == str(WIDTHS[-1]):
                x = self.last_relu(self.last_bn(x))  # before the gate, unlike in the other units
            if name in self.gates:
                x = self.gates[name](x, shortcut, inner, outer)
        return F.normalize(torch.flatten(self.global_pool(x), 1))  # [N, 512]


def conv(inputs: int, outputs: int, kernel_size: int, stride: int = 1) -> nn.Conv2d:
    """Convolution without a bias, same padding, weights "msra" by fan-in."""
    layer = nn.Conv2d(inputs, outputs, kernel_size, stride, padding=kernel_size // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
    return layer


def classifier(inputs: int, classes: int) -> nn.Linear:
    """Last layer: weights "xavier" (uniform, by fan-in), biases 0.2."""
    layer = nn.Linear(inputs, classes)
    limit = math.sqrt(3 / inputs)
    nn.init.uniform_(layer.weight, -limit, limit)
    nn.init.constant_(layer.bias, 0.2)
    return layer


def groups(network: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameter groups of the prototxt files: biases learn at twice the rate, the classifier's without weight decay.

    The LSTM layers state no rates, so their biases learn at the base rate.
    """
    weights, biases, last = [], [], []
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        if name == "classifier.bias":
            last.append(parameter)
        elif name.endswith(".bias"):
            biases.append(parameter)
        else:
            weights.append(parameter)
    return [
        {"params": weights, "lr": recipe.lr, "weight_decay": recipe.weight_decay},
        {"params": biases, "lr": 2 * recipe.lr, "weight_decay": recipe.weight_decay},
        {"params": last, "lr": 2 * recipe.lr, "weight_decay": 0.0},
    ]


def reference(build: Callable[[int], nn.Module]) -> Reference:
    """How the blobs of a Caffe model file, named ``layer.index``, are read into one of these networks."""

    def shapes(classes: int) -> Mapping[str, tuple[int, ...]]:
        network = build(classes)
        state = network.state_dict()
        return {blob: tuple(state[key].shape) for key, blob in _blobs(network).items()}

    def convert(state: State) -> dict[str, Tensor]:
        ours = {}
        for key, blob in _blobs(build(len(state[CLASSIFIER]))).items():
            tensor = state[blob]
            if key.endswith(("running_mean", "running_var")):
                weights = state[blob[:-1] + "2"]  # Caffe stores sums, and the sum of their weights
                tensor = torch.where(weights == 0, torch.zeros_like(tensor), tensor / weights)
            elif key.startswith("lstm"):
                into, forget, out, candidate = tensor.chunk(4)
                tensor = torch.cat([into, forget, candidate, out])
            elif "average" in key and not torch.allclose(tensor, torch.tensor(1 / tensor.numel()), rtol=1e-5, atol=0):
                raise WrongCheckpoint(f"{blob} is a fixed average over channels, and these weights are none")
            ours[key] = tensor
        return ours

    return Reference(CLASSIFIER, shapes, convert)


def _blobs(network: nn.Module) -> dict[str, str]:
    """Our state dict's keys to the published blobs."""
    blobs: dict[str, str] = {}
    for path, module in network.named_modules():
        layer = _layer_name(path)
        if isinstance(module, BatchNormScale):
            scale = layer.replace("bn", "scale")
            names = ["running_mean", "running_var", "scale_factor", "weight", "bias"]
            indexed = [f"{layer}.0", f"{layer}.1", f"{layer}.2", f"{scale}.0", f"{scale}.1"]
        elif isinstance(module, Lstm):
            names = ["weight_ih_l0", "bias_ih_l0", "weight_hh_l0"]
            indexed = [f"{layer}.0", f"{layer}.1", f"{layer}.2"]
        elif isinstance(module, nn.Conv2d | nn.Linear):
            names = ["weight"] if module.bias is None else ["weight", "bias"]
            indexed = [f"{layer}.0", f"{layer}.1"][: len(names)]
        else:
            continue
        blobs |= {f"{path}.{name}": blob for name, blob in zip(names, indexed, strict=True)}
    return blobs


def _layer_name(path: str) -> str:
    """A module's path in our network to its layer's name in the prototxt files."""
    path = path.removeprefix("image.")
    path = re.sub(r"^units\.(\d+)\.", r"layer_\1_1_", path)
    path = re.sub(r"^gates\.(\d+)\.project$", r"mask_Concat_\1_1x1", path)
    path = re.sub(r"^gates\.(\d+)\.average$", r"mask_Concat_\1_1x1_one", path)
    return re.sub(r"^classifier$", CLASSIFIER.removesuffix(".0"), path)
