"""The experiments of MLflow: what is compared in one has the same protocol and classes; each may hold reports too."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.experiment.cohort import Cohort
from orchestrator.experiment.plan import Plan
from orchestrator.report.mlflow_mirror.page import show_scores
from orchestrator.report.mlflow_mirror.store import writing

if TYPE_CHECKING:
    from mlflow import MlflowClient


def experiment_of(client: MlflowClient, plan: Plan, cohort: Cohort, out: Path) -> str:
    """The id of the experiment for results on a cohort; it is made, or brought back, if need be."""
    name = f"{plan.protocol}-{cohort.scheme}"
    known = client.get_experiment_by_name(name)
    if known is None:
        own = not os.environ.get("MLFLOW_TRACKING_URI")
        artifacts = (out.resolve().parent / "mlartifacts").as_uri() if own else None
        # Without this tag MLflow opens its pages for language models.
        kind = {"mlflow.experimentKind": "custom_model_development"}
        experiment_id = client.create_experiment(name, artifact_location=artifacts, tags=kind)
    else:
        experiment_id = known.experiment_id
        if known.lifecycle_stage == "deleted":
            client.restore_experiment(experiment_id)
    show_scores(client, experiment_id)
    return str(experiment_id)


def log_report(plan: Plan, out: Path, page: Path) -> None:
    """Add a report's page to the summary run of an output folder, which is made if need be.

    Raises
    ------
    MirrorLost
        If MLflow cannot be written.
    """
    tags = {"level": "summary", "experiment": plan.name, "folder": out.resolve().name}
    with writing(out) as client:
        for cohort in {planned.cohort.scheme: planned.cohort for planned in plan.datasets.values()}.values():
            experiment_id = experiment_of(client, plan, cohort, out)
            wanted = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
            known = client.search_runs([experiment_id], wanted, max_results=1)
            run = known[0] if known else client.create_run(experiment_id, run_name=f"{plan.name}: report", tags=tags)
            client.log_artifact(run.info.run_id, str(page))
            client.set_terminated(run.info.run_id)
