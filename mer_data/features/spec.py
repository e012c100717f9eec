"""What a feature is: a name, a version, a shape, parameters, and the function that computes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mer_data.hashing import digest
from mer_data.schema import Clip

Frames = Sequence[npt.NDArray[np.uint8]]
Compute = Callable[[Frames], npt.NDArray[Any]]


@dataclass(frozen=True)
class FeatureSpec:
    """The definition of a feature. Two specs with different keys never share a file.

    Attributes
    ----------
    name
        How models ask for it, for instance ``flow_uvs_28``.
    version
        Raised by hand whenever `compute` gives other bytes.
    frames
        The frames it is computed from: ``onset-apex`` is those two, in this order.
    channels
        Names of the first axis.
    size
        Height and width in pixels.
    dtype
        NumPy dtype of the stored array.
    params
        Every parameter that changes the bytes, library versions included.
    compute
        Frames (each uint8 ``[H, W, 3]``, BGR) to an array of `shape` and `dtype`.
    """

    name: str
    version: int
    frames: Literal["onset-apex"]
    channels: tuple[str, ...]
    size: tuple[int, int]
    dtype: str
    params: Mapping[str, Any] = field(repr=False)
    compute: Compute = field(repr=False, compare=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one clip's array: channels, height, width."""
        return (len(self.channels), *self.size)

    def describe(self) -> dict[str, Any]:
        """The definition as plain values; what the key is made of."""
        return {
            "name": self.name,
            "version": self.version,
            "frames": self.frames,
            "channels": list(self.channels),
            "size": list(self.size),
            "dtype": self.dtype,
            "params": dict(self.params),
        }

    def key(self) -> str:
        """Hash of the definition."""
        return digest(self.describe())

    def frame_numbers(self, clip: Clip) -> tuple[int, ...] | None:
        """The frames this feature needs of a clip, or None if the clip's annotation lacks one of them."""
        if clip.onset is None or clip.apex is None:
            return None
        return clip.onset, clip.apex


FEATURES: dict[str, FeatureSpec] = {}


def feature(**definition: Any) -> Callable[[Compute], Compute]:
    """Register the decorated function as the `compute` of a :class:`FeatureSpec`."""

    def register(compute: Compute) -> Compute:
        spec = FeatureSpec(compute=compute, **definition)
        if spec.name in FEATURES:
            raise ValueError(f"feature {spec.name} is registered twice")
        FEATURES[spec.name] = spec
        return compute

    return register
