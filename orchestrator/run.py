"""The whole job: features, plan, sweep, score, MLflow. The same call again does only what is missing."""

from __future__ import annotations

import fcntl
import os
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mer_data.files import write_json
from mer_data.problems import BadInput, Problem
from mer_data.store import Store
from mer_models.spec import ModelSpec
from orchestrator import leaderboard
from orchestrator.config import Experiment
from orchestrator.console import Console, duration
from orchestrator.ledger import Ledger
from orchestrator.plan import Plan, choose_models, choose_recipes, datasets, make_cohort, make_plan
from orchestrator.precompute import can_be_made, precompute
from orchestrator.runtime import Cluster
from orchestrator.twins import add_synthetic


def run(experiment: Experiment, out: Path | None, console: Console) -> dict[str, Any]:
    """Run an experiment to its end and return the document of ``mer run --json``.

    Parameters
    ----------
    experiment
        What to run.
    out
        The output folder; ``runs/NAME`` if None.
    console
        Where progress and the leaderboard go.

    Raises
    ------
    BadInput
        If the experiment, the store or a clip is unusable. What was finished before stays.
    """
    from orchestrator import track

    store = Store(experiment.store)
    if experiment.datasets == "all" and not store.names():
        console.say(f"the store {store.root} is empty: making a synthetic dataset to run on")
        add_synthetic(store, store.root / "CASME2-synthetic", console)
    chosen = _checked(experiment, store)
    out = out or Path("runs") / experiment.name
    with _only_driver(out), Cluster() as cluster:
        _features(experiment, store, chosen, cluster, console)
        plan = make_plan(experiment, store, chosen)
        plan.save(out / "plan.json")
        for cohort in plan.cohorts.values():
            console.say(
                f"{cohort.dataset}: {len(cohort.clip_ids)} clips of {len(set(cohort.subjects))} subjects, "
                f"classes {', '.join(cohort.classes)}; {cohort.left_out} clips left out by the class scheme"
            )
        _sweep(plan, out, cluster, console)
    document = finish(plan, out, console)
    database = track.sync(plan, out)
    console.say(f"\nCompare runs in a browser:  {track.ui_command(database)}")
    return document


def compute_features(experiment: Experiment, console: Console) -> None:
    """Only the features of an experiment, as ``mer features``.

    Raises
    ------
    BadInput
        As :func:`run`.
    """
    store = Store(experiment.store)
    chosen = _checked(experiment, store)
    with Cluster() as cluster:
        _features(experiment, store, chosen, cluster, console)


def finish(plan: Plan, out: Path, console: Console) -> dict[str, Any]:
    """Print the leaderboard and return status and score; a table that is not complete says so."""
    ledger = Ledger(out / "ledger")
    state = leaderboard.status(plan, ledger)
    by_reason = Counter((failure["model"], failure["reason"].strip()) for failure in state["failures"])
    for (model, reason), count in by_reason.items():
        console.warn(f"{count} folds of {model} failed: {reason.splitlines()[-1]}; more with `mer status {out}`")
    score = leaderboard.score_document(plan, ledger, plan.rule, partial=True)
    console.leaderboard(leaderboard.board(plan, ledger, partial=True))
    return {"out": str(out), "status": state, "score": score}


def _checked(experiment: Experiment, store: Store) -> list[ModelSpec]:
    """The experiment's models, after everything that can be wrong with it was looked at, before anything starts."""
    names = [choice.name for choice in datasets(experiment, store)]
    for choice in datasets(experiment, store):
        make_cohort(store, choice.name, choice.classes)
    chosen = choose_models(experiment)
    if experiment.models == "all":
        features = {one.feature for spec in chosen for one in spec.inputs}
        absent = {one for one in features if not all(can_be_made(store, name, one) for name in names)}
        chosen = [spec for spec in chosen if not absent & {one.feature for one in spec.inputs}]
    choose_recipes(experiment, chosen)
    return chosen


def _features(
    experiment: Experiment, store: Store, chosen: Sequence[ModelSpec], cluster: Cluster, console: Console
) -> None:
    for choice in datasets(experiment, store):
        for feature in sorted({one.feature for spec in chosen for one in spec.inputs}):
            precompute(store, choice.name, feature, cluster, console)


def _sweep(plan: Plan, out: Path, cluster: Cluster, console: Console) -> None:
    from orchestrator.sweep import sweep

    done = Ledger(out / "ledger").ids()
    todo = [job for job in plan.jobs if job.id not in done]
    if len(todo) < len(plan.jobs):
        console.say(f"{len(plan.jobs) - len(todo)} of {len(plan.jobs)} folds are done already")
    if not todo:
        return
    cost = sweep(plan, todo, out, cluster.resources, console)
    write_json(out / "cost.json", {**vars(cost), "not_training": cost.not_training})
    console.say(
        f"{cost.jobs} folds in {duration(cost.wall_seconds)} on {cost.slots} slots; "
        f"{100 * cost.not_training:.1f} % of their time was not training"
    )


@contextmanager
def _only_driver(out: Path) -> Iterator[None]:
    """Hold the output folder. The lock goes with the process that holds it, however that one ends."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "driver.lock"
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise BadInput(
                Problem(str(out), f"is in use by {file.read().strip()}", "wait, or choose another --out")
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
