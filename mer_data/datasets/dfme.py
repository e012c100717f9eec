"""DFME as in its challenge release: 2629 micro-expressions of 259 subjects at 200, 300 or 500 frames per second.

Zhao et al., "DFME: a new benchmark for dynamic facial micro-expression recognition", arXiv 2301.00985.

::

    DFME/training_full_with_AU.xlsx           and testA_full_with_AU.xlsx, testB_full_with_AU.xlsx; any names
    DFME/DFME_train/sub0003_01/00109.png      and DFME_testA, DFME_testB, in any layout

The three parts have different subjects; any of them may be absent. A clip's folder of frames tells its part.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from mer_data.datasets.common import COLUMNS, UNITS, read_each, sheet_and_root, sheet_files, subject_reader
from mer_data.datasets.intervals import cut_offset, read_number
from mer_data.datasets.reader import NamedClipReader, is_text, without_text
from mer_data.imported import ApexRule, Imported
from mer_data.problems import BadInput, Problem, raise_all
from mer_data.schema import Clip
from mer_data.sheets import Row, Sheet, read_sheet

NAME = "dfme"
RATES = (200, 300, 500)  # frames per second of parts C, B and A of the dataset
SHEETS = {"train": "training_full_with_AU.xlsx", "testA": "testA_full_with_AU.xlsx", "testB": "testB_full_with_AU.xlsx"}
TREES = {"train": "DFME_train", "testA": "DFME_testA", "testB": "DFME_testB"}
CODES = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")  # EmotionId, from 0
REQUIRED = {**COLUMNS, "emotion": ("Emotion",), "fps": ("Fps",)}
OPTIONAL = {**UNITS, "emotion_id": ("EmotionId",)}
read_subject = subject_reader(r"(?:sub)?0*(\d{1,9})(?:\.0*)?", "sub{:04}")  # sub0003 may also be written 3 or 3.0
_CLIP = re.compile(r"sub(\d{1,9})_(\d{1,9})", re.IGNORECASE)
_RATE = re.compile(r"\d{1,6}(\.\d*)?")


def read(sources: Sequence[Path], apex: ApexRule = "midpoint") -> Imported:
    """Read DFME, or those parts of it that are there.

    Parameters
    ----------
    sources
        The folder ``DFME``; or the sheets to use and the folder of frames.
    apex
        What to do for a clip without an apex.

    Returns
    -------
    Clips in the order of the sheets, with a note for every value that was repaired and every part that is absent.

    Raises
    ------
    BadInput
        With all that is wrong with the sheets and the frames, row by row.
    """
    sheets, root = _find_sheets(sources)
    reader = _Reader(root, apex)
    here = [sheet for sheet in sheets if _has_frames(sheet, reader)]
    if not here:
        remedy = f"expected {', '.join(TREES.values())}, with folders like sub0003_01 somewhere in them"
        raise BadInput(Problem(str(root), "no folder of frames for any row of the sheets", remedy))
    for sheet in sheets:
        if sheet not in here:
            reader.report.note(str(sheet.path), f"left out: none of its {len(sheet.rows)} clips has frames in {root}")
    rows = [row for sheet in here for row in without_text(sheet.rows, read_subject, reader.report)]
    return reader.import_rows(rows, here[0].path)


def read_name(text: str) -> tuple[str, str] | None:
    """Turn ``sub0003_01`` or ``sub3_1`` into subject ``sub0003`` and clip ``sub0003_01``; None if it is neither."""
    match = _CLIP.fullmatch(text)
    if match is None:
        return None
    subject, clip = map(int, match.groups())
    return f"sub{subject:04}", f"sub{subject:04}_{clip:02}"


def _find_sheets(sources: Sequence[Path]) -> tuple[list[Sheet], Path]:
    """Read all the sheets that are named, or else all in the folder; one that cannot be read is not passed over."""
    named = [path for path in sources if path.is_file()]
    _, root = sheet_and_root([path for path in sources if path not in named[1:]])
    paths = named or sorted(
        sheet_files(root), key=lambda path: "test" in path.name.lower()
    )  # the part for training comes first
    if not paths:
        remedy = f"put {', '.join(SHEETS.values())} there, or name the sheets too"
        raise BadInput(Problem(str(root), "no annotation sheet in this folder", remedy))
    sheets, problems = read_each(paths, lambda path: read_sheet(path, REQUIRED, OPTIONAL))
    raise_all(problems)
    raise_all(_overlaps(sheets))
    return sheets, root


def _overlaps(sheets: Sequence[Sheet]) -> list[Problem]:
    """Two copies of one part; telling it for every row would bury the reason."""
    names = {
        sheet.path: {read_name(row["name"]) or row["name"] for row in sheet.rows if not is_text(row, read_subject)}
        for sheet in sheets
    }
    problems = []
    for (earlier, first), (later, second) in combinations(names.items(), 2):
        if shared := len(first & second):
            what = f"has {shared} clips that are in {earlier.name} too"
            problems.append(Problem(str(later), what, "name the sheets to use as well as the folder"))
    return problems


def _has_frames(sheet: Sheet, reader: _Reader) -> bool:
    named = (read_name(row["name"]) for row in sheet.rows)
    return any(name and name[1] in reader.clips.get(name[0], ()) for name in named)


class _Reader(NamedClipReader):
    def __init__(self, tree: Path, apex: ApexRule) -> None:
        super().__init__(NAME, tree, read_subject, "sub0003 or 3", float(RATES[0]), apex, read_name)

    def sum_up(self, clips: Sequence[Clip], rows: Sequence[Row], source: Path) -> None:
        """Note the folders of frames that no row tells of."""
        known = {named[1] for row in rows if (named := read_name(row["name"]))}
        unused = sorted(name for clips_of in self.clips.values() for name in clips_of if name not in known)
        if unused:
            what = f"{len(unused)} folders of frames without a row in a sheet, for instance {unused[0]}"
            self.report.note(str(self.tree), what)

    def emotion(self, row: Row) -> str | None:
        """The canonical emotion of a row, which word and code must agree on."""
        emotion, code = super().emotion(row), row["emotion_id"]
        if emotion is None or not code:
            return emotion
        number = read_number(code)
        coded = CODES[number] if number is not None and 0 <= number < len(CODES) else None
        if coded != emotion:
            meaning = f"means {coded}" if coded else "means nothing"
            self.report.problem(row.at("emotion_id"), f"{code} {meaning}, but Emotion is {emotion}", "correct one")
            return None
        return emotion

    def frame_rate(self, row: Row) -> float | None:
        """Frames per second as the row has them."""
        rate = float(row["fps"]) if _RATE.fullmatch(row["fps"]) else 0.0
        if not rate:
            what = f"{row['fps']!r} is not a number of frames per second"
            self.report.problem(row.at("fps"), what, f"it is one of {', '.join(map(str, RATES))}")
            return None
        if rate not in RATES:
            self.report.note(row.at("fps"), f"{rate:g} frames per second, which no part of the dataset has")
        return rate

    def fit(self, row: Row, frames: Mapping[int, Path]) -> Row:
        """Count as the folder does, and cut an offset beyond the clip's last frame."""
        return cut_offset(super().fit(row, frames), max(frames), self.report)
