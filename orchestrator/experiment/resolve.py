"""What takes part in an experiment: its datasets, their clips with classes, its models with inputs and recipes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mer_data import composites, labels, schema
from mer_data.features import FEATURES
from mer_data.hashing import digest
from mer_data.problems import BadInput, Problem, did_you_mean, raise_all
from mer_data.schema import Clip
from mer_data.storage.store import Dataset, Store
from mer_models.spec import InputSpec, ModelSpec, Recipe, Space, models
from orchestrator.experiment.config import DatasetChoice, Experiment
from orchestrator.experiment.user_models import load as load_plugins
from orchestrator.precompute import deep_features as _deep  # noqa: F401 - registers its features


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
    missing
        Clips of the published list that the store lacks: the cohort is incomplete then.
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

    @cached_property
    def label_of(self) -> Mapping[str, str]:
        """Class name by clip id."""
        return dict(zip(self.clip_ids, self.labels, strict=True))

    @cached_property
    def checksum(self) -> str:
        """Of the clips and their classes: results are comparable only if it is equal."""
        return digest(sorted(self.label_of.items()))[:12]

    @cached_property
    def subject_of(self) -> Mapping[str, str]:
        """Subject by clip id."""
        return dict(zip(self.clip_ids, self.subjects, strict=True))


def needed_features(specs: Iterable[ModelSpec], store: Store, choice: DatasetChoice) -> list[str]:
    """The features that some models eat on a dataset, sorted."""
    inputs = [choose_inputs(spec, store, choice) or spec.inputs for spec in specs]
    return sorted({one.feature for of_model in inputs for one in of_model})


def choose_datasets(experiment: Experiment, store: Store) -> list[DatasetChoice]:
    """The experiment's datasets, spelled out.

    Raises
    ------
    BadInput
        If the experiment takes all datasets of a store that has none.
    """
    if not experiment.all_datasets:
        return list(experiment.datasets)
    names = store.names()
    if not names:
        raise BadInput(Problem(str(store.root), "the store is empty", "see `mer data import --help`"))
    return [DatasetChoice(name=name, classes=experiment.datasets[0].classes) for name in names]


def make_cohort(store: Store, choice: DatasetChoice) -> tuple[list[Clip], Cohort]:
    """The clips that take part, and their cohort.

    Raises
    ------
    BadInput
        If a dataset, the scheme or the list is unknown, the same people are in it twice, no clips are left, or all are
        of one subject.
    """
    where = f"dataset {choice.name}"
    everything = [clip for member in choice.members for clip in store.dataset(member).clips]
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
    clips = [clip for clip, _ in labelled]
    if len({clip.subject for clip in clips}) < 2:
        emotions = ", ".join(sorted({clip.emotion for clip in everything}))
        what = f"class scheme {scheme.name} takes {len(clips)} of {len(everything)} clips, of less than two subjects"
        raise BadInput(Problem(where, what, f"its emotions are: {emotions}"))
    cohort = Cohort(
        dataset=choice.name,
        members=tuple(choice.members),
        scheme=choice.clip_list or scheme.name,
        classes=scheme.classes,
        clip_ids=tuple(clip.id for clip in clips),
        labels=tuple(label for _, label in labelled),
        subjects=tuple(clip.subject for clip in clips),
        left_out=len(everything) - len(clips),
        missing=missing,
    )
    return clips, cohort


def choose_models(experiment: Experiment, store: Store) -> dict[str, list[ModelSpec]]:
    """The experiment's models for each of its datasets, in its order.

    Raises
    ------
    BadInput
        With every name that is unknown; and as :func:`orchestrator.experiment.user_models.load`.
    """
    load_plugins(experiment.plugins)
    registry, choices = models(), choose_datasets(experiment, store)
    if experiment.all_models:
        return {
            choice.name: [spec for spec in registry.values() if choose_inputs(spec, store, choice) is not None]
            for choice in choices
        }
    raise_all(
        Problem("models", f"unknown model {name!r}", did_you_mean(name, registry))
        for name in experiment.models
        if name not in registry
    )
    return {choice.name: [registry[name] for name in experiment.models] for choice in choices}


def choose_inputs(spec: ModelSpec, store: Store, choice: DatasetChoice) -> tuple[InputSpec, ...] | None:
    """What a model eats on a dataset: its own inputs or, where these cannot be made, others it can do with.

    None if the dataset can provide neither.
    """
    members = [store.dataset(member) for member in choice.members]
    for inputs in (spec.inputs, *spec.instead):
        if all(_can_have(store, member, one.feature) for one in inputs for member in members):
            return inputs
    return None


def _can_have(store: Store, dataset: Dataset, feature: str) -> bool:
    """Whether a dataset has a feature, or frames or other features to make it from."""
    have = store.features(dataset.name)
    if feature in have or feature not in FEATURES:
        return feature in have
    sources = FEATURES[feature].derive_from
    return dataset.frame_root is not None or (bool(sources) and sources[0] in have)


def choose_recipes(experiment: Experiment, chosen: Mapping[str, Sequence[ModelSpec]]) -> dict[str, Recipe]:
    """Each model's recipe with the experiment's changes.

    Raises
    ------
    BadInput
        With every unknown model, unknown field and value that a field does not take.
    """
    specs = {spec.name: spec for of_dataset in chosen.values() for spec in of_dataset}
    problems = [
        Problem("recipes", f"{name!r} is not among the experiment's models", did_you_mean(name, specs))
        for name in experiment.recipes
        if name not in specs and name != "all"
    ]
    known = [field.name for field in dataclasses.fields(Recipe)]
    recipes = {}
    for name, spec in specs.items():
        of_all = experiment.recipes.get("all", {}) if spec.build is not None else {}
        changes = {**of_all, **experiment.recipes.get(name, {})}
        problems += [
            Problem(f"recipes.{name}", f"unknown key {key!r}", did_you_mean(key, known))
            for key in changes
            if key not in known
        ]
        try:
            recipes[name] = TypeAdapter(Recipe).validate_python({**asdict(spec.recipe), **changes})
        except ValidationError as error:
            problems += [Problem(".".join(["recipes", name, *map(str, e["loc"])]), e["msg"]) for e in error.errors()]
    raise_all(problems)
    return recipes


def choose_spaces(experiment: Experiment, recipes: Mapping[str, Recipe]) -> dict[str, Space]:
    """What the experiment's search varies of each model's recipe; models with nothing to vary or to keep are left out.

    A model whose recipe keeps several epochs is searched even without a space: its epoch is chosen then.

    Raises
    ------
    BadInput
        With every unknown model, unknown field and value that a field does not take.
    """
    search = experiment.search
    if search is None:
        return {}
    known = {field.name for field in dataclasses.fields(Recipe)} - {"keep_every"}
    problems = [
        Problem("search.space", f"{name!r} is not among the experiment's models", did_you_mean(name, recipes))
        for name in search.space
        if name not in recipes
    ]
    spaces: dict[str, Space] = {}
    for name, recipe in recipes.items():
        where = f"search.space.{name}"
        space = search.space.get(name, models()[name].search_space(recipe))
        problems += [
            Problem(where, f"unknown key {key!r}", did_you_mean(key, known)) for key in space if key not in known
        ]
        given = dict(space)
        for key in sorted(known & set(space)):
            values = space[key]
            taken: list[Any] = []
            for value in values if isinstance(values, tuple) else (values.low, values.high):
                try:
                    taken.append(getattr(TypeAdapter(Recipe).validate_python({**asdict(recipe), key: value}), key))
                except ValidationError as error:
                    problems += [Problem(f"{where}.{key}", f"{value!r}: {e['msg']}") for e in error.errors()]
            if not values:
                problems.append(Problem(f"{where}.{key}", "has no values to choose from"))
            elif not problems:  # as the recipe holds them: YAML reads 1e-4 as a text, and 8.0 is no number of clips
                given[key] = tuple(taken) if isinstance(values, tuple) else replace(values, low=taken[0], high=taken[1])
        if space or len(recipe.kept_epochs()) > 1:
            spaces[name] = given
    raise_all(problems)
    return spaces
