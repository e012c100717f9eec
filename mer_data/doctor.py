"""What is missing, odd or duplicated in a dataset's tree, in words; nothing is written."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mer_data.editions import Edition, Published, published_counts
from mer_data.frames import decode, frame_bytes, gap, inside, list_frames, pick
from mer_data.hashing import digest_bytes
from mer_data.imported import Imported
from mer_data.problems import BadInput, Problem, kind_of, summed_up
from mer_data.schema import APEX_SOURCES, Clip

_SHOWN = 10
_SHOWN_OF_A_KIND = 3

Size = tuple[int, int]


@dataclass(frozen=True)
class Resized:
    """A clip whose frames differ in size: that of the onset, another one, and how many differ from the onset.

    Sizes are (width, height).
    """

    clip: str
    onset: Size
    other: Size
    frames: int


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
    edition
        Which edition of the dataset it is.
    published
        What the dataset should have, or None if nothing is known.
    looked_at, frames
        Clips of which frames were read, all from onset to offset, and how many frames. The other clips have none.
    repeated
        Groups of clips whose onset frames are the same file, byte for byte.
    still
        Clips whose apex frame is the onset frame, byte for byte: they show no motion.
    resized
        Clips whose frames differ in size.
    gaps
        Clips of which frames between onset and offset are missing, in words.
    unreadable
        Frames that are missing or damaged.
    notes, left_out
        The importer's; the first so many name each a clip that was left out.
    """

    format: str
    clips: int
    subjects: int
    emotions: Mapping[str, int]
    apexes: Mapping[str, int]
    edition: Edition | None
    published: Published | None
    looked_at: int
    frames: int
    repeated: tuple[tuple[str, ...], ...]
    still: tuple[str, ...]
    resized: tuple[Resized, ...]
    gaps: tuple[str, ...]
    unreadable: tuple[Problem, ...]
    notes: tuple[str, ...]
    left_out: int

    def counts(self) -> list[tuple[str, int, tuple[int, ...]]]:
        """Name, count here, and published counts (none if unknown), for rows, clips, subjects and every emotion."""
        known = self.published or Published((), (), {})
        listed = self.edition.rows if self.edition else self.clips
        rows = [("clips", self.clips, known.rows)]
        if listed < self.clips + self.left_out:  # several clips in a row, whose number is not published
            rows = [("rows", listed, known.rows), ("clips", self.clips, ())]
        rows.append(("subjects", self.subjects, known.subjects))
        for emotion in sorted({*self.emotions, *known.emotions}):
            # Where the emotions are known, one that is not among them is published as none at all.
            published = known.emotions.get(emotion, (0,) if known.emotions else ())
            rows.append((emotion, self.emotions.get(emotion, 0), published))
        return rows

    def remarks(self) -> list[str]:
        """All but the counts, in words, a line each; an indented line belongs to the one above it."""
        apexes = ", ".join(f"{count} {source}" for source, count in self.apexes.items())
        lines = [*([str(self.edition)] if self.edition else []), f"apexes: {apexes}"]
        if self.looked_at:
            lines += [*self._on_frames()]
        else:
            lines.append("frames: none to look at")
        if self.notes:
            lines += [f"{_many(len(self.notes), 'note')} of the importer:"]
            lines += [f"  {note}" for note in self.notes[: self.left_out]]
            lines += _first(summed_up(self.notes[self.left_out :]))
        return lines

    def _on_frames(self) -> Iterable[str]:
        clips = _many(self.looked_at, "clip")
        yield f"frames: looked at {_many(self.frames, 'frame')} of {clips}, all from onset to offset"
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
            yield f"{_many(len(self.resized), 'clip')} with frames of different size; features need one size:"
            told = (f"{one.clip}: {_by(one.onset)}, {one.frames} are {_by(one.other)}" for one in self.resized)
            yield from _first([*told])
        if self.gaps:
            yield f"{_many(len(self.gaps), 'clip')} with frames missing; features take the others:"
            yield from _first(self.gaps)

    def document(self) -> dict[str, Any]:
        """The findings as plain values, for JSON."""
        document = asdict(self)
        del document["published"]
        document["counts"] = [
            {"name": name, "here": here, "published": list(published)} for name, here, published in self.counts()
        ]
        return document


def examine(imported: Imported, format_: str, advance: Callable[[int], None] = lambda count: None) -> Findings:
    """Examine a dataset that was read but not written: its counts, and every clip's frames from onset to offset.

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
    gaps: list[str] = []
    unreadable: list[Problem] = []
    looked_at = frames = 0
    for clip in clips:
        seen, problems, missing = _look_at(clip, imported.frame_root, listing)
        unreadable += [replace(problem, where=f"clip {clip.id}, {problem.where}") for problem in problems]
        gaps += [f"{clip.id}: {missing}"] if missing else []
        looked_at += bool(seen)
        frames += len(seen)
        if clip.onset in seen:
            digest, size = seen[clip.onset]
            by_onset[digest].append(clip.id)
            if clip.apex in seen and seen[clip.apex][0] == digest:
                still.append(clip.id)
            if others := [of for _, of in seen.values() if of != size]:
                resized.append(Resized(clip.id, size, others[0], len(others)))
        advance(1)
    return Findings(
        format=format_,
        clips=len(clips),
        subjects=len({clip.subject for clip in clips}),
        emotions=dict(sorted(Counter(clip.emotion for clip in clips).items())),
        apexes=_apexes(clips),
        edition=imported.edition,
        published=published_counts(format_),
        looked_at=looked_at,
        frames=frames,
        repeated=tuple(tuple(group) for group in by_onset.values() if len(group) > 1),
        still=tuple(still),
        resized=tuple(resized),
        gaps=tuple(gaps),
        unreadable=tuple(unreadable),
        notes=imported.notes,
        left_out=imported.left_out,
    )


def by_kind(problems: Sequence[Problem]) -> list[str]:
    """Problems in words, those of a kind together, the most frequent kind first, with a few examples of each.

    A kind is what is left of a problem's words without the numbers and quoted values in them.
    """
    kinds: defaultdict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        kinds[kind_of(problem.what)].append(problem)
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

    def frames(self, root: Path, relative: str) -> dict[int, Path]:
        folder = inside(root, relative)
        if folder != self._folder:
            self._frames = list_frames(folder, root)
            self._folder = folder
        return self._frames


def _look_at(
    clip: Clip, root: Path | None, listing: _Listing
) -> tuple[dict[int | None, tuple[str, Size]], list[Problem], str]:
    """Look at the frames that features may read: what each shows by its number, what is wrong, and what is missing."""
    seen: dict[int | None, tuple[str, Size]] = {}
    if root is None or clip.frames is None:
        return seen, [], ""
    problems: list[Problem] = []
    numbers, missing = {number for number in (clip.onset, clip.apex) if number is not None}, ""
    try:
        here = listing.frames(root, clip.frames)
        if clip.onset is not None and clip.offset is not None:
            numbers |= {number for number in here if clip.onset <= number <= clip.offset}
            missing = gap(here, clip.onset, clip.offset)
    except BadInput as error:
        return seen, list(error.problems), ""
    for number in sorted(numbers):
        try:
            seen[number] = _look(pick(here, number, str(root / clip.frames)))
        except BadInput as error:
            problems += error.problems
    return seen, problems, missing


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
