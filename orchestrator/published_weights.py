"""Checkpoints as others published them, read without running anything in them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mer_data.problems import BadInput, Problem

if TYPE_CHECKING:
    from torch import Tensor

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
