"""MMEW: 300 micro-expressions of 36 subjects at 90 frames per second.

Ben et al., "Video-based facial micro-expression analysis: a survey of datasets, features and algorithms", IEEE
Transactions on Pattern Analysis and Machine Intelligence 44(9) 5826-5846, 2022, doi 10.1109/TPAMI.2021.3067464.

::

    MMEW_Final/MMEW_Micro_Exp.xlsx                     any name; found by its columns
    MMEW_Final/Micro_Expression/disgust/S05-04-003/1.jpg    or S05/disgust/S05-04-003/1.jpg, in any layout

The macro-expressions are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from mer_data.datasets.common import COLUMNS, UNITS, find_folder, loose, subject_reader
from mer_data.datasets.intervals import count_from, cut_offset, fills_folder, frame_numbers
from mer_data.datasets.reader import ClipReader, NamedClipReader, SheetImporter
from mer_data.imported import ApexRule
from mer_data.labels import read_emotion
from mer_data.problems import BadInput, Problem
from mer_data.schema import Clip
from mer_data.sheets import Row

NAME = "mmew"
FPS = 90.0
SHEET = "MMEW_Micro_Exp.xlsx"
TREES = ("Micro_Expression",)
read_subject = subject_reader(r"S?0*(\d{1,9})(?:\.0*)?", "S{:02}")  # S05 may also be written 5, 05 or 5.0
_CLIP = re.compile(r"S(\d{1,9})-(\d{1,9})-(\d{1,9})", re.IGNORECASE)
_FIRST_FRAME = 1
_REACH = 2  # how many frames may be lost at the start of a folder that is counted from there
# What a sheet calls "others" is in a folder "repression" in one copy of the dataset, and "others" in another.
_OTHERS, _REPRESSION = "others", "repression"


def read_name(text: str) -> tuple[str, str] | None:
    """Turn ``S05-04-003`` or ``S5-4-3`` into subject ``S05`` and clip ``S05-04-003``; None if it is neither."""
    match = _CLIP.fullmatch(text)
    if match is None:
        return None
    subject, emotion, sample = map(int, match.groups())
    return f"S{subject:02}", f"S{subject:02}-{emotion:02}-{sample:03}"


class _Reader(NamedClipReader):
    def __init__(self, tree: Path, apex: ApexRule) -> None:
        super().__init__(NAME, tree, read_subject, "S05 or 5", FPS, apex, read_name)
        self.in_repression = 0
        if not self.clips:
            remedy = f"expected {TREES[0]}, with folders like S05-04-003 somewhere in it"
            raise BadInput(Problem(str(tree), "no folder of frames", remedy))

    def sum_up(self, clips: Sequence[Clip], rows: Sequence[Row], source: Path) -> None:
        """Note how many clips are in a folder that contradicts the sheet."""
        if self.in_repression:
            what = f"{self.in_repression} clips labelled others are in a folder called repression; others is kept"
            self.report.note(str(self.tree), what)

    def choose(self, row: Row, folders: list[Path]) -> list[Path]:
        """Leave the macro-expressions out, and of several folders take those of the row's emotion."""
        micro = [path for path in folders if not self._is_macro(path)]
        emotion = read_emotion(row["emotion"])
        for word in (emotion, _REPRESSION if emotion == _OTHERS else emotion):
            if fitting := [path for path in micro if word and self._emotion_of(path) == word]:
                self.in_repression += word != emotion
                return fitting
        if len(micro) == 1 and emotion and (other := self._emotion_of(micro[0])):
            self.report.note(row.at("emotion"), f"the sheet has {emotion}, the folder is in {other}; {emotion} is kept")
        return micro

    def fit(self, row: Row, frames: Mapping[int, Path]) -> Row:
        """Count from the clip's first frame where the sheet counts from the start of the recording."""
        onset, _, _ = frame_numbers(row)
        from_one = min(frames) <= _FIRST_FRAME + _REACH
        if fills_folder(row, frames) or (from_one and onset is not None and onset > max(frames)):
            row = count_from(row, _FIRST_FRAME, self.report)
        else:
            row = super().fit(row, frames)
        return cut_offset(row, max(frames), self.report)

    def _is_macro(self, folder: Path) -> bool:
        return any(loose(part).startswith("macro") for part in folder.relative_to(self.tree).parts)

    def _emotion_of(self, folder: Path) -> str | None:
        """Tell the emotion of the folder a clip is in, if it has one."""
        return None if folder.parent == self.tree else read_emotion(folder.parent.name)


def _reader(root: Path, rows: Sequence[Row], apex: ApexRule) -> ClipReader:
    return _Reader(find_folder(root, TREES) or root, apex)


read = SheetImporter(SHEET, _reader, COLUMNS, UNITS, spare="macro")
