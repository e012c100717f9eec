"""Which configuration a search tries next: Optuna's samplers, and Optuna's view of the search for its dashboard."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import TrialState

from mer_data.hashing import digest
from mer_models.spec import Range
from orchestrator.experiment.plan import Study
from orchestrator.experiment.sections import STARTUP

METRIC = "UF1 on validation subjects"
optuna.logging.set_verbosity(logging.WARNING)


class Sampler:
    """The sampler, behind an Optuna study that is made anew from what is known.

    Parameters
    ----------
    study
        What is searched.
    storage
        Where Optuna keeps its view of it.
    known
        The parameters of configurations that were proposed before; they are not asked for again.
    """

    def __init__(self, study: Study, storage: BaseStorage, known: Sequence[Mapping[str, Any]]) -> None:
        self._study, self._known = study, known
        self._space = {name: _distribution(values) for name, values in study.space.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._optuna = optuna.create_study(study_name=study.name, storage=storage, direction="maximize")
            self._optuna.set_metric_names([METRIC])
        self._trials: list[optuna.Trial] = []

    def ask(self, number: int) -> dict[str, Any]:
        """The parameters of a configuration: as they were, if it was proposed before; else the sampler's."""
        fixed = self._known[number] if number < len(self._known) else self._published() if number == 0 else None
        if fixed is not None and self._space:
            self._optuna.enqueue_trial(dict(fixed))
            self._optuna.sampler = optuna.samplers.RandomSampler()  # has nothing to say, and is quick at it
        else:
            # A seed for each proposal: what a sampler proposes does not depend on how often it was started.
            self._optuna.sampler = _sampler(self._study, number)
        trial = self._optuna.ask(self._space)
        self._trials.append(trial)
        return dict(trial.params)

    def _published(self) -> dict[str, Any] | None:
        """The published recipe, if the space contains it."""
        values = {name: getattr(self._study.recipe, name) for name in self._space}
        return values if all(_is_in(values[name], choices) for name, choices in self._study.space.items()) else None

    def tell(self, number: int, steps: Sequence[float], value: float | None, reason: str) -> None:
        """Report a configuration whose race has ended: complete if it has a value, failed if it has a reason.

        `steps` are its scores after each division.
        """
        trial = self._trials[number]
        for step, score in enumerate(steps):
            trial.report(score, step)
        if value is not None:
            self._optuna.tell(trial, value)
            return
        if reason:
            trial.set_user_attr("reason", reason[:500])
        self._optuna.tell(trial, state=TrialState.FAIL if reason else TrialState.PRUNED)


def _is_in(value: Any, values: Range | tuple[Any, ...]) -> bool:
    return value in values if isinstance(values, tuple) else values.low <= value <= values.high


def _distribution(values: Range | tuple[Any, ...]) -> BaseDistribution:
    if isinstance(values, tuple):
        return CategoricalDistribution(values)
    if isinstance(values.low, int) and isinstance(values.high, int):
        return IntDistribution(values.low, values.high, log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)


def _sampler(study: Study, number: int) -> optuna.samplers.BaseSampler:
    seed = int(digest([study.model, study.dataset, study.seed, study.search.seed, number])[:8], 16)
    if study.search.sampler == "tpe":
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)
    if study.search.sampler == "gp":
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=STARTUP, deterministic_objective=False)
    return optuna.samplers.RandomSampler(seed=seed)


class Journal(BaseJournalBackend):
    """Optuna's journal, with one writer, who never reads it back from the file.

    Optuna's own backend locks the file and waits for the disk at every entry. Neither is needed where the journal is
    written anew from the ledger whenever a driver starts, and only dashboards read it.

    Parameters
    ----------
    path
        The file; what it held is lost.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[str] = []
        path.write_text("", encoding="utf-8")

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The entries from a number on."""
        return map(json.loads, self._lines[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add entries: one line of JSON each, as Optuna's ``JournalFileBackend`` reads them."""
        lines = [json.dumps(log, separators=(",", ":")) for log in logs]
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
        self._lines += lines
