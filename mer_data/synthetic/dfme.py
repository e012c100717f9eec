"""The twin of DFME's challenge release: names, proportions, sheets and folders of :mod:`mer_data.datasets.dfme`.

Planted quirks: three sheets and three folders with different subjects; a frame rate for every clip; frames from 0,
padded to five digits, with context before the onset and after the offset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from mer_data.datasets.dfme import CODES, RATES, SHEETS, TREES
from mer_data.synthetic.twin import ClipTruth, Profile, Progress, draw, numbered, of_one_size, plan, share_out
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


def _name(_: np.random.Generator, subject: str, emotion: str, number: int) -> str:
    return f"{subject}_{number:02}"


PROFILE = Profile(
    dataset="dfme",
    people=numbered("sub{:04}"),
    proportions=PROPORTIONS,
    always=ALWAYS,
    names=_name,
    first=(_CONTEXT, _CONTEXT),
    units=_UNITS,
)


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
    """Write a twin of DFME: sheets, grey frames, and ``truth.json``; see :class:`~.twin.MakeTwin`."""
    casting = PROFILE.casting(subjects, clips, size, length)
    planned = of_one_size(plan(casting, seed), size)
    counts = share_out(SUBJECTS, subjects, tuple(SUBJECTS))
    parts = dict(zip(casting.subjects, (part for part, count in counts.items() for _ in range(count)), strict=True))
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
