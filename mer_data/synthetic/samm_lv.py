"""The twin of SAMM Long Videos: both sheets and the videos of :mod:`mer_data.datasets.samm_lv`.

Planted quirks: ten rows of text above the header, no emotions, macro rows between the others, with onset 0 and apex and
offset -1, a folder for each video with several clips, and ``Thumbs.db``. Of the videos only some frames around the
micro-expressions are drawn. They are not those of the twin of SAMM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mer_data.datasets import samm as samm_release
from mer_data.datasets.samm_lv import SHEET, TREES
from mer_data.synthetic import samm
from mer_data.synthetic.casting import ClipTruth, shift
from mer_data.synthetic.dataset_twin import Layout
from mer_data.synthetic.workbook import two_sheets

HEADER = (
    "Subject", "Filename", "Inducement Code", "Onset", "Apex", "Offset", "Duration", "Type", "Action Units", "Notes",
)  # fmt: skip
_TEXT_ROWS = 10
_AROUND = 3  # frames before and after a micro-expression
_BETWEEN = 40  # frames of a video that are not drawn


def _video(truth: ClipTruth) -> str:
    return truth.name.rpartition("_")[0]


def _in_videos(planned: Sequence[ClipTruth]) -> list[ClipTruth]:
    """Give the clips of one video frames that follow one another, and one size."""
    first: dict[str, ClipTruth] = {}
    free: dict[str, int] = {}
    moved = []
    for truth in planned:
        start = free.get(_video(truth), 1) + _AROUND
        moved.append(shift(truth, start, like=first.setdefault(_video(truth), truth)))
        free[_video(truth)] = moved[-1].offset + _AROUND + _BETWEEN
    return moved


def _layout(planned: Sequence[ClipTruth]) -> Layout:
    rows: list[Sequence[object]] = []
    for truth in planned:
        person, numbers = int(truth.subject), samm.interval_cells(truth)
        rows.append((person, f"{truth.name}_m", numbers[0], 0, -1, -1, -1, "Macro", "12", "began before the recording"))
        rows.append((person, truth.name, *numbers, "Micro - 1/2", truth.action_units, ""))
    text = [(f"Row {number} of text in a synthetic twin",) for number in range(1, _TEXT_ROWS + 1)]
    return Layout(
        _frame_file,
        {samm_release.SHEET: samm.worksheets(planned), SHEET: two_sheets([*text, HEADER, *rows])},
        {f"{TREES[0]}/{_video(planned[0])}/Thumbs.db": b""},
    )


def _frame_file(truth: ClipTruth, number: int) -> str:
    return f"{TREES[0]}/{_video(truth)}/{_video(truth)}_{number:04}.jpg"


# SAMM's people, names and proportions.
make_samm_lv = replace(
    samm.make_samm,
    profile=replace(samm.PROFILE, dataset="samm_lv"),
    layout=_layout,
    quirks=_in_videos,
    before=_AROUND,
    after=_AROUND,
)
