"""The output folders below a folder: when they were last written, how far they are, and their best row."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mer_data.problems import BadInput, Problem
from orchestrator.console import Cell, Console
from orchestrator.experiment.plan import Plan
from orchestrator.output.ledger import Ledger
from orchestrator.output.status import status
from orchestrator.report.flat_tables import Line
from orchestrator.report.score_rows import HEADLINES


def runs_document(folder: Path) -> dict[str, Any]:
    """The document of ``mer runs --json``: a mapping per output folder, the latest first.

    Parameters
    ----------
    folder
        The folder that holds output folders.

    Raises
    ------
    BadInput
        If it is missing.
    """
    if not folder.is_dir():
        raise BadInput(Problem(str(folder), "no such folder", "`mer run` makes it; MER_RUNS names another one"))
    found = [_described(path.parent) for path in folder.glob("*/plan.json")]
    return {"folder": str(folder), "runs": sorted(found, key=lambda run: run["when"], reverse=True)}


def _described(out: Path) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": out.name, "when": (out / "plan.json").stat().st_mtime}
    entry |= dict.fromkeys(("done", "left", "failed", "best", "problem"))
    try:
        ledger = Ledger(out / "ledger")
        jobs = status(Plan.load(out / "plan.json"), ledger)["jobs"]
        entry |= {"done": jobs["done"], "left": jobs["missing"], "failed": jobs["failed"], "best": _best(out)}
        if ledger.root.is_dir():
            entry["when"] = max(entry["when"], ledger.root.stat().st_mtime)
    except BadInput as error:  # one that cannot be read does not hide the others
        entry["problem"] = str(error)
    return entry


def _best(out: Path) -> dict[str, Any] | None:
    """The first row of ``leaderboard.csv``, which `mer run` and `mer score` write; None before."""
    try:
        with (out / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
            row = next((row for row in csv.DictReader(file) if row.get("scope") in HEADLINES), None)
            return row and {"model": row["model"], "dataset": row["dataset"], "uf1": float(row["uf1"])}
    except (FileNotFoundError, KeyError, ValueError):
        return None


def runs_lines(document: Mapping[str, Any]) -> list[Line]:
    """A line per output folder, for CSV."""
    return [
        {
            **{name: run[name] for name in ("name", "done", "left", "failed")},
            "when": _time(run["when"]),
            **{f"best_{name}": (run["best"] or {}).get(name) for name in ("model", "dataset", "uf1")},
            "problem": run["problem"],
        }
        for run in document["runs"]
    ]


def print_runs(document: Mapping[str, Any], console: Console) -> None:
    """The table of ``mer runs``."""
    rows: list[tuple[Cell, ...]] = []
    for run in document["runs"]:
        counts = ["-" if run[name] is None else str(run[name]) for name in ("done", "left", "failed")]
        best = run["best"]
        told = f"{best['uf1']:.4f} {best['model']} on {best['dataset']}" if best else run["problem"] or "no table yet"
        rows.append((run["name"], _time(run["when"]), *counts, told))
    header = ("output folder", "last written", "folds done", "left", "failed", "best UF1")
    console.table(f"Runs in {document['folder']}", header, rows)


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
