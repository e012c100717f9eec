"""The whole job: features, plan, sweep, score, MLflow. The same call again does only what is missing."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mer_data.composites import perhaps_same_people
from mer_data.features import FEATURES
from mer_data.files import written_aside
from mer_data.storage.store import Store
from mer_models.spec import models
from orchestrator.console import Console, duration
from orchestrator.experiment.config import Experiment, preset
from orchestrator.experiment.declarations import declaration
from orchestrator.experiment.plan import Plan, PlannedDataset, of_older_search
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import Resolved, ResolvedDataset, by_member, choose_datasets, resolve
from orchestrator.experiment.search_splits import pool
from orchestrator.experiment.sections import Search
from orchestrator.experiment.variants import prepare_datasets
from orchestrator.machines.ray_cluster import Cluster
from orchestrator.machines.resources import Resources
from orchestrator.output.folder import Output, default_output
from orchestrator.output.ledger import Ledger
from orchestrator.output.status import status
from orchestrator.output.weights import tell_weights, without_weights
from orchestrator.precompute.feature_notes import warning_on_dataset
from orchestrator.precompute.missing import precompute
from orchestrator.report import leaderboard, result_files
from orchestrator.report.mlflow_mirror.store import Look, MirrorLost
from orchestrator.report.predictions import CellPredictions, score_cells
from orchestrator.report.tables import print_leaderboard

if TYPE_CHECKING:
    from orchestrator.search.study import StudyDriver

_SYNTHETIC = "casme2_synthetic"


def run(experiment: Experiment, out: Path | str | None, console: Console, cpus: int | None = None) -> dict[str, Any]:
    """Run an experiment to its end and return the document of ``mer run --json``.

    Parameters
    ----------
    experiment
        What to run.
    out
        The output folder, or its address in object storage; :func:`default_output` if None.
    console
        Where progress and the leaderboard go.
    cpus
        Cores to use, if Ray is started here; all if None.

    Raises
    ------
    BadInput
        If the experiment, the store or a clip is unusable. What was finished before stays.
    """
    resolved = _resolved(experiment, console)
    output = Output(out or default_output(experiment.name))
    with output.held(console) as out, console.logged(out / "run.log"), Cluster(cpus) as cluster:
        precompute(resolved.store, resolved.features, cluster, console)
        plan = make_plan(resolved)
        if plan.studies and of_older_search(out / "plan.json"):
            console.warn(
                f"{out} holds a search of an older version, in which a held-out subject validated for others. "
                "Its results are not used; folds without search go on"
            )
        plan.save(out / "plan.json")
        _write_splits(plan, out)
        with written_aside(out / "experiment.yaml") as aside:
            aside.write_text(resolved.spelled_out, encoding="utf-8")
        for planned in plan.datasets.values():
            _tell_dataset(planned, console)
            _tell_groups(planned, experiment.search, console)
        look = _sweep(experiment, plan, out, cluster, console)
        cluster.let_go()
        document = {"out": output.address, **_finish(plan, out, look, console)}
        document["weights"] = tell_weights(plan, out, console)
        console.say(f"leaderboard.csv, predictions.csv and other files to open: in {output.address}")
        return document


def demo(out: Path, console: Console) -> dict[str, Any]:
    """Make a synthetic dataset beside the results, and run the preset `demo` on it."""
    store = Store(out / "store")
    _add_synthetic(store, out / "CASME2-synthetic", console)
    return run(preset("demo").model_copy(update={"store": str(store.root)}), out, console)


def compute_features(
    experiment: Experiment, console: Console, cpus: int | None = None, names: Sequence[str] = ()
) -> None:
    """Only the features of an experiment, as ``mer features``: those its models eat, or `names`; ``all`` names each.

    Raises
    ------
    BadInput
        As :func:`run`.
    """
    named = sorted(FEATURES) if list(names) == ["all"] else names
    store = Store(experiment.store)
    if named:
        prepared = (
            dataset
            for choice in choose_datasets(experiment, store)
            for dataset in prepare_datasets(experiment, choice, store, console)
        )
        needed = by_member((dataset.members, named) for dataset in prepared)
    else:
        needed = _resolved(experiment, console).features
    with Cluster(cpus) as cluster:
        precompute(store, needed, cluster, console)


def _add_synthetic(store: Store, folder: Path, console: Console) -> None:
    """Put a small synthetic CASME II into a store as ``casme2_synthetic``, drawing it if `folder` is not there yet."""
    if _SYNTHETIC in store.names():
        return
    from mer_data import synthetic
    from mer_data.formats import import_dataset

    if not folder.exists():
        console.say(f"drawing synthetic faces in the layout of CASME II: {folder}")
        with console.progress("drawing", 0, "clips") as progress:
            synthetic.draw("casme2", folder, subjects=12, clips=120, seed=0, progress=progress.reach)
    import_dataset("casme2", [folder], store, _SYNTHETIC)


def _resolved(experiment: Experiment, console: Console) -> Resolved:
    """The experiment on its store, after all that can be wrong was looked at, before anything starts."""
    store = Store(experiment.store)
    if experiment.all_datasets and not store.names():
        console.say(f"the store {store.root} is empty: making a synthetic dataset to run on")
        _add_synthetic(store, store.root / "CASME2-synthetic", console)
    resolved = resolve(experiment, store, console)
    for name, dataset in resolved.datasets.items():
        for line in dataset.told:
            console.say(line)
        for about in (*perhaps_same_people(dataset.cohort.clip_ids), *_of_features(store, dataset)):
            console.warn(f"{name}: {about}")
        for model, inputs in dataset.inputs.items():
            if inputs != declaration(model).inputs:
                eats = ", ".join(taken.feature for taken in inputs)
                console.warn(f"{name}: {model} runs on {eats}, since its own input cannot be made there")
        left_out = [model for model in models() if model not in dataset.inputs]
        if experiment.all_models and left_out:
            without = ", ".join(left_out)
            console.warn(f"{name}: without {without}; it has neither their features nor frames to compute them from")
    return resolved


def _of_features(store: Store, dataset: ResolvedDataset) -> list[str]:
    """What the features of a dataset will lack, with the models that eat them."""
    warnings = []
    for feature in dataset.features:
        found = [warning_on_dataset(store, store.dataset(member), feature) for member in dataset.cohort.members]
        eaters = ", ".join(m for m, inputs in dataset.inputs.items() if feature in {taken.feature for taken in inputs})
        warnings += [f"{told} (eaten by {eaters})" for told in dict.fromkeys(found) if told]
    return warnings


def _write_splits(plan: Plan, out: Path) -> None:
    """Write who trains, validates and tests, files per dataset, and their checksums for ``sha256sum --check``."""
    texts = plan.split_files()
    for file, text in texts.items():
        with written_aside(out / file) as aside:
            aside.write_text(text, encoding="utf-8")
    with written_aside(out / "splits.sha256") as aside:
        sums = [f"{hashlib.sha256(text.encode()).hexdigest()}  {file}\n" for file, text in texts.items()]
        aside.write_text("".join(sums), encoding="utf-8")


def _tell_dataset(planned: PlannedDataset, console: Console) -> None:
    """Say what takes part; warn of clips that are missing, and of folds that cannot answer right.

    No model can answer a class that the training clips of a fold lack.
    """
    cohort = planned.cohort
    why = ", ".join(f"{reason} {count}" for reason, count in cohort.why_left_out.items())
    why = f": {why}" if why else ""
    console.say(
        f"{cohort.dataset}: {len(cohort.clip_ids)} clips of {len(set(cohort.subjects))} subjects, "
        f"classes {', '.join(cohort.classes)}; {cohort.left_out} clips left out{why}"
    )
    if cohort.missing:
        absent = f"{len(cohort.missing)} clips of the list {cohort.scheme}, first {cohort.missing[0]}"
        console.warn(f"{cohort.dataset} is INCOMPLETE: the store lacks {absent}")
    for fold in planned.folds.values():
        trained, tested = ({cohort.label_of[clip_id] for clip_id in ids} for ids in (fold.train_ids, fold.test_ids))
        if tested - trained:
            absent = ", ".join(sorted(tested - trained))
            console.warn(f"{cohort.dataset}, {fold.held_out}: no training clips of {absent}, which are tested")


def _finish(plan: Plan, out: Path, look: Look | None, console: Console) -> dict[str, Any]:
    """Print the leaderboard, write it into files, mirror it into MLflow, and return status and score."""
    ledger = Ledger(out / "ledger")
    state = status(plan, ledger)
    by_reason = Counter((failure["model"], failure["reason"].strip()) for failure in state["failures"])
    for (model, reason), count in by_reason.items():
        console.warn(f"{count} folds of {model} failed: {reason.splitlines()[-1]}; more with `mer status {out}`")
    scored = score_cells(plan, ledger, partial=True)
    score = leaderboard.score_document(plan, ledger, scored, plan.rule)
    print_leaderboard(leaderboard.board(scored, score), console)
    result_files.write(plan, out, scored, score)
    _mirror(plan, scored, out, look, console)
    return {"status": state, "score": score}


def _mirror(plan: Plan, scored: Sequence[CellPredictions], out: Path, look: Look | None, console: Console) -> None:
    """Write MLflow's runs. The results are in the ledger; whatever MLflow may lack, the mirror can be made later."""
    from orchestrator.report.mlflow_mirror.cells import is_current, sync
    from orchestrator.report.mlflow_mirror.page import ui_command

    try:
        if not is_current(plan, scored, out):
            lost = (look if look and look.result() is None else Look(out)).result()
            if lost is not None:
                raise lost
            sync(plan, scored, out)
    except MirrorLost as error:
        console.warn(f"\nMLflow was not written. {error}\nLater:  mer track sync {out}")
    else:
        console.say(f"\nCompare runs in a browser:  {ui_command(out)}")


def _tell_groups(planned: PlannedDataset, search: Search | None, console: Console) -> None:
    """Warn of fewer groups than asked for, and of searches that never see a class."""
    if search is None or not planned.groups:
        return
    cohort = planned.cohort
    if isinstance(search.groups, int) and len(planned.groups) < search.groups:
        fewer = f"{len(planned.folds)} folds are fewer than {search.groups} groups"
        console.warn(f"{cohort.dataset}: {fewer}, so what each holds out is a group of its own")
    for group, held_out in planned.groups.items():
        seen = {cohort.label_of[i] for i in pool(planned.folds[name] for name in held_out)}
        absent = [name for name in cohort.classes if name in cohort.labels and name not in seen]
        if absent:
            never = f"its search never sees {', '.join(absent)}"
            console.warn(f"{cohort.dataset}, {group} held out: {never}, so nothing is chosen by how well it is found")


def _sweep(experiment: Experiment, plan: Plan, out: Path, cluster: Cluster, console: Console) -> Look | None:
    """Run what is missing; returns the look at MLflow that began meanwhile, None if nothing was missing."""
    ledger = Ledger(out / "ledger")
    ledger.forget_running()
    damaged = ledger.drop_damaged()
    if damaged:
        console.warn(f"{len(damaged)} damaged results were moved to {ledger.root / 'damaged'}; they are run again")
    done = ledger.ids() - without_weights(plan, out)
    jobs = [job for job in plan.jobs if job.id not in done]
    searches = sorted(_studies(plan, out, ledger), key=lambda run: declaration(run.study.model).gpu_share)
    left = len(jobs) + sum(search.left for search in searches)
    if done:
        console.say(f"{len(done)} folds are done already" + (f", at most {left} are left" if left else ""))
    if not left:
        return None
    from orchestrator.sweep.estimate import warn_if_long
    from orchestrator.sweep.tune_run import sweep

    have, look = _resources(out, cluster, console)
    _tell_machines(plan, have, console)
    warn_if_long(plan, done, [(run.study, run.left) for run in searches], have, console)
    try:
        cost = sweep(
            plan,
            jobs,
            searches,
            out,
            have,
            console,
            retries=experiment.retries,
            fold_minutes=experiment.fold_minutes,
            gpus=experiment.gpu,
        )
    finally:
        ledger.forget_running()
    with (out / "cost.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({**vars(cost), "not_training": cost.not_training}) + "\n")
    side_by_side = cost.training_seconds / cost.wall_seconds
    console.say(
        f"{cost.jobs} folds in {duration(cost.wall_seconds)}, {side_by_side:.2g} at a time; "
        f"{100 * cost.not_training:.1f} % of that was not training"
    )
    return look


def _resources(out: Path, cluster: Cluster, console: Console) -> tuple[Resources, Look]:
    """What the cluster has; meanwhile it is looked at whether the mirror can be written, when it is all over.

    Looking imports MLflow and makes its database, for which nobody has to wait later.
    """
    look = Look(out)
    have = cluster.resources
    if (lost := look.result()) is not None:
        console.warn(f"MLflow will not be written. {lost}\nResults do not need it; later:  mer track sync {out}")
    return have, look


def _tell_machines(plan: Plan, have: Resources, console: Console) -> None:
    if not have.machines:
        return
    listed = f" of {have.machines + have.absent}" if have.absent else ""
    # More than these machines have, where a cluster grows.
    console.say(f"machines now: {have.machines}{listed}; counting on {have.cpus} cores and {have.gpus:g} GPUs")
    if have.absent and not have.gpus and plan.device in ("auto", "both"):
        wait = "wait until `ray status` lists them, and start this again"
        console.warn(f"No GPU is here yet, so networks train on cores. If the other machines have any, {wait}")


def _studies(plan: Plan, out: Path, ledger: Ledger) -> list[StudyDriver]:
    """The plan's searches, gone through as far as the ledger allows."""
    if not plan.studies:
        return []
    from orchestrator.output.trained import TrainedJobs
    from orchestrator.search.study import StudyDriver, optuna_storage

    trained, storage = TrainedJobs(plan, ledger), optuna_storage(out)
    runs = [StudyDriver(plan, study, trained, out, storage) for study in plan.studies]
    for run in runs:
        run.advance()
    return runs
