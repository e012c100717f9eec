"""What a feature is: a name, a version, a shape, parameters, and the function that computes it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from mer_data.faces.alignment import NONE, AlignSpec
from mer_data.hashing import digest
from mer_data.schema import Clip

FrameChoice = Literal["onset-apex", "onset-offset", "apex", "onset..offset"]
Made = TypeVar("Made")


@dataclass(frozen=True)
class ClipFrames:
    """The frames of one clip that a feature asked for, with what is known of them.

    Attributes
    ----------
    images
        uint8 ``[H, W, 3]`` each, BGR, cropped to the clip's face box if it has one, or aligned.
    numbers
        The frame number of each image, ascending.
    onset, apex
        The clip's own, as the dataset counts.
    landmarks
        Five points (x, y) in pixels of the images, float32 ``[5, 2]``: left eye, right eye, nose, left and right
        corner of the mouth, as seen in the picture; None if nobody marked them.
    """

    images: Sequence[npt.NDArray[np.uint8]]
    numbers: tuple[int, ...] = ()
    onset: int = 0
    apex: int = 0
    landmarks: npt.NDArray[np.float32] | None = None
    _made: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What `make` gives of these frames, made for the first feature that asks and kept for the others.

        Parameters
        ----------
        key
            Names what is made, with every parameter that `make` depends on.
        make
            Depends on the frames and on `key` only. Nobody may change what it returned.
        """
        if key not in self._made:
            self._made[key] = make()
        made: Made = self._made[key]
        return made

    def __iter__(self) -> Iterator[npt.NDArray[np.uint8]]:
        return iter(self.images)

    def __len__(self) -> int:
        return len(self.images)


Frames = ClipFrames
Compute = Callable[[ClipFrames], npt.NDArray[Any]]
Derive = Callable[[Mapping[str, npt.NDArray[Any]]], npt.NDArray[Any]]


def shape_of(channels: Sequence[str], size: Sequence[int]) -> tuple[int, ...]:
    """Shape of one clip's array: named channels first, if there are any, then `size`."""
    return (*((len(channels),) if channels else ()), *size)


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
        The frames it is computed from: ``onset-apex`` and ``onset-offset`` are those two, in this order;
        ``onset..offset`` is all that are on disk from onset to offset.
    channels
        Names of the first axis; empty if it has none.
    size
        The other axes: height and width in pixels for maps.
    dtype
        NumPy dtype of the stored array.
    params
        Every parameter that changes the bytes, library versions included.
    compute
        A clip's frames to an array of `shape` and `dtype`.
    uses_landmarks
        Whether the clip's landmarks change the bytes.
    derive_from, derive
        How it can be had for a dataset that came without frames: from the arrays of other features, of which the first
        is needed and the others are used where they are there.
    align
        What is done to the frames first.
    """

    name: str
    version: int
    frames: FrameChoice
    channels: tuple[str, ...]
    size: tuple[int, ...]
    dtype: str
    params: Mapping[str, Any] = field(repr=False)
    compute: Compute = field(repr=False, compare=False)
    uses_landmarks: bool = False
    derive_from: tuple[str, ...] = ()
    derive: Derive | None = field(default=None, repr=False, compare=False)
    align: AlignSpec = NONE

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one clip's array."""
        return shape_of(self.channels, self.size)

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
            **({"align": self.align.describe()} if self.align else {}),
        }

    def key(self) -> str:
        """Hash of the definition."""
        return digest(self.describe())

    def of(self, align: AlignSpec) -> FeatureSpec:
        """The same feature of frames that are aligned first."""
        return replace(self, align=align)

    def frame_numbers(self, clip: Clip, on_disk: Collection[int]) -> tuple[int, ...] | None:
        """The frames this feature needs of a clip, or None if the clip's annotation lacks one of them.

        `on_disk` are the numbers of the frames that are there; a number outside it may be asked for (and will be
        missed), except between onset and offset, where recordings have gaps.
        """
        named = {
            "onset-apex": (clip.onset, clip.apex),
            "onset-offset": (clip.onset, clip.offset),
            "apex": (clip.apex,),
            "onset..offset": (clip.onset, clip.offset),
        }[self.frames]
        numbers = [number for number in named if number is not None]
        if len(numbers) < len(named):
            return None
        if self.frames == "onset..offset":
            inner = (number for number in on_disk if numbers[0] < number < numbers[1])
            return (numbers[0], *sorted(inner), numbers[1])
        return tuple(numbers)


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
