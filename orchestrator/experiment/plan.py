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
from orchestrator.experiment.cohort import Cohort
from orchestrator.experiment.config import Search

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
        Of its files and of its Optuna study; holds a hash of all that decides its history.
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
class PlannedDataset:
    """What a plan holds of a dataset.

    Attributes
    ----------
    cohort
        Clips, classes, subjects.
    folds
        By what is held out.
    validation
        For searches, by seed and by what is held out: the training clips to validate on.
    inputs
        By model: what it eats.
    model_keys
        By model: hash of its code and of the features it eats.
    feature_keys
        By feature, then by dataset of the store: the key of the bytes this plan was made for.
    """

    cohort: Cohort
    folds: Mapping[str, Fold]
    validation: Mapping[int, Mapping[str, tuple[str, ...]]]
    inputs: Mapping[str, tuple[InputSpec, ...]]
    model_keys: Mapping[str, str]
    feature_keys: Mapping[str, Mapping[str, str]]

    def inner_fold(self, held_out: str, seed: int) -> Fold:
        """A fold without its validation subjects in training; they are answered for, then the test clips."""
        fold, validation = self.folds[held_out], self.validation[seed][held_out]
        validating = frozenset(validation)
        train = tuple(clip_id for clip_id in fold.train_ids if clip_id not in validating)
        return Fold(fold.protocol, fold.held_out, train, (*validation, *fold.test_ids))

    def fold_key(self, held_out: str, seed: int | None) -> str:
        """Hash of a fold, or with a seed of its inner division; of the classes, only those of training clips count."""
        return self._fold_keys[held_out, seed]

    @cached_property
    def _fold_keys(self) -> Mapping[tuple[str, int | None], str]:
        # What models share is hashed once per fold: hashing is what planning costs.
        keys: dict[tuple[str, int | None], str] = {}
        for held_out, fold in self.folds.items():
            keys[held_out, None] = self._key(fold)
            keys |= {(held_out, seed): self._key(self.inner_fold(held_out, seed)) for seed in self.validation}
        return keys

    def _key(self, fold: Fold) -> str:
        cohort = self.cohort
        trained = [[clip_id, cohort.label_of[clip_id]] for clip_id in fold.train_ids]
        return digest([cohort.dataset, cohort.classes, trained, fold.test_ids])


@dataclass(frozen=True)
class Plan:
    """All that is needed to run an experiment and to score it.

    Attributes
    ----------
    name, protocol, rule, store, device
        From the experiment.
    datasets
        By name.
    recipes
        By model name: the training settings of this experiment.
    codes
        By model name: the digest of the model's code.
    jobs
        Those known beforehand, in the order they run: all folds of a model on a dataset together.
    studies
        Their jobs follow from what they find.
    model_files
        The experiment's model files, with their text: workers run them on other machines.
    weights
        Whether the weights of each fold are kept. They are no part of a job's id.
    """

    name: str
    protocol: str
    rule: str
    store: str
    device: str
    datasets: Mapping[str, PlannedDataset]
    recipes: Mapping[str, Recipe]
    codes: Mapping[str, str]
    jobs: tuple[Job, ...]
    studies: tuple[Study, ...]
    model_files: tuple[ModelFile, ...]
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
        planned = self.datasets[job.dataset]
        return planned.inner_fold(job.held_out, job.seed) if job.inner else planned.folds[job.held_out]

    def validates(self, job: Job) -> tuple[str, ...]:
        """The clips that a job of a search validates on."""
        return self.datasets[job.dataset].validation[job.seed][job.held_out]

    def search_job(self, study: Study, recipe: Recipe, held_out: str) -> Job:
        """The job that tries a configuration on the inner division of a fold."""
        return self._job_of(study, recipe, held_out, inner=True)

    def final_job(self, study: Study, recipe: Recipe, held_out: str) -> Job:
        """The job that trains a chosen recipe on all training subjects of a fold."""
        return self._job_of(study, recipe, held_out, inner=False)

    def _job_of(self, study: Study, recipe: Recipe, held_out: str, *, inner: bool) -> Job:
        planned = self.datasets[study.dataset]
        job = make_job(
            self.protocol,
            study.model,
            study.dataset,
            held_out,
            study.seed,
            recipe.changes(study.recipe),
            recipe_key(planned.model_keys[study.model], recipe),
            planned.fold_key(held_out, study.seed if inner else None),
        )
        return replace(job, recipe=recipe, inner=inner)

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
    """A job with its id and random state.

    `of_recipe` is what :func:`recipe_key` gives, `of_fold` what :meth:`PlannedDataset.fold_key` gives.
    """
    chance = [model, protocol, held_out, of_fold, seed]
    job_id = digest([of_recipe, *chance])[:_ID_LETTERS]
    return Job(job_id, model, dataset, held_out, changes, seed, int(digest(chance)[:15], 16))


def recipe_key(model_key: str, recipe: Recipe) -> str:
    """Hash of a model and its training settings."""
    return digest([model_key, vars(recipe)])  # not asdict, whose deep copies took most of the time of making a job
