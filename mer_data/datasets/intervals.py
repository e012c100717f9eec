"""Onset, apex and offset as sheets write them: reading the cells, repairing what is known to be missing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mer_data.apex import midpoint, spot_apex
from mer_data.datasets.common import Report
from mer_data.problems import BadInput
from mer_data.sheets import Row

_WHOLE_NUMBER = re.compile(r"[+-]?\d{1,9}(\.0*)?")
_NO_NUMBER = frozenset({"", "/", "0", "-1"})
_REACH = 2  # how far the next existing frame may be from one that is missing


def read_number(text: str) -> int | None:
    """Read a whole number as sheets write it (``12``, ``12.0``), or None."""
    return int(text.split(".")[0]) if _WHOLE_NUMBER.fullmatch(text) else None


def at_onset(row: Row) -> str:
    """Name a clip by its row's name and onset, ``EP02_5@61``, where the name alone is not enough."""
    onset = read_number(row["onset"])
    return f"{row['name']}@{row['onset'] if onset is None else onset}"


@dataclass(frozen=True)
class Interval:
    """Frame numbers of a clip, onset < apex <= offset, and where the apex comes from (``APEX_SOURCES``)."""

    onset: int
    apex: int
    offset: int
    apex_source: str


def read_interval(row: Row, last_frame: int | None, report: Report) -> Interval | None:
    """Read onset, apex and offset from the columns of these names, and repair what is known to be missing.

    An offset that is missing (empty, ``/``, 0, -1) becomes apex + (apex - onset), but not beyond the last
    frame. An apex that is missing, or outside (onset, offset], becomes the middle frame, with source
    ``midpoint``. Both are noted.

    Returns
    -------
    None if the cells cannot be used; the problems are in the report.
    """
    onset = _read_cell(row, "onset", report)
    apex, offset = (_read_cell(row, name, report, missing=_NO_NUMBER) for name in ("apex", "offset"))
    if onset is _UNREADABLE or apex is _UNREADABLE or offset is _UNREADABLE or onset is None:
        return None
    if offset is None:
        if apex is None or apex <= onset:
            report.problem(row.at("offset"), "neither offset nor apex is given", "fill in one of them")
            return None
        offset = 2 * apex - onset
        offset = offset if last_frame is None else max(apex, min(offset, last_frame))
        report.note(row.at("offset"), f"no offset; taken as frame {offset} by the distance from onset to apex")
    if offset <= onset:
        report.problem(row.at("offset"), f"offset {offset} is not after onset {onset}", "correct the sheet")
        return None
    if apex is None or not onset < apex <= offset:
        middle = midpoint(onset, offset)
        said = "no apex" if apex is None else f"apex {apex} is not within {onset} to {offset}"
        report.note(row.at("apex"), f"{said}; the middle frame {middle} is used")
        return Interval(onset, middle, offset, "midpoint")
    return Interval(onset, apex, offset, "corrected" if "apex" in row.corrected else "annotated")


_UNREADABLE = -(10**9)  # outside what read_number accepts


def _read_cell(row: Row, column: str, report: Report, missing: frozenset[str] = frozenset()) -> int | None:
    """Read a frame number; None if the cell counts as missing, ``_UNREADABLE`` if it was reported."""
    text = row[column]
    number = read_number(text)
    if text in missing or (number is not None and str(number) in missing):
        return None
    if number is None or (number < 0 and not missing):
        said = f"{text!r} is not a frame number" if text else "the cell is empty"
        report.problem(row.at(column), said, "write the whole number of a frame")
        return _UNREADABLE
    return number


def on_disk(interval: Interval, frames: Mapping[int, Path], row: Row, folder: Path, report: Report) -> Interval | None:
    """Make sure that the onset and the apex are frames that exist.

    A missing one is replaced by the nearest frame within two, the earlier if there are two, and noted.

    Returns
    -------
    None if there is no such frame; the problem is in the report.
    """
    onset = _nearest(frames, interval.onset, 0, interval.apex - 1)
    apex = _nearest(frames, interval.apex, (interval.onset if onset is None else onset) + 1, interval.offset)
    for column, wanted, found in (("onset", interval.onset, onset), ("apex", interval.apex, apex)):
        if found is None:
            what = f"frame {wanted} is not in {folder}, nor is one within {_REACH} of it"
            remedy = f"the folder has {min(frames)} to {max(frames)}; restore the frame or correct the sheet"
            report.problem(row.at(column), what, remedy)
        elif found != wanted:
            report.note(row.at(column), f"frame {wanted} is missing on disk; frame {found} is used")
    if onset is None or apex is None:
        return None
    last = max(frames)
    if interval.offset > last:
        report.note(row.at("offset"), f"frame {interval.offset} is beyond the last on disk; frame {last} is used")
    return replace(interval, onset=onset, apex=apex, offset=min(interval.offset, last))


def spotted(interval: Interval, frames: Mapping[int, Path], fps: float, row: Row, report: Report) -> Interval:
    """Replace a midpoint by the frame of most motion (:func:`mer_data.apex.spot_apex`), and note it."""
    try:
        apex = spot_apex(frames, interval.onset, interval.offset, fps=fps)
    except BadInput as error:
        report.problems += error.problems
        return interval
    report.note(row.at("apex"), f"the apex was spotted by motion instead, at frame {apex}")
    return replace(interval, apex=apex, apex_source="spotted")


def _nearest(frames: Mapping[int, Path], wanted: int, low: int, high: int) -> int | None:
    near = range(max(low, wanted - _REACH), min(high, wanted + _REACH) + 1)
    return min((n for n in near if n in frames), key=lambda n: (abs(n - wanted), n), default=None)


def frame_numbers(row: Row) -> tuple[int | None, int | None, int | None]:
    """Onset, apex and offset as far as they are numbers; None for a missing one, as :func:`read_interval` has it."""
    onset, apex, offset = (read_number(row[name]) for name in ("onset", "apex", "offset"))
    apex, offset = (None if str(number) in _NO_NUMBER else number for number in (apex, offset))
    return onset, apex, offset


def count_from(row: Row, first: int, report: Report) -> Row:
    """Turn the frame numbers of a recording into those of a clip whose onset is frame `first`, and note it."""
    onset, apex, offset = frame_numbers(row)
    if onset is None:
        return row
    numbers = {"onset": onset, "apex": apex, "offset": offset}
    shifted = {name: str(number - onset + first) for name, number in numbers.items() if number is not None}
    report.note(row.at("onset"), f"numbers of the whole recording; {onset - first} is subtracted from them")
    return replace(row, cells={**row.cells, **shifted})


def fills_folder(row: Row, frames: Mapping[int, Path]) -> bool:
    """Whether the interval ends beyond the last frame but has as many frames as the folder.

    Then the sheet counts from the start of the recording, and the folder from the start of the clip.
    """
    onset, _, offset = frame_numbers(row)
    return onset is not None and offset is not None and offset > max(frames) and offset - onset + 1 == len(frames)


def cut_offset(row: Row, last: int, report: Report) -> Row:
    """Cut an offset beyond the folder's last frame to that frame, and note it, if onset and apex lie before it."""
    onset, apex, offset = frame_numbers(row)
    if onset is None or offset is None or not max(onset + 1, apex or 0) <= last < offset:
        return row
    report.note(row.at("offset"), f"offset {offset} is beyond the last frame; frame {last} is used")
    return replace(row, cells={**row.cells, "offset": str(last)})
