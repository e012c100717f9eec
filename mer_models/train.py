"""The training loop: arrays and a recipe in, test logits per kept epoch out. No files, no clocks, no labels of test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_models.spec import Arrays, FoldArrays, InputSpec, ModelSpec, Outcome, Recipe, TrainingFailed


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
        Seeds the initial weights, the order of the clips and dropout.
    device
        A PyTorch device, ``cpu`` or ``cuda``.

    Raises
    ------
    TrainingFailed
        If there are no training clips, or the logits are not finite after some epoch.
    """
    if spec.build is None:
        raise ValueError(f"{spec.name} has no network")
    if not len(arrays.labels):
        raise TrainingFailed("no training clips")
    torch.manual_seed(seed)  # the generators of all devices
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True

    if recipe.order == "by-class":
        by_class = np.argsort(arrays.labels, kind="stable")
        arrays = FoldArrays(
            tuple(array[by_class] for array in arrays.train),
            arrays.labels[by_class],
            arrays.test,
            arrays.test_clips,
            arrays.classes,
        )
    network = spec.build(arrays.classes).to(torch.device(device))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    train = to_tensors(spec.inputs, arrays.train, device)
    test = to_tensors(spec.inputs, arrays.test, device)
    labels = torch.from_numpy(arrays.labels).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)

    kept = recipe.kept_epochs()
    logits: list[Tensor] = []
    for epoch in range(1, recipe.epochs + 1):
        network.train()
        for batch in batches(len(labels), recipe, device):
            loss = F.cross_entropy(network(*(x[batch] for x in train)), labels[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        if epoch == kept[len(logits)]:
            logits.append(predict(network, test, recipe.batch_size))
    # One transfer at the end: asking the device earlier would make it wait for every epoch.
    stacked = torch.stack(logits).cpu().numpy()
    broken = ~np.isfinite(stacked).all(axis=(1, 2))
    if broken.any():
        raise TrainingFailed(f"logits are not finite after epoch {kept[int(broken.argmax())]}")
    return Outcome(tuple(kept), stacked)


def to_tensors(inputs: tuple[InputSpec, ...], arrays: Arrays, device: str) -> tuple[Tensor, ...]:
    """Stored arrays as the float32 tensors a network takes, on the device, channels last in memory."""
    tensors = []
    for spec, array in zip(inputs, arrays, strict=True):
        if array.shape[1:] != spec.shape:
            raise ValueError(f"{spec.feature}: clips of shape {array.shape[1:]}, the network takes {spec.shape}")
        # `device` first: bytes travel faster than floats. The array is a copy of ours, so it may be shared.
        tensor = torch.from_numpy(np.ascontiguousarray(array)).to(device).float()
        if (spec.scale, spec.shift) != (1.0, 0.0):
            tensor = tensor.mul_(spec.scale).add_(spec.shift)
        tensors.append(tensor.contiguous(memory_format=torch.channels_last))
    return tuple(tensors)


def batches(clips: int, recipe: Recipe, device: str) -> Iterator[slice | Tensor]:
    """What to index the training clips with, one epoch long: slices when the order is fixed (views, no copies)."""
    starts = range(0, clips, recipe.batch_size)
    if recipe.order == "by-class":
        yield from (slice(start, start + recipe.batch_size) for start in starts)
    else:
        order = torch.randperm(clips).to(device)
        yield from (order[start : start + recipe.batch_size] for start in starts)


@torch.inference_mode()
def predict(network: Callable[..., Tensor] | nn.Module, inputs: tuple[Tensor, ...], batch_size: int) -> Tensor:
    """Logits ``[clips, classes]`` in evaluation mode."""
    if isinstance(network, nn.Module):
        network.eval()
    parts = [network(*(x[i : i + batch_size] for x in inputs)) for i in range(0, len(inputs[0]), batch_size)]
    return torch.cat(parts)
