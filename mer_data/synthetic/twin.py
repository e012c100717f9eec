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
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from mer_data.files import beside, read, write_json
from mer_data.problems import BadInput, Problem, did_you_mean
from mer_data.synthetic import faces, motion
from mer_data.synthetic.casting import ClipTruth
from mer_data.synthetic.motion import Field

Progress = Callable[[int, int], None]
FrameFile = Callable[[ClipTruth, int], str | None]
Files = Mapping[int, str | None]  # a clip's frames by number; None for one that the camera dropped
DrawClip = Callable[..., None]  # (folder, truth, files, *, seed, grey)


class MakeTwin(Protocol):
    """Writes a twin of a dataset in the layout of the real one, with ``truth.json``.

    The same arguments give the same bytes. The folder appears when it is complete.

    Parameters
    ----------
    dest
        A folder that does not exist or is empty.
    subjects, clips
        How many; every subject has at least one clip. The defaults are those of the real dataset, and so are the
        proportions of the emotions. From four clips on there are some of each of the three classes, where the dataset
        has them.
    seed
        Another seed draws other faces, motions and intervals.
    size
        Width and height of the smallest picture in pixels; the largest is 1.21 times as large, unless the dataset has
        one size only.
    length
        The least and the greatest distance from onset to offset in frames; at least 4.
    progress
        Called with the clips done and the clips in all.

    Raises
    ------
    BadInput
        If `dest` is in use, or the numbers make no dataset.
    """

    def __call__(
        self,
        dest: Path,
        *,
        subjects: int = ...,
        clips: int = ...,
        seed: int = 0,
        size: tuple[int, int] = ...,
        length: tuple[int, int] = ...,
        progress: Progress | None = None,
    ) -> None:
        """Write it; the class tells the parameters."""


TRUTH = "truth.json"
NOISE = 1.0  # standard deviation, in grey levels
_JPEG_QUALITY = 95


def draw_planned(
    dest: Path,
    planned: Sequence[ClipTruth],
    frame_file: FrameFile,
    write_rest: Callable[[Path], None],
    *,
    seed: int,
    before: int = 0,
    after: int = 0,
    grey: bool = False,
    progress: Progress | None = None,
    draw: DrawClip | None = None,
    told: Mapping[str, Any] | None = None,
) -> None:
    """Write a twin of planned clips: frames, ``truth.json``, and the rest.

    The same arguments give the same bytes. The folder appears when it is complete. Frames are drawn by worker
    processes that start afresh, so a script that calls this needs the usual ``if __name__ == "__main__":``.

    Parameters
    ----------
    dest
        A folder that does not exist or is empty.
    planned
        The clips of one dataset, at least one.
    frame_file
        Gives the path below `dest` of a clip's frame, or None for a frame that the camera dropped. Its suffix is the
        format: ``.jpg``, ``.bmp``, ``.png``.
    write_rest
        Writes all that is not frames into the folder it is given.
    seed
        Another seed draws other faces.
    before, after
        How many frames there are before the onset and after the offset; in them only the noise changes.
    grey
        Whether the images have one channel.
    progress
        Called with the clips done and the clips in all.
    draw
        Draws the frames of a clip; :func:`draw_crops` if None.
    told
        What else ``truth.json`` tells.

    Raises
    ------
    BadInput, ValueError
        If `dest` is in use; if frame numbers would be negative, or two frames one file.
    """
    refuse_in_use(dest)
    files = [_files_of(truth, frame_file, before, after) for truth in planned]
    _refuse_shared(files)
    with new_twin(dest, planned[0].dataset, planned, seed, told) as folder:
        write_rest(folder)
        draw_clip = partial(draw or draw_crops, folder, seed=seed, grey=grey)
        workers = min(os.cpu_count() or 1, 8, len(planned))
        context = multiprocessing.get_context("spawn")  # forking a process that has threads (OpenCV, Arrow) may hang
        with ProcessPoolExecutor(workers, context, cv2.setNumThreads, (1,)) as pool:
            for done, _ in enumerate(pool.map(draw_clip, planned, files), start=1):
                if progress:
                    progress(done, len(planned))


def counted(planned: Sequence[ClipTruth], progress: Progress | None) -> Iterator[ClipTruth]:
    """Give one clip after another, and tell `progress` each time that the caller is done with one."""
    for done, truth in enumerate(planned, start=1):
        yield truth
        if progress:
            progress(done, len(planned))


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


def refuse_in_use(dest: Path) -> None:
    """Refuse a place for a new twin that is taken.

    Raises
    ------
    BadInput
        If `dest` is a file, or a folder that is not empty.
    """
    if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
        raise BadInput(Problem(str(dest), "exists and is not empty", "name a new folder"))


@contextmanager
def new_twin(
    dest: Path, format_: str, planned: Sequence[ClipTruth], seed: int, told: Mapping[str, Any] | None = None
) -> Iterator[Path]:
    """Give a folder with ``truth.json`` that becomes `dest` when the body ends, and vanishes if the body raises.

    Raises
    ------
    BadInput
        If `dest` is in use.
    """
    refuse_in_use(dest)
    aside = beside(dest.absolute(), "new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        truth = {"format": format_, "seed": seed, "clips": [asdict(truth) for truth in planned], **(told or {})}
        write_json(aside / TRUTH, truth)
        yield aside
        aside.replace(dest)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _files_of(truth: ClipTruth, frame_file: FrameFile, before: int, after: int) -> Files:
    """Name the file of each of a clip's frames."""
    if truth.onset < before:
        raise ValueError(f"{truth.id}: no room for {before} frames before the onset")
    return {number: frame_file(truth, number) for number in range(truth.onset - before, truth.offset + after + 1)}


def _refuse_shared(files: Sequence[Files]) -> None:
    """Refuse what a dataset's module got wrong, before anything is drawn."""
    name, times = Counter(name for clip in files for name in clip.values() if name).most_common(1)[0]
    if times > 1:
        raise ValueError(f"{name}: {times} frames in one file")


def draw_crops(folder: Path, truth: ClipTruth, files: Files, *, seed: int, grey: bool) -> None:
    """Draw the frames of one clip, into the files given by their numbers. Runs in a worker process."""
    face = draw_face(truth, seed, grey=grey)
    grid = motion.grid(truth.width, truth.height)
    actions, drift = motion.bumps_at(truth.bumps, grid), motion.drift_of(truth.drift, truth.width)
    rng = random_state(seed, truth.id)
    for number, name in files.items():
        level, elapsed = when(truth, number)
        frame = warp(face, grid - level * actions - elapsed * drift)
        noise = NOISE * rng.standard_normal(face.shape[:2], np.float32) + level * truth.brightness
        if name:
            write_image(folder / name, to_pixels(frame + noise[..., None]))


def when(truth: ClipTruth, number: int) -> tuple[float, float]:
    """How much of the actions there is in a frame, and of the drift, which grows with time; 1 at the apex."""
    level = motion.level(truth.onset, truth.apex, truth.offset, number)
    elapsed = (min(max(number, truth.onset), truth.offset) - truth.onset) / (truth.apex - truth.onset)
    return level, elapsed


def random_state(seed: int, *key: object) -> np.random.Generator:
    """A random state of its own for each seed and key."""
    return np.random.default_rng([seed, zlib.crc32(repr(key).encode())])


def draw_face(truth: ClipTruth, seed: int, *, grey: bool) -> npt.NDArray[np.float32]:
    """Draw the face of a clip at rest, float32 ``[H, W, 3]`` (BGR) or ``[H, W, 1]``, grey levels."""
    face = faces.face(random_state(seed, truth.dataset, truth.face), truth.width, truth.height)
    return np.asarray(cv2.cvtColor(face, cv2.COLOR_BGR2GRAY)[..., None], np.float32) if grey else face


def warp(face: npt.NDArray[np.float32], source: Field) -> npt.NDArray[np.float32]:
    """Look up pixels of a picture ``[H, W, C]`` at the places in `source`, ``[2, h, w]``: x and y in pixels."""
    warped = cv2.remap(face, source[0], source[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    # OpenCV drops the axis of a single channel.
    return np.asarray(warped, np.float32).reshape(*source.shape[1:], face.shape[2])


def to_pixels(levels: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Round grey levels to uint8."""
    return np.rint(np.clip(levels, 0, 255)).astype(np.uint8)


def write_image(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    """Write uint8 ``[H, W, C]`` in the format of the file's suffix; folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if path.suffix == ".jpg" else []
    path.write_bytes(cv2.imencode(path.suffix, pixels, options)[1].tobytes())
