"""What a model is: its inputs, its recipe, how it is trained, and what was published about it."""

from __future__ import annotations

import importlib
import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from mer_models.code_digest import digest_of_sources
from mer_models.registry import EXTRACTORS, MODELS, OnDemand

if TYPE_CHECKING:
    from torch import Tensor, nn

# An input larger than this stays where it is, and each batch is fetched from it.
RESIDENT_BYTES = 1 << 30


class Rows(Protocol):
    """Arrays of clips, in memory or fetched when asked for; a NumPy array is one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Clips first."""

    @property
    def nbytes(self) -> int:
        """Size of all clips."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: npt.NDArray[np.int64], /) -> npt.NDArray[Any]: ...

    def __array__(self) -> npt.NDArray[Any]: ...


Arrays: TypeAlias = tuple[Rows, ...]


@dataclass(frozen=True)
class Recipe:
    """A model's training settings.

    Attributes
    ----------
    epochs
        Passes over the training clips.
    batch_size
        Clips per step; the last batch of an epoch may be smaller.
    order
        ``shuffled`` anew every epoch, or ``by-class``: sorted by class and never shuffled.
    optimizer, lr, momentum, weight_decay
        The optimizer and its settings. Momentum is that of ``sgd``; weight decay is added to the gradient (L2).
    step_every, step_factor, step_unit
        The learning rate is multiplied by `step_factor` after every `step_every` epochs or optimizer steps; 0 keeps it
        constant.
    loss
        ``cross-entropy``; ``focal`` with gamma 2; ``balanced``: focal, weighted by 1 - (share of the class in the
        batch) / 10; ``cosine``: 1 - the true class's component of the L2-normalised logits.
    penalty
        Weight of the network's own penalty, added to the loss; for networks that define ``with_penalty``.
    balance
        ``oversample`` draws random duplicates of training clips, once per fold, until every class has as many as the
        largest.
    augment
        ``mirror`` mirrors half of each batch left to right, the horizontal component of the motion with its sign.
    keep_every
        Test logits are kept after every `keep_every`-th epoch and after the last one.
    """

    epochs: int
    batch_size: int = 64
    order: Literal["shuffled", "by-class"] = "shuffled"
    optimizer: Literal["adam", "sgd", "rmsprop"] = "adam"
    lr: float = 1e-3
    momentum: float = 0.0
    weight_decay: float = 0.0
    step_every: int = 0
    step_factor: float = 0.1
    step_unit: Literal["epoch", "step"] = "epoch"
    loss: Literal["cross-entropy", "focal", "balanced", "cosine"] = "cross-entropy"
    penalty: float = 0.0
    balance: Literal["none", "oversample"] = "none"
    augment: Literal["none", "mirror"] = "none"
    keep_every: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "keep_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        for name in ("momentum", "weight_decay", "step_every", "penalty"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must not be negative, and finite")
        if not 0 < self.lr < math.inf or not 0 < self.step_factor < math.inf:
            raise ValueError("lr and step_factor must be positive and finite")

    def kept_epochs(self) -> list[int]:
        """The epochs after which test logits are kept, counted from 1; the last epoch is always among them."""
        return sorted({*range(self.keep_every, self.epochs + 1, self.keep_every), self.epochs})

    def changes(self, published: Recipe) -> str:
        """What differs from another recipe, as ``epochs=50, lr=0.0001``; ``recipe`` if nothing does."""
        names = sorted(field.name for field in fields(self))
        told = [f"{name}={getattr(self, name)}" for name in names if getattr(self, name) != getattr(published, name)]
        return ", ".join(told) or "recipe"


@dataclass(frozen=True)
class Range:
    """The values from `low` to `high` that a search may give a field of the recipe; whole numbers if both are."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}  # a misspelt `log` must not go unnoticed

    low: int | float
    high: int | float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError("low must be less than high")
        if self.log and self.low <= 0:
            raise ValueError("a logarithmic range must start above 0")


# What a search may choose from, by field of the recipe: a range, or the values themselves.
Space: TypeAlias = Mapping[str, Range | tuple[Any, ...]]


@dataclass(frozen=True)
class InputSpec:
    """One input of a network: which channels of which feature, in which order, on which scale.

    Attributes
    ----------
    feature
        The feature's name in the store.
    channels
        The channels the network takes, in its order; empty for a feature without named channels.
    size
        The other axes: height and width in pixels for maps.
    scale, shift
        The network sees ``stored value * scale + shift``.
    bytes
        Whether the stored values are bytes, with no motion at 127.5; else they are pixels, with no motion at 0.
    free_axes
        How many of the first axes may have another length than `size` says, in all clips alike.
    """

    feature: str
    channels: tuple[str, ...]
    size: tuple[int, ...]
    scale: float = 1.0
    shift: float = 0.0
    bytes: bool = False
    free_axes: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one clip: named channels first, if there are any, then `size`."""
        return (*((len(self.channels),) if self.channels else ()), *self.size)


@dataclass(frozen=True)
class FoldArrays:
    """All that training a fold may know. There are no test labels in it.

    Attributes
    ----------
    train, test
        Per input of the model, an array ``[clips, *InputSpec.shape]`` as the store holds it.
    labels
        Class index per training clip, int64 ``[training clips]``.
    test_clips
        Number of test clips (a model may have no inputs).
    classes
        Number of classes.
    keep_state
        Whether the weights of the last epoch are wanted too.
    """

    train: Arrays
    labels: npt.NDArray[np.int64]
    test: Arrays
    test_clips: int
    classes: int
    keep_state: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a trained fold says about its test clips.

    Attributes
    ----------
    epochs
        The kept epochs, ascending, counted from 1; the last is the recipe's last.
    logits
        Unnormalised scores, float32 ``[kept epochs, test clips, classes]``.
    state
        The network's state dict after the last epoch, as arrays; None if it was not asked for, or there is no network.
    """

    epochs: tuple[int, ...]
    logits: npt.NDArray[np.float32]
    state: Mapping[str, npt.NDArray[Any]] | None = None


class TrainingFailed(Exception):  # noqa: N818 - a result of training, not a bug
    """Training could not give a finite answer, for instance because the loss diverged."""


@dataclass(frozen=True)
class Published:
    """A score from the literature, with the rule it was obtained under."""

    dataset: str
    uf1: float
    uar: float
    rule: str
    source: str


State: TypeAlias = "Mapping[str, Tensor]"


@dataclass(frozen=True)
class Reference:
    """How a published checkpoint of a network is read; see :mod:`mer_models.reference`.

    Attributes
    ----------
    classifier
        The published key of the last layer's weight, whose first axis is the number of classes; empty for a network
        without classes.
    shapes
        Number of classes to the shape of every published key.
    convert
        A published state dict of those keys and shapes to one of our network.
    """

    classifier: str
    shapes: Callable[[int], Mapping[str, tuple[int, ...]]]
    convert: Callable[[State], dict[str, Tensor]]


# fit(spec, arrays, recipe, seed, device) -> outcome. A network's is `train.fit`; a baseline brings its own.
Fit: TypeAlias = "Callable[[ModelSpec, FoldArrays, Recipe, int, str], Outcome]"


@dataclass(frozen=True)
class ModelSpec:
    """A model that can be scheduled.

    Attributes
    ----------
    name
        Registry name.
    paper
        Citation.
    inputs
        What it eats; empty for a baseline that looks at no clip.
    recipe
        The published recipe.
    fit
        Trains on a fold and returns test logits.
    build
        Number of classes to a fresh network with its initial weights; None if it is no network.
    published
        Scores from the literature.
    deviations
        Where ours differs from the original, in sentences.
    dead
        Parameters that get no gradient, as in the original: parts of its state dict's keys.
    groups
        A network and the recipe to the optimizer's parameter groups, for recipes with more than one learning rate.
    reference
        How a published checkpoint of this network is read, if its keys are known.
    gpu_share
        The part of a GPU that one fold takes, a power of two, so large that a card of 8 GB holds the folds that
        share it. A fold holds its weights, gradients and moments, its activations twice, its clips, and CUDA itself.
    instead
        Other inputs of the same shapes, tried in this order where a dataset cannot provide `inputs`.
    space
        What a hyper-parameter search varies, if not learning rate, weight decay and batch size around the recipe.
    """

    name: str
    paper: str
    inputs: tuple[InputSpec, ...]
    recipe: Recipe
    fit: Fit
    build: Callable[[int], nn.Module] | None = None
    published: tuple[Published, ...] = ()
    deviations: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()
    groups: Callable[[nn.Module, Recipe], list[dict[str, Any]]] | None = None
    reference: Reference | None = None
    gpu_share: float = 0.125
    instead: tuple[tuple[InputSpec, ...], ...] = ()
    space: Space | None = None

    def code_digest(self) -> str:
        """SHA-256 of the source that decides this model's results.

        That is the module that registered it, those of its network and of its training function, and what these import
        from this package or from the user's own; comments, docstrings and layout do not count. What this module
        declares is part of a job's id as values.
        """
        makers = [maker for maker in (self.build, self.fit) if maker is not None]
        modules = [maker.__module__ for maker in makers] + [REGISTERED_BY[self.name]] * (self.name in REGISTERED_BY)
        return digest_of_sources(modules, {"mer_models", modules[-1].split(".")[0]}, besides=__name__)


@dataclass(frozen=True)
class Extractor:
    """A network that makes features for other networks and is not trained here; `build` ignores its argument."""

    name: str
    paper: str
    build: Callable[[int], nn.Module]
    reference: Reference


REGISTRY: dict[str, ModelSpec] = {}
# By model name the module that registered it: its network may come from anywhere, a partial function even.
REGISTERED_BY: dict[str, str] = {}
_EXTRACTORS: dict[str, Extractor] = {}


def register(spec: ModelSpec) -> ModelSpec:
    """Add a model to the registry.

    Raises
    ------
    ValueError
        If the name is taken, or cannot be part of a file's name.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", spec.name):
        raise ValueError(f"model {spec.name!r}: a name consists of letters, digits, _ and -")
    by = sys._getframe(1).f_globals["__name__"]
    if spec.name in REGISTRY or MODELS.get(spec.name, by) != by:
        raise ValueError(f"model {spec.name} is registered twice")
    REGISTRY[spec.name] = spec
    REGISTERED_BY[spec.name] = by
    return spec


def register_extractor(extractor: Extractor) -> Extractor:
    """Add a feature extractor, by its name."""
    _EXTRACTORS[extractor.name] = extractor
    return extractor


@cache
def import_packages() -> None:
    """Import what installed packages bring; once."""
    # By name, because it runs code that imports this module.
    importlib.import_module("mer_models.plugins").run_packages()


def models() -> Mapping[str, ModelSpec]:
    """Every model by name, those of installed packages included.

    Names cost nothing; the first network that is asked for imports PyTorch.

    Raises
    ------
    BrokenModelFile
        If an installed package's models cannot be imported.
    """
    import_packages()
    return OnDemand(REGISTRY, MODELS)


def extractors() -> Mapping[str, Extractor]:
    """Every feature extractor by name; the first one that is asked for imports PyTorch."""
    return OnDemand(_EXTRACTORS, EXTRACTORS)
