"""The twins of SMIC's three cameras: names and proportions of :mod:`mer_data.datasets.smic`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import count, islice
from pathlib import Path

import numpy as np

from mer_data.synthetic.twin import Casting, ClipTruth, Progress, draw, plan, share_out

# Clips per emotion among the 164 of HS, and among the 71 of VIS and of NIR.
PROPORTIONS = {"negative": 70, "positive": 51, "surprise": 43}
PROPORTIONS_SLOW = {"negative": 23, "positive": 28, "surprise": 20}
_CODES = {"negative": "ne", "positive": "po", "surprise": "sur"}
_WITHOUT = frozenset({7, 10, 16, 17})  # numbers of people without a micro-expression
_STARTS = (70_000, 550_000, 1_030_000, 17_580_000)  # numbers of five (padded to six) to eight digits, by subject
_GAP_EVERY = 20  # one clip in so many lacks a frame


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
    """Write a twin of SMIC-HS: cropped frames and ``truth.json``, no sheet; see :func:`mer_data.synthetic.twin.draw`.

    Planted: subjects and clips without the zero (``s1``, ``s1_ne_01``), ``.bmp``, frame numbers of six to eight
    digits, a clip in twenty without its last frame but one, folders ``non_micro`` and ``Thumbs.db``.

    Parameters
    ----------
    dest
        A folder that does not exist or is empty.
    subjects, clips
        How many; every subject has at least one clip. Emotions have SMIC's proportions.
    seed
        Another seed draws other faces, motions and intervals.
    size
        Width and height of the smallest crop in pixels; the largest is 1.21 times as large.
    length
        The least and the greatest distance from onset to offset in frames; at least 4.
    progress
        Called with the clips done and the clips in all.

    Raises
    ------
    BadInput
        If `dest` is in use, or the numbers make no dataset.
    """
    cast = casting("smic", 1, subjects, share_out(PROPORTIONS, clips, tuple(PROPORTIONS)), size, length)
    write(dest, "HS", plan(cast, seed), seed=seed, progress=progress)


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
    cast = casting("smic_vis", 11, subjects, share_out(PROPORTIONS_SLOW, clips, tuple(_CODES)), size, length)
    write(dest, "VIS", plan(cast, seed), seed=seed, progress=progress)


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
    cast = casting("smic_nir", 11, subjects, share_out(PROPORTIONS_SLOW, clips, tuple(_CODES)), size, length)
    write(dest, "NIR", plan(cast, seed), seed=seed, progress=progress)


def casting(
    dataset: str, first: int, subjects: int, emotions: dict[str, int], size: tuple[int, int], length: tuple[int, int]
) -> Casting:
    """SMIC's people and names; `first` is the least number of a person."""
    numbers = islice((number for number in count(first) if number not in _WITHOUT), max(subjects, 0))
    return Casting(
        dataset=dataset,
        subjects=[f"s{number:02}" for number in numbers],
        emotions=emotions,
        names=_Names(),
        first=(0, 29_999),
        length=length,
        size=size,
        units={},
        without_apex=1.0,
    )


class _Names:
    """Counts the clips of a subject by emotion, from 1."""

    def __init__(self) -> None:
        self._given: Counter[tuple[str, str]] = Counter()

    def __call__(self, rng: np.random.Generator, subject: str, emotion: str, number: int) -> str:
        self._given[subject, emotion] += 1
        return f"{subject}_{_CODES[emotion]}_{self._given[subject, emotion]:02}"


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
    planned = _renumbered(planned)
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


def _renumbered(planned: Sequence[ClipTruth]) -> list[ClipTruth]:
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
