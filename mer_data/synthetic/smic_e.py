"""The twins of SMIC-E's three cameras: sheets and longer clips of :mod:`mer_data.datasets.smic_e`.

Planted quirks: second micro-expressions in the columns right of ``OffsetF``, subjects as numbers, rows of text below
the data, a text for a frame number, a blank column, no apex, and frames before and after the micro-expressions. The
near-infrared camera is grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from mer_data.datasets.smic import CAMERAS
from mer_data.datasets.smic_e import SHEET
from mer_data.synthetic import smic
from mer_data.synthetic.casting import ClipTruth, shift
from mer_data.synthetic.dataset_twin import DatasetTwin, Layout
from mer_data.synthetic.workbook import two_sheets

# The names of the second pair's columns are invented.
HEADER = (
    "Subject", "Filename", "", "OnsetF", "OffsetF", "Onset2F", "Offset2F", "", "FirstF", "LastF", "Duration", "Emotion",
)  # fmt: skip
TEXT = ("Synthetic: the faces are drawn.", "", "FirstF, LastF: frames of the folder, which begins before the onset")
_AROUND = 6  # frames before and after a micro-expression
_SECOND_EVERY = 23  # one clip in so many shows a second micro-expression
_WITHOUT_FIRST = 50  # one clip in so many has a text in the place of its first frame


def _join_some(planned: Sequence[ClipTruth]) -> list[ClipTruth]:
    """Let some clips follow the one before them in its folder, where both are of one subject and one emotion."""
    joined: list[ClipTruth] = []
    free = 0  # clips since the last pair
    for truth in smic.numbered_as_recorded(planned):
        free += 1
        first = joined[-1] if joined else None
        alike = first and (first.subject, first.emotion) == (truth.subject, truth.emotion)
        if first and alike and free >= min(_SECOND_EVERY, len(planned) // 2):
            onset = first.offset + 2 * _AROUND + 1
            joined[-1] = replace(first, name=f"{first.name}@{first.onset}")
            joined.append(shift(truth, onset, name=f"{first.name}@{onset}", like=first))
            free = 0
        else:
            joined.append(truth)
    return joined


def _layout(camera: str, planned: Sequence[ClipTruth]) -> Layout:
    home = f"SMIC-E_raw image/{camera}_long"
    clips: dict[str, list[ClipTruth]] = {}
    for truth in planned:
        clips.setdefault(_folder(truth), []).append(truth)
    rows = [_row(position, events) for position, events in enumerate(clips.values())]
    return Layout(
        lambda truth, number: f"{home}/SMIC-{camera}-E/{truth.subject}/{_folder(truth)}/image{number:06}.jpg",
        {f"{home}/{SHEET.format(camera)}": two_sheets([HEADER, *rows, *((line,) for line in TEXT)])},
        {f"{home}/Thumbs.db": b""},
    )


def _folder(truth: ClipTruth) -> str:
    return truth.name.partition("@")[0]


def _row(position: int, events: Sequence[ClipTruth]) -> tuple[object, ...]:
    first, last = events[0], events[-1]
    second = (last.onset, last.offset) if last is not first else ("", "")
    start = "missing" if position % _WITHOUT_FIRST == 1 else first.onset - _AROUND
    frames = (first.onset, first.offset, *second, "", start, last.offset + _AROUND, first.offset - first.onset + 1)
    return (int(first.subject.removeprefix("s")), _folder(first), "", *frames, first.emotion)


def _extended(camera: str) -> DatasetTwin:
    """The same people and proportions as in the release with short clips."""
    twin = smic.BY_CAMERA[camera]
    return replace(
        twin,
        profile=replace(twin.profile, dataset=CAMERAS[camera].extended),
        layout=partial(_layout, camera),
        quirks=_join_some,
        before=_AROUND,
        after=_AROUND,
    )


make_smic_e, make_smic_e_vis, make_smic_e_nir = map(_extended, CAMERAS)
