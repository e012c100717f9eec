"""The twins of SMIC's three cameras: names and proportions of :mod:`mer_data.datasets.smic`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from mer_data.synthetic.twin import ClipTruth, Profile, Progress, draw, numbered, plan

# Clips per emotion among the 164 of HS, and among the 71 of VIS and of NIR.
PROPORTIONS = {"negative": 70, "positive": 51, "surprise": 43}
PROPORTIONS_SLOW = {"negative": 23, "positive": 28, "surprise": 20}
_CODES = {"negative": "ne", "positive": "po", "surprise": "sur"}
_WITHOUT = frozenset({7, 10, 16, 17})  # numbers of people without a micro-expression
_STARTS = (70_000, 550_000, 1_030_000, 17_580_000)  # numbers of five (padded to six) to eight digits, by subject
_GAP_EVERY = 20  # one clip in so many lacks a frame


def _name(_: np.random.Generator, subject: str, emotion: str, number: int) -> str:
    """Name a clip for now; see :func:`named_by_emotion`."""
    return f"{subject}_{_CODES[emotion]}_{number:04}"


PROFILE = Profile(
    dataset="smic",
    people=numbered("s{:02}", without=_WITHOUT),
    proportions=PROPORTIONS,
    always=tuple(_CODES),
    names=_name,
    first=(0, 29_999),
    units={},
    without_apex=1.0,
)
# The slow cameras were only there for the last ten people.
PROFILE_VIS = replace(
    PROFILE, dataset="smic_vis", people=numbered("s{:02}", first=11, without=_WITHOUT), proportions=PROPORTIONS_SLOW
)
PROFILE_NIR = replace(PROFILE_VIS, dataset="smic_nir")


def make_smic(
    dest: Path,
    *,
    subjects: int = 16,
    clips: int = 164,
    seed: int = 0,
    size: tuple[int, int] = (140, 170),
    length: tuple[int, int] = (10, 57),
    progress: Progress | None = None,
) -> None:
    """Write a twin of SMIC-HS: cropped frames and ``truth.json``, no sheet; see :class:`~.twin.MakeTwin`.

    Planted: subjects and clips without the zero (``s1``, ``s1_ne_01``), ``.bmp``, frame numbers of six to eight
    digits, a clip in twenty without its last frame but one, folders ``non_micro`` and ``Thumbs.db``.
    """
    write(dest, "HS", _plan(PROFILE, subjects, clips, size, length, seed), seed=seed, progress=progress)


def make_smic_vis(
    dest: Path,
    *,
    subjects: int = 8,
    clips: int = 71,
    seed: int = 0,
    size: tuple[int, int] = (140, 170),
    length: tuple[int, int] = (4, 14),
    progress: Progress | None = None,
) -> None:
    """Write a twin of SMIC-VIS, whose subjects begin with ``s11``; otherwise as :func:`make_smic`."""
    write(dest, "VIS", _plan(PROFILE_VIS, subjects, clips, size, length, seed), seed=seed, progress=progress)


def make_smic_nir(
    dest: Path,
    *,
    subjects: int = 8,
    clips: int = 71,
    seed: int = 0,
    size: tuple[int, int] = (140, 170),
    length: tuple[int, int] = (4, 14),
    progress: Progress | None = None,
) -> None:
    """Write a twin of SMIC-NIR, grey; otherwise as :func:`make_smic_vis`."""
    write(dest, "NIR", _plan(PROFILE_NIR, subjects, clips, size, length, seed), seed=seed, progress=progress)


def _plan(
    profile: Profile, subjects: int, clips: int, size: tuple[int, int], length: tuple[int, int], seed: int
) -> list[ClipTruth]:
    return named_by_emotion(plan(profile.casting(subjects, clips, size, length), seed))


def named_by_emotion(planned: Sequence[ClipTruth]) -> list[ClipTruth]:
    """Count the clips of a subject by emotion, from 1, as their names do."""
    given: Counter[tuple[str, str]] = Counter()
    named = []
    for truth in planned:
        given[truth.subject, truth.emotion] += 1
        count = given[truth.subject, truth.emotion]
        named.append(replace(truth, name=f"{truth.subject}_{_CODES[truth.emotion]}_{count:02}"))
    return named


def write(
    dest: Path, camera: str, planned: Sequence[ClipTruth], *, seed: int, progress: Progress | None = None
) -> None:
    """Write planned clips as one camera of SMIC; see :func:`mer_data.synthetic.twin.draw`.

    Parameters
    ----------
    dest
        A folder that does not exist or is empty.
    camera
        ``HS``, ``VIS`` or ``NIR``.
    planned
        Numbered from 0 or little more; each subject's recording gets a beginning of its own.
    seed
        Another seed draws other faces.
    progress
        Called with the clips done and the clips in all.
    """
    planned = renumbered(planned)
    gaps = frozenset(truth.id for truth in planned[::_GAP_EVERY])
    frame_file = partial(_frame_file, camera, gaps)
    draw(
        dest,
        planned,
        frame_file,
        partial(_write_rest, camera, planned),
        seed=seed,
        grey=camera == "NIR",
        progress=progress,
    )


def renumbered(planned: Sequence[ClipTruth]) -> list[ClipTruth]:
    """Let each subject's recording begin at a number of its own."""
    moved = []
    for truth in planned:
        start = _STARTS[truth.face % len(_STARTS)]
        numbers = {name: getattr(truth, name) + start for name in ("onset", "apex", "offset")}
        moved.append(replace(truth, **numbers))
    return moved


def _plain(name: str) -> str:
    """Take the zero out, as in the folders: ``s01_ne_01`` -> ``s1_ne_01``."""
    return f"s{name[1:].lstrip('0')}"


def _frame_file(camera: str, gaps: frozenset[str], truth: ClipTruth, number: int) -> str:
    home = f"SMIC_all_cropped/{camera}/{_plain(truth.subject)}"
    if truth.id in gaps and number == truth.offset - 1:  # never the onset, the middle frame or the offset
        return f"{home}/non_micro/{_plain(truth.name)}/reg_image{number:06}.bmp"
    return f"{home}/micro/{truth.emotion}/{_plain(truth.name)}/reg_image{number:06}.bmp"


def _write_rest(camera: str, planned: Sequence[ClipTruth], folder: Path) -> None:
    tree = folder / "SMIC_all_cropped" / camera
    for subject in {_plain(truth.subject) for truth in planned}:
        (tree / subject / "non_micro").mkdir(parents=True)
        (tree / subject / "non_micro" / "Thumbs.db").touch()
    stray = tree / _plain(planned[0].subject) / "micro" / planned[0].emotion / _plain(planned[0].name) / "Thumbs.db"
    stray.parent.mkdir(parents=True)
    stray.touch()
