"""CAS(ME)^3, parts A and C, at 30 frames per second: 860 clips of 94 subjects, and 165 clips of 30 others.

Li et al., "CAS(ME)^3: a third generation facial spontaneous micro-expression database with depth information and high
ecological validity", IEEE Transactions on Pattern Analysis and Machine Intelligence 2022,
doi 10.1109/TPAMI.2022.3174895.

::

    part_A/annotation/cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx     any name; found by its columns; or annotation/partA
    part_A/data/part_A_split/part_A/spNO.1/a/color/8.jpg            wherever the folders spNO.* are
    part_C/CAS(ME)3_part_C_ME.xlsx                                  any name; found by its columns

A video of part A shows several micro-expressions, so a clip is called by video and onset: ``a@108``. Frames that were
cut out of the videos, in folders ``a``, ``a2``, ``a3``, are accepted as well.

How the frames of part C are laid out is not documented. Accepted is a folder for each subject (``1``, ``01``, ``c01``,
``sub01``, ``spNO.1``) that holds a folder for each clip by its count, or the frames of the whole video, both with or
without ``color`` in between.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mer_data.datasets.common import (
    entries,
    find_folder,
    find_sheet,
    sheet_and_root,
    sheet_files,
    subject_reader,
    tree_below,
)
from mer_data.datasets.intervals import at_onset, read_number
from mer_data.datasets.reader import ClipReader
from mer_data.imported import ApexRule, Imported
from mer_data.schema import Clip
from mer_data.sheets import Columns, Row, Sheet, read_sheet

NAME_A, NAME_C = "casme3a", "casme3c"
FPS = 30.0
SHEET_A, SHEET_C = "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx", "CAS(ME)3_part_C_ME.xlsx"
REQUIRED_A = {
    "subject": ("Subject",),
    "name": ("Filename",),
    "onset": ("Onset",),
    "apex": ("Apex",),
    "offset": ("Offset",),
    "emotion": ("emotion",),
}
OPTIONAL_A = {"action_units": ("AU",)}
REQUIRED_C = {
    "subject": ("sub",),
    "name": ("count",),
    "onset": ("onset",),
    "offset": ("offset",),
    "emotion": ("emotion",),
}
OPTIONAL_C = {"apex": ("apex",), "action_units": ("au",)}
read_subject_a = subject_reader(r"spNO\.?\s*0*(\d+)", "spNO.{}")  # spNO.1, in any case
read_subject_c = subject_reader(
    r"(?:c|sub|spNO\.?)?0*(\d+)(?:\.0*)?", "c{:02}"
)  # c01 may also be written 1, 01, 1.0, sub01 or spNO.1
_COMMAS = re.compile(r"\s*[,\uFF0C\u3001]\s*")  # ASCII, full-width and enumeration comma
_COLOUR = ("color", "colour")
_DEPTH = 5  # CASME3/part_A/data/part_A_split/part_A is four below the root, and a zip file may double one
_LONG = 60  # frames, two seconds; a micro-expression is said to last half a second at most


def read_a(sources: Sequence[Path], apex: ApexRule = "midpoint") -> Imported:
    """Read the micro-expressions of part A as it is distributed.

    Parameters
    ----------
    sources
        The folder ``CASME3`` or ``part_A``; or the sheet and a folder of frames.
    apex
        What to do for a clip without an apex; one that equals the onset counts as missing.

    Returns
    -------
    Clips in the order of the sheet, with a note for every value that was repaired, for frames that are missing, and
    for the number of very long intervals.

    Raises
    ------
    BadInput
        With all that is wrong with the sheet and the frames, row by row.
    """
    named, root = sheet_and_root(sources)
    sheet = _find_sheet(named, root, "part_A", REQUIRED_A, OPTIONAL_A, SHEET_A)
    tree = tree_below(root, ("partb", "partc", "mea", "mec"), read_subject_a, "spNO.1, spNO.2, ...", _DEPTH)
    return _PartA(tree, apex).import_rows(sheet.rows, sheet.path)


def read_c(sources: Sequence[Path], apex: ApexRule = "midpoint") -> Imported:
    """Read the micro-expressions of part C, of a mock crime, as it is distributed.

    Parameters
    ----------
    sources
        The folder ``CASME3`` or ``part_C``; or the sheet and a folder of frames.
    apex
        How to find the apex; the sheet gives none.

    Returns
    -------
    Clips in the order of the sheet. Action units are joined by ``+``, as in part A.

    Raises
    ------
    BadInput
        With all that is wrong with the sheet and the frames, row by row.
    """
    named, root = sheet_and_root(sources)
    sheet = _find_sheet(named, root, "part_C", REQUIRED_C, OPTIONAL_C, SHEET_C)
    example = "1, 2, ... or spNO.1, spNO.2, ..."
    tree = tree_below(root, ("parta", "partb", "mea", "mec"), read_subject_c, example, _DEPTH)
    reader = _PartC(tree, apex)
    reader.report.note(str(sheet.path), "gives no apex for any clip; the middle frame is taken, or motion decides")
    return reader.import_rows(sheet.rows, sheet.path)


def _find_sheet(named: Path | None, root: Path, part: str, required: Columns, optional: Columns, example: str) -> Sheet:
    """Find the sheet in the first of the usual folders that has one."""
    if named:
        return read_sheet(named, required, optional)
    home = find_folder(root, [part])
    within = [find_folder(folder, ["annotation"]) for folder in (home, root) if folder]
    # The owners' layout has a folder for each part in there.
    places = [*(find_folder(folder, [part]) for folder in within if folder), *within, home]
    folder = next((place for place in places if place and sheet_files(place)), root)
    return find_sheet(folder, required, optional, example)


def _with_colour(folder: Path) -> Path:
    """Go down to the colour frames, which have depth frames beside them."""
    return next((path for path in entries(folder) if path.is_dir() and path.name.lower() in _COLOUR), folder)


class _Reader(ClipReader):
    def sum_up(self, clips: Sequence[Clip], rows: Sequence[Row], source: Path) -> None:
        """Note how many intervals are very long."""
        lengths = [clip.offset - clip.onset + 1 for clip in clips if clip.onset is not None and clip.offset is not None]
        long = [length for length in lengths if length > _LONG]
        if long:
            what = (
                f"{len(long)} of {len(lengths)} intervals are longer than {_LONG} frames, the longest has {max(long)}"
            )
            self.report.note(str(source), what)


class _PartA(_Reader):
    def __init__(self, tree: Path, apex: ApexRule) -> None:
        super().__init__(NAME_A, tree, read_subject_a, "spNO.1", FPS, apex)

    def name(self, row: Row, subject: str) -> str:
        return at_onset(row).lower()

    def find_clip(self, row: Row, home: Path, name: str) -> Path | None:
        """The video; or where clips were cut out of the videos (``e``, ``e2``), the folder with the row's frames."""
        cut = re.compile(rf"{re.escape(name)}\d*", re.IGNORECASE)
        pieces = [path for path in entries(home) if path.is_dir() and name and cut.fullmatch(path.name)]
        if len(pieces) < 2 or all(path.name.casefold() == name.casefold() for path in pieces):
            folder = super().find_clip(row, home, name)
            return _with_colour(folder) if folder else None
        found = self.holding(row, [_with_colour(path) for path in pieces])
        if found is None:
            names = ", ".join(path.name for path in pieces)
            self.report.problem(row.at("name"), f"none of the clip's frames is in {names} of {home}", "restore them")
        return found


class _PartC(_Reader):
    has_apexes = False

    def __init__(self, tree: Path, apex: ApexRule) -> None:
        super().__init__(NAME_C, tree, read_subject_c, "1, 01 or c01", FPS, apex)

    def read(self, row: Row) -> Clip | None:
        count = read_number(row["name"])
        name = row["name"] if count is None else str(count)  # 1, where it may be written 1.0
        units = "+".join(filter(None, _COMMAS.split(row["action_units"])))
        return super().read(replace(row, cells={**row.cells, "name": name, "action_units": units}))

    def find_clip(self, row: Row, home: Path, name: str) -> Path | None:
        """The folder of the clip if the subject has one, else the frames of the whole video."""
        folders = [path for path in entries(home) if path.is_dir()]
        clip = next((path for path in folders if name and str(read_number(path.name)) == name), None)
        if clip:
            return _with_colour(clip)
        if not folders or _with_colour(home) != home:
            return _with_colour(home)
        return super().find_clip(row, home, name)
