"""The twin of SAMM Long Videos: both sheets and the videos of :mod:`mer_data.datasets.samm_lv`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from mer_data.synthetic import samm
from mer_data.synthetic.twin import ClipTruth, Progress, draw, plan
from mer_data.synthetic.workbook import write_workbook

SHEET = "SAMM_LongVideos_V2_Release.xlsx"
HEADER = (
    "Subject", "Filename", "Inducement Code", "Onset", "Apex", "Offset", "Duration", "Type", "Action Units", "Notes",
)  # fmt: skip
# SAMM's people, names and proportions.
PROFILE = replace(samm.PROFILE, dataset="samm_lv")
_TEXT_ROWS = 10
_AROUND = 3  # frames before and after a micro-expression
_BETWEEN = 40  # frames of a video that are not drawn


def make_samm_lv(
    dest: Path,
    *,
    subjects: int = 29,
    clips: int = 159,
    seed: int = 0,
    size: tuple[int, int] = (140, 170),
    length: tuple[int, int] = (24, 110),
    progress: Progress | None = None,
) -> None:
    """Write a twin of SAMM Long Videos with SAMM's sheet beside its own, and ``truth.json``.

    Planted: ten rows of text above the header, no emotions, macro rows between the others, with onset 0 and apex and
    offset -1, a folder for each video with several clips, and ``Thumbs.db``. Of the videos only some frames around
    the micro-expressions are drawn. They are not those of the twin of SAMM. See :class:`~.twin.MakeTwin`.
    """
    planned = _in_videos(plan(PROFILE.casting(subjects, clips, size, length), seed))
    around = {"before": _AROUND, "after": _AROUND}
    draw(dest, planned, _frame_file, partial(_write_rest, planned), seed=seed, **around, grey=True, progress=progress)


def _video(truth: ClipTruth) -> str:
    return truth.name.rpartition("_")[0]


def _in_videos(planned: Sequence[ClipTruth]) -> list[ClipTruth]:
    """Give the clips of one video frames that follow one another, and one size."""
    first: dict[str, ClipTruth] = {}
    free: dict[str, int] = {}
    moved = []
    for truth in planned:
        start = free.get(_video(truth), 1) + _AROUND
        size = first.setdefault(_video(truth), truth)
        shift = start - truth.onset
        numbers = {name: getattr(truth, name) + shift for name in ("onset", "apex", "offset")}
        moved.append(replace(truth, **numbers, width=size.width, height=size.height))
        free[_video(truth)] = truth.offset + shift + _AROUND + _BETWEEN
    return moved


def _frame_file(truth: ClipTruth, number: int) -> str:
    return f"SAMM_longvideos/{_video(truth)}/{_video(truth)}_{number:04}.jpg"


def _write_rest(planned: Sequence[ClipTruth], folder: Path) -> None:
    samm.write_sheet(folder / samm.SHEET, planned)
    _write_sheet(folder / SHEET, planned)
    stray = folder / "SAMM_longvideos" / _video(planned[0]) / "Thumbs.db"
    stray.parent.mkdir(parents=True)
    stray.touch()


def _write_sheet(path: Path, planned: Sequence[ClipTruth]) -> None:
    rows: list[Sequence[object]] = [
        (f"Row {number} of text in a synthetic twin",) for number in range(1, _TEXT_ROWS + 1)
    ]
    rows.append(HEADER)
    for truth in planned:
        person, numbers = int(truth.subject), samm.interval_cells(truth)
        rows.append((person, f"{truth.name}_m", numbers[0], 0, -1, -1, -1, "Macro", "12", "began before the recording"))
        rows.append((person, truth.name, *numbers, "Micro - 1/2", truth.action_units, ""))
    write_workbook(path, rows)
