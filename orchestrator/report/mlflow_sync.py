"""One-way mirror of the ledger into MLflow, written by the driver only; it can be rebuilt at any time."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mer_data.hashing import digest
from mer_data.problems import BadInput, Problem
from mer_models.complexity import complexity
from mer_models.spec import models
from orchestrator.experiment.plan import Plan
from orchestrator.machines.ray_cluster import came_by_ssh
from orchestrator.output.search_history import histories
from orchestrator.report.predictions import CellPredictions
from orchestrator.report.score_rows import HEADLINES, rows

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PARAM_LIMIT = 6000  # characters, MLflow's own


def tracking_uri(out: Path) -> str:
    """``MLFLOW_TRACKING_URI`` if set, else a SQLite file beside the output folders, so that experiments compare."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{out.resolve().parent / 'mlflow.db'}"


def ui_command(out: Path) -> str:
    """How to see the runs in a browser; a tracking server of the user's own has its own page.

    Where somebody came by ssh, as ``ray submit`` does, it is what to type on the machine they came from: the page stays
    on this machine's loopback, and ssh brings it there.
    """
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return "the page of your tracking server (MLFLOW_TRACKING_URI)"
    beside = Path(sys.executable).with_name("mlflow")  # in the same virtual environment, on the path or not
    told = f"ui --backend-store-uri {shlex.quote(tracking_uri(out))} --host 127.0.0.1 --workers 1"
    here = came_by_ssh()
    if here is not None:
        # Without the server's runner of jobs, which nothing here uses, it comes up sooner and takes less memory.
        remote = shlex.quote(f"MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false {shlex.quote(str(beside))} {told}")
        return f"ssh -t -L 5000:127.0.0.1:5000 {here} {remote}"
    program = "mlflow" if shutil.which("mlflow") else shlex.quote(str(beside))
    return f"{program} {told}"


def sync(plan: Plan, scored: Sequence[CellPredictions], out: Path) -> None:
    """Write a run per model × dataset × configuration; a run that is there already is brought up to date.

    Raises
    ------
    BadInput
        If the tracking store cannot be written. The ledger is not touched by that.
    """
    # A server that does not answer must not hold up a result for minutes.
    for name, value in {"MAX_RETRIES": "1", "TIMEOUT": "10"}.items():
        os.environ.setdefault(f"MLFLOW_HTTP_REQUEST_{name}", value)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from mlflow.store.tracking import sqlalchemy_store as _store  # noqa: F401 - it sets levels of its own
    from sqlalchemy.exc import SQLAlchemyError

    for name in ("alembic", "mlflow", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        client = MlflowClient(tracking_uri=tracking_uri(out))
        for cell in scored:
            _Run(client, plan, cell, out).write()
            _write_configurations(client, plan, cell, out)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        first = str(error).strip().splitlines()[0]
        raise BadInput(Problem("MLflow", f"its store cannot be written: {first}", "see MLFLOW_TRACKING_URI")) from error


def _write_configurations(client: MlflowClient, plan: Plan, scored: CellPredictions, out: Path) -> None:
    """Write a search's configurations as child runs of its cell, with what they found on inner subjects only."""
    from mlflow.entities import Metric, Param, RunTag

    parents = client.search_runs(
        [experiment.experiment_id for experiment in client.search_experiments()],
        f"tags.key = '{scored.key}' and tags.level = 'study'",
        max_results=1,
    )
    for study, history in histories(plan, out):
        if not parents or (study.model, study.dataset) != (scored.cell.model, scored.cell.dataset):
            continue
        parent = parents[0].info
        of_study = f"tags.study = '{study.name}' and tags.`mlflow.parentRunId` = '{parent.run_id}'"
        known = {
            run.data.tags["number"]: run
            for run in client.search_runs([parent.experiment_id], of_study, max_results=5000)
        }
        for tried in history.configurations:
            run = known.get(str(tried.number))
            # One that is still open lost its writer; one that failed may have been tried again since.
            written = run is not None and run.info.end_time and run.data.tags["state"] == tried.state
            if written or tried.state == "running":
                continue
            tags = {
                "mlflow.parentRunId": parent.run_id,
                "level": "configuration",
                "study": study.name,
                "seed": str(study.seed),
                "group": study.group,
                "number": str(tried.number),
                "state": tried.state,
                "model": study.model,
                "dataset": study.dataset,
            }
            if run is None:
                name = f"{study.model} #{tried.number}, {study.group}, seed {study.seed}"
                run = client.create_run(parent.experiment_id, run_name=name, tags=tags)
            now = int(time.time() * 1000)
            found = {"inner_uf1": tried.inner_uf1, "epoch": tried.epoch, "divisions": tried.divisions}
            client.log_batch(
                run.info.run_id,
                metrics=[Metric(name, float(v), now, 0) for name, v in found.items() if v is not None],
                params=[Param(f"recipe.{name}", str(value)) for name, value in tried.params.items()],
                tags=[RunTag("state", tried.state), RunTag("reason", tried.reason[:500])],
            )
            client.set_terminated(run.info.run_id, "FAILED" if tried.state == "failed" else "FINISHED")


class _Run:
    """Writes one cell as an MLflow run."""

    def __init__(self, client: MlflowClient, plan: Plan, cell: CellPredictions, out: Path) -> None:
        self._client, self._plan, self._cell = client, plan, cell
        # The results themselves: another recipe, feature or clip list makes another run.
        self._key = cell.key
        own = not os.environ.get("MLFLOW_TRACKING_URI")
        self._artifacts = (out.resolve().parent / "mlartifacts").as_uri() if own else None

    def write(self) -> None:
        """Create or update the run."""
        cell, done, planned = self._cell.cell, len(self._cell.done), len(self._cell.planned)
        run_id, started = self._find_or_create()
        self._log_params(run_id)
        self._log_dataset(run_id)
        table = {name: rows([self._cell], name) for name in self._cell.predicted}
        self._log_metrics(run_id, table)
        main = table[self._plan.rule][0]
        self._client.set_tag(run_id, "status_note", "complete" if done == planned else f"{done} of {planned} folds")
        for name, edition in self._cell.cohort.editions.items():  # tags, as a later import of the same clips may differ
            self._client.set_tag(run_id, f"edition.{name}", edition)
        self._client.log_text(run_id, self._per_subject(), "per_subject.csv")
        self._client.log_dict(run_id, table, "score.json")
        self._client.log_figure(run_id, _confusion_figure(main, f"{cell.model} on {cell.dataset}"), "confusion.png")
        # The duration that MLflow shows is the time spent training, summed over folds.
        self._client.set_terminated(run_id, end_time=started + round(1000 * self._cell.training_seconds))

    def _find_or_create(self) -> tuple[str, int]:
        """Run id and start time in milliseconds."""
        experiment_id = self._experiment()
        found = self._client.search_runs([experiment_id], f"tags.key = '{self._key}'", max_results=1)
        if found:
            return found[0].info.run_id, int(found[0].info.start_time)
        cell = self._cell.cell
        tags = {
            "key": self._key,
            "level": "study",
            "experiment": self._plan.name,
            "model": cell.model,
            "dataset": cell.dataset,
            "protocol": self._plan.protocol,
            "configuration": cell.configuration,
        }
        told = "" if cell.configuration == "recipe" else f" ({cell.configuration})"
        created = self._client.create_run(experiment_id, run_name=f"{cell.model} @ {cell.dataset}{told}", tags=tags)
        return created.info.run_id, int(created.info.start_time)

    def _experiment(self) -> str:
        name = f"{self._plan.protocol}-{self._cell.cohort.scheme}"
        known = self._client.get_experiment_by_name(name)
        if known is None:
            # Without this tag MLflow opens its pages for language models.
            kind = {"mlflow.experimentKind": "custom_model_development"}
            return str(self._client.create_experiment(name, artifact_location=self._artifacts, tags=kind))
        if known.lifecycle_stage == "deleted":
            self._client.restore_experiment(known.experiment_id)
        return str(known.experiment_id)

    def _log_dataset(self, run_id: str) -> None:
        from mlflow.entities import Dataset, DatasetInput

        cohort = self._cell.cohort
        entity = Dataset(name=cohort.dataset, digest=cohort.checksum, source_type="store", source=self._plan.store)
        self._client.log_inputs(run_id, datasets=[DatasetInput(entity)])

    def _log_params(self, run_id: str) -> None:
        from mlflow.entities import Param

        cell = self._cell.cell
        feature_keys = self._plan.datasets[cell.dataset].feature_keys
        values: dict[str, Any] = {
            "model": cell.model,
            "dataset": cell.dataset,
            "configuration": cell.configuration,
            "seeds": ", ".join(map(str, sorted({seed for _, seed in self._cell.planned}))),
            "classes": ", ".join(self._cell.cohort.classes),
            "clips": len(self._cell.cohort.clip_ids),
            "subjects": len(set(self._cell.cohort.subjects)),
            **{f"recipe.{name}": value for name, value in vars(self._plan.recipes[cell.model]).items()},
            "missing_clips": len(self._cell.cohort.missing),
            **{f"feature.{name}": digest(keys) for name, keys in feature_keys.items()},
        }
        params = [Param(name, str(value)[:_PARAM_LIMIT]) for name, value in values.items()]
        self._client.log_batch(run_id, params=params)

    def _log_metrics(self, run_id: str, table: dict[str, list[dict[str, Any]]]) -> None:
        from mlflow.entities import Metric

        values: dict[str, float] = {}
        for rule, lines in table.items():
            for line in lines:
                # The headline keeps the plain name, so that it is the column people sort by.
                prefix = "" if rule == self._plan.rule else f"{rule.replace('-', '_')}_"
                scope = "" if line["scope"] in HEADLINES else f"_{line['scope']}"
                values |= {f"{prefix}{name}{scope}": line[name] for name in ("uf1", "uar", "accuracy")}
        found = table[self._plan.rule][0]["search"]
        if found is not None:
            values |= {f"{name}_uf1": found[name]["uf1"] for name in ("bbc", "naive") if found[name] is not None}
            values |= {name: float(found[name]) for name in ("trainings", "avoided")}
        interval = table[self._plan.rule][0]["uf1_interval"]
        if interval is not None:
            values |= {"uf1_low": interval[0], "uf1_high": interval[1]}
        cost = complexity(models()[self._cell.cell.model], len(self._cell.cohort.classes))
        values |= {
            **{name: float(getattr(cost, name)) for name in ("params", "flops", "mem_rw_bytes")},
        }
        now = int(time.time() * 1000)
        self._client.log_batch(run_id, metrics=[Metric(name, value, now, 0) for name, value in values.items()])

    def _per_subject(self) -> str:
        """Clips, and how many of them were right, per subject; counts only, since a subject lacks classes."""
        counts, subjects = self._cell.per_subject(self._plan.rule), self._cell.subjects
        lines = ["subject,clips,correct"]
        for subject, matrix in zip(subjects, counts.sum((0, 1)), strict=True):
            lines.append(f"{subject},{matrix.sum()},{matrix.trace()}")
        return "\n".join(lines) + "\n"


def _confusion_figure(row: dict[str, Any], title: str) -> Any:
    from matplotlib.figure import Figure

    counts, classes = row["confusion"], row["classes"]
    figure = Figure(figsize=(4.2, 3.8), layout="constrained")
    axes = figure.subplots()
    shares = [[count / max(sum(line), 1) for count in line] for line in counts]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(f"{title}\nUF1 {row['uf1']:.4f}, UAR {row['uar']:.4f}", fontsize=10)
    for i, line in enumerate(counts):
        for j, count in enumerate(line):
            color = "white" if shares[i][j] > 0.5 else "black"
            axes.text(j, i, str(count), ha="center", va="center", color=color)
    return figure
