"""Saved weights: what a run keeps, and what they say about clips of people they have and have not seen."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from blobs import SPEC, blob_clips, write_blobs
from safetensors.numpy import save_file
from workers import run_here

from mer_data.problems import BadInput
from mer_data.storage.store import Store
from mer_models.spec import Outcome, models
from orchestrator.cli import commands as cli
from orchestrator.console import Console
from orchestrator.experiment import config
from orchestrator.experiment.plan import Plan
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve
from orchestrator.output import predict
from orchestrator.output import weights as of_folds
from orchestrator.output.ledger import Ledger
from orchestrator.sweep.dispatcher import Dispatcher

EXPERIMENT = """\
name: kept
store: {store}
datasets: [blobs]
models: [chance, ststnet]
weights: true
recipes:
  ststnet: {{epochs: 4, lr: 0.01, batch_size: 3, order: shuffled, keep_every: 2}}
  chance: {{epochs: 1}}
"""


def mer(*arguments: str | Path) -> int:
    """The exit status of a command."""
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(one) for one in arguments])
    return int(stopped.value.code or 0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``store``, ``kept.yaml`` and the finished run ``run``."""
    folder = tmp_path_factory.mktemp("kept")
    store = Store(folder / "store")
    write_blobs(store, "blobs", blob_clips())
    (folder / "kept.yaml").write_text(EXPERIMENT.format(store=store.root))
    plan = make_plan(resolve(config.load(str(folder / "kept.yaml")), store))
    plan.save(folder / "run/plan.json")
    dispatcher, threads = Dispatcher(plan, folder / "run/ledger"), torch.get_num_threads()
    torch.set_num_threads(1)  # as every worker does
    for job in plan.jobs:
        run_here(dispatcher, job)
    torch.set_num_threads(threads)
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run that a test may change."""
    return Path(shutil.copytree(finished / "run", tmp_path / "run"))


def folds(out: Path) -> Iterator[tuple[str, Path, np.ndarray, tuple[str, ...]]]:
    """Of every fold of ststnet: who was held out, its weights, its last epoch's logits, its test clips."""
    plan = Plan.load(out / "plan.json")
    for job in plan.jobs:
        if job.model == "ststnet":
            result = Ledger(out / "ledger").read(job.id)
            yield job.held_out, of_folds.weights_file(out / "weights", job), result.logits[-1], result.clip_ids


def told(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[Any, str]:
    """The document of ``mer predict``, and what it said beside it."""
    capsys.readouterr()
    assert mer("predict", *arguments, "--json") == 0
    captured = capsys.readouterr()
    return json.loads(captured.out), captured.err


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    capsys.readouterr()
    assert mer("predict", *arguments) == 2
    return capsys.readouterr().err


def blobs(finished: Path) -> tuple[str | Path, ...]:
    return "--dataset", "blobs", "--store", finished / "store"


class TestKeeping:
    def test_every_fold_of_a_network_has_weights_that_say_what_they_are(self, finished: Path) -> None:
        plan = Plan.load(finished / "run/plan.json")
        assert len(list((finished / "run/weights").rglob("*.*"))) == 6
        for job in (job for job in plan.jobs if job.model == "ststnet"):
            card = of_folds.read_card(of_folds.weights_file(finished / "run/weights", job))
            known = card.trained_on
            assert known is not None
            assert (card.model, known.job, known.held_out, known.seed) == ("ststnet", job.id, job.held_out, 0)
            assert known.classes == plan.datasets["blobs"].cohort.classes
            assert set(known.subjects) == {clip.subject for clip in blob_clips()} - {job.held_out}
            assert known.recipe == plan.recipes["ststnet"]
            assert known.inputs == models()["ststnet"].inputs
            assert known.code == models()["ststnet"].code_digest()
            assert known.feature_keys["flow_uvs_28"] == plan.datasets["blobs"].feature_keys["flow_uvs_28"]

    @pytest.mark.slow
    def test_lost_weights_are_made_again_to_the_same_bytes(
        self, ray_session: None, finished: Path, run: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = {path: path.read_bytes() for path in (run / "weights").rglob("*.safetensors")}
        ledger = {path: path.read_bytes() for path in (run / "ledger").glob("*.arrow")}
        for path in list(before)[:2]:
            path.unlink()
        capsys.readouterr()
        assert mer("run", finished / "kept.yaml", "--out", run, "--json") == 0
        captured = capsys.readouterr()
        assert "10 folds are done already" in captured.err
        assert "no weights of chance: only networks have any" in captured.err
        assert json.loads(captured.out)["weights"] == {"folder": str(run / "weights"), "saved": 6, "missing": 0}
        assert {path: path.read_bytes() for path in (run / "weights").rglob("*.safetensors")} == before
        assert {path: path.read_bytes() for path in (run / "ledger").glob("*.arrow")} == ledger

    def test_keeping_weights_is_no_part_of_a_job(self, finished: Path) -> None:
        kept = config.load(str(finished / "kept.yaml"))
        without = config.load(str(finished / "kept.yaml"), ["weights=false"])
        store = Store(finished / "store")
        assert make_plan(resolve(kept, store)).jobs == make_plan(resolve(without, store)).jobs

    def test_weights_are_kept_only_where_asked_for_and_never_beside_another_result(
        self, finished: Path, tmp_path: Path
    ) -> None:
        plan = Plan.load(finished / "run/plan.json")
        job = next(job for job in plan.jobs if job.model == "ststnet")
        path = of_folds.weights_file(tmp_path / "weights", job)

        def commit(number: float, weights: bool) -> None:
            logits = np.full((2, len(plan.fold(job).test_ids), 3), number, np.float32)
            outcome = Outcome((2, 4), logits, {"fc.bias": np.full(3, number, np.float32)})
            Dispatcher(replace(plan, weights=weights), tmp_path / "ledger").commit(job.id, outcome, 1.0, "cpu", {})

        commit(0, weights=False)
        assert not path.exists()
        commit(1, weights=True)  # not what the ledger has
        assert not path.exists()
        assert Ledger(tmp_path / "ledger").conflicts() == [job.id]
        commit(0, weights=True)
        assert of_folds.read_state(path)["fc.bias"].tolist() == [0, 0, 0]

    def test_weights_are_on_disk_before_the_ledger_knows_the_job(
        self, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plan = Plan.load(finished / "run/plan.json")
        job = next(job for job in plan.jobs if job.model == "ststnet")
        dispatcher, there = Dispatcher(plan, tmp_path / "ledger"), []
        path = of_folds.weights_file(tmp_path / "weights", job)
        monkeypatch.setattr(Ledger, "commit", lambda self, result: there.append(path.exists()))
        outcome = Outcome((2, 4), np.zeros((2, 4, 3), np.float32), {"fc.bias": np.zeros(3, np.float32)})
        dispatcher.commit(job.id, outcome, 1.0, "cpu", {})
        assert there == [True]


class TestPredicting:
    def test_the_held_out_subject_gets_the_ledgers_logits(self, finished: Path) -> None:
        store = Store(finished / "store")
        for held_out, weights, logits, clip_ids in folds(finished / "run"):
            names, predicted = predict.predict(weights, store, "blobs", [held_out], [], Console())
            assert [one.clip.id for one in predicted] == list(clip_ids)
            assert np.concatenate([one.logits for one in predicted]).tobytes() == logits.tobytes()
            assert names == ("negative", "positive", "surprise")

    def test_clips_beside_those_of_the_run_do_not_change_its_logits(self, finished: Path, tmp_path: Path) -> None:
        held_out, weights, logits, clip_ids = next(folds(finished / "run"))
        store, clips = Store(tmp_path / "store"), blob_clips()
        more = [replace(clip, name=f"a{clip.name}") for clip in clips if clip.subject == held_out]
        kept = Store(finished / "store").feature("blobs", "flow_uvs_28").find(clip_ids)
        maps = {clip.id: kept.get(clip.id, np.full((3, 28, 28), 9, np.uint8)) for clip in more + clips}
        with store.replacing("blobs") as writer:
            writer.clips(more + clips, format_="test", frame_root=None)
            writer.feature(SPEC, maps, more + clips, "test")
        _, predicted = predict.predict(weights, store, "blobs", [held_out], [], Console())
        by_clip = {one.clip.id: one.logits[0] for one in predicted}
        assert len(by_clip) == 8
        assert np.stack([by_clip[clip_id] for clip_id in clip_ids]).tobytes() == logits.tobytes()
        known = of_folds.read_card(weights)
        assert predict._batched([one.clip for one in predicted], known)[0] == list(clip_ids)

    def test_a_folder_asks_the_fold_that_held_the_subject_out(
        self, finished: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        document, _ = told(capsys, finished / "run/weights/ststnet", *blobs(finished))
        rows = {row["clip"]: row for row in document["rows"]}
        assert list(rows) == [clip.id for clip in blob_clips()]
        for held_out, _, logits, clip_ids in folds(finished / "run"):
            for clip_id, of_clip in zip(clip_ids, logits, strict=True):
                row = rows[clip_id]
                assert (row["held_out"], row["trained_on_subject"]) == ([held_out], False)
                assert row["logits"] == [of_clip.tolist()]
                assert row["predicted"] == document["classes"][int(of_clip.argmax())]
                assert sum(row["probabilities"].values()) == pytest.approx(1)

    def test_a_subject_it_was_trained_on_is_refused_unless_told(
        self, finished: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        held_out, weights, _, _ = next(folds(finished / "run"))
        assert "trained on 5 of these 6 subjects" in refused(capsys, weights, *blobs(finished))
        other = next(clip for clip in blob_clips() if clip.subject != held_out)
        assert "--trained-subjects" in refused(capsys, weights, other.id, *blobs(finished))
        document, warned = told(capsys, weights, other.id, *blobs(finished), "--trained-subjects")
        assert [(row["clip"], row["trained_on_subject"]) for row in document["rows"]] == [(other.id, True)]
        assert "were trained on" in warned

    def test_a_new_person_gets_the_mean_of_all_folds(
        self, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        store, clips = Store(tmp_path / "store"), blob_clips(8)[-8:-4]
        write_blobs(store, "new", clips)
        where = ("--dataset", "new", "--store", store.root)
        document, warned = told(capsys, finished / "run/weights", *where)
        each = [told(capsys, weights, *where)[0] for _, weights, _, _ in folds(finished / "run")]
        assert "otherwise" not in warned
        for index, row in enumerate(document["rows"]):
            assert len(row["held_out"]) == 6
            for name, value in row["probabilities"].items():
                assert value == pytest.approx(np.mean([one["rows"][index]["probabilities"][name] for one in each]))

    def test_a_person_known_from_another_dataset_is_known(
        self, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """SAMM and SAMM Long Videos show the same people."""
        clip = next(clip for clip in blob_clips() if clip.subject == "samm/001")
        long = replace(clip, dataset="samm_lv", subject="samm_lv/001")
        write_blobs(Store(tmp_path / "store"), "long", [long])
        document, _ = told(capsys, finished / "run/weights", "--dataset", "long", "--store", tmp_path / "store")
        assert [row["held_out"] for row in document["rows"]] == [["samm/001"]]

    def test_other_feature_bytes_are_told_and_other_shapes_refused(
        self, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        store, clips = Store(tmp_path / "store"), blob_clips()
        where = (finished / "run/weights", "--dataset", "blobs", "--store", store.root)
        write_blobs(store, "blobs", clips, seed=1)
        assert "has changed since" in told(capsys, *where)[1]
        for changes, heard in (({"params": {"origin": "x"}}, "made otherwise"), ({"size": (20, 20)}, "[20, 20]")):
            spec = replace(SPEC, **changes)
            maps = {clip.id: np.zeros((3, *spec.size), np.uint8) for clip in clips}
            with store.replacing("blobs") as writer:
                writer.clips(clips, format_="test", frame_root=None)
                writer.feature(spec, maps, clips, "test")
            assert heard in (refused(capsys, *where) if "size" in changes else told(capsys, *where)[1])

    def test_published_weights_are_used_with_a_warning(
        self, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        reference = models()["ststnet"].reference
        assert reference is not None
        torch.save({key: torch.rand(shape) for key, shape in reference.shapes(3).items()}, tmp_path / "006.pth")
        to = tmp_path / "006.safetensors"
        assert mer("weights", "import", "ststnet", tmp_path / "006.pth", "--to", to) == 0
        assert "--classes" in refused(capsys, to, *blobs(finished))
        document, warned = told(capsys, to, *blobs(finished), "--classes", "negative,positive,surprise")
        assert "does not say who it was trained on" in warned
        assert len(document["rows"]) == 24
        assert "does not fit" in refused(capsys, to, *blobs(finished), "--classes", "a,b")

    def test_weights_of_an_earlier_experiment_do_not_mix_in(
        self, finished: Path, run: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        _, weights, _, _ = next(folds(run))
        card = of_folds.read_card(weights)
        assert card.trained_on is not None
        recipe = replace(card.trained_on.recipe, epochs=3)
        earlier = replace(card, trained_on=replace(card.trained_on, recipe=recipe, job="0" * 20))
        path = weights.with_name(f"samm~001.{'0' * 20}.safetensors")
        of_folds.write_weights(path, of_folds.read_state(weights), earlier)
        assert len(told(capsys, run / "weights", *blobs(finished))[0]["rows"]) == 24
        (run / "plan.json").unlink()
        assert "is of another recipe" in refused(capsys, run / "weights", *blobs(finished))

    def test_what_is_no_weights_is_told(
        self, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "text.safetensors").write_text("no weights")
        save_file({"a": np.zeros(3)}, tmp_path / "plain.safetensors")
        of_folds.write_weights(tmp_path / "other.safetensors", {}, of_folds.Card("nobody"))
        (tmp_path / "empty").mkdir()
        for name, what in (
            ("text.safetensors", "is not a file of weights"),
            ("plain.safetensors", "does not say whose weights"),
            ("other.safetensors", "model nobody, which is not known here"),
            ("none.safetensors", "no such file"),
            ("empty", "holds no weights"),
        ):
            heard = refused(capsys, tmp_path / name, *blobs(finished))
            assert what in heard
            assert str(tmp_path / name) in heard

    def test_clips_that_are_not_there_are_told(self, finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
        heard = refused(capsys, finished / "run/weights", "samm/01", "zzz", *blobs(finished))
        assert "did you mean 'samm/001'" in heard
        assert "zzz: no such clip or subject" in heard

    def test_the_table_names_clip_class_and_fold(self, finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
        capsys.readouterr()
        assert mer("predict", finished / "run/weights", "samm/001", *blobs(finished)) == 0
        lines = capsys.readouterr().out.splitlines()
        assert sum("samm/001/clip" in line for line in lines) == 4


def test_weights_of_no_network_are_refused(finished: Path, tmp_path: Path) -> None:
    of_folds.write_weights(tmp_path / "x.safetensors", {}, of_folds.Card("majority"))
    with pytest.raises(BadInput, match="no network"):
        predict.predict(tmp_path / "x.safetensors", Store(finished / "store"), "blobs", [], ["a", "b"], Console())
