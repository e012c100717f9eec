"""What a network costs: by the rules of torchstat, which published tables used, and by counts that know every layer.

torchstat's rules: one forward pass of one clip in evaluation mode. Only leaf modules count, each once, with the shapes
of its last call, however often it is called. A multiply-add is one FLOP. Functional calls and tensor arithmetic
(sums, concatenation, products of matrices, softmax) count nothing; a leaf that is never called counts nothing, its
parameters included; a parameter of a module that has children is missed. Its columns are comparable with published
tables and with nothing else, so each count says what it leaves out, and :func:`counted_flops` counts all products.

A network that runs several published layers as one says what they were in a method ``published_form() -> nn.Module``;
torchstat's rules count that form. Everything else is counted for the network as it runs.

Shapes are all that counting needs, so networks are built on the device ``meta``, without numbers.
"""

from __future__ import annotations

import time
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from mer_models.spec import ModelSpec

_BYTES = 4  # float32
_COUNTED = (
    nn.Conv2d,
    nn.Linear,
    nn.BatchNorm2d,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.ReLU,
    nn.ReLU6,
    nn.ELU,
    nn.LeakyReLU,
    nn.PReLU,
    nn.Upsample,
)
# Operations that move or hand on numbers without computing any; views are recognised by PyTorch itself.
_MOVES = {"clone", "copy", "to_copy", "unsafe_view", "lift_fresh", "empty"}


@dataclass(frozen=True)
class Complexity:
    """What one clip costs by torchstat's rules.

    Attributes
    ----------
    params
        Learnable numbers, all of them.
    counted_params
        Learnable numbers of the leaves that are called: the column of the published tables.
    flops
        Multiply-adds and single operations.
    mem_rw_bytes
        Bytes of activations and parameters read and written.
    uncounted
        What the rules count nothing for in this network: operations, and modules whose further calls are left out.
    """

    params: int
    counted_params: int
    flops: int
    mem_rw_bytes: int
    uncounted: tuple[str, ...]


def complexity(spec: ModelSpec, classes: int) -> Complexity:
    """Count a model; one that has no network counts nothing."""
    if spec.build is None:
        return Complexity(0, 0, 0, 0, ())
    network = _without_numbers(partial(spec.build, classes))
    published_form = getattr(network, "published_form", None)
    published = _without_numbers(published_form) if published_form else network
    calls: Counter[nn.Module] = Counter()
    counts: dict[nn.Module, tuple[int, int]] = {}
    operations = _Operations()

    def enter(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        operations.hidden = isinstance(module, _COUNTED)

    def leave(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        operations.hidden = False
        calls[module] += 1
        counts[module] = _leaf(module, inputs[0], output) if isinstance(module, _COUNTED) else (0, 0)

    for module in published.modules():
        if not list(module.children()):
            module.register_forward_pre_hook(enter)
            module.register_forward_hook(leave)
    with operations:
        published(*_shapes_of_one_clip(spec))
    repeated = {
        f"repeated {type(module).__name__}" for module, n in calls.items() if n > 1 and isinstance(module, _COUNTED)
    }
    return Complexity(
        params=sum(parameter.numel() for parameter in network.parameters()),
        counted_params=sum(_own(module) for module in counts),
        flops=sum(flops for flops, _ in counts.values()),
        mem_rw_bytes=_BYTES * sum(moved for _, moved in counts.values()),
        uncounted=tuple(sorted(operations.names | repeated)),
    )


def counted_flops(spec: ModelSpec, classes: int) -> int:
    """Operations in the convolutions and matrix products of one clip, attention included; a multiply-add is two.

    Counted by PyTorch's own counter at the level of its operations, so it does not matter whether a module or a
    function runs them, and every call counts. Element-wise operations, pooling and normalisation count nothing.
    """
    if spec.build is None:
        return 0
    network = _without_numbers(partial(spec.build, classes))
    with FlopCounterMode(display=False) as counter:
        network(*_shapes_of_one_clip(spec))
    return int(counter.get_total_flops())


def peak_bytes(spec: ModelSpec, classes: int) -> int:
    """Count the bytes alive at the worst moment of one clip's forward pass in evaluation mode.

    These are the parameters, the buffers, the clip, and every activation from the operation that makes it until
    Python lets go of it. Working memory inside an operation is not counted, since it differs between devices.
    """
    if spec.build is None:
        return 0
    network = _without_numbers(partial(spec.build, classes))
    clip = _shapes_of_one_clip(spec)
    live = _LiveBytes()
    for tensor in (*network.parameters(), *network.buffers(), *clip):
        live.add(tensor)
    with live:
        network(*clip)
    return live.peak


def latency_ms(spec: ModelSpec, classes: int, repeats: int = 50) -> float | None:
    """Median time of one clip through the network on this machine's CPU, in milliseconds; None without a network."""
    if spec.build is None:
        return None
    network = spec.build(classes).eval()
    clip = [torch.rand(1, *one.shape) for one in spec.inputs]
    times = []
    with torch.inference_mode():
        for _ in range(repeats):
            start = time.perf_counter()
            network(*clip)
            times.append(time.perf_counter() - start)
    return 1000 * sorted(times)[repeats // 2]


def _without_numbers(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        # `to` is for what networks make of NumPy arrays, which lie on the CPU.
        return build().to("meta").eval().requires_grad_(False)


def _shapes_of_one_clip(spec: ModelSpec) -> list[Tensor]:
    return [torch.empty(1, *one.shape, device="meta") for one in spec.inputs]


def _own(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters(recurse=False))


def _leaf(module: nn.Module, x: Tensor, y: Tensor) -> tuple[int, int]:
    """FLOPs, and elements read and written, of one call of a leaf.

    The first axis of `x` is the batch. It is 1, unless the network folds space or time into it; then parameters are
    read once per item.
    """
    n_in, n_out = x.numel(), y.numel()
    parameters = x.shape[0] * _own(module)
    if isinstance(module, nn.Conv2d):
        per_output = prod(module.kernel_size) * module.in_channels // module.groups
        return n_out * (per_output + (module.bias is not None)), n_in + parameters + n_out
    if isinstance(module, nn.Linear):  # the bias is not counted; torchstat itself refuses inputs of three axes
        return n_in * module.out_features, n_in + parameters + n_out
    if isinstance(module, nn.BatchNorm2d):
        statistics = 2 * module.num_features * x.shape[0]
        return n_in * (2 if module.affine else 1), 2 * n_in + statistics
    if isinstance(module, nn.MaxPool2d | nn.AvgPool2d):
        return n_in, n_in + n_out
    if isinstance(module, nn.Upsample):  # torchstat forgets the channels
        return y.shape[0] * prod(y.shape[2:]), 0
    return n_in, 2 * n_in + parameters  # ReLU and its relatives; PReLU has a parameter


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Collects the names of the operations that run while `hidden` is False, except views and copies."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.hidden = False
        self.names: set[str] = set()

    def __torch_dispatch__(
        self,
        func: OpOverload[..., Any],
        types: tuple[type, ...],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = func._schema.name.split("::")[1].strip("_")
        if not self.hidden and not func.is_view and name not in _MOVES:
            self.names.add(name)
        return func(*args, **(kwargs or {}))


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the memory of tensors until it is freed; `peak` is the largest sum."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._now = 0
        self._alive: set[int] = set()

    def add(self, tensor: Tensor) -> None:
        """Count a tensor's memory, unless it is that of a tensor counted before."""
        storage = tensor.untyped_storage()
        address, size = storage._cdata, storage.nbytes()
        if address in self._alive:
            return
        self._alive.add(address)
        self._now += size
        self.peak = max(self.peak, self._now)
        # PyTorch keeps this object as long as the memory itself, however many tensors share it.
        weakref.finalize(storage, self._free, address, size)

    def _free(self, address: int, size: int) -> None:
        self._alive.discard(address)
        self._now -= size

    def __torch_dispatch__(
        self,
        func: OpOverload[..., Any],
        types: tuple[type, ...],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(output):
            if isinstance(tensor, Tensor):
                self.add(tensor)
        return output
