"""Figures of answers: confusion, subjects by difficulty, scores after each epoch, who shows how many clips."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.ticker import MaxNLocator

from orchestrator.report.paper.boards import Board
from orchestrator.report.paper.drawing import (
    ACCENT,
    INK,
    MUTED,
    PAPER,
    WIDTH,
    Picture,
    Sheet,
    fill,
    fill_run,
    room,
    short,
)

_PANELS = 3  # side by side


def confusion(board: Board, name: str) -> Picture:
    """A confusion matrix per model: shares of each true class, recall on the diagonal."""
    classes, lines = board.best.row["classes"], board.lines
    count, cell = len(classes), min(0.42, 1.2 / len(classes))
    side, left, label = cell * count, room([short(name, 12) for name in classes], 7), 0.5
    step_x, step_y = side + 0.45, side + label + 0.3
    columns = max(min(_PANELS, int((WIDTH - left) // step_x), len(lines)), 1)
    down = math.ceil(len(lines) / columns)
    sheet = Sheet(max(left + columns * step_x, 3.2), down * step_y + label - 0.42)
    for number, line in enumerate(lines):
        row, column = divmod(number, columns)
        axes = sheet.grid(left + column * step_x, label + row * step_y, side, side, (count, count))
        axes.set_title(short(line.name, 20), fontsize=8, pad=16, loc="left")
        matrix = line.row["confusion"]
        for true in range(count):
            total = sum(matrix[true])
            if not column:
                axes.text(-0.12, true + 0.5, short(classes[true], 12), ha="right", va="center", fontsize=7)
            heading = "".join(word[:1].upper() for word in classes[true].split()) if count > 4 else classes[true][:3]
            axes.text(true + 0.5, -0.06, heading, ha="center", va="bottom", fontsize=6.5, color=MUTED)
            for predicted in range(count):
                share = matrix[true][predicted] / total if total else 0
                fill(axes, true, predicted, share, colour=ACCENT if true == predicted else MUTED)
                axes.text(predicted + 0.5, true + 0.5, f"{100 * share:.0f}", ha="center", va="center", fontsize=7,
                          fontweight="bold" if true == predicted else "normal")  # fmt: skip
    told = "; ".join(
        f"{line.name}: "
        + ", ".join(f"{of_class['class']} {_percent(of_class['recall'])}" for of_class in line.row["per_class"])
        for line in lines
    )
    return sheet.picture(name, f"Confusion of the classes on {board.dataset}", f"Recall of each class. {told}.")


def _percent(share: float | None) -> str:
    return "no clips" if share is None else f"{100 * share:.0f} %"


def subjects(board: Board, people: Sequence[Mapping[str, Any]], name: str) -> Picture:
    """Share of each subject's clips that each model gets right, hardest subject first.

    Parameters
    ----------
    board
        The models.
    people
        Subjects with `subject`, `clips` and `right`, a share per model of the board.
    name
        Of the file.
    """
    lines = board.lines
    size, high = min(0.42, (WIDTH - 1.9) / len(lines)), 0.145 if len(people) <= 120 else 0.09
    font = 6.5 if len(people) <= 120 else 4.5
    left, top = (
        room([person["subject"] for person in people], font),
        0.25 + 0.75 * room([line.name for line in lines], 7),
    )
    sheet = Sheet(left + size * len(lines) + 0.9, top + high * len(people) + 0.1)
    axes = sheet.grid(left, top, size * len(lines), high * len(people), (len(people), len(lines)))
    fill_run(axes, [person["right"] for person in people])
    for column, line in enumerate(lines):
        axes.text(column + 0.5, -0.6, short(line.name, 18), ha="left", va="bottom", rotation=50,
                  rotation_mode="anchor", fontsize=7)  # fmt: skip
    axes.text(len(lines) + 0.2, -0.6, "clips", ha="left", va="bottom", fontsize=7, color=MUTED)
    for row, person in enumerate(people):
        axes.text(-0.12, row + 0.5, short(person["subject"], 18), ha="right", va="center_baseline", fontsize=font)
        axes.text(len(lines) + 0.2, row + 0.5, str(person["clips"]), ha="left", va="center_baseline", fontsize=font,
                  color=MUTED)  # fmt: skip
    hardest = ", ".join(person["subject"] for person in people[:5])
    return sheet.picture(
        name,
        f"Subjects by difficulty on {board.dataset}",
        f"Share of each subject's clips that each model finds, {len(people)} subjects, hardest first: {hardest}.",
    )


def curves(board: Board, found: Sequence[Mapping[str, Any]], name: str) -> Picture | None:
    """UF1 after each kept epoch, a panel per model, a line per seed, a dot where the answers were taken.

    None if no model kept more than one epoch.
    """
    if not found:
        return None
    columns = min(_PANELS, len(found))
    down = math.ceil(len(found) / columns)
    wide, high, left = 1.5, 1.05, 0.55
    sheet = Sheet(max(left + columns * (wide + 0.3), 3.2), 0.3 + down * (high + 0.6) - 0.1)
    values = [value for curve in found for seed in curve["seeds"] for value in seed["uf1"]]
    low, top = math.floor(20 * min(values)) / 20, math.ceil(20 * max(values)) / 20
    for number, curve in enumerate(found):
        row, column = divmod(number, columns)
        axes = sheet.axes(left + column * (wide + 0.3), 0.3 + row * (high + 0.6), wide, high)
        axes.set_title(short(curve["model"], 22), fontsize=8, loc="left", pad=4)
        axes.set_ylim(low, max(top, low + 0.05))
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        if column:
            axes.tick_params(labelleft=False)
        else:
            axes.set_ylabel("UF1")
        axes.set_xlabel("epoch")
        for seed in curve["seeds"]:
            axes.plot(seed["epochs"], seed["uf1"], color=ACCENT, linewidth=0.9, alpha=0.65)
        if curve["used"] is None:
            for epoch in curve["chosen"]:
                axes.axvline(epoch, ymax=0.06, color=INK, linewidth=0.9)
        else:
            axes.plot(*curve["used"], "o", color=INK, markerfacecolor=PAPER, markersize=4.2, markeredgewidth=1)
    told = "; ".join(
        f"{curve['model']} from {curve['seeds'][0]['uf1'][0]:.4f} to {curve['seeds'][0]['uf1'][-1]:.4f}"
        for curve in found
    )
    return sheet.picture(
        name, f"UF1 after each epoch on {board.dataset}", f"On the held-out subjects, of the first seed: {told}."
    )


def clips_per_subject(dataset: str, people: Mapping[str, Sequence[int]], name: str) -> Picture:
    """How many clips each subject shows, per source dataset, most first."""
    count = sum(len(clips) for clips in people.values())
    left, gap = 0.5, 0.25
    wide = WIDTH - left - 0.1 - gap * (len(people) - 1)
    most = max(max(clips) for clips in people.values())
    sheet, at = Sheet(WIDTH, 1.85), left
    for number, (source, clips) in enumerate(people.items()):
        width = max(wide * len(clips) / count, 0.3)
        axes = sheet.axes(at, 0.3, width, 1.15)
        at += width + gap
        axes.bar(range(len(clips)), clips, width=0.82, color=ACCENT, alpha=0.75, linewidth=0)
        axes.set_ylim(0, most * 1.05)
        axes.set_xlim(-0.7, len(clips) - 0.3)
        axes.set_xticks([])
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        if number:
            axes.tick_params(labelleft=False)
        else:
            axes.set_ylabel("clips")
        axes.set_title(short(source, max(int(width / 0.075), 4)), fontsize=8, loc="left", pad=3)
        axes.set_xlabel(f"{len(clips)} subjects" if width > 0.7 else str(len(clips)))
    told = "; ".join(f"{source}: {len(c)} subjects with {min(c)} to {max(c)} clips" for source, c in people.items())
    return sheet.picture(name, f"Clips of each subject in {dataset}", f"{told}.")
