"""`mer verify`: whatever is changed in a capsule, with every checksum repaired, is told by what does not follow."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from altered import contents, edited, repaired
from blobs import blob_clips, write_blobs
from simulated import learner, plan_of, simulate

from mer_data.problems import BadInput
from mer_data.storage.store import Store
from mer_models.spec import Outcome
from orchestrator.console import Console
from orchestrator.experiment.plan import Job, Plan
from orchestrator.output.ledger import FoldResult, Ledger
from orchestrator.output.results import open_results
from orchestrator.output.search_history import SearchHistory, TriedConfiguration
from orchestrator.report.capsules import make_capsule
from orchestrator.report.verification import verify_capsule


def told(path: Path) -> list[str]:
    """What does not agree, each with the file it is in."""
    return [f"{problem.where.removeprefix(f'{path}, ')}: {problem.what}" for problem in verify_capsule(path).problems]


def test_what_was_made_here_agrees(listed: Path, searched: Path) -> None:
    found, of_search = verify_capsule(listed), verify_capsule(searched)
    assert (found.jobs, found.searches, found.problems, found.remarks) == (24, 0, (), ())
    assert found.numbers > 100
    assert (of_search.searches, of_search.problems, of_search.remarks) == (2, (), ())


def relabel(plan: dict[str, Any]) -> None:
    cohort = plan["datasets"]["blobs"]["cohort"]
    assert cohort["labels"][0] == "negative"
    cohort["labels"][0] = "surprise"


def test_a_changed_label_is_told_by_the_ids_of_jobs(listed: Path, searched: Path, tmp_path: Path) -> None:
    found = told(edited(listed, tmp_path / "a.mer", "plan.json", relabel))
    assert (
        "plan.json: the ids of 10 of 12 jobs of ststnet on blobs do not follow from model, recipe, features, "
        "training clips with their classes, test clips and seed" in found
    ), "all folds but the one that tests the clip, with two seeds"
    assert any(line.startswith("score.json: rows ststnet blobs all, uf1 is ") for line in found)
    with pytest.raises(BadInput, match=r"ledger/\w+\.arrow: is the result of no job in plan.json"):
        verify_capsule(edited(searched, tmp_path / "b.mer", "plan.json", relabel))


def with_result(path: Path, to: Path, tmp_path: Path, change: Callable[[FoldResult], FoldResult]) -> Path:
    """A capsule in which the first fold of a network has another result, whose checksums are all right."""
    plan, ledger = open_results(path, Console())
    job = next(job for job in plan.jobs if job.model == "ststnet")
    other = Ledger(tmp_path / "other")
    other.commit(change(ledger.read(job.id)))
    return repaired(path, to, {f"ledger/{job.id}.arrow": (other.root / f"{job.id}.arrow").read_bytes()})


def test_changed_logits_are_told_by_the_table(listed: Path, tmp_path: Path) -> None:
    def turned(result: FoldResult) -> FoldResult:
        return replace(result, logits=-result.logits)

    found = told(with_result(listed, tmp_path / "a.mer", tmp_path, turned))
    assert any(line.startswith("score.json: rows ststnet blobs all, uf1 is ") for line in found)
    assert all(line.startswith("score.json: rows ststnet blobs ") for line in found)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda r: replace(r, clip_ids=r.clip_ids[::-1]), "answers for other clips than its fold holds out"),
        (lambda r: replace(r, epochs=(1, 2, 3, 5)), "has other epochs than its recipe keeps"),
        (lambda r: replace(r, epochs=r.epochs[1:], logits=r.logits[1:]), "has other epochs than its recipe keeps"),
        (lambda r: replace(r, logits=np.concatenate([r.logits] * 2, 2)), r"has logits float32 \(4, 4, 6\)"),
        (lambda r: replace(r, seconds=float("nan")), "has logits that are no finite numbers"),
        (lambda r: replace(r, environment={"python": 3}), "tells its machine in no words"),  # type: ignore[dict-item]
    ],
)
def test_results_that_do_not_fit_their_fold(
    listed: Path, tmp_path: Path, change: Callable[[FoldResult], FoldResult], what: str
) -> None:
    path = with_result(listed, tmp_path / "a.mer", tmp_path, change)
    with pytest.raises(BadInput, match=rf"a\.mer, ledger/\w+\.arrow: {what} \(ask who made it\)"):
        open_results(path, Console())


def test_a_table_that_is_told_better_than_it_is(listed: Path, tmp_path: Path) -> None:
    def better(score: dict[str, Any]) -> None:
        score["rows"][0]["uf1"] += 0.001
        score["rows"][1]["confusion"][0][0] += 1
        score["rows"][0]["uf2"] = 1.0

    found = told(edited(listed, tmp_path / "a.mer", "score.json", better))
    assert [line.partition(" is ")[0] for line in found] == [
        "score.json: rows ststnet blobs all, uf1",
        "score.json: rows ststnet blobs all, uf2",
        "score.json: rows ststnet blobs casme2, confusion 1 1",
    ]


def other_fold(plan: dict[str, Any]) -> None:
    fold = plan["datasets"]["blobs"]["folds"]["samm/001"]
    fold["train_ids"] = fold["train_ids"][1:]


def without_job(plan: dict[str, Any]) -> None:
    plan["jobs"] = [job for job in plan["jobs"] if job["held_out"] != "samm/001"]


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (other_fold, "dataset blobs: its folds are not those of the protocol loso, first samm/001"),
        (lambda plan: plan["recipes"]["ststnet"].update(lr=0.5), "the ids of 12 of 12 jobs of ststnet on blobs"),
        (lambda plan: plan["codes"].update(ststnet="0"), "the key of ststnet on blobs does not follow"),
        (lambda plan: plan["jobs"][0].update(random_state=1), "the ids of 1 of 12 jobs of ststnet on blobs"),
        (
            lambda plan: plan["datasets"]["blobs"]["cohort"].update(scheme="megc2019"),
            "dataset blobs: casme2/sub00/clip0 is negative",
        ),
    ],
)
def test_changed_plans(listed: Path, tmp_path: Path, edit: Callable[[dict[str, Any]], None], what: str) -> None:
    found = told(edited(listed, tmp_path / "a.mer", "plan.json", edit))
    assert any(line.startswith(f"plan.json: {what}") for line in found), found


def test_folds_left_out_of_the_plan_are_missed(listed: Path, tmp_path: Path) -> None:
    path = edited(listed, tmp_path / "a.mer", "plan.json", without_job)
    with pytest.raises(BadInput, match=r"is the result of no job in plan\.json"):
        verify_capsule(path)
    plan, _ = open_results(listed, Console())
    gone = {f"ledger/{job.id}.arrow": None for job in plan.jobs if job.held_out == "samm/001"}
    found = told(repaired(path, tmp_path / "b.mer", gone))
    for model in ("ststnet", "majority"):
        for seed in (0, 1):
            assert f"plan.json: {model} on blobs with seed {seed} has not a job for each fold" in found


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (lambda plan: plan.update(rule="oracle-epoch"), "'oracle-epoch' is no honest selection rule"),
        (lambda plan: plan.update(protocol="x"), "unknown protocol 'x'"),
        (lambda plan: plan["recipes"]["ststnet"].update(epochs=10**12), "a recipe has more than 1000000 epochs"),
        (lambda plan: plan["jobs"].append(plan["jobs"][0]), "a job or a search is there twice"),
        (lambda plan: plan["datasets"]["blobs"]["cohort"]["labels"].append("x"), "dataset blobs: clips, classes and"),
        (lambda plan: plan["jobs"][0].update(held_out="nobody"), "job .* is of ststnet on blobs, nobody held out"),
        (lambda plan: plan["recipes"].pop("ststnet"), "dataset blobs: a model has no recipe or no code"),
        (lambda plan: plan.update(version=1), "was written by another version of this program"),
        (lambda plan: plan.pop("jobs"), "cannot be read: .*jobs"),
    ],
)
def test_plans_that_do_not_fit_together(
    listed: Path, tmp_path: Path, edit: Callable[[dict[str, Any]], None], what: str
) -> None:
    path = edited(listed, tmp_path / "a.mer", "plan.json", lambda plan: (edit(plan), plan)[1])
    with pytest.raises(BadInput, match=rf"(?s){path}, plan.json: {what}"):
        open_results(path, Console())


def test_derived_files_are_compared(listed: Path, tmp_path: Path) -> None:
    splits = contents(listed)["splits-blobs.csv"]
    path = repaired(listed, tmp_path / "a.mer", {"splits-blobs.csv": splits + b"x\n", "splits-b.csv": splits})
    path = edited(path, path, "features.json", lambda features: {"0" * 64: features.popitem()[1]})
    path = edited(path, path, "environment.json", lambda told: told["trained_on"][0].update(device="a GPU"))
    assert told(path) == [
        "splits-b.csv: is not what follows from plan.json",
        "splits-blobs.csv: is not what follows from plan.json",
        "features.json: is not what follows from plan.json",
        "environment.json: tells other machines than the results in ledger/",
    ]


def history_of(path: Path) -> tuple[str, dict[str, Any]]:
    """A search that has stopped a configuration, by the name of its file."""
    histories = {name: json.loads(data) for name, data in contents(path).items() if name.startswith("search/")}
    return next(
        (name, told) for name, told in histories.items() if any(c["state"] == "pruned" for c in told["configurations"])
    )


def test_another_choice_is_told_by_going_through_the_search_again(searched: Path, tmp_path: Path) -> None:
    name, history = history_of(searched)

    def other_epoch(told: dict[str, Any]) -> None:
        told["chosen"]["inner_uf1"] += 0.01

    found = told(edited(searched, tmp_path / "a.mer", name, other_epoch))
    assert found[0].startswith(f"{name}: it chose Choice(number={history['chosen']['number']}")

    def survived(told: dict[str, Any]) -> None:
        next(tried for tried in told["configurations"] if tried["state"] == "pruned")["inner_uf1"] = 0.9

    found = told(edited(searched, tmp_path / "b.mer", name, survived))
    assert "pruned after" in found[0]
    assert found[0].startswith(f"{name}: configuration ")


def test_configurations_of_ones_own_are_told(tmp_path: Path, quick_disk: None) -> None:
    """A history that was written by hand before the search went on from it: all jobs and choices follow from it."""
    store, out = Store(tmp_path / "store"), tmp_path / "out"
    write_blobs(store, "blobs", blob_clips(7, 6))
    plan = plan_of(store, configurations=3, groups=2)
    plan.save(out / "plan.json")
    for study in plan.studies:
        own = [
            TriedConfiguration(number, params, "running", 0, None, None, "")
            for number, params in enumerate(({"lr": 1e-4, "batch_size": 16}, {"lr": 0.01, "batch_size": 32}))
        ]
        empty = SearchHistory.load(out, plan, study)
        replace(empty, configurations=tuple(own)).save(out, study)
    simulate(plan, out)
    make_capsule(str(out), tmp_path / "a.mer", Console(), every=1, partial=False)
    named = [f"search/{study.name}.json" for study in plan.studies]
    assert told(tmp_path / "a.mer") == [f"{n}: tried configurations that its sampler does not propose" for n in named]

    def elsewhere(told: dict[str, Any]) -> None:
        told["capsule"]["optuna"] = "1.0"

    found = verify_capsule(edited(tmp_path / "a.mer", tmp_path / "b.mer", "environment.json", elsewhere))
    assert (found.problems, found.searches) == ((), 2)
    assert found.remarks[0].startswith(
        "what 2 searches tried is not proposed again here, with another version of Optuna"
    )


def test_a_configuration_that_failed_is_told_without_its_trace(tmp_path: Path, quick_disk: None) -> None:
    store, out = Store(tmp_path / "store"), tmp_path / "out"
    write_blobs(store, "blobs", blob_clips(7, 6))
    plan = plan_of(store, configurations=4, groups=2)
    plan.save(out / "plan.json")

    def fragile(plan: Plan, job: Job) -> Outcome:
        if plan.recipe(job).lr > 0.01 and job.division is not None:
            raise ArithmeticError("raised in /home/somebody/model.py on host lab7")
        return learner(plan, job)

    simulate(plan, out, learn=fragile)
    make_capsule(str(out), tmp_path / "a.mer", Console(), every=1, partial=False)
    files = contents(tmp_path / "a.mer")
    assert sum(data.count(b'"division 1 failed"') for data in files.values()) > 0
    assert not any(b"somebody" in data or b"lab7" in data for data in files.values())
    assert json.loads(files["score.json"])["complete"]
    found = verify_capsule(tmp_path / "a.mer")
    assert (found.searches, found.problems, found.remarks) == (2, (), ())


def test_a_history_cut_short(searched: Path, tmp_path: Path) -> None:
    name, history = history_of(searched)
    number = history["chosen"]["number"] + 1
    assert number < len(history["configurations"])

    def cut(told: dict[str, Any]) -> None:
        told["configurations"] = told["configurations"][:number]

    with pytest.raises(BadInput, match="is the result of no job"):
        verify_capsule(edited(searched, tmp_path / "a.mer", name, cut))


def test_a_history_that_does_not_fit_its_search(searched: Path, tmp_path: Path) -> None:
    name, _ = history_of(searched)
    for number, change in enumerate(({"group": ["nobody"]}, {"chosen": None, "configurations": [{}]}, {"closed": 7})):
        path = edited(searched, tmp_path / f"{number}.mer", name, lambda told, change=change: told.update(change))
        with pytest.raises(BadInput, match=rf"{number}\.mer, {name}: (does not fit|cannot be read)"):
            verify_capsule(path)
    path = repaired(searched, tmp_path / "a.mer", {"search/another.json": contents(searched)[name]})
    with pytest.raises(BadInput, match=r"search/another\.json: is of no search in plan\.json"):
        verify_capsule(path)
