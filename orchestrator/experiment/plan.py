"""What an experiment consists of: folds, jobs, searches, and ids that are hashes of all that decides an outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from pydantic import TypeAdapter

from mer_data.files import read, write_json
from mer_data.hashing import digest
from mer_data.protocols import Fold
from mer_models.plugins import ModelFile
from mer_models.spec import InputSpec, Recipe, Space
from orchestrator.experiment.config import Search
from orchestrator.experiment.resolve import Cohort

_ID_LETTERS = 20
# Raised when the meaning of a job changes in a way that no other part of its id shows.
JOB_VERSION = 4


@dataclass(frozen=True)
class Job:
    """One training: model × dataset × fold × configuration × seed.

    Attributes
    ----------
    id
        Hash of the model's code, recipe, features, classes, training clips with their classes, other clips and seed.
        The classes of clips that are not trained on are no part of it.
    model, dataset, held_out, configuration, seed
        What a person calls it.
    random_state
        Seeds all randomness of the job. It derives from model, fold and seed alone, so that configurations are
        compared on the same draws, and a remark added to the code does not change the numbers.
    recipe
        Its training settings, if they are not the experiment's.
    inner
        Whether it leaves the fold's validation subjects out of training and answers for them too.
    """

    id: str
    model: str
    dataset: str
    held_out: str
    configuration: str
    seed: int
    random_state: int
    recipe: Recipe | None = None
    inner: bool = False


@dataclass(frozen=True)
class Study:
    """A hyper-parameter search: one model on one dataset with one seed.

    Attributes
    ----------
    name
        Of its files and of its Optuna study; holds a hash of all that decides its course.
    model, dataset, seed
        What is searched.
    recipe
        Configuration 0, and what the others are changes of.
    space
        What is varied.
    search
        The experiment's settings.
    """

    name: str
    model: str
    dataset: str
    seed: int
    recipe: Recipe
    space: Space
    search: Search


@dataclass(frozen=True)
class Plan:
    """All that is needed to run an experiment and to score it.

    Attributes
    ----------
    name, protocol, rule, store, device
        From the experiment.
    cohorts
        By dataset name.
    folds
        By dataset name, then by what is held out.
    validation
        By dataset name, seed and what is held out: the training clips that a search validates on.
    recipes
        The recipe of each model.
    inputs
        By dataset name and model: what the model eats there.
    codes
        The digest of each model's code.
    model_keys
        By dataset name and model: hash of the model's code and what it eats there.
    feature_keys
        By dataset name, feature name and member: the key of the bytes the plan was made for.
    jobs
        Those known beforehand, in the order they run: all folds of a model on a dataset together.
    studies
        Their jobs follow from what they find.
    plugins
        The experiment's model files, with their text: workers run them on other machines.
    weights
        Whether the weights of each fold are kept. They are no part of a job's id.
    """

    name: str
    protocol: str
    rule: str
    store: str
    device: str
    cohorts: Mapping[str, Cohort]
    folds: Mapping[str, Mapping[str, Fold]]
    validation: Mapping[str, Mapping[int, Mapping[str, tuple[str, ...]]]]
    recipes: Mapping[str, Recipe]
    inputs: Mapping[str, Mapping[str, tuple[InputSpec, ...]]]
    codes: Mapping[str, str]
    model_keys: Mapping[str, Mapping[str, str]]
    feature_keys: Mapping[str, Mapping[str, Mapping[str, str]]]
    jobs: tuple[Job, ...]
    studies: tuple[Study, ...]
    plugins: tuple[ModelFile, ...]
    weights: bool

    @cached_property
    def job(self) -> Mapping[str, Job]:
        """The jobs known beforehand, by id."""
        return {job.id: job for job in self.jobs}

    def recipe(self, job: Job) -> Recipe:
        """A job's training settings."""
        return job.recipe or self.recipes[job.model]

    def keeps_weights(self, job: Job) -> bool:
        """Whether the weights of a job are kept: those of its last epoch, none of what a search tries."""
        return self.weights and not job.inner

    def fold(self, job: Job) -> Fold:
        """The clips a job is trained on, and those it answers for."""
        if job.inner:
            return self._inner_fold(job.dataset, job.seed, job.held_out)
        return self.folds[job.dataset][job.held_out]

    def _inner_fold(self, dataset: str, seed: int, held_out: str) -> Fold:
        return _inner(self.folds[dataset][held_out], self.validation[dataset][seed][held_out])

    def validates(self, job: Job) -> tuple[str, ...]:
        """The clips that a job of a search validates on."""
        return self.validation[job.dataset][job.seed][job.held_out]

    def search_job(self, study: Study, recipe: Recipe, held_out: str) -> Job:
        """The job that tries a configuration on the inner division of a fold."""
        return self._job_of(study, recipe, held_out, inner=True)

    def final_job(self, study: Study, recipe: Recipe, held_out: str) -> Job:
        """The job that trains a chosen recipe on all training subjects of a fold."""
        return self._job_of(study, recipe, held_out, inner=False)

    def _job_of(self, study: Study, recipe: Recipe, held_out: str, *, inner: bool) -> Job:
        job = make_job(
            self.protocol,
            study.model,
            study.dataset,
            held_out,
            study.seed,
            recipe.changes(study.recipe),
            recipe_key(self.model_keys[study.dataset][study.model], recipe),
            self.key_of_fold(study.dataset, held_out, study.seed if inner else None),
        )
        return replace(job, recipe=recipe, inner=inner)

    def key_of_fold(self, dataset: str, held_out: str, seed: int | None) -> str:
        """Hash of a fold's clips and training classes; with a seed, of its inner division."""
        return self._fold_keys[dataset, seed, held_out]

    @cached_property
    def _fold_keys(self) -> Mapping[tuple[str, int | None, str], str]:
        """By dataset, seed of the inner division if it is one, and what is held out."""
        keys: dict[tuple[str, int | None, str], str] = {}
        for dataset, folds in self.folds.items():
            cohort = self.cohorts[dataset]
            keys |= {(dataset, None, held_out): fold_key(fold, cohort) for held_out, fold in folds.items()}
            for seed in self.validation.get(dataset, {}):
                for held_out in folds:
                    keys[dataset, seed, held_out] = fold_key(self._inner_fold(dataset, seed, held_out), cohort)
        return keys

    def save(self, path: Path) -> None:
        """Write the plan as one JSON document."""
        write_json(path, TypeAdapter(Plan).dump_python(self, mode="json"))

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


def make_job(
    protocol: str, model: str, dataset: str, held_out: str, seed: int, changes: str, of_recipe: str, of_fold: str
) -> Job:
    """A job with its id and random state; `of_recipe` and `of_fold` are what the functions below give."""
    chance = [model, protocol, held_out, of_fold, seed]
    job_id = digest([of_recipe, *chance])[:_ID_LETTERS]
    return Job(job_id, model, dataset, held_out, changes, seed, int(digest(chance)[:15], 16))


def recipe_key(model_key: str, recipe: Recipe) -> str:
    """Hash of a model and its training settings."""
    return digest([model_key, vars(recipe)])  # not asdict, whose deep copies took most of the time of making a job


def fold_key(fold: Fold, cohort: Cohort) -> str:
    """Hash of a fold: its training clips with their classes, the others without."""
    trained = [[clip_id, cohort.label_of[clip_id]] for clip_id in fold.train_ids]
    return digest([cohort.dataset, cohort.classes, trained, fold.test_ids])


def _inner(fold: Fold, validation: tuple[str, ...]) -> Fold:
    """A fold without its validation subjects in training; they are answered for, then the test clips."""
    out = frozenset(validation)
    train = tuple(clip_id for clip_id in fold.train_ids if clip_id not in out)
    return Fold(fold.protocol, fold.held_out, train, (*validation, *fold.test_ids))
