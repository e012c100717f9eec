"""Onset, apex and offset as sheets write them: reading the cells, repairing what is known to be missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mer_data.apex import midpoint, spot_apex
from mer_data.datasets.common import Report
from mer_data.problems import BadInput
from mer_data.sheets import Row

_WHOLE_NUMBER = re.compile(r"[+-]?\d{1,9}(\.0*)?")
_NO_NUMBER = frozenset({"", "0", "-1"})
_REACH = 2  # how far the next existing frame may be from one that is missing


def read_number(text: str) -> int | None:
    """Read a whole number as sheets write it (``12``, ``12.0``), or None."""
    return int(text.split(".")[0]) if _WHOLE_NUMBER.fullmatch(text) else None


def at_onset(row: Row) -> str:
    """Name a clip by its row's name and onset, ``EP02_5@61``, where the name alone is not enough."""
    onset = read_number(row["onset"])
    return f"{row['name']}@{row['onset'] if onset is None else onset}"


LastApex = Callable[[int, int], int | None]  # onset and offset to the last frame that may be the apex, if that is known


@dataclass(frozen=True)
class Interval:
    """Frame numbers of a clip, onset < apex <= offset, and where the apex comes from (``APEX_SOURCES``)."""

    onset: int
    apex: int
    offset: int
    apex_source: str


def read_interval(
    row: Row, last_frame: int | None, report: Report, last_apex: LastApex = lambda onset, offset: None
) -> Interval | None:
    """Read onset, apex and offset from the columns of these names, and repair what is known to be missing.

    An offset that is missing (empty, 0, -1) becomes apex + (apex - onset), but not beyond the last
    frame. An apex that is missing, or outside (onset, offset], becomes the middle frame, with source
    ``midpoint``; or if `last_apex` tells a frame before that, it, with source ``limited``. Both are noted.

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
        last = last_apex(onset, offset)
        if last is not None and last < middle:
            long = f"{offset - onset + 1} frames are longer than a micro-expression"
            report.note(row.at("apex"), f"{said}; {long}, so frame {last} is used, the last that may be an apex")
            return Interval(onset, last, offset, "limited")
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
        said = f"{text!r} is not a frame number" if text else "the cell is empty, or says that it is (/, -, N/A)"
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


def spotted(
    interval: Interval, frames: Mapping[int, Path], fps: float, row: Row, report: Report, last: int | None = None
) -> Interval:
    """Replace a midpoint by the frame of most motion (:func:`mer_data.apex.spot_apex`), up to `last`, and note it.

    An apex that is ``limited`` stays so.
    """
    try:
        apex = spot_apex(frames, interval.onset, interval.offset if last is None else last, fps=fps)
    except BadInput as error:
        report.problems += error.problems
        return interval
    report.note(row.at("apex"), f"the apex was spotted by motion instead, at frame {apex}")
    return replace(interval, apex=apex, apex_source="spotted" if last is None else "limited")


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
    onset, _, _ = frame_numbers(row)
    if onset is None:
        return row
    report.note(row.at("onset"), f"numbers of the whole recording; {onset - first} is subtracted from them")
    return _shifted(row, onset - first)


def _shifted(row: Row, by: int) -> Row:
    numbers = dict(zip(("onset", "apex", "offset"), frame_numbers(row), strict=True))
    shifted = {name: str(number - by) for name, number in numbers.items() if number is not None}
    return replace(row, cells={**row.cells, **shifted})


def length(row: Row) -> int | None:
    """How many frames a row's interval has; None if onset or offset is missing."""
    onset, _, offset = frame_numbers(row)
    return None if onset is None or offset is None else offset - onset + 1


def spans(row: Row, frames: Mapping[int, Path]) -> bool:
    """Whether a folder is as long as a row's interval, be it counted from another frame."""
    return bool(frames) and length(row) == max(frames) - min(frames) + 1


def counted_afresh(row: Row, frames: Mapping[int, Path], report: Report) -> Row:
    """Count as the folder does, where it holds none of the row's frames but is as long as its interval; note it.

    A folder that begins with frame 0 or 1 may hold some of the row's numbers by chance, but not both ends.
    """
    numbers = [number for number in frame_numbers(row) if number is not None]
    first, last = min(frames), max(frames)
    inside = [first <= number <= last for number in numbers]
    if not spans(row, frames) or numbers[0] == first or (any(inside) and first > 1):
        return row
    what = f"the folder is as long as the interval, but counts from {first}; {numbers[0] - first} is subtracted"
    report.note(row.at("onset"), what)
    return _shifted(row, numbers[0] - first)


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
