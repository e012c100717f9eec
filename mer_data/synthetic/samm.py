"""The twin of SAMM: names, proportions and sheet of :mod:`mer_data.datasets.samm`."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from mer_data.synthetic.twin import ClipTruth, Profile, Progress, draw, numbered, plan
from mer_data.synthetic.workbook import write_worksheets

SHEET = "SAMM_Micro_FACS_Codes_v2.xlsx"
HEADER = (
    "Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration", "Micro",
    "Action Units", "Estimated Emotion", "Objective Classes", "Notes",
)  # fmt: skip
TEXT = (
    "Synthetic twin of a micro-expression dataset", "", "Nobody was filmed: the faces are drawn.",
    "The columns are those of the original.", "", "Subject: number of the person", "Filename: folder of the clip",
    "Inducement Code: what was shown", "Onset, Apex, Offset Frame: numbers in the recording", "Duration: in frames",
    "Action Units: see the manual", "Estimated Emotion: in words", "",
)  # fmt: skip

# Clips per emotion, as the sheet spells it, among SAMM's 159.
PROPORTIONS = {
    "anger": 57, "others": 26, "happiness": 26, "surprise": 15, "contempt": 12, "disgust": 9, "fear": 8, "sadness": 6,
}  # fmt: skip
ALWAYS = ("anger", "happiness", "surprise")  # one for each of the three classes
UNITS = {
    "anger": ("4", "4+7", "7B", "4D+9B", "ref(4)"),
    "others": ("14", "L12 or L14", "R14A or 17A or 24A", "soft focus"),
    "happiness": ("12", "6+12", "T12", "A12 "),
    "surprise": ("1+2", "1B+2B", "5"),
    "contempt": ("R14", "(R6 or R12)+R15"),
    "disgust": ("9", "10A/B", "4+9"),
    "fear": ("20", "1+4+20"),
    "sadness": ("15", "1+15", "17"),
}


def _name(rng: np.random.Generator, subject: str, emotion: str, number: int) -> str:
    return f"{subject}_{rng.integers(1, 8)}_{number}"


PROFILE = Profile(
    dataset="samm",
    # The others have no micro-expression.
    people=numbered("{:03}", first=6, without=(8, 27, 29)),
    proportions=PROPORTIONS,
    always=ALWAYS,
    names=_name,
    first=(200, 5600),
    units={emotion: [text.strip() for text in texts] for emotion, texts in UNITS.items()},
    without_apex=0.02,
)


def make_samm(
    dest: Path,
    *,
    subjects: int = 29,
    clips: int = 159,
    seed: int = 0,
    size: tuple[int, int] = (140, 170),
    length: tuple[int, int] = (24, 110),
    progress: Progress | None = None,
) -> None:
    """Write a twin of SAMM: sheet, cropped grey frames, and ``truth.json``; see :class:`~.twin.MakeTwin`.

    Planted: 13 rows of text above the header, subjects as numbers and as texts, apex -1, frame numbers of four and of
    five digits, frame names with and without the subject, and ``Thumbs.db``.
    """
    write(dest, plan(PROFILE.casting(subjects, clips, size, length), seed), seed=seed, progress=progress)


def write(dest: Path, planned: Sequence[ClipTruth], *, seed: int, progress: Progress | None = None) -> None:
    """Write planned clips as a SAMM; see :func:`mer_data.synthetic.twin.draw`."""
    draw(dest, planned, _frame_file, partial(_write_rest, planned), seed=seed, grey=True, progress=progress)


def write_sheet(path: Path, planned: Sequence[ClipTruth]) -> None:
    """Write SAMM's sheet ``MICRO_ONLY`` with the text above its header."""
    rows = [_row(position, truth) for position, truth in enumerate(planned)]
    write_worksheets(path, {"MICRO_ONLY": [*((line,) for line in TEXT), HEADER, *rows]})


def interval_cells(truth: ClipTruth) -> tuple[object, ...]:
    """Inducement code, onset, apex, offset and duration, as both of SAMM's sheets have them."""
    apex = truth.apex if truth.apex_in_sheet else -1
    return (int(truth.name.split("_")[1]), truth.onset, apex, truth.offset, truth.offset - truth.onset + 1)


def _row(position: int, truth: ClipTruth) -> tuple[object, ...]:
    emotion = "Other" if truth.emotion == "others" else truth.emotion.capitalize()
    units = int(truth.action_units) if truth.action_units.isdigit() else f"{truth.action_units} "
    subject = truth.subject if position % 2 else int(truth.subject)
    return (subject, truth.name, *interval_cells(truth), "Micro - 1/2", units, emotion, 7, "")


def _frame_file(truth: ClipTruth, number: int) -> str:
    # A recording has one width of number, and a subject one manner of naming.
    width = 5 if zlib.crc32(truth.name.encode()) % 4 == 0 else 4
    prefix = "" if int(truth.subject) % 3 == 0 else f"{truth.subject}_"
    return f"SAMM_CROP/{truth.subject}/{truth.name}/{prefix}{number:0{width}}.jpg"


def _write_rest(planned: Sequence[ClipTruth], folder: Path) -> None:
    write_sheet(folder / SHEET, planned)
    stray = folder / "SAMM_CROP" / planned[0].subject / planned[0].name / "Thumbs.db"
    stray.parent.mkdir(parents=True)
    stray.touch()
