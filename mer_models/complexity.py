"""Parameters, FLOPs and memory traffic by the rules of torchstat, which published complexity tables used.

One forward pass of one clip in evaluation mode; only leaf modules count, each once, with the shapes of its last
call; a multiply-add is one FLOP; functional calls and tensor arithmetic count nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from mer_models.spec import ModelSpec

_BYTES = 4  # float32


@dataclass(frozen=True)
class Complexity:
    """What one clip costs.

    Attributes
    ----------
    params
        Learnable numbers.
    flops
        Multiply-adds and single operations, by the rules above.
    mem_rw_bytes
        Bytes of activations and parameters read and written, by the same rules.
    """

    params: int
    flops: int
    mem_rw_bytes: int


def complexity(spec: ModelSpec, classes: int) -> Complexity:
    """Count a model; one that has no network counts nothing."""
    if spec.build is None:
        return Complexity(0, 0, 0)
    network = spec.build(classes).eval()
    counts: dict[nn.Module, tuple[int, int]] = {}

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        counts[module] = _leaf(module, inputs[0], output)

    leaves = [module for module in network.modules() if not list(module.children())]
    hooks = [leaf.register_forward_hook(count) for leaf in leaves]
    with torch.inference_mode():
        network(*_one_clip(spec))
    for hook in hooks:
        hook.remove()
    params = sum(parameter.numel() for parameter in network.parameters())
    flops = sum(flops for flops, _ in counts.values())
    return Complexity(params, flops, _BYTES * sum(moved for _, moved in counts.values()))


def latency_ms(spec: ModelSpec, classes: int, repeats: int = 50) -> float | None:
    """Median time of one clip through the network on this machine's CPU, in milliseconds; None without a network."""
    if spec.build is None:
        return None
    network, clip = spec.build(classes).eval(), _one_clip(spec)
    times = []
    with torch.inference_mode():
        for _ in range(repeats):
            start = time.perf_counter()
            network(*clip)
            times.append(time.perf_counter() - start)
    return 1000 * sorted(times)[repeats // 2]


def _one_clip(spec: ModelSpec) -> tuple[Tensor, ...]:
    return tuple(torch.rand(1, *one.shape) for one in spec.inputs)


def _leaf(module: nn.Module, x: Tensor, y: Tensor) -> tuple[int, int]:
    """FLOPs, and elements read and written, of one call of a leaf."""
    n_in, n_out = x.numel(), y.numel()
    own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
    if isinstance(module, nn.Conv2d):
        per_output = prod(module.kernel_size) * module.in_channels // module.groups
        return n_out * (per_output + (module.bias is not None)), n_in + x.shape[0] * own + n_out
    if isinstance(module, nn.Linear):
        return x.shape[0] * module.in_features * module.out_features, n_in + x.shape[0] * own + n_out
    if isinstance(module, nn.BatchNorm2d):
        statistics = 2 * module.num_features * x.shape[0]
        return n_in * (2 if module.affine else 1), 2 * n_in + statistics
    if isinstance(module, nn.MaxPool2d | nn.AvgPool2d):
        return n_in, n_in + n_out
    if isinstance(module, nn.ReLU):
        return n_in, 2 * n_in
    return 0, 0
