"""The twin of MMEW: names, proportions, sheet and folders of :mod:`mer_data.datasets.mmew`.

Planted quirks: clips labelled ``others`` in a folder ``repression``, some of them written ``Others``; rows with the
frame numbers of the recording; apexes that are missing, or outside the interval; single images of macro-expressions
with the names of clips; frames that go on after the offset.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mer_data.datasets.mmew import SHEET, TREES
from mer_data.synthetic.casting import ClipTruth, Profile, numbered
from mer_data.synthetic.dataset_twin import DatasetTwin, Layout
from mer_data.synthetic.workbook import apex_cell, two_sheets, units_cell

HEADER = (
    "Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion", "remarks",
)  # fmt: skip
_INDEX = {"happiness": 1, "surprise": 2, "anger": 3, "disgust": 4, "fear": 5, "sadness": 6, "others": 7}
_ABSOLUTE = 11  # one clip in so many has the recording's frame numbers in the sheet,
_START = 700  # which are about so much larger
_CAPITAL = 5  # one clip in so many has a capital letter in its emotion


def _name(_: np.random.Generator, subject: str, emotion: str, number: int) -> str:
    return f"{subject}-{_INDEX[emotion]:02}-{number:03}"


def _layout(planned: Sequence[ClipTruth]) -> Layout:
    rows = [_row(number, truth) for number, truth in enumerate(planned, start=1)]
    grey = cv2.imencode(".jpg", np.full((32, 32, 3), 128, np.uint8))[1].tobytes()
    macro = {f"Macro_Expression/{truth.subject}/{truth.emotion}/{truth.name}.jpg": grey for truth in planned[:3]}
    return Layout(_frame_file, {SHEET: two_sheets([HEADER, *rows])}, {f"{TREES[0]}/Thumbs.db": b"", **macro})


def _frame_file(truth: ClipTruth, number: int) -> str:
    folder = "repression" if truth.emotion == "others" else truth.emotion
    return f"{TREES[0]}/{folder}/{truth.name}/{number}.jpg"


def _row(number: int, truth: ClipTruth) -> tuple[object, ...]:
    start = _START + number if number % _ABSOLUTE == 0 else 0
    apex = truth.apex + start if truth.apex_in_sheet else apex_cell(truth)
    emotion = truth.emotion.capitalize() if number % _CAPITAL == 0 else truth.emotion
    interval = (truth.onset + start, apex, truth.offset + start)
    return (truth.subject, truth.name, *interval, units_cell(truth), emotion, "")


PROFILE = Profile(
    dataset="mmew",
    people=numbered("S{:02}"),
    proportions={
        "surprise": 89, "disgust": 72, "others": 66, "happiness": 36, "fear": 16, "sadness": 13, "anger": 8,
    },
    always=("disgust", "happiness", "surprise"),
    names=_name,
    first=(1, 1),
    units={
        "others": ("4", "14", "7+45"),
        "disgust": ("4+7", "4+9", "10"),
        "happiness": ("12", "6+12"),
        "surprise": ("1+2", "5", "1+2+5"),
        "sadness": ("15", "1+4"),
        "fear": ("1+2+4", "20"),
        "anger": ("4+5", "7+23"),
    },
    without_apex=0.05,
)  # fmt: skip
make_mmew = DatasetTwin(
    PROFILE, _layout, subjects=36, clips=300, length=(20, 80), size=(231, 231), one_size=True, after=3
)
