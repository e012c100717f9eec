"""The twin of DFME's challenge release: names, proportions, sheets and folders of :mod:`mer_data.datasets.dfme`.

Planted quirks: three sheets and three folders with different subjects; a frame rate for every clip; frames from 0,
padded to five digits, with context before the onset and after the offset.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mer_data.datasets.dfme import CODES, RATES, SHEETS, TREES
from mer_data.synthetic.casting import ClipTruth, Profile, numbered, share_out
from mer_data.synthetic.dataset_twin import DatasetTwin, Layout
from mer_data.synthetic.workbook import apex_cell, two_sheets

HEADER = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Emotion", "EmotionId", "Fps", "AU")
_SUBJECTS = {"train": 176, "testA": 42, "testB": 41}  # per part, in the real one
_CONTEXT = 4  # frames before the onset and after the offset


def _name(_: np.random.Generator, subject: str, emotion: str, number: int) -> str:
    return f"{subject}_{number:02}"


def _layout(planned: Sequence[ClipTruth]) -> Layout:
    subjects = dict.fromkeys(truth.subject for truth in planned)
    counts = share_out(_SUBJECTS, len(subjects), tuple(_SUBJECTS))
    parts = dict(zip(subjects, (part for part, count in counts.items() for _ in range(count)), strict=True))
    rows = {part: [_row(truth) for truth in planned if parts[truth.subject] == part] for part in parts.values()}
    return Layout(
        lambda truth, number: f"{TREES[parts[truth.subject]]}/{truth.name}/{number:05}.png",
        {SHEETS[part]: two_sheets([HEADER, *cells]) for part, cells in rows.items()},
        {f"{TREES[part]}/Thumbs.db": b"" for part in rows},
    )


def rate_of(truth: ClipTruth) -> int:
    """Frames per second of a planted clip; it changes from subject to subject."""
    return RATES[truth.face % len(RATES)]


def _row(truth: ClipTruth) -> tuple[object, ...]:
    interval = (truth.onset, apex_cell(truth), truth.offset)
    code = CODES.index(truth.emotion)
    return (truth.subject, truth.name, *interval, truth.emotion, code, rate_of(truth), truth.action_units)


PROFILE = Profile(
    dataset="dfme",
    people=numbered("sub{:04}"),
    # Of the three parts together.
    proportions={
        "disgust": 735, "surprise": 447, "fear": 365, "sadness": 359, "happiness": 311, "anger": 241, "contempt": 171,
    },
    always=("disgust", "happiness", "surprise"),
    names=_name,
    first=(_CONTEXT, _CONTEXT),
    units={
        "disgust": ("4+7+10", "4+9", "4"),
        "surprise": ("1+2", "1+2+5+AD38"),
        "fear": ("1+4+20", "4+5"),
        "sadness": ("15", "1+4+15"),
        "happiness": ("12", "6+12", "L12"),
        "anger": ("4+5+7", "23"),
        "contempt": ("R14", "14+M58"),
    },
)  # fmt: skip
make_dfme = DatasetTwin(
    PROFILE,
    _layout,
    subjects=259,
    clips=2629,
    length=(12, 40),
    size=(128, 96),
    one_size=True,
    before=_CONTEXT,
    after=_CONTEXT,
    grey=True,
)
