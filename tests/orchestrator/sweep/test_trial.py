"""A fold's clock, and how far it is while it runs."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from workers import run_here

from mer_data.storage.store import Store
from mer_models import spec as registry
from mer_models.spec import FoldArrays, ModelSpec, Outcome, Recipe, models
from orchestrator.console import Advance
from orchestrator.experiment.config import Experiment
from orchestrator.experiment.plan import Plan
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve
from orchestrator.machines.resources import Resources
from orchestrator.output.ledger import Ledger
from orchestrator.output.running import Running
from orchestrator.output.status import status
from orchestrator.sweep import trial
from orchestrator.sweep.dispatcher import Dispatcher
from orchestrator.sweep.queue import JobQueue, Listed


@pytest.fixture
def plan(blob_store: Store) -> Plan:
    wanted = {"name": "t", "store": str(blob_store.root), "datasets": ["blobs"], "models": ["ststnet"]}
    recipes = {"ststnet": {"epochs": 4}}
    return make_plan(resolve(Experiment.model_validate({**wanted, "recipes": recipes}), blob_store))


def test_what_a_first_training_imports_is_no_time_of_its_fold(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, calls = models()["ststnet"], iter(range(10))

    def slow_at_first(spec: ModelSpec, arrays: FoldArrays, recipe: Recipe, seed: int, device: str) -> Outcome:
        time.sleep(0.0 if next(calls) else 2.0)
        return known.fit(spec, arrays, recipe, seed, device)

    monkeypatch.setitem(registry.REGISTRY, "ststnet", replace(known, fit=slow_at_first))
    monkeypatch.setattr(trial, "_REHEARSED", set())
    dispatcher, ledger = Dispatcher(plan, tmp_path / "ledger"), Ledger(tmp_path / "ledger")
    for job in plan.jobs[:2]:
        run_here(dispatcher, job)
    assert next(calls) == 3  # once to rehearse
    assert ledger.read(plan.jobs[0].id).seconds < 1.0


def test_a_model_that_cannot_be_rehearsed_fails_in_its_fold(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Outcome:
        raise ArithmeticError("it never works")

    monkeypatch.setitem(registry.REGISTRY, "ststnet", replace(models()["ststnet"], fit=broken))
    monkeypatch.setattr(trial, "_REHEARSED", set())
    run_here(Dispatcher(plan, tmp_path / "ledger"), plan.jobs[0])
    assert "it never works" in Ledger(tmp_path / "ledger").failures()[plan.jobs[0].id]


def test_status_tells_the_epoch_of_what_runs(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dispatcher, ledger, job = Dispatcher(plan, tmp_path / "ledger"), Ledger(tmp_path / "ledger"), plan.jobs[0]
    dispatcher.take(job.id)
    assert [known["done"] for known in status(plan, ledger)["running"]] == [0]
    dispatcher.note_epoch(job.id, 3, 4)
    (told,) = status(plan, ledger)["running"]
    assert (told["model"], told["fold"], told["done"], told["of"]) == ("ststnet", f"blobs: {job.held_out}", 3, 4)
    assert 0 <= time.time() - told["since"] < 60
    heard: list[tuple[int, int]] = []
    monkeypatch.setattr(trial, "_SECONDS_BETWEEN_EPOCHS", 0.0)
    monkeypatch.setattr(dispatcher, "note_epoch", lambda _, done, of: heard.append((done, of)))
    run_here(dispatcher, job)
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert status(plan, ledger)["running"] == []
    dispatcher.note_epoch(job.id, 4, 4)  # it may come after the end
    assert status(plan, ledger)["running"] == []


def test_the_bar_moves_within_folds(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ray.get", lambda result: result)
    monkeypatch.setattr("orchestrator.sweep.queue._SECONDS_BETWEEN_QUESTIONS", 0.0)
    monkeypatch.setattr("orchestrator.console._SECONDS_BETWEEN_LINES", 0.0)
    first, second = plan.jobs[:2]
    now = {first.id: Running(time.time() - 100, 25, 100), second.id: Running(time.time() - 100, 50, 100)}
    dispatcher = SimpleNamespace(running=SimpleNamespace(remote=lambda: now))
    progress = Advance("folds", len(plan.jobs), "folds", None)
    have, ledger = Resources(2, 0.0), Ledger(tmp_path)
    queue = JobQueue([Listed(plan.jobs)], dispatcher, ledger, progress, have, gpu=False, retries=0)
    for name in "abc":
        queue.suggest(name)
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("folds: 0/6 folds, ststnet on blobs, epoch 50 of 100; ")
    assert "left" not in said, "two folds have not ended"
    now[first.id], now[second.id] = Running(time.time() - 100, 99, 100), Running(time.time() - 100, 99, 100)
    queue.ended = 1
    queue.suggest("d")
    assert " left" in capsys.readouterr().err.splitlines()[-1]
