"""What `mer models` and `mer complexity` show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mer_data.problems import Problem, did_you_mean, raise_all
from mer_models.plugins import packages
from orchestrator.console import Console
from orchestrator.machines.code_memory import remembered


def models_document(names: Sequence[str] = (), *, own: bool = False) -> dict[str, Any]:
    """The document of ``mer models --json``; all models if no names are given.

    Parameters
    ----------
    names
        Models.
    own
        Whether models of the user's own were registered, of which nothing is remembered.

    Raises
    ------
    BadInput
        With every name that is no model's.
    """
    rows = {row["model"]: row for row in _all_rows(own)}
    raise_all(Problem(name, "unknown model", did_you_mean(name, rows)) for name in names if name not in rows)
    return {"rows": [rows[name] for name in names or rows]}


def _all_rows(own: bool) -> list[dict[str, Any]]:
    """The rows of all models: as remembered, or counted now and remembered."""

    def count() -> list[dict[str, Any]]:
        from orchestrator.cli import model_facts

        rows: list[dict[str, Any]] = model_facts.models_document()["rows"]
        return rows

    if own or packages():  # their code may change without a new version
        return count()
    rows: list[dict[str, Any]] = remembered("models", count)
    return rows


def models_lines(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The models of :func:`models_document` as flat lines: what the table shows."""
    return [
        {
            "model": row["model"],
            "params": row["params"],
            "input": "; ".join(f"{taken['feature']}: {', '.join(taken['channels'])}" for taken in row["inputs"]),
            "published": "; ".join(
                f"{p['dataset']} {p['uf1']:.4f} / {p['uar']:.4f} ({p['rule']})" for p in row["published"]
            ),
            "paper": row["paper"],
        }
        for row in document["rows"]
    ]


def print_models(document: dict[str, Any], console: Console) -> None:
    """A table of :func:`models_document`."""
    rows = [
        (line["model"], f"{line['params']:,}", line["input"] or "-", line["published"] or "-")
        for line in models_lines(document)
    ]
    console.table("Models", ("model", "params", "input", "published UF1 / UAR"), rows)


def print_cards(document: dict[str, Any], console: Console) -> None:
    """Everything that is known of some models, in words."""
    for row in document["rows"]:
        told = [("paper", row["paper"]), ("parameters", f"{row['params']:,}")]
        told += [
            ("input", f"{taken['feature']} {', '.join(taken['channels'])} {'×'.join(map(str, taken['shape']))}")
            for taken in row["inputs"]
        ]
        told.append(("recipe", ", ".join(f"{name} {value}" for name, value in row["recipe"].items())))
        told += [
            ("published", f"{p['dataset']}: UF1 {p['uf1']:.4f}, UAR {p['uar']:.4f}; rule {p['rule']}; {p['source']}")
            for p in row["published"]
        ]
        told += [("note", deviation) for deviation in row["deviations"]]
        console.table(row["model"], ("", ""), told)


def complexity_lines(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of :func:`complexity_document` as flat lines; the shapes of several inputs stand after each other."""
    return [
        {**row, "input": "; ".join("x".join(map(str, shape)) for shape in row["input"])} for row in document["rows"]
    ]


def print_complexity(document: dict[str, Any], console: Console) -> None:
    """A table of :func:`complexity_document`."""
    rows = [
        (
            row["model"],
            f"{row['params']:,}",
            f"{row['flops']:,}",
            f"{row['mem_rw_bytes']:,}",
            "-" if row["latency_ms"] is None else f"{row['latency_ms']:.2f}",
        )
        for row in document["rows"]
    ]
    header = ("model", "params", "FLOPs", "MemR+W bytes", "ms")
    console.table(
        "Complexity of one clip by the rules of torchstat; ms measured here, one clip at a time", header, rows
    )
