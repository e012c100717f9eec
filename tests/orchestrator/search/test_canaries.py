"""Canaries of the first promise: a search that had seen whom it is scored on would show it here.

Each was seen to fail when its wall is broken: groups made by class, a search that sees its group, a race between
groups, an epoch chosen by held-out answers, an interval without its expansion (`../score/test_bootstrap.py`).
"""

from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from blobs import blob_clips, write_blobs
from optuna.storages import InMemoryStorage
from simulated import composite_clips, learner, plan_of, plan_where, simulate

from mer_data.hashing import digest
from mer_data.storage.store import Store
from mer_models.spec import Outcome, Recipe
from orchestrator.experiment.cohort import Cohort
from orchestrator.experiment.config import Experiment
from orchestrator.experiment.plan import Job, Plan, Study
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve
from orchestrator.output.ledger import Ledger
from orchestrator.report.leaderboard import score_document
from orchestrator.report.predictions import score_cells
from orchestrator.score.metrics import confusion, uf1
from orchestrator.score.validation import Choice, DivisionScore, counted
from orchestrator.search.study import StudyDriver

pytestmark = pytest.mark.usefixtures("without_waiting_for_the_disk")
DEFAULTS = {"groups": 5, "divisions": 5, "configurations": 20}


@dataclass
class Trace:
    """What a search did: its trainings in their order, its files, and the final training of each held-out subject."""

    trained: list[str] = field(default_factory=list)
    written: bytes = b""
    finals: dict[str, str] = field(default_factory=dict)


def traces(plan: Plan, out: Path, by: Cohort) -> dict[str, Trace]:
    """By group, what its search does if answers are right by some cohort."""
    found: defaultdict[str, Trace] = defaultdict(Trace)
    group_of = {name: group for group, members in plan.datasets["blobs"].groups.items() for name in members}

    def noting(plan: Plan, job: Job) -> Outcome:
        if job.division is None:
            found[group_of[job.held_out]].finals[job.held_out] = f"{job.id} {plan.recipe(job)}"
        else:
            found[job.held_out].trained.append(job.id)
        return learner(plan, job, by)

    simulate(plan, out, learn=noting)
    for study in plan.studies:
        found[study.group].written = (out / "search" / f"{study.name}.json").read_bytes()
    return found


def test_own_label(tmp_path: Path) -> None:
    """One subject has other classes: its group, and all that the group's search does for it, stay as they were."""
    store = Store(tmp_path / "store")
    write_blobs(store, "blobs", blob_clips(8, 4))
    plain = plan_of(store, **DEFAULTS)
    cohort, groups = plain.datasets["blobs"].cohort, plain.datasets["blobs"].groups
    before = traces(plain, tmp_path / "plain", cohort)
    moved = 0
    for number, subject in enumerate(sorted(set(cohort.subjects))):
        other = plan_where(store, {subject}, **DEFAULTS)
        assert other.datasets["blobs"].groups == groups
        # The learner is right by the true classes: only what the orchestrator does with the others could show.
        after = traces(other, tmp_path / str(number), cohort)
        own = next(group for group, members in groups.items() if subject in members)
        assert after[own].trained == before[own].trained
        assert after[own].written == before[own].written
        assert after[own].finals[subject] == before[own].finals[subject]
        moved += sum(after[group].written != before[group].written for group in groups if group != own)
    assert moved, "as a subject that others are trained on it counts"


class Guesses:
    """In place of what is known of trained jobs: each configuration's answer for a clip is a hash of both."""

    def __init__(self, plan: Plan, salt: int, epochs: int = 1) -> None:
        self._plan, self._salt, self._epochs = plan, salt, epochs
        self.cohort = plan.datasets["composite"].cohort
        self._position = {clip_id: index for index, clip_id in enumerate(self.cohort.clip_ids)}
        self.true = np.array([self.cohort.classes.index(label) for label in self.cohort.labels])
        self._known: dict[str, npt.NDArray[np.int64]] = {}

    def answers(self, recipe: Recipe) -> npt.NDArray[np.int64]:
        """Class index ``[epochs, clips]``."""
        name = f"{recipe.lr} {recipe.batch_size}"
        if name not in self._known:
            random = np.random.default_rng(int(digest([name, self._salt])[:8], 16))
            self._known[name] = random.integers(3, size=(self._epochs, len(self.true)))
        return self._known[name]

    def has(self, job: Job) -> bool:
        return True

    def note(self, job: Job) -> None:
        """Everything is known already."""

    def save(self) -> None:
        """Nothing is kept."""

    def division_score(self, study: Study, job: Job) -> DivisionScore:
        ids = self._plan.fold(job).test_ids
        rows = [self._position[clip_id] for clip_id in ids]
        _, subject = np.unique([self.cohort.subject_of[clip_id] for clip_id in ids], return_inverse=True)
        answers = self.answers(self._plan.recipe(job))[:, rows]
        counts = counted(answers, self.true[rows], subject, 3)
        return DivisionScore(tuple(range(1, self._epochs + 1)), counts, np.zeros((self._epochs, 3)), 0.0)

    def nested_uf1(self, choices: dict[str, Choice]) -> float:
        """UF1 of what the groups' choices answer for their subjects."""
        said = np.full(len(self.true), -1)
        for group, choice in choices.items():
            held_out = set(self._plan.datasets["composite"].groups[group])
            rows = [index for index, subject in enumerate(self.cohort.subjects) if subject in held_out]
            recipe = replace(self._plan.studies[0].recipe, **choice.params)
            said[rows] = self.answers(recipe)[choice.epoch - 1, rows]
        return float(uf1(confusion(self.true, said, 3)))

    def of_guessing(self, tables: int = 4000) -> float:
        """The mean UF1 of tables of guesses."""
        random = np.random.default_rng(0)
        said = random.integers(3, size=(tables, len(self.true)))
        return float(np.mean([uf1(confusion(self.true, table, 3)) for table in said]))


@pytest.fixture(scope="module")
def composite_plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """The published composite, 442 clips of 68 subjects, with default settings but a small space for a model."""
    store = Store(tmp_path_factory.mktemp("composite") / "store")
    with store.replacing("composite") as writer:
        writer.clips(composite_clips(), format_="test", frame_root=None)
    space = {"chance": {"lr": {"low": 1e-5, "high": 1e-1, "log": True}, "batch_size": [16, 32, 64]}}
    keys = {"name": "t", "datasets": ["composite"], "models": ["chance"], "search": {"space": space}}
    return make_plan(resolve(Experiment.model_validate(keys), store))


def searched(plan: Plan, salt: int, out: Path, epochs: int = 1) -> float:
    """The nested UF1 of one search for every group, of configurations that cannot learn."""
    guesses, storage, choices = Guesses(plan, salt, epochs), InMemoryStorage(), {}
    for study in plan.studies:
        seeded = replace(study, search=study.search.model_copy(update={"seed": salt}))
        driver = StudyDriver(plan, seeded, guesses, out, storage)  # type: ignore[arg-type]
        driver.advance()
        assert driver.chosen is not None
        choices[study.group] = driver.chosen
    return guesses.nested_uf1(choices)


def test_cannot_learn(composite_plan: Plan, tmp_path: Path) -> None:
    """Searches among configurations that guess are worth a guess: with races, TPE and 20 configurations."""
    found = [searched(composite_plan, salt, tmp_path / str(salt)) for salt in range(60)]
    truth, error = Guesses(composite_plan, 0).of_guessing(), np.std(found, ddof=1) / np.sqrt(len(found))
    assert abs(np.mean(found) - truth) < 2 * error, (np.mean(found), truth, error)


def test_many_epochs_of_guesses(composite_plan: Plan, tmp_path: Path) -> None:
    """Nor does a choice among a hundred epochs of each configuration lift guessing."""
    found = [searched(composite_plan, salt, tmp_path / str(salt), epochs=100) for salt in range(6)]
    truth = Guesses(composite_plan, 0).of_guessing()
    assert abs(np.mean(found) - truth) < 0.025, (np.mean(found), truth)


def test_guessing_stays_at_chance_unless_an_oracle_chooses(store: Store, tmp_path: Path) -> None:
    """From training to table: many epochs and configurations lift only the rules that look at the test side."""

    def guess(plan: Plan, job: Job) -> Outcome:
        epochs = tuple(plan.recipe(job).kept_epochs())
        draw = np.random.default_rng([job.random_state, round(1e9 * plan.recipe(job).lr), job.division is None])
        return Outcome(epochs, draw.normal(size=(len(epochs), len(plan.fold(job).test_ids), 3)).astype(np.float32))

    plan = plan_of(store, configurations=10, sampler="random", race=False)
    many = replace(plan, studies=tuple(replace(s, recipe=replace(s.recipe, epochs=60)) for s in plan.studies))
    simulate(many, tmp_path, learn=guess)
    ledger = Ledger(tmp_path / "ledger")
    scored = score_cells(many, ledger, partial=False)
    scores = {rule: score_document(many, ledger, scored, rule)["rows"][0] for rule in scored[0].predicted}
    low, high = scores["inner"]["uf1_interval"]
    assert low < 1 / 3 < high
    assert scores["inner"]["uf1"] < 0.45
    assert abs(scores["inner"]["search"]["bbc"]["uf1"] - 1 / 3) < 0.06
    assert scores["oracle-subject"]["uf1"] > 0.6
