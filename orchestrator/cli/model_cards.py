"""What `mer models` and `mer complexity` show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mer_data.problems import Problem, did_you_mean, raise_all
from mer_models.complexity import complexity, counted_flops, latency_ms, peak_bytes
from mer_models.spec import ModelSpec, models
from orchestrator.console import Console
from orchestrator.precompute.feature_notes import note_of_feature

_CLASSES = 3  # as in the published tables


def models_document(names: Sequence[str] = ()) -> dict[str, Any]:
    """The document of ``mer models --json``; all models if no names are given.

    Raises
    ------
    BadInput
        With every name that is no model's.
    """
    return {
        "rows": [
            {
                "model": spec.name,
                "params": complexity(spec, _CLASSES).params,
                "inputs": [
                    {"feature": taken.feature, "channels": list(taken.channels), "shape": list(taken.shape)}
                    for taken in spec.inputs
                ],
                "paper": spec.paper,
                "recipe": vars(spec.recipe),
                "published": [vars(published) for published in spec.published],
                "deviations": [*spec.deviations, *_notes_of_features(spec)],
            }
            for spec in _chosen(names)
        ]
    }


def _notes_of_features(spec: ModelSpec) -> list[str]:
    """What is peculiar to the features that a model eats."""
    return [note for taken in spec.inputs if (note := note_of_feature(taken.feature)) is not None]


def _chosen(names: Sequence[str]) -> list[ModelSpec]:
    registry = models()
    raise_all(Problem(name, "unknown model", did_you_mean(name, registry)) for name in names if name not in registry)
    return [registry[name] for name in names or registry]


def complexity_document(names: Sequence[str]) -> dict[str, Any]:
    """The document of ``mer complexity --json``; all models if no names are given.

    Raises
    ------
    BadInput
        With every name that is no model's.
    """
    return {"rows": [_complexity_row(spec) for spec in _chosen(names)]}


def _complexity_row(spec: ModelSpec) -> dict[str, Any]:
    return {
        "model": spec.name,
        "input": [list(taken.shape) for taken in spec.inputs],
        **vars(complexity(spec, _CLASSES)),
        "counted_flops": counted_flops(spec, _CLASSES),
        "peak_bytes": peak_bytes(spec, _CLASSES),
        "latency_ms": latency_ms(spec, _CLASSES),
    }


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
