"""What the importers share: finding the sheet and the frames, reading frame numbers, repairing intervals."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mer_data.apex import midpoint, spot_apex
from mer_data.problems import BadInput, Problem
from mer_data.sheets import SHEET_SUFFIXES, Columns, Row, Sheet, read_sheet

_JUNK = frozenset({"__macosx", "desktop.ini", "thumbs.db"})
_WHOLE_NUMBER = re.compile(r"[+-]?\d{1,9}(\.0*)?")
_NO_NUMBER = frozenset({"", "/", "0", "-1"})
_REACH = 2  # how far the next existing frame may be from one that is missing


@dataclass
class Report:
    """What an importer found on its way: problems stop the import, notes are kept with the dataset."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def problem(self, where: str, what: str, remedy: str = "") -> None:
        """Add a problem; the importer goes on, so that all problems are told together."""
        self.problems.append(Problem(where, what, remedy))

    def note(self, where: str, what: str) -> None:
        """Add a remark on something that was repaired."""
        self.notes.append(f"{where}: {what}")


def entries(folder: Path) -> list[Path]:
    """List what a folder holds, sorted, without what operating systems leave behind (``Thumbs.db``)."""
    found = (path for path in folder.iterdir() if not path.name.startswith((".", "~$")))
    return sorted(path for path in found if path.name.lower() not in _JUNK)


def descend(folder: Path) -> Path:
    """Go down while a folder holds only a folder of its own name, as zip files often unpack."""
    while [path.name for path in entries(folder)] == [folder.name] and (folder / folder.name).is_dir():
        folder = folder / folder.name
    return folder


def find_folder(root: Path, names: Sequence[str]) -> Path | None:
    """Find the first of `names` that is a folder in `root` and not empty, and descend into it."""
    here = {loose(path.name): path for path in entries(root) if path.is_dir()}
    for name in names:
        if loose(name) in here and entries(folder := descend(here[loose(name)])):
            return folder
    return None


def loose(name: str) -> str:
    """Take case, blanks, ``-`` and ``_`` out of a folder's name: copies of a dataset differ in them."""
    return re.sub(r"[\s_-]+", "", name).casefold()


def sheet_and_root(sources: Sequence[Path]) -> tuple[Path | None, Path]:
    """Tell a sheet from a folder of frames: either a root folder, or a sheet, or both in any order.

    Returns
    -------
    The sheet if one was named, and the folder to look in (descended); a sheet alone stands in that folder.

    Raises
    ------
    BadInput
        If the sources are anything else.
    """
    files = [path for path in sources if path.is_file()]
    folders = [path for path in sources if path.is_dir()]
    if not sources or len(files) > 1 or len(folders) > 1 or len(files) + len(folders) < len(sources):
        named = ", ".join(map(str, sources)) or "no source"
        raise BadInput(Problem(named, "cannot be used", "give the dataset's folder, or its sheet and its frame folder"))
    root = folders[0] if folders else files[0].parent
    return (files[0] if files else None), descend(root.resolve())


def find_sheet(root: Path, required: Columns, optional: Columns, example: str) -> Sheet:
    """Find the one sheet in a folder that has the required columns, whatever it is called.

    Raises
    ------
    BadInput
        If there is none (`example` is a file name to look for), or more than one.
    """
    found: list[Sheet] = []
    problems: list[Problem] = []
    for path in entries(root):
        if path.suffix.lower() in SHEET_SUFFIXES and path.is_file():
            try:
                found.append(read_sheet(path, required, optional))
            except BadInput as error:
                problems += error.problems
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(sheet.path.name for sheet in found)
        what = f"{len(found)} sheets have the right columns: {names}"
        raise BadInput(Problem(str(root), what, "name the sheet to use as well as the folder"))
    missing = Problem(str(root), "no annotation sheet in this folder", f"put {example} there, or name the sheet too")
    raise BadInput(problems or missing)


def find_clip(folder: Path, name: str) -> Path | None:
    """Find a clip's folder by name, or by its only namesake in another case."""
    folders = [path for path in entries(folder) if path.is_dir()]
    exact = [path for path in folders if path.name == name]
    same = exact or [path for path in folders if path.name.casefold() == name.casefold()]
    return same[0] if len(same) == 1 else None


def read_number(text: str) -> int | None:
    """Read a whole number as sheets write it (``12``, ``12.0``), or None."""
    return int(text.split(".")[0]) if _WHOLE_NUMBER.fullmatch(text) else None


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
    return None if onset is None or apex is None else replace(interval, onset=onset, apex=apex)


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
