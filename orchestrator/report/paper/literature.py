"""What the report says of models beyond their scores here: published figures, and what a clip costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mer_models.complexity import complexity
from mer_models.spec import ModelSpec, Published, models
from orchestrator.report.claims import placed
from orchestrator.report.paper.boards import Board, Line
from orchestrator.report.paper.documents import Cell, Column, Row, Table, plain
from orchestrator.report.paper.scores import named


def on_this_dataset(board: Board) -> dict[str, list[dict[str, Any]]]:
    """By name of a line, what was published on the very clip list."""
    registry, found = models(), {}
    for line in board.models:
        spec = registry.get(line.cell.cell.model)
        same = [vars(figure) for figure in spec.published if _same_list(line, figure)] if spec else []
        if same:
            found[line.name] = same
    return found


def _same_list(line: Line, figure: Published) -> bool:
    return figure.dataset in (line.cell.cohort.scheme, line.cell.cohort.dataset)


def published_table(board: Board) -> tuple[Table, str]:
    """Published figures beside ours, whether they can be compared, and why not; and a word on models without any."""
    columns = [Column("model", numeric=False), Column("published on", numeric=False), Column("rule", numeric=False)]
    columns += [Column("published UF1"), Column("our UF1"), Column("comparable?", numeric=False)]
    columns.append(Column("why", numeric=False))
    rows, without, unknown, registry = [], [], [], models()
    for line in board.models:
        spec = registry.get(line.cell.cell.model)
        if spec is None:
            unknown.append(line.name)
        elif not spec.published:
            without.append(line.name)
        for figure in spec.published if spec else ():
            verdict, why = comparable(line, figure)
            ours = board.documents.number(f"{line.at}/uf1")
            rows.append(Row([
                Cell(line.name), Cell(figure.dataset), Cell(figure.rule), plain(figure.uf1), ours, Cell(verdict),
                Cell(f"{why}. Source: {figure.source}"),
            ]))  # fmt: skip
    told = f"No published figure is known for {', '.join(without)}. " if without else ""
    told += f"Not registered here, so nothing is known of {', '.join(unknown)}." if unknown else ""
    table = Table(named(board, "published"), f"Published figures and ours, {board.dataset}", columns, rows)
    return table, told.strip()


def claims(board: Board) -> list[str]:
    """Of every figure published on the very clip list, where it lies among ours: the words of ``mer claim``."""
    return [
        f"{line.name}, {figure['source']}: {placed(line.cell, line.source.plan.rule, figure['uf1'])[1]}"
        for line in board.models
        for figure in on_this_dataset(board).get(line.name, ())
    ]


def comparable(line: Line, figure: Published) -> tuple[str, str]:
    """``yes``, ``no`` or ``with care``, and the reason in words."""
    cohort = line.cell.cohort
    if not _same_list(line, figure):
        return "no", f"other clips: {figure.dataset} there, {cohort.dataset} ({cohort.scheme}) here"
    if cohort.missing:
        return "no", f"{len(cohort.missing)} clips of the list are missing here"
    if line.cell.protocol != "loso":
        return "no", f"other protocol: subjects were held out in turn there, {line.cell.protocol} here"
    if "mean of folds" in figure.rule:
        return "no", "scores of folds were averaged there, answers are pooled here"
    if figure.rule.startswith("oracle"):
        return "no", "the epoch was chosen on the test subjects there, never here"
    if figure.rule == "not stated":
        return "with care", "how the epoch was chosen is not stated there"
    if line.settings:
        return "with care", f"same clips, both honest; other settings here: {line.settings}"
    return "yes", "same clips, classes and protocol, both honest, the published recipe"


def costs(board: Board) -> tuple[list[dict[str, Any]], str]:
    """Parameters and FLOPs of the networks of a board, and a word on models without."""
    registry, found, without, unknown = models(), [], [], []
    for line in board.models:
        spec: ModelSpec | None = registry.get(line.cell.cell.model)
        if spec is None:
            unknown.append(line.name)
        elif spec.build is None:
            without.append(line.name)
        else:
            cost = complexity(spec, len(line.cell.cohort.classes))
            found.append({"model": line.name, "at": line.at, "uf1": line.row["uf1"], **_counted(vars(cost))})
    told = f"No network, so no parameters are counted: {', '.join(without)}. " if without else ""
    told += f"Not registered here, so not counted: {', '.join(unknown)}." if unknown else ""
    return found, told.strip()


def _counted(cost: Mapping[str, Any]) -> dict[str, Any]:
    return {name: cost[name] for name in ("params", "flops", "mem_rw_bytes", "uncounted")}


def cost_table(board: Board, found: list[dict[str, Any]]) -> Table:
    """Cost and score of each network."""
    columns = [Column("model", numeric=False), *(Column(t) for t in ("parameters", "FLOPs", "memory (bytes)", "UF1"))]
    columns.append(Column("not counted", numeric=False))
    rows = [
        Row([Cell(cost["model"]), plain(cost["params"]), plain(cost["flops"]), plain(cost["mem_rw_bytes"]),
             board.documents.number(f"{cost['at']}/uf1"), Cell(", ".join(cost["uncounted"]) or "–")])
        for cost in found
    ]  # fmt: skip
    note = "One forward pass of one clip by torchstat's rules; a multiply-add is one FLOP."
    return Table(named(board, "cost"), f"Cost of the networks on {board.dataset}", columns, rows, note)
