"""The twin of CASME: names, proportions and sheet of :mod:`mer_data.datasets.casme`.

Planted quirks: frame numbers padded for half of the subjects, blank columns, clips of one name, apex plateaus, an onset
and an offset that disagree with the folder, and ``Thumbs.db``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from mer_data.datasets.casme import SHEET, TREES
from mer_data.synthetic.casting import ClipTruth, Profile, numbered, shift
from mer_data.synthetic.dataset_twin import DatasetTwin, Layout
from mer_data.synthetic.workbook import two_sheets, units_cell

HEADER = ("Subject", "Filename", "", "OnsetF", "ApexF1", "ApexF2", "OffsetF", "", "AU", "Emotion")
_SHAPES = ("EP{:02}_{}", "EP{:02}_{}_{}", "EP{:02}_1{}", "EP{:02}", "EP{:02}_{}_1{}", "EP{:02}_1{}_{}")
_SHAPE_SHARES = np.array((141, 22, 11, 9, 4, 2)) / 189
_WRONG = 8  # frames by which a planted mistake in the sheet is off


def _name(rng: np.random.Generator, subject: str, emotion: str, number: int) -> str:
    """Draw a name in one of the shapes that CASME has; no two are of one video."""
    return str(rng.choice(_SHAPES, p=_SHAPE_SHARES)).format(number, *rng.integers(1, 10, 2))


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


def _layout(planned: Sequence[ClipTruth]) -> Layout:
    unpadded = (planned[-1].face + 1) // 2

    def frame_file(truth: ClipTruth, number: int) -> str:
        clip = _sheet_name(truth)
        digits = f"{number}" if truth.face <= unpadded else f"{number:03}"
        return f"{TREES[0]}/{truth.subject}/{clip}/reg_{clip}-{digits}.jpg"

    return Layout(frame_file, {SHEET: two_sheets([HEADER, *_rows(planned)])}, {f"{TREES[0]}/Thumbs.db": b""})


def _sheet_name(truth: ClipTruth) -> str:
    return re.sub(r"@\d+", "", truth.name)


def _rows(planned: Sequence[ClipTruth]) -> list[list[object]]:
    rows = [_row(position, truth) for position, truth in enumerate(planned)]
    # Only where a clip has its folder to itself does the folder tell what is right.
    alone = [position for position, truth in enumerate(planned) if truth.name == _sheet_name(truth)]
    if len(alone) > 1:
        rows[alone[0]][HEADER.index("OnsetF")] = planned[alone[0]].onset - _WRONG
        rows[alone[1]][HEADER.index("OffsetF")] = planned[alone[1]].offset + _WRONG
    return rows


def _row(position: int, truth: ClipTruth) -> list[object]:
    plateau = truth.apex + 1 if position % 7 == 0 else ""
    subject, units = int(truth.subject.removeprefix("sub")), units_cell(truth)
    frames = [truth.onset, truth.apex, plateau, truth.offset]
    return [subject, _sheet_name(truth), "", *frames, "", units, truth.emotion]


PROFILE = Profile(
    dataset="casme",
    people=numbered("sub{:02}"),
    # Of the released sheet, which has 189.
    proportions={
        "tense": 68, "disgust": 45, "repression": 39, "surprise": 20, "happiness": 7, "sadness": 6, "contempt": 2,
        "fear": 2,
    },
    always=("disgust", "happiness", "surprise"),
    names=_name,
    first=(20, 139),
    units={
        "tense": ("4", "4+7", "14"),
        "disgust": ("9", "4+9", "10"),
        "repression": ("17", "15+17", "14+17"),
        "surprise": ("1+2", "R1+R2"),
        "happiness": ("12", "6+12"),
        "sadness": ("1+4", "15"),
        "contempt": ("L14",),
        "fear": ("1+4+20",),
    },
)  # fmt: skip
make_casme = DatasetTwin(
    PROFILE, _layout, subjects=19, clips=189, length=(8, 40), size=(150, 190), quirks=_repeat_a_name
)
