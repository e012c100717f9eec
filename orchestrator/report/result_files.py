"""The files of an output folder that a person opens: they follow from plan and ledger, and can be written again."""

from __future__ import annotations

import json
import os
import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mer_data.files import written_aside
from orchestrator.experiment.plan import Plan
from orchestrator.machines.code_version import what_runs
from orchestrator.output.search_history import histories
from orchestrator.report.flat_tables import Line, class_lines, csv_text, score_lines
from orchestrator.report.leaderboard import ORACLES, board
from orchestrator.report.predictions import CellPredictions, Machine
from orchestrator.report.score_rows import HEADLINES


def write(plan: Plan, out: Path, scored: Sequence[CellPredictions], document: Mapping[str, Any]) -> list[str]:
    """Write them, and return their names.

    The same ledger gives the same bytes, except of ``environment.json``.

    Parameters
    ----------
    plan, out
        The plan, and the folder that holds it.
    scored, document
        Its cells, and their score document under the plan's rule.
    """
    texts = {
        "leaderboard.csv": csv_text(_board_lines(scored, document)),
        "leaderboard.md": _board_text(scored, document),
        "predictions.csv": csv_text(prediction_lines(plan, scored)),
        "per_subject.csv": csv_text(subject_lines(plan, scored)),
        "per_class.csv": csv_text(class_lines(document)),
        "environment.json": json.dumps(_environment(scored), indent=1) + "\n",
    }
    if plan.studies:
        texts["chosen.csv"] = csv_text(chosen_lines(plan, out))
    for name, text in texts.items():
        with written_aside(out / name) as aside:
            aside.write_text(text, encoding="utf-8")
    return list(texts)


def _board_lines(scored: Sequence[CellPredictions], document: Mapping[str, Any]) -> Iterator[Line]:
    """Every headline row, best first, with its oracles, and below it those of its sources."""
    flat = score_lines(document)
    below = list(zip(document["rows"], flat, strict=True))
    for line in board(scored, document):
        of_cell = ("model", "dataset", "configuration")
        for row, told in below:
            if all(row[name] == line[name] for name in of_cell):
                oracles = line["oracle"] if row["scope"] in HEADLINES else dict.fromkeys(ORACLES)
                seeming = {f"{name.replace('-', '_')}_uf1": one and one["uf1"] for name, one in oracles.items()}
                yield {**told, **seeming, "frames": _frames(scored, line["dataset"])}


def _frames(scored: Sequence[CellPredictions], dataset: str) -> str:
    """How the faces of a dataset were aligned, and what was changed of its annotation; as plans of today tell."""
    cohort = next(cell.cohort for cell in scored if cell.cell.dataset == dataset)
    return cohort.prepared_in_words


def _board_text(scored: Sequence[CellPredictions], document: Mapping[str, Any]) -> str:
    """The headline rows as a Markdown table per dataset."""
    lines = board(scored, document)
    parts = ["No fold is done yet."] if not lines else []
    oracles = [name.replace("oracle-", "ORACLE, by ") for name in ORACLES]
    for dataset in dict.fromkeys(line["dataset"] for line in lines):
        there = [line for line in lines if line["dataset"] == dataset]
        first, lack = there[0], "" if all(line["complete"] for line in there) else " **NOT COMPLETE.**"
        parts.append(
            f"## {dataset}\n\n{first['clips']} clips, {first['subjects']} subjects, protocol {first['protocol']}, rule "
            f"{document['rule']}, seeds: {first['seeds']}.{lack}{_sentence(_frames(scored, dataset))}\n\n"
            f"| model | configuration | UF1 | 95 % | UAR | accuracy | {' | '.join(oracles)} |\n"
            f"|---|---|{'---:|' * (4 + len(ORACLES))}"
        )
        for line in there:
            tied = line["separable_from_best"] is False
            uf1 = f"**{line['uf1']:.4f}**" if tied else f"{line['uf1']:.4f}"
            ends = line["uf1_interval"]
            seeming = ["-" if one is None else f"{one['uf1']:.4f}" for one in line["oracle"].values()]
            cells = [
                line["model"] + ("" if line["complete"] else f" {line['jobs_done']}/{line['jobs_planned']}"),
                line["configuration"].replace("|", "\\|"),
                uf1,
                "-" if ends is None else f"{ends[0]:.4f}-{ends[1]:.4f}",
                f"{line['uar']:.4f}",
                f"{line['accuracy']:.4f}",
                *seeming,
            ]
            parts[-1] += f"\n| {' | '.join(cells)} |"
    parts.append(
        "Bold: the best, and all that are not separable from it. 95 %: of the UF1, if other subjects were drawn. "
        "ORACLE: not a result; the UF1 that choosing epochs on the test subjects would have shown."
    )
    return "\n\n".join(parts) + "\n"


def _sentence(words: str) -> str:
    return f" Frames: {words}." if words else ""


def prediction_lines(plan: Plan, scored: Sequence[CellPredictions]) -> Iterator[Line]:
    """A line per clip, seed and cell: what the headline's rule answered. Probabilities are of the last kept epoch."""
    columns = list(dict.fromkeys(name for cell in scored for name in cell.cohort.classes))
    for cell in scored:
        classes = cell.cohort.classes
        for index, seed in enumerate(cell.seeds):
            answers = cell.predicted[plan.rule][index].tolist()
            believed = None if cell.log_probabilities is None else np.exp(cell.log_probabilities[index]).tolist()
            for clip, clip_id in enumerate(cell.clip_ids[index]):
                subject = cell.cohort.subject_of[clip_id]
                told = dict.fromkeys(columns) if believed is None else dict(zip(classes, believed[clip], strict=True))
                yield {
                    **vars(cell.cell),
                    "seed": seed,
                    "fold": cell.held_out[index][clip],
                    "clip": clip_id,
                    "subject": subject,
                    "source": subject.split("/")[0],
                    "true": cell.cohort.label_of[clip_id],
                    "predicted": classes[answers[clip]],
                    **{f"probability {name}": told.get(name) for name in columns},
                    "rule": plan.rule,
                }


def subject_lines(plan: Plan, scored: Sequence[CellPredictions]) -> Iterator[Line]:
    """A line per subject, run, seed and cell: counts only, since a subject lacks classes."""
    for cell in scored:
        counts = cell.per_subject(plan.rule)
        for seed, run, subject in zip(*np.nonzero(counts.sum((3, 4))), strict=True):
            name, matrix = cell.subjects[subject], counts[seed, run, subject]
            yield {
                **vars(cell.cell),
                "seed": cell.seeds[seed],
                "run": cell.runs[run],
                "subject": name,
                "source": name.split("/")[0],
                "clips": int(matrix.sum()),
                "correct": int(matrix.trace()),
                "rule": plan.rule,
            }


def chosen_lines(plan: Plan, out: Path) -> Iterator[Line]:
    """A line per fold of each search: what was chosen for it."""
    for study, history in histories(plan, out):
        if history.chosen is not None:
            for held_out in history.group:
                yield {
                    "model": study.model,
                    "dataset": study.dataset,
                    "group": study.group,
                    "fold": held_out,
                    "seed": study.seed,
                    "configuration": history.chosen.number,
                    "parameters": ", ".join(f"{name}={value}" for name, value in history.chosen.params.items()),
                    "epoch": history.chosen.epoch,
                    "inner_uf1": history.chosen.inner_uf1,
                }


def _environment(scored: Sequence[CellPredictions]) -> dict[str, Any]:
    """What trained the folds, and what scored them."""
    trained: Counter[Machine] = Counter()
    for cell in scored:
        trained.update(cell.machines)
    return {
        "trained": [{"folds": trained[one], "device": one[0], **dict(one[1])} for one in sorted(trained)],
        "scored": {
            "platform": platform.platform(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            **what_runs(),
        },
    }
