"""SAMM Long Videos: the 159 micro-expressions of SAMM within the videos they were cut from.

Yap, Kendrick, Yap, "SAMM Long Videos: a spontaneous facial micro- and macro-expressions dataset", FG 2020,
arXiv 1911.01519. These are the same events as SAMM's: never count the two as different datasets.

::

    SAMMLV/SAMM_LongVideos_V2_Release.xlsx        any name; found by its columns
    SAMMLV/SAMM_longvideos/006_1/006_1_0001.jpg   a folder per video: the first two parts of a clip's name
    SAMM_Micro_FACS_Codes_v2.xlsx                 SAMM's sheet, for the emotions, which this release does not tell
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mer_data.datasets import samm
from mer_data.datasets.common import COLUMNS, UNITS, Report, find_sheet, find_tree, sheet_and_root, subject_folders
from mer_data.datasets.reader import ClipReader, without_text
from mer_data.imported import ApexRule, Imported
from mer_data.problems import BadInput, Problem, did_you_mean
from mer_data.schema import Clip
from mer_data.sheets import Row, Sheet, read_sheet

NAME = "samm_lv"
TREES = ("SAMM_longvideos",)
SHEET = "SAMM_LongVideos_V2_Release.xlsx"
REQUIRED = {**{name: headers for name, headers in COLUMNS.items() if name != "emotion"}, "type": ("Type",)}
_VIDEO = re.compile(r"(0*\d{1,3})_(\d+)(?:_.*)?")


def read(sources: Sequence[Path], apex: ApexRule = "midpoint") -> Imported:
    """Read the micro-expressions of SAMM Long Videos; macro-expressions are counted in a note and left out.

    Parameters
    ----------
    sources
        The folder ``SAMMLV``, and SAMM's own sheet unless it is in that folder too; or both sheets and a folder of
        videos, in any order.
    apex
        What to do for a clip without an apex, which is -1 in the sheet.

    Returns
    -------
    Clips in the order of the sheet of the long videos, with SAMM's emotions.

    Raises
    ------
    BadInput
        With all that is wrong with the sheets and the frames, row by row.
    """
    sheet, samm_sheet, root = _sheets(sources)
    tree = find_tree(root, TREES, _video, "006_1, 006_2, ...")
    reader = _VideoReader(tree, samm_sheet.rows, apex)
    rows = without_text(sheet.rows, samm.read_subject, reader.report)
    micro = [row for row in rows if _is_micro(row, reader.report)]
    if not micro:
        missing = Problem(str(sheet.path), "has no rows of micro-expressions", "their type is 'Micro - 1/2'")
        raise BadInput([*reader.report.problems, missing])
    reader.macro = sum(row["type"].casefold().startswith("macro") for row in rows)
    return reader.import_rows(micro, sheet.path)


def _sheets(sources: Sequence[Path]) -> tuple[Sheet, Sheet, Path]:
    """Find the sheet of the long videos, SAMM's sheet, and the folder to look for the videos in."""
    files = [path for path in sources if path.is_file()]
    ours = [path for path in files if _is_ours(path)]
    others = [path for path in files if path not in ours]
    if len(ours) > 1 or len(others) > 1:
        what = "are too many sheets"
        raise BadInput(Problem(", ".join(map(str, files)), what, "name one of the long videos and one of SAMM"))
    # SAMM's sheet does not tell where the videos are, unless nothing else was named.
    _, root = sheet_and_root([*(ours or others), *(path for path in sources if path not in files)])
    sheet = read_sheet(ours[0], REQUIRED, UNITS) if ours else find_sheet(root, REQUIRED, UNITS, SHEET)
    if others:
        return sheet, read_sheet(others[0], COLUMNS, UNITS), root
    try:
        return sheet, find_sheet(root, COLUMNS, UNITS, samm.SHEET), root
    except BadInput as error:
        remedy = f"name SAMM's sheet too, for instance {samm.SHEET}"
        raise BadInput([Problem(str(sheet.path), "does not tell the emotions", remedy), *error.problems]) from error


def _is_ours(path: Path) -> bool:
    try:
        read_sheet(path, REQUIRED)
    except BadInput:
        return False
    return True


def _video(name: str) -> str | None:
    """Turn a clip's name or a video folder's (``006_1_2``, ``6_1``) into the canonical video ``006_1``, or None."""
    match = _VIDEO.fullmatch(name)
    return f"{samm.read_subject(match.group(1))}_{int(match.group(2))}" if match else None


def _is_micro(row: Row, report: Report) -> bool:
    kind = row["type"].casefold()
    if not kind.startswith(("micro", "macro")):
        report.problem(row.at("type"), f"{row['type']!r} is neither micro nor macro", "write Micro - 1/2 or Macro")
    return kind.startswith("micro")


class _VideoReader(ClipReader):
    """Finds a clip's video by the clip's name, and its emotion in SAMM's sheet."""

    def __init__(self, tree: Path, samm_rows: Sequence[Row], apex: ApexRule) -> None:
        videos = subject_folders(tree, _video)
        super().__init__(NAME, tree, samm.read_subject, samm.SPELLINGS, samm.FPS, apex, videos)
        self._videos = videos
        self._samm_place = samm_rows[0].place
        self._samm_rows = {row["name"]: row for row in samm_rows}
        self.macro = 0

    def sum_up(self, clips: Sequence[Clip], rows: Sequence[Row], source: Path) -> None:
        """Note how many macro-expressions there are."""
        if self.macro:
            self.report.note(str(source), f"{self.macro} macro-expressions are left out")

    def emotion(self, row: Row) -> str | None:
        """The emotion that SAMM gives the clip of this name."""
        if row["name"] in self._samm_rows:
            return super().emotion(self._samm_rows[row["name"]])
        remedy = did_you_mean(row["name"], self._samm_rows)
        self.report.problem(row.at("name"), f"no clip {row['name']!r} in {self._samm_place}", remedy)
        return None

    def folder(self, row: Row, subject: str) -> Path | None:
        """The folder of the video that the clip is in."""
        video = _video(row["name"])
        if video in self._videos:
            return self._videos[video]
        wanted = f"folder for video {video}" if video else f"video in the name {row['name']!r}"
        self.report.problem(row.at("name"), f"no {wanted} in {self.tree}", "restore it, or take the row out")
        return None
