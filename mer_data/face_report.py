"""What the faces in whole pictures are like, clip by clip: missing, small, turned, several, or jumping."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mer_data.faces import mtcnn
from mer_data.faces.aligner import make_aligner
from mer_data.faces.alignment import ALIGNMENTS
from mer_data.faces.finder import find_face
from mer_data.frames import decode, frame_bytes, inside, list_frames, pick
from mer_data.imported import Imported
from mer_data.problems import BadInput, Problem
from mer_data.schema import Clip

TINY = 27  # pixels between the eyes: half of what an aligned frame has, so that it would be enlarged twice
TURNED = 20  # degrees
JUMP = 0.1  # of the distance between the eyes: mean over the five points, from onset to apex
_SHOWN = 10


@dataclass(frozen=True)
class FaceFindings:
    """What was found; each list names clips, with a number where there is one.

    Attributes
    ----------
    looked_at
        Clips whose onset frame was looked at.
    marked
        Clips whose points a sheet gives.
    missing
        Clips without a face in the onset frame, or with points that cannot be right, and why.
    tiny, turned, jumping, several
        Pixels between the eyes; degrees; how far the points are from onset to apex, in distances between the eyes;
        and how many faces there are.
    """

    looked_at: int
    marked: int
    missing: dict[str, str]
    tiny: dict[str, float]
    turned: dict[str, float]
    jumping: dict[str, float]
    several: dict[str, int]

    @property
    def faultless(self) -> bool:
        """Whether every clip can be aligned, and none is remarkable."""
        return not (self.missing or self.tiny or self.turned or self.jumping or self.several)

    def remarks(self) -> list[str]:
        """In words, a line each; an indented line belongs to the one above it."""
        by = f", {self.marked} of them marked in a sheet" if self.marked else ""
        lines = [f"faces: looked at the onset frames of {self.looked_at} clips{by}"]
        if self.faultless:
            return [*lines, "  every clip has one face, large enough, upright, and in place from onset to apex"]
        lines += _listed("without a face that can be aligned", self.missing)
        lines += _listed(
            f"with a face of less than {TINY} pixels between the eyes",
            {clip: f"{value:.0f} px" for clip, value in self.tiny.items()},
        )
        lines += _listed(
            f"with a face turned by more than {TURNED} degrees",
            {clip: f"{value:.0f} degrees" for clip, value in self.turned.items()},
        )
        lines += _listed(
            "whose points jump between onset and apex; alignment uses those of the onset for both",
            {clip: f"{100 * value:.0f} % of the distance between the eyes" for clip, value in self.jumping.items()},
        )
        lines += _listed(
            "with several faces; the largest is taken",
            {clip: f"{value} faces" for clip, value in self.several.items()},
        )
        return lines

    def document(self) -> dict[str, Any]:
        """The findings as plain values, for JSON."""
        return asdict(self)


def examine_faces(
    imported: Imported,
    marked: Mapping[str, Sequence[float]] | None = None,
    advance: Callable[[int], None] = lambda count: None,
) -> FaceFindings:
    """Look for the face in onset and apex of every clip.

    Parameters
    ----------
    imported
        What :func:`mer_data.formats.read_format` gave.
    marked
        Points of clips from a sheet, by clip id; the detector looks for the others.
    advance
        Called with 1 after every clip.

    Raises
    ------
    BadInput
        If there is no detector and a clip that is not marked.
    """
    marked = marked or {}
    clips = [clip for clip in imported.clips if clip.frames and imported.frame_root and clip.onset is not None]
    if mtcnn.installed() is None and (unmarked := [clip.id for clip in clips if clip.id not in marked]):
        what = f"no detector of faces is installed, and {len(unmarked)} clips are in no sheet of landmarks"
        raise BadInput(Problem(str(imported.source), what, 'pip install "mer-orchestrator[landmarks]"'))
    found = FaceFindings(len(clips), sum(clip.id in marked for clip in clips), {}, {}, {}, {}, {})
    for clip in clips:
        try:
            _look_at(clip, imported.frame_root or Path(), marked.get(clip.id), found)
        except BadInput as error:
            found.missing[clip.id] = error.problems[0].what
        advance(1)
    return found


def _look_at(clip: Clip, root: Path, marked: Sequence[float] | None, found: FaceFindings) -> None:
    """Add what is remarkable about one clip."""
    folder = inside(root, clip.frames or "")
    frames = list_frames(folder, root)

    def frame(number: int) -> npt.NDArray[np.uint8]:
        path = pick(frames, number, str(folder))
        return decode(frame_bytes(path), str(path))

    face = make_aligner(ALIGNMENTS["similarity"], frame(clip.onset or 0), marked, str(folder)).face
    if face.eye_distance < TINY:
        found.tiny[clip.id] = round(face.eye_distance, 1)
    if abs(face.turned) > TURNED:
        found.turned[clip.id] = round(face.turned, 1)
    if face.rivals:
        found.several[clip.id] = face.rivals + 1
    if marked is not None or clip.apex is None:
        return
    later = find_face(frame(clip.apex))
    moved = np.inf if later is None else float(np.linalg.norm(later.points - face.points, axis=1).mean())
    if moved > JUMP * face.eye_distance:
        found.jumping[clip.id] = round(min(moved / face.eye_distance, 9.99), 3)


def _listed(what: str, clips: Mapping[str, str]) -> list[str]:
    if not clips:
        return []
    many = "1 clip" if len(clips) == 1 else f"{len(clips)} clips"
    lines = [f"  {clip}: {told}" for clip, told in clips.items()]
    more = [f"  ... and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return [f"{many} {what}:", *lines[:_SHOWN], *more]
