"""What `mer models` and `mer complexity` show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mer_data.problems import BadInput, Problem, did_you_mean
from mer_models.complexity import complexity, latency_ms
from mer_models.spec import ModelSpec, models
from orchestrator.console import Console

_CLASSES = 3  # as in the published tables


def models_document() -> dict[str, Any]:
    """The document of ``mer models --json``."""
    return {
        "rows": [
            {
                "model": spec.name,
                "params": complexity(spec, _CLASSES).params,
                "inputs": [
                    {"feature": one.feature, "channels": list(one.channels), "shape": list(one.shape)}
                    for one in spec.inputs
                ],
                "paper": spec.paper,
                "published": [vars(published) for published in spec.published],
                "deviations": list(spec.deviations),
            }
            for spec in models().values()
        ]
    }


def complexity_document(names: Sequence[str]) -> dict[str, Any]:
    """The document of ``mer complexity --json``; all models if no names are given.

    Raises
    ------
    BadInput
        With every name that is no model's.
    """
    registry = models()
    unknown = [name for name in names if name not in registry]
    if unknown:
        raise BadInput(Problem(name, "unknown model", did_you_mean(name, registry)) for name in unknown)
    return {"rows": [_complexity_row(registry[name]) for name in names or registry]}


def _complexity_row(spec: ModelSpec) -> dict[str, Any]:
    return {
        "model": spec.name,
        "input": [list(one.shape) for one in spec.inputs],
        **vars(complexity(spec, _CLASSES)),
        "latency_ms": latency_ms(spec, _CLASSES),
    }


def print_models(document: dict[str, Any], console: Console) -> None:
    """A table of :func:`models_document`."""
    rows = [
        (
            row["model"],
            f"{row['params']:,}",
            "; ".join(f"{one['feature']}: {', '.join(one['channels'])}" for one in row["inputs"]) or "-",
            "; ".join(f"{p['dataset']} {p['uf1']:.4f} / {p['uar']:.4f} ({p['rule']})" for p in row["published"]) or "-",
        )
        for row in document["rows"]
    ]
    console.table("Models", ("model", "params", "input", "published UF1 / UAR"), rows)


def print_complexity(document: dict[str, Any], console: Console) -> None:
    """A table of :func:`complexity_document`."""
    rows = [
        (
            row["model"],
            ", ".join("×".join(map(str, shape)) for shape in row["input"]) or "-",
            f"{row['params']:,}",
            f"{row['flops']:,}",
            f"{row['mem_rw_bytes']:,}",
            "-" if row["latency_ms"] is None else f"{row['latency_ms']:.2f}",
        )
        for row in document["rows"]
    ]
    header = ("model", "input", "params", "FLOPs", "MemR+W bytes", "ms per clip")
    console.table("Complexity of one clip", header, rows)
