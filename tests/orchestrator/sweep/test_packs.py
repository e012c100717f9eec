"""Packs: one trial of several jobs, each of which ends by itself; without Ray and without a GPU."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tape import Plain
from test_tune_run import as_actor
from workers import run_here

from mer_data.storage.store import Store
from mer_models.recorded import Lane
from orchestrator.console import Advance
from orchestrator.experiment.config import Experiment
from orchestrator.experiment.plan import Job, Plan
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve
from orchestrator.machines.resources import Resources
from orchestrator.output.ledger import Ledger
from orchestrator.sweep.dispatcher import Dispatcher
from orchestrator.sweep.places import Place
from orchestrator.sweep.queue import JobQueue, Listed
from orchestrator.sweep.trial import FoldTrainable, Spoilt

ONE_GPU = Resources(8, 1.0)
PACKED = Place(1 / 8, "graph", 4)


@pytest.fixture(autouse=True)
def _no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.get", lambda result: result)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)


@pytest.fixture
def plan(blob_store: Store) -> Plan:
    chosen = {"name": "t", "datasets": ["blobs"], "models": ["chance", "ststnet", "ststnet_table"]}
    # These draw dropout or orders, not both: on a processor the plain loop has the bytes of lanes then.
    recipes = {name: {"epochs": 4, "batch_size": 8} for name in ("ststnet", "ststnet_table")}
    return make_plan(resolve(Experiment.model_validate({**chosen, "recipes": recipes}), blob_store))


class Sweep:
    """A queue, a dispatcher and a ledger, with workers in this process."""

    def __init__(
        self, plan: Plan, root: Path, place: Callable[[Job], Place], have: Resources = ONE_GPU, **keys: Any
    ) -> None:
        self.dispatcher, self.ledger = Dispatcher(plan, root / "ledger"), Ledger(root / "ledger")
        actor = as_actor(self.dispatcher)
        actor.note_epoch = SimpleNamespace(remote=self.dispatcher.note_epoch)
        self.actor = actor
        jobs = [job for job in plan.jobs if job.model != "chance"]
        progress = Advance("folds", len(jobs), "folds", None)
        self.queue = JobQueue([Listed(jobs)], actor, self.ledger, progress, have, gpu=True,
                              **{"retries": 0, "places": place, **keys})  # fmt: skip
        self.trials: list[list[str]] = []
        self.workers: list[FoldTrainable] = []  # those of a cluster wait for the next trial
        self.minutes: float | None = None

    def run(self, lane: Callable[[], Lane] = Plain, lose: Callable[[int], bool] = lambda trial: False) -> None:
        """Give out all trials one after the other; a worker that is lost is lost after its first fold has ended."""
        while isinstance(config := self.queue.suggest(trial := str(len(self.trials))), dict):
            self.trials.append(config["jobs"])
            worker = object.__new__(type("Worker", (FoldTrainable,), {"make_lane": staticmethod(lane)}))
            worker._dispatcher, worker._device, worker._fold_minutes = self.actor, "cpu", self.minutes
            self.workers.append(worker)
            worker.reset_config(config)
            with suppress(Spoilt):
                for result in self._results(worker):
                    if result["done"]:
                        self.queue.on_trial_complete(trial, result)
                        break
                    self.queue.on_trial_result(trial, result)
                    if lose(len(self.trials)):
                        raise Spoilt("lost")
                continue
            self.queue.on_trial_complete(trial, None, error=True)

    @staticmethod
    def _results(worker: FoldTrainable) -> Iterator[dict[str, Any]]:
        while True:
            yield worker.step()

    def logits(self) -> dict[str, bytes]:
        return {job_id: self.ledger.read(job_id).logits.tobytes() for job_id in self.ledger.ids()}


@pytest.fixture
def plain(plan: Plan, tmp_path: Path) -> dict[str, bytes]:
    """Every job's logits, trained alone."""
    dispatcher = Dispatcher(plan, tmp_path / "plain")
    for job in plan.jobs:
        if job.model != "chance":
            run_here(dispatcher, job)
    ledger = Ledger(tmp_path / "plain")
    return {job_id: ledger.read(job_id).logits.tobytes() for job_id in ledger.ids()}


@pytest.mark.parametrize("most", [1, 2, 4, 32])
def test_packs_of_any_size_give_the_results_of_folds_alone(
    plan: Plan, tmp_path: Path, plain: dict[str, bytes], most: int
) -> None:
    sweep = Sweep(plan, tmp_path, lambda job: Place(1 / 32, "graph", most))
    sweep.run()
    assert sweep.logits() == plain
    assert max(map(len, sweep.trials)) == min(most, len(plain))
    entries = [sweep.ledger.read(job_id) for job_id in plain]
    assert {entry.environment["way"] for entry in entries} == {"graph"}
    assert all(entry.seconds > 0 for entry in entries)
    assert sweep.queue.ended == len(plain)


def test_a_pack_takes_a_whole_gpu_and_is_shared_fairly_among_them(plan: Plan, tmp_path: Path) -> None:
    jobs = sum(job.model != "chance" for job in plan.jobs)
    queue = Sweep(plan, tmp_path, lambda job: Place(1 / 32, "graph", 32), Resources(8, 3.0)).queue
    sizes = []
    for trial in "abc":
        config = queue.suggest(trial)
        assert config is not None
        assert (config["gpu"], config["way"]) == (1.0, "graph")
        sizes.append(len(config["jobs"]))
    assert sizes[0] == -(-jobs // 3)
    assert min(sizes) > 1


def test_what_goes_alone_is_in_no_pack_and_holds_its_share(plan: Plan, tmp_path: Path, plain: dict[str, bytes]) -> None:
    sweep = Sweep(plan, tmp_path, lambda job: PACKED if job.model == "ststnet" else Place(1 / 8))
    sweep.run()
    models = [sorted({plan.job[job_id].model for job_id in trial}) for trial in sweep.trials]
    assert all(len(names) == 1 for names in models)
    assert max(len(trial) for trial, names in zip(sweep.trials, models, strict=True) if names == ["ststnet_table"]) == 1
    assert max(map(len, sweep.trials)) == 4
    assert sweep.logits() == plain


def test_a_lost_pack_gives_back_only_what_had_not_ended_and_each_alone(
    plan: Plan, tmp_path: Path, plain: dict[str, bytes]
) -> None:
    sweep = Sweep(plan, tmp_path, lambda job: PACKED)
    sweep.run(lose=lambda trial: trial == 1)
    first = sweep.trials[0]
    again = [trial for trial in sweep.trials[1:] if set(trial) & set(first)]
    assert [len(trial) for trial in again] == [1, 1, 1]
    assert sweep.logits() == plain
    assert {sweep.ledger.read(trial[0]).environment.get("way", "plain") for trial in again} == {"plain"}


def test_where_recording_fails_all_is_trained_operator_by_operator(
    plan: Plan, tmp_path: Path, plain: dict[str, bytes]
) -> None:
    class Broken(Plain):
        def record(self, work: Callable[[], None]) -> Callable[[], None]:
            raise RuntimeError("capture failed")

    sweep = Sweep(plan, tmp_path, lambda job: PACKED)
    sweep.run(Broken)
    assert sweep.logits() == plain
    assert not sweep.ledger.failures()


def test_a_pack_that_the_memory_does_not_hold_is_halved(plan: Plan, tmp_path: Path, plain: dict[str, bytes]) -> None:
    made: list[Lane] = []

    class Small(Plain):
        """Of a GPU that holds two folds at a time."""

        def __init__(self) -> None:
            if sum(1 for lane in made if lane is not None) >= 2:
                made.clear()
                raise torch.cuda.OutOfMemoryError("full")
            super().__init__()
            made.append(self)

    sweep = Sweep(plan, tmp_path, lambda job: PACKED)
    sweep.run(Small)
    assert sweep.logits() == plain
    assert len(sweep.trials[0]) == 4
    assert not sweep.ledger.failures()
    again = [trial for trial in sweep.trials[1:] if set(trial) & set(sweep.trials[0])]
    assert [len(trial) for trial in again] == [2], "the two that were not begun, in a pack of half the size"


def test_one_that_diverges_fails_alone_and_is_tried_as_often_as_is_wanted(
    plan: Plan, tmp_path: Path, plain: dict[str, bytes]
) -> None:
    bad = next(job for job in plan.jobs if job.model == "ststnet")
    sweep = Sweep(plan, tmp_path, lambda job: PACKED, retries=1)
    take = sweep.dispatcher.take

    def diverging(job_id: str) -> Any:
        from dataclasses import replace

        work = take(job_id)
        assert work is not None
        return replace(work, recipe=replace(work.recipe, lr=1e30)) if job_id == bad.id else work

    sweep.actor.take = SimpleNamespace(remote=diverging)
    sweep.run()
    assert sweep.logits() == {job_id: logits for job_id, logits in plain.items() if job_id != bad.id}
    assert "not finite" in sweep.ledger.failures()[bad.id]
    assert sum(bad.id in trial for trial in sweep.trials) == 2


def test_a_pack_that_hangs_ends_its_process_and_names_nobody(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which of them hangs is found when they are tried alone, where the limit is that of one fold."""
    ends: list[int] = []
    monkeypatch.setattr("os._exit", ends.append)
    worker = object.__new__(FoldTrainable)
    dispatcher = Dispatcher(plan, tmp_path / "ledger")
    worker._dispatcher, worker._fold_minutes = as_actor(dispatcher), 0.1 / 60
    jobs = [job.id for job in plan.jobs[:4]]
    with worker._watched(jobs):
        time.sleep(0.2)
        assert not ends, "each has its time"
        time.sleep(0.6)
    assert ends == [1]
    assert not Ledger(tmp_path / "ledger").failures()
    with worker._watched(jobs[:1]):
        time.sleep(0.5)
    assert ends == [1, 1]
    assert "took longer than" in Ledger(tmp_path / "ledger").failures()[jobs[0]]


@pytest.mark.parametrize("most", [1, 4])
def test_what_has_ended_is_watched_no_more(plan: Plan, tmp_path: Path, plain: dict[str, bytes], most: int) -> None:
    """A worker may wait for its next fold longer than a fold may take."""
    sweep = Sweep(plan, tmp_path, lambda job: Place(1 / 8, "graph", most))
    sweep.minutes = 10.0
    before = set(threading.enumerate())
    sweep.run()
    watches = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    for watch in set(watches) - before:
        watch.join(timeout=5)  # one that was called off ends soon
        assert not watch.is_alive()
    assert sweep.logits() == plain
    assert not sweep.ledger.failures()


def test_a_search_fills_a_pack_with_what_it_has_now(plan: Plan, tmp_path: Path) -> None:
    class Slow:
        """Gives three jobs, and the next ones only when those have ended."""

        def __init__(self, jobs: list[Job]) -> None:
            self.jobs, self.out = jobs, 0

        def take(self) -> Job | None:
            if self.out == 3 or not self.jobs:
                return None
            self.out += 1
            return self.jobs.pop()

        def finish(self, job: Job, failure: str | None) -> None:
            self.out -= 1

        @property
        def left(self) -> int:
            return len(self.jobs)

    sweep = Sweep(plan, tmp_path, lambda job: Place(1 / 8, "graph", 8))
    sweep.queue._sources[:] = [Slow([job for job in plan.jobs if job.model == "ststnet"])]
    sweep.run()
    assert [len(trial) for trial in sweep.trials] == [3, 3]
