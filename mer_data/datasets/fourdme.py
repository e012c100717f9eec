"""4DME, the grey frontal videos: 267 micro-expressions at 60 frames per second.

Li et al., "4DME: a spontaneous 4D micro-expression dataset with multimodalities", IEEE Transactions on Affective
Computing 2022, doi 10.1109/TAFFC.2022.3182342.

::

    4DMicro/4DME_Labelling_Micro_release v1.xlsx           any name; found by its columns
    4DMicro/gray_micro_crop/S13/S13_1st_001_01_1/120.jpg   else gray_micro

An emotion may be a mixture of two (``Surprise+Positive``); the clip's emotion is then ``surprise+positive``, which is
a class of its own for the scheme ``native``, and left out by the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mer_data.datasets.common import find_tree, loose, subject_reader
from mer_data.datasets.intervals import count_from, cut_offset, fills_folder
from mer_data.datasets.reader import ClipReader, SheetImporter
from mer_data.imported import ApexRule, Imported
from mer_data.labels import EMOTIONS, misspelt, read_emotion
from mer_data.problems import did_you_mean
from mer_data.schema import Clip
from mer_data.sheets import Row

NAME = "4dme"
FPS = 60.0
SHEET = "4DME_Labelling_Micro_release v1.xlsx"
TREES = ("gray_micro_crop", "gray_micro")
CATEGORIES = ("positive", "negative", "surprise", "repression", "others")
MIXED = "+"
_APOSTROPHES = "'’"


def _headers(*names: str) -> tuple[str, ...]:
    """Accept a header with an apostrophe at its end too, as a pre-release has them."""
    return tuple(name + end for end in ("", *_APOSTROPHES) for name in names)


REQUIRED = {
    "subject": _headers("sub_ID"),
    "name": _headers("fold_name"),
    "onset": _headers("Onset"),
    "apex": _headers("Apex"),
    "offset": _headers("Offset"),
    "emotion": _headers("Emotion"),
}
OPTIONAL = {"action_units": _headers("AUs", "AU")} | {word: _headers(word) for word in CATEGORIES}
read_subject = subject_reader(r"[a-z_-]*0*(\d{1,9})(?:\.0*)?", "S{:02}")  # S01 may also be written 1, 01 or 1.0


class _Reader(ClipReader):
    def sum_up(self, clips: Sequence[Clip], rows: Sequence[Row], source: Path) -> None:
        """Note the mixtures of emotions."""
        for what in (*_mixtures(clips), *_by_columns(rows)):
            self.report.note(str(source), what)

    def import_rows(self, rows: Sequence[Row], source: Path) -> Imported:
        """Read the rows, without the apostrophes that keep spreadsheet programs from guessing types."""
        return super().import_rows([_bare(row) for row in rows], source)

    def emotion(self, row: Row) -> str | None:
        """The canonical emotion of a row, or several joined in the order of the sheet."""
        parts = [part.strip() for part in row["emotion"].split(MIXED)]
        words = [word for word in map(read_emotion, parts) if word]
        if len(words) < len(parts):
            unknown = next(part for part in parts if not read_emotion(part))
            self.report.problem(
                row.at("emotion"), f"unknown emotion {unknown!r}", did_you_mean(unknown.lower(), EMOTIONS)
            )
            return None
        emotion = MIXED.join(dict.fromkeys(words))
        for part in filter(misspelt, parts):
            self.report.note(row.at("emotion"), f"{part!r} is read as {read_emotion(part)}")
        marked = _marked(row)
        if marked and marked != set(words):
            columns = MIXED.join(sorted(marked))
            self.report.note(row.at("emotion"), f"{emotion}, but the class columns have {columns}; {emotion} is kept")
        return emotion

    def fit(self, row: Row, frames: Mapping[int, Path]) -> Row:
        """Count as the folder does, where it has just the clip and the sheet counts from the recording's start."""
        row = count_from(row, min(frames), self.report) if fills_folder(row, frames) else super().fit(row, frames)
        return cut_offset(row, max(frames), self.report)


def _bare(row: Row) -> Row:
    return replace(row, cells={name: text.rstrip(_APOSTROPHES) for name, text in row.cells.items()})


def _marked(row: Row) -> set[str]:
    """The categories whose columns are ticked in a row."""
    return {word for word in CATEGORIES if row[word] not in ("", "0")}


def _mixtures(clips: Sequence[Clip]) -> list[str]:
    mixed = Counter(clip.emotion for clip in clips if MIXED in clip.emotion)
    if not mixed:
        return []
    said = f"{mixed.total()} of {len(clips)} clips are mixtures of emotions, which 3-class leaves out"
    return [f"{said}: {_listed(mixed)}"]


def _by_columns(rows: Sequence[Row]) -> list[str]:
    """Count by the class columns, where a mixture counts for each of its classes."""
    marked = Counter(word for row in rows for word in CATEGORIES if word in _marked(row))
    return [f"counted by the class columns, mixtures for each of their classes: {_listed(marked)}"] if marked else []


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{word} {count}" for word, count in sorted(counts.items()))


def _reader(root: Path, rows: Sequence[Row], apex: ApexRule) -> ClipReader:
    tree = find_tree(root, TREES, read_subject, "S01, S02, ...")
    reader = _Reader(NAME, tree, read_subject, "S01 or 1", FPS, apex)
    if loose(tree.name) == loose(TREES[1]):
        reader.report.whole_frames(tree)
    return reader


# The sheet of extras has self-reports, not the labels.
read = SheetImporter(SHEET, _reader, REQUIRED, OPTIONAL, spare="extras")
