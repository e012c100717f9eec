"""The twin of CASME II: names, proportions and sheet of :mod:`mer_data.datasets.casme2`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import xlsxwriter

from mer_data.synthetic.twin import Casting, ClipTruth, Progress, draw, plan, share_out

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
    """Write a twin of CASME II: sheet, cropped frames, and ``truth.json``; see :func:`mer_data.synthetic.twin.draw`.

    Parameters
    ----------
    dest
        A folder that does not exist or is empty.
    subjects, clips
        How many; every subject has at least one clip. Emotions have CASME II's proportions, and from four
        clips on there are some of each of the three classes.
    seed
        Another seed draws other faces, motions and intervals.
    size
        Width and height of the smallest crop in pixels; the largest is 1.21 times as large. The real ones
        begin at (231, 282).
    length
        The least and the greatest distance from onset to offset in frames; at least 4.
    progress
        Called with the clips done and the clips in all.

    Raises
    ------
    BadInput
        If `dest` is in use, or the numbers make no dataset.
    """
    write(dest, plan(casting(subjects, clips, size, length), seed), seed=seed, progress=progress)


def casting(subjects: int, clips: int, size: tuple[int, int], length: tuple[int, int]) -> Casting:
    """CASME II's people, names and proportions."""
    return Casting(
        dataset="casme2",
        subjects=[f"sub{number:02}" for number in range(1, subjects + 1)],
        emotions=share_out(PROPORTIONS, clips, ALWAYS),
        names=_name,
        first=(20, 159),
        length=length,
        size=size,
        units=_UNITS,
        without_apex=0.02,
    )


def write(dest: Path, planned: Sequence[ClipTruth], *, seed: int, progress: Progress | None = None) -> None:
    """Write planned clips as a CASME II; see :func:`mer_data.synthetic.twin.draw`."""
    draw(dest, planned, _frame_file, partial(_write_sheet, planned), seed=seed, progress=progress)


def _name(rng: np.random.Generator, subject: str, emotion: str, number: int) -> str:
    """Draw a name in one of the shapes that CASME II has; no two are of one video."""
    return str(rng.choice(_SHAPES, p=_SHAPE_SHARES)).format(number, rng.integers(1, 10))


def _frame_file(truth: ClipTruth, number: int) -> str:
    return f"Cropped/{truth.subject}/{truth.name}/reg_img{number}.jpg"


def _write_sheet(planned: Sequence[ClipTruth], folder: Path) -> None:
    workbook = xlsxwriter.Workbook(folder / SHEET)
    workbook.set_properties({"created": datetime(2014, 5, 8)})  # else every run gives other bytes
    sheet = workbook.add_worksheet()
    sheet.write_row(0, 0, HEADER)
    for row, truth in enumerate(planned, start=1):
        apex = truth.apex if truth.apex_in_sheet else "/"
        units = int(truth.action_units) if truth.action_units.isdigit() else truth.action_units
        sheet.write_string(row, 0, truth.subject.removeprefix("sub"))
        sheet.write_row(row, 1, (truth.name, "", truth.onset, apex, truth.offset, "", units, truth.emotion))
    workbook.add_worksheet()
    workbook.add_worksheet()
    workbook.close()
