"""The whole job on a small store: what comes out, what is run again, what a worker may know."""

import hashlib
import io
import json
import re
import shutil
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from blobs import blob_clips, write_blobs
from states import counts

from mer_data.problems import BadInput
from mer_data.storage.store import Store
from mer_models.spec import Outcome, models
from orchestrator.cli import commands as cli
from orchestrator.console import Console
from orchestrator.experiment.config import Experiment, load
from orchestrator.experiment.plan import Plan
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve
from orchestrator.machines.resources import Resources
from orchestrator.output.folder import Output
from orchestrator.output.ledger import Ledger
from orchestrator.output.status import status
from orchestrator.sweep.dispatcher import Dispatcher

EXPERIMENT = """\
name: small
store: {store}
datasets: [blobs]
models: [chance, majority, ststnet]
recipes:
  ststnet: {{epochs: 12, lr: 0.01, batch_size: 8, order: shuffled, keep_every: 4}}
"""


def mer(*arguments: str | Path) -> int:
    """The exit status of a command."""
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(one) for one in arguments])
    return int(stopped.value.code or 0)


@pytest.fixture(scope="module")
def finished(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``store``, ``small.yaml`` and the finished run ``runs/small``."""
    folder, clips = tmp_path_factory.mktemp("finished"), blob_clips()
    write_blobs(Store(folder / "store"), "blobs", clips)
    for dataset in ("casme2", "samm"):
        write_blobs(Store(folder / "store"), dataset, [clip for clip in clips if clip.dataset == dataset])
    (folder / "small.yaml").write_text(EXPERIMENT.format(store=folder / "store"))
    assert mer("run", folder / "small.yaml", "--out", folder / "runs/small") == 0
    return folder


def document(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, Any]:
    capsys.readouterr()
    status = mer(*arguments, "--json")
    return status, json.loads(capsys.readouterr().out)


def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished / "runs/small", tmp_path / "runs/small"))


def test_the_table_is_complete_and_the_network_learned(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, score = document(capsys, "score", finished / "runs/small")
    assert status == 0
    assert score["complete"] is True
    by = {(row["model"], row["scope"]): row for row in score["rows"]}
    assert {scope for _, scope in by} == {"all", "casme2", "samm"}
    assert by["ststnet", "all"]["uf1"] > 0.8 > by["chance", "all"]["uf1"]
    assert by["majority", "all"]["uar"] == pytest.approx(1 / 3)
    for model in ("chance", "majority", "ststnet"):
        whole = np.array(by[model, "all"]["confusion"])
        assert whole.sum() == by[model, "all"]["clips"] == 24
        assert (whole == np.add(by[model, "casme2"]["confusion"], by[model, "samm"]["confusion"])).all()
        low, high = by[model, "all"]["uf1_interval"]
        assert low <= by[model, "all"]["uf1"] <= high


def test_the_splits_stand_beside_their_checksum(finished: Path) -> None:
    out = finished / "runs/small"
    lines = (out / "splits.sha256").read_text().splitlines()
    assert [line.split("  ")[1] for line in lines] == ["splits-blobs.csv"]
    assert lines[0].split("  ")[0] == hashlib.sha256((out / "splits-blobs.csv").read_bytes()).hexdigest()


def test_what_a_person_opens_stands_beside_the_ledger(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = finished / "runs/small"
    log = (out / "run.log").read_text()
    assert "blobs: 24 clips of 6 subjects" in log
    assert f"leaderboard.csv, predictions.csv and other files to open: in {out}" in log
    names = ("leaderboard.csv", "leaderboard.md", "predictions.csv", "per_subject.csv", "per_class.csv")
    before = [(out / name).read_bytes() for name in names]
    assert mer("score", out) == 0
    assert [(out / name).read_bytes() for name in names] == before
    again = make_plan(resolve(load(str(out / "experiment.yaml")), Store(finished / "store")))
    assert [job.id for job in again.jobs] == [job.id for job in Plan.load(out / "plan.json").jobs]


def test_oracle_rules_never_score_below_the_last_epoch(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def scores(rule: str, metric: str) -> dict[str, float]:
        _, score = document(capsys, "score", finished / "runs/small", "--rule", rule)
        assert score["oracle"] is (rule != "last")
        return {row["model"]: row[metric] for row in score["rows"] if row["scope"] == "all"}

    for rule, metric in (("oracle-subject", "accuracy"), ("oracle-epoch", "uf1")):
        honest, oracle = scores("last", metric), scores(rule, metric)
        assert all(oracle[model] >= honest[model] for model in honest)
    assert scores("oracle-subject", "accuracy")["chance"] > scores("last", "accuracy")["chance"] + 0.2
    assert mer("score", finished / "runs/small", "--rule", "best") == 2


def test_the_same_command_again_runs_nothing(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = finished / "runs/small"
    before = {path.name: path.stat().st_mtime_ns for path in (out / "ledger").glob("*.arrow")}
    status, again = document(capsys, "run", finished / "small.yaml", "--out", out)
    assert status == 0
    assert {path.name: path.stat().st_mtime_ns for path in (out / "ledger").glob("*.arrow")} == before
    assert again["status"]["jobs"] == counts(done=18)


def test_results_in_object_storage_are_seen_and_continued_on_another_machine(
    finished: Path,
    object_storage: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MER_CACHE", str(tmp_path / "one"))
    address = f"s3://lab/{tmp_path.name}/small?{object_storage}"
    with Output(address).held(Console()) as folder:
        shutil.copytree(finished / "runs/small", folder, dirs_exist_ok=True)
    monkeypatch.setenv("MER_CACHE", str(tmp_path / "two"))
    here = document(capsys, "score", finished / "runs/small")
    assert document(capsys, "score", address) == here
    status, again = document(capsys, "run", finished / "small.yaml", "--out", address)
    assert (status, again["out"], again["status"]["jobs"]) == (0, address, counts(done=18))
    assert again["score"] == here[1]
    assert mer("status", address) == mer("track", "sync", address) == 0


@dataclass(frozen=True)
class Second:
    """A copy of the finished run that lost a third of its results and was run again, on a terminal, with more to do."""

    out: Path
    lost: dict[str, bytes]  # the logits, by job
    document: dict[str, Any]
    errors: str


@pytest.fixture(scope="module")
def second(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Second:
    """Also with a network that diverges, and a union; one sweep, since the start of each takes seconds."""
    out = copy(finished, tmp_path_factory.mktemp("second"))
    ledger = Ledger(out / "ledger")
    lost = {path.stem: ledger.read(path.stem).logits.tobytes() for path in sorted(ledger.root.glob("*.arrow"))[::3]}
    for job_id in lost:
        (ledger.root / f"{job_id}.arrow").unlink()
    changes = (
        "datasets=[blobs, {name: both, union: [casme2, samm]}]",
        "models=[chance, majority, ststnet, off_apexnet]",
        "recipes.off_apexnet={epochs: 1, lr: 1.0e+30}",
    )
    output, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(output), redirect_stderr(errors):
        patch.setenv("FORCE_COLOR", "1")  # as on a terminal
        patch.setenv("COLUMNS", "120")
        settings = [word for change in changes for word in ("--set", change)]
        assert mer("run", finished / "small.yaml", "--out", out, *settings, "--json") == 1
    return Second(out, lost, json.loads(output.getvalue()), errors.getvalue())


def test_lost_folds_are_told(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = copy(finished, tmp_path)
    for path in sorted((out / "ledger").glob("*.arrow"))[::3]:
        path.unlink()
    assert mer("score", out) == 2
    assert "6 of 18 folds are missing" in capsys.readouterr().err
    status, partial = document(capsys, "score", out, "--partial")
    assert (status, partial["complete"]) == (1, False)
    status, state = document(capsys, "status", out)
    assert (status, state["jobs"]["missing"]) == (1, 6)


def test_lost_folds_are_run_again_to_the_same_bytes(second: Second) -> None:
    assert len(second.lost) == 6
    for job_id, before in second.lost.items():
        assert Ledger(second.out / "ledger").read(job_id).logits.tobytes() == before


def test_a_network_that_diverges_is_recorded_and_the_rest_goes_on(second: Second) -> None:
    assert second.document["status"]["jobs"] == counts(done=36, failed=12)
    assert {failure["model"] for failure in second.document["status"]["failures"]} == {"off_apexnet"}
    assert "not finite" in second.document["status"]["failures"][0]["reason"]
    assert second.document["score"]["complete"] is False


def test_a_union_runs_on_the_features_of_its_members(second: Second) -> None:
    rows = [row for row in second.document["score"]["rows"] if row["dataset"] == "both" and row["scope"] == "all"]
    assert {(row["model"], row["clips"]) for row in rows} >= {("ststnet", 24), ("majority", 24)}


def test_a_terminal_gets_a_progress_bar(second: Second) -> None:
    assert "━" in second.errors
    assert re.search(r"\w+ on (blobs|both)", second.errors)  # which fold was the last to end
    assert "36/36" in second.errors


def test_another_recipe_leaves_the_old_results_stale(finished: Path) -> None:
    chosen = load(str(finished / "small.yaml"), ["recipes.ststnet.epochs=1", "models=[majority, ststnet]"])
    plan = make_plan(resolve(chosen, Store(finished / "store")))
    state = status(plan, Ledger(finished / "runs/small/ledger"))
    assert state["jobs"] == counts(done=6, missing=6, stale=12)


def test_only_one_driver_holds_an_output_folder(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Output(finished / "runs/small").held(Console()):
        assert mer("run", finished / "small.yaml", "--out", finished / "runs/small") == 2
    assert "is in use by process" in capsys.readouterr().err


def test_mlflow_has_a_run_per_model_with_everything_people_compare(finished: Path) -> None:
    uri = f"sqlite:///{finished / 'runs/mlflow.db'}"
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("loso-3-class")
    runs = {run.data.tags["model"]: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"chance", "majority", "ststnet"}
    run = runs["ststnet"]
    assert run.data.metrics["params"] == 1683
    assert {"uf1", "uar", "accuracy", "flops", "uf1_samm", "oracle_subject_uf1"} <= set(run.data.metrics)
    assert run.data.params["recipe.epochs"] == "12"
    assert run.data.tags["status_note"] == "complete"
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert files == {"confusion.png", "per_subject.csv", "score.json"}
    assert "mlflow.sharedViewState.mer" in experiment.tags


def test_mlflow_can_be_rebuilt_is_mended_and_does_not_double(finished: Path, tmp_path: Path) -> None:
    out = copy(finished, tmp_path)
    assert mer("track", "sync", out) == 0
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{out.parent / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("loso-3-class")
    first = client.search_runs([experiment.experiment_id])[0]
    # A driver that was killed just after making the run left it without anything.
    empty = client.create_run(experiment.experiment_id, tags={"key": first.data.tags["key"]})
    client.delete_run(first.info.run_id)
    assert mer("track", "sync", out) == 0
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 3
    mended = next(run for run in runs if run.info.run_id == empty.info.run_id)
    assert mended.data.params == first.data.params
    assert mended.data.metrics == first.data.metrics
    client.delete_experiment(experiment.experiment_id)
    assert mer("track", "sync", out) == 0
    assert client.get_experiment(experiment.experiment_id).lifecycle_stage == "active"


def test_mlflow_trouble_does_not_cost_a_result(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = copy(finished, tmp_path)
    (out.parent / "mlflow.db").write_bytes(b"this is no database, " * 100)
    status, again = document(capsys, "run", finished / "small.yaml", "--out", out)
    assert (status, again["score"]["complete"]) == (0, True)
    assert mer("track", "sync", out) == 2
    assert "mlflow.db: is damaged" in capsys.readouterr().err
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert mer("track", "sync", out) == 2


def test_what_the_mirror_lacks_is_told_before_hours_are_spent(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = copy(finished, tmp_path)
    next((out / "ledger").glob("*.arrow")).unlink()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://lab:s3cret@127.0.0.1:9/runs")
    assert mer("run", finished / "small.yaml", "--out", out) == 0
    before, _, _ = capsys.readouterr().err.partition("folds: 0/")
    assert "MLflow will not be written. MLflow, postgresql://lab:***@127.0.0.1:9/runs: its database needs" in before
    assert f"mer track sync {out}" in before


def test_gpus_are_asked_for_only_where_there_are_some(blob_store: Store) -> None:
    from orchestrator.sweep.tune_run import use_gpus

    plan = small_plan(blob_store)
    assert use_gpus(plan, Resources(4, 1.0))
    assert not use_gpus(plan, Resources(4, 0.0))
    assert not use_gpus(replace(plan, device="cpu"), Resources(4, 1.0))
    with pytest.raises(BadInput, match="the cluster has no GPU"):
        use_gpus(replace(plan, device="cuda"), Resources(4, 0.0))


def test_folders_that_cannot_be_used_are_told(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert mer("run", finished / "small.yaml", "--out", tmp_path / "file/x") == 2
    assert str(tmp_path / "file") in capsys.readouterr().err
    assert mer("run", finished / "small.yaml", "--set", f"store={tmp_path / 'file'}", "--out", tmp_path / "x") == 2
    assert "is not a folder" in capsys.readouterr().err


def small_plan(store: Store) -> Plan:
    chosen = Experiment.model_validate({"name": "t", "datasets": ["blobs"], "models": ["ststnet"]})
    return make_plan(resolve(chosen, store))


def test_the_dispatcher_refuses_results_of_another_shape(blob_store: Store, tmp_path: Path) -> None:
    plan = small_plan(blob_store)
    job, dispatcher = plan.jobs[0], Dispatcher(plan, tmp_path / "ledger")
    epochs = tuple(range(1, 801))
    for logits in (np.zeros((800, 3, 3), np.float32), np.zeros((800, 4, 2), np.float32)):
        with pytest.raises(ValueError, match="ststnet"):
            dispatcher.commit(job.id, Outcome(epochs, logits), 1.0, "cpu", {})
    with pytest.raises(ValueError, match="finite"):
        dispatcher.commit(job.id, Outcome(epochs, np.full((800, 4, 3), np.inf, np.float32)), 1.0, "cpu", {})
    assert Ledger(tmp_path / "ledger").ids() == set()


def test_inputs_reach_the_network_in_its_own_channel_order(blob_store: Store, tmp_path: Path) -> None:
    from orchestrator.sweep.trial import gather

    plan = small_plan(blob_store)
    work = Dispatcher(plan, tmp_path / "ledger").take(plan.jobs[0].id)
    (array,) = gather(work, models()["ststnet"].inputs, work.test_ids)
    stored = blob_store.feature("blobs", "flow_uvs_28").gather(work.test_ids)
    np.testing.assert_array_equal(array, stored[:, [2, 1, 0]])


def test_a_feature_that_changed_under_a_run_is_refused(blob_store: Store, tmp_path: Path) -> None:
    from orchestrator.sweep.trial import gather

    plan = small_plan(blob_store)
    work = Dispatcher(plan, tmp_path / "ledger").take(plan.jobs[0].id)
    write_blobs(blob_store, "blobs", blob_clips(), seed=5)
    with pytest.raises(BadInput, match="has changed in the store"):
        gather(work, models()["ststnet"].inputs, work.test_ids)


def test_bad_input_starts_nothing(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for change in ("models=[ststnett]", "datasets=[blub]", "recipes.ststnet.epoch=1", "modells=[ststnet]"):
        assert mer("run", finished / "small.yaml", "--set", change, "--out", tmp_path / "runs/x") == 2
        assert "did you mean" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    assert mer("score", tmp_path) == 2
    assert "plan.json" in capsys.readouterr().err


def test_a_feature_that_cannot_be_made_is_told(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path / "store")
    with store.replacing("bare") as writer:
        writer.clips(blob_clips(), format_="test", frame_root=None)
    (tmp_path / "e.yaml").write_text(f"name: e\nstore: {store.root}\ndatasets: [bare]\nmodels: [ststnet]\n")
    assert mer("run", tmp_path / "e.yaml", "--out", tmp_path / "runs/e") == 2
    assert "has no flow_uvs_28" in capsys.readouterr().err
    (tmp_path / "e.yaml").write_text(f"name: e\nstore: {store.root}\ndatasets: [bare]\nmodels: all\n")
    assert mer("run", tmp_path / "e.yaml", "--out", tmp_path / "runs/e") == 0
    told = capsys.readouterr().err
    without = told.partition("bare: without ")[2].partition(";")[0].split(", ")
    assert set(without) == {spec.name for spec in models().values() if spec.inputs}
