"""The twins of SMIC-E's three cameras: sheets and longer clips of :mod:`mer_data.datasets.smic_e`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from mer_data.synthetic import smic
from mer_data.synthetic.casme import shift
from mer_data.synthetic.twin import ClipTruth, Progress, draw, plan
from mer_data.synthetic.workbook import write_workbook

SHEET = "SMIC-{}-E_annotation.xlsx"
# The names of the second pair's columns are invented.
HEADER = (
    "Subject", "Filename", "", "OnsetF", "OffsetF", "Onset2F", "Offset2F", "", "FirstF", "LastF", "Duration", "Emotion",
)  # fmt: skip
TEXT = ("Synthetic: the faces are drawn.", "", "FirstF, LastF: frames of the folder, which begins before the onset")
PROFILES = {
    "HS": replace(smic.PROFILE, dataset="smic_e"),
    "VIS": replace(smic.PROFILE_VIS, dataset="smic_e_vis"),
    "NIR": replace(smic.PROFILE_NIR, dataset="smic_e_nir"),
}
_AROUND = 6  # frames before and after a micro-expression
_SECOND_EVERY = 23  # one clip in so many shows a second micro-expression
_WITHOUT_FIRST = 50  # one clip in so many has a text in the place of its first frame


def make_smic_e(
    dest: Path,
    *,
    subjects: int = 16,
    clips: int = 164,
    seed: int = 0,
    size: tuple[int, int] = (140, 170),
    length: tuple[int, int] = (10, 57),
    progress: Progress | None = None,
) -> None:
    """Write a twin of SMIC-E's high-speed camera: sheet, frames, and ``truth.json``; see :class:`~.twin.MakeTwin`.

    Planted: second micro-expressions in the columns right of ``OffsetF``, subjects as numbers, rows of text below the
    data, a text for a frame number, a blank column, no apex, and frames before and after the micro-expressions.
    """
    _write("HS", dest, plan(PROFILES["HS"].casting(subjects, clips, size, length), seed), seed, progress)


def make_smic_e_vis(
    dest: Path,
    *,
    subjects: int = 8,
    clips: int = 71,
    seed: int = 0,
    size: tuple[int, int] = (140, 170),
    length: tuple[int, int] = (4, 14),
    progress: Progress | None = None,
) -> None:
    """Write a twin of SMIC-E's ordinary camera, whose subjects begin with ``s11``; otherwise as :func:`make_smic_e`."""
    _write("VIS", dest, plan(PROFILES["VIS"].casting(subjects, clips, size, length), seed), seed, progress)


def make_smic_e_nir(
    dest: Path,
    *,
    subjects: int = 8,
    clips: int = 71,
    seed: int = 0,
    size: tuple[int, int] = (140, 170),
    length: tuple[int, int] = (4, 14),
    progress: Progress | None = None,
) -> None:
    """Write a twin of SMIC-E's near-infrared camera, grey; otherwise as :func:`make_smic_e_vis`."""
    _write("NIR", dest, plan(PROFILES["NIR"].casting(subjects, clips, size, length), seed), seed, progress)


def _write(camera: str, dest: Path, planned: Sequence[ClipTruth], seed: int, progress: Progress | None) -> None:
    planned = _join_some(smic.renumbered(smic.named_by_emotion(planned)))
    draw(
        dest,
        planned,
        partial(_frame_file, camera),
        partial(_write_sheet, camera, planned),
        seed=seed,
        before=_AROUND,
        after=_AROUND,
        grey=camera == "NIR",
        progress=progress,
    )


def _join_some(planned: Sequence[ClipTruth]) -> list[ClipTruth]:
    """Let some clips follow the one before them in its folder, where both are of one subject and one emotion."""
    joined: list[ClipTruth] = []
    free = 0  # clips since the last pair
    for truth in planned:
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


def _folder(truth: ClipTruth) -> str:
    return truth.name.partition("@")[0]


def _frame_file(camera: str, truth: ClipTruth, number: int) -> str:
    home = f"SMIC-E_raw image/{camera}_long/SMIC-{camera}-E"
    return f"{home}/{truth.subject}/{_folder(truth)}/image{number:06}.jpg"


def _write_sheet(camera: str, planned: Sequence[ClipTruth], folder: Path) -> None:
    clips: dict[str, list[ClipTruth]] = {}
    for truth in planned:
        clips.setdefault(_folder(truth), []).append(truth)
    rows = [_row(events, position) for position, events in enumerate(clips.values())]
    home = folder / "SMIC-E_raw image" / f"{camera}_long"
    home.mkdir(parents=True)
    write_workbook(home / SHEET.format(camera), [HEADER, *rows, *((line,) for line in TEXT)])
    (home / "Thumbs.db").touch()


def _row(events: Sequence[ClipTruth], position: int) -> tuple[object, ...]:
    one, last = events[0], events[-1]
    second = (last.onset, last.offset) if last is not one else ("", "")
    first = "missing" if position % _WITHOUT_FIRST == 1 else one.onset - _AROUND
    frames = (one.onset, one.offset, *second, "", first, last.offset + _AROUND, one.offset - one.onset + 1)
    return (int(one.subject.removeprefix("s")), _folder(one), "", *frames, one.emotion)
