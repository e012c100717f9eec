"""What a plan asks of a model: what was declared with it, and what its code and its size are.

Models that come with the project are asked once, and their answers remembered, so that whoever starts, continues or
looks at an experiment does not wait for PyTorch; only workers train. Those of the user's own are asked every time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from mer_models.registry import MODELS
from mer_models.spec import InputSpec, ModelSpec, Range, Recipe, Space, models
from orchestrator.machines.code_memory import remembered


@dataclass(frozen=True)
class Declaration:
    """A model without its network; see :class:`mer_models.spec.ModelSpec` for the fields it has too.

    Attributes
    ----------
    is_network
        Whether it has one.
    """

    inputs: tuple[InputSpec, ...]
    instead: tuple[tuple[InputSpec, ...], ...]
    recipe: Recipe
    space: Space | None
    gpu_share: float
    is_network: bool

    def search_space(self, recipe: Recipe) -> Space:
        """What a search varies: `space`, or for a network without one, around a recipe."""
        if self.space is not None or not self.is_network:
            return self.space or {}
        return {
            "lr": Range(recipe.lr / 10, recipe.lr * 10, log=True),
            "weight_decay": tuple(sorted({0.0, 1e-4, 1e-3, recipe.weight_decay})),
            "batch_size": tuple(sorted({max(recipe.batch_size // 2, 1), recipe.batch_size, recipe.batch_size * 2})),
        }


def declaration(name: str) -> Declaration:
    """What a model declares."""
    return _remembered(name)[0] if name in MODELS else _of(models()[name])


def code_digest(name: str) -> str:
    """:meth:`mer_models.spec.ModelSpec.code_digest` of a model."""
    return _remembered(name)[1] if name in MODELS else models()[name].code_digest()


def costs(name: str, classes: int) -> Mapping[str, Any]:
    """The fields of :class:`mer_models.complexity.Complexity` of a model."""

    def count() -> dict[str, Any]:
        from mer_models.complexity import complexity

        return vars(complexity(models()[name], classes))

    if name not in MODELS:
        return count()
    found: dict[str, Any] = remembered(f"models/{name}.{classes}-classes", count)
    return found


def _of(spec: ModelSpec) -> Declaration:
    return Declaration(spec.inputs, spec.instead, spec.recipe, spec.space, spec.gpu_share, spec.build is not None)


@cache
def _remembered(name: str) -> tuple[Declaration, str]:
    """Declaration and digest of the code of a model that comes with the project."""
    adapter = TypeAdapter(tuple[Declaration, str])

    def ask() -> Any:
        return adapter.dump_python((_of(models()[name]), models()[name].code_digest()), mode="json")

    # Not strict, for JSON has lists where these have tuples.
    return adapter.validate_python(remembered(f"models/{name}", ask))
