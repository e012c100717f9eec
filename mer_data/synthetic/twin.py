"""What the twins of all datasets share: planning the clips, drawing the frames, and the record of what was planted.

Every clip is one still picture, warped. Between onset and offset the actions rise and fall. Noise, a change of
brightness and the compression of the image files come on top.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mer_data.files import beside, read, write_json
from mer_data.problems import BadInput, Problem, did_you_mean
from mer_data.synthetic import faces, motion
from mer_data.synthetic.casting import Casting, ClipTruth, plan, share_out
from mer_data.synthetic.motion import Field

__all__ = (
    "TRUTH", "Casting", "ClipTruth", "Field", "FrameFile", "Progress",
    "draw", "plan", "planted_flow", "read_truth", "share_out",
)  # fmt: skip

Progress = Callable[[int, int], None]
FrameFile = Callable[[ClipTruth, int], str]

TRUTH = "truth.json"
_NOISE = 1.0  # standard deviation, in grey levels
_JPEG_QUALITY = 95


def draw(
    dest: Path,
    plan: Sequence[ClipTruth],
    frame_file: FrameFile,
    write_sheets: Callable[[Path], None],
    *,
    seed: int,
    before: int = 0,
    after: int = 0,
    grey: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write a twin: sheets, frames, and ``truth.json``.

    The same arguments give the same bytes. The folder appears when it is complete. Frames are drawn by worker
    processes that start afresh, so a script that calls this needs the usual ``if __name__ == "__main__":``.

    Parameters
    ----------
    dest
        A folder that does not exist or is empty.
    plan
        The clips of one dataset, at least one.
    frame_file
        Gives the path below `dest` of a clip's frame. Its suffix is the format: ``.jpg``, ``.bmp``, ``.png``. It is
        sent to the workers: a function of a module, or a :func:`functools.partial` of one.
    write_sheets
        Writes all that is not frames into the folder it is given.
    seed
        Another seed draws other faces.
    before, after
        How many frames there are before the onset and after the offset; in them only the noise changes.
    grey
        Whether the images have one channel.
    progress
        Called with the clips done and the clips in all.

    Raises
    ------
    BadInput
        If `dest` is in use.
    ValueError
        If frame numbers would be negative, or two frames would be one file.
    """
    if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
        raise BadInput(Problem(str(dest), "exists and is not empty", "name a new folder"))
    _check(plan, frame_file, before, after)
    with _appearing(dest) as folder:
        document = {"format": plan[0].dataset, "seed": seed, "clips": [asdict(truth) for truth in plan]}
        write_json(folder / TRUTH, document)
        write_sheets(folder)
        draw_clip = partial(_draw_clip, folder, frame_file, seed=seed, before=before, after=after, grey=grey)
        workers = min(os.cpu_count() or 1, 8, len(plan))
        # Fresh processes instead of forked ones: forking a process that has threads (OpenCV, Arrow) may hang.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, cv2.setNumThreads, (1,)) as pool:
            for done, _ in enumerate(pool.map(draw_clip, plan), start=1):
                if progress:
                    progress(done, len(plan))


def read_truth(dest: Path) -> dict[str, ClipTruth]:
    """Read what was planted in a twin, by clip id.

    Raises
    ------
    BadInput
        If the folder is no twin, or one of another version.
    """
    path = dest / TRUTH
    truths: list[ClipTruth] = read(
        path,
        lambda: [ClipTruth(**clip) for clip in json.loads(path.read_text(encoding="utf-8"))["clips"]],
        "make the twin again with `mer data make`",
    )
    return {truth.id: truth for truth in truths}


def planted_flow(dest: Path, clip_id: str) -> Field:
    """Compute the true flow from onset to apex of a clip of a twin.

    Returns
    -------
    float32 ``[2, H, W]``: u and v in pixels, ``onset(x, y) = apex(x + u, y + v)``.

    Raises
    ------
    BadInput
        If the folder is no twin, or has no such clip.
    """
    truths = read_truth(dest)
    if clip_id not in truths:
        raise BadInput(Problem(str(dest), f"no clip {clip_id!r}", did_you_mean(clip_id, truths)))
    truth = truths[clip_id]
    return motion.flow(truth.bumps, truth.drift, truth.width, truth.height)


@contextmanager
def _appearing(dest: Path) -> Iterator[Path]:
    """Give a folder beside `dest` that becomes `dest` when the body ends, and vanishes if the body raises."""
    aside = beside(dest.absolute(), "new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
        aside.replace(dest)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _check(plan: Sequence[ClipTruth], frame_file: FrameFile, before: int, after: int) -> None:
    """Refuse what a dataset's module got wrong, before anything is drawn."""
    early = [truth.id for truth in plan if truth.onset < before]
    if early:
        raise ValueError(f"{early[0]}: no room for {before} frames before the onset")
    files = Counter(frame_file(truth, number) for truth in plan for number in _numbers(truth, before, after))
    name, times = files.most_common(1)[0]
    if times > 1:
        raise ValueError(f"{name}: {times} frames in one file")


def _numbers(truth: ClipTruth, before: int, after: int) -> range:
    return range(truth.onset - before, truth.offset + after + 1)


def _draw_clip(
    folder: Path, frame_file: FrameFile, truth: ClipTruth, *, seed: int, before: int, after: int, grey: bool
) -> None:
    """Draw the frames of one clip. Runs in a worker process."""
    face = faces.face(_random(seed, truth.dataset, truth.face), truth.width, truth.height)
    if grey:
        face = np.asarray(cv2.cvtColor(face, cv2.COLOR_BGR2GRAY)[..., None], np.float32)
    grid = motion.grid(truth.width, truth.height)
    actions, drift = motion.bumps_at(truth.bumps, grid), motion.drift_of(truth.drift, truth.width)
    rng = _random(seed, truth.id)
    for number in _numbers(truth, before, after):
        level = motion.level(truth.onset, truth.apex, truth.offset, number)
        elapsed = (min(max(number, truth.onset), truth.offset) - truth.onset) / (truth.apex - truth.onset)
        source = grid - level * actions - elapsed * drift
        frame = cv2.remap(face, source[0], source[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        noise = _NOISE * rng.standard_normal(face.shape[:2], np.float32) + level * truth.brightness
        frame = frame.reshape(face.shape) + noise[..., None]  # OpenCV drops the axis of a single channel
        _write(folder / frame_file(truth, number), np.rint(np.clip(frame, 0, 255)).astype(np.uint8))


def _random(seed: int, *key: object) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(repr(key).encode())])


def _write(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if path.suffix == ".jpg" else []
    path.write_bytes(cv2.imencode(path.suffix, pixels, options)[1].tobytes())
