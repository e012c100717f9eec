"""The clip table: one row per annotated micro-expression, with its validation and its Arrow form."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

import pyarrow as pa

from mer_data.problems import Problem

# What a variant may take for apexes, and what may be done to frames (`mer_data.variants`, `mer_data.faces.alignment`).
ApexChoice = Literal["annotated", "midpoint", "spotted"]
ALIGNMENT_NAMES = ("none", "box", "similarity", "stabilised")
APEX_SOURCES = ("annotated", "midpoint", "spotted", "limited", "corrected")

SCHEMA = pa.schema(
    [
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("subject", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("emotion", pa.string(), nullable=False),
        pa.field("onset", pa.int32()),
        pa.field("apex", pa.int32()),
        pa.field("offset", pa.int32()),
        pa.field("apex_source", pa.string()),
        pa.field("action_units", pa.string()),
        pa.field("fps", pa.float32()),
        pa.field("frames", pa.string()),
        pa.field("face", pa.list_(pa.int32(), 4)),
        pa.field("landmarks", pa.list_(pa.float32(), 10)),
    ]
)


@dataclass(frozen=True, slots=True)
class Clip:
    """One annotated micro-expression.

    Attributes
    ----------
    dataset
        The source dataset, for instance ``casme2``. A composite keeps each clip's own source.
    subject
        The person, always qualified by the dataset (``casme2/sub01``), since datasets reuse numbers.
    name
        The clip's own name, unique for the subject.
    emotion
        The dataset's word for the emotion in lower case; a class scheme turns it into a class.
    onset, apex, offset
        Frame numbers as the dataset counts them, inclusive; None where the source has none.
    apex_source
        One of ``APEX_SOURCES``; None exactly if there is no apex. ``limited``: midpoint or spotted, in an interval
        longer than a micro-expression, no later than its dataset's definition lets an apex lie.
    action_units
        The sheet's own text, for instance ``R1+L2``.
    fps
        Frames per second of the recording.
    frames
        The folder that holds the frames, relative to the dataset's frame root, with forward slashes.
    face
        Left, top, width and height of the box that every frame of the clip is cropped to, in pixels; None if the
        frames are used as they are.
    landmarks
        x and y of left eye, right eye, nose, left and right corner of the mouth, as seen in the picture, in pixels of
        the uncropped frame.
    """

    dataset: str
    subject: str
    name: str
    emotion: str
    onset: int | None = None
    apex: int | None = None
    offset: int | None = None
    apex_source: str | None = None
    action_units: str | None = None
    fps: float | None = None
    frames: str | None = None
    face: tuple[int, int, int, int] | None = None
    landmarks: tuple[float, ...] | None = None

    @property
    def id(self) -> str:
        """The clip's identity everywhere: ``dataset/subject/name``."""
        return f"{self.subject}/{self.name}"


def to_table(clips: Sequence[Clip]) -> pa.Table:
    """Clips as an Arrow table with schema :data:`SCHEMA`."""
    return pa.Table.from_pylist([asdict(clip) for clip in clips], schema=SCHEMA)


def from_table(table: pa.Table) -> tuple[Clip, ...]:
    """Clips from an Arrow table written by :func:`to_table`."""
    return tuple(_clip(row) for row in table.cast(SCHEMA).to_pylist())


def _clip(row: dict[str, Any]) -> Clip:
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in row.items()}
    return Clip(**values)


def find_problems(clips: Iterable[Clip], where: str) -> list[Problem]:
    """All that makes a list of clips unusable.

    Checked: qualified subjects, plain names, no clip twice, onset < apex <= offset where given, and an apex
    source exactly where there is an apex.

    Parameters
    ----------
    clips
        The clips in the order of their source.
    where
        The file to name in the messages.
    """
    clips = list(clips)
    problems = [] if clips else [Problem(where, "no clips")]
    for clip in clips:
        at = f"{where}, clip {clip.id}"
        for field in ("dataset", "name", "emotion"):
            if not _is_plain(getattr(clip, field)):
                problems.append(Problem(at, f"{field} {getattr(clip, field)!r} is not a plain name"))
        person = clip.subject.removeprefix(f"{clip.dataset}/")
        if person == clip.subject or not _is_plain(person):
            problems.append(Problem(at, f"subject {clip.subject!r} is not of the form {clip.dataset}/NAME"))
        if clip.fps is not None and not 0 < clip.fps < math.inf:
            problems.append(Problem(at, f"{clip.fps} frames per second"))
        if clip.face is not None and (min(clip.face) < 0 or min(clip.face[2:]) < 1):
            problems.append(Problem(at, f"face box {clip.face} is not left, top, width, height"))
        if clip.landmarks is not None and not (len(clip.landmarks) == 10 and all(map(math.isfinite, clip.landmarks))):
            problems.append(Problem(at, "landmarks are not five points x, y"))
        problems += _frame_problems(clip, at)
    for clip_id, count in Counter(clip.id for clip in clips).items():
        if count > 1:
            problems.append(Problem(f"{where}, clip {clip_id}", f"listed {count} times", "keep one row per clip"))
    return problems


def _is_plain(name: str) -> bool:
    """Whether a text can be part of an id and of a file name."""
    return bool(name) and name.isprintable() and "/" not in name and name not in (".", "..")


def _frame_problems(clip: Clip, at: str) -> list[Problem]:
    problems = []
    order = [(name, getattr(clip, name)) for name in ("onset", "apex", "offset")]
    given = [(name, value) for name, value in order if value is not None]
    for name, value in given:
        if not 0 <= value < 2**31:
            problems.append(Problem(at, f"{name} {value} is not a frame number"))
    for (before, low), (after, high) in pairwise(given):
        # The apex may be the last frame, but an apex equal to the onset means "no motion": it is a missing apex.
        if low > high or (low == high and before == "onset"):
            problems.append(Problem(at, f"{before} {low} is not before {after} {high}"))
    if (clip.apex is None) != (clip.apex_source is None):
        problems.append(Problem(at, "apex and apex_source must be given together"))
    elif clip.apex_source is not None and clip.apex_source not in APEX_SOURCES:
        problems.append(Problem(at, f"apex source {clip.apex_source!r} is not one of {', '.join(APEX_SOURCES)}"))
    return problems
