"""Published checkpoints as our networks: every key and shape is checked, and nothing else is taken."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from torch import Tensor, nn

from mer_models.spec import Reference, State, extractors, models


class WrongCheckpoint(ValueError):  # noqa: N818 - it names what is wrong: the checkpoint
    """A state dict whose keys or shapes are not those of the published network."""


def renamed(build: Callable[[int], nn.Module], classifier: str, *renames: tuple[str, str]) -> Reference:
    """The reference of a network whose published checkpoint has our tensors under other names, or the same ones.

    Parameters
    ----------
    build
        Number of classes to our network.
    classifier
        The published key of the last layer's weight; empty for a network without classes.
    renames
        Regular expressions and their replacements, applied in this order to each of our keys to get the published one.
    """

    def published(key: str) -> str:
        for pattern, replacement in renames:
            key = re.sub(pattern, replacement, key)
        return key

    def shapes(classes: int) -> Mapping[str, tuple[int, ...]]:
        return {published(key): tuple(tensor.shape) for key, tensor in build(classes).state_dict().items()}

    def convert(state: State) -> dict[str, Tensor]:
        classes = len(state[classifier]) if classifier else 0
        return {key: state[published(key)] for key in build(classes).state_dict()}

    return Reference(classifier, shapes, convert)


def from_reference(model_name: str, state_dict: State) -> nn.Module:
    """Build a network and give it published weights.

    Parameters
    ----------
    model_name
        A registered network, or an extractor, whose published keys are known.
    state_dict
        The published keys and tensors; a prefix ``module.`` on all keys is dropped.

    Returns
    -------
    The network in evaluation mode, float32 on the CPU, with as many classes as the checkpoint has.

    Raises
    ------
    KeyError
        If there is no such network, or its published keys are not known.
    WrongCheckpoint
        With every key that is missing, unknown or of another shape.
    """
    spec = models().get(model_name) or extractors()[model_name]
    if spec.reference is None or spec.build is None:
        raise KeyError(f"no published checkpoint of {model_name} is known")
    reference = spec.reference
    if state_dict and all(key.startswith("module.") for key in state_dict):
        state_dict = {key.removeprefix("module."): tensor for key, tensor in state_dict.items()}
    if reference.classifier and reference.classifier not in state_dict:
        raise WrongCheckpoint(f"{model_name}: no key {reference.classifier!r}, so this is another network's checkpoint")
    classes = len(state_dict[reference.classifier]) if reference.classifier else 0
    wrong = _differences(reference.shapes(classes), state_dict)
    if wrong:
        raise WrongCheckpoint(f"{model_name}: " + "; ".join(wrong))
    network = spec.build(classes)
    network.load_state_dict(reference.convert(state_dict), strict=True)
    return network.eval()


def _differences(wanted: Mapping[str, tuple[int, ...]], given: State) -> list[str]:
    wrong = [f"missing {key}" for key in wanted if key not in given]
    wrong += [f"unknown {key}" for key in given if key not in wanted]
    wrong += [
        f"{key} is {list(given[key].shape)}, not {list(shape)}"
        for key, shape in wanted.items()
        if key in given and tuple(given[key].shape) != shape
    ]
    return wrong
