"""Folds that a GPU repeats by itself: an epoch and a test are recorded once, and then played again and again.

Networks of this field are so small that a GPU is done with an operator before Python has sent the next. A CUDA graph
is a recording of all operators of an epoch, which the GPU then runs from one command. What it repeats is exactly what
was recorded: the same operators on the same places in memory. So whatever changes from epoch to epoch (the order of
the clips, the learning rates, where the logits go) lies in tables on the GPU, and the recorded work reads its row by a
counter that it moves itself. The first epoch is trained operator by operator: it makes what must exist before
recording, like the moments of Adam.

Nothing here knows CUDA but :class:`GraphLane`. A fold works in any lane; tests use one that repeats operators without a
GPU.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from mer_models.spec import FoldArrays, ModelSpec, Outcome, Recipe
from mer_models.train import Training, batches

Work = Callable[[], None]


class Lane(Protocol):
    """Where the work of one fold runs, beside that of others.

    Attributes
    ----------
    device
        A PyTorch device.
    """

    device: str

    def own(self) -> AbstractContextManager[None]:
        """While this lasts, what is done is done in this lane, with random numbers of its own."""

    def record(self, work: Work) -> Work:
        """Record some work without doing it; calling the answer does it. Both within :meth:`own`."""

    def wait(self) -> None:
        """Wait until all but the last call of this has been reached by the device."""


class RecordedFold:
    """A fold in training whose epochs after the first are repeated from a recording.

    The same arguments as of :func:`mer_models.train.fit`, with a lane in place of the device, and the same result: the
    weights, the orders of the clips and, on a GPU, the dropout are drawn from the same generators in the same order.
    """

    def __init__(self, spec: ModelSpec, arrays: FoldArrays, recipe: Recipe, seed: int, lane: Lane) -> None:
        self._lane, self._recipe, self._kept_epochs = lane, recipe, set(recipe.kept_epochs())
        self.done = 0
        with lane.own():
            self._training = Training(spec, arrays, recipe, seed, lane.device)
            clips = len(self._training.labels)
            self._batches = list(batches(clips, replace(recipe, order="by-class"), lane.device))
            self._orders = self._shuffles(clips)
            self._epoch_index, self._kept_index = (self._counter() for _ in range(2))
            _follow_tables(self._training, recipe, len(self._batches), lane.device)
            self._epoch()
            logits = self._training.logits()  # also where they are not kept: recording needs what a first call makes
            self._kept = logits.new_zeros((len(self._kept_epochs), *logits.shape))
            if 1 in self._kept_epochs:
                self._keep(logits)
        self.done = 1

    def _counter(self) -> Tensor:
        return torch.zeros(1, dtype=torch.int64, device=self._lane.device)

    def _shuffles(self, clips: int) -> Tensor | None:
        """The orders of all epochs ``[epochs, clips]``, drawn as the plain loop does; None if they never change."""
        if self._recipe.order == "by-class":
            return None
        return torch.stack([torch.randperm(clips) for _ in range(self._recipe.epochs)]).to(self._lane.device)

    def _epoch(self) -> None:
        order = None if self._orders is None else self._orders.index_select(0, self._epoch_index)[0]
        self._training.epoch(batch if order is None else order[batch] for batch in self._batches)
        self._epoch_index.add_(1)

    def _keep(self, logits: Tensor) -> None:
        self._kept.index_copy_(0, self._kept_index, logits[None])
        self._kept_index.add_(1)

    def record(self) -> None:
        """Record an epoch and a test."""
        with self._lane.own():
            self._play_epoch = self._lane.record(self._epoch)
            self._play_test = self._lane.record(lambda: self._keep(self._training.logits()))

    def advance(self) -> bool:
        """Train one more epoch; False if there was none left."""
        if self.done == self._recipe.epochs:
            return False
        self.done += 1
        with self._lane.own():
            self._play_epoch()
            if self.done in self._kept_epochs:
                self._play_test()
            self._lane.wait()
        return True

    def outcome(self) -> Outcome:
        """The result.

        Raises
        ------
        TrainingFailed
            If the logits are not finite after some epoch.
        """
        with self._lane.own():
            return self._training.outcome(self._kept)


class _Table:
    """A schedule of learning rates on the device. It stands in for PyTorch's, which sets numbers in Python."""

    def __init__(self, groups: list[dict[str, Any]], recipe: Recipe, steps: int, device: str) -> None:
        self._groups, self._index = groups, torch.zeros(1, dtype=torch.int64, device=device)
        self._rates = []
        for group in groups:
            rates = [group["lr"]]
            for step in range(1, steps + 1):
                rates.append(rates[-1] * recipe.step_factor if step % recipe.step_every == 0 else rates[-1])
            self._rates.append(torch.tensor(rates, dtype=torch.float32, device=device))
            group["lr"] = self._rates[-1][0].clone()

    def step(self) -> None:
        """The next row."""
        self._index.add_(1)
        for group, rates in zip(self._groups, self._rates, strict=True):
            group["lr"].copy_(rates.index_select(0, self._index)[0])


def _follow_tables(training: Training, recipe: Recipe, batches_of_an_epoch: int, device: str) -> None:
    """Let an optimizer read on the device what it would read on the host: its steps, and rates that change."""
    groups = training.optimizer.param_groups
    if torch.device(device).type == "cuda":
        for group in groups:
            if "capturable" in group:  # SGD counts no steps
                group["capturable"] = True
    if training.schedule is not None:
        steps = recipe.epochs * (batches_of_an_epoch if recipe.step_unit == "step" else 1)
        training.schedule = _Table(groups, recipe, steps, device)  # type: ignore[assignment]


class GraphLane:
    """A stream of the GPU with a memory pool and random numbers of its own, in which CUDA graphs are recorded.

    Graphs share what cuBLAS works in with others of their stream, so a lane keeps its own until it ends. The pool is
    shared by the graphs of a lane, which never run at the same time.
    """

    def __init__(self) -> None:
        self.device = "cuda"
        self._stream: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()
        self._generator = torch.cuda.default_generators[torch.cuda.current_device()]
        self._random = self._generator.clone_state()
        self._graphs: list[torch.cuda.CUDAGraph] = []
        self._marks: deque[torch.cuda.Event] = deque()

    @contextmanager
    def own(self) -> Iterator[None]:
        """See :class:`Lane`."""
        others = self._generator.graphsafe_get_state()
        self._generator.graphsafe_set_state(self._random)
        try:
            with torch.cuda.stream(self._stream):
                yield
        finally:
            self._generator.graphsafe_set_state(others)

    def record(self, work: Work) -> Work:
        """See :class:`Lane`. Where this fails, the process is of no more use to CUDA graphs (pytorch issue 171263)."""
        graph = torch.cuda.CUDAGraph()
        # Other threads of a worker may ask for memory meanwhile, which is no concern of the recording.
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
            work()
        self._graphs.append(graph)
        return graph.replay

    def wait(self) -> None:
        """See :class:`Lane`: the host runs at most two epochs ahead, so that progress is told truly."""
        mark = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        mark.record(self._stream)
        self._marks.append(mark)
        if len(self._marks) > 2:
            self._marks.popleft().synchronize()
