"""The twin of MMEW: names, proportions, sheet and folders of :mod:`mer_data.datasets.mmew`.

Planted quirks: clips labelled ``others`` in a folder ``repression``, some of them written ``Others``; rows with the
frame numbers of the recording; apexes that are missing, or outside the interval; single images of macro-expressions
with the names of clips; frames that go on after the offset.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from mer_data.datasets.mmew import SHEET, TREES
from mer_data.synthetic.twin import ClipTruth, Profile, Progress, draw, numbered, of_one_size, plan
from mer_data.synthetic.workbook import apex_cell, units_cell, write_workbook

HEADER = (
    "Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion", "remarks",
)  # fmt: skip

# Clips per emotion among MMEW's 300.
PROPORTIONS = {
    "surprise": 89, "disgust": 72, "others": 66, "happiness": 36, "fear": 16, "sadness": 13, "anger": 8,
}  # fmt: skip
ALWAYS = ("disgust", "happiness", "surprise")  # one for each of the three classes
_INDEX = {"happiness": 1, "surprise": 2, "anger": 3, "disgust": 4, "fear": 5, "sadness": 6, "others": 7}
_UNITS = {
    "others": ("4", "14", "7+45"),
    "disgust": ("4+7", "4+9", "10"),
    "happiness": ("12", "6+12"),
    "surprise": ("1+2", "5", "1+2+5"),
    "sadness": ("15", "1+4"),
    "fear": ("1+2+4", "20"),
    "anger": ("4+5", "7+23"),
}
_AFTER = 3  # frames after the offset
_ABSOLUTE = 11  # one clip in so many has the recording's frame numbers in the sheet,
_START = 700  # which are about so much larger
_CAPITAL = 5  # one clip in so many has a capital letter in its emotion


def _name(_: np.random.Generator, subject: str, emotion: str, number: int) -> str:
    return f"{subject}-{_INDEX[emotion]:02}-{number:03}"


PROFILE = Profile(
    dataset="mmew",
    people=numbered("S{:02}"),
    proportions=PROPORTIONS,
    always=ALWAYS,
    names=_name,
    first=(1, 1),
    units=_UNITS,
    without_apex=0.05,
)


def make_mmew(
    dest: Path,
    *,
    subjects: int = 36,
    clips: int = 300,
    seed: int = 0,
    size: tuple[int, int] = (231, 231),
    length: tuple[int, int] = (20, 80),
    progress: Progress | None = None,
) -> None:
    """Write a twin of MMEW: sheet, cropped frames, and ``truth.json``; see :class:`~.twin.MakeTwin`."""
    planned = of_one_size(plan(PROFILE.casting(subjects, clips, size, length), seed), size)
    draw(dest, planned, _frame_file, partial(_write_rest, planned), seed=seed, after=_AFTER, progress=progress)


def _frame_file(truth: ClipTruth, number: int) -> str:
    folder = "repression" if truth.emotion == "others" else truth.emotion
    return f"{TREES[0]}/{folder}/{truth.name}/{number}.jpg"


def _write_rest(planned: Sequence[ClipTruth], folder: Path) -> None:
    write_workbook(folder / SHEET, [HEADER, *(_row(number, truth) for number, truth in enumerate(planned, start=1))])
    (folder / TREES[0]).mkdir()
    (folder / TREES[0] / "Thumbs.db").touch()
    grey = cv2.imencode(".jpg", np.full((32, 32, 3), 128, np.uint8))[1].tobytes()
    for truth in planned[:3]:
        macro = folder / "Macro_Expression" / truth.subject / truth.emotion
        macro.mkdir(parents=True, exist_ok=True)
        (macro / f"{truth.name}.jpg").write_bytes(grey)


def _row(number: int, truth: ClipTruth) -> tuple[object, ...]:
    start = _START + number if number % _ABSOLUTE == 0 else 0
    apex = truth.apex + start if truth.apex_in_sheet else apex_cell(truth)
    emotion = truth.emotion.capitalize() if number % _CAPITAL == 0 else truth.emotion
    interval = (truth.onset + start, apex, truth.offset + start)
    return (truth.subject, truth.name, *interval, units_cell(truth), emotion, "")
