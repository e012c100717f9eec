"""What an experiment consists of: folds, jobs, searches, and ids that are hashes of all that decides an outcome."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from mer_data.files import read, sealed_bytes, write_sealed
from mer_data.hashing import digest
from mer_data.problems import BadInput, Problem
from mer_data.protocols import Fold, splits
from mer_data.storage.store import VARIANT, original
from mer_models.plugins import ModelFile
from mer_models.spec import InputSpec, Recipe, Space
from orchestrator.experiment.cohort import Cohort
from orchestrator.experiment.search_splits import Division, Groups, search_splits
from orchestrator.experiment.sections import Search

_ID_LETTERS = 20
# Raised when the meaning of a job changes in a way that no other part of its id shows.
JOB_VERSION = 4
# Raised when a plan's file says something else, or says it otherwise.
PLAN_VERSION = 2


@dataclass(frozen=True)
class Job:
    """One training: model × dataset × fold × configuration × seed.

    Attributes
    ----------
    id
        Hash of the model's code, recipe, features, classes, training clips with their classes, other clips and seed.
        The classes of clips that are not trained on are no part of it.
    model, dataset, held_out, configuration, seed
        What a person calls it. A search's job holds out the group that it serves.
    random_state
        Seeds all randomness of the job. It derives from model, fold and seed alone, so that configurations are
        compared on the same draws, and a remark added to the code does not change the numbers.
    recipe
        Its training settings, if they are not the experiment's.
    division
        Which division of its group's pool it is trained and validated on, if it is a search's.
    """

    id: str
    model: str
    dataset: str
    held_out: str
    configuration: str
    seed: int
    random_state: int
    recipe: Recipe | None = None
    division: int | None = None


@dataclass(frozen=True)
class Study:
    """A hyper-parameter search: one model on one dataset with one seed, for one group of what is held out.

    Attributes
    ----------
    name
        Of its files and of its Optuna study; holds a hash of all that decides what it does.
    model, dataset, seed, group
        What is searched, and for whom.
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
    group: str
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
    groups
        For searches, by name: what is held out by the folds that one search serves; empty without a search.
    divisions
        By seed and group: the divisions of the clips that the group's search may see.
    inputs
        By model: what it eats.
    model_keys
        By model: hash of its code and of the features it eats.
    feature_keys
        By feature, then by dataset of the store: the key of the bytes this plan was made for.
    """

    cohort: Cohort
    folds: Mapping[str, Fold]
    groups: Groups
    divisions: Mapping[int, Mapping[str, tuple[Division, ...]]]
    inputs: Mapping[str, tuple[InputSpec, ...]]
    model_keys: Mapping[str, str]
    feature_keys: Mapping[str, Mapping[str, str]]

    def fold(self, held_out: str, seed: int, division: int | None) -> Fold:
        """A fold; or of a search's division, training against validation clips."""
        if division is None:
            return self.folds[held_out]
        of_group = self.divisions[seed][held_out][division]
        return Fold("division", held_out, of_group.train_ids, of_group.validation_ids)

    def fold_key(self, held_out: str, seed: int, division: int | None) -> str:
        """Hash of a fold or division: its training clips with their classes, the others without."""
        return self._fold_keys[held_out, None if division is None else (seed, division)]

    @cached_property
    def _fold_keys(self) -> Mapping[tuple[str, tuple[int, int] | None], str]:
        # What models share is hashed once per fold: hashing is what planning costs.
        keys: dict[tuple[str, tuple[int, int] | None], str] = {
            (held_out, None): self._key(fold) for held_out, fold in self.folds.items()
        }
        for seed, by_group in self.divisions.items():
            for group, divisions in by_group.items():
                for number in range(len(divisions)):
                    keys[group, (seed, number)] = self._key(self.fold(group, seed, number))
        return keys

    def _key(self, fold: Fold) -> str:
        cohort = self.cohort
        trained = [[clip_id, cohort.label_of[clip_id]] for clip_id in fold.train_ids]
        return digest([original(cohort.dataset), cohort.classes, trained, fold.test_ids])


@dataclass(frozen=True)
class Plan:
    """All that is needed to run an experiment and to score it.

    Attributes
    ----------
    version
        Of the plan's own form.
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
    networks
        The models whose answers are logits of probabilities. Scores of other models only order the classes.
    definitions
        By key of a feature: what it is, as :meth:`FeatureSpec.describe` gives it. Older plans do not tell.
    """

    version: int
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
    networks: tuple[str, ...] = ()  # plans that do not tell are read too
    definitions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @cached_property
    def job(self) -> Mapping[str, Job]:
        """The jobs known beforehand, by id."""
        return {job.id: job for job in self.jobs}

    def recipe(self, job: Job) -> Recipe:
        """A job's training settings."""
        return job.recipe or self.recipes[job.model]

    def keeps_weights(self, job: Job) -> bool:
        """Whether the weights of a job are kept: those of its last epoch, none of what a search tries."""
        return self.weights and job.division is None

    def fold(self, job: Job) -> Fold:
        """The clips a job is trained on, and those it answers for: held-out ones, or in a search validation clips."""
        return self.datasets[job.dataset].fold(job.held_out, job.seed, job.division)

    def search_job(self, study: Study, recipe: Recipe, division: int) -> Job:
        """The job that tries a configuration on a division."""
        return self._job_of(study, recipe, study.group, division)

    def final_job(self, study: Study, recipe: Recipe, held_out: str) -> Job:
        """The job that trains a chosen recipe on all training clips of a fold."""
        return self._job_of(study, recipe, held_out, None)

    def _job_of(self, study: Study, recipe: Recipe, held_out: str, division: int | None) -> Job:
        planned = self.datasets[study.dataset]
        job = make_job(
            self.protocol,
            study.model,
            study.dataset,
            held_out,
            study.seed,
            recipe.changes(study.recipe),
            recipe_key(planned.model_keys[study.model], recipe),
            planned.fold_key(held_out, study.seed, division),
        )
        return replace(job, recipe=recipe, division=division)

    def split_files(self) -> dict[str, str]:
        """Who trains, validates and tests: texts by the names of their CSV files, one or two per dataset."""
        texts = {f"splits-{name}.csv": splits(planned.folds.values()) for name, planned in self.datasets.items()}
        for name, planned in self.datasets.items():
            if planned.groups:
                texts[f"search-splits-{name}.csv"] = search_splits(planned.groups, planned.divisions)
        return texts

    def save(self, path: Path) -> None:
        """Write the plan as one JSON document."""
        write_sealed(path, TypeAdapter(Plan).dump_python(self, mode="json"))

    @staticmethod
    def load(path: Path) -> Plan:
        """Read a plan that :meth:`save` wrote.

        Raises
        ------
        BadInput
            If it is missing or damaged.
        """

        def parse() -> Plan:
            document = json.loads(sealed_bytes(path))
            if isinstance(document, dict) and document.get("version", 1) != PLAN_VERSION:
                what = "was written by another version of this program"
                remedy = "run the same experiment again: what it has in common with this version is not trained again"
                raise BadInput(Problem(str(path), what, remedy))
            return TypeAdapter(Plan).validate_python(document)

        remedy = "give the output folder of `mer run`, or run the experiment again"
        plan: Plan = read(path, parse, remedy)
        return plan


def of_older_search(path: Path) -> bool:
    """Whether a plan's file is of a version whose searches were divided otherwise, and has any."""
    try:
        document = json.loads(path.read_bytes())
    except (FileNotFoundError, IsADirectoryError, ValueError, RecursionError):
        return False  # whatever it was, it is written anew
    return isinstance(document, dict) and document.get("version", 1) < PLAN_VERSION and bool(document.get("studies"))


def make_job(
    protocol: str, model: str, dataset: str, held_out: str, seed: int, changes: str, of_recipe: str, of_fold: str
) -> Job:
    """A job with its id and random state, which is the same in all variants of a dataset.

    `of_recipe` is what :func:`recipe_key` gives, `of_fold` what :meth:`PlannedDataset.fold_key` gives.
    """
    chance = [model, protocol, held_out, of_fold, seed]
    variant = dataset.partition(VARIANT)[2]
    job_id = digest([of_recipe, *chance, *([variant] if variant else [])])[:_ID_LETTERS]
    return Job(job_id, model, dataset, held_out, changes, seed, int(digest(chance)[:15], 16))


def model_key(
    name: str,
    code: str,
    inputs: Sequence[InputSpec],
    feature_keys: Mapping[str, Mapping[str, str]],
    version: int = JOB_VERSION,
) -> str:
    """Hash of a model's code and of the features it eats on a dataset; `version` is what :data:`JOB_VERSION` was."""
    eaten = [[asdict(taken), list(feature_keys[taken.feature].values())] for taken in inputs]
    return digest([version, name, code, eaten])


def recipe_key(of_model: str, recipe: Recipe) -> str:
    """Hash of a model, as :func:`model_key` gives it, and its training settings."""
    return digest([of_model, vars(recipe)])  # not asdict, whose deep copies took most of the time of making a job
