"""The data folder of Off-TANet: CASME, CASME II and CAS(ME)^2 cropped, with one list of 294 clips.

Zhang, Liu, Zhou, "Off-TANet: A Lightweight Neural Micro-expression Recognizer with Optical Flow Features and Integrated
Attention Mechanism", PRICAI 2021.

::

    ROOT/combined_3class.csv                                any name; Dataset,Subject,Sample,Onset,Apex,Class
    ROOT/casme1_cropped/sub01/EP01_5/reg_EP01_5-113.jpg     Dataset casme1
    ROOT/casme2_cropped/sub01/EP02_01f/reg_img46.jpg        Dataset casme2
    ROOT/casme^2_cropped/16/disgust1_3/img552.jpg           Dataset casme^2

The list tells onset and apex but no offset, and a class instead of an emotion. Clips get the names that our importers
of the three datasets give them, so that the published list ``casmes`` selects them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from mer_data.datasets import casme, casme2, casme_sq
from mer_data.datasets.common import Report, entries, find_clip, open_sheet, subject_folders
from mer_data.datasets.intervals import read_number
from mer_data.frames import inside, list_frames, pick
from mer_data.imported import Imported, PartlyRead
from mer_data.problems import BadInput, Problem, did_you_mean
from mer_data.published.foreign import notes_on
from mer_data.schema import Clip
from mer_data.sheets import Row

SHEET = "combined_3class.csv"
COLUMNS = {
    "dataset": ("Dataset",),
    "subject": ("Subject",),
    "name": ("Sample",),
    "onset": ("Onset",),
    "apex": ("Apex",),
    "class": ("Class",),
}
CLASSES = ("negative", "positive", "surprise")


@dataclass(frozen=True)
class Part:
    """One of the three datasets: its canonical name, tree, frame rate, and how its subjects are read."""

    dataset: str
    tree: str
    fps: float
    read_subject: Callable[[str], str | None]


def _part(tree: str, dataset: ModuleType) -> Part:
    return Part(dataset.NAME, tree, dataset.FPS, dataset.read_subject)


# By what the list calls the dataset.
PARTS: Mapping[str, Part] = {
    "casme1": _part("casme1_cropped", casme),
    "casme2": _part("casme2_cropped", casme2),
    "casme^2": _part("casme^2_cropped", casme_sq),
}


def read(sources: Sequence[Path]) -> Imported:
    """Read Off-TANet's list against its three trees.

    Parameters
    ----------
    sources
        The folder that holds the list and the trees; or the list and the folder of the trees.

    Returns
    -------
    Clips in the order of the list, their class as the emotion, without offsets; notes where clips or classes differ
    from the published list ``casmes``.

    Raises
    ------
    BadInput
        With all that is wrong with the list and the frames, row by row.
    """
    sheet, root = open_sheet(sources, COLUMNS, {}, SHEET)
    reader = _Reader(root)
    clips, left_out = [], []
    for row in sheet.rows:
        before = len(reader.report.problems)
        if clip := reader.read(row):
            clips.append(clip)
        else:
            why = "; ".join(map(str, reader.report.problems[before:])) or f"{row.at()}: its tree is missing"
            left_out.append(f"left out: {row['dataset']}/{row['subject']}/{row['name']}: {why}")
    notes = (*left_out, *reader.report.notes, *notes_on(clips, "casmes"))
    imported = Imported(tuple(clips), sheet.path, root, notes, left_out=len(left_out))
    if reader.report.problems:
        raise PartlyRead(reader.report.problems, imported)
    return imported


class _Reader:
    """Reads the rows of the list against the trees, and remembers what was seen and said."""

    def __init__(self, root: Path) -> None:
        self.report = Report()
        self._root = root
        self._row_of: dict[Path, int] = {}
        self._homes: dict[str, dict[str, Path] | None] = {}

    def read(self, row: Row) -> Clip | None:
        """Read one row; None if it has a problem, which is in the report then."""
        before = len(self.report.problems)
        part = PARTS.get(row["dataset"])
        if part is None:
            what = f"unknown dataset {row['dataset']!r}"
            self.report.problem(row.at("dataset"), what, did_you_mean(row["dataset"], PARTS))
        if row["class"] not in CLASSES:
            what = f"{row['class']!r} is not a class"
            self.report.problem(row.at("class"), what, f"classes are {', '.join(CLASSES)}")
        onset, apex = self._number(row, "onset"), self._number(row, "apex")
        if onset is not None and apex is not None and apex <= onset:
            self.report.problem(row.at("apex"), f"apex {apex} is not after onset {onset}", "correct the list")
        subject = self._subject(row, part) if part else None
        folder = self._folder(row, part, subject) if part and subject else None
        if folder:
            self._check_frames(row, folder, [number for number in (onset, apex) if number is not None])
        if len(self.report.problems) > before or not (part and subject and folder):
            return None
        return Clip(
            dataset=part.dataset,
            subject=f"{part.dataset}/{subject}",
            name=row["name"],
            emotion=row["class"],
            onset=onset,
            apex=apex,
            apex_source="annotated",
            fps=part.fps,
            frames=folder.relative_to(self._root).as_posix(),
        )

    def _number(self, row: Row, column: str) -> int | None:
        number = read_number(row[column])
        if number is None or number < 0:
            what = f"{row[column]!r} is not a frame number"
            self.report.problem(row.at(column), what, "write the whole number of a frame")
            return None
        return number

    def _subject(self, row: Row, part: Part) -> str | None:
        subject = part.read_subject(row["subject"])
        if subject is None:
            what = f"{row['subject']!r} is not a subject of {row['dataset']}"
            self.report.problem(row.at("subject"), what, "write it like its folder")
        return subject

    def _folder(self, row: Row, part: Part, subject: str) -> Path | None:
        """The folder of a row's frames, inside the root and of no other row."""
        if part.tree not in self._homes:
            self._homes[part.tree] = self._list_subjects(part)
        homes = self._homes[part.tree]
        if homes is None:
            return None  # said once, for the whole tree
        if subject not in homes:
            what = f"no folder for subject {row['subject']!r} in {self._root / part.tree}"
            self.report.problem(row.at("subject"), what, "restore it, or take the subject's rows out")
            return None
        folder = find_clip(homes[subject], row["name"])
        if folder is None:
            what = f"no folder for clip {row['name']!r} in {homes[subject]}"
            names = [path.name for path in entries(homes[subject]) if path.is_dir()]
            self.report.problem(row.at("name"), what, did_you_mean(row["name"], names) or "restore it")
            return None
        first = self._row_of.setdefault(folder, row.number)
        if first != row.number:
            what = f"clip {row['dataset']}/{subject}/{row['name']} is in row {first} already"
            self.report.problem(row.at("name"), what, "keep one row per clip")
            return None
        return folder

    def _list_subjects(self, part: Part) -> dict[str, Path] | None:
        tree = self._root / part.tree
        try:
            inside(self._root, part.tree)
            if not tree.is_dir():
                raise BadInput(Problem(str(tree), "no such folder of frames", f"put the trees beside {SHEET}"))
            return subject_folders(tree, part.read_subject)
        except BadInput as error:
            self.report.problems += error.problems
            return None

    def _check_frames(self, row: Row, folder: Path, numbers: Sequence[int]) -> None:
        """Check that the frames are there and inside the root; names differ, so they are found by number."""
        try:
            inside(self._root, folder.relative_to(self._root).as_posix())
            frames = list_frames(folder, self._root)
            for number in numbers:
                path = pick(frames, number, str(folder))
                inside(self._root, path.relative_to(self._root).as_posix())
        except BadInput as error:
            for problem in error.problems:
                self.report.problem(row.at(), f"{problem.where}: {problem.what}", problem.remedy)
