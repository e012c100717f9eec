"""What MLflow shows of results, and that nothing it lacks costs one."""

import csv
import os
import shlex
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import mlflow
import pytest
from blobs import blob_clips, write_blobs
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from simulated import histories, learner, plan_of, simulate

from mer_data.editions import Edition
from mer_data.storage.store import Store
from mer_models.spec import Outcome
from orchestrator.cli import commands as cli
from orchestrator.experiment.plan import Job, Plan
from orchestrator.output.ledger import Ledger
from orchestrator.report import score_rows
from orchestrator.report.mlflow_mirror import cells, store
from orchestrator.report.mlflow_mirror.store import Look, MirrorLost
from orchestrator.report.predictions import score_cells


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    store = Store(tmp_path / "store")
    write_blobs(store, "blobs", blob_clips(), edition=Edition("2019", 255, "0123abc"))
    return plan_of(store, configurations=3, groups=2)


@cache
def empty_database() -> bytes:
    """MLflow's database without runs: making one takes seconds."""
    with tempfile.TemporaryDirectory() as folder, store.writing(Path(folder) / "out"):
        return (Path(folder) / "mlflow.db").read_bytes()


def with_database(folder: Path) -> Path:
    """Where an output folder may be made, with MLflow's database beside it."""
    (folder / "runs").mkdir()
    (folder / "runs/mlflow.db").write_bytes(empty_database())
    return folder / "runs/out"


def client_of(out: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(tracking_uri=f"sqlite:///{out.parent / 'mlflow.db'}")


def cell_runs(out: Path) -> list[Run]:
    client = client_of(out)
    everywhere = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(everywhere, "tags.level = 'study'"))


def text(out: Path, run: Run, name: str) -> str:
    return (Path(run.info.artifact_uri.removeprefix("file://")) / name).read_text(encoding="utf-8")


def sync(plan: Plan, out: Path) -> None:
    cells.sync(plan, score_cells(plan, Ledger(out / "ledger"), partial=True), out)


def written(out: Path) -> Iterator[Run]:
    """The runs of configurations, by group and number."""
    client = client_of(out)
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
        # The first two belong to the whole, the others to configurations.
        if next(calls) == 3:
            raise MlflowException("connection refused")
        log_batch(self, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "log_batch", lost)
        with pytest.raises(MirrorLost, match="cannot be written: MlflowException: connection refused"):
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
    out = with_database(tmp_path)

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


def test_a_search_shows_what_was_chosen_and_not_what_was_planned(plan: Plan, tmp_path: Path) -> None:
    out = with_database(tmp_path)
    simulate(plan, out)
    sync(plan, out)
    (run,) = cell_runs(out)
    searched = set(plan.studies[0].space)
    assert searched == {name.removeprefix("recipe.") for name, told in run.data.params.items() if "chosen" in told}
    chosen = list(csv.DictReader(text(out, run, "chosen.csv").splitlines()))
    assert [line["fold"] for line in chosen] == [name for history in histories(plan, out) for name in history.group]
    folds = [int(run.data.tags["chosen_for_folds"]) for run in written(out)]
    assert sum(folds) == 6
    assert run.data.tags["edition.blobs"] == "edition 2019: 255 rows, content 0123abc"
    assert sum(count > 0 for count in folds) == 2  # one configuration per group
    assert all({"seed 0", run.data.tags["group"]} <= set(run.info.run_name.split(", ")) for run in written(out))


def test_a_cell_that_lacks_folds_does_not_look_finished(listed_out: Path, tmp_path: Path) -> None:
    out = with_database(tmp_path)
    shutil.copytree(listed_out, out)
    plan = Plan.load(out / "plan.json")
    taken = next((out / "ledger").glob(f"{plan.jobs[0].id}.arrow"))
    taken.rename(tmp_path / taken.name)
    sync(plan, out)
    told = {run.info.run_name: run.info.status for run in cell_runs(out)}
    assert told == {"ststnet @ blobs (epochs=4), 11 of 12 folds": "FAILED", "majority @ blobs": "FINISHED"}
    (tmp_path / taken.name).rename(taken)
    sync(plan, out)
    told = {run.info.run_name: run.info.status for run in cell_runs(out)}
    assert told == {"ststnet @ blobs (epochs=4)": "FINISHED", "majority @ blobs": "FINISHED"}
    seeds = {line["seed"] for line in csv.DictReader(text(out, cell_runs(out)[0], "per_subject.csv").splitlines())}
    assert seeds == {"0", "1"}


def test_a_confusion_matrix_says_what_it_sums(listed_out: Path) -> None:
    scored = score_cells(Plan.load(listed_out / "plan.json"), Ledger(listed_out / "ledger"), partial=False)
    row = score_rows.rows(scored[1:], "last")[0]
    (axes,) = cells._confusion_figure(row, "x").axes
    assert "sum of 2 seeds" in axes.get_title()
    recall = row["confusion"][0][0] / sum(row["confusion"][0])
    assert axes.texts[0].get_text() == f"{recall:.0%}\n{row['confusion'][0][0]}"


def test_a_run_that_says_other_parameters_is_made_anew(plan: Plan, tmp_path: Path) -> None:
    """As an older version of this program did, which told the first configuration's of a search."""
    out = with_database(tmp_path)
    simulate(plan, out)
    sync(plan, out)
    (first,) = cell_runs(out)
    client = client_of(out)
    client.delete_run(first.info.run_id)
    older = client.create_run(first.info.experiment_id, tags=dict(first.data.tags))
    client.log_param(older.info.run_id, "recipe.lr", "0.001")
    sync(plan, out)
    (again,) = cell_runs(out)
    assert again.info.run_id != older.info.run_id
    assert again.data.params == first.data.params


def test_paths_may_hold_what_means_something_in_an_address(plan: Plan, tmp_path: Path) -> None:
    out = tmp_path / "a b?c#d%20e" / "out"
    simulate(plan, out)
    sync(plan, out)
    assert (out.parent / "mlflow.db").stat().st_size
    assert {path.name for path in tmp_path.iterdir()} == {"store", "a b?c#d%20e"}


def test_passwords_are_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://lab:s3cret@127.0.0.1:9/runs")
    lost = Look(tmp_path / "out").result()
    assert lost is not None
    assert "postgresql://lab:***@127.0.0.1:9/runs: its database needs the Python package psycopg" in str(lost)
    assert "s3cret" not in str(lost)


def test_a_database_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends while MLflow makes it would else leave one that MLflow takes for another version's."""

    def ended(self: mlflow.MlflowClient, **_: Any) -> None:
        assert not (tmp_path / "mlflow.db").exists()
        raise MlflowException("ended in the middle")

    monkeypatch.setattr("mlflow.MlflowClient.search_experiments", ended)
    with pytest.raises(MirrorLost, match="ended in the middle"), store.writing(tmp_path / "out"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db.lock"]


def test_nobody_waits_for_a_server_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_PATIENCE", 1.0)
    store._load()  # that takes seconds, the first time
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        lost = Look(tmp_path / "out").result()
        assert time.monotonic() - began < 5
    assert "has not answered for 1 seconds" in str(lost)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="only Linux tells how a thread gets on")
def test_a_database_that_takes_long_to_make_is_no_lost_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_PATIENCE", 1.0)
    load = store._load

    def busy() -> None:
        load()
        end = time.thread_time() + 2.0
        while time.thread_time() < end:
            pass

    out = with_database(tmp_path)
    monkeypatch.setattr(store, "_load", busy)
    began = time.monotonic()
    assert Look(out).result() is None
    assert time.monotonic() - began >= 2.0


def test_a_file_that_may_not_be_written_is_told_before_anybody_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = with_database(tmp_path)
    monkeypatch.setattr("os.access", lambda path, mode: not mode & os.W_OK)
    lost = Look(out).result()
    assert "may not be written by you (get write access to" in str(lost)


def test_a_store_that_another_run_writes_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_PATIENCE", 0.5)
    out = with_database(tmp_path)
    with store.writing(out):
        assert Look(out).result() is None


def half_made(file: Path) -> None:
    """As an earlier version left it whose process ended during a migration."""
    with closing(sqlite3.connect(file)) as made, made:
        made.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        made.execute("CREATE TABLE _alembic_tmp_experiment_tags (key VARCHAR(250))")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda file: file.write_bytes(b"this is no database, " * 100), "is damaged"),
        (half_made, "was left half made by a process that ended"),
    ],
)
def test_a_damaged_database_is_put_aside_by_the_remedy(
    plan: Plan, tmp_path: Path, spoil: Callable[[Path], object], told: str
) -> None:
    out = tmp_path / "my runs/out"
    plan.save(out / "plan.json")
    simulate(plan, out)
    spoil(out.parent / "mlflow.db")
    with pytest.raises(MirrorLost, match=told) as caught:
        sync(plan, out)
    typed = f"{caught.value.problems[0].remedy} && mer track sync {shlex.quote(str(out))}"
    here = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(typed, shell=True, check=True, env=here)  # noqa: S602 - as a person would type it
    with closing(sqlite3.connect(out.parent / "mlflow.db")) as mended:
        assert mended.execute("SELECT count(*) FROM tags WHERE key = 'level' AND value = 'study'").fetchone() == (1,)


def test_a_bug_of_ours_is_no_trouble_of_the_mirror(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = with_database(tmp_path)
    simulate(plan, out)
    monkeypatch.setattr(cells._CellRun, "_params", lambda self: {}["gone"])
    with pytest.raises(KeyError):
        cells.sync(plan, score_cells(plan, Ledger(out / "ledger"), partial=True), out)


def test_what_was_mirrored_is_known(plan: Plan, tmp_path: Path) -> None:
    out = with_database(tmp_path)
    simulate(plan, out)
    scored = score_cells(plan, Ledger(out / "ledger"), partial=True)
    assert not cells.is_current(plan, scored, out)
    cells.sync(plan, scored, out)
    assert cells.is_current(plan, scored, out)
    assert not cells.is_current(plan, scored[:0], out)
    (out.parent / "mlflow.db").unlink()
    assert not cells.is_current(plan, scored, out)


def test_a_report_is_in_the_summary_run(listed_out: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs/out"
    shutil.copytree(listed_out, out)
    plan = Plan.load(out / "plan.json")
    for mirrored in (False, True, True):
        if mirrored:
            sync(plan, out)
        with pytest.raises(SystemExit) as stopped:
            cli.main(["report", str(out)])
        assert not stopped.value.code
        if not mirrored:
            assert not (out.parent / "mlflow.db").exists(), "a report alone makes no mirror"
    client = client_of(out)
    everywhere = [experiment.experiment_id for experiment in client.search_experiments()]
    (summary,) = client.search_runs(everywhere, "tags.level = 'summary'")
    assert text(out, summary, "report.html") == (out / "report/report.html").read_text(encoding="utf-8")
