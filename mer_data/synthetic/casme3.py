"""The twins of CAS(ME)^3, parts A and C: names, proportions and sheets of :mod:`mer_data.datasets.casme3`.

Planted quirks of part A: several clips in one video, an apex that equals the onset, an onset of 0 without such a frame,
a missing offset, a missing frame, ``J`` for ``j``, ``Others`` for ``others``, depth images, and a sheet of all
expressions. Of part C: no apex, action units with commas of two kinds, one too many and ``13?``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from mer_data.datasets.casme3 import SHEET_A, SHEET_C
from mer_data.synthetic.casme_sq import one_after_the_other
from mer_data.synthetic.casting import ClipTruth, Profile, numbered, shift
from mer_data.synthetic.dataset_twin import DatasetTwin, Layout
from mer_data.synthetic.raw import RawForm
from mer_data.synthetic.workbook import units_cell

ALL_EXPRESSIONS = "CAS(ME)3_part_A_v2.xls"
HEADER_A = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion")
HEADER_C = ("sub", "count", "onset", "offset", "au", "emotion")
TREE_A, TREE_C = "part_A/data/part_A_split/part_A", "part_C/data"
# Action units, and the objective class that goes with them.
_UNITS_A = {
    "disgust": {"4+9": "IV", "10": "IV", "14+24": "VII"},
    "surprise": {"1+2": "II", "2+1": "II", "5": "II"},
    "others": {"T14": "VII", "24": "VII"},
    "fear": {"20": "VI", "1+2+4": "VI"},
    "anger": {"4": "III", "4+7": "III"},
    "sadness": {"L15": "V", "15": "V"},
    "happiness": {"12": "I", "6+12": "I"},
}
_CLASSES = {units: number for texts in _UNITS_A.values() for units, number in texts.items()}
_PEOPLE_A = (*range(1, 14), *range(39, 43), 77, *range(138, 1000))  # numbers with gaps, as in part A
_VIDEOS = "abcdefghijklm"
_WORDS = {"sadness": "sad", "happiness": "happy"}


def _count(rng: np.random.Generator, subject: str, emotion: str, number: int) -> str:
    return str(number)


def _video_and_number(rng: np.random.Generator, subject: str, emotion: str, number: int) -> str:
    """Draw the video; the clip is renamed by it and the onset when that is final. One video ``j`` there always is."""
    video = "j" if (subject, number) == ("spNO.1", 1) else str(rng.choice(list(_VIDEOS[:5])))
    return f"{video}@{number}"


def _in_videos(planned: Sequence[ClipTruth]) -> list[ClipTruth]:
    """Make a clip symmetrical, so that its offset can be left out, and let one begin with the video's first frame."""
    given = [i for i, truth in enumerate(planned) if truth.apex_in_sheet]
    changed = dict(enumerate(planned))
    for i in given[:1]:
        changed[i] = replace(planned[i], offset=2 * planned[i].apex - planned[i].onset)
    for i in given[1:]:
        if planned[i].subject != planned[i - 1].subject:
            changed[i] = shift(planned[i], 1)
            break
    final = one_after_the_other([changed[i] for i in range(len(planned))])
    return [replace(truth, name=f"{truth.name[0]}@{_sheet_onset(truth)}") for truth in final]


def _sheet_onset(truth: ClipTruth) -> int:
    """A video has no frame 0, but a sheet may begin with it."""
    return 0 if truth.onset == 1 else truth.onset


def _layout_a(planned: Sequence[ClipTruth]) -> Layout:
    # The camera dropped a frame that is neither the first, the apex nor the last of its clip.
    last = planned[-1]
    dropped = next((number for number in range(last.onset + 1, last.offset) if number != last.apex), None)

    def frame_file(truth: ClipTruth, number: int) -> str | None:
        return None if truth is last and number == dropped else f"{_video_a(truth)}/color/{number}.jpg"

    rows = _rows_a(planned)
    header = (*HEADER_A[:6], "Expression type", HEADER_A[6])
    every = [header, *((*row[:6], "Micro-expression", row[6]) for row in rows)]
    depth = cv2.imencode(".png", np.full((8, 8), 700, np.uint16))[1].tobytes()
    return Layout(
        frame_file,
        {
            f"part_A/annotation/{SHEET_A}": {"label": [HEADER_A, *rows], "Sheet2": (), "Sheet3": ()},
            f"part_A/annotation/{ALL_EXPRESSIONS}": {"AU+Emotion": every},
        },
        {f"{_video_a(truth)}/depth/{truth.onset}.png": depth for truth in planned},
    )


def _video_a(truth: ClipTruth) -> str:
    return f"{TREE_A}/{truth.subject}/{truth.name[0]}"


def _rows_a(planned: Sequence[ClipTruth]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    others = 0
    mirrored = next((truth for truth in planned if truth.apex_in_sheet), None)
    for truth in planned:
        others += truth.emotion == "others"
        emotion = "Others" if truth.emotion == "others" and others == 1 else _WORDS.get(truth.emotion, truth.emotion)
        video = truth.name[0].upper() if truth.name[0] == "j" else truth.name[0]
        apex = truth.apex if truth.apex_in_sheet else _sheet_onset(truth)
        offset = 0 if truth is mirrored else truth.offset
        units = _CLASSES[truth.action_units]
        rows.append((truth.subject, video, _sheet_onset(truth), apex, offset, units_cell(truth), units, emotion))
    return rows


def _layout_c(planned: Sequence[ClipTruth]) -> Layout:
    rows = [_row_c(position, truth) for position, truth in enumerate(planned)]
    return Layout(_frame_file_c, {f"part_C/{SHEET_C}": {"mockCrimeME": [HEADER_C, *rows]}})


def _frame_file_c(truth: ClipTruth, number: int) -> str:
    return f"{TREE_C}/{truth.subject.removeprefix('c')}/{truth.name}/color/{number}.jpg"


def _row_c(position: int, truth: ClipTruth) -> tuple[object, ...]:
    subject, count = int(truth.subject.removeprefix("c")), int(truth.name)
    return (subject, count, truth.onset, truth.offset, _commas(position, truth), truth.emotion)


def _commas(position: int, truth: ClipTruth) -> object:
    """Write action units with commas: a full-width one in some rows, one too many in others."""
    if position % 3 == 0 and "+" in truth.action_units:
        return truth.action_units.replace("+", "\uff0c")
    text = truth.action_units.replace("+", ",")
    return f"{text}," if position % 3 == 1 else units_cell(truth) if text.isdigit() else text


PROFILE_A = Profile(
    dataset="casme3a",
    people=lambda people: [f"spNO.{number}" for number in _PEOPLE_A[:people]],
    # Of version 2, which has 860.
    proportions={
        "disgust": 250, "surprise": 187, "others": 161, "fear": 86, "anger": 64, "sadness": 57, "happiness": 55,
    },
    always=("disgust", "surprise", "happiness"),
    names=_video_and_number,
    first=(5, 120),
    units={emotion: tuple(texts) for emotion, texts in _UNITS_A.items()},
    without_apex=55 / 860,
)  # fmt: skip
PROFILE_C = Profile(
    dataset="casme3c",
    people=numbered("c{:02}"),
    proportions={"negative": 99, "surprise": 30, "others": 20, "positive": 16},
    always=("negative", "surprise", "positive"),
    names=_count,
    first=(100, 9000),
    units={
        "negative": ("4+7", "9", "13?"),
        "surprise": ("1+2", "5"),
        "others": ("14", "14+24"),
        "positive": ("12", "6+12"),
    },
    without_apex=1.0,
)
RAW = RawForm(picture=(1280, 720), enlarged=2.0)
make_casme3a = DatasetTwin(
    PROFILE_A, _layout_a, subjects=94, clips=860, length=(8, 40), size=(160, 120), quirks=_in_videos, raw=RAW
)
make_casme3c = DatasetTwin(PROFILE_C, _layout_c, subjects=30, clips=165, length=(8, 40), size=(160, 120), raw=RAW)
