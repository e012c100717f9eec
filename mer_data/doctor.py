"""What is missing, odd or duplicated in a dataset's tree, in words; nothing is written."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mer_data.frames import decode, frame_bytes, inside, list_frames, pick
from mer_data.hashing import digest_bytes
from mer_data.imported import Imported
from mer_data.problems import BadInput, Problem
from mer_data.schema import APEX_SOURCES, Clip

_SHOWN = 10
_SHOWN_OF_A_KIND = 3
_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|-?\d+(?:\.\d+)?")

Size = tuple[int, int]


@dataclass(frozen=True)
class Published:
    """What a dataset has by its publication or its released sheet. Releases differ, so a count may have several values.

    Attributes
    ----------
    clips, subjects
        Micro-expressions, and people who have one; empty where that is not certain.
    emotions
        Clips of each emotion, in the words of :mod:`mer_data.labels`; empty where sources do not agree.
    """

    clips: tuple[int, ...]
    subjects: tuple[int, ...]
    emotions: Mapping[str, tuple[int, ...]]


def _published(clips: int | Size, subjects: int | Size, **emotions: int | Size) -> Published:
    several = {name: _several(count) for name, count in emotions.items()}
    return Published(_several(clips), _several(subjects), several)


def _several(count: int | Size) -> tuple[int, ...]:
    return (count,) if isinstance(count, int) else count


_SAMM = _published(
    159, 29, anger=57, contempt=12, disgust=9, fear=8, happiness=26, others=26, sadness=6, surprise=15
)  # fmt: skip

# References: the heads of mer_data/datasets/*.py. Where a paper and the sheet that is handed out disagree, the sheet.
PUBLISHED: Mapping[str, Published] = {
    # One sheet in circulation has 18 of the 19 people.
    "casme": _published(
        189, (19, 18), contempt=2, disgust=45, fear=2, happiness=7, repression=39, sadness=6, surprise=20, tense=68
    ),
    # The sheet of 2019 has one clip of disgust more than that of 2014.
    "casme2": _published(
        (255, 256), 26, disgust=(63, 64), fear=2, happiness=32, others=99, repression=27, sadness=7, surprise=25
    ),
    "casme_sq": _published(57, 14, negative=21, others=19, positive=8, surprise=9),
    "casme3a": _published(
        860, 94, anger=64, disgust=250, fear=86, happiness=55, others=161, sadness=57, surprise=187
    ),
    "casme3c": _published(165, 30, negative=99, others=20, positive=16, surprise=30),
    "samm": _SAMM,
    "samm_lv": _SAMM,  # the same events
    "smic": _published(164, 16, negative=70, positive=51, surprise=43),
    "smic_vis": _published(71, 8),
    "smic_nir": _published(71, 8),
    # The same events in longer clips.
    "smic_e": _published(164, 16),
    "smic_e_vis": _published(71, 8),
    "smic_e_nir": _published(71, 8),
    "mmew": _published(300, 36, anger=8, disgust=72, fear=16, happiness=36, others=66, sadness=13, surprise=89),
    # The number of people is not certain, and counts of emotions depend on what is done with the mixed ones.
    "4dme": Published((267,), (), {}),
    # Training set, test A and test B of the challenge together.
    "dfme": _published(
        2629, 259, anger=241, contempt=171, disgust=735, fear=365, happiness=311, sadness=359, surprise=447
    ),
    "htnet": _published(442, 68, negative=250, positive=109, surprise=83),
}  # fmt: skip


@dataclass(frozen=True)
class Resized:
    """A clip whose onset and apex frames differ in size; sizes are (width, height)."""

    clip: str
    onset: Size
    apex: Size


@dataclass(frozen=True)
class Findings:
    """What an examination found.

    Attributes
    ----------
    format
        The importer that read the tree.
    clips, subjects
        How many there are.
    emotions, apexes
        Clips of each emotion; clips of each apex source (``none``: without an apex).
    published
        What the dataset should have, or None if nothing is known.
    looked_at
        Clips whose onset or apex frame was read. The others have no frames.
    repeated
        Groups of clips whose onset frames are the same file, byte for byte.
    still
        Clips whose apex frame is the onset frame, byte for byte: they show no motion.
    resized
        Clips whose onset and apex frames differ in size.
    unreadable
        Frames that are missing or damaged.
    notes
        The importer's.
    """

    format: str
    clips: int
    subjects: int
    emotions: Mapping[str, int]
    apexes: Mapping[str, int]
    published: Published | None
    looked_at: int
    repeated: tuple[tuple[str, ...], ...]
    still: tuple[str, ...]
    resized: tuple[Resized, ...]
    unreadable: tuple[Problem, ...]
    notes: tuple[str, ...]

    def counts(self) -> list[tuple[str, int, tuple[int, ...]]]:
        """Name, count here, and published counts (none if unknown), for clips, subjects and every emotion."""
        known = self.published or Published((), (), {})
        rows = [("clips", self.clips, known.clips), ("subjects", self.subjects, known.subjects)]
        for emotion in sorted({*self.emotions, *known.emotions}):
            # Where the emotions are known, one that is not among them is published as none at all.
            published = known.emotions.get(emotion, (0,) if known.emotions else ())
            rows.append((emotion, self.emotions.get(emotion, 0), published))
        return rows

    def remarks(self) -> list[str]:
        """All but the counts, in words, a line each; an indented line belongs to the one above it."""
        apexes = ", ".join(f"{count} {source}" for source, count in self.apexes.items())
        lines = [f"apexes: {apexes}"]
        if self.looked_at:
            lines += [*self._on_frames()]
        else:
            lines.append("frames: none to look at")
        if self.notes:
            lines += [f"{_many(len(self.notes), 'note')} of the importer:", *_first(self.notes)]
        return lines

    def _on_frames(self) -> Iterable[str]:
        yield f"frames: looked at onset and apex of {_many(self.looked_at, 'clip')}"
        if not (self.repeated or self.still or self.resized or self.unreadable):
            yield "  all are readable, differ between clips, move from onset to apex, and keep their size"
        if self.unreadable:
            yield f"{_many(len(self.unreadable), 'frame')} missing or damaged; features cannot be computed:"
            yield from _first([str(problem) for problem in self.unreadable])
        if self.repeated:
            yield f"{_many(len(self.repeated), 'group')} of clips with the same onset frame; was a folder copied?"
            yield from _first([", ".join(_short(group)) for group in self.repeated])
        if self.still:
            yield f"{_many(len(self.still), 'clip')} with the same picture at onset and apex, so without motion:"
            yield from _first(self.still)
        if self.resized:
            yield f"{_many(len(self.resized), 'clip')} with onset and apex of different size; flow needs one size:"
            yield from _first([f"{pair.clip}: {_by(pair.onset)} and {_by(pair.apex)}" for pair in self.resized])

    def document(self) -> dict[str, Any]:
        """The findings as plain values, for JSON."""
        document = asdict(self)
        del document["published"]
        document["counts"] = [
            {"name": name, "here": here, "published": list(published)} for name, here, published in self.counts()
        ]
        return document


def examine(imported: Imported, format_: str, advance: Callable[[int], None] = lambda count: None) -> Findings:
    """Examine a dataset that was read but not written: its counts, and two frames of every clip.

    Parameters
    ----------
    imported
        What :func:`mer_data.formats.read_format` gave.
    format_
        The importer's name, for the published counts.
    advance
        Called with 1 after every clip.
    """
    clips = imported.clips
    listing = _Listing()
    by_onset: defaultdict[str, list[str]] = defaultdict(list)
    still: list[str] = []
    resized: list[Resized] = []
    unreadable: list[Problem] = []
    looked_at = 0
    for clip in clips:
        seen = {}
        for name, number in (("onset", clip.onset), ("apex", clip.apex)):
            if imported.frame_root is None or clip.frames is None or number is None:
                continue
            try:
                seen[name] = _look(listing.find(imported.frame_root, clip.frames, number))
            except BadInput as error:
                unreadable += [replace(problem, where=f"clip {clip.id}, {problem.where}") for problem in error.problems]
        looked_at += bool(seen)
        if "onset" in seen:
            by_onset[seen["onset"][0]].append(clip.id)
        if len(seen) == 2:
            (onset, onset_size), (apex, apex_size) = seen["onset"], seen["apex"]
            if onset == apex:
                still.append(clip.id)
            if onset_size != apex_size:
                resized.append(Resized(clip.id, onset_size, apex_size))
        advance(1)
    return Findings(
        format=format_,
        clips=len(clips),
        subjects=len({clip.subject for clip in clips}),
        emotions=dict(sorted(Counter(clip.emotion for clip in clips).items())),
        apexes=_apexes(clips),
        published=PUBLISHED.get(format_),
        looked_at=looked_at,
        repeated=tuple(tuple(group) for group in by_onset.values() if len(group) > 1),
        still=tuple(still),
        resized=tuple(resized),
        unreadable=tuple(unreadable),
        notes=imported.notes,
    )


def by_kind(problems: Sequence[Problem]) -> list[str]:
    """Problems in words, those of a kind together, the most frequent kind first, with a few examples of each.

    A kind is what is left of a problem's words without the numbers and quoted values in them.
    """
    kinds: defaultdict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        kinds[_VALUES.sub("...", problem.what)].append(problem)
    lines = []
    for kind, alike in sorted(kinds.items(), key=lambda item: -len(item[1])):
        if len(alike) == 1:
            lines.append(str(alike[0]))
        else:
            lines += [f"{len(alike)} times: {kind}", *_first([str(problem) for problem in alike], _SHOWN_OF_A_KIND)]
    return lines


class _Listing:
    """Frame files by number. The last folder's are kept, since the clips of a long video follow one another."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._frames: dict[int, Path] = {}

    def find(self, root: Path, relative: str, number: int) -> Path:
        folder = inside(root, relative)
        if folder != self._folder:
            self._frames = list_frames(folder, root)
            self._folder = folder
        return pick(self._frames, number, str(folder))


def _look(path: Path) -> tuple[str, Size]:
    """The digest of a frame's bytes, and its width and height."""
    try:
        data = frame_bytes(path)
    except OSError as error:
        raise BadInput(Problem(str(path), f"cannot be read: {error.strerror}", "restore it")) from error
    height, width = decode(data, str(path)).shape[:2]
    return digest_bytes(data), (width, height)


def _apexes(clips: Sequence[Clip]) -> dict[str, int]:
    counts = Counter(clip.apex_source or "none" for clip in clips)
    return {source: counts[source] for source in (*APEX_SOURCES, "none") if counts[source]}


def _first(lines: Sequence[str], shown: int = _SHOWN) -> list[str]:
    more = [f"  ... and {len(lines) - shown} more"] if len(lines) > shown else []
    return [f"  {line}" for line in lines[:shown]] + more


def _short(group: Sequence[str]) -> list[str]:
    more = [f"... ({len(group)} in all)"] if len(group) > _SHOWN_OF_A_KIND else []
    return [*group[:_SHOWN_OF_A_KIND], *more]


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _by(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
