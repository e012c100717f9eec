"""The configurations that searches tried, as child runs of their cell: what they found on validation subjects only."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.experiment.plan import Plan, Study
from orchestrator.output.search_history import SearchHistory, TriedConfiguration, histories
from orchestrator.report.predictions import CellPredictions

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def write_configurations(client: MlflowClient, plan: Plan, cell: CellPredictions, out: Path, parent: Run) -> None:
    """Write or bring up to date a run per configuration of the cell's searches."""
    for study, history in histories(plan, out):
        if (study.model, study.dataset) != (cell.cell.model, cell.cell.dataset):
            continue
        of_study = f"tags.study = '{study.name}' and tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
        known = {
            run.data.tags["number"]: run
            for run in client.search_runs([parent.info.experiment_id], of_study, max_results=5000)
        }
        for tried in history.configurations:
            run, tags = known.get(str(tried.number)), _tags(study, history, tried)
            # One that is still open lost its writer; one that failed may have been tried again since.
            written = run is not None and run.info.end_time and tags.items() <= run.data.tags.items()
            if tried.state != "running" and not written:
                _write(client, study, tried, tags, run, parent)


def _tags(study: Study, history: SearchHistory, tried: TriedConfiguration) -> dict[str, str]:
    chosen = history.chosen is not None and history.chosen.number == tried.number
    return {
        "level": "configuration",
        "study": study.name,
        "seed": str(study.seed),
        "group": study.group,
        "number": str(tried.number),
        "state": tried.state,
        "model": study.model,
        "dataset": study.dataset,
        "chosen_for_folds": str(len(history.group) if chosen else 0),
        "reason": tried.reason[:500],
    }


def _write(
    client: MlflowClient,
    study: Study,
    tried: TriedConfiguration,
    tags: dict[str, str],
    run: Run | None,
    parent: Run,
) -> None:
    from mlflow.entities import Metric, Param, RunTag

    if run is None:
        name = f"{study.model} #{tried.number}, {study.group}, seed {study.seed}"
        of_parent = {"mlflow.parentRunId": parent.info.run_id}
        run = client.create_run(parent.info.experiment_id, run_name=name, tags={**of_parent, **tags})
    now = int(time.time() * 1000)
    found = {"inner_uf1": tried.inner_uf1, "epoch": tried.epoch, "divisions": tried.divisions}
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(name, float(value), now, 0) for name, value in found.items() if value is not None],
        params=[Param(f"recipe.{name}", str(value)) for name, value in tried.params.items()],
        tags=[RunTag(name, value) for name, value in tags.items()],
    )
    client.set_terminated(run.info.run_id, "FAILED" if tried.state == "failed" else "FINISHED")
