"""Who plays what: planning the clips of a twin."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mer_data.problems import BadInput, Problem
from mer_data.synthetic import motion

Names = Callable[[np.random.Generator, str, str, int], str]


@dataclass(frozen=True)
class ClipTruth:
    """What was planted in one clip; an element of ``clips`` in ``truth.json``.

    Attributes
    ----------
    dataset, subject, name, emotion
        As they are after import: canonical, or the dataset's own class word.
    action_units
        As in the sheet; may be empty.
    onset, apex, offset
        True frame numbers, as the dataset counts them. The apex is right even where the sheet gives none.
    apex_in_sheet
        Whether the sheet gives the apex. If not, it is the middle frame.
    width, height
        Of the crop, in pixels.
    face
        Which face is drawn; every subject has one, counted from 1.
    bumps
        Gaussians that add up to the motion at the apex: centre x, y and radius x, y as shares of the crop,
        motion x, y in pixels at a width of 128.
    drift
        Motion x, y of the whole picture at the apex, in pixels at a width of 128; it grows with time.
    brightness
        Grey levels added at the apex.
    """

    dataset: str
    subject: str
    name: str
    emotion: str
    action_units: str
    onset: int
    apex: int
    offset: int
    apex_in_sheet: bool
    width: int
    height: int
    face: int
    bumps: Sequence[Sequence[float]]
    drift: Sequence[float]
    brightness: float

    @property
    def id(self) -> str:
        """The clip's id after import."""
        return f"{self.dataset}/{self.subject}/{self.name}"


@dataclass(frozen=True)
class Casting:
    """How many of what; the input of :func:`plan` and of :func:`plan_named`.

    Attributes
    ----------
    dataset
        Canonical name, the first part of the clips' ids.
    subjects
        Canonical names. Each has a face of its own and at least one clip.
    emotions
        Clips per emotion, see :func:`share_out`. A word that has no motion of its own moves like ``others``.
    names
        Gives a clip's name for the random state, the subject, the emotion and the clip's running number within
        the subject, from 1. It is asked again if the subject has that name already.
    first
        The least and the greatest frame number of an onset.
    length
        The least and the greatest distance from onset to offset in frames; at least 4.
    size
        Width and height of the smallest crop in pixels; the largest is 1.21 times as large.
    units
        Texts to choose from for each emotion; an emotion that is missing has none.
    without_apex
        Share of the clips whose sheet gives no apex; if it is not 0, there is at least one.
    """

    dataset: str
    subjects: Sequence[str]
    emotions: Mapping[str, int]
    names: Names
    first: tuple[int, int]
    length: tuple[int, int]
    size: tuple[int, int]
    units: Mapping[str, Sequence[str]]
    without_apex: float = 0.0


@dataclass(frozen=True)
class Profile:
    """What all twins of a dataset have in common, whatever their size.

    Attributes
    ----------
    dataset, names, first, units, without_apex
        As in :class:`Casting`.
    people
        Gives the canonical names of that many subjects.
    proportions, always
        Clips per emotion in the real dataset, and the emotions that even a small twin has; see :func:`share_out`.
    """

    dataset: str
    people: Callable[[int], Sequence[str]]
    proportions: Mapping[str, int]
    always: Sequence[str]
    names: Names
    first: tuple[int, int]
    units: Mapping[str, Sequence[str]]
    without_apex: float = 0.0

    def casting(self, subjects: int, clips: int, size: tuple[int, int], length: tuple[int, int]) -> Casting:
        """So many people and clips of this dataset; `size` and `length` are those of :class:`Casting`."""
        return Casting(
            dataset=self.dataset,
            subjects=self.people(max(subjects, 0)),
            emotions=share_out(self.proportions, clips, self.always),
            names=self.names,
            first=self.first,
            length=length,
            size=size,
            units=self.units,
            without_apex=self.without_apex,
        )


def numbered(pattern: str, first: int = 1, without: Collection[int] = ()) -> Callable[[int], list[str]]:
    """Name people by their numbers, from `first` on: ``numbered("sub{:02}")(2)`` is ``["sub01", "sub02"]``."""

    def people(many: int) -> list[str]:
        numbers = (number for number in itertools.count(first) if number not in without)
        return [pattern.format(number) for number in itertools.islice(numbers, many)]

    return people


def of_one_size(planned: Iterable[ClipTruth], size: tuple[int, int]) -> list[ClipTruth]:
    """Give all clips frames of one width and height."""
    return [replace(truth, width=size[0], height=size[1]) for truth in planned]


def shift(truth: ClipTruth, onset: int, *, name: str = "", like: ClipTruth | None = None) -> ClipTruth:
    """Let a clip begin at another frame; give it another name and frames like another clip's, if these are given."""
    by = onset - truth.onset
    moved = replace(truth, name=name or truth.name, onset=onset, apex=truth.apex + by, offset=truth.offset + by)
    return replace(moved, width=like.width, height=like.height) if like else moved


def share_out(proportions: Mapping[str, int], clips: int, always: Sequence[str]) -> dict[str, int]:
    """Share out `clips` by proportions, largest remainders first; words of `always` that have none yet before them."""
    exact = {word: max(clips, 0) * count / sum(proportions.values()) for word, count in proportions.items()}
    counts = {word: int(value) for word, value in exact.items()}
    first = sorted(exact, key=lambda word: (word not in always or counts[word] > 0, counts[word] - exact[word]))
    for word in first[: max(clips, 0) - sum(counts.values())]:
        counts[word] += 1
    return counts


def plan(casting: Casting, seed: int) -> list[ClipTruth]:
    """Draw what happens in every clip: by subject in the order given, then by name. Another seed, other clips.

    Raises
    ------
    BadInput
        If the numbers make no dataset.
    """
    clips, subjects = sum(casting.emotions.values()), len(casting.subjects)
    rng = _start(casting, clips, seed)
    emotions = iter(rng.permutation([word for word, count in casting.emotions.items() for _ in range(count)]).tolist())
    share = rng.dirichlet(np.full(subjects, 1.2))  # some subjects have many clips, some only one
    per_subject = 1 + rng.multinomial(clips - subjects, share)
    given = _apexes_in_sheet(casting, rng, clips)
    planned: list[ClipTruth] = []
    for face, (subject, count) in enumerate(zip(casting.subjects, per_subject.tolist(), strict=True), start=1):
        strength = _strength(rng)
        own: dict[str, ClipTruth] = {}
        for number in range(1, count + 1):
            emotion = next(emotions)
            name = _new_name(casting, rng, subject, emotion, number, own)
            own[name] = _plan_clip(casting, rng, subject, name, emotion, face, next(given), strength)
        planned += [own[name] for name in sorted(own)]
    return planned


def plan_named(casting: Casting, clips: Mapping[tuple[str, str], str], seed: int) -> list[ClipTruth]:
    """Draw what happens in clips whose subjects, names and emotions are known; otherwise as :func:`plan`.

    Parameters
    ----------
    casting
        Its ``emotions`` and ``names`` are not used.
    clips
        Subject and name to emotion, at least one clip for each of the casting's subjects.
    seed
        Another seed, other motions and intervals.

    Returns
    -------
    By subject in the casting's order, then by name.

    Raises
    ------
    BadInput
        If the numbers make no dataset.
    ValueError
        If the subjects of `clips` are not those of the casting.
    """
    if {subject for subject, _ in clips} != set(casting.subjects):
        raise ValueError(f"{casting.dataset}: the clips' subjects are not those of the casting")
    rng = _start(casting, len(clips), seed)
    given = _apexes_in_sheet(casting, rng, len(clips))
    planned: list[ClipTruth] = []
    for face, subject in enumerate(casting.subjects, start=1):
        strength = _strength(rng)
        for name in sorted(name for owner, name in clips if owner == subject):
            emotion = clips[subject, name]
            planned.append(_plan_clip(casting, rng, subject, name, emotion, face, next(given), strength))
    return planned


def _start(casting: Casting, clips: int, seed: int) -> np.random.Generator:
    """Refuse numbers that make no dataset, and give the dataset's random state."""
    subjects, (shortest, longest) = len(casting.subjects), casting.length
    if not 1 <= subjects <= clips or not 4 <= shortest <= longest or min(casting.size) < 32:
        what = f"{subjects} subjects, {clips} clips, {casting.length} frames, {casting.size} pixels cannot be drawn"
        raise BadInput(Problem(casting.dataset, what, "at least 1 subject, a clip each, 4 frames and 32 pixels"))
    return np.random.default_rng([seed, zlib.crc32(casting.dataset.encode())])


def _apexes_in_sheet(casting: Casting, rng: np.random.Generator, clips: int) -> Iterator[bool]:
    """Draw for each clip whether the sheet gives its apex."""
    unknown = max(1, round(clips * casting.without_apex)) if casting.without_apex else 0
    return iter((rng.permutation(clips) >= unknown).tolist())


def _strength(rng: np.random.Generator) -> float:
    """Draw how strongly a subject moves."""
    return rng.uniform(0.7, 1.3)


def _new_name(
    casting: Casting, rng: np.random.Generator, subject: str, emotion: str, number: int, taken: Mapping[str, ClipTruth]
) -> str:
    for _ in range(1000):
        name = casting.names(rng, subject, emotion, number)
        if name not in taken:
            return name
    raise ValueError(f"{casting.dataset}: no new name for clip {number} of {subject}, {emotion}")


def _plan_clip(
    casting: Casting,
    rng: np.random.Generator,
    subject: str,
    name: str,
    emotion: str,
    face: int,
    apex_in_sheet: bool,
    strength: float,
) -> ClipTruth:
    onset = int(rng.integers(casting.first[0], casting.first[1] + 1))
    duration = int(rng.integers(casting.length[0], casting.length[1] + 1))
    scale = rng.uniform(1.0, 1.21)
    return ClipTruth(
        dataset=casting.dataset,
        subject=subject,
        name=name,
        emotion=emotion,
        action_units=str(rng.choice(casting.units.get(emotion) or ("",))),
        onset=onset,
        apex=onset + (round(duration * rng.uniform(0.35, 0.65)) if apex_in_sheet else duration // 2),
        offset=onset + duration,
        apex_in_sheet=apex_in_sheet,
        width=round(casting.size[0] * scale),
        height=round(casting.size[1] * scale),
        face=face,
        bumps=motion.plan_bumps(rng, emotion, strength),
        drift=motion.plan_drift(rng),
        brightness=motion.plan_brightness(rng),
    )
