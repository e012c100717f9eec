"""Figures of searches: how they went on, and what was tried in parallel coordinates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from orchestrator.report.paper.drawing import ACCENT, MUTED, PALE, PAPER, WIDTH, Picture, Sheet, short


def progress(model: str, studies: Sequence[Mapping[str, Any]], name: str) -> Picture:
    """UF1 on inner subjects of each configuration in the order they were proposed, and the best so far per group.

    Parameters
    ----------
    model
        Whose search it is.
    studies
        With `tried`: configurations with `number`, `state` and `inner_uf1`.
    name
        Of the file.
    """
    sheet = Sheet(WIDTH * 0.8, 2.5)
    axes = sheet.axes(0.55, 0.15, WIDTH * 0.8 - 0.75, 1.85)
    axes.set_xlabel("configuration, in the order proposed (number)")
    axes.set_ylabel("UF1 on inner subjects")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    for study in studies:
        known = [entry for entry in study["tried"] if entry["inner_uf1"] is not None]
        whole = [entry for entry in known if entry["state"] == "complete"]
        part = [entry for entry in known if entry["state"] != "complete"]
        if whole:
            best = np.maximum.accumulate([entry["inner_uf1"] for entry in whole])
            numbers = [entry["number"] for entry in whole]
            axes.plot(numbers, best, color=ACCENT, linewidth=1, alpha=0.6, drawstyle="steps-post")
            axes.plot(numbers, [entry["inner_uf1"] for entry in whole], "o", color=ACCENT, markersize=3.4, mew=0)
        if part:
            axes.plot([entry["number"] for entry in part], [entry["inner_uf1"] for entry in part], "o",
                      markerfacecolor=PAPER, markeredgecolor=MUTED, markersize=3.2, markeredgewidth=0.7)  # fmt: skip
    scored = [entry["inner_uf1"] for study in studies for entry in study["tried"] if entry["inner_uf1"] is not None]
    said = f", UF1 {min(scored):.4f} to {max(scored):.4f}" if scored else ""
    return sheet.picture(
        name, f"Progress of the search for {model}", f"{len(studies)} searches, {len(scored)} configurations{said}."
    )


def parallel(
    model: str, studies: Sequence[Mapping[str, Any]], space: Mapping[str, Mapping[str, Any]], name: str
) -> Picture | None:
    """What was tried, a line per configuration through its values; those chosen are set off. None without a space.

    Parameters
    ----------
    model, studies
        As in :func:`progress`; configurations with `params`, studies with `chosen`, a number or None.
    space
        By parameter: `values` in order, or `low`, `high` and `log`.
    name
        Of the file.
    """
    if not space:
        return None
    tried = [(entry, entry["number"] == study["chosen"]) for study in studies for entry in study["tried"]]
    tried = [(entry, chosen) for entry, chosen in tried if entry["inner_uf1"] is not None]
    names = list(space)
    sheet = Sheet(WIDTH * 0.9, 2.6)
    axes = sheet.axes(0.55, 0.35, WIDTH * 0.9 - 1.1, 1.95)
    axes.set_xlim(0, len(names))
    axes.set_ylim(-0.12, 1.12)
    axes.axis("off")
    scores = [entry["inner_uf1"] for entry, _ in tried] or [0.0]
    low, high = min(scores), max(max(scores), min(scores) + 1e-9)
    for position, key in enumerate([*names, "UF1 on inner subjects"]):
        axes.plot([position] * 2, [0, 1], color=PALE, linewidth=1, zorder=0, clip_on=False)
        axes.text(position, 1.16, short(key, 22), ha="center", va="bottom", fontsize=7.5)
        marks = _marks(space[key]) if key in space else [(0.0, f"{low:.3f}"), (1.0, f"{high:.3f}")]
        for at, text in marks:
            inside = 0 < at < 1
            x, y = (position + 0.03, at) if inside else (position, 1.03 if at else -0.03)
            axes.text(x, y, text, ha="left" if inside else "center", fontsize=6.5, color=MUTED,
                      va="center" if inside else "bottom" if at else "top")  # fmt: skip
    for entry, chosen in sorted(tried, key=lambda pair: (pair[1], pair[0]["inner_uf1"])):
        places = [_place(space[key], entry["params"].get(key)) for key in names]
        heights = [place for place in places if place is not None]
        if len(heights) < len(places):
            continue
        heights.append((entry["inner_uf1"] - low) / (high - low))
        style: Any = {"color": MUTED, "linewidth": 0.6, "alpha": 0.45}
        if chosen:
            style = {"color": ACCENT, "linewidth": 1.3, "alpha": 0.9}
        axes.plot(range(len(heights)), heights, clip_on=False, **style)
    return sheet.picture(
        name,
        f"What the search for {model} tried",
        f"Parallel coordinates of {len(tried)} configurations over {', '.join(names)}; "
        f"{sum(chosen for _, chosen in tried)} chosen.",
    )


def _place(axis: Mapping[str, Any], value: Any) -> float | None:
    """Where a value is on an axis from 0 to 1."""
    if value is None:
        return None
    if "values" in axis:
        values = axis["values"]
        return values.index(value) / max(len(values) - 1, 1) if value in values else None
    low, high = axis["low"], axis["high"]
    if axis["log"]:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return float((value - low) / (high - low))


def _marks(axis: Mapping[str, Any]) -> list[tuple[float, str]]:
    if "values" in axis:
        return [(_place(axis, value) or 0.0, short(str(value), 10)) for value in axis["values"]]
    return [(0.0, f"{axis['low']:g}"), (1.0, f"{axis['high']:g}")]
