"""Fill the feature store: a pool of Ray actors, a shard per subject and feature, only what is missing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import ray
from ray.util import ActorPool

from mer_data.arrow_files import read_arrays, write_arrays
from mer_data.features import FEATURES
from mer_data.features.spec import ClipFrames, FeatureSpec
from mer_data.frames import crop, decode, inside, list_frames, pick
from mer_data.hashing import digest, digest_bytes
from mer_data.problems import BadInput, Problem, did_you_mean, raise_all
from mer_data.remembered import Remembered
from mer_data.schema import Clip
from mer_data.shards import Shard
from mer_data.store import Dataset, Store
from orchestrator import deep as _deep  # noqa: F401 - registers its features
from orchestrator.console import Console
from orchestrator.runtime import Cluster


@dataclass(frozen=True)
class ClipWork:
    """One clip, and the numbers and files of the frames that a feature needs of it."""

    clip: Clip
    numbers: tuple[int, ...]
    paths: tuple[Path, ...]

    def read(self) -> ClipFrames:
        """Read the frames, cropped to the clip's face box.

        Raises
        ------
        BadInput
            If a frame is not an image, or the face box leaves it.
        """
        clip = self.clip
        images = [crop(decode(path.read_bytes(), str(path)), clip.face, str(path)) for path in self.paths]
        landmarks = None
        if clip.landmarks is not None:
            corner = clip.face[:2] if clip.face else (0, 0)
            landmarks = np.asarray(clip.landmarks, np.float32).reshape(5, 2) - np.asarray(corner, np.float32)
        return ClipFrames(images, self.numbers, clip.onset or 0, clip.apex or 0, landmarks)


@dataclass(frozen=True)
class ShardWork:
    """One subject's clips for one feature, and where their shard goes."""

    address: str
    dataset: str
    feature: str
    shard: Shard
    clips: tuple[ClipWork, ...]


def precompute(store: Store, dataset: str, features: Sequence[str], cluster: Cluster, console: Console) -> None:
    """Make sure that a dataset has some features, for every clip.

    Parameters
    ----------
    store, dataset, features
        What is needed, by name.
    cluster
        Where the actors run, one per core; it is not started if nothing is missing.
    console
        Where progress goes.

    Raises
    ------
    BadInput
        With every clip that lacks frames or whose frames cannot be read. The other subjects' shards stay, so the
        same command continues where this one ended.
    """
    known = store.dataset(dataset)
    unknown = [name for name in features if name not in FEATURES and name not in store.features(dataset)]
    raise_all(
        Problem(f"dataset {dataset}", f"unknown feature {name!r}", did_you_mean(name, FEATURES)) for name in unknown
    )
    wanted = [name for name in features if not _holds(store, known, name)]
    if not wanted:
        return
    if known.frame_root is None:
        for name in wanted:
            _derive(store, known, FEATURES[name])
        return
    planned = _Planner(store, known).plan([FEATURES[name] for name in wanted])
    present = {name: store.shards(dataset, name) for name in wanted}
    missing = [one for name in wanted for one in planned[name] if one.shard.file not in present[name]]
    if missing:
        _compute(missing, cluster.resources.cpus, f"{_named(missing)} of {dataset}", console)
    for name in wanted:
        shards = [one.shard for one in planned[name]]
        if _current(store, dataset, name) != {(shard.subject, shard.key) for shard in shards}:
            store.write_manifest(dataset, FEATURES[name], shards, "computed")


def _derive(store: Store, dataset: Dataset, spec: FeatureSpec) -> None:
    """Make a feature from other features of a dataset that came without frames."""
    sources = [store.feature(dataset.name, name) for name in spec.derive_from if name in store.features(dataset.name)]
    if spec.derive is None or not sources or sources[0].name != spec.derive_from[0]:
        what = f"has no {spec.name} for its present clips, and was imported without frames to compute it from"
        raise BadInput(Problem(f"dataset {dataset.name}", what, "import it again, from a source that has them"))
    shards = []
    for subject in sorted({clip.subject for clip in dataset.clips}):
        ids = [clip.id for clip in dataset.clips if clip.subject == subject]
        key = digest(
            [spec.key(), ids, [shard.key for one in sources for shard in one.shards if shard.subject == subject]]
        )
        shards.append(Shard(subject, key, len(ids)))
        path = store.feature_folder(dataset.name, spec.name) / shards[-1].file
        if not path.exists():
            arrays = {one.name: one.find(ids) for one in sources}
            rows = ((i, spec.derive({name: of[i] for name, of in arrays.items()})) for i in ids)
            write_arrays(path, rows, {"key": key})
            store.publish(path)
    store.write_manifest(dataset.name, spec, shards, f"derived from {', '.join(one.name for one in sources)}")


def _named(missing: Sequence[ShardWork]) -> str:
    names = list(dict.fromkeys(one.feature for one in missing))
    return names[0] if len(names) == 1 else f"{len(names)} features"


def _holds(store: Store, dataset: Dataset, name: str) -> bool:
    """Whether an imported feature covers the clips, or a computed one whose frames are out of reach does."""
    if name not in store.features(dataset.name):
        return False
    feature = store.feature(dataset.name, name)
    if feature.source == "computed" and dataset.frame_root is not None and dataset.frame_root.is_dir():
        return False  # its frames are at hand: the shards' keys will tell
    return set(feature.clip_ids) == {clip.id for clip in dataset.clips}


def _current(store: Store, dataset: str, feature: str) -> set[tuple[str, str]]:
    if feature not in store.features(dataset):
        return set()
    return {(shard.subject, shard.key) for shard in store.feature(dataset, feature).shards}


@dataclass
class _Planner:
    """Finds out which shards features consist of; each folder is listed once, and no unchanged file read again."""

    store: Store
    dataset: Dataset
    folders: dict[str, dict[int, Path]] = field(default_factory=dict)

    def plan(self, specs: Sequence[FeatureSpec]) -> dict[str, list[ShardWork]]:
        """The shards of each feature, with keys that follow from spec, clips and frame bytes; damaged ones are removed.

        Raises
        ------
        BadInput
            With every clip whose frames are missing.
        """
        root = self.dataset.frame_root
        if root is None or not root.is_dir():
            raise BadInput(Problem(str(root), "no such folder of frames", "connect it, or import the dataset again"))
        digests = Remembered(self.store.root / self.dataset.name / "frames.json", root)
        by_subject: defaultdict[str, list[Clip]] = defaultdict(list)
        for clip in self.dataset.clips:
            by_subject[clip.subject].append(clip)
        problems: dict[str, Problem] = {}
        planned = {}
        for spec in specs:
            work = []
            for subject, clips in sorted(by_subject.items()):
                wanted: list[ClipWork] = []
                rows = []
                for clip in clips:
                    try:
                        wanted.append(self._needs(spec, clip, root))
                    except BadInput as error:
                        told = [_of_clip(clip, problem) for problem in error.problems]
                        problems |= {str(problem): problem for problem in told}
                    else:
                        sums = [digests.get(path, _digest_file) for path in wanted[-1].paths]
                        rows.append([clip.id, wanted[-1].numbers, sums, *_what_else(spec, clip)])
                shard = Shard(subject, digest([spec.key(), rows]), len(clips))
                work.append(ShardWork(self.store.address, self.dataset.name, spec.name, shard, tuple(wanted)))
            planned[spec.name] = work
        digests.save()
        raise_all(problems.values())
        for spec in specs:
            self._drop_damaged(spec.name, planned[spec.name])
        return planned

    def _needs(self, spec: FeatureSpec, clip: Clip, root: Path) -> ClipWork:
        if clip.frames is None:
            raise BadInput(Problem(spec.name, "the clip has no frames", "import the dataset again"))
        folder = inside(root, clip.frames)
        if clip.frames not in self.folders:
            self.folders[clip.frames] = list_frames(folder)
        have = self.folders[clip.frames]
        numbers = spec.frame_numbers(clip, have)
        if numbers is None:
            raise BadInput(Problem(spec.name, f"the clip has no {spec.frames} frames", "import the dataset again"))
        return ClipWork(clip, numbers, tuple(pick(have, number, str(folder)) for number in numbers))

    def _drop_damaged(self, feature: str, work: Sequence[ShardWork]) -> None:
        """Remove shards whose bytes are not what was written, so that they are computed anew."""
        folder = self.store.feature_folder(self.dataset.name, feature)
        verified = Remembered(folder / "verified.json", folder)
        for one in work:
            path = folder / one.shard.file
            if path.exists() and verified.get(path, _verdict) != "whole":
                self.store.discard(path)
        verified.save()


def _of_clip(clip: Clip, problem: Problem) -> Problem:
    return Problem(f"clip {clip.id}, {problem.where}", problem.what, problem.remedy)


def _digest_file(path: Path) -> str:
    return digest_bytes(path.read_bytes())


def _verdict(path: Path) -> str:
    try:
        read_arrays(path, "", verify=True)
    except BadInput as error:
        return str(error)
    return "whole"


def _what_else(spec: FeatureSpec, clip: Clip) -> list[object]:
    """What besides frames decides the bytes: nothing for most features of most clips."""
    apex = [clip.apex] if spec.frames == "onset..offset" else []
    marked = [clip.landmarks] if spec.uses_landmarks and clip.landmarks is not None else []
    return [*apex, *([clip.face] if clip.face is not None else []), *marked]


class Extractor:
    """Computes shards; made a Ray actor by :func:`precompute`. Its memory is one clip's frames and some megabytes."""

    def __init__(self) -> None:
        import cv2

        # Ray limits the threads of most libraries to an actor's cores, but OpenCV takes all cores of the machine.
        cv2.setNumThreads(1)
        cv2.ocl.setUseOpenCL(False)

    def make(self, work: ShardWork) -> tuple[int, list[Problem]]:
        """Compute and write one shard; returns its clips and what was wrong with them (then nothing is written)."""
        spec, store = FEATURES[work.feature], Store(work.address)
        path = store.feature_folder(work.dataset, work.feature) / work.shard.file
        problems: list[Problem] = []

        def rows() -> Iterator[tuple[str, npt.NDArray[Any]]]:
            for one in work.clips:
                try:
                    array = spec.compute(one.read())
                except BadInput as error:
                    problems.extend(_of_clip(one.clip, problem) for problem in error.problems)
                except ValueError as error:
                    problems.append(Problem(f"clip {one.clip.id}", str(error), "compare its frames with the original"))
                else:
                    yield one.clip.id, array.astype(spec.dtype, casting="no")
            if problems:
                raise _Broken  # the file that is being written aside goes away

        with suppress(_Broken):
            write_arrays(path, rows(), {"key": work.shard.key})
            store.publish(path)
        return len(work.clips), problems


class _Broken(Exception):  # noqa: N818 - never leaves this module
    """Some clip of a shard has no array."""


def _compute(missing: Sequence[ShardWork], workers: int, title: str, console: Console) -> None:
    actor = ray.remote(num_cpus=1, max_restarts=2, max_task_retries=2)(Extractor)
    pool = ActorPool([actor.remote() for _ in range(min(workers, len(missing)))])
    # Big subjects first, so that no actor is left with one at the end.
    ordered = sorted(missing, key=lambda one: (-one.shard.clips, one.shard.subject))
    problems: dict[str, Problem] = {}
    with console.progress(title, sum(one.shard.clips for one in ordered), "clips") as progress:
        for clips, found in pool.map_unordered(lambda a, one: a.make.remote(one), ordered):
            problems |= {str(problem): problem for problem in found}
            progress.advance(clips)
    raise_all(problems[text] for text in sorted(problems))
