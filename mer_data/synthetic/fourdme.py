"""The twin of 4DME's grey videos: names, sheets and folders of :mod:`mer_data.datasets.fourdme`.

Planted quirks: mixtures of two emotions; kept action units ``(k)``; a second sheet with self-reports, whose headers
end in an apostrophe; clips whose frames are counted from 1 while the sheet counts from the start of the recording;
apexes that are missing; crops that change in size from clip to clip; images of one channel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mer_data.datasets.fourdme import CATEGORIES, MIXED, SHEET, TREES
from mer_data.synthetic.casting import ClipTruth, Profile, numbered, shift
from mer_data.synthetic.dataset_twin import DatasetTwin, Layout
from mer_data.synthetic.workbook import apex_cell, two_sheets

EXTRAS = "4DME_Labelling_Micro_extras_release v1.xlsx"
UNITS = ("AU1", "AU2", "AU4", "AU6", "AU7", "AU12", "AU17", "AU45")
LABELS = ("fold", "sub_ID", "fold_name", "Onset", "Apex", "Offset", "Emotion", "AUs")
HEADER = (*LABELS, *UNITS, *(word.capitalize() for word in CATEGORIES), "Total", "eye blink", "Notes")
EXTRAS_HEADER = tuple(f"{name}'" for name in (*LABELS, "self-report emo", "video emo"))
_FROM_ONE = 9  # one clip in so many has its frames counted from 1,
_START = 3000  # and in the sheet from about here


def _name(_: np.random.Generator, subject: str, emotion: str, number: int) -> str:
    return f"{subject}_1st_{number:03}_01_1"


def _cut(planned: Sequence[ClipTruth]) -> list[ClipTruth]:
    """Count the frames of some clips from 1."""
    return [shift(truth, 1) if _is_cut(position) else truth for position, truth in enumerate(planned)]


def _is_cut(position: int) -> bool:
    return position % _FROM_ONE == _FROM_ONE // 2


def _layout(planned: Sequence[ClipTruth]) -> Layout:
    labels = [_labels(position, truth) for position, truth in enumerate(planned)]
    rows = [(*row, *_columns(truth)) for row, truth in zip(labels, planned, strict=True)]
    extras = [(*row, "3'", "1,3'") for row in labels]
    return Layout(
        _frame_file,
        {SHEET: two_sheets([HEADER, *rows]), EXTRAS: two_sheets([EXTRAS_HEADER, *extras])},
        {f"{TREES[0]}/.DS_Store": b"", "long gray video/": b""},
    )


def _frame_file(truth: ClipTruth, number: int) -> str:
    return f"{TREES[0]}/{truth.subject}/{truth.name}/{number}.jpg"


def _labels(position: int, truth: ClipTruth) -> tuple[object, ...]:
    start = _START + position if _is_cut(position) else 0
    apex = float(truth.apex + start) if truth.apex_in_sheet else apex_cell(truth)
    emotion = MIXED.join(word.capitalize() for word in truth.emotion.split(MIXED))
    interval = (float(truth.onset + start), apex, float(truth.offset + start))
    return (truth.face, truth.subject, truth.name, *interval, emotion, truth.action_units)


def _columns(truth: ClipTruth) -> tuple[object, ...]:
    words = truth.emotion.split(MIXED)
    units = [int(name in truth.action_units.split("+")) for name in UNITS]
    return (*units, *(int(word in words) for word in CATEGORIES), len(words), "", "")


PROFILE = Profile(
    dataset="4dme",
    people=numbered("S{:02}"),
    # Shares of 267 clips. They are invented: published counts differ by what they do with the mixtures.
    proportions={
        "negative": 127, "positive": 35, "others": 34, "surprise": 31, "surprise+positive": 13,
        "surprise+negative": 10, "repression+negative": 8, "repression": 6, "repression+positive": 3,
    },
    always=("negative", "positive", "surprise"),
    names=_name,
    first=(30, 900),
    units={
        "negative": ("AU4", "AU4+AU7", "AU4(k)+L7"),
        "positive": ("AU12", "AU6+AU12", "R12"),
        "others": ("AU17", "AU45", "AU1(k)"),
        "surprise": ("AU1+AU2", "AU2"),
        "surprise+positive": ("AU1+AU2+AU12",),
        "surprise+negative": ("AU1+AU4",),
        "repression+negative": ("AU4+AU17(k)",),
        "repression": ("AU17",),
        "repression+positive": ("AU12+AU17",),
    },
    without_apex=0.02,
)  # fmt: skip
make_fourdme = DatasetTwin(PROFILE, _layout, subjects=41, clips=267, length=(8, 34), quirks=_cut, grey=True)
