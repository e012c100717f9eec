"""The variants of datasets that an experiment asks for: each a dataset of the plan, named, with one thing changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from mer_data.faces.alignment import ALIGNMENTS
from mer_data.schema import ApexChoice
from mer_data.storage.store import VARIANT, Dataset, Store
from orchestrator.console import Console
from orchestrator.experiment.config import Experiment
from orchestrator.experiment.sections import DatasetChoice

if TYPE_CHECKING:
    from mer_data.variants import Variant


@dataclass(frozen=True)
class PreparedDataset:
    """A dataset of an experiment as it is used.

    Attributes
    ----------
    name
        Of its cohort: the choice's own, with what is changed where that is one of several variants.
    choice
        What the experiment says of it.
    variants
        What is changed, by the member's name in the store.
    """

    name: str
    choice: DatasetChoice
    variants: Mapping[str, Variant]

    @property
    def members(self) -> list[str]:
        """The datasets of the store that its clips are in."""
        return list(self.variants)


@dataclass(frozen=True)
class _Asked:
    """What a variant is asked to be; an alignment of None is the one that fits the frames."""

    align: str | None
    apex: str
    jitter: int
    seed: int

    def of(self, dataset: Dataset) -> Variant:
        """The variant of a dataset."""
        from mer_data.variants import Variant, default_alignment

        align = ALIGNMENTS[self.align] if self.align else default_alignment(dataset)
        return Variant(align, cast("ApexChoice", self.apex), self.jitter, self.seed if self.jitter else 0)


def prepare_datasets(
    experiment: Experiment, choice: DatasetChoice, store: Store, console: Console | None = None
) -> list[PreparedDataset]:
    """A choice of an experiment and its variants, each of which the store has afterwards.

    The first one has the choice's name, the first value of each list, and the default where there is none.

    Raises
    ------
    BadInput
        As :func:`mer_data.variants.prepare`.
    """
    return [
        PreparedDataset(name, choice, dict(_member(store, member, asked, console) for member in choice.members))
        for name, asked in _asked(experiment, choice)
    ]


def spelled_out(experiment: Experiment, choice: DatasetChoice, store: Store) -> DatasetChoice:
    """A choice with its alignment, where one is meant for all its members."""
    defaults = {_Asked(None, "annotated", 0, 0).of(store.dataset(member)).align.name for member in choice.members}
    align = choice.align or experiment.align or (list(defaults) if len(defaults) == 1 else None)
    return choice.model_copy(update={"align": align})


def default_member(store: Store, dataset: str) -> str:
    """The name in the store of a dataset with its default alignment, which the store has afterwards."""
    return _member(store, dataset, _Asked(None, "annotated", 0, 0), None)[0]


def _asked(experiment: Experiment, choice: DatasetChoice) -> Iterator[tuple[str, _Asked]]:
    """The variants by name: the experiment's own first, then each other value by itself."""
    annotation = experiment.annotation
    aligns: list[str] = [*(choice.align or experiment.align or [])]
    own = _Asked(aligns[0] if aligns else None, annotation.apex[0], annotation.jitter[0], annotation.seed)
    yield choice.name, own
    for align in aligns[1:]:
        yield f"{choice.name}{VARIANT}align-{align}", replace(own, align=align)
    for apex in annotation.apex[1:]:
        yield f"{choice.name}{VARIANT}apex-{apex}", replace(own, apex=apex)
    for jitter in annotation.jitter[1:]:
        yield f"{choice.name}{VARIANT}jitter-{jitter}", replace(own, jitter=jitter)


def _member(store: Store, name: str, asked: _Asked, console: Console | None) -> tuple[str, Variant]:
    from mer_data.variants import prepare  # with all that looks at pictures

    known = store.dataset(name)
    variant = asked.of(known)
    if console is None or variant.apex != "spotted":
        return prepare(store, name, variant), variant
    with console.progress(f"apexes of {name}", len(known.clips), "clips") as progress:
        return prepare(store, name, variant, progress.advance), variant


def in_words(prepared: PreparedDataset, store: Store) -> list[str]:
    """What is done to frames and annotation where it is not what any reader expects; a line per member."""
    lines = []
    for member, variant in prepared.variants.items():
        known = store.dataset(member)
        if VARIANT in prepared.name and f"{VARIANT}align-" not in prepared.name:
            pass  # its alignment is the dataset's own, of which it was told
        elif variant.align and known.raw:
            marked = sum(clip.landmarks is not None for clip in known.clips)
            points = f"points of {marked} of {len(known.clips)} clips from a sheet" if marked else "points by MTCNN"
            how = f"whole pictures: faces aligned by {variant.align.name}, one transform per clip ({points})"
            lines.append(f"{prepared.name}: {how}")
        elif known.raw:
            lines.append(f"{prepared.name}: whole pictures, NOT aligned: features contain the background")
        elif variant.align:
            lines.append(f"{prepared.name}: crops, aligned once more by {variant.align.name}")
        if variant.apex != "annotated" or variant.jitter:
            lines.append(f"{prepared.name}: {variant}")
    return list(dict.fromkeys(lines))
