"""Reading the rows of a sheet against a tree of frames, for datasets with one folder per clip."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from mer_data.corrections import correct
from mer_data.datasets.common import (
    ReadSubject,
    Report,
    entries,
    find_clip,
    folders_called,
    open_sheet,
    subject_folders,
)
from mer_data.datasets.definition import last_apex
from mer_data.datasets.intervals import (
    Interval,
    counted_afresh,
    frame_numbers,
    on_disk,
    read_interval,
    spotted,
)
from mer_data.frames import gap, inside, list_frames
from mer_data.hashing import digest
from mer_data.imported import ApexRule, Imported, PartlyRead
from mer_data.labels import EMOTIONS, misspelt, read_emotion
from mer_data.problems import BadInput, Problem, did_you_mean
from mer_data.schema import Clip
from mer_data.sheets import Columns, Row

_SOONEST_MS = 10  # a face does not get to its apex so soon after the onset


class ClipReader:
    """Reads the rows of one sheet against one tree ``SUBJECT/CLIP`` of frames, and remembers what was seen and said.

    A row has the columns ``subject``, ``name``, ``onset``, ``apex``, ``offset``, ``emotion`` and ``action_units``. A
    dataset that differs in one of the steps overrides the method of that step.

    Parameters
    ----------
    dataset
        The dataset's id.
    tree
        The folder that holds the subjects' folders.
    read_subject
        Turns a cell or a folder's name into the canonical subject, or gives None.
    spellings
        How a subject may be written, for messages.
    fps
        Frames per second.
    apex
        What to do for a clip without an apex.
    folders
        Canonical subject to that person's folder, where it is not simply in `tree`.

    Attributes
    ----------
    has_apexes
        Whether the sheet gives apexes. If not, this is not noted again for every clip.
    """

    has_apexes = True

    def __init__(
        self,
        dataset: str,
        tree: Path,
        read_subject: ReadSubject,
        spellings: str,
        fps: float,
        apex: ApexRule,
        folders: Mapping[str, Path] | None = None,
    ) -> None:
        self.dataset, self.tree, self.fps = dataset, tree, fps
        self.report = Report()
        self._read_subject, self._spellings, self._apex = read_subject, spellings, apex
        self._folders = subject_folders(tree, read_subject) if folders is None else folders
        self._seen: dict[tuple[str, str], int] = {}
        self._absent: set[str] = set()
        self._listed: dict[Path, dict[int, Path]] = {}

    def import_rows(self, rows: Sequence[Row], source: Path) -> Imported:
        """Read the rows of a file in their order; raise :class:`PartlyRead` with all that is in the report, if any."""
        left_out = [f"left out: {problem}" for problem in self.report.problems]
        rows = without_text(rows, self._read_subject, self.report)
        content = digest([sorted(row.cells.items()) for row in rows])[:12]
        listed = len(left_out) + len({(row.place, row.number) for row in rows})  # a row may hold several clips
        clips = []
        for row in rows:
            before = len(self.report.problems)
            if clip := self.read(row):
                clips.append(clip)
            else:
                left_out.append(self._leave_out(row, self.report.problems[before:]))
        self.sum_up(clips, rows, source)
        notes = (*left_out, *self.report.notes)
        imported = Imported(
            tuple(clips),
            source,
            self.tree,
            notes,
            left_out=len(left_out),
            rows=listed,
            content=content,
            raw=self.report.raw,
        )
        if self.report.problems:
            raise PartlyRead(self.report.problems, imported)
        return imported

    def _leave_out(self, row: Row, problems: Sequence[Problem]) -> str:
        """Say which clip is left out, and why."""
        subject = self._read_subject(row["subject"]) or row["subject"]
        why = "; ".join(map(str, problems)) or f"{row.at()}: for the reason told of an earlier row"
        return f"left out: {self.dataset}/{subject}/{self.name(row, subject)}: {why}"

    def sum_up(self, clips: Sequence[Clip], rows: Sequence[Row], source: Path) -> None:
        """Note what is to be said on all clips together; here nothing."""

    def read(self, row: Row) -> Clip | None:
        """Read one row; None if it has a problem, which is in the report then."""
        before = len(self.report.problems)
        subject = self.subject(row)
        if subject:
            row, notes = correct(self.dataset, subject, row["name"], row)
            self.report.notes += notes
        emotion, fps = self.emotion(row), self.frame_rate(row)
        name = self.name(row, subject) if subject else ""  # as the sheet counts, whatever the folder does
        folder = self.folder(row, subject) if subject and self._is_new(row, subject, name) else None
        frames = self.frames(folder) if folder else {}
        row = self.fit(row, frames) if frames else row
        interval = self.interval(row, frames, fps or self.fps)
        if interval and folder and frames:
            interval = on_disk(interval, frames, row, folder, self.report)
        if interval:
            interval = self.look_at_apex(row, interval, frames, fps or self.fps)
            self._note_gaps(row, interval, frames)
        if len(self.report.problems) > before or not (subject and emotion and folder and interval):
            return None
        return Clip(
            dataset=self.dataset,
            subject=f"{self.dataset}/{subject}",
            name=name,
            emotion=emotion,
            onset=interval.onset,
            apex=interval.apex,
            offset=interval.offset,
            apex_source=interval.apex_source,
            action_units=row["action_units"] or None,
            fps=fps,
            frames=folder.relative_to(self.tree).as_posix(),
        )

    def subject(self, row: Row) -> str | None:
        """The canonical subject of a row."""
        subject = self._read_subject(row["subject"])
        if subject is None:
            what = f"{row['subject']!r} is not a subject"
            self.report.problem(row.at("subject"), what, f"write it as {self._spellings}")
        return subject

    def name(self, row: Row, subject: str) -> str:
        """The name of a row's clip, which nothing else of the subject has."""
        return row["name"]

    def emotion(self, row: Row) -> str | None:
        """The canonical emotion of a row."""
        emotion = read_emotion(row["emotion"])
        if emotion is None:
            remedy = did_you_mean(row["emotion"].strip().lower(), EMOTIONS)
            self.report.problem(row.at("emotion"), f"unknown emotion {row['emotion']!r}", remedy)
        elif misspelt(row["emotion"]):
            self.report.note(row.at("emotion"), f"{row['emotion']!r} is read as {emotion}")
        return emotion

    def frame_rate(self, row: Row) -> float | None:
        """Frames per second of a row's clip, here the same for all; None if there is a problem."""
        return self.fps

    def fit(self, row: Row, frames: Mapping[int, Path]) -> Row:
        """The row with frame numbers as its folder counts them, which is a length as well as it is a place."""
        return counted_afresh(row, frames, self.report)

    def interval(self, row: Row, frames: Mapping[int, Path], fps: float) -> Interval | None:
        """Onset, apex and offset of a row, repaired; None if there is a problem."""
        report = self.report if self.has_apexes else Report()
        interval = read_interval(row, max(frames, default=None), report, partial(last_apex, self.dataset, fps))
        if report is not self.report:
            self.report.problems += report.problems
        return interval

    def look_at_apex(self, row: Row, interval: Interval, frames: Mapping[int, Path], fps: float) -> Interval:
        """The interval, its apex spotted if it had none and that is the rule; one too soon for a face is noted."""
        if interval.apex_source in ("midpoint", "limited"):
            last = last_apex(self.dataset, fps, interval.onset, interval.offset)
            rule = self._apex == "spotted"
            return spotted(interval, frames, fps, row, self.report, last) if rule else interval
        after = interval.apex - interval.onset
        if after * 1000 < _SOONEST_MS * fps:
            many = "1 frame" if after == 1 else f"{after} frames"
            what = (
                f"apex {interval.apex} is {many}, {after * 1000 / fps:.0f} ms, after the onset; compare with the video"
            )
            self.report.note(row.at("apex"), what)
        return interval

    def folder(self, row: Row, subject: str) -> Path | None:
        """The folder of a row's frames."""
        if subject not in self._folders:
            self._miss(row, subject, f"no folder for subject {subject} in {self.tree}", "restore it")
            return None
        return self.find_clip(row, self._folders[subject], row["name"])

    def find_clip(self, row: Row, home: Path, name: str) -> Path | None:
        """The folder called `name` in `home`, in whatever case."""
        folder = find_clip(home, name)
        if folder is None:
            remedy = did_you_mean(name, [path.name for path in entries(home) if path.is_dir()])
            self.report.problem(row.at("name"), f"no folder for clip {name!r} in {home}", remedy)
        elif folder.name != name:
            self.report.note(row.at("name"), f"the folder is called {folder.name}")
        return folder

    def frames(self, folder: Path) -> dict[int, Path]:
        """The frames of a folder by number; empty if there is a problem."""
        # Clips of one recording share a folder of thousands of frames, and their rows are neighbours.
        if folder not in self._listed:
            self._listed = {folder: self._list_frames(folder)}
        return self._listed[folder]

    def _note_gaps(self, row: Row, interval: Interval, frames: Mapping[int, Path]) -> None:
        """Note frames that the camera dropped; the interval is left as it is."""
        if said := gap(frames, interval.onset, interval.offset) if frames else "":
            self.report.note(row.at("offset"), said)

    def holding(self, row: Row, folders: Sequence[Path]) -> Path | None:
        """The folder that has most of a row's onset, apex and offset; None if none has any of them."""
        numbers = set(frame_numbers(row)) - {None}
        found = {folder: len(numbers & self.frames(folder).keys()) for folder in folders}
        best = max(folders, key=lambda folder: found[folder], default=None)
        return best if best and found[best] else None

    def _list_frames(self, folder: Path) -> dict[int, Path]:
        try:
            inside(self.tree, folder.relative_to(self.tree).as_posix())
            frames = list_frames(folder, self.tree)
        except BadInput as error:
            self.report.problems += error.problems
            return {}
        if not frames:
            self.report.problem(str(folder), "no frames in this folder", "restore it from the original")
        return frames

    def _miss(self, row: Row, subject: str, what: str, remedy: str) -> None:
        """Report that a subject has no frames, once for all of that person's rows."""
        if subject not in self._absent:
            self.report.problem(row.at("subject"), what, f"{remedy}, or take the subject's rows out")
        self._absent.add(subject)

    def _is_new(self, row: Row, subject: str, name: str) -> bool:
        first = self._seen.setdefault((subject, name), row.number)
        if first != row.number:
            what = f"clip {subject}/{name} is in row {first} already"
            self.report.problem(row.at("name"), what, "keep one row per clip")
        return first == row.number


def is_text(row: Row, read_subject: ReadSubject) -> bool:
    """Whether a row tells neither a subject nor a frame."""
    return not read_subject(row["subject"]) and {*frame_numbers(row)} == {None}


def without_text(rows: Sequence[Row], read_subject: ReadSubject, report: Report) -> Sequence[Row]:
    """The rows of a table without those of text below it, which are noted."""
    told = [at for at, row in enumerate(rows) if not is_text(row, read_subject)]
    end = told[-1] + 1 if told else len(rows)
    if rows[end:]:
        report.note(rows[end].at(), f"{len(rows) - end} rows of text from here on are passed over")
    return rows[:end]


class NamedClipReader(ClipReader):
    """A reader for datasets whose clips' names begin with their subject: folders are found by name in any layout.

    Parameters
    ----------
    dataset, tree, read_subject, spellings, fps, apex
        As for :class:`ClipReader`; the clips' folders are somewhere below `tree`.
    read_name
        Turns a cell or a folder's name into the canonical subject and clip name, or gives None.
    """

    def __init__(
        self,
        dataset: str,
        tree: Path,
        read_subject: ReadSubject,
        spellings: str,
        fps: float,
        apex: ApexRule,
        read_name: Callable[[str], tuple[str, str] | None],
    ) -> None:
        super().__init__(dataset, tree, read_subject, spellings, fps, apex)
        self._read_name = read_name
        self.clips: dict[str, dict[str, list[Path]]] = {}
        for path in folders_called(tree, read_name):
            if named := read_name(path.name):
                self.clips.setdefault(named[0], {}).setdefault(named[1], []).append(path)

    def read(self, row: Row) -> Clip | None:
        """Read one row, under the canonical name of its clip."""
        named = self._read_name(row["name"])
        return super().read(replace(row, cells={**row.cells, "name": named[1]}) if named else row)

    def subject(self, row: Row) -> str | None:
        """The canonical subject of a row; it must be the clip's."""
        subject, named = super().subject(row), self._read_name(row["name"])
        if subject and named and named[0] != subject:
            what = f"clip {row['name']} is not of subject {subject}"
            self.report.problem(row.at("name"), what, "correct the cell that is wrong")
            return None
        return subject

    def folder(self, row: Row, subject: str) -> Path | None:
        """The folder of a row's frames, wherever it is."""
        if subject not in self.clips:
            self._miss(row, subject, f"no folder for a clip of subject {subject} in {self.tree}", "restore them")
            return None
        name, clips = row["name"], self.clips[subject]
        folders = self.choose(row, clips.get(name, []))
        if len(folders) != 1:
            what = f"no folder for clip {name!r} in {self.tree}"
            remedy = did_you_mean(name, clips)
            if folders:
                places = ", ".join(path.relative_to(self.tree).as_posix() for path in folders)
                what, remedy = f"clip {name!r} has {len(folders)} folders: {places}", "name the folder to use"
            self.report.problem(row.at("name"), what, remedy)
            return None
        if folders[0].name != name:
            self.report.note(row.at("name"), f"the folder is called {folders[0].name}")
        return folders[0]

    def choose(self, row: Row, folders: list[Path]) -> list[Path]:
        """Of several folders of a row's name, those it may mean; here all of them."""
        return folders


@dataclass(frozen=True)
class SheetImporter:
    """Reads a dataset that is one sheet and one tree of frames, as it is distributed.

    Attributes
    ----------
    sheet
        What the sheet is called, for messages; it is found by its columns.
    make_reader
        Finds the tree of frames in a folder, and gives what reads the rows of the sheet against it.
    required, optional
        The sheet's columns; see :func:`~mer_data.sheets.read_sheet`.
    spare
        See :func:`~.common.find_sheet`.
    """

    sheet: str
    make_reader: Callable[[Path, Sequence[Row], ApexRule], ClipReader]
    required: Columns
    optional: Columns
    spare: str = ""

    def __call__(self, sources: Sequence[Path], apex: ApexRule = "midpoint") -> Imported:
        """Read the dataset.

        Parameters
        ----------
        sources
            The dataset's folder; or the sheet and a folder of frames, where there are several to choose from.
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
        sheet, root = open_sheet(sources, self.required, self.optional, self.sheet, self.spare)
        return self.make_reader(root, sheet.rows, apex).import_rows(sheet.rows, sheet.path)
