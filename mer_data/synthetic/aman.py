"""The twin of AMAN's arrays: the trees of :mod:`mer_data.published.aman`, small, with their oddities.

::

    DEST/features/sub01/EP02_01f1/9/feature512.npy     DEST/images/sub01/EP02_01f/9/10.06.jpg

The maps are no network's: a pattern for each class, stronger towards the apex and with the factor, and noise.
Clips have different numbers of frames, which begin at 8 or 9, so that their order as text is wrong.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from mer_data.problems import BadInput, Problem
from mer_data.synthetic.casting import ClipTruth, of_one_size
from mer_data.synthetic.published import LABELS, picture, plan_published
from mer_data.synthetic.twin import Progress, counted, new_twin, random_state, write_image

_MAP = (256, 14, 14)


def make_aman(
    dest: Path,
    *,
    subjects: int = 12,
    clips: int = 48,
    seed: int = 0,
    frames: int = 3,
    factors: int = 2,
    size: tuple[int, int] = (48, 56),
    length: tuple[int, int] = (10, 16),
    progress: Progress | None = None,
) -> None:
    """Write a twin of AMAN's maps and magnified frames, and ``truth.json``; see :class:`~.twin.MakeTwin`.

    A clip takes about ``frames * factors * 0.2`` megabytes.

    Parameters
    ----------
    dest, seed, length, progress
        As in every twin.
    subjects, clips
        How many of the published list's, which has 68 and 442.
    frames
        The fewest frames of a clip; some clips have one or two more. AMAN's have about 11.
    factors
        How many magnifications, from 2.0 to 12.0. AMAN's have about 9.
    size
        Width and height of the magnified frames in pixels.

    Raises
    ------
    BadInput
        As every twin, or if there are no frames or factors.
    """
    if min(frames, factors) < 1:
        raise BadInput(Problem(str(dest), f"{frames} frames and {factors} factors", "at least one of each"))
    planned = of_one_size(plan_published(subjects, clips, seed, size, length), size)
    with new_twin(dest, "aman", planned, seed) as folder:
        for position, truth in enumerate(counted(planned, progress)):
            _write_clip(folder, truth, seed, frames + position % 3, factors, first=8 + position % 2)


def _write_clip(folder: Path, truth: ClipTruth, seed: int, frames: int, factors: int, first: int) -> None:
    label = LABELS[truth.emotion]
    pattern = random_state(seed, "pattern", truth.emotion).random(_MAP, np.float32)
    rng = random_state(seed, truth.id, "maps")
    sizes = np.linspace(2, 12, factors).round(2).tolist()
    for frame in range(frames):
        amount = (frame + 1) / frames
        maps = np.stack([_maps(rng, pattern * amount * factor / 12) for factor in sizes])
        path = folder / "features" / truth.subject / f"{truth.name}{label}" / str(first + frame) / "feature512.npy"
        path.parent.mkdir(parents=True)
        np.save(path, maps)
        for factor in sizes:
            image = folder / "images" / truth.subject / truth.name / str(first + frame) / f"{factor}.jpg"
            write_image(image, picture(truth, seed, amount * factor))


def _maps(rng: np.random.Generator, pattern: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Draw one map ``[256, 14, 14]``, not negative, as after a ReLU."""
    return np.maximum(pattern + 0.5 * rng.standard_normal(_MAP, np.float32), 0)
