"""From stored arrays to the batches a network sees: order, duplicates, scale, mirroring."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mer_models.spec import RESIDENT_BYTES, InputSpec, Recipe, Rows, TrainingFailed


def clip_order(labels: npt.NDArray[np.int64], recipe: Recipe, seed: int) -> npt.NDArray[np.int64]:
    """Indices of the training clips in the order an epoch starts from, duplicates included."""
    order = np.arange(len(labels))
    if recipe.balance == "oversample":
        random = np.random.default_rng(seed)
        counts = np.bincount(labels)
        for label in np.flatnonzero(counts):
            members = np.flatnonzero(labels == label)
            order = np.append(order, random.choice(members, counts.max() - len(members)))
    if recipe.order == "by-class":
        order = order[np.argsort(labels[order], kind="stable")]
    return order


class Input:
    """One input of a network for a list of clips.

    Small ones lie on the device as float32, channels last in memory; large ones are fetched batch by batch.

    Parameters
    ----------
    spec
        What the network takes.
    rows
        The clips as stored, ``[clips, *spec.shape]``.
    device
        Where the batches go.
    order
        Which rows, in which order; all as they are if not given.
    """

    def __init__(self, spec: InputSpec, rows: Rows, device: str, order: npt.NDArray[np.int64] | None = None) -> None:
        free = spec.free_axes
        if len(rows.shape) - 1 != len(spec.shape) or rows.shape[1 + free :] != spec.shape[free:]:
            raise ValueError(f"{spec.feature}: clips of shape {rows.shape[1:]}, the network takes {spec.shape}")
        self._spec, self._rows, self._device = spec, rows, device
        self._order = np.arange(len(rows)) if order is None else order
        in_order = len(self._order) == len(rows) and bool((self._order == np.arange(len(rows))).all())
        self._resident = None
        if rows.nbytes <= RESIDENT_BYTES:
            self._resident = self._to_device(np.asarray(rows) if in_order else rows[self._order])

    def __len__(self) -> int:
        return len(self._order)

    def batch(self, index: slice | Tensor) -> Tensor:
        """Some clips, float32 ``[batch, *shape]``."""
        if self._resident is not None:
            return self._resident[index]
        wanted = self._order[index] if isinstance(index, slice) else self._order[index.cpu().numpy()]
        return self._to_device(self._rows[wanted])

    def _to_device(self, array: npt.NDArray[np.generic]) -> Tensor:
        # The device first: bytes travel faster than floats. Shared memory is never written to: `float` copies, or the
        # array is floats already and nothing below changes it in place.
        tensor = torch.from_numpy(np.ascontiguousarray(array)).to(self._device).float()
        if (self._spec.scale, self._spec.shift) != (1.0, 0.0):
            tensor = tensor * self._spec.scale + self._spec.shift
        return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def mirrored(inputs: Sequence[InputSpec], clips: list[Tensor]) -> list[Tensor]:
    """Half of a batch, drawn at random, mirrored left to right: horizontal flow changes its sign too.

    Raises
    ------
    TrainingFailed
        If an input has no left and right that is known.
    """
    chosen = torch.rand(len(clips[0]), device=clips[0].device) < 0.5
    out = []
    for spec, x in zip(inputs, clips, strict=True):
        if not spec.channels or not {"u", "gray"} & set(spec.channels):
            raise TrainingFailed(f"augment: mirror does not know how to mirror {spec.feature}")
        flipped = x.flip(-1)
        if "u" in spec.channels:
            at = spec.channels.index("u")
            # A map of bytes has its zero in the middle of its range, one of pixels has it at 0.
            middle = spec.shift + (127.5 * spec.scale if spec.bytes else 0.0)
            flipped[:, at] = 2 * middle - flipped[:, at]
        out.append(torch.where(chosen[:, None, None, None], flipped, x))
    return out
