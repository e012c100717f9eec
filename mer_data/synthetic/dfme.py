"""The twin of DFME's challenge release: names, proportions, sheets and folders of :mod:`mer_data.datasets.dfme`.

Planted quirks: three sheets and three folders with different subjects; a frame rate for every clip; frames from 0,
padded to five digits, with context before the onset and after the offset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from mer_data.datasets.dfme import CODES, RATES, SHEETS, TREES
from mer_data.synthetic.twin import Casting, ClipTruth, Progress, draw, plan, share_out
from mer_data.synthetic.workbook import apex_cell, write_workbook

HEADER = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Emotion", "EmotionId", "Fps", "AU")

# Clips per emotion among the 2629 of the three parts together, and subjects per part.
PROPORTIONS = {
    "disgust": 735, "surprise": 447, "fear": 365, "sadness": 359, "happiness": 311, "anger": 241, "contempt": 171,
}  # fmt: skip
SUBJECTS = {"train": 176, "testA": 42, "testB": 41}
ALWAYS = ("disgust", "happiness", "surprise")  # one for each of the three classes
_UNITS = {
    "disgust": ("4+7+10", "4+9", "4"),
    "surprise": ("1+2", "1+2+5+AD38"),
    "fear": ("1+4+20", "4+5"),
    "sadness": ("15", "1+4+15"),
    "happiness": ("12", "6+12", "L12"),
    "anger": ("4+5+7", "23"),
    "contempt": ("R14", "14+M58"),
}
_CONTEXT = 4  # frames before the onset and after the offset


def make_dfme(
    dest: Path,
    *,
    subjects: int = 259,
    clips: int = 2629,
    seed: int = 0,
    size: tuple[int, int] = (128, 96),
    length: tuple[int, int] = (12, 40),
    progress: Progress | None = None,
) -> None:
    """Write a twin of DFME: sheets, grey frames, and ``truth.json``; see :func:`mer_data.synthetic.twin.draw`.

    Parameters
    ----------
    dest
        A folder that does not exist or is empty.
    subjects, clips
        How many in all; every subject has at least one clip. Subjects are shared out to the three parts, emotions
        to the clips, by DFME's proportions. From four clips on there are some of each of the three classes.
    seed
        Another seed draws other faces, motions and intervals.
    size
        Width and height of all frames in pixels; the real ones are of 1024x768.
    length
        The least and the greatest distance from onset to offset in frames; at least 4.
    progress
        Called with the clips done and the clips in all.

    Raises
    ------
    BadInput
        If `dest` is in use, or the numbers make no dataset.
    """
    names = [f"sub{number:04}" for number in range(1, subjects + 1)]
    casting = Casting(
        dataset="dfme",
        subjects=names,
        emotions=share_out(PROPORTIONS, clips, ALWAYS),
        names=_name,
        first=(_CONTEXT, _CONTEXT),
        length=length,
        size=size,
        units=_UNITS,
    )
    planned = [replace(truth, width=size[0], height=size[1]) for truth in plan(casting, seed)]
    counts = share_out(SUBJECTS, subjects, tuple(SUBJECTS))
    parts = dict(zip(names, (part for part, count in counts.items() for _ in range(count)), strict=True))
    draw(
        dest,
        planned,
        partial(_frame_file, parts),
        partial(_write_sheets, parts, planned),
        seed=seed,
        before=_CONTEXT,
        after=_CONTEXT,
        grey=True,
        progress=progress,
    )


def rate_of(truth: ClipTruth) -> int:
    """Frames per second of a planted clip; it changes from subject to subject."""
    return RATES[truth.face % len(RATES)]


def _name(_: np.random.Generator, subject: str, emotion: str, number: int) -> str:
    return f"{subject}_{number:02}"


def _frame_file(parts: Mapping[str, str], truth: ClipTruth, number: int) -> str:
    return f"{TREES[parts[truth.subject]]}/{truth.name}/{number:05}.png"


def _write_sheets(parts: Mapping[str, str], planned: Sequence[ClipTruth], folder: Path) -> None:
    for part in dict.fromkeys(parts.values()):
        rows = [_row(truth) for truth in planned if parts[truth.subject] == part]
        write_workbook(folder / SHEETS[part], [HEADER, *rows])
        (folder / TREES[part]).mkdir()
        (folder / TREES[part] / "Thumbs.db").touch()


def _row(truth: ClipTruth) -> tuple[object, ...]:
    interval = (truth.onset, apex_cell(truth), truth.offset)
    code = CODES.index(truth.emotion)
    return (truth.subject, truth.name, *interval, truth.emotion, code, rate_of(truth), truth.action_units)
