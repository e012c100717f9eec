"""Foreign checkpoints: what is right comes in under our names, everything else is told and nothing is written."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mer_data.problems import BadInput
from mer_models import train
from mer_models.batches import Input
from mer_models.reference import from_reference
from mer_models.spec import FoldArrays, models
from orchestrator.cli import commands as cli
from orchestrator.output import weights as of_folds


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
        of_folds.import_weights("ststnet", path, tmp_path / "o.safetensors")
    assert not (tmp_path / "o.safetensors").exists()


def test_a_model_without_a_published_checkpoint_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no published checkpoint"):
        of_folds.import_weights("htnet_fixed", tmp_path / "x.pth", tmp_path / "o.safetensors")


def test_imported_weights_name_their_model_and_nothing_they_do_not_know(tmp_path: Path) -> None:
    torch.save(published("ststnet"), tmp_path / "006.pth")
    of_folds.import_weights("ststnet", tmp_path / "006.pth", tmp_path / "o.safetensors")
    assert of_folds.read_card(tmp_path / "o.safetensors") == of_folds.Card("ststnet", None)


@pytest.mark.parametrize("name", ["ststnet", "off_tanet", "htnet_fixed", "rcn_a", "dual_atme"])
def test_the_last_weights_come_back_from_disk_and_give_the_last_logits(tmp_path: Path, name: str) -> None:
    spec, random = models()[name], np.random.default_rng(0)
    clips = [tuple(random.integers(0, 256, (n, *one.shape), np.uint8) for one in spec.inputs) for n in (6, 3)]
    arrays = FoldArrays(clips[0], np.arange(6) % 3, clips[1], 3, 3, keep_state=True)
    outcome = spec.fit(spec, arrays, replace(spec.recipe, epochs=2, batch_size=3), 0, "cpu")
    assert outcome.state is not None
    of_folds.write_weights(tmp_path / "x.safetensors", outcome.state, of_folds.Card(name))

    assert spec.build is not None
    network = spec.build(3).to(memory_format=torch.channels_last)
    state = of_folds.read_state(tmp_path / "x.safetensors")
    network.load_state_dict({key: torch.from_numpy(array) for key, array in state.items()})
    inputs = [Input(one, rows, "cpu") for one, rows in zip(spec.inputs, clips[1], strict=True)]
    np.testing.assert_array_equal(train.predict(network, inputs, 3).numpy(), outcome.logits[-1])


def test_weights_that_nobody_asked_for_are_not_copied() -> None:
    spec = models()["ststnet"]
    clips = (np.zeros((3, 3, 28, 28), np.uint8),)
    arrays = FoldArrays(clips, np.arange(3), clips, 3, 3)
    assert spec.fit(spec, arrays, replace(spec.recipe, epochs=1), 0, "cpu").state is None


def test_the_same_weights_are_the_same_bytes(tmp_path: Path) -> None:
    state = {"b": np.arange(6.0).reshape(2, 3).T, "a": np.array(3)}
    for name in ("1", "2"):
        of_folds.write_weights(tmp_path / name, state, of_folds.Card("ststnet"))
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    back = of_folds.read_state(tmp_path / "1")
    assert back["a"].shape == ()
    np.testing.assert_array_equal(back["b"], state["b"])
