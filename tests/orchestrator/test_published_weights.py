"""Foreign checkpoints: usual wrappers are read, everything else is told in words, and nothing of it takes memory."""

from __future__ import annotations

import argparse
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mer_data.problems import BadInput
from orchestrator.published_weights import read_checkpoint

STATE = OrderedDict({"a.weight": torch.ones(3, 2), "a.bias": torch.zeros(3), "b.num_batches_tracked": torch.tensor(7)})


@pytest.mark.parametrize(
    "wrapped",
    [
        STATE,
        *({field: STATE, "epoch": 3} for field in ("state_dict", "model_state_dict", "model", "net")),
        {"params": STATE, "epoch": 3},  # the one field that is a dict of tensors
        {"state_dict": STATE, "best": np.float64(0.7), "loss": np.zeros(3), "args": [1, 2]},
        {"model": STATE, "optimizer": {"state": {0: {"step": 1}}, "param_groups": [{"lr": 0.1}]}},
        {**STATE, "epoch": np.int64(3)},
    ],
)
def test_usual_wrappers_are_read(tmp_path: Path, wrapped: Any) -> None:
    for old in (False, True):
        torch.save(wrapped, tmp_path / "x.pth", _use_new_zipfile_serialization=not old)
        read = read_checkpoint(tmp_path / "x.pth")
        assert {key: tensor.tolist() for key, tensor in read.items()} == {
            key: tensor.tolist() for key, tensor in STATE.items()
        }


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return os.system, ("echo this must not run",)


def saved(value: Any) -> Callable[[Path], None]:
    return lambda path: torch.save(value, path)


def bytes_of(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None


def bomb(path: Path) -> None:
    torch.save(STATE, path)
    with zipfile.ZipFile(path) as packed:
        files = {name: packed.read(name) for name in packed.namelist()}
    largest = next(name for name in files if name.endswith("/data/0"))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for name, content in files.items():
            packed.writestr(name, bytes(300_000_000) if name == largest else content)


def terabyte(path: Path) -> None:
    """A storage of a terabyte in the pickle, beside twelve bytes of a file."""
    torch.save({"a": torch.zeros(3)}, path)
    with zipfile.ZipFile(path) as packed:
        files = {name: packed.read(name) for name in packed.namelist()}
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in files.items():
            huge = b"\x8a\x05" + (2**38).to_bytes(5, "little")
            packed.writestr(name, content.replace(b"K\x03", huge) if name.endswith("data.pkl") else content)


def scripted(path: Path) -> None:
    torch.save(STATE, path)
    with zipfile.ZipFile(path, "a") as packed:
        packed.writestr("x/constants.pkl", b"")


def fifo(path: Path) -> None:
    os.mkfifo(path)


NAN = {**STATE, "a.bias": torch.tensor([0.0, float("nan"), 1.0])}
WRONG: dict[str, tuple[Callable[[Path], None], str]] = {
    "code": (bytes_of(pickle.dumps(Evil())), "not a whole PyTorch checkpoint|kind posix.system"),
    "an object": (saved({"model": STATE, "args": argparse.Namespace(lr=1)}), "kind argparse.Namespace"),
    "a whole model": (saved(torch.nn.Linear(2, 2)), "kind torch.nn.modules.linear.Linear"),
    "fields": (saved({"epoch": 3, "note": "x"}), r"no weights .* but epoch \(a number\), note \(a text\)"),
    "two sets": (saved({"one": STATE, "other": STATE}), "several sets of weights: one, other"),
    "a list": (saved([torch.zeros(2)]), "holds a list of 1"),
    "nothing": (saved({}), "nothing"),
    "keys": (saved({0: torch.zeros(2)}), "names are no texts: 0"),
    "nan": (saved(NAN), r"a\.bias: holds values that are no finite numbers"),
    "whole numbers": (saved({"w": torch.zeros(2, dtype=torch.int32)}), "w: holds int32"),
    "complex": (saved({"w": torch.zeros(2, dtype=torch.complex64)}), "w: holds complex64"),
    "sparse": (saved({"w": torch.eye(2).to_sparse()}), "w: is sparse"),
    "0-d": (saved({"w": torch.tensor(1.0)}), "w: is a single number"),
    "stretched": (saved({"w": torch.zeros(1).expand(2**40)}), "too few bytes"),
    "a page": (bytes_of(b"\n<!DOCTYPE html><html><body>404"), "web page"),
    "a pointer": (bytes_of(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "pointer of Git LFS"),
    "keras": (bytes_of(b"\x89HDF\r\n\x1a\n" + bytes(100)), "HDF5"),
    "packed": (bytes_of(b"\x1f\x8b" + bytes(100)), "packed archive"),
    "empty": (bytes_of(b""), "is empty"),
    "text": (bytes_of(b"weights"), "not a whole PyTorch checkpoint"),
    "cut zip": (bytes_of(b"PK\x03\x04" + bytes(50)), "not a whole PyTorch checkpoint"),
    "a folder": (lambda path: path.mkdir(), "is a folder"),
    "a pipe": (fifo, "is a pipe"),
    "zip bomb": (bomb, "larger unpacked"),
    "a terabyte": (terabyte, "not a whole PyTorch checkpoint|too few bytes"),
    "torchscript": (scripted, "TorchScript"),
}


@pytest.mark.parametrize("name", WRONG)
def test_everything_else_is_refused_in_words(tmp_path: Path, name: str) -> None:
    write, says = WRONG[name]
    write(tmp_path / "x.pth")
    with pytest.raises(BadInput, match=says) as refused:
        read_checkpoint(tmp_path / "x.pth")
    message = str(refused.value)
    assert str(tmp_path / "x.pth") in message
    assert refused.value.problems[0].remedy
    for foreign in ("weights_only", "pickle", "torch.load", "add_safe_globals", "Unpickling", "\n"):
        assert foreign not in message


def test_safetensors_are_looked_at_alike(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file(dict(NAN), path)
    with pytest.raises(BadInput, match="finite"):
        read_checkpoint(path)
    path.write_bytes((2**60).to_bytes(8, "little") + b"{}")
    with pytest.raises(BadInput, match="not a whole safetensors file"):
        read_checkpoint(path)
