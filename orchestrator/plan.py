"""From an experiment to its jobs: cohorts, folds, and ids that are hashes of all that decides an outcome."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from mer_data import labels, protocols
from mer_data.files import read, write_json
from mer_data.hashing import digest
from mer_data.problems import BadInput, Problem, did_you_mean, raise_all
from mer_data.schema import Clip
from mer_data.store import Store
from mer_models.spec import ModelSpec, Recipe, models
from orchestrator.config import DatasetChoice, Experiment

_ID_LETTERS = 20
# Raised when the meaning of a job changes in a way that no other part of its id shows.
_JOB_VERSION = 1


@dataclass(frozen=True)
class Cohort:
    """The clips of a dataset that take part in an experiment, with their classes.

    Attributes
    ----------
    dataset
        Name in the store.
    classes
        Class names in the order of the confusion matrix.
    clip_ids, labels, subjects
        Per clip: its id, its class name, its qualified subject.
    left_out
        How many clips of the dataset the class scheme leaves out.
    """

    dataset: str
    classes: tuple[str, ...]
    clip_ids: tuple[str, ...]
    labels: tuple[str, ...]
    subjects: tuple[str, ...]
    left_out: int

    @cached_property
    def label_of(self) -> Mapping[str, str]:
        """Class name by clip id."""
        return dict(zip(self.clip_ids, self.labels, strict=True))

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
        Hash of the model's code, recipe, features, training clips with their classes, test clips and seed. The
        classes of the test clips are no part of it.
    model, dataset, held_out, configuration, seed
        What a person calls it.
    """

    id: str
    model: str
    dataset: str
    held_out: str
    configuration: str
    seed: int


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
        By dataset name, then by what is held out: the test clip ids.
    recipes
        The recipe of each model.
    feature_keys
        By dataset name, then by feature name: the key of the bytes the plan was made for.
    jobs
        In the order they run: all folds of a model on a dataset together.
    """

    name: str
    protocol: str
    rule: str
    store: str
    device: str
    cohorts: Mapping[str, Cohort]
    folds: Mapping[str, Mapping[str, tuple[str, ...]]]
    recipes: Mapping[str, Recipe]
    feature_keys: Mapping[str, Mapping[str, str]]
    jobs: tuple[Job, ...]

    @cached_property
    def job(self) -> Mapping[str, Job]:
        """Jobs by id."""
        return {job.id: job for job in self.jobs}

    def test_ids(self, job: Job) -> tuple[str, ...]:
        """The clips a job is tested on."""
        return self.folds[job.dataset][job.held_out]

    def train_ids(self, job: Job) -> tuple[str, ...]:
        """The clips a job is trained on."""
        test = frozenset(self.test_ids(job))
        return tuple(sorted(clip_id for clip_id in self.cohorts[job.dataset].clip_ids if clip_id not in test))

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


def make_plan(experiment: Experiment, store: Store, chosen: Sequence[ModelSpec]) -> Plan:
    """Plan an experiment over a store whose features are complete.

    Parameters
    ----------
    experiment
        What to run.
    store
        Where clips and features lie.
    chosen
        The experiment's models, from :func:`choose_models`.

    Raises
    ------
    BadInput
        If a cohort cannot be made: no clip in the class scheme, or a single subject.
    """
    recipes = choose_recipes(experiment, chosen)
    cohorts, folds, keys, jobs = {}, {}, {}, []
    for choice in datasets(experiment, store):
        clips, cohort = make_cohort(store, choice.name, choice.classes)
        loso = protocols.PROTOCOLS[experiment.protocol](clips)
        features = sorted({one.feature for spec in chosen for one in spec.inputs})
        keys[choice.name] = {name: store.feature(choice.name, name).key for name in features}
        cohorts[choice.name] = cohort
        folds[choice.name] = {fold.held_out: fold.test_ids for fold in loso}
        # The parts of the ids that models share are hashed once: hashing is what planning costs.
        fold_keys = {
            fold.held_out: digest([cohort.classes, [[i, cohort.label_of[i]] for i in fold.train_ids], fold.test_ids])
            for fold in loso
        }
        for spec in chosen:
            recipe = recipes[spec.name]
            inputs = {one.feature: keys[choice.name][one.feature] for one in spec.inputs}
            model_key = digest([_JOB_VERSION, spec.name, spec.code_digest(), asdict(recipe), inputs])
            configuration = recipe.changes(spec.recipe)
            for seed in experiment.seeds:
                for held_out, fold_key in fold_keys.items():
                    job_id = digest([model_key, experiment.protocol, held_out, fold_key, seed])[:_ID_LETTERS]
                    jobs.append(Job(job_id, spec.name, choice.name, held_out, configuration, seed))
    return Plan(
        name=experiment.name,
        protocol=experiment.protocol,
        rule=experiment.rule,
        store=str(store.root.resolve()),
        device=experiment.device,
        cohorts=cohorts,
        folds=folds,
        recipes=recipes,
        feature_keys=keys,
        jobs=tuple(jobs),
    )


def datasets(experiment: Experiment, store: Store) -> list[DatasetChoice]:
    """The experiment's choice of datasets, spelled out.

    Raises
    ------
    BadInput
        If a dataset is not in the store, or named twice, or the store is empty.
    """
    choices = experiment.datasets
    if choices == "all":
        choices = [DatasetChoice(name=name) for name in store.names()]
    raise_all(_not_once((choice.name for choice in choices), "datasets"))
    if not choices:
        raise BadInput(Problem(str(store.root), "the store is empty", "see `mer data import --help`"))
    return list(choices)


def make_cohort(store: Store, name: str, classes: str) -> tuple[list[Clip], Cohort]:
    """The clips of a dataset that a class scheme takes, and their cohort.

    Raises
    ------
    BadInput
        If the scheme is unknown, or leaves no clips, or all clips are of one subject.
    """
    everything = store.dataset(name).clips
    scheme = labels.scheme(classes, everything, f"dataset {name}")
    labelled = [(clip, label) for clip in everything if (label := scheme.label(clip)) is not None]
    clips = [clip for clip, _ in labelled]
    if len({clip.subject for clip in clips}) < 2:
        emotions = ", ".join(sorted({clip.emotion for clip in everything}))
        what = f"class scheme {classes} takes {len(clips)} of {len(everything)} clips, of less than two subjects"
        raise BadInput(Problem(f"dataset {name}", what, f"its emotions are: {emotions}"))
    cohort = Cohort(
        dataset=name,
        classes=scheme.classes,
        clip_ids=tuple(clip.id for clip in clips),
        labels=tuple(label for _, label in labelled),
        subjects=tuple(clip.subject for clip in clips),
        left_out=len(everything) - len(clips),
    )
    return clips, cohort


def choose_models(experiment: Experiment) -> list[ModelSpec]:
    """The experiment's models, in its order.

    Raises
    ------
    BadInput
        With every name that is unknown or given twice.
    """
    registry = models()
    names = list(registry) if experiment.models == "all" else experiment.models
    unknown = [
        Problem("models", f"unknown model {name!r}", did_you_mean(name, registry))
        for name in names
        if name not in registry
    ]
    raise_all([*unknown, *_not_once(names, "models")])
    return [registry[name] for name in names]


def choose_recipes(experiment: Experiment, chosen: Sequence[ModelSpec]) -> dict[str, Recipe]:
    """Each model's recipe with the experiment's changes.

    Raises
    ------
    BadInput
        With every unknown model, unknown field and value that a field does not take.
    """
    problems = [
        Problem(
            "recipes",
            f"{name!r} is not among the experiment's models",
            did_you_mean(name, [s.name for s in chosen]),
        )
        for name in experiment.recipes
        if name not in {spec.name for spec in chosen}
    ]
    recipes = {}
    known = [field.name for field in dataclasses.fields(Recipe)]
    for spec in chosen:
        changes = experiment.recipes.get(spec.name, {})
        problems += [
            Problem(f"recipes.{spec.name}", f"unknown key {key!r}", did_you_mean(key, known))
            for key in changes
            if key not in known
        ]
        try:
            recipes[spec.name] = TypeAdapter(Recipe).validate_python({**asdict(spec.recipe), **changes})
        except ValidationError as error:
            problems += [
                Problem(".".join(["recipes", spec.name, *map(str, one["loc"])]), one["msg"]) for one in error.errors()
            ]
    raise_all(problems)
    return recipes


def _not_once(names: Iterable[str], where: str) -> list[Problem]:
    names = list(names)
    return [
        Problem(where, f"{name!r} is named {names.count(name)} times")
        for name in sorted(set(names))
        if names.count(name) > 1
    ]
