"""How a clip's frames are cut and turned before a feature is computed from them; part of the feature's definition.

``none`` takes frames as they are distributed. The others find five points of the face in the **onset** frame, and apply
what follows from them to every frame of the clip, so that the step adds no motion of its own:

``box``
    A square around the face, with a margin; not turned.
``similarity``
    Five points brought to a template by a similarity transform (turn, scale, shift), in the sense of least squares.
``stabilised``
    The same, then a shift per frame that keeps the bridge of the nose and the corners of the eyes in place.

References
----------
Umeyama, "Least-squares estimation of transformation parameters between two point patterns", IEEE Transactions on
Pattern Analysis and Machine Intelligence 13(4), 1991. The template is that of Deng, Guo, Xue, Zafeiriou, "ArcFace",
CVPR 2019 (112 x 112 pixels), made larger and moved so that the whole face is in the picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mer_data.faces.landmarks import DETECTOR, POINTS

# Width and height: the size of crop that the papers of OFF-ApexNet and STSTNet name.
SIZE = (140, 170)
_ARCFACE = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
_ENLARGED = 1.55  # then the eyes are as far apart as in crops of that size
_EYES = (0.5, 0.39)  # middle between the eyes, as shares of width and height


def _template() -> tuple[tuple[float, float], ...]:
    middle = [(_ARCFACE[0][axis] + _ARCFACE[1][axis]) / 2 for axis in (0, 1)]
    to = [share * size for share, size in zip(_EYES, SIZE, strict=True)]
    return tuple(
        (round(to[0] + _ENLARGED * (x - middle[0]), 3), round(to[1] + _ENLARGED * (y - middle[1]), 3))
        for x, y in _ARCFACE
    )


@dataclass(frozen=True)
class AlignSpec:
    """The definition of an alignment. Features with different ones never share a file.

    Attributes
    ----------
    name
        A key of :data:`ALIGNMENTS`.
    version
        Raised by hand whenever the code gives other bytes.
    size
        Width and height of the aligned frame in pixels.
    margin
        Of a box: what is added on each side, as a share of its side.
    template
        Where the five points come to lie, x and y in pixels of the aligned frame; empty for a box.
    per_frame
        What is done to each frame beside the clip's one transform.
    """

    name: str
    version: int = 1
    size: tuple[int, int] = SIZE
    margin: float = 0.0
    template: tuple[tuple[float, float], ...] = ()
    per_frame: str = "nothing"

    def __bool__(self) -> bool:
        """Whether anything is done at all."""
        return self.name != "none"

    def describe(self) -> dict[str, Any]:
        """The definition as plain values, as it is part of a feature's key."""
        import cv2  # who looks at results waits for no library of pictures

        return {
            "name": self.name,
            "version": self.version,
            "points": f"{', '.join(POINTS)} of the onset frame, from a sheet, else by the detector",
            "detector": f"{DETECTOR}; found in a picture reduced to 340 px, then in the face reduced to 200 px",
            "transform": "of the onset frame, applied to every frame",
            "size": list(self.size),
            "margin": self.margin,
            "template": [list(point) for point in self.template],
            "per_frame": self.per_frame,
            "interpolation": "area by a whole factor, then bicubic",
            "opencv": cv2.__version__,
        }


NONE = AlignSpec("none")
ALIGNMENTS: Mapping[str, AlignSpec] = {
    spec.name: spec
    for spec in (
        NONE,
        AlignSpec("box", size=(170, 170), margin=0.1),
        AlignSpec("similarity", template=_template()),
        AlignSpec(
            "stabilised",
            template=_template(),
            per_frame="a shift that keeps the bridge of the nose and the corners of the eyes where the onset has them",
        ),
    )
}
