"""The tables that a person reads in a terminal: the leaderboard of a run, and every row of ``mer score``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mer_data.storage.store import original
from orchestrator.console import Cell, Console
from orchestrator.report.score_rows import FEW_SEEDS, HEADLINES

FEW_SUBJECTS = 10
_BASELINES = ("majority", "chance")
_CHOSEN = {"last": "last epoch", "inner": "chosen on inner subjects"}
_HELD_OUT = {
    "loso": "{} subjects held out in turn, {}, pooled",
    "lodo": "{} datasets held out in turn, {}, pooled",
    "hde": "{} runs from one dataset to another, {}, mean of the runs",
}
_ONE_HELD_OUT = {"loso": "subject", "lodo": "dataset", "hde": "run"}
Row = Mapping[str, Any]


def print_leaderboard(lines: Sequence[Row], console: Console) -> None:
    """The headline tables of an experiment, from :func:`orchestrator.report.leaderboard.board`.

    One per dataset; a dataset and its variants have one in common, with a row for each.
    """
    if not lines:
        console.warn("no fold is done yet, so there is no leaderboard")
        return
    names = [original(dataset) for dataset in _by_dataset(lines)]
    for dataset, rows in _by_dataset(lines).items():
        if names.count(original(dataset)) == 1:
            _print_board(dataset, rows, console)
        elif dataset == original(dataset):
            _print_variants(dataset, [row for row in lines if original(row["dataset"]) == dataset], console)
        _print_searches([row for row in rows if row["search"]], console)
        if dataset == original(dataset):  # its variants have the same clips
            _print_absent_classes(rows, console)
    _print_captions(lines, console)
    console.note(
        "oracle: NOT a result: the UF1 that choosing the best epoch on the test clips would have shown, "
        f"{_each(lines[0])}, or one epoch for all.",
        dim=True,
    )


def _each(row: Row) -> str:
    return f"one for each {_ONE_HELD_OUT[row['protocol']]}"


def _print_captions(rows: Sequence[Row], console: Console) -> None:
    """What the intervals and spreads of a table mean, and who may have seen its subjects."""
    people = [row["subjects"] for row in rows if row["scope"] in HEADLINES]
    many = f"{min(people)}" if min(people) == max(people) else f"{min(people)} to {max(people)}"
    told = [f"95 %: of the UF1 if other subjects were drawn ({many} here); another training differs too."]
    if min(people) < FEW_SUBJECTS:
        told.append(f"With {min(people)} subjects it is a rough guess: few people say little of others.")
    seeds = {row["seeds"] for row in rows}
    if 1 in seeds:
        told.append("1 seed: the spread between trainings is unknown.")
    if any(1 < count < FEW_SEEDS for count in seeds):
        told.append("(a-b): the lowest and the highest of the seeds.")
    if not all(row["searched"] or row["model"] in _BASELINES for row in rows):
        told.append("Recipes as published or as given; their authors may have chosen them on these very subjects.")
    console.note("\n".join(told), dim=True)


def _print_board(dataset: str, rows: Sequence[Row], console: Console) -> None:
    changed = list(dict.fromkeys(row["configuration"] for row in rows if row["configuration"] != "recipe"))
    tied = [row for row in rows if row["separable_from_best"] is False]  # the best comes first
    cells = []
    for row in rows:
        mark = f" [{changed.index(row['configuration']) + 1}]" if row["configuration"] in changed else ""
        lack = "" if row["complete"] else f" {row['jobs_done']}/{row['jobs_planned']}"
        oracle = ("-" if score is None else f"{score['uf1']:.4f}" for score in row["oracle"].values())
        tie = " =" if row in tied[1:] else ""
        cells.append((f"{row['model']}{mark}{lack}{tie}", *_scores(row), *oracle))
    first = rows[0]
    seeds = f", mean of {first['seeds']} seeds" if first["seeds"] > 1 else ""
    how = _HELD_OUT[first["protocol"]].format(first["folds"], _CHOSEN[first["rule"]])
    whole = "" if all(row["complete"] for row in rows) else "NOT COMPLETE, "
    if first["missing_clips"]:
        whole += f"{first['missing_clips']} CLIPS MISSING, "
    each = ("oracle:", _ONE_HELD_OUT[first["protocol"]])
    header = ("model", "UF1", ("95 % of", "UF1"), "UAR", "accuracy", each, ("oracle:", "epoch"))
    console.table(f"{dataset}: {whole}{how}{seeds}", header, cells)
    if len(tied) > 1:
        console.note(f"= not separable from the best, {tied[0]['model']}: other subjects may turn it round")
    for number, configuration in enumerate(changed, 1):
        searched = any(row["searched"] for row in rows if row["configuration"] == configuration)
        told = configuration if searched else f"recipe changed: {configuration}"
        console.note(f"[{number}] {told}")


def _print_variants(dataset: str, rows: Sequence[Row], console: Console) -> None:
    """A dataset and its variants: each model's rows together, the dataset as it is first."""
    header = ("variant", "model", "UF1", ("95 % of", "UF1"), ("change", "of UF1"), "UAR", "accuracy")
    own = {row["model"]: row["uf1"] for row in rows if row["dataset"] == dataset}
    cells = []
    for row in sorted(rows, key=lambda row: (-own.get(row["model"], 0.0), row["model"], row["dataset"])):
        lack = "" if row["complete"] else f" {row['jobs_done']}/{row['jobs_planned']}"
        is_own = row["dataset"] == dataset or row["model"] not in own
        change = "-" if is_own else f"{row['uf1'] - own[row['model']]:+.4f}"
        uf1, between, uar, accuracy = _scores(row)
        cells.append((row["dataset"], f"{row['model']}{lack}", uf1, between, change, uar, accuracy))
    first = rows[0]
    how = _HELD_OUT[first["protocol"]].format(first["folds"], _CHOSEN[first["rule"]])
    whole = "" if all(row["complete"] for row in rows) else "NOT COMPLETE, "
    seeds = f", mean of {first['seeds']} seeds" if first["seeds"] > 1 else ""
    console.table(f"{dataset} and its variants: {whole}{how}{seeds}", header, cells)
    console.note("each variant changes one thing; who is held out and what is drawn at random is the same in all")


def _print_searches(rows: Sequence[Row], console: Console) -> None:
    """What the searches tried, and their three scores side by side."""
    tried = [
        row for row in rows if row["search"]["configurations"]["proposed"] > row["search"]["groups"] * row["seeds"]
    ]
    if not tried:
        return
    header = ("search", "nested", ("95 % of", "nested"), "BBC", ("95 % of", "BBC"), "naive", ("95 % of", "naive"))
    cells = []
    for row in tried:
        estimates = (row, row["search"]["bbc"], row["search"]["naive"])
        cells.append((row["model"], *(part for estimate in estimates for part in _interval(estimate))))
    console.table("UF1 of the searches", header, cells)
    for row in tried:
        found = row["search"]
        counts, grid = found["configurations"], found["trainings"] + found["avoided"]
        console.note(
            f"{row['model']}: {counts['proposed']} configurations in {found['groups']} groups, {counts['pruned']} "
            f"stopped as worse, {counts['failed']} failed; {found['trainings']} of {grid} trainings"
        )
    for why_not in dict.fromkeys(row["search"]["unavailable"] for row in tried if row["search"]["unavailable"]):
        console.note(f"no BBC, naive: {why_not}.")
    console.note(
        "nested: chosen for each group of subjects without looking at any of them, then trained on everybody but one, "
        "for as many epochs as were best with fewer people; the result.\n"
        "BBC: the best configuration's score, corrected for having been chosen by it.\n"
        "naive: that score as it is; NOT a result.",
        dim=True,
    )


def print_scores(document: Mapping[str, Any], console: Console) -> None:
    """The tables of ``mer score``, one per dataset: every row, over all clips and per source dataset."""
    oracle = ", an ORACLE: it looks at the test subjects" if document["oracle"] else ""
    lack = "" if document["complete"] else "; NOT COMPLETE, folds are missing"
    header = ("model", "scope", "clips", "folds", "UF1", ("95 % of", "UF1"), "UAR", "accuracy")
    for dataset, rows in _by_dataset(_best_first(document["rows"])).items():
        cells = [(row["model"], row["scope"], str(row["clips"]), str(row["folds"]), *_scores(row)) for row in rows]
        console.table(f"{dataset}, rule {document['rule']}{oracle}{lack}", header, cells)
        _print_absent_classes(rows, console)
    if document["rows"]:
        _print_captions(document["rows"], console)


def print_comparison(document: Mapping[str, Any], console: Console) -> None:
    """The tables of ``mer compare``, one per dataset, and each comparison in words."""
    metric = document["metric"].upper()
    header = ("model", metric, "difference", ("95 % of the", "difference"), "p")
    for dataset, rows in _by_dataset(document["comparisons"]).items():
        cells = []
        for row in rows:
            ends = row["interval"]
            between = "-" if ends is None else f"{ends[0]:+.3f}, {ends[1]:+.3f}"
            gap = (f"{row['difference']:+.4f}", between, f"{row['p_holm']:.4f}")
            cells.append((row["model"], f"{row['score']:.4f}", *gap))
        first = rows[0]
        console.table(f"{dataset}: against {first['reference']}, {first['reference_score']:.4f}", header, cells)
        for row in rows:
            console.note(row["words"])
    console.note(
        "p: how often swapping all answers of people between both models gives as large a difference, corrected for "
        f"the {document['family']} comparisons made here (Holm). Standard errors by people and by seeds: --csv.",
        dim=True,
    )


def _print_absent_classes(rows: Sequence[Row], console: Console) -> None:
    """Say which scopes lack a class, so that their scores are means over the others, and which cannot be learnt."""
    for scope in dict.fromkeys(row["scope"] for row in rows):
        row = next(row for row in rows if row["scope"] == scope)
        absent = [name for name in row["classes"] if name not in row["classes_scored"]]
        if absent:
            console.note(f"{scope}: no clips of {', '.join(absent)}; scores are means over the other classes")
        if scope in HEADLINES:
            for warning in (one["warning"] for one in row["per_class"] if one["warning"]):
                console.note(f"{scope}: {warning}")


def _best_first(rows: Sequence[Row]) -> list[Row]:
    """As in the leaderboard: models by their UF1 over everything, each followed by its parts."""
    whole = {_cell(row): row["uf1"] for row in rows if row["scope"] in HEADLINES}
    return sorted(rows, key=lambda row: -whole[_cell(row)])


def _cell(row: Row) -> tuple[str, str, str]:
    return row["model"], row["dataset"], row["configuration"]


def _by_dataset(rows: Sequence[Row]) -> dict[str, list[Row]]:
    return {name: [row for row in rows if row["dataset"] == name] for name in dict.fromkeys(r["dataset"] for r in rows)}


def _interval(estimate: Row | None) -> tuple[str, str]:
    if estimate is None:
        return "-", "-"
    ends = estimate["uf1_interval"]
    return f"{estimate['uf1']:.4f}", "-" if ends is None else f"{ends[0]:.2f}-{ends[1]:.2f}"


def _scores(row: Row) -> tuple[Cell, ...]:
    """UF1 with the spread of the seeds, its interval, UAR and accuracy, as every table writes them."""
    uf1, between = _interval(row)
    spread: tuple[str, ...] = ()
    if row["uf1_seed_sd"] is not None:
        spread = (f"±{row['uf1_seed_sd']:.3f}",)
    elif row["uf1_seed_range"] is not None:
        spread = ("({:.3f}-{:.3f})".format(*row["uf1_seed_range"]),)
    return (uf1, *spread), between, f"{row['uar']:.4f}", f"{row['accuracy']:.4f}"
