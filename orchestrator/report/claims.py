"""Where a published figure lies in ours: among what is honest, or among what looking at the test subjects gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mer_data.problems import BadInput, Problem, did_you_mean
from orchestrator.console import Console
from orchestrator.experiment.plan import Plan
from orchestrator.output.ledger import Ledger
from orchestrator.report import score_rows
from orchestrator.report.flat_tables import Line
from orchestrator.report.leaderboard import ORACLES
from orchestrator.report.predictions import CellPredictions, score_cells

_TITLES = {
    "last": "honest, last epoch",
    "inner": "honest, chosen on inner subjects",
    "oracle-epoch": "oracle per epoch",
    "oracle-subject": "oracle per subject",
}
_GIVES = {
    "oracle-epoch": "choosing one epoch for all on the test subjects",
    "oracle-subject": "choosing the epoch of each fold on its test subject",
}


def claims_document(
    plan: Plan, ledger: Ledger, uf1: float, model: str, dataset: str | None, *, partial: bool
) -> dict[str, Any]:
    """Where a published UF1 lies in our results of a model, as ``mer claim --json`` prints it.

    Parameters
    ----------
    plan, ledger
        Our results.
    uf1
        The published figure.
    model, dataset
        What it is of; of the only dataset if `dataset` is None.
    partial
        Whether folds may be missing.

    Returns
    -------
    Under ``claims``, per configuration ``claim``, ``model``, ``dataset``, ``configuration``, ``complete``,
    ``all_epochs`` (whether every epoch that folds kept is there to choose from), ``rules`` (``rule``, ``oracle``,
    ``uf1``, ``uf1_interval`` over subjects, ``uf1_seed_range``, ``position`` of the figure: ``below``, ``inside`` or
    ``above`` the interval, None without one), the honest rule first, and ``words``.

    Raises
    ------
    BadInput
        If there are no such results, or of several datasets, or if folds are missing and `partial` is not set.
    """
    found = sorted({name for name, planned in plan.datasets.items() if model in planned.model_keys})
    if not found:
        known = {name for planned in plan.datasets.values() for name in planned.model_keys}
        raise BadInput(Problem("--model", f"there are no results of {model!r}", did_you_mean(model, known)))
    if dataset is None and len(found) > 1:
        what = f"{model} has results on {', '.join(found)}"
        raise BadInput(Problem("--dataset", what, "say which one the figure is of"))
    if dataset is not None and dataset not in found:
        what = f"there are no results of {model} on {dataset!r}"
        raise BadInput(Problem("--dataset", what, did_you_mean(dataset, found)))
    named = dataset or found[0]
    scored = score_cells(plan, ledger, partial=partial)
    of_model = [cell for cell in scored if (cell.cell.model, cell.cell.dataset) == (model, named)]
    if not of_model:
        raise BadInput(Problem("--model", f"no fold of {model} on {named} is done", "run the experiment again"))
    return {"claims": [_claim(plan, ledger, cell, uf1) for cell in of_model]}


def placed(cell: CellPredictions, rule: str, uf1: float) -> tuple[list[dict[str, Any]], str]:
    """Where a figure lies by each rule, the honest one of the experiment first, and in words."""
    names = [rule, *(ORACLES if cell.several_epochs else ())]
    rules = []
    for name in sorted(names, key=list(_TITLES).index):
        row = next(row for row in score_rows.rows([cell], name) if row["scope"] in score_rows.HEADLINES)
        told = {key: row[key] for key in ("uf1", "uf1_interval", "uf1_seed_range")}
        rules.append({"rule": name, "oracle": name in ORACLES, **told, "position": _position(uf1, row["uf1_interval"])})
    return rules, _words(uf1, rules)


def _claim(plan: Plan, ledger: Ledger, cell: CellPredictions, uf1: float) -> dict[str, Any]:
    rules, words = placed(cell, plan.rule, uf1)
    kept = (ledger.read(job.id).epochs == tuple(plan.recipe(job).kept_epochs()) for job in cell.done)
    return {
        "claim": {"uf1": uf1},
        "model": cell.cell.model,
        "dataset": cell.cell.dataset,
        "configuration": cell.cell.configuration,
        "complete": cell.complete,
        "all_epochs": all(kept),
        "rules": rules,
        "words": words,
    }


def _position(uf1: float, interval: Sequence[float] | None) -> str | None:
    if interval is None:
        return None
    return "below" if uf1 < interval[0] else "above" if uf1 > interval[1] else "inside"


def _words(uf1: float, rules: Sequence[Mapping[str, Any]]) -> str:
    """A sentence on where the figure lies; nothing in it is stronger than the intervals."""
    honest, *oracles = rules
    said = f"{uf1:g} lies {honest['position']} the honest interval {_between(honest)}"
    if honest["position"] is None:
        return f"{uf1:g} cannot be placed: with one subject per source there is no interval"
    if honest["position"] == "inside":
        return f"{said}: choosing nothing on the test subjects can give it."
    if honest["position"] == "below":
        return f"{said}: ours is better without choosing anything on the test subjects."
    reached = [rule for rule in oracles if rule["position"] in ("inside", "below")]
    if not oracles:
        return f"{said}. Folds kept one epoch each, so what choosing on the test subjects gives is not known."
    if not reached:
        highest = max(oracles, key=lambda rule: rule["uf1_interval"][1])
        return (
            f"{said}, and above that of the {_TITLES[highest['rule']]}, {_between(highest)}: choosing epochs on the "
            "test subjects does not give it here. Other clips, features, settings or another choice might."
        )
    first = reached[0]
    title, gives = _TITLES[first["rule"]], _GIVES[first["rule"]]
    if first["position"] == "inside":
        return f"{said} and inside that of the {title}, {_between(first)}: it is what {gives} gives."
    return f"{said} and below that of the {title}, {_between(first)}: {gives} gives more than that."


def _between(rule: Mapping[str, Any]) -> str:
    low, high = rule["uf1_interval"]
    return f"{low:.2f}-{high:.2f}"


def claim_lines(document: Mapping[str, Any]) -> list[Line]:
    """A line per claim and rule, for CSV."""
    return [
        {
            **{name: claim[name] for name in ("model", "dataset", "configuration", "complete", "all_epochs")},
            "claim_uf1": claim["claim"]["uf1"],
            **{name: rule[name] for name in ("rule", "oracle", "uf1")},
            **dict(zip(("uf1_low", "uf1_high"), rule["uf1_interval"] or (None, None), strict=True)),
            **dict(zip(("uf1_seed_min", "uf1_seed_max"), rule["uf1_seed_range"] or (None, None), strict=True)),
            "position": rule["position"],
        }
        for claim in document["claims"]
        for rule in claim["rules"]
    ]


def print_claims(document: Mapping[str, Any], console: Console) -> None:
    """The tables and sentences of ``mer claim``."""
    for claim in document["claims"]:
        cells = []
        for rule in claim["rules"]:
            between = _between(rule) if rule["uf1_interval"] else "-"
            seeds = "{:.4f}-{:.4f}".format(*rule["uf1_seed_range"]) if rule["uf1_seed_range"] else "-"
            cells.append((_TITLES[rule["rule"]], f"{rule['uf1']:.4f}", between, seeds, rule["position"] or "-"))
        lack = "" if claim["complete"] else ", NOT COMPLETE"
        title = f"{claim['model']} on {claim['dataset']}, {claim['configuration']}{lack}"
        header = ("rule", "UF1", "95 %", "seeds", f"{claim['claim']['uf1']:g} lies")
        console.table(title, header, cells)
        console.note(claim["words"])
        if not claim["all_epochs"]:
            console.note("The capsule has not all epochs that folds kept, so the oracles are lower than they would be.")
    console.note(
        "95 %: of the UF1 if other subjects were drawn. The figure is mostly of the same people as here, so an "
        "interval that holds it says that it could be had, not that it was had so.",
        dim=True,
    )
