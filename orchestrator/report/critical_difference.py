"""The critical-difference diagram: mean ranks of models over many datasets, and which of them are too close to tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mer_data.files import written_aside
from orchestrator.report.comparison import Results, named_entries
from orchestrator.report.score_rows import headline

_DATASETS = 6  # with fewer, the Friedman test and its critical difference say next to nothing
_FILE = "critical-difference.svg"


@dataclass(frozen=True)
class Ranks:
    """Mean rank by model, 1 is best, and by how much two of them must differ."""

    mean: dict[str, float]
    critical: float


def ranks(results: Sequence[Results], metric: str) -> tuple[Ranks | None, str]:
    """Rank the models that all datasets have in common; without a diagram, why there is none.

    Two mean ranks differ if they are further apart than q sqrt(k (k + 1) / (6 N)) for k models on N datasets, where q
    is the studentised range's 95 % point over sqrt(2) (Nemenyi's test).

    References
    ----------
    Demšar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7, 2006, section 3.2.2.
    """
    by_dataset = named_entries(results)
    clips = [clip_id for entries in by_dataset.values() for clip_id in entries[0].cell.cohort.clip_ids]
    common = [
        entry.name
        for entry in next(iter(by_dataset.values()))
        if all(entry.name in [other.name for other in entries] for entries in by_dataset.values())
    ]
    count, models = len(by_dataset), len(common)
    none = "no critical-difference diagram: it needs"
    if count < _DATASETS:
        return None, f"{none} {_DATASETS} datasets, here {'is' if count == 1 else 'are'} {count}"
    if len(clips) > len(set(clips)):
        return None, f"{none} datasets that share no clips"
    if models < 2:
        return None, f"{none} two models that all datasets have in common"
    from scipy.stats import rankdata, studentized_range  # a second to import

    scores = [
        [headline(entry.counts)[metric] for name in common for entry in entries if entry.name == name]
        for entries in by_dataset.values()
    ]
    mean = rankdata(-np.round(scores, 9), axis=1).mean(0)  # equal scores share a rank
    q = studentized_range.ppf(0.95, models, np.inf) / np.sqrt(2)
    critical = float(q * np.sqrt(models * (models + 1) / (6 * count)))
    return Ranks(dict(zip(common, mean.tolist(), strict=True)), critical), ""


def groups(ranks: Ranks) -> list[list[str]]:
    """The largest sets of at least two models, neighbours in rank, of which no two differ; by rank."""
    order = sorted(ranks.mean, key=lambda name: ranks.mean[name])
    found: list[list[str]] = []
    for start, first in enumerate(order):
        members = [name for name in order[start:] if ranks.mean[name] - ranks.mean[first] <= ranks.critical]
        if len(members) > 1 and not (found and members[-1] == found[-1][-1]):
            found.append(members)
    return found


def draw(ranks: Ranks, folder: Path) -> list[str]:
    """Write the diagram as SVG into a folder, the same bytes each time; returns the file's name."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    order, tied = sorted(ranks.mean, key=lambda name: ranks.mean[name]), groups(ranks)
    height = 0.9 + 0.22 * len(order) + 0.14 * len(tied)
    figure = Figure(figsize=(6.4, height), layout="constrained")
    axes = figure.subplots()
    axes.set_xlim(0.8, len(order) + 0.2)
    axes.set_ylim(len(order) + 0.5 * len(tied) + 1.6, -1.6)
    axes.xaxis.tick_top()
    axes.set_xticks(range(1, len(order) + 1))
    axes.set_yticks([])
    axes.spines[["left", "right", "bottom"]].set_visible(False)
    axes.plot([1, 1 + ranks.critical], [-1, -1], color="black", linewidth=2)
    axes.text(1, -1.1, f"critical difference {ranks.critical:.2f}", fontsize=8, va="bottom")
    for level, members in enumerate(tied):
        ends = [ranks.mean[members[0]] - 0.04, ranks.mean[members[-1]] + 0.04]
        axes.plot(ends, [0.4 + 0.5 * level] * 2, color="black", linewidth=3)
    for level, name in enumerate(order):
        rank, below = ranks.mean[name], 0.5 * len(tied) + 1 + level
        axes.plot([rank, rank], [-1.6, below], color="0.6", linewidth=0.8, zorder=0)
        left = rank > (len(order) + 1) / 2
        axes.text(rank, below, f" {name}  {rank:.2f} ", fontsize=9, ha="right" if left else "left", va="center")
    with mpl.rc_context({"svg.hashsalt": "mer", "svg.fonttype": "none"}), written_aside(folder / _FILE) as aside:
        figure.savefig(aside, format="svg", metadata={"Date": None})
    return [_FILE]
