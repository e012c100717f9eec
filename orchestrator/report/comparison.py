"""Models against each other: differences on the same subjects, in numbers and in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mer_data.problems import BadInput, Problem, did_you_mean, raise_all
from orchestrator.experiment.plan import Plan
from orchestrator.report.predictions import Cell, CellPredictions
from orchestrator.report.score_rows import headline, scopes
from orchestrator.score import metrics
from orchestrator.score.comparison import LEVEL, Difference, detectable, difference, holm, smallest_p, swap_test
from orchestrator.score.metrics import Counts, Floats

METRICS: Mapping[str, Callable[[Counts], Floats]] = {"uf1": metrics.uf1, "uar": metrics.uar}


@dataclass(frozen=True)
class Results:
    """The complete cells of an output folder, and how the user called it."""

    name: str
    plan: Plan
    cells: Sequence[CellPredictions]


@dataclass(frozen=True)
class Entry:
    """A cell with the name that no other one of its dataset has."""

    name: str
    of: Results
    cell: CellPredictions

    @property
    def counts(self) -> Counts:
        """Of its experiment's own rule, which is honest."""
        return self.cell.per_subject(self.of.plan.rule)


def compare(results: Sequence[Results], reference: str | None, metric: str) -> dict[str, Any]:
    """The document of ``mer compare --json``: every model against the reference, on each dataset.

    Parameters
    ----------
    results
        What is compared; cells must be complete.
    reference
        The model that the others are compared with; the first model of the first experiment if None. It must be fixed
        before the results are looked at: the best one would look better than it is.
    metric
        One of `METRICS`.

    Raises
    ------
    BadInput
        If folders do not have the same clips, classes or protocol for a dataset, or there is nothing to compare with.
    """
    by_dataset = named_entries(results)
    raise_all(
        problem
        for dataset, entries in by_dataset.items()
        for problem in [*_alone(dataset, entries), *unlike(dataset, entries)]
    )
    named = reference or next(iter(results[0].plan.recipes))
    chosen = {dataset: _reference(dataset, entries, named) for dataset, entries in by_dataset.items()}
    pairs = [
        (dataset, entry, chosen[dataset])
        for dataset, entries in by_dataset.items()
        for entry in entries
        if entry is not chosen[dataset]
    ]
    return {"metric": metric, "reference": named, **_measured(pairs, metric)}


def compare_all(dataset: str, entries: Sequence[Entry], metric: str) -> dict[str, Any]:
    """Every two models of a dataset against each other, the earlier one as the reference.

    The document is that of :func:`compare` without a common reference; the family are all pairs.
    """
    pairs = [(dataset, entry, against) for index, entry in enumerate(entries) for against in entries[:index]]
    return {"metric": metric, "reference": None, **_measured(pairs, metric)}


def _measured(pairs: Sequence[tuple[str, Entry, Entry]], metric: str) -> dict[str, Any]:
    found = [
        difference(
            *as_many(entry.counts, against.counts), next(iter(scopes(entry.cell).values())).strata, METRICS[metric]
        )
        for _, entry, against in pairs
    ]
    adjusted = holm([one.p for one in found], len(found))
    return {
        "family": len(found),
        "level": LEVEL,
        "comparisons": [
            _document(dataset, entry, against, one, p, metric, len(found))
            for (dataset, entry, against), one, p in zip(pairs, found, adjusted, strict=True)
        ],
    }


def as_many(first: Counts, second: Counts) -> tuple[Counts, Counts]:
    """Equally many seeds of two models: the first ones of the model that has more. Which these are, no result decides.

    Parameters
    ----------
    first, second
        Confusion matrices ``[seeds, ...]``, in the order in which the experiments name their seeds.
    """
    seeds = min(len(first), len(second))
    return first[:seeds], second[:seeds]


def named_entries(results: Sequence[Results]) -> dict[str, list[Entry]]:
    """By dataset: what there is, under names that differ; folders are named where a model is in several."""
    names = [one.name for one in results]
    raise_all(Problem(name, "is given twice", "give it once") for name in dict.fromkeys(names) if names.count(name) > 1)
    cells = [(of, cell) for of in results for cell in of.cells]
    found: dict[str, list[Entry]] = {}
    for of, cell in cells:
        same = [
            other
            for _, other in cells
            if (other.cell.dataset, other.cell.model) == (cell.cell.dataset, cell.cell.model)
        ]
        name = cell.cell.model if len(same) == 1 else f"{cell.cell.model} @ {of.name}"
        found.setdefault(cell.cell.dataset, []).append(Entry(name, of, cell))
    return found


def _alone(dataset: str, entries: Sequence[Entry]) -> list[Problem]:
    if len(entries) > 1:
        return []
    what = f"has the results of one model only, {entries[0].name}"
    return [Problem(f"dataset {dataset}", what, "give a folder with more models, or several folders")]


def unlike(dataset: str, entries: Sequence[Entry]) -> list[Problem]:
    """What keeps the models of a dataset from being compared."""
    first, where, problems = entries[0], f"dataset {dataset}", []
    for entry in entries[1:]:
        for what, mine, others in (
            ("protocols", entry.cell.protocol, first.cell.protocol),
            ("classes", ", ".join(entry.cell.cohort.classes), ", ".join(first.cell.cohort.classes)),
            ("clip lists", entry.cell.cohort.checksum, first.cell.cohort.checksum),
        ):
            if mine != others:
                told = f"other {what}: {mine} in {entry.of.name}, {others} in {first.of.name}"
                problems.append(Problem(where, told, "compare results on the same clips only"))
    return list(dict.fromkeys(problems))


def _reference(dataset: str, entries: Sequence[Entry], named: str) -> Entry:
    found = [entry for entry in entries if named in (entry.name, entry.cell.cell.model)]
    if len(found) == 1:
        return found[0]
    names = [entry.name for entry in entries]
    what = f"{named!r} is in several folders" if found else f"dataset {dataset} has no results of {named!r}"
    remedy = f"take one of: {', '.join(names)}" if found else did_you_mean(named, names)
    raise BadInput(Problem("--reference", what, remedy))


def _document(
    dataset: str, entry: Entry, against: Entry, found: Difference, adjusted: float, metric: str, family: int
) -> dict[str, Any]:
    error, freedom = found.subject_error, found.freedom
    seen = None if error is None else detectable(error, freedom, family)
    verdict = _verdict(found, adjusted, family)
    one, other = as_many(entry.counts, against.counts)
    words = _words(entry.name, against.name, found, verdict, seen, metric.upper())
    if len(entry.cell.seeds) != len(against.cell.seeds):
        words += f" (the first {len(one)} seeds of each)" if len(one) > 1 else " (the first seed of each)"
    return {
        "dataset": dataset,
        "protocol": entry.cell.protocol,
        "model": entry.name,
        "configuration": entry.cell.cell.configuration,
        "rule": entry.of.plan.rule,
        "reference": against.name,
        "subjects": found.subjects,
        "seeds": len(one),
        "score": headline(one)[metric],
        "reference_score": headline(other)[metric],
        "difference": found.value,
        "interval": found.interval,
        "p": found.p,
        "exact": found.exact,
        "p_holm": adjusted,
        "subject_error": error,
        "seed_error": found.seed_error,
        "detectable": seen,
        "verdict": verdict,
        "words": words,
    }


def _verdict(found: Difference, adjusted: float, family: int) -> str:
    if adjusted <= LEVEL:
        return "better" if found.value > 0 else "worse"
    return "too few subjects to tell" if family * smallest_p(found.subjects) > LEVEL else "not told apart"


def _words(name: str, against: str, found: Difference, verdict: str, seen: float | None, metric: str) -> str:
    if verdict in ("better", "worse"):
        better, other = (name, against) if found.value > 0 else (against, name)
        return f"{better} better than {other} by {abs(found.value):.4f} {metric}"
    told = f"{name}, {against}: {verdict}"
    if verdict == "not told apart" and seen:
        told += f": with {found.subjects} subjects only differences above {seen:.4f} are seen in four of five cases"
    return told


def separable_from_best(cells: Sequence[CellPredictions], rule: str) -> dict[Cell, bool | None]:
    """Whether a cell is worse than the best one of its dataset, by more than luck with the subjects.

    The swap test of UF1 at 5 %, with Holm's correction over all pairs of models: the best one was found by looking at
    all of them, so each pair could have been the one that is tested.

    Parameters
    ----------
    cells
        Of one experiment.
    rule
        An honest selection rule.

    Returns
    -------
    By cell: False for the best cell itself. None for incomplete cells, for one without
    others, and where there are too few subjects to separate anything.
    """
    found: dict[Cell, bool | None] = {cell.cell: None for cell in cells}
    for dataset in {cell.cell.dataset for cell in cells}:
        there = [cell for cell in cells if cell.complete and cell.cell.dataset == dataset]
        family = len(there) * (len(there) - 1) // 2
        if not family or family * smallest_p(len(there[0].subjects)) > LEVEL:
            continue
        counts = [cell.per_subject(rule) for cell in there]
        best = max(range(len(there)), key=lambda index: headline(counts[index])["uf1"])
        others = [index for index in range(len(there)) if index != best]
        pairs = [as_many(counts[index], counts[best]) for index in others]
        p = [swap_test(_flat(one), _flat(other), metrics.uf1)[0] for one, other in pairs]
        adjusted = holm(p, family)
        found[there[best].cell] = False
        found |= {there[index].cell: p <= LEVEL for index, p in zip(others, adjusted, strict=True)}
    return found


def _flat(counts: Counts) -> Counts:
    """Seeds and runs as one axis."""
    return counts.reshape(-1, *counts.shape[2:])
