"""The twin of CASME II: names, proportions and sheet of :mod:`mer_data.datasets.casme2`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mer_data.datasets.casme2 import SHEET, TREES
from mer_data.synthetic.casting import ClipTruth, Profile, numbered
from mer_data.synthetic.dataset_twin import DatasetTwin, Layout
from mer_data.synthetic.raw import RawForm
from mer_data.synthetic.workbook import units_cell

HEADER = (
    "Subject", "Filename", "", "OnsetFrame", "ApexFrame", "OffsetFrame", "",
    "Action Units", "Estimated Emotion",
)  # fmt: skip
_SHAPES = ("EP{:02}_{:02}", "EP{:02}_{:02}f", "EP{:02}_{:02}_01", "EP{:02}_{}", "EP{:02}f")
_SHAPE_SHARES = (0.69, 0.27, 0.02, 0.01, 0.01)


def _name(rng: np.random.Generator, subject: str, emotion: str, number: int) -> str:
    """Draw a name in one of the shapes that CASME II has; no two are of one video."""
    return str(rng.choice(_SHAPES, p=_SHAPE_SHARES)).format(number, rng.integers(1, 10))


def _layout(planned: Sequence[ClipTruth]) -> Layout:
    rows = [_row(truth) for truth in planned]
    return Layout(_frame_file, {SHEET: {"Sheet1": [HEADER, *rows], "Sheet2": (), "Sheet3": ()}})


def _frame_file(truth: ClipTruth, number: int) -> str:
    return f"{TREES[0]}/{truth.subject}/{truth.name}/reg_img{number}.jpg"


def _row(truth: ClipTruth) -> tuple[object, ...]:
    frames = (truth.onset, truth.apex if truth.apex_in_sheet else "/", truth.offset)
    return (truth.subject.removeprefix("sub"), truth.name, "", *frames, "", units_cell(truth), truth.emotion)


PROFILE = Profile(
    dataset="casme2",
    people=numbered("sub{:02}"),
    proportions={
        "others": 99, "disgust": 63, "happiness": 32, "repression": 27, "surprise": 25, "sadness": 7, "fear": 2,
    },
    always=("disgust", "happiness", "surprise"),
    names=_name,
    first=(20, 159),
    units={
        "others": ("4", "4+7", "?"),
        "disgust": ("4+9", "4+7+10", "4+L10"),
        "happiness": ("12", "6+12", "R12"),
        "repression": ("4+15", "17", "14+17"),
        "surprise": ("1+2", "1+2+25", "L1+L2"),
        "sadness": ("1+15", "15"),
        "fear": ("1+4+20",),
    },
    without_apex=0.02,
)  # fmt: skip
RAW = RawForm(picture=(640, 480), enlarged=1.65, renamed=((f"{TREES[0]}/", f"{TREES[1]}/"), ("reg_img", "img")))
make_casme2 = DatasetTwin(PROFILE, _layout, subjects=26, clips=255, length=(24, 110), raw=RAW)
