"""The twin of CASME: names, proportions and sheet of :mod:`mer_data.datasets.casme`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from mer_data.synthetic.twin import ClipTruth, Profile, Progress, draw, numbered, plan
from mer_data.synthetic.workbook import units_cell, write_workbook

SHEET = "casme.xlsx"
HEADER = ("Subject", "Filename", "", "OnsetF", "ApexF1", "ApexF2", "OffsetF", "", "AU", "Emotion")

# Clips per emotion in the released sheet of 189.
PROPORTIONS = {
    "tense": 68, "disgust": 45, "repression": 39, "surprise": 20, "happiness": 7, "sadness": 6, "contempt": 2,
    "fear": 2,
}  # fmt: skip
ALWAYS = ("disgust", "happiness", "surprise")  # one for each of the three classes
_UNITS = {
    "tense": ("4", "4+7", "14"),
    "disgust": ("9", "4+9", "10"),
    "repression": ("17", "15+17", "14+17"),
    "surprise": ("1+2", "R1+R2"),
    "happiness": ("12", "6+12"),
    "sadness": ("1+4", "15"),
    "contempt": ("L14",),
    "fear": ("1+4+20",),
}
_SHAPES = ("EP{:02}_{}", "EP{:02}_{}_{}", "EP{:02}_1{}", "EP{:02}", "EP{:02}_{}_1{}", "EP{:02}_1{}_{}")
_SHAPE_SHARES = np.array((141, 22, 11, 9, 4, 2)) / 189
_WRONG = 8  # frames by which a planted mistake in the sheet is off


def _name(rng: np.random.Generator, subject: str, emotion: str, number: int) -> str:
    """Draw a name in one of the shapes that CASME has; no two are of one video."""
    return str(rng.choice(_SHAPES, p=_SHAPE_SHARES)).format(number, *rng.integers(1, 10, 2))


PROFILE = Profile(
    dataset="casme",
    people=numbered("sub{:02}"),
    proportions=PROPORTIONS,
    always=ALWAYS,
    names=_name,
    first=(20, 139),
    units=_UNITS,
)


def make_casme(
    dest: Path,
    *,
    subjects: int = 19,
    clips: int = 189,
    seed: int = 0,
    size: tuple[int, int] = (150, 190),
    length: tuple[int, int] = (8, 40),
    progress: Progress | None = None,
) -> None:
    """Write a twin of CASME: sheet, cropped frames, and ``truth.json``; see :class:`~.twin.MakeTwin`.

    Planted: frame numbers padded for half of the subjects, blank columns, clips of one name, apex plateaus, an onset
    and an offset that disagree with the folder, and ``Thumbs.db``.
    """
    planned = _repeat_a_name(plan(PROFILE.casting(subjects, clips, size, length), seed))
    frame_file = partial(_frame_file, unpadded=(subjects + 1) // 2)
    draw(dest, planned, frame_file, partial(_write_rest, planned), seed=seed, progress=progress)


def _repeat_a_name(planned: Sequence[ClipTruth]) -> list[ClipTruth]:
    """Give up to three clips of the busiest subject one name; they follow each other in one folder."""
    subject = Counter(truth.subject for truth in planned).most_common(1)[0][0]
    changed: list[ClipTruth] = []
    first = next(truth for truth in planned if truth.subject == subject)
    for truth in [truth for truth in planned if truth.subject == subject][:3]:
        start = changed[-1].offset + 4 if changed else truth.onset
        changed.append(shift(truth, start, name=f"{first.name}@{start}", like=first))
    if len(changed) < 2:
        return list(planned)
    rest = planned[planned.index(first) + len(changed) :]
    return [*planned[: planned.index(first)], *changed, *rest]


def shift(truth: ClipTruth, onset: int, *, name: str, like: ClipTruth) -> ClipTruth:
    """Let a clip begin at another frame, under another name, with frames of the size that another clip has."""
    by = onset - truth.onset
    return replace(
        truth,
        name=name,
        onset=onset,
        apex=truth.apex + by,
        offset=truth.offset + by,
        width=like.width,
        height=like.height,
    )


def _frame_file(truth: ClipTruth, number: int, unpadded: int) -> str:
    clip = _sheet_name(truth)
    digits = f"{number}" if truth.face <= unpadded else f"{number:03}"
    return f"Cropped/{truth.subject}/{clip}/reg_{clip}-{digits}.jpg"


def _sheet_name(truth: ClipTruth) -> str:
    return re.sub(r"@\d+", "", truth.name)


def _write_rest(planned: Sequence[ClipTruth], folder: Path) -> None:
    rows = [_row(truth, position) for position, truth in enumerate(planned)]
    # Only where a clip has its folder to itself does the folder tell what is right.
    alone = [position for position, truth in enumerate(planned) if truth.name == _sheet_name(truth)]
    if len(alone) > 1:
        rows[alone[0]][HEADER.index("OnsetF")] = planned[alone[0]].onset - _WRONG
        rows[alone[1]][HEADER.index("OffsetF")] = planned[alone[1]].offset + _WRONG
    write_workbook(folder / SHEET, [HEADER, *rows])
    (folder / "Cropped").mkdir()
    (folder / "Cropped" / "Thumbs.db").touch()


def _row(truth: ClipTruth, position: int) -> list[object]:
    plateau = truth.apex + 1 if position % 7 == 0 else ""
    subject, units = int(truth.subject.removeprefix("sub")), units_cell(truth)
    frames = [truth.onset, truth.apex, plateau, truth.offset]
    return [subject, _sheet_name(truth), "", *frames, "", units, truth.emotion]
