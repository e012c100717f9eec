"""Where folds go in a mixed cluster, and what happens to those that reach a machine with other code; without Ray."""

import itertools
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import workers
from ray.exceptions import ActorDiedError
from ray.tune.experiment import Trial

from mer_data.problems import Problem
from mer_data.storage.store import Store
from orchestrator.console import Advance, Console
from orchestrator.experiment.config import Experiment
from orchestrator.experiment.plan import Job, Plan
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve
from orchestrator.machines import ray_internals
from orchestrator.machines.code_version import unlike
from orchestrator.machines.resources import Resources
from orchestrator.output.ledger import Ledger
from orchestrator.sweep import tune_run as sweep
from orchestrator.sweep.dispatcher import TRIES, Dispatcher
from orchestrator.sweep.places import Place
from orchestrator.sweep.queue import JobQueue, Listed
from orchestrator.sweep.trial import FoldTrainable, Unfit
from orchestrator.sweep.tune_run import told_in_words, use_gpus

OTHER = Problem("machine late", "runs torch 1, here 2", "bring it")


@pytest.fixture(autouse=True)
def _no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.get", lambda result: result)
    monkeypatch.setattr("orchestrator.sweep.trial._PAUSE", 0.0)


@pytest.fixture
def plan(blob_store: Store) -> Plan:
    chosen = {"name": "t", "datasets": ["blobs"], "models": ["chance", "ststnet"], "seeds": list(range(4))}
    return make_plan(resolve(Experiment.model_validate(chosen), blob_store))


def as_actor(dispatcher: Dispatcher) -> Any:
    names = ("offer", "take", "commit", "fail", "refuse", "trouble", "running", "ended", "give_up")
    return SimpleNamespace(**{name: SimpleNamespace(remote=getattr(dispatcher, name)) for name in names})


def queue_of(plan: Plan, root: Path, have: Resources, model: str, **keys: Any) -> JobQueue:
    jobs = [job for job in plan.jobs if job.model == model]
    dispatcher = as_actor(Dispatcher(plan, root / "ledger"))
    progress = Advance("folds", len(jobs), "folds", None)
    return JobQueue([Listed(jobs)], dispatcher, Ledger(root / "ledger"), progress, have, retries=0, **keys)


def given(queue: JobQueue) -> Iterator[tuple[str, float]]:
    """The trials a queue gives out at a time, each with its share of a GPU."""
    for number in itertools.count():
        suggested = queue.suggest(str(number))
        if not isinstance(suggested, dict):
            return
        yield str(number), suggested["gpu"]


def finish(queue: JobQueue, trial: str, seconds: float = 1.0) -> None:
    """The only job of a trial has ended."""
    (one,) = queue._running[trial]
    queue.on_trial_complete(trial, {"job": one.job.id, "seconds": seconds, "memory": False, "unbegun": False})


def test_without_the_option_networks_wait_for_gpus_and_classical_models_hold_none(plan: Plan, tmp_path: Path) -> None:
    have = Resources(10, 1.0, 6)
    assert {share for _, share in given(queue_of(plan, tmp_path, have, "ststnet", gpu=True))} == {1 / 8}
    assert {share for _, share in given(queue_of(plan, tmp_path, have, "chance", gpu=True))} == {0.0}
    assert {share for _, share in given(queue_of(plan, tmp_path, have, "ststnet", gpu=False))} == {0.0}


def test_with_it_both_kinds_of_machines_train_and_each_fold_that_ends_makes_room_for_its_like(
    plan: Plan, tmp_path: Path
) -> None:
    # One machine with a GPU and 4 cores, others with 6 cores.
    both: dict[str, Any] = {"gpu": True, "cpu_folds": 6, "places": lambda job: Place(1 / 8)}
    queue = queue_of(plan, tmp_path, Resources(10, 1.0, 6), "ststnet", **both)
    first = list(given(queue))
    shares = [share for _, share in first]
    assert shares.count(0.0) == 6
    assert shares.count(1 / 8) == 4 + 2  # the cores beside the GPU, and two that wait
    on_cpu = next(trial for trial, share in first if share == 0.0)
    finish(queue, on_cpu)
    assert (queue.suggest("a") or {})["gpu"] == 0.0
    on_gpu = next(trial for trial, share in first if share)
    finish(queue, on_gpu)
    assert (queue.suggest("b") or {})["gpu"] == 1 / 8


def test_large_networks_stay_on_gpus(plan: Plan, tmp_path: Path) -> None:
    both: dict[str, Any] = {"gpu": True, "cpu_folds": 6, "places": lambda job: Place(1 / 4)}
    queue = queue_of(plan, tmp_path, Resources(10, 1.0, 6), "ststnet", **both)
    assert {share for _, share in given(queue)} == {1 / 4}


@pytest.mark.parametrize("here", [False, True])
def test_gpus_of_the_drivers_machine_decide_nothing(plan: Plan, monkeypatch: pytest.MonkeyPatch, here: bool) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: here)
    monkeypatch.setattr("torch.cuda.device_count", lambda: int(here))
    assert use_gpus(plan, Resources(4, 1.0))
    assert not use_gpus(plan, Resources(4, 0.0))
    assert use_gpus(replace(plan, device="both"), Resources(4, 1.0, 2))
    assert not use_gpus(replace(plan, device="both"), Resources(4, 0.0, 4))


@pytest.mark.parametrize("assigned", [[], ["0"]])
def test_a_worker_trains_where_ray_put_it(assigned: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker without a GPU of its own may see those of its machine all the same."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.set_per_process_memory_fraction", lambda share: None)
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: None)
    monkeypatch.setattr("ray.get_gpu_ids", lambda: assigned)
    context = SimpleNamespace(get_assigned_resources=lambda: {"GPU": 0.25})
    monkeypatch.setattr("ray.get_runtime_context", lambda: context)
    worker = object.__new__(FoldTrainable)
    worker.setup({"jobs": ["x"], "way": "plain"})
    assert worker._device == ("cuda" if assigned else "cpu")


def test_a_gpu_that_pytorch_cannot_use_is_told(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that is too old, or PyTorch's build for processors: Ray counts the GPU all the same."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("ray.get_gpu_ids", lambda: ["0"])
    dispatcher = Dispatcher(plan, tmp_path / "ledger")
    for _ in range(TRIES):
        worker = object.__new__(FoldTrainable)
        worker.setup({"jobs": [plan.jobs[0].id], "way": "plain"}, dispatcher=as_actor(dispatcher))
        with pytest.raises(RuntimeError, match="has a GPU that PyTorch"):
            worker.step()
    assert "set device: cpu" in str(dispatcher.trouble())


class DiedError(ActorDiedError):
    """With words of its own; Ray takes them from a message between processes."""

    def __str__(self) -> str:
        return str(self.args[0])

    def __init__(self, words: str) -> None:
        super().__init__()
        self.args = (words,)


def test_a_lost_worker_is_a_line_and_a_bug_a_traceback(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    log = logging.getLogger("ray.tune.execution.tune_controller")
    lost = DiedError("The actor died unexpectedly.\n\tip: 10.77.0.3\n")
    bug = DiedError("The actor died because of an error raised in its creation task: NameError")
    with told_in_words(Console()):
        for error in (lost, Unfit("machine late"), bug, ValueError("x")):
            log.error("Trial task failed", exc_info=error)
        logging.getLogger("ray.tune.tune").error("Trials did not complete: [FoldTrainable_1]")
    assert capsys.readouterr().err == "a worker was lost on 10.77.0.3\n"
    assert [type(record.exc_info[1]) for record in caplog.records if record.exc_info] == [DiedError, ValueError]
    log.error("Trial task failed", exc_info=lost)
    assert len(caplog.records) == 3


def test_other_code_or_libraries_are_told_apart() -> None:
    here = {"the project's code": "abc", "torch": "2.13.0"}
    assert unlike("late", dict(here), here) is None
    told = str(unlike("late", {**here, "torch": "2.12.0"}, here))
    assert told.startswith("machine late: runs torch 2.12.0, here 2.13.0 (bring the project")


def test_a_worker_looks_once_whether_it_runs_what_the_driver_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []

    def what_runs() -> dict[str, str]:
        looked.append(1)
        return {"torch": "1"}

    monkeypatch.setattr("orchestrator.sweep.trial.what_runs", what_runs)
    monkeypatch.setattr("ray.get_gpu_ids", list)
    for driver, refuses in (({"torch": "1"}, False), ({"torch": "2"}, True)):
        worker = object.__new__(FoldTrainable)
        worker.setup({"jobs": ["x"], "way": "plain"}, driver_runs=driver)
        for job in "yz":
            worker.reset_config({"jobs": [job], "way": "plain"})
        assert (worker._unfit is not None) is refuses
    assert len(looked) == 2


def test_machines_that_join_later_get_folds_too(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.sweep.queue.SECONDS_BETWEEN_COUNTS", 0.0)
    cluster = [Resources(1, 0.0, 1, machines=1, absent=1)]
    queue = queue_of(plan, tmp_path, cluster[0], "ststnet", gpu=False, recount=lambda: cluster[-1])
    before = len(list(given(queue)))
    cluster.append(Resources(9, 0.0, 9, machines=2))
    after = before + sum(queue.suggest(f"more {number}") is not None for number in range(20))
    cluster.append(Resources(1, 0.0, 1, machines=1))  # one is lost; it may come back
    assert after - before == 8
    assert queue.slots == 9
    queue.suggest("again")
    assert queue.slots == 9


def test_a_lost_gpu_is_still_counted(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine may join while the one with the GPU is away."""
    monkeypatch.setattr("orchestrator.sweep.queue.SECONDS_BETWEEN_COUNTS", 0.0)
    queue = queue_of(
        plan, tmp_path, Resources(2, 1.0), "ststnet", gpu=True, recount=lambda: Resources(8, 0.0, 8, machines=1)
    )
    assert (queue.suggest("a") or {})["gpu"] == 1 / 8
    finish(queue, "a", 8.0)
    assert queue.busy_seconds == 1.0


def test_folds_of_equal_shares_follow_each_other(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a worker process, which holds its share, serves all of them."""
    measured = {"chance": 1 / 4, "ststnet": 1 / 8}
    ran: list[float] = []

    def tune(queue: JobQueue, *_: Any) -> None:
        ran.extend(share for _, share in given(queue))
        queue.over = True

    actor = SimpleNamespace(options=lambda **_: SimpleNamespace(remote=lambda *of: as_actor(Dispatcher(*of))))
    monkeypatch.setattr("ray.remote", lambda of: actor)
    monkeypatch.setattr("ray.kill", lambda dispatcher: None)
    monkeypatch.setattr("ray.get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: "0" * 56))
    monkeypatch.setattr(sweep, "dashboard", lambda: None)
    monkeypatch.setattr(sweep, "find_places", lambda *_: lambda job: Place(measured[job.model]))
    monkeypatch.setattr(sweep, "_tune", tune)
    mixed = sorted(plan.jobs, key=lambda job: (job.seed, job.held_out))
    sweep.sweep(plan, mixed, [], tmp_path, Resources(64, 64.0), Console())
    assert ran == sorted(ran)
    assert set(ran) == set(measured.values())


def test_a_machine_with_other_code_trains_nothing_and_others_do(plan: Plan, tmp_path: Path) -> None:
    job, dispatcher = plan.jobs[0], Dispatcher(plan, tmp_path / "ledger")
    for _ in range(TRIES - 1):
        refused(dispatcher, job)
    assert dispatcher.trouble() is None
    assert Ledger(tmp_path / "ledger").ids() == set()
    workers.run_here(dispatcher, job)
    assert Ledger(tmp_path / "ledger").ids() == {job.id}


def test_a_sweep_ends_when_a_fold_finds_no_other_machine(plan: Plan, tmp_path: Path) -> None:
    queue = queue_of(plan, tmp_path, Resources(2, 0.0), "chance", gpu=False)
    suggested = queue.suggest("a")
    assert suggested is not None
    job = plan.job[suggested["jobs"][0]]
    for _ in range(TRIES):
        refused(queue._dispatcher, job)
    queue.on_trial_complete("a", None, error=True)
    assert queue.trouble == str(OTHER)
    assert queue.suggest("b") == "FINISHED"
    assert queue.over
    assert "machine late: runs torch 1, here 2" in Ledger(tmp_path / "ledger").failures()[job.id]


def refused(dispatcher: Any, job: Job) -> None:
    """What a worker on a machine with other code does with a fold."""
    worker = object.__new__(FoldTrainable)
    worker._dispatcher = as_actor(dispatcher) if isinstance(dispatcher, Dispatcher) else dispatcher
    worker._jobs, worker._device, worker._unfit = [job.id], "cpu", OTHER
    with pytest.raises(RuntimeError, match="machine late"):
        worker.step()


def test_what_tune_keeps_of_a_fold_that_has_ended_is_little() -> None:
    trial = Trial("x", stub=True)
    trial.update_last_result({"seconds": 1.0, "done": True})
    assert trial.run_metadata.metric_n_steps
    ray_internals.forget_metrics(trial)
    assert not trial.run_metadata.metric_analysis
    assert not trial.run_metadata.metric_n_steps
    assert trial.last_result["seconds"] == 1.0
