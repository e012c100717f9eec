"""The training loop: arrays and a recipe in, test logits per kept epoch out. No files, no clocks, no labels of test."""

from __future__ import annotations

from collections.abc import Iterator
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
    if spec.build is None:
        raise ValueError(f"{spec.name} has no network")
    if not len(arrays.labels):
        raise TrainingFailed("no training clips")
    torch.manual_seed(seed)  # the generators of all devices
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True

    network = as_trained(spec.build(arrays.classes), device)
    order = clip_order(arrays.labels, recipe, seed)
    train = [Input(one, array, device, order) for one, array in zip(spec.inputs, arrays.train, strict=True)]
    test = [Input(one, array, device) for one, array in zip(spec.inputs, arrays.test, strict=True)]
    labels = torch.from_numpy(arrays.labels[order]).to(device)
    step = _Step(spec, network, recipe)

    kept = recipe.kept_epochs()
    logits: list[Tensor] = []
    for epoch in range(1, recipe.epochs + 1):
        network.train()
        for batch in batches(len(labels), recipe, device):
            step.take([x.batch(batch) for x in train], labels[batch])
        step.end_epoch()
        if epoch == kept[len(logits)]:
            logits.append(predict(network, test, recipe.batch_size))
        tell_epoch(epoch, recipe.epochs)
    # One transfer at the end: asking the device earlier would make it wait for every epoch.
    stacked = torch.stack(logits).cpu().numpy()
    broken = ~np.isfinite(stacked).all(axis=(1, 2))
    if broken.any():
        raise TrainingFailed(f"logits are not finite after epoch {kept[int(broken.argmax())]}")
    return Outcome(tuple(kept), stacked, _state(network) if arrays.keep_state else None)


def as_trained(network: nn.Module, device: str) -> nn.Module:
    """The network in the form that is trained: on its device, channels last in memory, its sums exact there."""
    network.to(torch.device(device), memory_format=torch.channels_last)  # type: ignore[call-overload]
    return with_exact_sums(network)


def _state(network: nn.Module) -> dict[str, npt.NDArray[Any]]:
    return {key: tensor.cpu().numpy() for key, tensor in network.state_dict().items()}


class _Step:
    """One optimizer step after the other, with the recipe's loss and schedule."""

    def __init__(self, spec: ModelSpec, network: nn.Module, recipe: Recipe) -> None:
        if recipe.penalty and not hasattr(network, "with_penalty"):
            raise TrainingFailed(f"{spec.name} has no penalty of its own, so the recipe's penalty must be 0")
        self._spec, self._network, self._recipe = spec, network, recipe
        self._loss = LOSSES[recipe.loss]
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        groups = spec.groups(network, recipe) if spec.groups else trained
        self._optimizer = _optimizer(recipe, groups)
        self._schedule = (
            torch.optim.lr_scheduler.StepLR(self._optimizer, recipe.step_every, recipe.step_factor)
            if recipe.step_every
            else None
        )

    def take(self, clips: list[Tensor], labels: Tensor) -> None:
        """Learn from one batch."""
        if self._recipe.augment == "mirror":
            clips = mirrored(self._spec.inputs, clips)
        if self._recipe.penalty:
            logits, penalty = self._network.with_penalty(*clips)  # type: ignore[operator]
            loss = self._loss(logits, labels) + self._recipe.penalty * penalty
        else:
            loss = self._loss(self._network(*clips), labels)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        if self._schedule and self._recipe.step_unit == "step":
            self._schedule.step()

    def end_epoch(self) -> None:
        """Let the schedule know."""
        if self._schedule and self._recipe.step_unit == "epoch":
            self._schedule.step()


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
