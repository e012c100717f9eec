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
from mer_data.features.spec import FeatureSpec
from mer_data.frames import decode, inside, list_frames, pick
from mer_data.hashing import digest, digest_bytes
from mer_data.problems import BadInput, Problem, did_you_mean, raise_all
from mer_data.schema import Clip
from mer_data.store import Dataset, Shard, Store
from orchestrator.console import Console
from orchestrator.runtime import Cluster

Paths = tuple[Path, ...]


@dataclass(frozen=True)
class ShardWork:
    """One subject's clips, their frame files, and where the shard goes."""

    feature: str
    shard: Shard
    folder: Path
    clip_ids: tuple[str, ...]
    frames: tuple[Paths, ...]


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
        frames: list[Paths] = []
        rows = []
        for clip in clips:
            try:
                frames.append(_frame_paths(spec, clip, root))
            except BadInput as error:
                problems += [Problem(f"clip {clip.id}, {one.where}", one.what, one.remedy) for one in error.problems]
            else:
                digests = [digest_bytes(path.read_bytes()) for path in frames[-1]]
                rows.append([clip.id, spec.frame_numbers(clip), digests])
        shard = Shard(subject, digest([spec.key(), rows]), len(clips))
        folder = store.feature_folder(dataset.name, spec.name)
        work.append(ShardWork(spec.name, shard, folder, tuple(clip.id for clip in clips), tuple(frames)))
    raise_all(problems)
    return work


def _frame_paths(spec: FeatureSpec, clip: Clip, root: Path) -> Paths:
    numbers = spec.frame_numbers(clip)
    if clip.frames is None or numbers is None:
        raise BadInput(Problem(spec.name, f"the clip has no {spec.frames} frames", "import the dataset again"))
    folder = inside(root, clip.frames)
    have = list_frames(folder)
    return tuple(pick(have, number, str(folder)) for number in numbers)


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
        for clip_id, paths in zip(work.clip_ids, work.frames, strict=True):
            try:
                array = spec.compute([decode(path.read_bytes(), str(path)) for path in paths])
            except BadInput as error:
                problems += [Problem(f"clip {clip_id}, {one.where}", one.what, one.remedy) for one in error.problems]
            except ValueError as error:
                problems.append(Problem(f"clip {clip_id}", str(error), "compare its frames with the original"))
            else:
                arrays.append(array.astype(spec.dtype, casting="no"))
        if not problems:
            write_arrays(work.folder / work.shard.file, work.clip_ids, np.stack(arrays), {"key": work.shard.key})
        return len(work.clip_ids), problems


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
