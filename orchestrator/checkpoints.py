"""Weights on disk: foreign checkpoints are read without running anything in them; ours are safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mer_data.files import written_aside
from mer_data.problems import BadInput, Problem, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor, nn

_REMEDY = "give the file as it was published: a PyTorch checkpoint or safetensors"


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The state dict in a file: safetensors, or a PyTorch checkpoint (its field ``state_dict`` if it has one).

    Raises
    ------
    BadInput
        If the file cannot be read, or holds anything but tensors; nothing in it is executed.
    """
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise BadInput(Problem(str(path), "no such file")) from None
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        raise BadInput(Problem(str(path), f"is not a checkpoint: {str(error).splitlines()[0]}", _REMEDY)) from error
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise BadInput(Problem(str(path), "holds something else than tensors by name", _REMEDY))
    return dict(loaded)


def import_weights(model: str, path: Path, to: Path) -> nn.Module:
    """Read a published checkpoint of a network and write its weights under our names.

    Raises
    ------
    BadInput
        If the model has no known checkpoint, or the file's keys or shapes are not those; nothing is written then.
    """
    from safetensors.torch import save

    from mer_models.spec import extractors, models
    from mer_models.weights import WrongCheckpoint, from_reference

    known = [name for name, spec in models().items() if spec.reference is not None] + list(extractors())
    if model not in known:
        remedy = did_you_mean(model, known) or f"known are {', '.join(known)}"
        raise BadInput(Problem(model, "no published checkpoint of this model is known", remedy))
    try:
        network = from_reference(model, read_checkpoint(path))
    except WrongCheckpoint as error:
        raise BadInput(Problem(str(path), str(error), "check the model's name and the file")) from error
    state = {key: tensor.contiguous() for key, tensor in network.state_dict().items()}
    with written_aside(to) as aside:
        aside.write_bytes(save(state, metadata={"model": model}))
    return network
