"""Documents as flat tables, a value per cell, and as CSV text with the same bytes everywhere."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchestrator.report.score_rows import HEADLINES

_DIGITS = 6  # significant ones: what lies behind them may differ between machines
Line = Mapping[str, Any]


def csv_text(lines: Iterable[Line]) -> str:
    """CSV text (RFC 4180, with newlines as Unix has them): a header, and a row for each line, all with the same keys.

    Floats have six significant digits; None is an empty cell. Empty without lines.
    """
    text, writer = io.StringIO(), None
    for line in lines:
        if writer is None:
            writer = csv.DictWriter(text, list(line), lineterminator="\n")
            writer.writeheader()
        writer.writerow({name: _cell(value) for name, value in line.items()})
    return text.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.{_DIGITS}g}"
    return "" if value is None else str(value)


def score_lines(document: Mapping[str, Any]) -> list[Line]:
    """The rows of ``mer score``, without what has a table of its own."""
    return [_score_line(row, document["rule"]) for row in document["rows"]]


def _score_line(row: Line, rule: str) -> Line:
    names = ("model", "dataset", "protocol", "configuration", "scope")
    counts = ("complete", "folds", "jobs_done", "jobs_planned", "clips", "missing_clips", "subjects", "seeds")
    calibrated, together = row["calibration"] or {}, row["ensemble"] or {}
    search = row["search"] or {}
    return {
        **{name: row[name] for name in names},
        "rule": rule,
        **{name: row[name] for name in counts},
        "uf1": row["uf1"],
        **_ends("uf1", row["uf1_interval"]),
        "uar": row["uar"],
        **_ends("uar", row["uar_interval"]),
        "accuracy": row["accuracy"],
        "weighted_f1": row["weighted_f1"],
        "uf1_seed_sd": row["uf1_seed_sd"],
        **_ends("uf1_seed", row["uf1_seed_range"]),
        "above_chance": row["above_chance"],
        "separable_from_best": row["separable_from_best"],
        **{f"ensemble_{name}": together.get(name) for name in ("uf1", "uar")},
        **{name: calibrated.get(name) for name in ("log_loss", "brier", "ece")},
        **{f"{name}_uf1": (search.get(name) or {}).get("uf1") for name in ("bbc", "naive")},
        **{name: row[name] for name in ("uf1_fold_mean", "uar_fold_mean", "clip_list")},
    }


def _ends(name: str, interval: Sequence[float] | None) -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


def long_lines(document: Mapping[str, Any]) -> list[Line]:
    """A line per model, dataset and seed, as tools that compare methods over tasks read them; the error is 1 - UF1."""
    return [
        {"method": row["model"], "task": row["dataset"], "seed": one["seed"], "metric_error": 1 - one["uf1"]}
        for row in document["rows"]
        if row["scope"] in HEADLINES
        for one in row["per_seed"]
    ]


def class_lines(document: Mapping[str, Any]) -> list[Line]:
    """The classes of every row of ``mer score``."""
    names = ("model", "dataset", "configuration", "scope")
    return [
        {
            **{name: row[name] for name in names},
            **{name: one[name] for name in ("class", "clips", "subjects", "recall", "precision", "f1")},
            **_ends("f1", one["f1_interval"]),
            "warning": one["warning"],
        }
        for row in document["rows"]
        for one in row["per_class"]
    ]


def comparison_lines(document: Mapping[str, Any]) -> list[Line]:
    """The comparisons of ``mer compare``."""
    return [
        {
            "metric": document["metric"],
            "family": document["family"],
            **{name: value for name, value in one.items() if name != "interval"},
            **_ends("difference", one["interval"]),
        }
        for one in document["comparisons"]
    ]
