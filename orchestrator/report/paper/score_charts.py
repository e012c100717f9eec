"""Figures of scores: the forest plot, differences of pairs, ranks under the bootstrap, scores against cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from orchestrator.report.paper.boards import Board, Line
from orchestrator.report.paper.documents import shown
from orchestrator.report.paper.drawing import (
    ACCENT,
    INK,
    MUTED,
    PALE,
    PAPER,
    WIDTH,
    Picture,
    Sheet,
    fill,
    room,
    short,
    spread,
)

_ROW = 0.36  # inches


def forest(board: Board, published: Mapping[str, Sequence[Mapping[str, Any]]], name: str) -> Picture:
    """Each model's UF1 with its interval over subjects and its seeds, guessing as a band, published figures.

    Parameters
    ----------
    board
        The models.
    published
        By name of a line: what was published on this dataset.
    name
        Of the file.
    """
    lines = board.lines
    rows = [0.0]
    for line in lines:
        rows.append(rows[-1] + _ROW + 0.17 * len(published.get(line.name, ())))
    rules = [f"published, {short(figure['rule'], 16)}" for of_line in published.values() for figure in of_line]
    left, right, height = max(room([line.name for line in lines]), room(["", *rules], 6.5)), 1.35, rows[-1]
    sheet = Sheet(WIDTH, height + 0.75)
    axes = sheet.axes(left, 0.25, WIDTH - left - right, height)
    axes.set_ylim(height, 0)
    low, high = _limits(lines, published)
    axes.set_xlim(low, high)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("UF1, pooled over all test clips (no unit; 1 is perfect)")
    guess = board.best.row["chance_interval"]
    axes.axvspan(*guess, color=PALE, alpha=0.5, linewidth=0)
    axes.text(sum(guess) / 2, -0.05, "guessing", ha="center", va="bottom", fontsize=7, color=MUTED)
    for line, top in zip(lines, rows, strict=False):
        y, row = top + _ROW / 2, line.row
        colour = MUTED if line.baseline else ACCENT
        if row["uf1_interval"] is not None:
            axes.plot(row["uf1_interval"], [y, y], color=colour, linewidth=1.4, solid_capstyle="butt")
        for seed in row["per_seed"] if row["seeds"] > 1 else ():
            axes.plot([seed["uf1"]] * 2, [y - 0.085, y + 0.085], color=colour, linewidth=0.8)
        axes.plot([row["uf1"]], [y], "o", color=colour, markersize=4.6, markeredgewidth=0)
        for number, figure in enumerate(published.get(line.name, ()), 1):
            at = y + 0.05 + 0.17 * number
            axes.plot([figure["uf1"]], [at], "D", markerfacecolor="none", markeredgecolor=INK, markersize=4, mew=0.8)
            axes.annotate(f"{figure['uf1']:.4f}", (figure["uf1"], at), (6, 0), textcoords="offset points", va="center",
                          fontsize=6.5, color=MUTED)  # fmt: skip
            axes.text(-0.03, at, f"published, {short(figure['rule'], 16)}", transform=axes.get_yaxis_transform(),
                      ha="right", va="center", fontsize=6.5, color=MUTED)  # fmt: skip
        weight = "bold" if line.tied else "normal"
        edge = axes.get_yaxis_transform()
        axes.text(-0.03, y, short(line.name), transform=edge, ha="right", va="center", fontweight=weight)
        axes.text(1.03, y, _with_interval(row), transform=edge, ha="left", va="center", fontsize=7.5)
    said = "; ".join(f"{line.name} {_with_interval(line.row)}" for line in lines)
    return sheet.picture(
        name,
        f"UF1 of each model on {board.dataset}",
        f"Forest plot, best model first, UF1 with 95 % interval over subjects: {said}. Guessing reaches "
        f"{guess[0]:.4f} to {guess[1]:.4f}.",
    )


def _with_interval(row: Mapping[str, Any]) -> str:
    ends = row["uf1_interval"]
    return f"{row['uf1']:.4f}" + ("" if ends is None else f" [{ends[0]:.2f}, {ends[1]:.2f}]")


def _limits(lines: Sequence[Line], published: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[float, float]:
    values = [figure["uf1"] for of_line in published.values() for figure in of_line]
    for line in lines:
        values += [line.row["uf1"], *(line.row["uf1_interval"] or ()), *line.row["chance_interval"]]
    return max(math.floor(20 * min(values) - 0.2) / 20, 0.0), min(math.ceil(20 * max(values) + 0.2) / 20, 1.0)


def differences(board: Board, name: str) -> Picture | None:
    """How much each model of a row is better than that of a column; None for one model."""
    lines, found = board.lines, board.documents.at(board.pairs)["comparisons"]
    if len(lines) < 2:
        return None
    pair = {
        (compared["model"], compared["reference"]): (compared["difference"], compared["p_holm"]) for compared in found
    }
    pair |= {(b, a): (-value, p) for (a, b), (value, p) in pair.items()}
    left = room([f"{line.name}  00" for line in lines])
    size = min(0.52, (WIDTH - left) / len(lines))
    sheet = Sheet(left + size * len(lines) + 0.1, 0.3 + 0.34 * len(lines) + 0.1)
    axes = sheet.grid(left, 0.3, size * len(lines), 0.34 * len(lines), (len(lines), len(lines)))
    largest = max(abs(value) for value, _ in pair.values()) or 1
    level = board.documents.at(board.pairs)["level"]
    for row, line in enumerate(lines):
        axes.text(-0.15, row + 0.5, f"{short(line.name)}  {row + 1}", ha="right", va="center")
        axes.text(row + 0.5, -0.12, str(row + 1), ha="center", va="bottom", color=MUTED)
        for column, other in enumerate(lines):
            if row == column:
                axes.text(column + 0.5, row + 0.5, "·", ha="center", va="center", color=MUTED)
                continue
            value, p = pair[line.name, other.name]
            seen = p <= level
            fill(axes, row, column, abs(value) / largest, colour=ACCENT if value > 0 else MUTED)
            axes.text(column + 0.5, row + 0.5, shown(value, 2, signed=True), ha="center", va="center",
                      fontsize=min(7.5, 14.4 * size + 0.4), fontweight="bold" if seen else "normal",
                      color=INK)  # fmt: skip
    told = [compared["words"] for compared in found if compared["verdict"] in ("better", "worse")]
    return sheet.picture(
        name,
        f"Paired differences of UF1 on {board.dataset}",
        f"Matrix of the differences between {len(lines)} models. "
        + ("Told apart: " + "; ".join(told) if told else "No two models are told apart") + ".",
    )  # fmt: skip


def ranks(board: Board, shares: Sequence[Sequence[float]], name: str) -> Picture | None:
    """How often each model takes each rank if other subjects are drawn; None for one model.

    Parameters
    ----------
    board
        The models.
    shares
        Per model of the board, the share of draws in which it has each rank, best first.
    name
        Of the file.
    """
    lines = board.lines
    if len(lines) < 2:
        return None
    left = room([line.name for line in lines])
    size = min(0.46, (WIDTH - left) / len(lines))
    sheet = Sheet(left + max(size * len(lines) + 0.1, 1.6), 0.52 + 0.3 * len(lines) + 0.05)
    axes = sheet.grid(left, 0.5, size * len(lines), 0.3 * len(lines), (len(lines), len(lines)))
    axes.text(0, -1.0, "rank (share of draws in %)", ha="left", va="bottom")
    for row, line in enumerate(lines):
        axes.text(-0.15, row + 0.5, short(line.name), ha="right", va="center")
        axes.text(row + 0.5, -0.12, str(row + 1), ha="center", va="bottom", color=MUTED)
        for column, share in enumerate(shares[row]):
            fill(axes, row, column, share)
            if share >= 0.005:
                axes.text(column + 0.5, row + 0.5, f"{100 * share:.0f}", ha="center", va="center",
                          fontsize=min(7.5, 16 * size + 0.4))  # fmt: skip
    first = "; ".join(f"{line.name} {100 * of_line[0]:.0f} %" for line, of_line in zip(lines, shares, strict=True))
    return sheet.picture(
        name,
        f"Stability of the ranks on {board.dataset}",
        f"How often each model is first among drawn subjects: {first}.",
    )


def cost(board: Board, points: Sequence[Mapping[str, Any]], name: str) -> Picture | None:
    """UF1 against parameters and FLOPs, with the line of models that no other one beats at less cost.

    None if no cost is known.
    """
    if not points:
        return None
    panel, gap, left = 2.35, 0.75, 0.5
    sheet = Sheet(WIDTH, 2.9)
    scores = [point["uf1"] for point in points]
    margin = max(0.12 * (max(scores) - min(scores)), 0.01)
    low, high = min(scores) - margin, max(scores) + margin
    for number, (key, title) in enumerate((("params", "parameters (number)"), ("flops", "FLOPs per clip (number)"))):
        axes = sheet.axes(left + number * (panel + gap), 0.15, panel, 2.2)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _rounded(value)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(title)
        axes.set_ylim(low, high)
        if not number:
            axes.set_ylabel("UF1")
        costs = [max(point[key], 1) for point in points]
        span = max(math.log10(max(costs) / min(costs)), 0.5)
        axes.set_xlim(min(costs) / 10 ** (0.1 * span), max(costs) * 10 ** (0.12 * span))
        front = _front([(c, s) for c, s in zip(costs, scores, strict=True)])
        axes.plot(*zip(*front, strict=True), color=PALE, linewidth=1.2, drawstyle="steps-post", zorder=0)
        labels = spread(scores, (high - low) / 17)
        middle = math.log10(min(costs)) + span / 2
        for point, x, y, at in zip(points, costs, scores, labels, strict=True):
            best = (x, y) in front
            axes.plot([x], [y], "o", color=ACCENT, markersize=4.8, markeredgewidth=0.9,
                      markeredgecolor=ACCENT, markerfacecolor=ACCENT if best else PAPER)  # fmt: skip
            right = math.log10(x) > middle
            axes.annotate(short(point["model"], 20), (x, at), (-6 if right else 6, 0), textcoords="offset points",
                          ha="right" if right else "left", va="center", fontsize=7)  # fmt: skip
    told = "; ".join(
        f"{p['model']} {p['params']:,} parameters, {p['flops']:,} FLOPs, UF1 {p['uf1']:.4f}" for p in points
    )
    return sheet.picture(name, f"UF1 against cost on {board.dataset}", f"{told}.")


def _rounded(value: float) -> str:
    """A power of ten as people say it: ``10k``, ``1M``."""
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{letter}"
    return f"{value:g}"


def _front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other one beats at the same or less cost, by cost."""
    found: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda point: (point[0], -point[1])):
        if not found or y > found[-1][1]:
            found.append((x, y))
    return found
