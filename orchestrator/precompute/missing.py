"""Fill the feature store: a pool of Ray actors, a shard per subject and feature, only what is missing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mer_data.faces.alignment import AlignSpec
from mer_data.features import FEATURES
from mer_data.features.spec import FeatureSpec
from mer_data.frames import frame_bytes, inside, list_frames, pick
from mer_data.hashing import digest, digest_bytes
from mer_data.problems import BadInput, NoAccess, Problem, did_you_mean, raise_all
from mer_data.schema import Clip
from mer_data.storage.arrow_files import write_arrays
from mer_data.storage.remembered import Remembered
from mer_data.storage.shards import Shard
from mer_data.storage.store import Dataset, Store, original
from orchestrator.console import Console
from orchestrator.machines.ray_cluster import Cluster
from orchestrator.precompute.actors import ClipWork, SubjectWork, extract, of_clip


def precompute(store: Store, needed: Mapping[str, Sequence[str]], cluster: Cluster, console: Console) -> None:
    """Make sure that some datasets have some features, for every clip.

    Parameters
    ----------
    store, needed
        What is needed: names of features, by dataset.
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
    wanted = [
        _wanted(store, store.dataset(dataset), list(dict.fromkeys(features))) for dataset, features in needed.items()
    ]
    missing = [work for of_dataset in wanted for work in of_dataset.missing(store)]
    if missing:
        extract(missing, cluster.resources.cpus, _title(missing), console)
    for of_dataset in wanted:
        of_dataset.write_manifests(store)


@dataclass(frozen=True)
class _Wanted:
    """The features of a dataset that frames are at hand for, and the shards they consist of, by subject."""

    dataset: str
    features: Sequence[str]
    subjects: Sequence[SubjectWork]
    align: AlignSpec

    def missing(self, store: Store) -> list[SubjectWork]:
        """What is to be computed, and is not there in another variant of the dataset either."""
        present = {name: self._present(store, name) for name in self.features}
        lacking = (
            replace(
                work, shards={name: shard for name, shard in work.shards.items() if shard.file not in present[name]}
            )
            for work in self.subjects
        )
        return [work for work in lacking if work.shards]

    def _present(self, store: Store, name: str) -> set[str]:
        here = store.shards(self.dataset, name)
        lacking = {work.shards[name].file for work in self.subjects} - here
        return here | (store.borrow(self.dataset, name, lacking) if lacking else set())

    def write_manifests(self, store: Store) -> None:
        """Let the features consist of these shards."""
        for name in self.features:
            shards = [work.shards[name] for work in self.subjects]
            if _current(store, self.dataset, name) != {(shard.subject, shard.key) for shard in shards}:
                store.write_manifest(self.dataset, FEATURES[name].of(self.align), shards, "computed")


def _wanted(store: Store, known: Dataset, features: Sequence[str]) -> _Wanted:
    """Find out what is to be computed from frames; features that come from other features are made at once."""
    unknown = [name for name in features if name not in FEATURES and name not in store.features(known.name)]
    raise_all(
        Problem(f"dataset {known.name}", f"unknown feature {name!r}", did_you_mean(name, FEATURES)) for name in unknown
    )
    wanted = [name for name in features if not _holds(store, known, name)]
    if wanted and known.frame_root is None:
        for name in wanted:
            derive(store, known, FEATURES[name])
        wanted = []
    specs = [FEATURES[name].of(known.align) for name in wanted]
    subjects = ShardFinder(store, known).find(specs) if wanted else []
    return _Wanted(known.name, wanted, subjects, known.align)


def derive(store: Store, dataset: Dataset, spec: FeatureSpec) -> None:
    """Make a feature from other features of a dataset that came without frames."""
    sources = [store.feature(dataset.name, name) for name in spec.derive_from if name in store.features(dataset.name)]
    if spec.derive is None or not sources or sources[0].name != spec.derive_from[0]:
        what = f"has no {spec.name} for its present clips, and was imported without frames to compute it from"
        raise BadInput(Problem(f"dataset {dataset.name}", what, "import it again, from a source that has them"))
    shards = []
    for subject in sorted({clip.subject for clip in dataset.clips}):
        ids = [clip.id for clip in dataset.clips if clip.subject == subject]
        key = digest(
            [spec.key(), ids, [shard.key for source in sources for shard in source.shards if shard.subject == subject]]
        )
        shards.append(Shard(subject, key, len(ids)))
        path = store.feature_folder(dataset.name, spec.name) / shards[-1].file
        if not path.exists():
            arrays = {source.name: source.find(ids) for source in sources}
            rows = ((i, spec.derive({name: of[i] for name, of in arrays.items()})) for i in ids)
            write_arrays(path, rows, {"key": key})
            store.publish(path)
    store.write_manifest(dataset.name, spec, shards, f"derived from {', '.join(source.name for source in sources)}")


def _title(missing: Sequence[SubjectWork]) -> str:
    names = list(dict.fromkeys(name for work in missing for name in work.shards))
    variants = list(dict.fromkeys(work.dataset for work in missing))
    many = Counter(map(original, variants))
    datasets = ", ".join(f"{base} in {count} variants" if count > 1 else base for base, count in many.items())
    return f"{names[0] if len(names) == 1 else f'{len(names)} features'} of {datasets}"


def _holds(store: Store, dataset: Dataset, name: str) -> bool:
    """Whether an imported feature covers the clips, or a computed one whose frames are out of reach does.

    Raises
    ------
    BadInput
        If it does, but is damaged: it cannot be computed anew.
    """
    if name not in store.features(dataset.name):
        return False
    at_hand = name in FEATURES and dataset.frame_root is not None and dataset.frame_root.is_dir()
    try:
        feature = store.feature(dataset.name, name)
    except NoAccess:
        raise
    except BadInput:
        if at_hand:
            return False  # it is written anew
        raise
    if feature.source == "computed" and at_hand:
        return False  # its frames are at hand: the shards' keys will tell
    damaged = store.damaged(dataset.name, feature.definition, feature.shards)
    raise_all(Problem(f"dataset {dataset.name}", text) for text in damaged.values())
    gone = [shard.file for shard in feature.shards if shard.file not in store.shards(dataset.name, name)]
    folder = store.feature_folder(dataset.name, name)
    raise_all(Problem(str(folder / file), "no such file", "import the dataset again") for file in gone)
    return set(feature.clip_ids) == {clip.id for clip in dataset.clips}


def _current(store: Store, dataset: str, feature: str) -> set[tuple[str, str]]:
    if feature not in store.features(dataset):
        return set()
    try:
        return {(shard.subject, shard.key) for shard in store.feature(dataset, feature).shards}
    except NoAccess:
        raise
    except BadInput:
        return set()  # damaged: it is written anew


@dataclass
class ShardFinder:
    """Finds out which shards features consist of; each folder is listed once, and no unchanged file read again."""

    store: Store
    dataset: Dataset
    folders: dict[str, dict[int, Path]] = field(default_factory=dict)

    def find(self, specs: Sequence[FeatureSpec]) -> list[SubjectWork]:
        """All shards, by subject, with keys that follow from spec, clips and frame bytes; damaged ones are removed.

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
        found = []
        for subject, clips in sorted(by_subject.items()):
            needs = []
            rows: dict[str, list[list[object]]] = {spec.name: [] for spec in specs}
            for clip in clips:
                try:
                    needs.append(self._needs(specs, clip, root))
                except BadInput as error:
                    problems |= {str(problem): problem for problem in error.problems}
                    continue
                sums = {number: digests.get(path, _digest_file) for number, path in needs[-1].paths.items()}
                for spec in specs:
                    numbers = needs[-1].numbers[spec.name]
                    of_frames = [sums[number] for number in numbers]
                    # The face is looked for in the onset frame, whichever frames a feature takes.
                    face = [sums[clip.onset or 0], clip.landmarks] if spec.align else []
                    rows[spec.name].append([clip.id, numbers, of_frames, *_what_else(spec, clip), *face])
            keys = {spec.name: digest([spec.key(), rows[spec.name]]) for spec in specs}
            shards = {name: Shard(subject, key, len(clips)) for name, key in keys.items()}
            align = self.dataset.align
            found.append(SubjectWork(self.store.address, self.dataset.name, tuple(needs), shards, align))
        digests.save()
        raise_all(problems.values())
        for spec in specs:
            shards_of_spec = [work.shards[spec.name] for work in found]
            for file in self.store.damaged(self.dataset.name, spec.describe(), shards_of_spec):
                self.store.discard(self.store.feature_folder(self.dataset.name, spec.name) / file)
        return found

    def _needs(self, specs: Sequence[FeatureSpec], clip: Clip, root: Path) -> ClipWork:
        """The frames that features need of a clip.

        Raises
        ------
        BadInput
            With every frame that is lacking.
        """
        problems: list[Problem] = []
        numbers: dict[str, tuple[int, ...]] = {}
        paths: dict[int, Path] = {}
        try:
            if clip.frames is None:
                raise BadInput(Problem("", "the clip has no frames", "import the dataset again"))
            folder = inside(root, clip.frames)
            if clip.frames not in self.folders:
                self.folders[clip.frames] = list_frames(folder, root)
            have = self.folders[clip.frames]
        except BadInput as error:
            raise BadInput([of_clip(clip, problem) for problem in error.problems]) from error
        for spec in specs:
            wanted = spec.frame_numbers(clip, have)
            of_face = (clip.onset,) if spec.align else ()
            if wanted is None or None in of_face:
                what = f"the clip has no {spec.frames if wanted is None else 'onset'} frames"
                problems.append(Problem(spec.name, what, "import the dataset again"))
                continue
            numbers[spec.name] = wanted
            for number in {*wanted, *(onset for onset in of_face if onset is not None)}:
                try:
                    paths[number] = pick(have, number, str(folder))
                except BadInput as error:
                    problems += error.problems
        raise_all(of_clip(clip, problem) for problem in problems)
        return ClipWork(clip, numbers, paths)


def _digest_file(path: Path) -> str:
    return digest_bytes(frame_bytes(path))


def _what_else(spec: FeatureSpec, clip: Clip) -> list[object]:
    """What besides frames decides the bytes: nothing for most features of most clips."""
    apex = [clip.apex] if spec.frames == "onset..offset" else []
    marked = [clip.landmarks] if spec.uses_landmarks and clip.landmarks is not None else []
    return [*apex, *([clip.face] if clip.face is not None else []), *marked]
