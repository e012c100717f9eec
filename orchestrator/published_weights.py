"""Checkpoints as others published them, read without running anything in them."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mer_data.files import refuse_special
from mer_data.problems import BadInput, NoAccess, Problem, raise_all

if TYPE_CHECKING:
    from torch import Tensor

_REMEDY = "give the file as it was published: a PyTorch checkpoint or safetensors"
_ALONE = "load it where it was made, and save its state dict alone: torch.save(model.state_dict(), FILE)"
# Where codes put the weights, beside the epoch, the optimizer and the like.
_FIELDS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
_FLOATS = ("float16", "bfloat16", "float32", "float64")
_COUNTER = "num_batches_tracked"  # of batch normalization: the only whole number, and the only one without axes
_SHOWN = 5
# What a file is by its first bytes, if it is no checkpoint: pattern, what to say, what to do.
_OTHERS = (
    (rb"\s*<(!doctype|html|\?xml|head)", "is a web page about the file, and not the file", "download it"),
    (rb"version https://git-lfs", "is a pointer of Git LFS, and not the file that it stands for", "git lfs pull"),
    (rb"\x89HDF", "is an HDF5 file, as Keras writes them", "convert it to a PyTorch checkpoint"),
    (rb"\x1f\x8b|7z\xbc\xaf|Rar!", "is a packed archive", "unpack it"),
)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The weights in a file: safetensors, or a PyTorch checkpoint with its weights alone or in one of its fields.

    Raises
    ------
    BadInput
        If the file cannot be read, holds no or several sets of weights, or values that are no weights; nothing in it
        is executed.
    NoAccess
        If the system refuses it.
    """
    try:
        refuse_special(path, _REMEDY)
        with path.open("rb") as file:
            head = file.read(512)
    except FileNotFoundError:
        raise BadInput(Problem(str(path), "no such file")) from None
    except OSError as error:
        raise NoAccess(Problem(str(path), f"cannot be read: {error.strerror}", "give access to it")) from error
    _refuse_others(path, head)
    loaded = _load_safetensors(path) if path.suffix == ".safetensors" else _load_pickled(path, head)
    state = _weights_in(path, loaded)
    wrong = {key: what for key, tensor in state.items() if (what := _wrong(key, tensor))}
    raise_all(Problem(f"{path}, {key}", what, _REMEDY) for key, what in wrong.items())
    return state


def _refuse_others(path: Path, head: bytes) -> None:
    if not head:
        raise BadInput(Problem(str(path), "is empty", _REMEDY))
    for pattern, what, remedy in _OTHERS:
        if re.match(pattern, head, re.IGNORECASE):
            raise BadInput(Problem(str(path), what, f"{remedy}, then give the file itself"))


def _load_safetensors(path: Path) -> Any:
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except Exception:
        raise BadInput(Problem(str(path), "is not a whole safetensors file", _REMEDY)) from None


def _load_pickled(path: Path, head: bytes) -> Any:
    import numpy as np
    import torch

    is_zip = head.startswith(b"PK")
    if is_zip:
        _look_at_zip(path)
    # Numbers that NumPy made, such as the best accuracy, are beside the weights of many checkpoints; they run nothing.
    scalar, array = np.float64(0).__reduce__()[0], np.zeros(0).__reduce__()[0]
    kinds = [type(np.dtype(code)) for code in np.typecodes["All"] if code != "O"]
    numbers = [scalar, (scalar, "numpy.core.multiarray.scalar"), np.dtype, *dict.fromkeys(kinds)]
    arrays = [array, (array, "numpy.core.multiarray._reconstruct"), np.ndarray]
    try:
        with torch.serialization.safe_globals([*numbers, *arrays]):  # type: ignore[list-item]
            # Mapped, so that a tensor takes no memory that the file does not have.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except Exception as error:  # whatever damage, and code that is not run, make the parser say
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if named is None:
            raise BadInput(Problem(str(path), "is not a whole PyTorch checkpoint", _REMEDY)) from None
        what = f"holds a Python object of the kind {named[1]}, and not only weights; such code is never run here"
        raise BadInput(Problem(str(path), what, _ALONE)) from None


def _look_at_zip(path: Path) -> None:
    """Refuse what is no checkpoint of PyTorch's, before anything is unpacked: their files are never packed tight."""
    try:
        with zipfile.ZipFile(path) as packed:
            entries = packed.infolist()
    except Exception:  # whatever damage makes the parser say
        raise BadInput(Problem(str(path), "is not a whole PyTorch checkpoint", _REMEDY)) from None
    names = [entry.filename.rpartition("/")[2] for entry in entries]
    if "constants.pkl" in names:
        raise BadInput(Problem(str(path), "is a TorchScript archive, which holds code", _ALONE))
    if "data.pkl" not in names:
        raise BadInput(Problem(str(path), "is a zip of other things than a checkpoint", "give a file that is in it"))
    whole = path.stat().st_size
    size = sum(entry.file_size for entry in entries)
    if size > whole or any(entry.compress_type for entry in entries):
        raise BadInput(Problem(str(path), f"would be larger unpacked than its {whole:,} bytes", "it is not unpacked"))


def _weights_in(path: Path, loaded: Any) -> dict[str, Tensor]:
    """The tensors by name, out of whatever field they are in."""
    if not isinstance(loaded, Mapping):
        raise BadInput(Problem(str(path), f"holds {_kind(loaded)}, and no tensors by name", _ALONE))
    if (state := _tensors(loaded)) is None:
        found = {str(name): state for name, value in loaded.items() if (state := _tensors(value)) is not None}
        known = [name for name in _FIELDS if name in found] or list(found)
        if not found:
            fields = [f"{name} ({_kind(value)})" for name, value in loaded.items()]
            more = f" and {len(fields) - _SHOWN} more" if len(fields) > _SHOWN else ""
            told = ", ".join(fields[:_SHOWN]) + more or "nothing"
            raise BadInput(Problem(str(path), f"holds no weights that are known as such, but {told}", _ALONE))
        if len(known) > 1:
            raise BadInput(Problem(str(path), f"holds several sets of weights: {', '.join(known)}", _ALONE))
        state = found[known[0]]
    odd = [repr(key) for key in state if not isinstance(key, str)]
    if odd:
        raise BadInput(Problem(str(path), f"holds tensors whose names are no texts: {', '.join(odd[:_SHOWN])}", _ALONE))
    return state


def _tensors(value: Any) -> dict[str, Tensor] | None:
    """The tensors of a mapping that holds nothing else but plain numbers and texts; None if it is another one."""
    import numpy as np
    from torch import Tensor

    if not isinstance(value, Mapping):
        return None
    found = {key: held for key, held in value.items() if isinstance(held, Tensor)}
    plain = (bool, int, float, str, np.generic, type(None))
    others = [held for held in value.values() if not isinstance(held, Tensor)]
    return found if found and all(isinstance(held, plain) for held in others) else None


def _kind(value: Any) -> str:
    """What something is, in a word or two."""
    if hasattr(value, "numel"):
        return "a tensor"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple | set):
        return f"a list of {len(value)}"
    return {int: "a number", float: "a number", str: "a text"}.get(type(value), type(value).__name__)


def _wrong(key: str, tensor: Tensor) -> str:
    """Why a tensor cannot be a weight, in words; empty if it can."""
    import torch

    kind = str(tensor.dtype).removeprefix("torch.")
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        return "is sparse, quantized or without values, and not a plain tensor"
    if key.endswith(_COUNTER):
        return "" if tensor.numel() == 1 and kind in (*_FLOATS, "int64", "int32") else "is no counter of batches"
    if kind not in _FLOATS:
        return f"holds {kind}, where weights are floating-point numbers"
    if tensor.dim() == 0:
        return "is a single number without axes, where a weight has some"
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return f"has the shape {list(tensor.shape)}, for which its file has too few bytes"
    if not torch.isfinite(tensor).all():
        return "holds values that are no finite numbers"
    return ""
