"""The twin of 4DME's grey videos: names, sheets and folders of :mod:`mer_data.datasets.fourdme`.

Planted quirks: mixtures of two emotions; kept action units ``(k)``; a second sheet with self-reports, whose headers
end in an apostrophe; clips whose frames are counted from 1 while the sheet counts from the start of the recording;
apexes that are missing; crops that change in size from clip to clip; images of one channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from mer_data.datasets.fourdme import CATEGORIES, MIXED, SHEET, TREES
from mer_data.synthetic.twin import ClipTruth, Profile, Progress, draw, numbered, plan
from mer_data.synthetic.workbook import apex_cell, write_workbook

EXTRAS = "4DME_Labelling_Micro_extras_release v1.xlsx"
UNITS = ("AU1", "AU2", "AU4", "AU6", "AU7", "AU12", "AU17", "AU45")
LABELS = ("fold", "sub_ID", "fold_name", "Onset", "Apex", "Offset", "Emotion", "AUs")
HEADER = (*LABELS, *UNITS, *(word.capitalize() for word in CATEGORIES), "Total", "eye blink", "Notes")
EXTRAS_HEADER = tuple(f"{name}'" for name in (*LABELS, "self-report emo", "video emo"))

# Shares of 267 clips. They are invented: published counts differ by what they do with the mixtures.
PROPORTIONS = {
    "negative": 127, "positive": 35, "others": 34, "surprise": 31, "surprise+positive": 13,
    "surprise+negative": 10, "repression+negative": 8, "repression": 6, "repression+positive": 3,
}  # fmt: skip
ALWAYS = ("negative", "positive", "surprise")  # one for each of the three classes
_UNITS = {
    "negative": ("AU4", "AU4+AU7", "AU4(k)+L7"),
    "positive": ("AU12", "AU6+AU12", "R12"),
    "others": ("AU17", "AU45", "AU1(k)"),
    "surprise": ("AU1+AU2", "AU2"),
    "surprise+positive": ("AU1+AU2+AU12",),
    "surprise+negative": ("AU1+AU4",),
    "repression+negative": ("AU4+AU17(k)",),
    "repression": ("AU17",),
    "repression+positive": ("AU12+AU17",),
}
_FROM_ONE = 9  # one clip in so many has its frames counted from 1,
_START = 3000  # and in the sheet from about here


def _name(_: np.random.Generator, subject: str, emotion: str, number: int) -> str:
    return f"{subject}_1st_{number:03}_01_1"


PROFILE = Profile(
    dataset="4dme",
    people=numbered("S{:02}"),
    proportions=PROPORTIONS,
    always=ALWAYS,
    names=_name,
    first=(30, 900),
    units=_UNITS,
    without_apex=0.02,
)


def make_fourdme(
    dest: Path,
    *,
    subjects: int = 41,
    clips: int = 267,
    seed: int = 0,
    size: tuple[int, int] = (140, 170),
    length: tuple[int, int] = (8, 34),
    progress: Progress | None = None,
) -> None:
    """Write a twin of 4DME: sheets, grey crops, and ``truth.json``; see :class:`~.twin.MakeTwin`."""
    drawn = plan(PROFILE.casting(subjects, clips, size, length), seed)
    planned = [_from_one(truth) if _is_cut(n) else truth for n, truth in enumerate(drawn)]
    draw(dest, planned, _frame_file, partial(_write_rest, planned), seed=seed, grey=True, progress=progress)


def _frame_file(truth: ClipTruth, number: int) -> str:
    return f"{TREES[0]}/{truth.subject}/{truth.name}/{number}.jpg"


def _is_cut(number: int) -> bool:
    return number % _FROM_ONE == _FROM_ONE // 2


def _from_one(truth: ClipTruth) -> ClipTruth:
    before = truth.onset - 1
    return replace(truth, onset=1, apex=truth.apex - before, offset=truth.offset - before)


def _write_rest(planned: Sequence[ClipTruth], folder: Path) -> None:
    labels = [_labels(number, truth) for number, truth in enumerate(planned)]
    rows = [(*row, *_columns(truth)) for row, truth in zip(labels, planned, strict=True)]
    write_workbook(folder / SHEET, [HEADER, *rows])
    write_workbook(folder / EXTRAS, [EXTRAS_HEADER, *((*row, "3'", "1,3'") for row in labels)])
    (folder / TREES[0]).mkdir()
    (folder / TREES[0] / ".DS_Store").touch()
    (folder / "long gray video").mkdir()


def _labels(number: int, truth: ClipTruth) -> tuple[object, ...]:
    start = _START + number if _is_cut(number) else 0
    apex = float(truth.apex + start) if truth.apex_in_sheet else apex_cell(truth)
    emotion = MIXED.join(word.capitalize() for word in truth.emotion.split(MIXED))
    interval = (float(truth.onset + start), apex, float(truth.offset + start))
    return (truth.face, truth.subject, truth.name, *interval, emotion, truth.action_units)


def _columns(truth: ClipTruth) -> tuple[object, ...]:
    words = truth.emotion.split(MIXED)
    units = [int(name in truth.action_units.split("+")) for name in UNITS]
    return (*units, *(int(word in words) for word in CATEGORIES), len(words), "", "")
