"""CAS(ME)^2: 57 micro-expressions of 22 recorded subjects at 30 frames per second.

Qu, Wang, Yan, Li, Wu, Fu, "CAS(ME)^2: a database for spontaneous macro-expression and micro-expression spotting and
recognition", IEEE Transactions on Affective Computing 9(4) 424-436, 2018, doi 10.1109/TAFFC.2017.2654440.

::

    CAS(ME)^2/CAS(ME)^2code_final.xlsx                       any name; found by what is in it
    CAS(ME)^2/cropped/16/disgust1_3/img552.jpg               cut samples; else selectedpic
    CAS(ME)^2/longVideoFaceCropped/s15/15_0101.../img_1.jpg  whole videos of faces
    CAS(ME)^2/rawpic/s15/15_0101disgustingteeth/img1.jpg     whole videos, whole frames

The workbook has no header. Its first worksheet lists the expressions by the participant's number and a clip name that
tells the video that was watched, not the emotion that was shown. ``naming rule1`` leads from numbers to folders,
``naming rule2`` from the names of the videos to the codes in the names of their folders. A CSV file of the first
worksheet alone is read by the owners' rules, which are the same in all releases (``casme_sq_codes.csv``); it may have a
header, folders for people (``s16``) and codes for videos (``0502_1`` for ``happy1_1``).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

from mer_data.datasets.common import (
    Report,
    entries,
    find_tree,
    loose,
    read_each,
    sheet_and_root,
    sheet_files,
    subject_reader,
)
from mer_data.datasets.intervals import read_number
from mer_data.datasets.reader import ClipReader, is_text, without_text
from mer_data.imported import ApexRule, Imported
from mer_data.problems import BadInput, Problem, did_you_mean
from mer_data.sheets import BareSheet, Row, read_bare

NAME = "casme_sq"
FPS = 30.0
TREES = ("cropped", "selectedpic", "longVideoFaceCropped", "rawpic")
_WHOLE = ("selectedpic", "rawpic")
WORKBOOK = "CAS(ME)^2code_final.xlsx"
COLUMNS = ("subject", "name", "onset", "apex", "offset", "action_units", "emotion", "type", "self_report")
_RULE1, _RULE2 = "naming rule1", "naming rule2"
read_subject = subject_reader(r"s?0*(\d{1,9})", "s{}")  # s15 may also be written 15
_MICRO, _MACRO = "micro-expression", "macro-expression"


def read(sources: Sequence[Path], apex: ApexRule = "midpoint") -> Imported:
    """Read the micro-expressions of CAS(ME)^2 as it is distributed.

    Parameters
    ----------
    sources
        The folder ``CAS(ME)^2``; or the workbook and a folder of frames, where there are several to choose from.
    apex
        What to do for a clip without an apex, which is 0 in the workbook.

    Returns
    -------
    Clips in the order of the workbook, by their estimated emotion, with a note for every value that was repaired and
    for the number of macro-expressions.

    Raises
    ------
    BadInput
        With all that is wrong with the workbook and the frames, row by row.
    """
    named, root = sheet_and_root(sources)
    path = named or _find_workbook(root)
    expressions, rules = _worksheets(path)
    tree = find_tree(root, TREES, read_subject, "s15, s16, ... or 15, 16, ...")
    subjects, codes = (_subjects(rules[0]), _codes(rules[1])) if rules else _owners_rules()
    reader = _Reader(tree, subjects, codes, apex)
    reader.report.raw = loose(tree.name) in _WHOLE
    rows = without_text(expressions.columns(COLUMNS), read_subject, reader.report)
    rows = rows[1:] if is_text(rows[0], read_subject) else rows  # a CSV file may have a header
    if not rules:
        what = f"has no naming rules; those of {len(subjects)} people and {len(codes)} videos of the owners are used"
        reader.report.note(str(path), what)
        rows = _spelled_out(rows, subjects, codes)
    return reader.import_rows(_micro(expressions, rows, reader.report), path)


def _find_workbook(root: Path) -> Path:
    """Find the one workbook in a folder that lists expressions."""
    paths, problems = read_each(sheet_files(root), lambda path: (path, any(map(_lists_expressions, read_bare(path)))))
    found = [path for path, lists in paths if lists]
    if len(found) == 1:
        return found[0]
    if found:
        what = f"{len(found)} workbooks list expressions: {', '.join(path.name for path in found)}"
        raise BadInput(Problem(str(root), what, "name the one to use as well as the folder"))
    missing = Problem(str(root), "no workbook lists expressions", f"put {WORKBOOK} there, or name the workbook too")
    raise BadInput(problems or missing)


def _worksheets(path: Path) -> tuple[BareSheet, tuple[BareSheet, BareSheet] | None]:
    """Read the expressions and the two naming rules; None for these in a file of one table."""
    sheets = read_bare(path)
    expressions = next(filter(_lists_expressions, sheets), None)
    rules = [next((sheet for sheet in sheets if loose(sheet.name) == loose(rule)), None) for rule in (_RULE1, _RULE2)]
    first, second = rules
    if expressions and first and second:
        return expressions, (first, second)
    if expressions and len(sheets) == 1:
        return expressions, None
    problems = []
    if not expressions:
        what = f"no worksheet has {_MICRO} or {_MACRO} in column {_letter('type')}"
        problems.append(Problem(str(path), what, "restore the file from the original"))
    names = ", ".join(sheet.name for sheet in sheets)
    for rule, sheet in zip((_RULE1, _RULE2), rules, strict=True):
        if not sheet:
            problems.append(Problem(str(path), f"no worksheet is called {rule!r}", f"it has {names}"))
    raise BadInput(problems)


def _letter(column: str) -> str:
    return chr(ord("A") + COLUMNS.index(column))


def _lists_expressions(sheet: BareSheet) -> bool:
    return any(row["type"].lower() in (_MICRO, _MACRO) for row in sheet.columns(COLUMNS))


def _owners_rules() -> tuple[dict[int, str], dict[str, str]]:
    """People and videos by the owners' own rules, as :func:`_subjects` and :func:`_codes` give them."""
    text = (resources.files("mer_data.datasets") / "casme_sq_codes.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    subjects = {int(row["code"]): row["means"] for row in rows if row["kind"] == "person"}
    return subjects, {row["means"]: row["code"] for row in rows if row["kind"] == "video"}


def _spelled_out(rows: Sequence[Row], subjects: Mapping[int, str], codes: Mapping[str, str]) -> list[Row]:
    """Rows with participants' numbers and videos' names, where they have folders of people and codes of videos."""
    numbers = {subject: str(number) for number, subject in subjects.items()}
    names = {code: name for name, code in codes.items()}
    # Participants are numbered up to 22, folders up to s40: one greater number shows which of them is meant.
    by_folder = any(
        row["subject"].lower().startswith("s") or (read_number(row["subject"]) or 0) > len(subjects) for row in rows
    )
    spelled = []
    for row in rows:
        cells = dict(row.cells)
        if by_folder:
            cells["subject"] = numbers.get(read_subject(row["subject"]) or "", row["subject"])
        code, _, index = row["name"].rpartition("_")
        if code.zfill(4) in names:
            cells["name"] = f"{names[code.zfill(4)]}_{index}"
        spelled.append(replace(row, cells=cells))
    return spelled


def _micro(sheet: BareSheet, rows: Sequence[Row], report: Report) -> list[Row]:
    """Take the micro-expressions out, and report what is neither micro nor macro."""
    for row in rows:
        if row["type"].lower() not in (_MICRO, _MACRO):
            remedy = did_you_mean(row["type"].lower(), (_MICRO, _MACRO))
            report.problem(row.at("type"), f"{row['type']!r} is not a type of expression", remedy)
    micro = [row for row in rows if row["type"].lower() == _MICRO]
    macro = sum(row["type"].lower() == _MACRO for row in rows)
    report.note(sheet.place, f"{macro} macro-expressions are left out, {len(micro)} micro-expressions are read")
    return micro


def _subjects(rule1: BareSheet) -> dict[int, str]:
    """Participant's number to canonical subject; rows that do not tell both are passed over."""
    found = (
        (read_number(row["number"]), read_subject(row["folder"])) for row in rule1.columns(("_", "folder", "number"))
    )
    return {number: subject for number, subject in found if number is not None and subject}


def _codes(rule2: BareSheet) -> dict[str, str]:
    """Name of a video to its code of four digits, whose zeros in front are lost if it was stored as a number."""
    return {row["stimulus"].casefold(): row["code"].zfill(4) for row in rule2.columns(("code", "stimulus"))}


class _Reader(ClipReader):
    """Follows the naming rules from a row to its folder, of a cut sample or of a whole video."""

    def __init__(self, tree: Path, subjects: Mapping[int, str], codes: Mapping[str, str], apex: ApexRule) -> None:
        super().__init__(NAME, tree, read_subject, "a whole number", FPS, apex)
        self._subjects, self._codes = subjects, codes

    def subject(self, row: Row) -> str | None:
        """Only the rule knows that participant 2 is s16."""
        number = read_number(row["subject"])
        subject = self._subjects.get(number) if number is not None else None
        if subject is None:
            remedy = f"it has {', '.join(map(str, sorted(self._subjects)))}"
            self.report.problem(row.at("subject"), f"{row['subject']!r} is not in {_RULE1}", remedy)
        return subject

    def find_clip(self, row: Row, home: Path, name: str) -> Path | None:
        """The video of the row's stimulus; the cut sample where the subject has no videos."""
        videos = _videos(home)
        if not videos:
            return super().find_clip(row, home, name)
        stimulus = name.rpartition("_")[0]
        code = self._codes.get(stimulus.casefold())
        if code is None:
            remedy = did_you_mean(stimulus, self._codes)
            self.report.problem(row.at("name"), f"video {stimulus!r} of {name!r} is not in {_RULE2}", remedy)
            return None
        found = videos.get(code, [])
        if len(found) != 1:
            what = f"{len(found)} folders for clip {name!r} with code {code} in {home}"
            self.report.problem(row.at("name"), what, f"it has {', '.join(path.name for path in entries(home))}")
        return found[0] if len(found) == 1 else None


def _videos(home: Path) -> dict[str, list[Path]]:
    """A subject's whole videos (``15_0101disgustingteeth``) by code."""
    number = (read_subject(home.name) or "").removeprefix("s")
    pattern = re.compile(rf"0*{number}_(\d{{4}})(?!\d).*", re.DOTALL)
    videos: dict[str, list[Path]] = {}
    for path in entries(home):
        match = pattern.fullmatch(path.name)
        if match and path.is_dir():
            videos.setdefault(match.group(1), []).append(path)
    return videos
