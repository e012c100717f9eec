"""What `mer models` and `mer complexity` know: counted by building each network, which takes PyTorch and seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mer_data.problems import Problem, did_you_mean, raise_all
from mer_models.complexity import complexity, counted_flops, latency_ms, peak_bytes
from mer_models.spec import ModelSpec, models
from orchestrator.precompute.feature_notes import note_of_feature

_CLASSES = 3  # as in the published tables


def models_document(names: Sequence[str] = ()) -> dict[str, Any]:
    """The document of ``mer models --json``; all models if no names are given. Those of the user's own are in it.

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
