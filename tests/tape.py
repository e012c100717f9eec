"""A lane without a GPU: a tape of PyTorch's operators, which repeats them as a CUDA graph does.

Like a recording of a GPU it does nothing while it records, repeats operators and nothing of the Python between them,
and refuses what would have to be read on the host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

_READS = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default, torch.ops.aten.bincount.default}


class HostReadError(RuntimeError):
    """A value of the device was needed on the host."""


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.operators: list[tuple[Any, Any, Any, Any]] = []
        self._made: set[int] = set()
        self._before: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _READS:
            raise HostReadError(str(func))
        tree_map_only(torch.Tensor, self._remember, (args, kwargs))
        out = func(*args, **kwargs)
        tree_map_only(torch.Tensor, lambda made: self._made.add(id(made)), out)
        self.operators.append((func, args, kwargs, out))
        return out

    def _remember(self, tensor: torch.Tensor) -> None:
        if id(tensor) not in self._made and id(tensor) not in self._before:
            self._before[id(tensor)] = tensor, tensor.detach().clone()

    def undo(self) -> None:
        with torch.no_grad():
            for tensor, before in self._before.values():
                if not torch.equal(tensor, before):
                    tensor.detach().copy_(before)


def _play(operators: list[tuple[Any, Any, Any, Any]]) -> None:
    made: dict[int, torch.Tensor] = {}
    with torch.no_grad():
        for func, args, kwargs, out in operators:
            args, kwargs = tree_map_only(torch.Tensor, lambda tensor: made.get(id(tensor), tensor), (args, kwargs))
            again = func(*args, **kwargs)
            for first, now in zip(_tensors(out), _tensors(again), strict=True):
                made[id(first)] = now


def _tensors(tree: Any) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    tree_map_only(torch.Tensor, found.append, tree)
    return found


class Plain:
    """Records nothing: the work is done by Python again, every time."""

    device = "cpu"

    def __init__(self) -> None:
        self._random = torch.get_rng_state()

    @contextmanager
    def own(self) -> Iterator[None]:
        others = torch.get_rng_state()
        torch.set_rng_state(self._random)
        try:
            yield
        finally:
            self._random = torch.get_rng_state()
            torch.set_rng_state(others)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        return work

    def wait(self) -> None:
        pass


class Tape(Plain):
    """Records operators."""

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        random = torch.get_rng_state()
        with _Recorder() as recorder:
            work()
        recorder.undo()
        torch.set_rng_state(random)
        return lambda: _play(recorder.operators)
