"""The clips of a dataset that take part in an experiment, with their classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from mer_data import composites, labels, schema
from mer_data.hashing import digest
from mer_data.problems import BadInput, Problem, raise_all
from mer_data.schema import Clip
from mer_data.storage.store import Store, original
from orchestrator.experiment.sections import DatasetChoice
from orchestrator.experiment.variants import PreparedDataset


@dataclass(frozen=True)
class Cohort:
    """The clips of a dataset that take part in an experiment, with their classes.

    Attributes
    ----------
    dataset
        Name in the store, or of a union.
    members
        The datasets of the store that hold its clips.
    scheme
        Name of the class scheme, or of the published clip list.
    classes
        Class names in the order of the confusion matrix.
    clip_ids, labels, subjects
        Per clip: its id, its class name, its qualified subject.
    left_out
        How many clips of the members do not take part.
    why_left_out
        The reasons, with the number of clips of each.
    missing
        Clips of the published list that the store lacks: the cohort is incomplete then.
    editions
        By dataset of the store: which edition was imported, in words.
    prepared
        By dataset of the store: how its faces are aligned, and what was changed of its annotation, in words.
    """

    dataset: str
    members: tuple[str, ...]
    scheme: str
    classes: tuple[str, ...]
    clip_ids: tuple[str, ...]
    labels: tuple[str, ...]
    subjects: tuple[str, ...]
    left_out: int
    missing: tuple[str, ...] = ()
    why_left_out: Mapping[str, int] = field(default_factory=dict)
    editions: Mapping[str, str] = field(default_factory=dict)
    prepared: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def label_of(self) -> Mapping[str, str]:
        """Class name by clip id."""
        return dict(zip(self.clip_ids, self.labels, strict=True))

    @cached_property
    def checksum(self) -> str:
        """Of the clips and their classes: results are comparable only if it is equal."""
        return digest(sorted(self.label_of.items()))[:12]

    @property
    def prepared_in_words(self) -> str:
        """How faces are aligned, and what was changed of the annotation; of members where they differ in it."""
        told = dict.fromkeys(self.prepared.values())
        if len(told) < 2:
            return "".join(told)
        return "; ".join(f"{original(member)}: {words}" for member, words in self.prepared.items())

    @cached_property
    def subject_of(self) -> Mapping[str, str]:
        """Subject by clip id."""
        return dict(zip(self.clip_ids, self.subjects, strict=True))


def make_cohort(
    store: Store, choice: DatasetChoice, prepared: PreparedDataset | None = None
) -> tuple[list[Clip], Cohort]:
    """The clips that take part, and their cohort: of a variant if one was prepared, else of the datasets as they are.

    Which clips take part never depends on the variant.

    Raises
    ------
    BadInput
        If a dataset, the scheme or the list is unknown, the same people are in it twice, no clips are left, or all are
        of one subject.
    """
    name, members = (prepared.name, prepared.members) if prepared else (choice.name, choice.members)
    where = f"dataset {name}"
    datasets = [store.dataset(member) for member in members]
    everything = [clip for dataset in datasets for clip in dataset.clips]
    composites.refuse_same_people(everything, where)
    raise_all(schema.find_problems(everything, where) if choice.union else ())
    scheme = labels.scheme(choice.classes, everything, where)
    missing: tuple[str, ...] = ()
    if choice.clip_list:
        selection = composites.select(choice.clip_list, everything, where)
        labelled, missing = list(selection.labelled), selection.missing
        if not {label for _, label in labelled} <= set(scheme.classes):
            raise BadInput(Problem(where, f"the classes of {choice.clip_list} are not those of {scheme.name}"))
    else:
        labelled = [(clip, label) for clip in everything if (label := scheme.label(clip)) is not None]
    taken = {clip.id for clip, _ in labelled}
    by_list = f"not in the list {choice.clip_list}"
    why = Counter(by_list if choice.clip_list else clip.emotion for clip in everything if clip.id not in taken)
    if choice.apex is not None:
        source_of = {clip.id: clip.apex_source for member in choice.members for clip in store.dataset(member).clips}
        why.update(f"apex {source_of[clip.id]}" for clip, _ in labelled if source_of[clip.id] not in choice.apex)
        labelled = [(clip, label) for clip, label in labelled if source_of[clip.id] in choice.apex]
    clips = [clip for clip, _ in labelled]
    if len({clip.subject for clip in clips}) < 2:
        emotions = ", ".join(sorted({clip.emotion for clip in everything}))
        what = f"class scheme {scheme.name} takes {len(clips)} of {len(everything)} clips, of less than two subjects"
        sources = f"; their apexes must be {' or '.join(choice.apex)}" if choice.apex else ""
        raise BadInput(Problem(where, what, f"its emotions are: {emotions}{sources}"))
    cohort = Cohort(
        dataset=name,
        members=tuple(members),
        scheme=choice.clip_list or scheme.name,
        classes=scheme.classes,
        clip_ids=tuple(clip.id for clip in clips),
        labels=tuple(label for _, label in labelled),
        subjects=tuple(clip.subject for clip in clips),
        left_out=len(everything) - len(clips),
        missing=missing,
        why_left_out=dict(why.most_common()),
        editions={original(dataset.name): str(dataset.edition) for dataset in datasets if dataset.edition},
        prepared={member: str(variant) for member, variant in (prepared.variants if prepared else {}).items()},
    )
    return clips, cohort
