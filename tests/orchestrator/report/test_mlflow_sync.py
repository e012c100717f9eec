"""MLflow mirrors a search, and a server that goes away in the middle costs nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from blobs import blob_clips, write_blobs
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from simulated import histories, learner, plan_of, simulate

from mer_data.editions import Edition
from mer_data.problems import BadInput
from mer_data.storage.store import Store
from mer_models.spec import Outcome
from orchestrator.experiment.plan import Job, Plan
from orchestrator.output.ledger import Ledger
from orchestrator.report import mlflow_sync
from orchestrator.report.predictions import score_cells


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    store = Store(tmp_path / "store")
    write_blobs(store, "blobs", blob_clips(), edition=Edition("2019", 255, "0123abc"))
    return plan_of(store, configurations=3, groups=2)


def sync(plan: Plan, out: Path) -> None:
    mlflow_sync.sync(plan, score_cells(plan, Ledger(out / "ledger"), partial=True), out)


def written(out: Path) -> Iterator[Run]:
    """The runs of configurations, by group and number."""
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{out.parent / 'mlflow.db'}")
    everywhere = [experiment.experiment_id for experiment in client.search_experiments()]
    yield from sorted(
        client.search_runs(everywhere, "tags.level = 'configuration'"),
        key=lambda run: (run.data.tags["group"], int(run.data.tags["number"])),
    )


def content(out: Path) -> list[tuple[Any, ...]]:
    return [(run.info.run_name, run.info.status, run.data.metrics, run.data.params) for run in written(out)]


def test_a_server_lost_in_the_middle_is_told_and_mended(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, other = tmp_path / "a/out", tmp_path / "b/out"
    for folder in (out, other):
        simulate(plan, folder)
    log_batch, calls = mlflow.MlflowClient.log_batch, iter(range(100))

    def lost(self: mlflow.MlflowClient, *arguments: Any, **named: Any) -> None:
        # The first two belong to the whole, the third to the first configuration.
        if next(calls) == 3:
            raise MlflowException("connection refused")
        log_batch(self, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "log_batch", lost)
        with pytest.raises(BadInput, match="cannot be written: connection refused"):
            sync(plan, out)
    halfway = list(written(out))
    assert 0 < len(halfway) < 6, "the server should be lost between configurations"
    assert halfway[-1].info.status == "RUNNING"
    for folder in (out, other):
        sync(plan, folder)
    assert content(out) == content(other)
    assert len(content(out)) == 6
    assert {status for _, status, *_ in content(out)} == {"FINISHED"}


def test_a_configuration_that_failed_and_was_tried_again_is_brought_up_to_date(plan: Plan, tmp_path: Path) -> None:
    out = tmp_path / "runs/out"

    def fragile(plan: Plan, job: Job) -> Outcome:
        if plan.recipe(job).lr != 1e-4 and job.division is not None:
            raise ArithmeticError("the loss diverged")
        return learner(plan, job)

    simulate(plan, out, learn=fragile)
    sync(plan, out)
    first = list(written(out))
    assert {run.info.status for run in first if run.data.tags["number"] != "0"} == {"FAILED"}
    assert first[1].data.tags["reason"].endswith("the loss diverged")
    simulate(plan, out)
    sync(plan, out)
    again = list(written(out))
    tried = [known.state for history in histories(plan, out) for known in history.configurations]
    assert [run.data.tags["state"] for run in again] == tried
    assert {run.info.status for run in again} == {"FINISHED"}
    assert {run.data.tags["reason"] for run in again} == {""}


def test_a_run_tells_the_editions_of_its_datasets(plan: Plan, tmp_path: Path) -> None:
    out = tmp_path / "runs/out"
    simulate(plan, out)
    sync(plan, out)
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{out.parent / 'mlflow.db'}")
    everywhere = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(everywhere, "tags.level = 'study'")
    assert {run.data.tags["edition.blobs"] for run in runs} == {"edition 2019: 255 rows, content 0123abc"}
