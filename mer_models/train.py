"""The training loop: arrays and a recipe in, test logits per kept epoch out. No files, no clocks, no labels of test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mer_models.batch_norm import with_exact_sums
from mer_models.batches import Input, clip_order, mirrored
from mer_models.losses import LOSSES
from mer_models.progress import tell_epoch
from mer_models.spec import FoldArrays, ModelSpec, Outcome, Recipe, TrainingFailed


def fit(spec: ModelSpec, arrays: FoldArrays, recipe: Recipe, seed: int, device: str) -> Outcome:
    """Train a fresh network on a fold and return its logits for the test clips.

    The same arguments give the same bytes on the same CPU, whatever ran before in this process.

    Parameters
    ----------
    spec
        A model that has a network.
    arrays
        Training clips with labels, test clips without.
    recipe
        The training settings.
    seed
        Seeds the initial weights, the order of the clips, their duplicates and dropout.
    device
        A PyTorch device, ``cpu`` or ``cuda``.

    Raises
    ------
    TrainingFailed
        If there are no training clips, the recipe does not fit the network, or the logits are not finite after some
        epoch.
    """
    training = Training(spec, arrays, recipe, seed, device)
    kept = recipe.kept_epochs()
    logits: list[Tensor] = []
    for epoch in range(1, recipe.epochs + 1):
        training.epoch(batches(len(training.labels), recipe, device))
        if epoch == kept[len(logits)]:
            logits.append(training.logits())
        tell_epoch(epoch, recipe.epochs)
    return training.outcome(torch.stack(logits))


def as_trained(network: nn.Module, device: str) -> nn.Module:
    """The network in the form that is trained: on its device, channels last in memory, its sums exact there."""
    network.to(torch.device(device), memory_format=torch.channels_last)  # type: ignore[call-overload]
    return with_exact_sums(network)


def _state(network: nn.Module) -> dict[str, npt.NDArray[Any]]:
    return {key: tensor.cpu().numpy() for key, tensor in network.state_dict().items()}


class Training:
    """A fold in training: a fresh network, its clips on the device, and one epoch after the other.

    Parameters
    ----------
    spec, arrays, recipe, seed, device
        As of :func:`fit`, which says what is raised.

    Attributes
    ----------
    labels
        Class index per training clip, duplicates included, int64 on the device.
    optimizer, schedule
        What moves the weights, and what moves the learning rates; None if they stay.
    """

    def __init__(self, spec: ModelSpec, arrays: FoldArrays, recipe: Recipe, seed: int, device: str) -> None:
        if spec.build is None:
            raise ValueError(f"{spec.name} has no network")
        if not len(arrays.labels):
            raise TrainingFailed("no training clips")
        torch.manual_seed(seed)  # the generators of all devices
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True

        self._spec, self._arrays, self._recipe = spec, arrays, recipe
        self.network = as_trained(spec.build(arrays.classes), device)
        order = clip_order(arrays.labels, recipe, seed)
        self._train = [Input(one, array, device, order) for one, array in zip(spec.inputs, arrays.train, strict=True)]
        self._test = [Input(one, array, device) for one, array in zip(spec.inputs, arrays.test, strict=True)]
        self.labels = torch.from_numpy(arrays.labels[order]).to(device)
        self._loss = LOSSES[recipe.loss]
        if recipe.penalty and not hasattr(self.network, "with_penalty"):
            raise TrainingFailed(f"{spec.name} has no penalty of its own, so the recipe's penalty must be 0")
        trained = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        self.optimizer = _optimizer(recipe, spec.groups(self.network, recipe) if spec.groups else trained)
        self.schedule = (
            torch.optim.lr_scheduler.StepLR(self.optimizer, recipe.step_every, recipe.step_factor)
            if recipe.step_every
            else None
        )

    def epoch(self, order: Iterable[slice | Tensor]) -> None:
        """Learn from all training clips, batch after batch."""
        self.network.train()
        for batch in order:
            self.step(batch)
            if self.schedule and self._recipe.step_unit == "step":
                self.schedule.step()
        if self.schedule and self._recipe.step_unit == "epoch":
            self.schedule.step()

    def step(self, batch: slice | Tensor) -> None:
        """Learn from one batch. On a GPU nothing here waits for the host."""
        clips, labels = [x.batch(batch) for x in self._train], self.labels[batch]
        if self._recipe.augment == "mirror":
            clips = mirrored(self._spec.inputs, clips)
        if self._recipe.penalty:
            logits, penalty = self.network.with_penalty(*clips)  # type: ignore[operator]
            loss = self._loss(logits, labels) + self._recipe.penalty * penalty
        else:
            loss = self._loss(self.network(*clips), labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def logits(self) -> Tensor:
        """What the network says about the test clips now, ``[clips, classes]`` on the device."""
        return predict(self.network, self._test, self._recipe.batch_size)

    def outcome(self, logits: Tensor) -> Outcome:
        """The result, from the logits ``[kept epochs, clips, classes]`` after each kept epoch."""
        # One transfer at the end: asking the device earlier would make it wait for every epoch.
        kept, stacked = self._recipe.kept_epochs(), logits.cpu().numpy()
        broken = ~np.isfinite(stacked).all(axis=(1, 2))
        if broken.any():
            raise TrainingFailed(f"logits are not finite after epoch {kept[int(broken.argmax())]}")
        return Outcome(tuple(kept), stacked, _state(self.network) if self._arrays.keep_state else None)


def _optimizer(recipe: Recipe, groups: Any) -> torch.optim.Optimizer:
    lr, decay = recipe.lr, recipe.weight_decay
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr=lr, weight_decay=decay, fused=True)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=lr, weight_decay=decay, momentum=recipe.momentum, fused=True)
    return torch.optim.RMSprop(groups, lr=lr, weight_decay=decay, alpha=0.99, eps=1e-8, foreach=True)


def batches(clips: int, recipe: Recipe, device: str) -> Iterator[slice | Tensor]:
    """What to index the training clips with, one epoch long: slices when the order is fixed (views, no copies).

    A last batch of one clip, which has no variance to normalise by, joins the batch before it.
    """
    starts = range(0, max(clips - (recipe.batch_size > 1), 1), recipe.batch_size)
    ends = [*starts[1:], clips]
    if recipe.order == "by-class":
        yield from (slice(start, end) for start, end in zip(starts, ends, strict=True))
    else:
        order = torch.randperm(clips).to(device)
        yield from (order[start:end] for start, end in zip(starts, ends, strict=True))


@torch.inference_mode()
def predict(network: nn.Module, inputs: list[Input], batch_size: int) -> Tensor:
    """Logits ``[clips, classes]`` in evaluation mode."""
    network.eval()
    starts = range(0, len(inputs[0]), batch_size)
    return torch.cat([network(*(x.batch(slice(start, start + batch_size)) for x in inputs)) for start in starts])
