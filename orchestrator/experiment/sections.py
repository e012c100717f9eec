"""The parts of an experiment file: a dataset and its annotation, a search, and GPUs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from mer_data.schema import ALIGNMENT_NAMES, APEX_SOURCES, ApexChoice
from mer_data.storage.remote import is_remote
from mer_models.spec import Space

# The first proposals of any sampler are random: they follow from its seed alone.
STARTUP = 10
_MOST = 32  # recorded folds in one process; see mer_models.pack


class Strict(BaseModel):
    """A part of an experiment file: a key that it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def as_list(value: Any) -> Any:
    """One thing stands for a list of it."""
    return [value] if isinstance(value, str | int | dict) else value


def as_choice(value: Any) -> Any:
    """A name stands for a dataset of that name."""
    return {"name": value} if isinstance(value, str) else value


def expanded(store: str) -> str:
    """An address with the home folder in place of ``~``."""
    return store if is_remote(store) else str(Path(store).expanduser())


def distinct(values: list[Any]) -> list[Any]:
    """A list in which nothing is given twice."""
    if len({str(value) for value in values}) < len(values):
        raise ValueError("something is given twice")
    return values


def _apex_sources(values: list[str]) -> list[str]:
    if unknown := next((value for value in values if value not in APEX_SOURCES), None):
        raise ValueError(f"{unknown!r} is no apex source; known: {', '.join(sorted(APEX_SOURCES))}")
    return values


def _alignments(values: list[str]) -> list[str]:
    if unknown := next((value for value in values if value not in ALIGNMENT_NAMES), None):
        raise ValueError(f"{unknown!r} is no alignment; known: {', '.join(ALIGNMENT_NAMES)}")
    return values


def _apex_choices(values: list[str]) -> list[str]:
    if unknown := next((value for value in values if value not in get_args(ApexChoice)), None):
        raise ValueError(f"{unknown!r} is not known; known: {', '.join(get_args(ApexChoice))}")
    return values


def _groups(value: Any) -> Any:
    if value != "subjects" and (not isinstance(value, int) or value < 2):
        raise ValueError("must be a whole number of at least 2, or the word `subjects`")
    return value


Several = (BeforeValidator(as_list), Field(min_length=1), AfterValidator(distinct))
Alignments = Annotated[list[str], *Several, AfterValidator(_alignments)] | None


class DatasetChoice(Strict):
    """A dataset of the store, or a union of some, and the classes it is scored with.

    Attributes
    ----------
    name
        Its name in the store; for a union, any name.
    classes
        The class scheme.
    union
        The datasets of the store that a union consists of.
    clip_list
        A published list that says which clips take part and what their classes are.
    apex
        Where the apex must come from for a clip to take part (``apex_source`` of the clip table); any if not given.
    align
        As for the whole experiment, of which it takes the place.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")]
    classes: str = "3-class"
    union: Annotated[list[str], *Several] | None = None
    clip_list: str | None = None
    apex: Annotated[list[str], *Several, AfterValidator(_apex_sources)] | None = None
    align: Alignments = None

    @property
    def members(self) -> list[str]:
        """The datasets of the store that it consists of."""
        return self.union or [self.name]


class Annotation(Strict):
    """Which frames are taken for onset and apex, to see how much a score depends on it.

    Of several values the first is the experiment's own; each of the others is a variant of every dataset, in which
    nothing else is changed.

    Attributes
    ----------
    apex
        ``annotated`` takes it from the import, ``midpoint`` the middle frame of every clip, ``spotted`` the frame of
        most motion.
    jitter
        Onset and apex are moved by up to so many frames, each by itself.
    seed
        Seeds the moves.
    """

    apex: Annotated[list[str], *Several, AfterValidator(_apex_choices)] = ["annotated"]
    jitter: Annotated[list[Annotated[int, Field(ge=0)]], *Several] = [0]
    seed: Annotated[int, Field(ge=0)] = 0


class Search(Strict):
    """A hyper-parameter search that never sees the subjects it is scored on.

    Attributes
    ----------
    groups
        In how many groups held-out subjects are divided; each has a search of its own, which sees nobody of it.
        ``subjects`` makes every subject a group. Where whole datasets are held out, each of them is one in any case.
    divisions
        A configuration is cross-validated over so many divisions of the subjects that its search may see.
    configurations
        How many to try; the first is the published recipe, if the space contains it. 1 chooses only the epoch.
    sampler
        Optuna's: ``tpe``, ``random`` or ``gp``.
    space
        Per model and field of its recipe, the values to choose from: a list, or ``{low, high, log}``. Models that are
        not named use their own.
    seed
        Seeds the sampler.
    concurrent
        A configuration is proposed when all but so many before it are finished. It is part of what the search does,
        whatever the number of workers.
    race
        Stop a configuration that is significantly worse than the best one of its group on the same divisions.
    trainings, hours
        No further configuration is proposed when the finished ones took so many trainings, or so many hours of
        training: over all groups of a model, a dataset and a seed, of which each has an equal share.
    """

    groups: Annotated[int | str, BeforeValidator(_groups)] = 5
    divisions: Annotated[int, Field(ge=2)] = 5
    configurations: Annotated[int, Field(ge=1)] = 20
    sampler: Literal["tpe", "random", "gp"] = "tpe"
    space: dict[str, Space] = {}
    seed: Annotated[int, Field(ge=0)] = 0
    concurrent: Annotated[int, Field(ge=1)] = 2
    race: bool = True
    trainings: Annotated[int, Field(ge=1)] | None = None
    hours: Annotated[float, Field(gt=0)] | None = None

    def identity(self) -> dict[str, Any]:
        """What decides which configurations are proposed, whatever their number."""
        return self.model_dump(include={"sampler", "seed", "concurrent", "race"})

    @property
    def fixed(self) -> bool:
        """Whether what is proposed was fixed before anything was looked at, and is the same in all groups."""
        return self.sampler == "random" or self.configurations <= STARTUP


def _pack(value: Any) -> Any:
    if value != "auto" and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST):
        raise ValueError(f"must be a number from 1 to {_MOST}, or auto")
    return value


class Gpu(Strict):
    """How folds are trained on GPUs. The result is the same, but for rounding where the note of the run says so.

    Attributes
    ----------
    way
        ``plain``: operator by operator. ``graph``: recorded once and repeated by the GPU. ``auto`` takes what a
        measurement before the sweep shows to be faster, if it computes the same.
    pack
        How many recorded folds one process trains side by side, at most 32.
    """

    way: Literal["auto", "plain", "graph"] = "auto"
    pack: Annotated[int | str, BeforeValidator(_pack)] = "auto"

    @model_validator(mode="after")
    def _recorded(self) -> Gpu:
        if self.way == "plain" and self.pack != "auto":
            raise ValueError("pack is for folds that are recorded: leave it out, or set way to auto or graph")
        return self
