"""Actors that compute features: a subject's missing shards together, so that frames and flow are shared."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mer_data.faces.aligner import Aligner, make_aligner
from mer_data.faces.alignment import NONE, AlignSpec
from mer_data.features import FEATURES
from mer_data.features.spec import ClipFrames
from mer_data.frames import crop, decode, frame_bytes
from mer_data.problems import BadInput, Problem, raise_all
from mer_data.schema import Clip
from mer_data.storage.arrow_files import ArrayWriter
from mer_data.storage.shards import Shard
from mer_data.storage.store import Store
from orchestrator.console import Console
from orchestrator.machines.watchdog import waited_for
from orchestrator.precompute import deep_features as _deep  # noqa: F401 - registers its features


@dataclass(frozen=True)
class ClipWork:
    """One clip, the numbers of the frames that each feature needs of it, and the frames' files by number."""

    clip: Clip
    numbers: Mapping[str, tuple[int, ...]]
    paths: Mapping[int, Path]


@dataclass(frozen=True)
class SubjectWork:
    """One subject's clips, the shards that are wanted of them by feature, and what is done to frames first."""

    address: str
    dataset: str
    clips: tuple[ClipWork, ...]
    shards: Mapping[str, Shard]
    align: AlignSpec = NONE

    @property
    def arrays(self) -> int:
        """How many arrays there are to compute."""
        return len(self.clips) * len(self.shards)


class _Reader:
    """Reads a clip's frames, each file once, and gives features that need the same frames the same object."""

    def __init__(self, work: ClipWork, align: AlignSpec = NONE) -> None:
        self._work, self._align = work, align
        self._aligner: Aligner | None = None
        self._no_face: BadInput | None = None
        self._images: dict[int, npt.NDArray[np.uint8]] = {}
        self._chosen: dict[tuple[int, ...], ClipFrames] = {}

    def frames(self, feature: str) -> ClipFrames:
        """The frames that a feature needs, cropped to the clip's face box, or aligned.

        Raises
        ------
        BadInput
            If a frame is not an image, the face box leaves it, or no face is found to align.
        """
        numbers, clip = self._work.numbers[feature], self._work.clip
        if numbers not in self._chosen:
            images = [self._image(number) for number in numbers]
            self._chosen[numbers] = ClipFrames(images, numbers, clip.onset or 0, clip.apex or 0, self._landmarks())
        return self._chosen[numbers]

    @property
    def rivals(self) -> int:
        """How many faces of about the same size there are beside the one that was aligned."""
        return self._aligner.face.rivals if self._aligner else 0

    def _landmarks(self) -> npt.NDArray[np.float32] | None:
        clip = self._work.clip
        if self._aligner is not None:
            return self._aligner.landmarks
        if clip.landmarks is None:
            return None
        corner = clip.face[:2] if clip.face else (0, 0)
        return np.asarray(clip.landmarks, np.float32).reshape(5, 2) - np.asarray(corner, np.float32)

    def _image(self, number: int) -> npt.NDArray[np.uint8]:
        """A frame as features take it. Of a whole picture only the aligned part is kept."""
        if self._align and self._aligner is None:
            self._find_face()
        if number not in self._images:
            frame = self._decode(number)
            if self._aligner is not None:
                self._images[number] = self._aligner.apply(self._same_size(frame, number))
            else:
                self._images[number] = crop(frame, self._work.clip.face, str(self._work.paths[number]))
        return self._images[number]

    def _find_face(self) -> None:
        """Look for the face in the onset frame, once for all features."""
        if self._no_face is not None:
            raise self._no_face
        onset = self._work.clip.onset or 0
        frame = self._decode(onset)
        try:
            self._aligner = make_aligner(self._align, frame, self._work.clip.landmarks, str(self._work.paths[onset]))
        except BadInput as error:
            self._no_face = error
            raise
        self._size = frame.shape[1::-1]
        self._images[onset] = self._aligner.apply(frame)

    def _same_size(self, frame: npt.NDArray[np.uint8], number: int) -> npt.NDArray[np.uint8]:
        if frame.shape[1::-1] != self._size:
            (width, height), (w, h) = frame.shape[1::-1], self._size
            what = f"is {width}x{height}, and the clip's onset frame is {w}x{h}"
            raise BadInput(Problem(str(self._work.paths[number]), what, "compare its frames with the original"))
        return frame

    def _decode(self, number: int) -> npt.NDArray[np.uint8]:
        path = self._work.paths[number]
        try:
            data = frame_bytes(path)
        except OSError as error:
            raise BadInput(Problem(str(path), f"cannot be read: {error.strerror}", "give access to it")) from error
        return decode(data, str(path))


@dataclass(frozen=True)
class Made:
    """What came of one clip.

    Attributes
    ----------
    arrays
        How many are done with.
    problems
        What was wrong.
    stop
        Why nothing can be written any more.
    told
        What a person should know of it, in words.
    """

    arrays: int
    problems: Sequence[Problem] = ()
    stop: Problem | None = None
    told: str = ""


class Extractor:
    """Computes shards; made a Ray actor by :func:`extract`.

    Its memory is one clip's frames, what its features share of them, and some megabytes of rows for each shard.
    """

    def __init__(self) -> None:
        import cv2

        # Ray limits the threads of most libraries to an actor's cores, but OpenCV takes all cores of the machine.
        cv2.setNumThreads(1)
        cv2.ocl.setUseOpenCL(False)

    def make(self, work: SubjectWork) -> Iterator[Made]:
        """Compute and write a subject's shards, and tell after each clip.

        A shard of which some clip has no array is not written, the others are. If the store takes no more bytes, the
        last thing told says so, and nothing half-written is left.
        """
        store = Store(work.address)
        paths = {
            feature: store.feature_folder(work.dataset, feature) / shard.file for feature, shard in work.shards.items()
        }
        try:
            with ExitStack() as stack:
                writers = {
                    feature: stack.enter_context(ArrayWriter(path, {"key": work.shards[feature].key}))
                    for feature, path in paths.items()
                }
                for clip_work in work.clips:
                    reader = _Reader(clip_work, work.align)
                    problems = _add_clip(clip_work, reader, writers)
                    yield Made(len(writers), problems, told=_told(clip_work.clip, reader))
            for feature, path in paths.items():
                if not writers[feature].discarded:
                    store.publish(path)
        except OSError as error:
            what = os.strerror(error.errno) if error.errno else str(error)
            remedy = "make room or give access; the same command continues from here"
            yield Made(0, (), Problem(f"store {work.address}", f"cannot be written: {what}", remedy))


def _told(clip: Clip, reader: _Reader) -> str:
    many = reader.rivals + 1
    return f"clip {clip.id}: {many} faces in its onset frame; the largest is taken" if many > 1 else ""


def _add_clip(work: ClipWork, reader: _Reader, writers: Mapping[str, ArrayWriter]) -> list[Problem]:
    """Compute a clip's arrays and add them to the shards; a shard that lacks one is given up."""
    problems: list[Problem] = []
    for feature, writer in writers.items():
        spec = FEATURES[feature]
        try:
            array = spec.compute(reader.frames(feature)).astype(spec.dtype, casting="no")
        except BadInput as error:
            problems += [of_clip(work.clip, problem) for problem in error.problems]
        except ValueError as error:
            problems.append(of_clip(work.clip, Problem("", str(error), "compare its frames with the original")))
        else:
            if not writer.discarded:
                writer.add(work.clip.id, array)
            continue
        writer.discard()
    return problems


def of_clip(clip: Clip, problem: Problem) -> Problem:
    """The same problem, with the clip's name before its place."""
    where = f"clip {clip.id}, {problem.where}" if problem.where else f"clip {clip.id}"
    return Problem(where, problem.what, problem.remedy)


def extract(missing: Sequence[SubjectWork], workers: int, title: str, console: Console) -> None:
    """Compute shards with a pool of actors, one per core.

    Raises
    ------
    BadInput
        With every clip that has no array for some feature, when all else is done; or at once if the store cannot be
        written.
    """
    import ray  # only here: when nothing is missing, the command should not wait for it

    actor = ray.remote(num_cpus=1, max_restarts=2, max_task_retries=2)(Extractor)
    fair = sum(work.arrays for work in missing) / workers
    # Big ones first, so that no actor is left alone with one at the end.
    jobs = sorted((job for work in missing for job in pieces(work, fair)), key=lambda work: -work.arrays)
    waiting = iter(jobs)
    running: dict[Any, Any] = {}

    def start(handle: Any) -> None:
        job = next(waiting, None)
        if job is not None:
            running[handle.make.options(num_returns="streaming").remote(job)] = handle

    actors: list[Any] = [actor.remote() for _ in range(min(workers, len(jobs)))]
    came = threading.Event()
    for handle in actors:
        handle.__ray_ready__.remote().future().add_done_callback(lambda _: came.set())
        start(handle)
    problems: dict[str, Problem] = {}
    told_of: set[str] = set()
    unit = "clips" if len({feature for job in jobs for feature in job.shards}) == 1 else "clips × features"
    try:
        with console.progress(title, sum(job.arrays for job in jobs), unit) as progress, waited_for(came, console):
            while running:
                told: Any = ray.wait(list(running), num_returns=1)[0][0]
                try:
                    made: Made = ray.get(next(told))
                except StopIteration:
                    start(running.pop(told))
                    continue
                if made.stop:
                    raise BadInput(made.stop)
                problems |= {str(problem): problem for problem in made.problems}
                told_of.add(made.told)
                progress.advance(made.arrays)
    finally:
        # An error may keep these names alive, and with them the actors, which would keep their cores. And if this
        # process ends first, Ray adds lines of its own about tasks that lost their owner.
        for handle in actors:
            ray.kill(handle)
        ray.wait(list(running), num_returns=len(running), timeout=10)
    for line in sorted(told_of - {""}):
        console.warn(line)
    raise_all(problems[text] for text in sorted(problems))


def pieces(work: SubjectWork, fair: float) -> list[SubjectWork]:
    """Halve a subject's features until no piece is more than one actor's share: its clips must stay in one shard."""
    if work.arrays <= fair or len(work.shards) == 1:
        return [work]
    shards = list(work.shards.items())
    middle = len(shards) // 2
    return [
        piece for half in (shards[:middle], shards[middle:]) for piece in pieces(replace(work, shards=dict(half)), fair)
    ]
