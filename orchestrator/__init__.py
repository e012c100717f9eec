"""Experiments on a Ray cluster: the only package that knows the others, Ray and MLflow.

The map of the house, in the order in which an experiment passes through it; each knows those before it only:

``score``       numbers only: metrics, selection rules, intervals, validation scores
``machines``    starting and joining Ray, what it has, which code its machines run
``precompute``  features that the store lacks, by Ray actors
``experiment``  the file, what it comes to on a store, folds, whom a search may see, jobs with ids
``output``      what lies in an output folder: ledger, histories of searches, weights; capsules
``search``      which configuration comes next, when one is stopped, what is chosen
``sweep``       one Ray Tune run: queue, trial, the dispatcher that commits results
``report``      the ledger joined with labels: leaderboard, tables, MLflow, capsules verified
``whole_run``, ``cli`` the whole job, and the `mer` command

From Python: ``load_experiment``, ``run``, ``open``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.experiment.config import Experiment
    from orchestrator.report.opened import OpenedResults

__all__ = ["load_experiment", "open", "run"]

# Everything is imported where it is used: the `mer` command imports this package, and must answer at once.


def load_experiment(experiment: str | Path, changes: Mapping[str, Any] | None = None) -> Experiment:
    """An experiment from its file, or a preset by its name.

    Parameters
    ----------
    experiment
        A path, or a preset: ``demo``, ``megc2019``, ...
    changes
        Values by dotted keys, as ``{"recipes.ststnet.epochs": 50, "seeds": [0, 1]}``.

    Raises
    ------
    mer_data.problems.BadInput
        If it cannot be read, or a key or a value is not known.
    """
    from orchestrator.experiment import config

    texts = [f"{key}={json.dumps(value)}" for key, value in (changes or {}).items()]
    return config.load(str(experiment), texts)


def run(
    experiment: Experiment | str | Path, out: str | Path | None = None, *, cpus: int | None = None
) -> OpenedResults:
    """Run an experiment, or what is missing of it, and open its results.

    Parameters
    ----------
    experiment
        What ``load_experiment`` gave, or what it takes.
    out
        The output folder; ``runs/NAME`` if None.
    cpus
        Cores to use, if no Ray cluster is joined; all if None.

    Raises
    ------
    mer_data.problems.BadInput
        As ``mer run`` would tell. What was finished before stays, and the same call goes on from there.
    """
    from orchestrator.console import Console
    from orchestrator.whole_run import run as run_experiment

    loaded = load_experiment(experiment) if isinstance(experiment, str | Path) else experiment
    return open(run_experiment(loaded, out, Console(), cpus)["out"], partial=True)


def open(out: str | Path, *, partial: bool = False) -> OpenedResults:  # noqa: A001 - `mer.open(OUT)` reads as it should
    """Open the results of an output folder; see ``OpenedResults``."""
    from orchestrator.report.opened import OpenedResults

    return OpenedResults(out, partial=partial)
