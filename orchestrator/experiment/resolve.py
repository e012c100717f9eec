"""What an experiment comes to on a store: datasets, models with their inputs, recipes, what a search varies."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from mer_data.features import FEATURES
from mer_data.problems import BadInput, Problem, did_you_mean, raise_all
from mer_data.schema import Clip
from mer_data.storage.store import Dataset, Store
from mer_models.plugins import ModelFile
from mer_models.spec import InputSpec, Recipe, Space, models
from orchestrator.console import Console
from orchestrator.experiment.cohort import Cohort, make_cohort
from orchestrator.experiment.config import Experiment
from orchestrator.experiment.declarations import Declaration, declaration
from orchestrator.experiment.sections import DatasetChoice
from orchestrator.experiment.user_models import load as load_user_models
from orchestrator.experiment.variants import in_words as preparation_in_words
from orchestrator.experiment.variants import prepare_datasets, spelled_out
from orchestrator.experiment.wording import in_words
from orchestrator.experiment.yaml_text import YamlPath
from orchestrator.precompute import deep_features as _deep_features  # noqa: F401 - registers its features


@dataclass(frozen=True)
class ResolvedDataset:
    """A dataset of an experiment.

    Attributes
    ----------
    clips, cohort
        The clips that take part, and their cohort.
    told
        What is done to its frames and annotation, in words, where a reader should know.
    inputs
        By model, in the experiment's order: what it eats here.
    """

    clips: tuple[Clip, ...]
    cohort: Cohort
    inputs: Mapping[str, tuple[InputSpec, ...]]
    told: tuple[str, ...] = ()

    @property
    def features(self) -> list[str]:
        """The features that its models eat, sorted."""
        return sorted({taken.feature for inputs in self.inputs.values() for taken in inputs})


@dataclass(frozen=True)
class Resolved:
    """An experiment with everything that it leaves open decided, and everything that can be wrong looked at.

    Attributes
    ----------
    experiment, store
        What was resolved, and where.
    datasets
        By name.
    recipes
        By model: its recipe with the experiment's changes.
    spaces
        By model: what a search varies of its recipe. Models with nothing to vary or to choose are left out.
    model_files
        The user's own, with their text.
    """

    experiment: Experiment
    store: Store
    datasets: Mapping[str, ResolvedDataset]
    recipes: Mapping[str, Recipe]
    spaces: Mapping[str, Space]
    model_files: tuple[ModelFile, ...]

    @property
    def features(self) -> dict[str, list[str]]:
        """What is needed, by dataset of the store: the features of a union are those of its members."""
        return by_member((of.cohort.members, of.features) for of in self.datasets.values())

    @property
    def spelled_out(self) -> str:
        """The experiment as a file that leaves nothing to defaults, and makes the same plan.

        ``all`` remains for models where it means others for each dataset.
        """
        chosen = [list(dataset.inputs) for dataset in self.datasets.values()]
        search = self.experiment.search
        changes: dict[str, Any] = {
            "datasets": [
                spelled_out(self.experiment, choice, self.store)
                for choice in choose_datasets(self.experiment, self.store)
            ],
            "models": chosen[0] if all(models == chosen[0] for models in chosen) else self.experiment.models,
            "recipes": {name: asdict(recipe) for name, recipe in self.recipes.items()},
            "search": search and search.model_copy(update={"space": dict(self.spaces)}),
        }
        document = self.experiment.model_copy(update=changes).model_dump(mode="json")
        return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def resolve(experiment: Experiment, store: Store, console: Console | None = None) -> Resolved:
    """Resolve an experiment on a store, which has the variants of datasets that it asks for afterwards.

    What takes its time is shown on the console.

    Raises
    ------
    BadInput
        If the store is empty, the same people are in a dataset twice, or a model, scheme, list, field or value is
        unknown; and as :func:`orchestrator.experiment.user_models.load`.
    """
    model_files = load_user_models(experiment.plugins)
    if not experiment.all_models:
        raise_all(
            experiment.problem(("models", index), f"unknown model {name!r}", f"{did_you_mean(name, models())}; {_OWN}")
            for index, name in enumerate(experiment.models)
            if name not in models()
        )
    datasets = {}
    for choice in choose_datasets(experiment, store):
        for prepared in prepare_datasets(experiment, choice, store, console):
            if prepared.name in datasets:
                remedy = "give it once, with several values of `align`, or as a union under another name"
                raise BadInput(Problem(f"dataset {prepared.name}", "is in the experiment twice", remedy))
            clips, cohort = make_cohort(store, choice, prepared)
            inputs = _choose_models(experiment, store, prepared.members)
            told = tuple(preparation_in_words(prepared, store))
            datasets[prepared.name] = ResolvedDataset(tuple(clips), cohort, inputs, told)
    recipes = _choose_recipes(experiment, list(dict.fromkeys(name for of in datasets.values() for name in of.inputs)))
    return Resolved(experiment, store, datasets, recipes, _choose_spaces(experiment, recipes), model_files)


def by_member(needed: Iterable[tuple[Sequence[str], Sequence[str]]]) -> dict[str, list[str]]:
    """Features by dataset of the store, from pairs of the members of a dataset and the features that it needs."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for members, features in needed:
        for member in members:
            found[member] += features
    return dict(found)


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
        raise BadInput(Problem(str(store.root), "the store is empty", _FILL))
    chosen = experiment.datasets[0]
    return [chosen.model_copy(update={"name": name}) for name in names]


def _choose_models(experiment: Experiment, store: Store, members: Sequence[str]) -> dict[str, tuple[InputSpec, ...]]:
    """The models that run on a dataset, each with what it eats there.

    One that is named has its own inputs where nothing else can be made either: what is lacking is told when it is
    missed.
    """
    names = models() if experiment.all_models else experiment.models
    chosen = {name: choose_inputs(declaration(name), store, members) for name in names}
    if experiment.all_models:
        return {name: inputs for name, inputs in chosen.items() if inputs is not None}
    return {name: declaration(name).inputs if inputs is None else inputs for name, inputs in chosen.items()}


def choose_inputs(of: Declaration, store: Store, members: Sequence[str]) -> tuple[InputSpec, ...] | None:
    """What a model eats on datasets of the store: its own inputs or, where these cannot be made, others it can do with.

    None if they can provide neither.
    """
    datasets = [store.dataset(member) for member in members]
    for inputs in (of.inputs, *of.instead):
        if all(_can_have(store, dataset, taken.feature) for taken in inputs for dataset in datasets):
            return inputs
    return None


def _can_have(store: Store, dataset: Dataset, feature: str) -> bool:
    """Whether a dataset has a feature, or frames or other features to make it from."""
    have = store.features(dataset.name)
    if feature in have or feature not in FEATURES:
        return feature in have
    sources = FEATURES[feature].derive_from
    return dataset.frame_root is not None or (bool(sources) and sources[0] in have)


def _choose_recipes(experiment: Experiment, names: Sequence[str]) -> dict[str, Recipe]:
    """Each model's recipe with the experiment's changes."""
    problems = [
        experiment.problem(("recipes", name), _NOT_AMONG, did_you_mean(name, names))
        for name in experiment.recipes
        if name not in names and name != "all"
    ]
    recipes = {}
    for name in names:
        declared = declaration(name)
        of_all = experiment.recipes.get("all", {}) if declared.is_network else {}
        changes = {**of_all, **experiment.recipes.get(name, {})}
        problems += _unknown_fields(experiment, ("recipes", name), changes, _FIELDS)
        try:
            recipes[name] = _changed(declared.recipe, changes)
        except ValidationError as error:
            problems += [experiment.problem(("recipes", name, *e["loc"]), in_words(e)) for e in error.errors()]
    raise_all(problems)
    return recipes


_FILL = "fill it: mer data import FORMAT SOURCE --name NAME"
_NOT_AMONG = "is not among the experiment's models"
_OWN = "a file of your own that registers it: --models FILE.py"
_FIELDS = [field.name for field in dataclasses.fields(Recipe)]


def _unknown_fields(
    experiment: Experiment, where: YamlPath, given: Mapping[str, Any], known: Sequence[str]
) -> list[Problem]:
    return [
        experiment.problem((*where, key), "unknown key", did_you_mean(key, known)) for key in given if key not in known
    ]


def _changed(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """A recipe with other values, which may be texts: YAML reads 1e-4 as one."""
    return TypeAdapter(Recipe).validate_python({**asdict(recipe), **changes})


def _choose_spaces(experiment: Experiment, recipes: Mapping[str, Recipe]) -> dict[str, Space]:
    """What the experiment's search varies of each model's recipe; models with nothing to vary or to keep are left out.

    A model whose recipe keeps several epochs is searched even without a space: its epoch is chosen then.
    """
    search = experiment.search
    if search is None:
        return {}
    problems = [
        experiment.problem(
            ("search", "space", name), "is not among the experiment's models", did_you_mean(name, recipes)
        )
        for name in search.space
        if name not in recipes
    ]
    spaces: dict[str, Space] = {}
    for name, recipe in recipes.items():
        space = search.space.get(name, declaration(name).search_space(recipe))
        if space or len(recipe.kept_epochs()) > 1:
            spaces[name] = _checked_space(experiment, ("search", "space", name), space, recipe, problems)
    raise_all(problems)
    return spaces


def _checked_space(
    experiment: Experiment, where: YamlPath, space: Space, recipe: Recipe, problems: list[Problem]
) -> Space:
    """A space with its values as a recipe holds them; what is wrong with it is added to the problems."""
    known = [name for name in _FIELDS if name != "keep_every"]
    problems += _unknown_fields(experiment, where, space, known)
    given = dict(space)
    for key in sorted(set(known) & set(space)):
        values = space[key]
        taken: list[Any] = []
        for value in values if isinstance(values, tuple) else (values.low, values.high):
            try:
                taken.append(getattr(_changed(recipe, {key: value}), key))
            except ValidationError as error:
                words = [f"{value!r}: {in_words(found)}" for found in error.errors()]
                problems += [experiment.problem((*where, key), what) for what in words]
        if not values:
            problems.append(experiment.problem((*where, key), "has no values to choose from"))
        elif not problems:
            given[key] = tuple(taken) if isinstance(values, tuple) else replace(values, low=taken[0], high=taken[1])
    return given
