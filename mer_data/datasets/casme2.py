"""CASME II: 255 clips of 26 subjects at 200 frames per second.

Yan et al., "CASME II: an improved spontaneous micro-expression database and the baseline evaluation",
PLoS ONE 9(1) e86041, 2014, doi 10.1371/journal.pone.0086041.

::

    CASME2/CASME2-coding-20140508.xlsx           any name; found by its columns
    CASME2/Cropped/sub01/EP02_01f/reg_img46.jpg  else CASME2_RAW_selected, else CASME2-RAW
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mer_data.corrections import correct
from mer_data.datasets.common import (
    Report,
    entries,
    find_clip,
    find_folder,
    find_sheet,
    loose,
    on_disk,
    read_interval,
    sheet_and_root,
    spotted,
)
from mer_data.frames import inside, list_frames
from mer_data.imported import ApexRule, Imported
from mer_data.labels import EMOTIONS, read_emotion
from mer_data.problems import BadInput, Problem, did_you_mean, raise_all
from mer_data.schema import Clip
from mer_data.sheets import Row, read_sheet

NAME = "casme2"
FPS = 200.0
TREES = ("Cropped", "CASME2_RAW_selected", "CASME2-RAW")
REQUIRED = {
    "subject": ("Subject",),
    "name": ("Filename",),
    "onset": ("OnsetFrame", "Onset"),
    "apex": ("ApexFrame", "Apex"),
    "offset": ("OffsetFrame", "Offset"),
    "emotion": ("Estimated Emotion", "Emotion"),
}
OPTIONAL = {"action_units": ("Action Units", "AU", "AUs")}
_SUBJECT = re.compile(r"(?:sub)?0*(\d+)(?:\.0*)?", re.IGNORECASE)


def read(sources: Sequence[Path], apex: ApexRule = "midpoint") -> Imported:
    """Read CASME II as it is distributed.

    Parameters
    ----------
    sources
        The folder ``CASME2``; or the sheet and a folder of frames, where there are several to choose from.
    apex
        What to do for a clip without an apex.

    Returns
    -------
    Clips in the order of the sheet, with a note for every value that was repaired.

    Raises
    ------
    BadInput
        With all that is wrong with the sheet and the frames, row by row.
    """
    named_sheet, root = sheet_and_root(sources)
    if named_sheet:
        sheet = read_sheet(named_sheet, REQUIRED, OPTIONAL)
    else:
        sheet = find_sheet(root, REQUIRED, OPTIONAL, "CASME2-coding-20140508.xlsx")
    rows = _Rows(_find_tree(root), apex)
    clips = [rows.read(row) for row in sheet.rows]
    raise_all(rows.report.problems)
    found = tuple(clip for clip in clips if clip)
    return Imported(found, sheet.path, rows.tree, tuple(rows.report.notes))


def read_subject(text: str) -> str | None:
    """Turn ``01``, ``1``, ``1.0`` or ``sub01`` into the canonical ``sub01``; None if it is none of these."""
    match = _SUBJECT.fullmatch(text)
    return f"sub{int(match.group(1)):02}" if match else None


def _find_tree(root: Path) -> Path:
    if _subject_folders(root):
        return root
    tree = find_folder(root, TREES)
    if tree is None:
        wanted = ", ".join(TREES)
        raise BadInput(Problem(str(root), "no folder of frames", f"expected one of {wanted}, or sub01, sub02, ..."))
    return tree


def _subject_folders(tree: Path) -> dict[str, Path]:
    folders: dict[str, Path] = {}
    for path in entries(tree):
        subject = read_subject(path.name) if path.is_dir() else None
        if subject in folders:
            raise BadInput(Problem(str(tree), f"{folders[subject].name} and {path.name} are one subject", "keep one"))
        if subject:
            folders[subject] = path
    return folders


class _Rows:
    """Reads the rows of one sheet against one tree, and remembers what was seen and said."""

    def __init__(self, tree: Path, apex: ApexRule) -> None:
        self.tree = tree
        self._apex = apex
        self.report = Report()
        self._folders = _subject_folders(tree)
        self._seen: dict[tuple[str, str], int] = {}
        self._absent: set[str] = set()
        if loose(tree.name).startswith("casme2raw"):
            self.report.note(str(tree), "whole frames, not face crops; features will contain the background")

    def read(self, row: Row) -> Clip | None:
        """Read one row; None if it has a problem, which is in the report then."""
        before = len(self.report.problems)
        subject, emotion = self._subject(row), self._emotion(row)
        if subject:
            row, notes = correct(NAME, subject, row["name"], row)
            self.report.notes += notes
        folder = self._folder(row, subject) if subject and self._is_new(row, subject) else None
        frames = self._frames(folder) if folder else {}
        interval = read_interval(row, max(frames, default=None), self.report)
        if interval and folder and frames:
            interval = on_disk(interval, frames, row, folder, self.report)
        if interval and interval.apex_source == "midpoint" and self._apex == "spotted":
            interval = spotted(interval, frames, FPS, row, self.report)
        if len(self.report.problems) > before or not (subject and emotion and folder and interval):
            return None
        return Clip(
            dataset=NAME,
            subject=f"{NAME}/{subject}",
            name=row["name"],
            emotion=emotion,
            onset=interval.onset,
            apex=interval.apex,
            offset=interval.offset,
            apex_source=interval.apex_source,
            action_units=row["action_units"] or None,
            fps=FPS,
            frames=folder.relative_to(self.tree).as_posix(),
        )

    def _subject(self, row: Row) -> str | None:
        subject = read_subject(row["subject"])
        if subject is None:
            self.report.problem(row.at("subject"), f"{row['subject']!r} is not a subject", "write it as 01, 1 or sub01")
        return subject

    def _emotion(self, row: Row) -> str | None:
        emotion = read_emotion(row["emotion"])
        if emotion is None:
            remedy = did_you_mean(row["emotion"].strip().lower(), EMOTIONS)
            self.report.problem(row.at("emotion"), f"unknown emotion {row['emotion']!r}", remedy)
        return emotion

    def _is_new(self, row: Row, subject: str) -> bool:
        first = self._seen.setdefault((subject, row["name"]), row.number)
        if first != row.number:
            what = f"clip {subject}/{row['name']} is in row {first} already"
            self.report.problem(row.at("name"), what, "keep one row per clip")
        return first == row.number

    def _folder(self, row: Row, subject: str) -> Path | None:
        if subject not in self._folders:
            if subject not in self._absent:
                what = f"no folder for subject {subject} in {self.tree}"
                self.report.problem(row.at("subject"), what, "restore it, or take the subject's rows out")
            self._absent.add(subject)
            return None
        home = self._folders[subject]
        folder = find_clip(home, row["name"])
        if folder is None:
            remedy = did_you_mean(row["name"], [path.name for path in entries(home) if path.is_dir()])
            self.report.problem(row.at("name"), f"no folder for clip {row['name']!r} in {home}", remedy)
        elif folder.name != row["name"]:
            self.report.note(row.at("name"), f"the folder is called {folder.name}")
        return folder

    def _frames(self, folder: Path) -> dict[int, Path]:
        try:
            inside(self.tree, folder.relative_to(self.tree).as_posix())
            frames = list_frames(folder)
        except BadInput as error:
            self.report.problems += error.problems
            return {}
        if not frames:
            self.report.problem(str(folder), "no frames in this folder", "restore it from the original")
        return frames
