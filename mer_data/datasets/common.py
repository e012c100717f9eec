"""What the importers share: telling sheets from folders, and finding sheets, trees and clips in them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from mer_data.problems import BadInput, Problem
from mer_data.sheets import SHEET_SUFFIXES, Columns, Sheet, read_sheet

# Columns that several datasets' sheets have: our names to the headers. The others say what is different.
COLUMNS: Columns = {
    "subject": ("Subject",),
    "name": ("Filename",),
    "onset": ("OnsetFrame", "Onset"),
    "apex": ("ApexFrame", "Apex"),
    "offset": ("OffsetFrame", "Offset"),
    "emotion": ("Estimated Emotion", "Emotion"),
}
UNITS: Columns = {"action_units": ("Action Units", "AU", "AUs")}
WHOLE_FRAMES = "whole frames, not face crops; faces are aligned before features are computed"
_JUNK = frozenset({"__macosx", "desktop.ini", "thumbs.db"})
Read = TypeVar("Read")
ReadSubject = Callable[[str], str | None]  # a cell or a folder's name to the canonical subject


@dataclass
class Report:
    """What an importer found on its way: problems stop the import, notes are kept with the dataset.

    Attributes
    ----------
    problems, notes
        In the order they were found.
    raw
        Whether the frames are whole pictures.
    """

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    raw: bool = False

    def problem(self, where: str, what: str, remedy: str = "") -> None:
        """Add a problem; the importer goes on, so that all problems are told together."""
        self.problems.append(Problem(where, what, remedy))

    def note(self, where: str, what: str) -> None:
        """Add a remark on something that was repaired."""
        self.notes.append(f"{where}: {what}")

    def whole_frames(self, tree: Path) -> None:
        """Note that a tree does not hold crops."""
        self.raw = True
        self.note(str(tree), WHOLE_FRAMES)


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


def open_sheet(
    sources: Sequence[Path], required: Columns, optional: Columns, example: str, spare: str = ""
) -> tuple[Sheet, Path]:
    """Read the sheet that is named, or the one in the folder, as :func:`find_sheet` finds it; and tell the folder.

    Raises
    ------
    BadInput
        As :func:`sheet_and_root`, :func:`find_sheet` and :func:`~mer_data.sheets.read_sheet`.
    """
    named, root = sheet_and_root(sources)
    if named:
        return read_sheet(named, required, optional), root
    return find_sheet(root, required, optional, example, spare), root


def sheet_files(folder: Path) -> list[Path]:
    """List the files of a folder that may be sheets."""
    return [path for path in entries(folder) if path.suffix.lower() in SHEET_SUFFIXES and path.is_file()]


def read_each(paths: Iterable[Path], read: Callable[[Path], Read]) -> tuple[list[Read], list[Problem]]:
    """Read those files that can be read, and tell what is wrong with the others."""
    found: list[Read] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            found.append(read(path))
        except BadInput as error:
            problems += error.problems
    return found, problems


def find_sheet(root: Path, required: Columns, optional: Columns, example: str, spare: str = "") -> Sheet:
    """Find the one sheet in a folder that has the required columns, whatever it is called.

    Where there are several, those with the word `spare` in their names (lower case) do not count.

    Raises
    ------
    BadInput
        If there is none (`example` is a file name to look for), or more than one.
    """
    found, problems = read_each(sheet_files(root), lambda path: read_sheet(path, required, optional))
    if len(found) > 1 and spare:
        found = [sheet for sheet in found if spare not in sheet.path.name.lower()] or found
    if sheet := the_one(found, root):
        return sheet
    missing = Problem(str(root), "no annotation sheet in this folder", f"put {example} there, or name the sheet too")
    raise BadInput(problems or missing)


def subject_reader(pattern: str, canonical: str) -> ReadSubject:
    """Make the function that turns a cell or a folder's name into the canonical subject, or gives None.

    Parameters
    ----------
    pattern
        Fits every spelling of a subject, in any case, with the number of the person as its group.
    canonical
        The one spelling that is kept, to be formatted with that number.
    """
    spelling = re.compile(pattern, re.IGNORECASE)

    def read_subject(text: str) -> str | None:
        match = spelling.fullmatch(text)
        return canonical.format(int(match.group(1))) if match else None

    return read_subject


def the_one(found: Sequence[Sheet], folder: Path) -> Sheet | None:
    """Give the only sheet that was found in a folder, if any was.

    Raises
    ------
    BadInput
        If there is more than one.
    """
    if len(found) > 1:
        names = ", ".join(sheet.path.name for sheet in found)
        what = f"{len(found)} sheets have the right columns: {names}"
        raise BadInput(Problem(str(folder), what, "name the sheet to use as well as the folder"))
    return found[0] if found else None


def find_clip(folder: Path, name: str) -> Path | None:
    """Find a clip's folder by name, or by its only namesake in another case."""
    # A subject may have hundreds of folders, and each is looked for in turn: only names are read, of nearly all.
    if name in os.listdir(folder) and (folder / name).is_dir():  # noqa: PTH208 - of texts, which are quick
        return folder / name
    folders = [path for path in entries(folder) if path.is_dir()]
    exact = [path for path in folders if path.name == name]
    same = exact or [path for path in folders if path.name.casefold() == name.casefold()]
    return same[0] if len(same) == 1 else None


def find_tree(root: Path, names: Sequence[str], read_subject: ReadSubject, example: str) -> Path:
    """Find the folder that holds the subjects' folders: the first of `names` in `root`, or `root` itself.

    Raises
    ------
    BadInput
        If there is none; `example` tells how the subjects' folders are called.
    """
    if tree := find_folder(root, names):
        return tree
    if subject_folders(root, read_subject):
        return root
    wanted = ", ".join(names)
    raise BadInput(Problem(str(root), "no folder of frames", f"expected one of {wanted}, or {example}"))


def tree_below(root: Path, skipped: Collection[str], read_subject: ReadSubject, example: str, depth: int) -> Path:
    """Find the folder that holds the subjects' folders, level by level, at most `depth` levels down.

    Folders whose :func:`loose` name is in `skipped` are other parts of the dataset. A link may lead to the tree, which
    often lies on another disk, but no folder is looked into twice.

    Raises
    ------
    BadInput
        If there is none; `example` tells how the subjects' folders are called.
    """
    level, seen = [root], {root.resolve()}
    for _ in range(depth + 1):
        for folder in level:
            if subject_folders(folder, read_subject):
                return folder
        below = [path for folder in level for path in entries(folder) if path.is_dir()]
        level = []
        for path in below:
            if loose(path.name) not in skipped and path.resolve() not in seen:
                seen.add(path.resolve())
                level.append(path)
    raise BadInput(Problem(str(root), "no folder of frames", f"expected {example} at most {depth} folders below"))


def subject_folders(tree: Path, read_subject: ReadSubject) -> dict[str, Path]:
    """Find the subjects' folders in a tree, by canonical subject; what is no subject's is passed over.

    Raises
    ------
    BadInput
        If two folders are of one subject.
    """
    folders: dict[str, Path] = {}
    for path in entries(tree):
        subject = read_subject(path.name) if path.is_dir() else None
        if subject in folders:
            raise BadInput(Problem(str(tree), f"{folders[subject].name} and {path.name} are one subject", "keep one"))
        if subject:
            folders[subject] = path
    return folders


def folders_called(root: Path, fits: Callable[[str], object], depth: int = 4) -> list[Path]:
    """Find the folders below `root` whose name fits, in whatever layout, at most `depth` levels down.

    A folder that fits is not searched, and links are not followed.
    """
    found: list[Path] = []
    for path in entries(root):
        if path.is_dir() and fits(path.name):
            found.append(path)
        elif path.is_dir() and not path.is_symlink() and depth > 1:
            found += folders_called(path, fits, depth - 1)
    return found
