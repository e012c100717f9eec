"""Fill the feature store: a pool of Ray actors, a shard per subject, only what is missing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import ray
from ray.util import ActorPool

from mer_data.arrow_files import write_arrays
from mer_data.features import FEATURES
from mer_data.features.spec import ClipFrames, FeatureSpec
from mer_data.frames import crop, decode, inside, list_frames, pick
from mer_data.hashing import digest, digest_bytes
from mer_data.problems import BadInput, Problem, did_you_mean, raise_all
from mer_data.schema import Clip
from mer_data.store import Dataset, Shard, Store
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
    """One subject's clips, and where their shard goes."""

    feature: str
    shard: Shard
    folder: Path
    clips: tuple[ClipWork, ...]


def precompute(store: Store, dataset: str, feature: str, cluster: Cluster, console: Console) -> None:
    """Make sure that a dataset has a feature, for every clip.

    Parameters
    ----------
    store, dataset, feature
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
    if feature in store.features(dataset) and _holds(store, known, feature):
        return
    if feature not in FEATURES:
        raise BadInput(Problem(f"dataset {dataset}", f"unknown feature {feature!r}", did_you_mean(feature, FEATURES)))
    if known.frame_root is None:
        what = f"has no {feature} for its present clips, and was imported without frames to compute it from"
        raise BadInput(Problem(f"dataset {dataset}", what, "import it again, from a source that has them"))
    spec = FEATURES[feature]
    work = plan_shards(store, known, spec)
    missing = [one for one in work if not (one.folder / one.shard.file).exists()]
    if missing:
        _compute(missing, cluster.resources.cpus, f"{feature} of {dataset}", console)
    shards = [one.shard for one in work]
    if _current(store, dataset, feature) != {(shard.subject, shard.key) for shard in shards}:
        store.write_manifest(dataset, spec, shards, "computed")


def _holds(store: Store, dataset: Dataset, name: str) -> bool:
    """Whether an imported feature covers the clips, or a computed one whose frames are out of reach does."""
    feature = store.feature(dataset.name, name)
    if feature.source == "computed" and dataset.frame_root is not None and dataset.frame_root.is_dir():
        return False  # its frames are at hand: the shards' keys will tell
    return set(feature.clip_ids) == {clip.id for clip in dataset.clips}


def _current(store: Store, dataset: str, feature: str) -> set[tuple[str, str]]:
    if feature not in store.features(dataset):
        return set()
    return {(shard.subject, shard.key) for shard in store.feature(dataset, feature).shards}


def plan_shards(store: Store, dataset: Dataset, spec: FeatureSpec) -> list[ShardWork]:
    """The shards of a feature: their files, and the keys that follow from spec, clips and frame bytes.

    Raises
    ------
    BadInput
        With every clip whose frames are missing.
    """
    root = dataset.frame_root
    if root is None or not root.is_dir():
        raise BadInput(Problem(str(root), "no such folder of frames", "connect it, or import the dataset again"))
    by_subject: defaultdict[str, list[Clip]] = defaultdict(list)
    for clip in dataset.clips:
        by_subject[clip.subject].append(clip)
    problems: list[Problem] = []
    work = []
    for subject, clips in sorted(by_subject.items()):
        wanted: list[ClipWork] = []
        rows = []
        for clip in clips:
            try:
                wanted.append(_needs(spec, clip, root))
            except BadInput as error:
                problems += [Problem(f"clip {clip.id}, {one.where}", one.what, one.remedy) for one in error.problems]
            else:
                digests = [digest_bytes(path.read_bytes()) for path in wanted[-1].paths]
                rows.append([clip.id, wanted[-1].numbers, digests, *_what_else(spec, clip)])
        shard = Shard(subject, digest([spec.key(), rows]), len(clips))
        folder = store.feature_folder(dataset.name, spec.name)
        work.append(ShardWork(spec.name, shard, folder, tuple(wanted)))
    raise_all(problems)
    return work


def _needs(spec: FeatureSpec, clip: Clip, root: Path) -> ClipWork:
    if clip.frames is None:
        raise BadInput(Problem(spec.name, "the clip has no frames", "import the dataset again"))
    folder = inside(root, clip.frames)
    have = list_frames(folder)
    numbers = spec.frame_numbers(clip, have)
    if numbers is None:
        raise BadInput(Problem(spec.name, f"the clip has no {spec.frames} frames", "import the dataset again"))
    return ClipWork(clip, numbers, tuple(pick(have, number, str(folder)) for number in numbers))


def _what_else(spec: FeatureSpec, clip: Clip) -> list[object]:
    """What besides frames decides the bytes: nothing for most features of most clips."""
    apex = [clip.apex] if spec.frames == "onset..offset" else []
    marked = [clip.landmarks] if spec.uses_landmarks and clip.landmarks is not None else []
    return [*apex, *([clip.face] if clip.face is not None else []), *marked]


class Extractor:
    """Computes shards; made a Ray actor by :func:`precompute`. Its memory is one subject's frames at a time."""

    def __init__(self) -> None:
        import cv2

        # Ray limits the threads of most libraries to an actor's cores, but OpenCV takes all cores of the machine.
        cv2.setNumThreads(1)
        cv2.ocl.setUseOpenCL(False)

    def make(self, work: ShardWork) -> tuple[int, list[Problem]]:
        """Compute and write one shard; returns its clips and what was wrong with them (then nothing is written)."""
        spec = FEATURES[work.feature]
        arrays, problems = [], []
        for one in work.clips:
            try:
                array = spec.compute(one.read())
            except BadInput as error:
                problems += [
                    Problem(f"clip {one.clip.id}, {bad.where}", bad.what, bad.remedy) for bad in error.problems
                ]
            except ValueError as error:
                problems.append(Problem(f"clip {one.clip.id}", str(error), "compare its frames with the original"))
            else:
                arrays.append(array.astype(spec.dtype, casting="no"))
        if not problems:
            write_arrays(
                work.folder / work.shard.file,
                [one.clip.id for one in work.clips],
                np.stack(arrays),
                {"key": work.shard.key},
            )
        return len(work.clips), problems


def _compute(missing: Sequence[ShardWork], workers: int, title: str, console: Console) -> None:
    actor = ray.remote(num_cpus=1, max_restarts=2, max_task_retries=2)(Extractor)
    pool = ActorPool([actor.remote() for _ in range(min(workers, len(missing)))])
    # Big subjects first, so that no actor is left with one at the end.
    ordered = sorted(missing, key=lambda one: (-one.shard.clips, one.shard.subject))
    problems: list[Problem] = []
    with console.progress(title, sum(one.shard.clips for one in ordered), "clips") as progress:
        for clips, found in pool.map_unordered(lambda a, one: a.make.remote(one), ordered):
            problems += found
            progress.advance(clips)
    raise_all(sorted(problems, key=str))
