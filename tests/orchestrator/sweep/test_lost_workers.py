"""Which losses of a worker are tries of its fold, and when it is given out again; without Ray, by our own clock."""

from pathlib import Path

import pytest
from test_tune_run import as_actor, plan, queue_of

from orchestrator.experiment.plan import Plan
from orchestrator.machines.answers import PATIENCE, AskedMachines
from orchestrator.machines.resources import Resources
from orchestrator.output.ledger import Ledger
from orchestrator.sweep.dispatcher import TRIES, Dispatcher
from orchestrator.sweep.lost_workers import LostWorkers
from orchestrator.sweep.queue import JobQueue
from orchestrator.sweep.tune_run import takes

__all__ = ["plan"]  # a fixture


class Clock:
    """Seconds that pass when told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Lab:
    """Three machines, of which some are cut off, and some are called dead."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
        self.cut: set[str] = set()
        self.dead: set[str] = set()
        monkeypatch.setattr(
            "ray.nodes", lambda: [{"NodeID": name, "Alive": name not in self.dead} for name in ("a", "b", "c")]
        )
        monkeypatch.setattr("ray.wait", lambda asked, timeout: ([m for m in asked if m not in self.cut], []))
        monkeypatch.setattr("ray.get", lambda answer: answer)
        self.machines = AskedMachines(lambda machine: machine, clock)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Lab:
    return Lab(monkeypatch, clock)


def tried(losses: LostWorkers[str], job: str = "fold") -> str:
    """What becomes of a fold whose worker is lost now."""
    losses.gave(job)
    losses.add(job, job)
    return state(losses)


def state(losses: LostWorkers[str]) -> str:
    losses.settle()
    if losses.spent:
        return "spent"
    return "again" if losses.take() else "waits"


def test_losses_on_machines_that_live_count(lab: Lab, clock: Clock) -> None:
    losses = LostWorkers[str](lab.machines, clock)
    assert [tried(losses) for _ in range(TRIES)] == ["again"] * (TRIES - 1) + ["spent"]


def test_on_one_machine_all_of_them_count(clock: Clock) -> None:
    losses = LostWorkers[str](None, clock)
    assert [tried(losses) for _ in range(TRIES)] == ["again"] * (TRIES - 1) + ["spent"]


def test_a_loss_with_its_machine_is_no_try(lab: Lab, clock: Clock) -> None:
    losses = LostWorkers[str](lab.machines, clock)
    for machine in "abc" * 2:
        lab.dead = set()
        losses.gave("fold")
        lab.dead = {machine}
        losses.add("fold", "fold")
        clock.now += 1000
        assert state(losses) == "again"
    lab.dead = set()
    assert [tried(losses) for _ in range(TRIES)] == ["again"] * (TRIES - 1) + ["spent"]


def test_a_machine_that_is_cut_off_costs_no_try_before_anybody_calls_it_dead(lab: Lab, clock: Clock) -> None:
    losses = LostWorkers[str](lab.machines, clock)
    lab.cut = {"b"}
    assert tried(losses) == "waits"
    assert not losses.wait()  # it may yet answer
    clock.now += PATIENCE + 1
    assert state(losses) == "again"
    assert losses.wait()
    for _ in range(TRIES):  # nothing is given out as long as `wait` says so; but what is lost all the same is no try
        assert tried(losses) == "waits"
        clock.now += 500
        assert state(losses) == "again"
    lab.dead = {"b"}
    assert not losses.wait()


@pytest.mark.parametrize("end", ["answers", "is called dead", "neither"])
def test_nobody_is_sent_to_a_machine_that_does_not_answer(lab: Lab, clock: Clock, end: str) -> None:
    losses = LostWorkers[str](lab.machines, clock)
    lab.cut = {"b"}
    tried(losses)
    clock.now += PATIENCE + 1
    losses.settle()
    assert losses.wait()
    if end == "answers":
        lab.cut = set()
    elif end == "is called dead":
        lab.dead = {"b"}
    else:
        clock.now += 200
    assert not losses.wait()


def test_pauses_grow(lab: Lab, clock: Clock) -> None:
    losses, pauses = LostWorkers[str](lab.machines, clock), []
    for _ in range(9):
        lab.dead = set()
        losses.gave("fold")
        lab.dead = {"a"}
        losses.add("fold", "fold")
        since = clock.now
        while state(losses) != "again":
            clock.now += 1
        pauses.append(clock.now - since)
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def lose(queue: JobQueue, trial: str) -> str:
    """Give out a fold and lose its worker; the fold's id."""
    given = queue.suggest(trial)
    assert given is not None
    queue.on_trial_complete(trial, None, error=True)
    return str(given["jobs"][0])


def test_a_fold_is_lost_so_often_and_then_told(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.get", lambda result: result)
    queue = queue_of(plan, tmp_path, Resources(2, 0.0), "chance", gpu=False)
    lost = {lose(queue, str(number)) for number in range(TRIES)}
    assert len(lost) == 1
    assert queue.ended == 0
    assert (queue.suggest("next") or {})["jobs"][0] not in lost
    assert queue.ended == 1
    assert "was lost 3 times" in Ledger(tmp_path / "ledger").failures()[lost.pop()]


def test_the_next_try_of_a_lost_fold_has_a_process_of_its_own(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.get", lambda result: result)
    queue = queue_of(plan, tmp_path, Resources(2, 0.0), "chance", gpu=False)
    first = queue.suggest("0")
    queue.on_trial_complete("0", None, error=True)
    again, other = queue.suggest("1"), queue.suggest("2")
    assert first
    assert again
    assert other
    assert again["jobs"] == first["jobs"] != other["jobs"]
    assert takes(first) == takes(other) != takes(again)
    queue.on_trial_complete("1", None, error=True)
    assert takes(queue.suggest("3") or {}) not in (takes(first), takes(again))


def test_what_an_earlier_run_noted_is_no_reason_of_a_fold_that_was_lost(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.get", lambda result: result)
    for job in plan.jobs:
        Ledger(tmp_path / "ledger").record_failure(job.id, "an old one")
    queue = queue_of(plan, tmp_path, Resources(2, 0.0), "chance", gpu=False)
    assert lose(queue, "0") == (queue.suggest("1") or {})["jobs"][0]


def test_a_worker_that_was_ended_after_it_had_told_why_is_no_loss(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fold that takes too long ends its process."""
    monkeypatch.setattr("ray.get", lambda result: result)
    queue = queue_of(plan, tmp_path, Resources(2, 0.0), "chance", gpu=False)
    job = (queue.suggest("0") or {})["jobs"][0]
    queue._dispatcher.take.remote(job)
    queue._dispatcher.give_up.remote(job, "took too long")
    queue.on_trial_complete("0", None, error=True)
    assert queue.ended == 1
    assert Ledger(tmp_path / "ledger").failures() == {job: "took too long"}


def test_a_result_that_is_there_is_no_loss(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.get", lambda result: result)
    import workers

    queue = queue_of(plan, tmp_path, Resources(2, 0.0), "chance", gpu=False)
    job = (queue.suggest("0") or {})["jobs"][0]
    dispatcher = Dispatcher(plan, tmp_path / "ledger")
    workers.run_here(dispatcher, plan.job[job])
    queue.on_trial_complete("0", None, error=True)
    assert queue.ended == 1
    assert as_actor(dispatcher).ended.remote(job) == (None, False)
