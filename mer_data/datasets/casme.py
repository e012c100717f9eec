"""CASME: 189 clips of 19 subjects at 60 frames per second.

Yan, Wu, Liu, Wang, Fu, "CASME database: a dataset of spontaneous micro-expressions collected from neutralized faces",
FG 2013, doi 10.1109/FG.2013.6553799.

::

    CASME/casme.xlsx                               any name; found by its columns
    CASME/Cropped/sub01/EP01_5/reg_EP01_5-113.jpg  else CASME_raw_selected; 69 may be 069
    CASME/Cropped/Section A/sub01/...              or so, or Section A/Cropped/sub01, or Section A/sub01

A sheet may name several clips of a subject alike, since the second index of ``EP02_5_2`` was dropped. Such a clip is
called ``EP02_5@61`` here, by its onset. All clips of the name are, so that an id does not depend on the order of rows.
Where the sheet gives a plateau (``ApexF2``), the apex is its first frame.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mer_data.datasets.common import (
    COLUMNS,
    UNITS,
    entries,
    find_clip,
    find_folder,
    find_tree,
    loose,
    subject_folders,
    subject_reader,
)
from mer_data.datasets.intervals import at_onset, counted_afresh, frame_numbers, length, read_number, spans
from mer_data.datasets.reader import ClipReader, SheetImporter
from mer_data.imported import ApexRule
from mer_data.problems import BadInput, Problem
from mer_data.sheets import Row

NAME = "casme"
FPS = 60.0
TREES = ("Cropped", "CASME_raw_selected")
SHEET = "casme.xlsx"
REQUIRED = {
    **COLUMNS,
    "onset": ("OnsetF", "OnsetFrame"),
    "apex": ("ApexF1", "ApexF"),
    "offset": ("OffsetF", "OffsetFrame"),
    "emotion": ("Emotion", "Estimated Emotion"),
}
OPTIONAL = {**UNITS, "apex_end": ("ApexF2",)}
read_subject = subject_reader(r"(?:sub)?0*(\d{1,9})(?:\.0*)?", "sub{:02}")  # sub01 may also be written 1, 01 or 1.0


def _find_subjects(root: Path) -> tuple[Path, dict[str, Path]]:
    """Find the tree of frames and every subject's folder in it, be the two camera sections apart or not."""
    tree = root if _sections(root) else find_folder(root, TREES) or root
    folders: dict[str, Path] = {}
    for section in _sections(tree):
        for subject, path in subject_folders(find_folder(section, TREES) or section, read_subject).items():
            if subject in folders:
                what = f"{folders[subject]} and {path} are one subject"
                raise BadInput(Problem(str(tree), what, "keep one, or join them"))
            folders[subject] = path
    if folders:
        return tree, folders
    tree = find_tree(root, TREES, read_subject, "sub01, sub02, ..., also in Section A and Section B")
    return tree, subject_folders(tree, read_subject)


def _sections(folder: Path) -> list[Path]:
    return [path for path in entries(folder) if path.is_dir() and loose(path.name) in ("sectiona", "sectionb")]


class _Reader(ClipReader):
    """Tells clips of one name apart, and trusts the folders, which hold a clip from onset to offset."""

    def __init__(self, tree: Path, folders: Mapping[str, Path], rows: Sequence[Row], apex: ApexRule) -> None:
        super().__init__(NAME, tree, read_subject, "01, 1 or sub01", FPS, apex, folders)
        self._rows = Counter((read_subject(row["subject"]), row["name"]) for row in rows)
        self._lengths = Counter((read_subject(row["subject"]), row["name"], length(row)) for row in rows)

    def name(self, row: Row, subject: str) -> str:
        return at_onset(row) if self._rows[subject, row["name"]] > 1 else row["name"]

    def find_clip(self, row: Row, home: Path, name: str) -> Path | None:
        subject = read_subject(row["subject"]) or ""
        repeats = self._rows[subject, name]
        if repeats > 1:
            what = f"{repeats} rows are called {subject}/{name}; this clip is called {self.name(row, subject)}"
            self.report.note(row.at("name"), what)
        exact = find_clip(home, name)
        others = self._namesakes(home, subject, name) if "_" in name and (repeats > 1 or not exact) else []
        before = len(self.report.problems)
        folder = self._choose(row, [exact, *others] if exact else others) if others else None
        if folder and folder != exact:
            self.report.note(row.at("name"), f"the frames are in {folder.name}")
            return folder
        return super().find_clip(row, home, name) if len(self.report.problems) == before else None

    def _namesakes(self, home: Path, subject: str, name: str) -> list[Path]:
        """Folders a name may mean: with the second index that the sheet dropped, or of its recording and in no row."""
        indexed = re.compile(rf"{re.escape(name)}_\d+", re.IGNORECASE)
        recording = re.compile(rf"{re.escape(name.rpartition('_')[0])}_\d+", re.IGNORECASE)
        named = {other.casefold() for person, other in self._rows if person == subject}
        repeated = self._rows[subject, name] > 1
        return [
            path
            for path in entries(home)
            if path.is_dir()
            and (
                indexed.fullmatch(path.name)
                or (repeated and recording.fullmatch(path.name) and path.name.casefold() not in named)
            )
        ]

    def _choose(self, row: Row, folders: Sequence[Path]) -> Path | None:
        """The folder that holds a row's frames, else the only one as long as its interval, else the next best."""
        numbers = set(frame_numbers(row)) - {None}
        best = self.holding(row, folders)
        if best and numbers <= self.frames(best).keys():
            return best
        fitting = [path for path in folders if spans(row, self.frames(path))]
        if len(fitting) == 1 and self._only_of_its_length(row):
            return fitting[0]
        if fitting and not best:
            what = f"cannot be told from others of its length: {', '.join(path.name for path in fitting)}"
            self.report.problem(row.at("name"), what, "name the row after its folder")
        return best

    def _only_of_its_length(self, row: Row) -> bool:
        return self._lengths[read_subject(row["subject"]), row["name"], length(row)] == 1

    def fit(self, row: Row, frames: Mapping[int, Path]) -> Row:
        self._note_plateau(row)
        if self._only_of_its_length(row):
            row = counted_afresh(row, frames, self.report)
        given = dict(zip(("onset", "apex", "offset"), frame_numbers(row), strict=True))
        first, last = min(frames), max(frames)
        known = {column: number for column, number in given.items() if number is not None}
        if not any(first <= number <= last for number in known.values()):
            return row  # nothing in common with the folder: that is for a person to look at
        alone = self._rows[read_subject(row["subject"]), row["name"]] == 1
        # Where one end is the folder's, the folder holds just the clip, and so the other end is the folder's too.
        whole = alone and (given["onset"] == first or given["offset"] == last)
        wrong: dict[str, str] = {}
        if whole and given["offset"] is None:
            self.report.note(row.at("offset"), f"no offset; the folder ends at frame {last}, which is used")
            wrong["offset"] = str(last)
        for column, end in (("onset", first), ("offset", last)):
            number = known.get(column)
            if number is not None and number != end and (whole or not first <= number <= last):
                what = f"frame {number} in the sheet, but the folder ends at frame {end}, which is used"
                self.report.note(row.at(column), what)
                wrong[column] = str(end)
        return replace(row, cells={**row.cells, **wrong})

    def _note_plateau(self, row: Row) -> None:
        first, last = read_number(row["apex"]), read_number(row["apex_end"])
        if first is not None and last is not None and last > first:
            self.report.note(row.at("apex_end"), f"the apex lasts from frame {first} to {last}; the first is used")


def _reader(root: Path, rows: Sequence[Row], apex: ApexRule) -> ClipReader:
    tree, folders = _find_subjects(root)
    reader = _Reader(tree, folders, rows, apex)
    if any(loose(path.parent.name).startswith("casmeraw") for path in [tree / "x", *folders.values()]):
        reader.report.whole_frames(tree)
    return reader


read = SheetImporter(SHEET, _reader, REQUIRED, OPTIONAL)
