"""The face crops at the apex that HTNet published beside the flow maps; landmarks are found on them.

::

    datasets/combined_datasets_whole/sub01_EP02_01f.jpg   CASME II
    datasets/combined_datasets_whole/s01_s1_ne_01.jpg     SMIC: the subject padded, the clip not
    datasets/combined_datasets_whole/006_006_1_2.jpg      SAMM

They are 224×224 pixels and are kept reduced to 28×28, the size of the maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mer_data.datasets.common import entries
from mer_data.frames import inside
from mer_data.imported import ImportedFeature
from mer_data.problems import BadInput, Problem
from mer_data.published.foreign import few, imported_spec
from mer_data.published.megc2019 import clip_id_of
from mer_data.published.pictures import Picture, read_jpeg
from mer_data.schema import Clip

FOLDER = "combined_datasets_whole"
ORIGIN = "face crops at the apex, published by HTNet"
_SUFFIXES = frozenset({".jpeg", ".jpg"})
_PUBLISHED, _SIZE = 224, 28

SPEC = imported_spec(
    "apex_28",
    "apex",
    ("b", "g", "r"),
    (_SIZE, _SIZE),
    "uint8",
    {"origin": ORIGIN, "reduction": f"area, from {_PUBLISHED}x{_PUBLISHED}"},
)


def read_apex(
    folders: Sequence[Path], clips: Sequence[Clip], problems: list[Problem]
) -> tuple[ImportedFeature | None, tuple[str, ...]]:
    """Read the apex crop of every clip.

    Parameters
    ----------
    folders
        Where the crops may be; the first that exists is read.
    clips
        The clips of the flow maps.
    problems
        Where it is added that files are damaged, of another size, links to elsewhere, or two for one clip.

    Returns
    -------
    The feature ``apex_28``, uint8 ``[3, 28, 28]`` per clip in the order blue, green, red; None without the folder and
    where a clip has no crop, which is noted then.
    """
    folder = next((path for path in folders if path.is_dir()), None)
    if folder is None:
        return None, ()
    before = len(problems)
    paths = _list(folder, problems)
    if missing := [clip.id for clip in clips if clip.id not in paths]:
        what = f"{len(missing)} of {len(clips)} clips have no picture of the apex, so none was imported"
        return None, (f"{folder}: {what}: {few(missing)}",)
    arrays: dict[str, Picture] = {}
    for clip in clips:
        image = read_jpeg(paths[clip.id], str(paths[clip.id]), (_PUBLISHED, _PUBLISHED))
        if isinstance(image, Problem):
            problems.append(image)
        else:
            small = cv2.resize(image, (_SIZE, _SIZE), interpolation=cv2.INTER_AREA)
            arrays[clip.id] = np.ascontiguousarray(small.transpose(2, 0, 1), np.uint8)
    return (ImportedFeature(SPEC, arrays, ORIGIN) if len(problems) == before else None), ()


def _list(folder: Path, problems: list[Problem]) -> dict[str, Path]:
    """List the pictures by clip id; those of no clip are passed over, since nothing depends on them."""
    found: dict[str, Path] = {}
    for path in entries(folder):
        clip_id = clip_id_of(path.stem) if path.suffix.lower() in _SUFFIXES else None
        if clip_id is None:
            continue
        if clip_id in found:
            what = f"{found[clip_id].name!r} and {path.name!r} are both clip {clip_id}"
            problems.append(Problem(str(folder), what, "keep one"))
        try:
            inside(folder, path.name)
        except BadInput as error:
            problems.append(Problem(str(folder), error.problems[0].what, "put the file itself there"))
        found[clip_id] = path
    return found
