"""GPU shares: measured once, remembered, few values; without an answer what the model declares. No GPU is needed."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from tape import Plain

from mer_data.storage.store import Store
from mer_models.gpu_ways import Speed, differing_fold, measure_ways, start_and_epoch
from mer_models.spec import TrainingFailed, models
from orchestrator.console import Console
from orchestrator.experiment.config import Experiment
from orchestrator.experiment.plan import Plan
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve
from orchestrator.experiment.sections import Gpu
from orchestrator.sweep.gpu_places import Ask, Places, find_places
from orchestrator.sweep.gpu_probe import Measured, Probe
from orchestrator.sweep.gpu_way import decide
from orchestrator.sweep.places import Place
from orchestrator.sweep.rehearsal import random_fold

GIB = 1 << 30


def plan(store: Store, **changes: object) -> Plan:
    keys = {"name": "t", "datasets": ["blobs"], "models": ["majority", "ststnet"], **changes}
    return make_plan(resolve(Experiment.model_validate(keys), store))


def answering(answer: Callable[[Probe], Measured | None]) -> tuple[Ask, list[Probe]]:
    """A cluster's GPUs that answer so, and the list of what they were asked."""
    asked: list[Probe] = []

    def ask(probes: Sequence[Probe]) -> list[Measured | None]:
        asked.extend(probes)
        return [answer(probe) for probe in probes]

    return ask, asked


def a_quarter(probe: Probe) -> Measured:
    return Measured("Test GPU", 10 * GIB, 2 * GIB, {"graph": "not tried"})


def shares_of(plan: Plan, places: Places) -> dict[str, float]:
    return {job.model: places(job).share for job in plan.jobs}


@pytest.mark.parametrize(
    ("peak", "share"),
    [(0.04, 1 / 16), (0.053, 1 / 8), (0.104, 1 / 8), (0.2, 1 / 4), (0.41, 1 / 2), (0.42, 1.0), (0.9, 1.0)],
)
def test_a_share_is_one_of_a_few_and_a_fifth_larger_than_the_peak(peak: float, share: float) -> None:
    assert Measured("Test GPU", 1000, round(1000 * peak)).share == share


def test_only_models_that_may_use_a_gpu_are_measured_and_in_a_fold_of_full_size(
    blob_store: Store, tmp_path: Path
) -> None:
    whole = plan(blob_store)
    ask, asked = answering(a_quarter)
    places = find_places(whole, tmp_path, Console(), Gpu(), ask, "T4")
    assert shares_of(whole, places) == {"majority": 0.0, "ststnet": 0.25}
    (probe,) = asked
    folds = whole.datasets["blobs"].folds.values()
    assert probe.model == "ststnet"
    assert probe.recipe == replace(models()["ststnet"].recipe, epochs=1, keep_every=1)
    assert probe.trained == max(len(fold.train_ids) for fold in folds)
    assert probe.tested == max(len(fold.test_ids) for fold in folds)


def test_what_was_measured_is_remembered_by_gpu_and_recipe(blob_store: Store, tmp_path: Path) -> None:
    first, (ask, asked) = plan(blob_store), answering(a_quarter)
    find_places(first, tmp_path, Console(), Gpu(), ask, "T4")
    (record,) = json.loads((tmp_path / "gpu.json").read_text()).values()
    assert record["gpu"] == "Test GPU"
    assert (record["model"], record["batch_size"]) == ("ststnet", first.recipes["ststnet"].batch_size)
    for kinds in ("T4", ""):  # a growing cluster has no GPU at its start
        assert shares_of(first, find_places(first, tmp_path, Console(), Gpu(), ask, kinds))["ststnet"] == 0.25
    assert len(asked) == 1
    find_places(first, tmp_path, Console(), Gpu(), ask, "A100")
    assert len(asked) == 2
    # How long one trains decides nothing; how large the batches are does.
    find_places(plan(blob_store, recipes={"ststnet": {"epochs": 5}}), tmp_path, Console(), Gpu(), ask, "T4")
    assert len(asked) == 2
    find_places(plan(blob_store, recipes={"ststnet": {"batch_size": 128}}), tmp_path, Console(), Gpu(), ask, "T4")
    assert len(asked) == 3
    (tmp_path / "gpu.json").write_text("{")
    find_places(first, tmp_path, Console(), Gpu(), ask, "T4")
    assert len(asked) == 4


def test_without_an_answer_the_declared_share_stands_and_is_asked_for_again(
    blob_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, (ask, asked) = plan(blob_store), answering(lambda probe: None)
    for _ in range(2):
        places = find_places(whole, tmp_path, Console(), Gpu(), ask, "T4")
        assert shares_of(whole, places)["ststnet"] == models()["ststnet"].gpu_share
    assert len(asked) == 2
    assert "ststnet: could not be measured" in capsys.readouterr().err


def test_a_search_takes_the_share_of_the_next_larger_batch(blob_store: Store, tmp_path: Path) -> None:
    search = {"configurations": 2, "space": {"ststnet": {"batch_size": [8, 64]}}}
    searched = plan(blob_store, models=["ststnet"], search=search)
    ask, asked = answering(lambda probe: Measured("Test GPU", 64, probe.recipe.batch_size // 2))
    places = find_places(searched, tmp_path, Console(), Gpu(), ask, "T4")
    assert sorted(probe.recipe.batch_size for probe in asked) == [8, 64]
    study = searched.studies[0]
    held_out = next(iter(searched.datasets["blobs"].folds))
    by_batch = {
        size: places(searched.final_job(study, replace(study.recipe, batch_size=size), held_out)).share
        for size in (8, 16, 64, 65)
    }
    assert by_batch == {8: 1 / 8, 16: 1.0, 64: 1.0, 65: models()["ststnet"].gpu_share}


def test_oversampled_folds_count_their_duplicates(blob_store: Store, tmp_path: Path) -> None:
    ask, asked = answering(a_quarter)
    for balance in ("none", "oversample"):
        find_places(plan(blob_store, recipes={"ststnet": {"balance": balance}}), tmp_path, Console(), Gpu(), ask, "T4")
    assert asked[1].trained % asked[1].classes == 0
    assert asked[1].trained >= asked[0].trained


def test_a_random_fold_is_one_that_the_network_trains_on(blob_store: Store, tmp_path: Path) -> None:
    ask, asked = answering(a_quarter)
    find_places(plan(blob_store), tmp_path, Console(), Gpu(), ask, "T4")
    fold = random_fold(asked[0].inputs, asked[0].trained, asked[0].tested, asked[0].classes)
    assert fold.train[0].shape == (asked[0].trained, 3, 28, 28)
    assert np.asarray(fold.train[0]).std() > 0
    spec = models()["ststnet"]
    try:
        outcome = spec.fit(spec, fold, asked[0].recipe, 0, "cpu")
    except TrainingFailed:
        pytest.fail("random clips break the training")
    assert outcome.logits.shape == (1, asked[0].tested, 3)


@pytest.mark.gpu
def test_a_real_gpu_answers_with_more_than_cuda_itself_takes(blob_store: Store, tmp_path: Path) -> None:
    from orchestrator.sweep.gpu_probe import measure

    ask, asked = answering(a_quarter)
    find_places(plan(blob_store), tmp_path, Console(), Gpu(), ask, "T4")
    found = measure(asked[0])
    assert 0 < found.peak < found.total
    assert found.peak > 50 << 20
    assert found.gpu


FAST = {"start": 1.0, "epoch": 0.1, "gap": 0.0}


def speeds(**changes: Any) -> dict[str, Any]:
    """A GPU on which recording pays, and a pack of recorded folds too."""
    ways = {"plain": {**FAST, "epoch": 1.0}, "graph": FAST, "pack": {**FAST, "epoch": 0.02}, "bytes": GIB // 4}
    return {**ways, **changes}


def verdict(found: dict[str, Any], epochs: int = 800, **wanted: Any) -> tuple[Place, str]:
    told = decide(Measured("Test GPU", 10 * GIB, GIB // 2, found), epochs, Gpu.model_validate(wanted))
    return told.place, told.why


@pytest.mark.parametrize(
    ("changes", "epochs", "place", "why"),
    [
        ({}, 800, Place(1 / 16, "graph", 32), "47.1 times as fast, the same bytes"),
        ({"bytes": GIB}, 800, Place(1 / 16, "graph", 8), "47.1 times"),
        ({"bytes": 9 * GIB}, 800, Place(1 / 16, "graph", 1), "9.9 times as fast, the same bytes; a GPU holds one"),
        ({"pack": {**FAST, "epoch": 0.09}}, 800, Place(1 / 16, "graph", 1), "side by side, a fold would be 1.1 times"),
        ({"pack": {**FAST, "gap": 0.1}}, 800, Place(1 / 16, "graph", 1), "side by side, its logits differ by 1e-01"),
        ({"pack": "RuntimeError: no"}, 800, Place(1 / 16, "graph", 1), "it was not measured (RuntimeError: no)"),
        ({"graph": {**FAST, "gap": 2e-6}}, 800, Place(1 / 16, "graph", 32), "the same bytes"),
        ({"graph": {**FAST, "gap": 2e-5}}, 800, Place(1 / 16), "recorded, its logits differ by 2e-05"),
        ({"graph": {**FAST, "epoch": 0.9}}, 800, Place(1 / 16), "recorded, a fold would be 1.1 times as fast"),
        ({"graph": {**FAST, "start": 5.0}}, 4, Place(1 / 16), "not worth it"),
        ({"graph": "its clips do not lie on the GPU"}, 800, Place(1 / 16), "(its clips do not lie on the GPU)"),
        ({}, 2, Place(1 / 16), "too few epochs"),
    ],
)
def test_another_way_counts_if_it_computes_the_same_and_is_worth_it(
    changes: dict[str, Any], epochs: int, place: Place, why: str
) -> None:
    got, told = verdict(speeds(**changes), epochs)
    assert got == place
    assert why in told


def test_without_a_measurement_everything_is_as_it_was() -> None:
    assert verdict({})[0] == Place(1 / 16)


def test_the_experiment_comes_first() -> None:
    assert verdict(speeds(), way="plain")[0] == Place(1 / 16)
    assert verdict({}, way="graph", pack=3)[0] == Place(1 / 16, "graph", 3)
    assert verdict(speeds(), pack=1)[0] == Place(1 / 16, "graph", 1)
    assert verdict({}, pack=5)[0] == Place(1 / 16), "a pack consists of recorded folds"
    with pytest.raises(ValidationError, match="pack is for folds that are recorded"):
        Gpu.model_validate({"way": "plain", "pack": 4})


def test_ways_are_measured_where_they_decide(blob_store: Store, tmp_path: Path) -> None:
    """And then also of what was measured without them."""
    whole, (ask, asked) = plan(blob_store), answering(lambda probe: Measured("Test GPU", 10 * GIB, 2 * GIB))
    for _ in range(2):
        find_places(whole, tmp_path, Console(), Gpu(way="plain"), ask, "T4")
    assert len(asked) == 1
    find_places(whole, tmp_path, Console(), Gpu(), ask, "T4")
    assert len(asked) == 2


def test_the_way_is_told_and_kept(blob_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole, (ask, asked) = plan(blob_store), answering(lambda probe: Measured("Test GPU", 10 * GIB, GIB // 2, speeds()))
    for _ in range(2):
        places = find_places(whole, tmp_path, Console(), Gpu(), ask, "T4")
        said = capsys.readouterr().err
        assert "ststnet: a fold takes 1/16 of a GPU; recorded, 32 side by side (47.1 times as fast" in said
        job = next(job for job in whole.jobs if job.model == "ststnet")
        assert places(job) == Place(1 / 16, "graph", 32)
    assert len(asked) == 1
    (kept,) = json.loads((tmp_path / "gpu.json").read_text()).values()
    assert kept["speeds"]["graph"] == FAST


def test_ways_are_timed_and_compared(blob_store: Store) -> None:
    """On a processor, with lanes that record nothing."""
    spec = models()["ststnet"]
    fold = differing_fold(spec.inputs, 12, 3, 3)
    recipe = replace(spec.recipe, batch_size=4)
    ways = measure_ways(spec, fold, recipe, "cpu", Plain)
    assert set(ways) == {"plain", "graph", "pack"}
    for speed in ways.values():
        assert isinstance(speed, Speed)
        assert speed.gap == 0.0
        assert speed.start + speed.epoch > 0

    class Wrong(Plain):
        def record(self, work: Callable[[], None]) -> Callable[[], None]:
            return lambda: None

    class Broken(Plain):
        def record(self, work: Callable[[], None]) -> Callable[[], None]:
            raise RuntimeError("capture failed")

    wrong = measure_ways(spec, fold, recipe, "cpu", Wrong)["graph"]
    assert isinstance(wrong, Speed)
    assert wrong.gap > 1e-3
    assert measure_ways(spec, fold, recipe, "cpu", Broken)["graph"] == "RuntimeError: capture failed"


def test_a_wrong_order_of_the_clips_shows() -> None:
    spec = models()["ststnet"]
    fold = differing_fold(spec.inputs, 12, 3, 3)
    other = replace(fold, train=tuple(np.asarray(clips)[::-1] for clips in fold.train))
    recipe = replace(spec.recipe, batch_size=4, epochs=2, keep_every=1)
    one, two = (spec.fit(spec, arrays, recipe, 0, "cpu").logits for arrays in (fold, other))
    assert np.abs(one - two).max() > 1e-4


def test_noise_of_the_start_is_not_taken_for_the_time_of_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording takes longer than what it repeats, and not always as long."""
    now, starts = [0.0], iter([1.0, 0.9, 1.1, 0.95, 1.0, 1.0])
    monkeypatch.setattr("mer_models.gpu_ways.time.perf_counter", lambda: now[0])

    def train(epochs: int) -> None:
        now[0] += next(starts) + 0.01 * epochs

    start, epoch = start_and_epoch(train)
    assert epoch == pytest.approx(0.01, rel=0.1)
    assert start == pytest.approx(1.0, rel=0.1)
