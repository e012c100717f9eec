"""ATN's data for the 442 clips of MEGC 2019: apex crops, points of optical flow, LBP-TOP and HOOF.

::

    ROOT/Data/Apex_Cropped_images.txt          FILE LABEL
    ROOT/Data/Apex_Cropped_images/             casme2-sub01-EP02_01f-img59.jpg, samm-6-006_1_2-006_05588.jpg
    ROOT/Data/OpticalFlowFeatureData.txt       a key and 64 lines of 128 numbers for each clip; may be absent
    ROOT/**/*.mat                              see mer_data.published.atn_mat; may be absent

The lists of training and test clips beside them are not read: folds and balancing are an experiment's.

Peng et al., "A Novel Apex-Time Network for Cross-Dataset Micro-Expression Recognition", ACII 2019.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mer_data.features.flow import grey
from mer_data.frames import decode, inside
from mer_data.imported import Imported, ImportedFeature
from mer_data.problems import BadInput, Problem, raise_all
from mer_data.published.atn_mat import read_mats
from mer_data.published.atn_text import CROPS, LIST, POINTS, POINTS_SPEC, Crop, list_crops, read_points
from mer_data.published.foreign import imported_spec, notes_on
from mer_data.published.megc2019 import in_order

_SIDE = 224
_COMPOSITE = "megc2019"
_FORM = f"give ATN's folder: it holds Data/{LIST} and Data/{CROPS}"

GRAY_SPEC = imported_spec(
    "apex_gray_224",
    "apex",
    ("gray",),
    (_SIDE, _SIDE),
    "uint8",
    {
        "origin": "ATN",
        "gray": "cv2.COLOR_BGR2GRAY",
        "resize": "crops of another size to 224x224, gray first, cv2.INTER_LINEAR",
    },
)


def read(sources: Sequence[Path]) -> Imported:
    """Read ATN's folder.

    Parameters
    ----------
    sources
        ATN's folder, or its ``Data``.

    Returns
    -------
    Imported
        Clips with the published ids and the apex that the crop's name tells, without onset, offset and frames; the
        emotion is negative, positive or surprise. Features: ``apex_gray_224``, uint8 ``[1, 224, 224]``; and, as far
        as they are there, ``atn_points``, float32 ``[64, 128]``, exactly as in the file;
        ``lbp_top_atn_tim10|64_p4|8``, float32 ``[3, 59]``; ``hoof_atn_tim10|64_k4|8``, float32 ``[bins, columns]``.

    Raises
    ------
    BadInput
        With everything that is wrong, each with its file and line. Nothing outside the folder is read.
    """
    root, data = _find(sources)
    problems: list[Problem] = []
    try:
        crops, listed = list_crops(data / LIST, data / CROPS, problems)
        features = [ImportedFeature(GRAY_SPEC, _read_crops(crops, problems), "ATN, cropped apex frames")]
        if (data / POINTS).exists():
            points = _read_points(inside(root, str((data / POINTS).relative_to(root))), listed, problems)
            features.append(ImportedFeature(POINTS_SPEC, points, f"ATN, {POINTS}"))
        others, notes = read_mats(root, listed, problems)
    except OSError as error:
        raise BadInput(Problem(str(error.filename), f"cannot be read: {error.strerror}", "check its rights")) from error
    raise_all(problems)
    clips = in_order(crop.clip for crop in crops)
    return Imported(clips, data / LIST, notes=(*notes_on(clips, _COMPOSITE), *notes), features=(*features, *others))


def _find(sources: Sequence[Path]) -> tuple[Path, Path]:
    """Find ATN's folder and its ``Data``, which may be the same."""
    if len(sources) != 1 or not sources[0].is_dir():
        raise BadInput(Problem("sources", "one folder is needed", _FORM))
    root = sources[0].resolve()
    data = root / "Data" if (root / "Data").is_dir() else root
    if not (data / LIST).is_file() or not (data / CROPS).is_dir():
        raise BadInput(Problem(str(sources[0]), "is not ATN's folder", _FORM))
    for name in (LIST, CROPS):
        inside(root, str((data / name).relative_to(root)))
    return root, data


def _read_crops(crops: Sequence[Crop], problems: list[Problem]) -> Mapping[str, npt.NDArray[np.uint8]]:
    """Read the crops as uint8 ``[1, 224, 224]``, by clip id."""
    images = {}
    for crop in crops:
        try:
            image = grey(decode(crop.path.read_bytes(), f"{crop.path} ({crop.row})"))
        except BadInput as bad:
            problems += bad.problems
            continue
        if image.shape != (_SIDE, _SIDE):
            image = np.asarray(cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR), np.uint8)
        images[crop.clip.id] = image[None]
    return images


def _read_points(path: Path, clips: Collection[str], problems: list[Problem]) -> Mapping[str, npt.NDArray[np.float32]]:
    """Read the points, and keep what is wrong with the whole file among the other problems."""
    try:
        return read_points(path, clips, problems)
    except BadInput as bad:
        problems += bad.problems
        return {}
