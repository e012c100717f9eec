"""The editions of datasets that are known, as data: how many rows, people and emotions each of them has.

``editions.csv`` holds a row for each; its first edition is the usual one. References are the heads of
``mer_data/datasets/*.py``. Where a paper and the sheet that is handed out disagree, the sheet is right.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from mer_data.schema import Clip


@dataclass(frozen=True)
class KnownEdition:
    """What an edition has: rows, people (one count for each copy that was seen; empty if not certain), emotions.

    Rows are those of micro-expressions, or clips' folders where there is no sheet. Emotions are in the words of
    :mod:`mer_data.labels`; empty where they are not certain.
    """

    name: str
    rows: int
    subjects: tuple[int, ...]
    emotions: Mapping[str, int]
    source: str


@dataclass(frozen=True)
class Edition:
    """Which edition of a dataset was read.

    Attributes
    ----------
    name
        Of a known edition that has the same counts; empty if there is none, or if several have.
    rows
        How many of them the source has, whether their clips were left out or not.
    content
        A hash of what is in its rows, whatever the file's form: two copies with the same one are the same.
    """

    name: str
    rows: int
    content: str

    def __str__(self) -> str:
        named = f"edition {self.name}" if self.name else "no known edition"
        return f"{named}: {self.rows} rows, content {self.content}"


@dataclass(frozen=True)
class Published:
    """What a dataset has by its editions, so a count may have several values.

    Attributes
    ----------
    rows, subjects
        Rows of micro-expressions, and people who have one; empty where that is not certain.
    emotions
        Clips of each emotion; empty where sources do not agree.
    """

    rows: tuple[int, ...]
    subjects: tuple[int, ...]
    emotions: Mapping[str, tuple[int, ...]]


def _read() -> dict[str, tuple[KnownEdition, ...]]:
    text = (resources.files("mer_data") / "editions.csv").read_text(encoding="utf-8")
    found: dict[str, tuple[KnownEdition, ...]] = {}
    for row in csv.DictReader(text.splitlines()):
        counts = (part.rsplit(maxsplit=1) for part in row["emotions"].split("; ") if part)
        known = KnownEdition(
            name=row["edition"],
            rows=int(row["rows"]),
            subjects=tuple(map(int, row["subjects"].split())),
            emotions={word: int(count) for word, count in counts},
            source=row["source"],
        )
        found[row["format"]] = (*found.get(row["format"], ()), known)
    return found


EDITIONS: Mapping[str, Sequence[KnownEdition]] = _read()


def published_counts(format_: str) -> Published:
    """The counts of all editions of a format together; all empty if it has none."""
    known = EDITIONS.get(format_, ())
    told = [edition for edition in known if edition.emotions]
    words = sorted({word for edition in told for word in edition.emotions})
    return Published(
        _values(edition.rows for edition in known),
        _values(count for edition in known for count in edition.subjects),
        {word: _values(edition.emotions.get(word, 0) for edition in told) for word in words},
    )


def recognise(format_: str, clips: Sequence[Clip], rows: int, left_out: int, content: str) -> Edition:
    """Tell the edition by its counts; clips that were left out may be of any emotion."""
    here, people = Counter(clip.emotion for clip in clips), len({clip.subject for clip in clips})
    fitting = [
        known.name
        for known in EDITIONS.get(format_, ())
        if known.rows == rows
        and (left_out or not known.subjects or people in known.subjects)
        and (not known.emotions or all(count <= known.emotions.get(word, 0) for word, count in here.items()))
    ]
    return Edition(fitting[0] if len(fitting) == 1 else "", rows, content)


def _values(counts: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(set(counts)))
