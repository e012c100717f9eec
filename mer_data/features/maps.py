"""Maps of u, v and strain between two frames, in the versions that models ask for.

A name tells all that is decided: ``flow_KIND_SIZE[_ALGORITHM][_offset][_level][_STRAIN]``.

========  ============================================================================================================
part      meaning
========  ============================================================================================================
KIND      ``uvs``: flow at the frames' own size, strain of it, reduced by an area filter, stretched to 0..255; uint8
          ``raw``: the same without stretching: pixels of the frames; float32
          ``meb``: flow at the frames' own size, MEB's strain, stretched to 0..1, then reduced; float32
          ``offtanet``: the frames reduced first (bicubic, in colour), then flow, Off-TANet's strain; float32
SIZE      height and width in pixels
ALGORITHM ``farneback`` or ``dis``; without it TV-L1
offset    from onset to offset; without it from onset to apex
level     the second frame is first made as bright as the first one: flow takes a change of light for motion
STRAIN    a name of :data:`~mer_data.features.strain.STRAINS`, if it is not the kind's own
========  ============================================================================================================

To have another version, add its name to `NAMES`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from mer_data.features.flow import ALGORITHMS, Maps, grey
from mer_data.features.spec import FEATURES, FeatureSpec, Frames
from mer_data.features.strain import STRAINS


@dataclass(frozen=True)
class Kind:
    """What a kind of map decides: see the table above."""

    strain: str
    scaling: Literal["none", "bytes", "unit"]
    reduce_first: bool = False

    @property
    def dtype(self) -> str:
        """NumPy dtype of the maps."""
        return "uint8" if self.scaling == "bytes" else "float32"


KINDS: Mapping[str, Kind] = {
    "uvs": Kind("standard", "bytes"),
    "raw": Kind("standard", "none"),
    "meb": Kind("meb", "unit"),
    "offtanet": Kind("offtanet", "none", reduce_first=True),
}

# What models are published with, the versions that their papers leave open, and one of each choice.
NAMES = (
    "flow_uvs_28",  # STSTNet, HTNet
    "flow_uvs_28_farneback",
    "flow_uvs_28_dis",
    "flow_uvs_28_offset",
    "flow_uvs_28_level",
    "flow_raw_28",
    "flow_raw_112",
    "flow_raw_224",
    "flow_meb_64",  # SSSNet
    "flow_offtanet_28",  # OFF-ApexNet, Dual-Inception and STSTNet in Off-TANet's table
    "flow_offtanet_112",  # Off-TANet, MACNN
    "flow_offtanet_224",  # Micro-Attention
    "flow_offtanet_28_standard-sobel",  # Off-TANet's input with the strain of the textbook
    "flow_offtanet_112_standard-sobel",
    "flow_offtanet_224_standard-sobel",
)

_NAME = re.compile(
    rf"flow_(?P<kind>{'|'.join(KINDS)})_(?P<size>[1-9]\d*)(_(?P<algorithm>{'|'.join(ALGORITHMS)}))?"
    rf"(_(?P<offset>offset))?(_(?P<level>level))?(_(?P<strain>{'|'.join(STRAINS)}))?"
)

_SCALING = {
    "bytes": "minmax-map to 0..255 after the reduction",
    "none": "none",
    "unit": "minmax-map to 0..1 before the reduction",
}


@dataclass(frozen=True)
class FlowMaps:
    """How maps are computed from two frames.

    Attributes
    ----------
    kind
        What to do, in which order.
    size
        Height and width of the maps in pixels.
    algorithm, strain
        Names in `ALGORITHMS` and `STRAINS`.
    level
        Whether the second frame is first made as bright as the first one.
    """

    kind: Kind
    size: int
    algorithm: str
    strain: str
    level: bool = False

    def compute(self, frames: Frames) -> npt.NDArray[Any]:
        """Compute u, v and strain from the first frame to the second.

        Parameters
        ----------
        frames
            Two frames, uint8 ``[H, W, 3]`` each, BGR, of one size.

        Returns
        -------
        uint8 or float32 ``[3, size, size]``: u, v, strain.

        Raises
        ------
        ValueError
            If the two frames differ in size.
        """
        size = (self.size, self.size)
        flow = pair_flow(frames, self.algorithm, size if self.kind.reduce_first else None, self.level)
        maps = np.concatenate([flow, STRAINS[self.strain].compute(flow)[None]])
        if self.kind.reduce_first:
            return maps
        if self.kind.scaling == "unit":
            return reduce(unit(maps), size)
        small = reduce(maps, size)
        return stretch(small) if self.kind.scaling == "bytes" else small

    def params(self) -> dict[str, Any]:
        """Every parameter that changes the bytes."""
        algorithm = ALGORITHMS[self.algorithm]
        first = self.kind.reduce_first
        return {
            "grey": "BGR luminance, 8 bit",
            **(
                {"brightness": "mean of the second moved to that of the first, by whole grey levels"}
                if self.level
                else {}
            ),
            "algorithm": algorithm.title,
            "algorithm_params": algorithm.params,
            "working_size": f"{self.size}x{self.size}" if first else "crop",
            "strain": f"{STRAINS[self.strain].definition}, at working size",
            "reduction": "bicubic, of the colour frames, before the flow" if first else "area, after the flow",
            # Of the images that the flow was computed on: the crop, or what it was reduced to.
            "flow_units": "source",
            "scaling": _SCALING[self.kind.scaling],
            "opencv": cv2.__version__,
        }


def flow_maps(name: str) -> FeatureSpec:
    """Give the feature that a name of the form above defines.

    Raises
    ------
    ValueError
        If the name is not of that form, or names what is meant without it (``flow_uvs_28_tvl1``).
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is not of the form flow_KIND_SIZE[_ALGORITHM][_offset][_level][_STRAIN]")
    kind = KINDS[found["kind"]]
    if found["algorithm"] == "tvl1" or found["strain"] == kind.strain:
        raise ValueError(f"{name!r} names a default; a feature has one name only")
    maps = FlowMaps(
        kind, int(found["size"]), found["algorithm"] or "tvl1", found["strain"] or kind.strain, bool(found["level"])
    )
    return FeatureSpec(
        name=name,
        version=1,
        frames="onset-offset" if found["offset"] else "onset-apex",
        channels=("u", "v", "strain"),
        size=(maps.size, maps.size),
        dtype=kind.dtype,
        params=maps.params(),
        compute=maps.compute,
    )


def pair_flow(
    frames: Frames, algorithm: str = "tvl1", size: tuple[int, int] | None = None, level: bool = False
) -> Maps:
    """Compute the flow between two frames, once for all features of the clip that ask for the same.

    Parameters
    ----------
    frames
        Two frames, uint8 ``[H, W, 3]`` each, BGR, of one size.
    algorithm
        A name in `ALGORITHMS`.
    size
        Height and width to which the colour frames are reduced first (bicubic); None for their own.
    level
        Whether the second frame is first made as bright as the first one.

    Returns
    -------
    float32 ``[2, H, W]``: u and v in pixels of the size that the flow was computed at. It is shared: do not change it.

    Raises
    ------
    ValueError
        If the two frames differ in size.
    """

    def compute() -> Maps:
        before, after = (grey(frame if size is None else _bicubic(frame, size)) for frame in frames)
        if level:
            after = np.clip(after + np.rint(before.mean() - after.mean()), 0, 255).astype(np.uint8)
        return ALGORITHMS[algorithm].compute(before, after)

    return frames.once(("flow", algorithm, size, level), compute)


def reduce(maps: Maps, size: tuple[int, int]) -> Maps:
    """Reduce maps ``[C, H, W]`` to a size (height, width) by an area filter; values keep their unit.

    Plain bilinear or bicubic reduction by a factor of five or more aliases.
    """
    small = [cv2.resize(channel, size[::-1], interpolation=cv2.INTER_AREA) for channel in maps]
    return np.stack(small).astype(np.float32)


def stretch(maps: Maps) -> npt.NDArray[np.uint8]:
    """Stretch each channel of ``[C, H, W]`` on its own to 0..255 and round; a constant channel gives zeros.

    The amplitude and the zero of the motion are gone afterwards. It is what the published STSTNet maps are.
    """
    return np.asarray(np.rint(_from_lowest(maps, 255)), np.uint8)


def unit(maps: Maps) -> Maps:
    """Stretch each channel of ``[C, H, W]`` on its own to 0..1; a constant channel gives zeros."""
    return np.asarray(_from_lowest(maps, 1), np.float32)


def _from_lowest(maps: Maps, top: int) -> npt.NDArray[np.float64]:
    low = maps.min(axis=(1, 2), keepdims=True).astype(np.float64)
    span = maps.max(axis=(1, 2), keepdims=True) - low
    stretched: npt.NDArray[np.float64] = (maps - low) * (top / np.where(span > 0, span, 1))
    return stretched


def _bicubic(frame: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.resize(frame, size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


FEATURES.update((name, flow_maps(name)) for name in NAMES)
