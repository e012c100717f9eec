"""What the report says of scores: the sentence on top, table 1, ranks, subjects, clips that all miss, epochs."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from orchestrator.report.paper.boards import Board, Line
from orchestrator.report.paper.documents import Cell, Column, Prose, Row, Table, plain, shown
from orchestrator.report.score_rows import scopes
from orchestrator.score import metrics
from orchestrator.score.ranks import rank_shares

_MOST_MISSED = 40  # clips that are listed; the others are counted


def named(board: Board, name: str) -> str:
    """The name of a file or anchor of a board."""
    return f"{name}-{board.slug}" if board.slug else name


def result(board: Board) -> Prose:
    """The result in a sentence."""
    best, number = board.best, board.documents.number
    said: list[str | Cell] = [f"{best.name} has the highest UF1, ", number(f"{best.at}/uf1", bold=True)]
    if best.row["uf1_interval"] is not None:
        said += [" (95 % over subjects: ", number(f"{best.at}/uf1_interval/0"), " to "]
        said += [number(f"{best.at}/uf1_interval/1"), ")"]
    said += [f", of {len(board.lines)} models on {board.dataset}. " if len(board.lines) > 1 else ". "]
    tied = [line.name for line in board.lines[1:] if line.tied]
    if best.tied is None and len(board.lines) > 1:
        said.append("With so few subjects no model can be separated from another. ")
    elif tied:
        said.append(f"Not separable from it: {', '.join(tied)}. ")
    elif len(board.lines) > 1:
        said.append("It is separable from all others. ")
    return said


def completeness(board: Board) -> Prose:
    """Whether all is there that the table stands for."""
    best, number = board.best, board.documents.number
    done = sum(line.row["jobs_done"] for line in board.lines)
    planned = sum(line.row["jobs_planned"] for line in board.lines)
    said: list[str | Cell] = [
        f"Complete: {shown(done)} of {shown(planned)} trainings are done; ",
        number(f"{best.at}/clips"),
        " clips of ",
        number(f"{best.at}/subjects"),
        " subjects in ",
        number(f"{best.at}/folds"),
        " folds, seeds: ",
        *_seeds(board),
        ".",
    ]
    if best.row["missing_clips"]:
        said += [
            " The published clip list has ",
            number(f"{best.at}/missing_clips"),
            " clips more: not the whole list.",
        ]
    if best.row["seeds"] == 1:
        said.append(" One seed: how much another training differs is not known.")
    return said


def _seeds(board: Board) -> Prose:
    """How many seeds the models have; by model, if not all have as many."""
    number = board.documents.number
    if board.equal_seeds:
        return [number(f"{board.best.at}/seeds")]
    said: list[str | Cell] = []
    for line in board.lines:
        said += [f"{', ' if said else ''}{line.name} ", number(f"{line.at}/seeds")]
    return said


def main_table(board: Board) -> Table:
    """Table 1: models best first, sources below them, baselines last."""
    columns = [
        Column("model", numeric=False),
        *(Column(title) for title in ("clips", "UF1", "95 %", "UAR", "95 % (UAR)", "accuracy", "seeds", "guessing")),
        Column("oracle: subject", oracle=True),
        Column("oracle: epoch", oracle=True),
    ]
    rows = []
    for line in sorted(board.lines, key=lambda line: line.baseline):
        kind = "baseline" if line.baseline else "model"
        rows.append(Row([Cell(line.name, bold=bool(line.tied)), *_scores(board, line.at, bool(line.tied)),
                         *_oracles(board, line)], kind))  # fmt: skip
        for path in line.parts:
            scope = str(board.documents.at(path)["scope"])
            rows.append(Row([Cell(scope), *_scores(board, path, False), Cell(""), Cell("")], "part"))
    note = (
        "Bold: the best, and all that are not separable from it (swap test, Holm's correction over all pairs). "
        "95 %: if other subjects were drawn. Seeds: lowest and highest UF1 of a seed. Guessing: share of 2,000 "
        "tables of guesses that reach the UF1."
    )
    return Table(named(board, "scores"), f"Scores on {board.dataset}", columns, rows, note)


def _scores(board: Board, at: str, bold: bool) -> list[Cell]:
    number, ends = board.documents.number, board.documents.ends
    return [
        number(f"{at}/clips"),
        number(f"{at}/uf1", bold=bold),
        ends(f"{at}/uf1_interval"),
        number(f"{at}/uar"),
        ends(f"{at}/uar_interval"),
        number(f"{at}/accuracy"),
        ends(f"{at}/uf1_seed_range"),
        number(f"{at}/above_chance", 3),
    ]


def _oracles(board: Board, line: Line) -> list[Cell]:
    index, cell = line.at.split("/")[1], line.cell.cell
    of_source = board.documents.at(f"board/{index}")
    place = next(
        number
        for number, row in enumerate(of_source)
        if (row["model"], row["dataset"], row["configuration"]) == (cell.model, cell.dataset, cell.configuration)
    )
    return [
        Cell("–") if score is None else board.documents.number(f"board/{index}/{place}/oracle/{rule}/uf1")
        for rule, score in of_source[place]["oracle"].items()
    ]


def of_guesses(board: Board) -> Prose:
    """What keeping the best epoch for each subject makes of guesses; nothing where there are none of several epochs."""
    for line in board.lines:
        if line.cell.cell.model == "chance" and line.cell.several_epochs:
            kept = len(line.cell.epochs[0])
            return [
                "Guesses by class frequency have UF1 ",
                board.documents.number(f"{line.at}/uf1"),
                f"; with the best of {kept} guesses kept for each subject, ",
                _oracles(board, line)[0],
                ". No model has learned anything by reaching that with an oracle.",
            ]
    return []


def class_table(board: Board) -> Table:
    """Recall, precision and F1 of each class."""
    columns = [Column("model", numeric=False), Column("class", numeric=False)]
    columns += [Column(title) for title in ("clips", "subjects", "recall", "precision", "F1", "95 %")]
    rows, number, ends, warnings = [], board.documents.number, board.documents.ends, []
    for line in board.lines:
        for index, of_class in enumerate(line.row["per_class"]):
            at = f"{line.at}/per_class/{index}"
            rows.append(Row([
                Cell(line.name if not index else ""), Cell(of_class["class"]),
                number(f"{at}/clips"), number(f"{at}/subjects"),
                number(f"{at}/recall", 3), number(f"{at}/precision", 3), number(f"{at}/f1", 3),
                ends(f"{at}/f1_interval"),
            ], "baseline" if line.baseline else "model"))  # fmt: skip
            warnings += [of_class["warning"]] if of_class["warning"] else []
    return Table(
        named(board, "classes"), f"Classes of {board.dataset}", columns, rows, "; ".join(dict.fromkeys(warnings))
    )


def pair_table(board: Board) -> Table:
    """Every two models, with the interval of their difference and both p."""
    columns = [Column("model", numeric=False), Column("against", numeric=False)]
    columns += [Column(t) for t in ("difference", "95 %", "p", "p, Holm", "SE subjects", "SE seeds")]
    columns.append(Column("in words", numeric=False))
    rows, number, ends = [], board.documents.number, board.documents.ends
    for index, pair in enumerate(board.documents.at(board.pairs)["comparisons"]):
        at = f"{board.pairs}/comparisons/{index}"
        rows.append(Row([
            Cell(pair["model"]), Cell(pair["reference"]), number(f"{at}/difference", signed=True),
            ends(f"{at}/interval"), number(f"{at}/p"), number(f"{at}/p_holm"),
            number(f"{at}/subject_error"), number(f"{at}/seed_error"), Cell(pair["verdict"]),
        ]))  # fmt: skip
    family = board.documents.at(board.pairs)["family"]
    note = (
        "p: how often swapping all answers of subjects between two models gives as large a difference; "
        f"Holm's correction over {family} comparisons. SE: standard errors if other subjects, or other seeds, were "
        "drawn."
    )
    if not board.equal_seeds:
        note += " Where one of the two has more seeds, its first ones, as many as the other has."
    return Table(named(board, "pairs"), f"Differences of UF1 on {board.dataset}", columns, rows, note)


def stability(board: Board) -> list[list[float]]:
    """Per model, the share of draws of subjects in which it has each rank."""
    counts = [line.entry.counts for line in board.lines]
    strata = next(iter(scopes(board.best.cell).values())).strata
    return rank_shares([of_model.reshape(-1, *of_model.shape[2:]) for of_model in counts], strata, metrics.uf1).tolist()  # type: ignore[no-any-return]


def people(board: Board) -> list[dict[str, Any]]:
    """Subjects with the share of their clips that each model gets right, hardest first by models without baselines."""
    per_line = []
    for line in board.lines:
        matrices = line.entry.counts.sum((0, 1))  # [subjects, true, predicted]
        right = np.trace(matrices, axis1=1, axis2=2) / np.maximum(matrices.sum((1, 2)), 1)
        per_line.append(dict(zip(line.cell.subjects, right.tolist(), strict=True)))
    models = [index for index, line in enumerate(board.lines) if line in board.models]
    clips = Counter(board.best.cell.cohort.subjects)
    found = [
        {"subject": subject, "clips": clips[subject], "right": [of_line[subject] for of_line in per_line]}
        for subject in board.best.cell.subjects
    ]
    return sorted(found, key=lambda person: (float(np.mean([person["right"][i] for i in models])), person["subject"]))


def missed_table(board: Board) -> Table:
    """The clips that no model with any seed gets right."""
    found: set[str] = set()
    for line in board.models:
        rule = line.source.plan.rule
        for ids, true, answers in zip(line.cell.clip_ids, line.cell.true, line.cell.predicted[rule], strict=True):
            found |= {ids[index] for index in np.flatnonzero(true == answers)}
    cohort = board.best.cell.cohort
    missed = [clip_id for clip_id in sorted(cohort.clip_ids) if clip_id not in found]
    answered: dict[str, Counter[str]] = {clip_id: Counter() for clip_id in missed}
    for line in board.models:
        for ids, answers in zip(line.cell.clip_ids, line.cell.predicted[line.source.plan.rule], strict=True):
            for clip_id, answer in zip(ids, answers.tolist(), strict=True):
                if clip_id in answered:
                    answered[clip_id][cohort.classes[answer]] += 1
    columns = [Column(title, numeric=False) for title in ("clip", "class", "answered instead")]
    rows = [
        Row([Cell(clip_id), Cell(cohort.label_of[clip_id]),
             Cell(", ".join(f"{name} {times}×" for name, times in answered[clip_id].most_common()))])
        for clip_id in missed[:_MOST_MISSED]
    ]  # fmt: skip
    hidden = len(missed) - len(rows)
    note = f"{len(missed)} of {len(cohort.clip_ids)} clips." + (f" {hidden} of them are not listed." if hidden else "")
    return Table(named(board, "missed"), f"Clips of {board.dataset} that every model misses", columns, rows, note)


def epochs(board: Board) -> tuple[list[dict[str, Any]], str]:
    """UF1 after each kept epoch of the models that kept several, and a word on the others."""
    found, others = [], []
    for line in board.lines:
        cell = line.cell
        if not cell.several_epochs or line.baseline:
            others.append(line.name)
            continue
        seeds = [
            {"seed": seed, "epochs": list(kept), "uf1": metrics.uf1(counts).mean(1).tolist()}
            for seed, kept, counts in zip(cell.seeds, cell.epochs, cell.by_epoch, strict=True)
        ]
        chosen = sorted({job.recipe.epochs for job in cell.done if job.recipe is not None})
        mean = float(np.mean([seed["uf1"][-1] for seed in seeds]))
        used = None if chosen else (seeds[0]["epochs"][-1], mean)
        found.append({"model": line.name, "seeds": seeds, "used": used, "chosen": chosen})
    told = f"One kept epoch, or a baseline, so no curve: {', '.join(others)}." if others else ""
    return found, told


def ensemble_table(board: Board) -> Table:
    """The common answer of the seeds, and how well probabilities mean what they say."""
    columns = [Column("model", numeric=False)]
    columns += [Column(t) for t in ("UF1, mean of seeds", "UF1 of the ensemble", "log loss", "Brier", "ECE")]
    rows, number = [], board.documents.number
    for line in board.lines:
        together, calibrated = line.row["ensemble"], line.row["calibration"]
        rows.append(Row([
            Cell(line.name), number(f"{line.at}/uf1"),
            number(f"{line.at}/ensemble/uf1") if together else Cell("–"),
            *(
                number(f"{line.at}/calibration/{name}") if calibrated else Cell("–")
                for name in ("log_loss", "brier", "ece")
            ),
        ], "baseline" if line.baseline else "model"))  # fmt: skip
    note = (
        "Ensemble: the class with the highest mean probability over the seeds. Log loss, Brier score and expected "
        "calibration error (ten bins of equal mass) of the last epoch; a dash where a model gives no probabilities."
    )
    return Table(named(board, "calibration"), f"Ensembles and calibration on {board.dataset}", columns, rows, note)


def subject_table(board: Board, found: list[dict[str, Any]]) -> Table:
    """What the figure of subjects shows, as numbers."""
    columns = [Column("subject", numeric=False), Column("clips"), *(Column(line.name) for line in board.lines)]
    rows = [
        Row([Cell(person["subject"]), plain(person["clips"]), *(plain(share, 3) for share in person["right"])])
        for person in found
    ]
    return Table(named(board, "subjects"), f"Share of each subject's clips found on {board.dataset}", columns, rows)
