"""From an experiment to its jobs: cohorts, folds, and ids that are hashes of all that decides an outcome."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from mer_data import composites, labels, protocols, schema
from mer_data.features import FEATURES
from mer_data.files import read, write_json
from mer_data.hashing import digest
from mer_data.problems import BadInput, Problem, did_you_mean, raise_all
from mer_data.protocols import Fold
from mer_data.schema import Clip
from mer_data.store import Dataset, Store
from mer_models.spec import InputSpec, ModelSpec, Recipe, models
from orchestrator import deep as _deep  # noqa: F401 - registers its features
from orchestrator.config import DatasetChoice, Experiment

_ID_LETTERS = 20
# Raised when the meaning of a job changes in a way that no other part of its id shows.
_JOB_VERSION = 3


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


@dataclass(frozen=True)
class Job:
    """One training: model × dataset × fold × configuration × seed.

    Attributes
    ----------
    id
        Hash of the model's code, recipe, features, classes, training clips with their classes, test clips and seed. The
        classes of the test clips are no part of it.
    model, dataset, held_out, configuration, seed
        What a person calls it.
    random_state
        Seeds all randomness of the job. It derives from model, fold and seed alone, so that configurations are
        compared on the same draws, and a remark added to the code does not change the numbers.
    """

    id: str
    model: str
    dataset: str
    held_out: str
    configuration: str
    seed: int
    random_state: int


@dataclass(frozen=True)
class Plan:
    """All jobs of an experiment, and what is needed to run and to score them.

    Attributes
    ----------
    name, protocol, rule, store, device
        From the experiment.
    cohorts
        By dataset name.
    folds
        By dataset name, then by what is held out.
    recipes
        The recipe of each model.
    inputs
        By dataset name and model: what the model eats there.
    feature_keys
        By dataset name, feature name and member: the key of the bytes the plan was made for.
    jobs
        In the order they run: all folds of a model on a dataset together.
    """

    name: str
    protocol: str
    rule: str
    store: str
    device: str
    cohorts: Mapping[str, Cohort]
    folds: Mapping[str, Mapping[str, Fold]]
    recipes: Mapping[str, Recipe]
    inputs: Mapping[str, Mapping[str, tuple[InputSpec, ...]]]
    feature_keys: Mapping[str, Mapping[str, Mapping[str, str]]]
    jobs: tuple[Job, ...]

    @cached_property
    def job(self) -> Mapping[str, Job]:
        """Jobs by id."""
        return {job.id: job for job in self.jobs}

    def fold(self, job: Job) -> Fold:
        """The clips a job is trained and tested on."""
        return self.folds[job.dataset][job.held_out]

    def save(self, path: Path) -> None:
        """Write the plan as one JSON document."""
        write_json(path, asdict(self))

    @staticmethod
    def load(path: Path) -> Plan:
        """Read a plan that :meth:`save` wrote.

        Raises
        ------
        BadInput
            If it is missing or damaged.
        """

        def parse() -> Plan:
            return TypeAdapter(Plan).validate_json(path.read_bytes())

        remedy = "give the output folder of `mer run`, or run the experiment again"
        plan: Plan = read(path, parse, remedy)
        return plan


def make_plan(experiment: Experiment, store: Store) -> Plan:
    """Plan an experiment over a store whose features are complete.

    Raises
    ------
    BadInput
        As :func:`choose_models`, :func:`choose_recipes` and :func:`make_cohort`.
    """
    chosen = choose_models(experiment, store)
    recipes = choose_recipes(experiment, chosen)
    cohorts, folds, keys, inputs = {}, {}, {}, {}
    jobs: list[Job] = []
    for choice in choose_datasets(experiment, store):
        name = choice.name
        clips, cohort = make_cohort(store, choice)
        cohorts[name] = cohort
        if experiment.protocol != "loso" and len({clip.dataset for clip in clips}) < 2:
            what = "has the clips of one source dataset, so none can be held out"
            raise BadInput(Problem(f"dataset {name}", what, "give it a union, or use the protocol loso"))
        folds[name] = {fold.held_out: fold for fold in protocols.PROTOCOLS[experiment.protocol](clips)}
        keys[name] = {
            one: {member: store.feature(member, one).key for member in choice.members}
            for one in needed_features(chosen[name], store, choice)
        }
        # What models share is hashed once per fold: hashing is what planning costs.
        fold_keys = {held_out: _fold_key(fold, cohort) for held_out, fold in folds[name].items()}
        inputs[name] = {spec.name: choose_inputs(spec, store, choice) or spec.inputs for spec in chosen[name]}
        for spec in chosen[name]:
            recipe = recipes[spec.name]
            eaten = [[asdict(one), list(keys[name][one.feature].values())] for one in inputs[name][spec.name]]
            model_key = digest([_JOB_VERSION, spec.name, spec.code_digest(), asdict(recipe), eaten])
            for seed in experiment.seeds:
                for held_out, fold_key in fold_keys.items():
                    chance = [spec.name, experiment.protocol, held_out, fold_key, seed]
                    jobs.append(
                        Job(
                            id=digest([model_key, *chance])[:_ID_LETTERS],
                            model=spec.name,
                            dataset=name,
                            held_out=held_out,
                            configuration=recipe.changes(spec.recipe),
                            seed=seed,
                            random_state=int(digest(chance)[:15], 16),
                        )
                    )
    return Plan(
        name=experiment.name,
        protocol=experiment.protocol,
        rule=experiment.rule,
        store=store.address,
        device=experiment.device,
        cohorts=cohorts,
        folds=folds,
        recipes=recipes,
        inputs=inputs,
        feature_keys=keys,
        jobs=tuple(jobs),
    )


def _fold_key(fold: Fold, cohort: Cohort) -> str:
    trained = [[clip_id, cohort.label_of[clip_id]] for clip_id in fold.train_ids]
    return digest([cohort.dataset, cohort.classes, trained, fold.test_ids])


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
        With every name that is unknown.
    """
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
        if name not in specs
    ]
    known = [field.name for field in dataclasses.fields(Recipe)]
    recipes = {}
    for name, spec in specs.items():
        changes = experiment.recipes.get(name, {})
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
