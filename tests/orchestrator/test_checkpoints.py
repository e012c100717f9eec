"""Foreign checkpoints: what is right comes in under our names, everything else is told and nothing is written."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mer_data.problems import BadInput
from mer_models.spec import models
from mer_models.weights import from_reference
from orchestrator import checkpoints, cli


def published(name: str, classes: int = 3) -> dict[str, torch.Tensor]:
    """A state dict with the published keys and shapes of a model, and random numbers."""
    torch.manual_seed(0)
    reference = models()[name].reference
    assert reference is not None
    return {key: torch.rand(shape) for key, shape in reference.shapes(classes).items()}


@pytest.mark.parametrize("wrap", ["plain", "field", "module"])
def test_a_published_checkpoint_comes_in(tmp_path: Path, wrap: str) -> None:
    state = published("ststnet")
    stored = {
        "plain": state,
        "field": {"state_dict": state, "time": 3},
        "module": {f"module.{key}": tensor for key, tensor in state.items()},
    }[wrap]
    torch.save(stored, tmp_path / "006.pth")
    with pytest.raises(SystemExit) as stopped:
        cli.main(["weights", "import", "ststnet", str(tmp_path / "006.pth"), "--to", str(tmp_path / "o.safetensors")])
    assert not stopped.value.code
    network = models()["ststnet"].build(3).eval()
    network.load_state_dict(load_file(tmp_path / "o.safetensors"))
    clips = torch.rand(2, 3, 28, 28)
    assert torch.equal(network(clips), from_reference("ststnet", state)(clips))


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return print, ("this must not run",)


@pytest.mark.parametrize("what", ["code", "text", "missing", "another", "shape", "lists"])
def test_anything_else_is_refused_and_nothing_written(tmp_path: Path, what: str) -> None:
    path = tmp_path / "x.pth"
    state = published("ststnet")
    if what == "code":
        path.write_bytes(pickle.dumps(Evil()))
    elif what == "text":
        path.write_text("not a checkpoint")
    elif what == "another":
        torch.save(published("sssnet"), path)
    elif what == "shape":
        torch.save({**state, "fc.bias": torch.zeros(4)}, path)
    elif what == "lists":
        torch.save({"a": [1, 2]}, path)
    with pytest.raises(BadInput, match=r"x\.pth"):
        checkpoints.import_weights("ststnet", path, tmp_path / "o.safetensors")
    assert not (tmp_path / "o.safetensors").exists()


def test_a_model_without_a_published_checkpoint_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no published checkpoint"):
        checkpoints.import_weights("htnet_fixed", tmp_path / "x.pth", tmp_path / "o.safetensors")
