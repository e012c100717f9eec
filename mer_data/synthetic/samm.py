"""The twin of SAMM: names, proportions and sheet of :mod:`mer_data.datasets.samm`.

Planted quirks: 13 rows of text above the header, subjects as numbers and as texts, apex -1, frame numbers of four and
of five digits, frame names with and without the subject, and ``Thumbs.db``.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from mer_data.datasets.samm import SHEET, TREES
from mer_data.synthetic.casting import ClipTruth, Profile, numbered
from mer_data.synthetic.dataset_twin import DatasetTwin, Layout
from mer_data.synthetic.raw import RawForm
from mer_data.synthetic.workbook import Worksheets

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


def _name(rng: np.random.Generator, subject: str, emotion: str, number: int) -> str:
    return f"{subject}_{rng.integers(1, 8)}_{number}"


def _layout(planned: Sequence[ClipTruth]) -> Layout:
    stray = f"{TREES[0]}/{planned[0].subject}/{planned[0].name}/Thumbs.db"
    return Layout(_frame_file, {SHEET: worksheets(planned)}, {stray: b""})


def _frame_file(truth: ClipTruth, number: int) -> str:
    # A recording has one width of number, and a subject one manner of naming.
    width = 5 if zlib.crc32(truth.name.encode()) % 4 == 0 else 4
    prefix = "" if int(truth.subject) % 3 == 0 else f"{truth.subject}_"
    return f"{TREES[0]}/{truth.subject}/{truth.name}/{prefix}{number:0{width}}.jpg"


def worksheets(planned: Sequence[ClipTruth]) -> Worksheets:
    """SAMM's sheet ``MICRO_ONLY`` with the text above its header."""
    rows = [_row(position, truth) for position, truth in enumerate(planned)]
    return {"MICRO_ONLY": [*((line,) for line in TEXT), HEADER, *rows]}


def interval_cells(truth: ClipTruth) -> tuple[object, ...]:
    """Inducement code, onset, apex, offset and duration, as both of SAMM's sheets have them."""
    apex = truth.apex if truth.apex_in_sheet else -1
    return (int(truth.name.split("_")[1]), truth.onset, apex, truth.offset, truth.offset - truth.onset + 1)


def _row(position: int, truth: ClipTruth) -> tuple[object, ...]:
    emotion = "Other" if truth.emotion == "others" else truth.emotion.capitalize()
    units = int(truth.action_units) if truth.action_units.isdigit() else f"{truth.action_units} "
    subject = truth.subject if position % 2 else int(truth.subject)
    return (subject, truth.name, *interval_cells(truth), "Micro - 1/2", units, emotion, 7, "")


PROFILE = Profile(
    dataset="samm",
    # The others have no micro-expression.
    people=numbered("{:03}", first=6, without=(8, 27, 29)),
    proportions={
        "anger": 57, "others": 26, "happiness": 26, "surprise": 15, "contempt": 12, "disgust": 9, "fear": 8,
        "sadness": 6,
    },
    always=("anger", "happiness", "surprise"),
    names=_name,
    first=(200, 5600),
    units={
        "anger": ("4", "4+7", "7B", "4D+9B", "ref(4)"),
        "others": ("14", "L12 or L14", "R14A or 17A or 24A", "soft focus"),
        "happiness": ("12", "6+12", "T12", "A12"),
        "surprise": ("1+2", "1B+2B", "5"),
        "contempt": ("R14", "(R6 or R12)+R15"),
        "disgust": ("9", "10A/B", "4+9"),
        "fear": ("20", "1+4+20"),
        "sadness": ("15", "1+15", "17"),
    },
    without_apex=0.02,
)  # fmt: skip
RAW = RawForm(picture=(2040, 1088), enlarged=3.0, renamed=((f"{TREES[0]}/", f"{TREES[1]}/"),))
make_samm = DatasetTwin(PROFILE, _layout, subjects=29, clips=159, length=(24, 110), grey=True, raw=RAW)
