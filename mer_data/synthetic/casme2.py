"""The twin of CASME II: names, proportions and sheet of :mod:`mer_data.datasets.casme2`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from mer_data.synthetic.twin import ClipTruth, Profile, Progress, draw, numbered, plan
from mer_data.synthetic.workbook import units_cell, write_worksheets

SHEET = "CASME2-coding-20140508.xlsx"
HEADER = (
    "Subject", "Filename", "", "OnsetFrame", "ApexFrame", "OffsetFrame", "",
    "Action Units", "Estimated Emotion",
)  # fmt: skip

# Clips per emotion among CASME II's 255.
PROPORTIONS = {
    "others": 99, "disgust": 63, "happiness": 32, "repression": 27, "surprise": 25, "sadness": 7, "fear": 2,
}  # fmt: skip
ALWAYS = ("disgust", "happiness", "surprise")  # one for each of the three classes
_UNITS = {
    "others": ("4", "4+7", "?"),
    "disgust": ("4+9", "4+7+10", "4+L10"),
    "happiness": ("12", "6+12", "R12"),
    "repression": ("4+15", "17", "14+17"),
    "surprise": ("1+2", "1+2+25", "L1+L2"),
    "sadness": ("1+15", "15"),
    "fear": ("1+4+20",),
}
_SHAPES = ("EP{:02}_{:02}", "EP{:02}_{:02}f", "EP{:02}_{:02}_01", "EP{:02}_{}", "EP{:02}f")
_SHAPE_SHARES = (0.69, 0.27, 0.02, 0.01, 0.01)


def _name(rng: np.random.Generator, subject: str, emotion: str, number: int) -> str:
    """Draw a name in one of the shapes that CASME II has; no two are of one video."""
    return str(rng.choice(_SHAPES, p=_SHAPE_SHARES)).format(number, rng.integers(1, 10))


PROFILE = Profile(
    dataset="casme2",
    people=numbered("sub{:02}"),
    proportions=PROPORTIONS,
    always=ALWAYS,
    names=_name,
    first=(20, 159),
    units=_UNITS,
    without_apex=0.02,
)


def make_casme2(
    dest: Path,
    *,
    subjects: int = 26,
    clips: int = 255,
    seed: int = 0,
    size: tuple[int, int] = (140, 170),
    length: tuple[int, int] = (24, 110),
    progress: Progress | None = None,
) -> None:
    """Write a twin of CASME II: sheet, cropped frames, and ``truth.json``; see :class:`~.twin.MakeTwin`."""
    write(dest, plan(PROFILE.casting(subjects, clips, size, length), seed), seed=seed, progress=progress)


def write(dest: Path, planned: Sequence[ClipTruth], *, seed: int, progress: Progress | None = None) -> None:
    """Write planned clips as a CASME II; see :func:`mer_data.synthetic.twin.draw`."""
    draw(dest, planned, _frame_file, partial(_write_sheet, planned), seed=seed, progress=progress)


def _frame_file(truth: ClipTruth, number: int) -> str:
    return f"Cropped/{truth.subject}/{truth.name}/reg_img{number}.jpg"


def _write_sheet(planned: Sequence[ClipTruth], folder: Path) -> None:
    rows = [_row(truth) for truth in planned]
    write_worksheets(folder / SHEET, {"Sheet1": [HEADER, *rows], "Sheet2": [], "Sheet3": []})


def _row(truth: ClipTruth) -> tuple[object, ...]:
    frames = (truth.onset, truth.apex if truth.apex_in_sheet else "/", truth.offset)
    return (truth.subject.removeprefix("sub"), truth.name, "", *frames, "", units_cell(truth), truth.emotion)
