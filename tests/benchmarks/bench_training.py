"""Training steps per second of every network: a fold of ours against the loop of most public codes.

The plain loop is a DataLoader over a TensorDataset, PyTorch's own layers in their usual memory layout, one convolution
after the other as published, an unfused optimizer, and a test pass after every epoch. Ours is `train.fit` in a process
as a fold has it: one thread, freed memory kept. Both train the same network with the same batch size, optimizer, loss
and test passes, on random clips.

Two ratios, because two questions are asked:

* `1 : 1` - one fold of ours against one plain loop, one thread each, in seconds of processor time, which other work on
  the machine changes least;
* `2 : 2` - what two cores do: two folds of ours side by side, their steps added, against one plain loop that may use
  both cores, in seconds of the clock; only an idle machine tells the truth here.

Give names of networks to measure these only.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "models"))

from plain import plain

from mer_data.features import FEATURES
from mer_models import train
from mer_models.losses import LOSSES
from mer_models.spec import FoldArrays, InputSpec, ModelSpec, Recipe, models
from orchestrator.precompute import deep_features as _deep  # noqa: F401 - registers the features that networks make
from orchestrator.sweep.trial import keep_freed_memory

# Training clips: as many as an average fold of MEGC2019 has, or two steps of a network whose steps take a second.
CLIPS, STEPS_IF_HEAVY, TEST_CLIPS = 436, 2, 6
HEAVY = {"aman", "atn", "htnet", "macnn", "micro_attention", "micro_attention_caffe"}
SHORTENED = 3  # frames, and factors, of AMAN's 11 and 9
EPOCHS, ROUNDS = 2, 2  # of each network in each round, after one epoch that warms up; the fastest epoch counts
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
}


def fold_of(spec: ModelSpec, recipe: Recipe) -> FoldArrays:
    """Random clips as the store would hold them."""
    random = np.random.default_rng(0)
    clips = STEPS_IF_HEAVY * recipe.batch_size if spec.name in HEAVY else CLIPS

    def draw(one: InputSpec, count: int) -> np.ndarray:
        shape = (count, *(SHORTENED for _ in range(one.free_axes)), *one.shape[one.free_axes :])
        dtype = FEATURES[one.feature].dtype
        values = random.integers(0, 256, shape) if dtype == "uint8" else random.normal(size=shape)
        return values.astype(dtype)

    training, testing = (tuple(draw(one, count) for one in spec.inputs) for count in (clips, TEST_CLIPS))
    return FoldArrays(training, np.arange(clips) % 3, testing, TEST_CLIPS, 3)


def our_epochs(spec: ModelSpec, recipe: Recipe, clock: Callable[[], float]) -> list[float]:
    """When each epoch of a fold ended."""
    ends: list[float] = []
    predict = train.predict

    def and_look_at_the_clock(*arguments: object) -> Tensor:
        logits = predict(*arguments)
        ends.append(clock())
        return logits

    train.predict = and_look_at_the_clock
    try:
        spec.fit(spec, fold_of(spec, recipe), recipe, 0, "cpu")
    finally:
        train.predict = predict
    return ends


def plain_epochs(spec: ModelSpec, recipe: Recipe, clock: Callable[[], float]) -> list[float]:
    """When each epoch of the plain loop ended."""
    torch.manual_seed(0)
    network = plain(spec.build(3))
    arrays = fold_of(spec, recipe)
    training, testing = (
        [torch.from_numpy(x).float() * one.scale + one.shift for one, x in zip(spec.inputs, part, strict=True)]
        for part in (arrays.train, arrays.test)
    )
    labels = torch.from_numpy(arrays.labels)
    batches = DataLoader(TensorDataset(*training, labels), batch_size=recipe.batch_size, shuffle=True)
    test_batches = DataLoader(TensorDataset(*testing), batch_size=recipe.batch_size)
    options = {"lr": recipe.lr, "weight_decay": recipe.weight_decay}
    if recipe.optimizer == "sgd":
        options["momentum"] = recipe.momentum
    groups = spec.groups(network, recipe) if spec.groups else network.parameters()
    optimizer, loss_of = OPTIMIZERS[recipe.optimizer](groups, **options), LOSSES[recipe.loss]
    ends = []
    for _ in range(recipe.epochs):
        network.train()
        for *clips, truth in batches:
            optimizer.zero_grad()
            if recipe.penalty:
                logits, penalty = network.with_penalty(*clips)
                loss = loss_of(logits, truth) + recipe.penalty * penalty
            else:
                loss = loss_of(network(*clips), truth)
            loss.backward()
            optimizer.step()
        network.eval()
        with torch.no_grad():
            for clips in test_batches:
                network(*clips)
        ends.append(clock())
    return ends


def serve(pipe: Connection, ours: bool) -> None:
    """Train what is asked for, until nothing is: network, threads and clock in, steps per second out."""
    if ours:
        keep_freed_memory()
    for name, threads, clock in iter(pipe.recv, None):
        torch.set_num_threads(threads)
        spec = models()[name]
        recipe = replace(spec.recipe, epochs=1 + EPOCHS, keep_every=1)
        ends = (our_epochs if ours else plain_epochs)(spec, recipe, clock)
        steps = STEPS_IF_HEAVY if name in HEAVY else -(-CLIPS // recipe.batch_size)
        pipe.send(steps / float(np.diff(ends).min()))


class Workers:
    """Two processes of ours and one plain one; each imports PyTorch once."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        context = multiprocessing.get_context("spawn")
        self.pipes: list[Connection] = []
        for ours in (True, True, False):
            here, there = context.Pipe()
            context.Process(target=serve, args=(there, ours), daemon=True).start()
            self.pipes.append(here)

    def ask(self, name: str, *workers: int, threads: int = 1, clock: Callable[[], float] = time.perf_counter) -> float:
        """Steps per second of some workers at the same time, added."""
        for worker in workers:
            self.pipes[worker].send((name, threads, clock))
        return sum(self.pipes[worker].recv() for worker in workers)

    def measure(self, name: str) -> tuple[float, float, float, float]:
        """Steps per second: ours, plain; two of ours, plain with two threads. The ways take turns."""
        rounds = 1 if name in HEAVY else ROUNDS
        taken = [
            (
                self.ask(name, 0, clock=time.process_time),
                self.ask(name, 2, clock=time.process_time),
                self.ask(name, 0, 1),
                self.ask(name, 2, threads=self.threads),
            )
            for _ in range(rounds)
        ]
        return tuple(max(column) for column in zip(*taken, strict=True))  # type: ignore[return-value]


def main() -> None:
    """Print a line per network."""
    start = time.perf_counter()
    names = sys.argv[1:] or [name for name, spec in models().items() if spec.build is not None]
    workers = Workers(threads=min(2, torch.get_num_threads()))
    print("training steps per second; ratios: ours / plain")
    print(f"{'network':<22}{'parameters':>12}{'ours':>9}{'plain':>9}{'1 : 1':>8}{'2 ours':>9}{'plain':>9}{'2 : 2':>8}")
    for name in names:
        one, plain_one, two, plain_two = workers.measure(name)
        with torch.device("meta"):
            parameters = sum(parameter.numel() for parameter in models()[name].build(3).parameters())
        print(
            f"{name:<22}{parameters:>12,}{one:>9.2f}{plain_one:>9.2f}{one / plain_one:>7.2f}x"
            f"{two:>9.2f}{plain_two:>9.2f}{two / plain_two:>7.2f}x",
            flush=True,
        )
    for pipe in workers.pipes:
        pipe.send(None)
    print(f"{SHORTENED} of AMAN's 11 frames and of its 9 factors; {time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
