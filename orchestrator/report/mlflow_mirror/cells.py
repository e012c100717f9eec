"""A run of MLflow per model × dataset × configuration: what was planned, what came of it, and what can be opened."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mer_data.files import write_json
from mer_data.hashing import digest
from orchestrator.experiment.declarations import costs, declaration
from orchestrator.experiment.plan import Plan
from orchestrator.output.search_history import histories
from orchestrator.report.flat_tables import csv_text
from orchestrator.report.mlflow_mirror.configurations import write_configurations
from orchestrator.report.mlflow_mirror.experiments import experiment_of
from orchestrator.report.mlflow_mirror.store import is_there, shown, tracking_uri, writing
from orchestrator.report.predictions import CellPredictions
from orchestrator.report.result_files import chosen_lines, subject_lines
from orchestrator.report.score_rows import HEADLINES, rows

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_PARAM_LIMIT = 6000  # characters, MLflow's own
_MIRRORED = "mirrored.json"
_CHOSEN = "chosen per group, see chosen.csv"


def sync(plan: Plan, scored: Sequence[CellPredictions], out: Path) -> None:
    """Write a run per model × dataset × configuration; a run that is there already is brought up to date.

    Raises
    ------
    MirrorLost
        If the tracking store cannot be written. The ledger is not touched by that.
    """
    with writing(out) as client:
        for cell in scored:
            run = _CellRun(client, plan, cell, out).write()
            write_configurations(client, plan, cell, out, run)
    write_json(out / _MIRRORED, _mirrored(plan, scored, out))


def is_current(plan: Plan, scored: Sequence[CellPredictions], out: Path) -> bool:
    """Whether :func:`sync` has written these very results to where they would go now, so that it has nothing to do."""
    try:
        return bool(json.loads((out / _MIRRORED).read_bytes()) == _mirrored(plan, scored, out)) and is_there(out)
    except (FileNotFoundError, ValueError):
        return False


def is_mirrored(out: Path) -> bool:
    """Whether some results of an output folder were written, and are there still."""
    return (out / _MIRRORED).is_file() and is_there(out)


def _mirrored(plan: Plan, scored: Sequence[CellPredictions], out: Path) -> dict[str, str]:
    cells = sorted([cell.key, *sorted(job.id for job in cell.done)] for cell in scored)
    tried = [
        (study.name, [known.state for known in history.configurations], history.closed)
        for study, history in histories(plan, out)
    ]
    return {"uri": shown(tracking_uri(out)), "results": digest([plan.rule, cells, tried])}


class _CellRun:
    """Writes one cell as an MLflow run."""

    def __init__(self, client: MlflowClient, plan: Plan, cell: CellPredictions, out: Path) -> None:
        self._client, self._plan, self._cell, self._out = client, plan, cell, out
        told = "" if cell.cell.configuration == "recipe" else f" ({cell.cell.configuration})"
        lack = "" if cell.complete else f", {len(cell.done)} of {len(cell.planned)} folds"
        self._name = f"{cell.cell.model} @ {cell.cell.dataset}{told}{lack}"

    def write(self) -> Run:
        """Create or update the run."""
        run = self._find_or_create()
        run_id = run.info.run_id
        self._log_dataset(run_id)
        table = {name: rows([self._cell], name) for name in self._cell.predicted}
        self._log_metrics(run_id, table)
        lack = "complete" if self._cell.complete else f"{len(self._cell.done)} of {len(self._cell.planned)} folds"
        self._client.set_tag(run_id, "status_note", lack)
        for name, edition in self._cell.cohort.editions.items():  # tags, as a later import of the same clips may differ
            self._client.set_tag(run_id, f"edition.{name}", edition)
        self._client.log_text(run_id, csv_text(subject_lines(self._plan, [self._cell])), "per_subject.csv")
        if self._cell.searched is not None:
            of_cell = [line for line in chosen_lines(self._plan, self._out) if self._is_of_cell(line)]
            self._client.log_text(run_id, csv_text(of_cell), "chosen.csv")
        self._client.log_dict(run_id, table, "score.json")
        figure = _confusion_figure(table[self._plan.rule][0], self._name)
        self._client.log_figure(run_id, figure, "confusion.png")
        # The duration that MLflow shows is the time spent training, summed over folds.
        end = run.info.start_time + round(1000 * self._cell.training_seconds)
        # What lacks folds must not look like a result: MLflow marks it with a cross.
        self._client.set_terminated(run_id, "FINISHED" if self._cell.complete else "FAILED", end_time=end)
        self._client.update_run(run_id, name=self._name)
        return run

    def _is_of_cell(self, line: Any) -> bool:
        return (line["model"], line["dataset"]) == (self._cell.cell.model, self._cell.cell.dataset)

    def _find_or_create(self) -> Run:
        """The cell's run. Parameters cannot be changed, so one that says other ones than today is made anew."""
        experiment_id, params = experiment_of(self._client, self._plan, self._cell.cohort, self._out), self._params()
        # The results themselves are the key: another recipe, feature or clip list makes another run.
        for found in self._client.search_runs([experiment_id], f"tags.key = '{self._cell.key}'", max_results=1):
            if found.data.params.items() <= params.items():
                self._log_params(found.info.run_id, params)  # a writer that was killed left some out
                return found
            self._client.delete_run(found.info.run_id)
        cell = self._cell.cell
        tags = {
            "key": self._cell.key,
            "level": "study",
            "experiment": self._plan.name,
            "model": cell.model,
            "dataset": cell.dataset,
            "protocol": self._plan.protocol,
            "configuration": cell.configuration,
        }
        created = self._client.create_run(experiment_id, run_name=self._name, tags=tags)
        self._log_params(created.info.run_id, params)
        return created

    def _log_dataset(self, run_id: str) -> None:
        from mlflow.entities import Dataset, DatasetInput

        cohort = self._cell.cohort
        entity = Dataset(name=cohort.dataset, digest=cohort.checksum, source_type="store", source=self._plan.store)
        self._client.log_inputs(run_id, datasets=[DatasetInput(entity)])

    def _params(self) -> dict[str, str]:
        cell = self._cell.cell
        planned = self._plan.datasets[cell.dataset]
        searched = {name for study in self._plan.studies if study.model == cell.model for name in study.space}
        chosen = searched if self._cell.searched is not None else set()
        recipe = vars(self._plan.recipes[cell.model])
        values: dict[str, Any] = {
            "model": cell.model,
            "dataset": cell.dataset,
            "configuration": cell.configuration,
            "seeds": ", ".join(map(str, sorted({seed for _, seed in self._cell.planned}))),
            "classes": ", ".join(self._cell.cohort.classes),
            "clips": len(self._cell.cohort.clip_ids),
            "subjects": len(set(self._cell.cohort.subjects)),
            **{f"recipe.{name}": _CHOSEN if name in chosen else value for name, value in recipe.items()},
            "missing_clips": len(self._cell.cohort.missing),
            "frames": self._cell.cohort.prepared_in_words,
            **{f"feature.{name}": digest(keys) for name, keys in planned.feature_keys.items()},
        }
        return {name: str(value)[:_PARAM_LIMIT] for name, value in values.items()}

    def _log_params(self, run_id: str, params: dict[str, str]) -> None:
        from mlflow.entities import Param

        self._client.log_batch(run_id, params=[Param(name, value) for name, value in params.items()])

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
            if found["configurations"]["proposed"] > found["groups"] * len(self._cell.seeds):
                values |= {f"{name}_uf1": found[name]["uf1"] for name in ("bbc", "naive") if found[name] is not None}
            values |= {name: float(found[name]) for name in ("trainings", "avoided")}
        interval = table[self._plan.rule][0]["uf1_interval"]
        if interval is not None:
            values |= {"uf1_low": interval[0], "uf1_high": interval[1]}
        values |= self._costs()
        now = int(time.time() * 1000)
        self._client.log_batch(run_id, metrics=[Metric(name, value, now, 0) for name, value in values.items()])

    def _costs(self) -> dict[str, float]:
        names, model = ("params", "flops", "mem_rw_bytes"), self._cell.cell.model
        if not declaration(model).is_network:
            return dict.fromkeys(names, 0.0)
        cost = costs(model, len(self._cell.cohort.classes))
        return {name: float(cost[name]) for name in names}


def _confusion_figure(row: dict[str, Any], title: str) -> Any:
    """The confusion matrix; a cell shows the share of its true class, on the diagonal the recall, and the clips."""
    from matplotlib.figure import Figure

    counts, classes = row["confusion"], row["classes"]
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axes = figure.subplots()
    shares = [[count / max(sum(line), 1) for count in line] for line in counts]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    seeds = f"; clips: sum of {row['seeds']} seeds" if row["seeds"] > 1 else ""
    axes.set_title(f"{title}\nUF1 {row['uf1']:.4f}, UAR {row['uar']:.4f}{seeds}", fontsize=9)
    for i, line in enumerate(counts):
        for j, count in enumerate(line):
            color = "white" if shares[i][j] > 0.5 else "black"
            axes.text(j, i, f"{shares[i][j]:.0%}\n{count}", ha="center", va="center", color=color, fontsize=9)
    return figure
