"""Recorded folds and packs: the same bytes as work done operator by operator, alone or beside others.

A tape that repeats operators (`tape.py`) stands for a CUDA graph. What it is compared with runs the same work in
Python, with the same tables of orders and rates. On a processor the plain loop draws orders and dropout from one
generator, so its bytes are the same only where one of the two is not drawn.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tape import HostReadError, Plain, Tape
from test_registry import NETWORKS, arrays_for, of, shape_of
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from mer_models import train
from mer_models.losses import LOSSES
from mer_models.networks import rcn_blocks, ststnet
from mer_models.pack import Ended, PackedFold, train_pack, why_not
from mer_models.recorded import GraphLane, Lane, RecordedFold
from mer_models.spec import FoldArrays, ModelSpec, Outcome, Recipe, TrainingFailed, models

LIGHT = ["ststnet", "ststnet_table", "off_apexnet", "rcn_a"]


@pytest.fixture(autouse=True)
def no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layer by layer, as on a GPU: a tape does not see into a kernel."""
    for module in (ststnet, rcn_blocks):
        monkeypatch.setattr(module, "suits", lambda x: False)


def short(spec: ModelSpec, **changes: Any) -> Recipe:
    return replace(spec.recipe, **{"epochs": 4, "batch_size": 4, "keep_every": 1, **changes})


def trained(spec: ModelSpec, recipe: Recipe, lane: Lane, arrays: FoldArrays | None = None) -> Outcome:
    fold = RecordedFold(spec, arrays or with_weights(arrays_for(spec, 6, 2)), recipe, 3, lane)
    fold.record()
    while fold.advance():
        pass
    return fold.outcome()


def with_weights(arrays: FoldArrays) -> FoldArrays:
    return replace(arrays, keep_state=True)


def same(one: Outcome | Exception | None, other: Outcome | Exception | None) -> bool:
    """Logits and weights, to the byte."""
    if not isinstance(one, Outcome) or not isinstance(other, Outcome) or one.state is None or other.state is None:
        return False
    states = all(np.array_equal(value, other.state[key]) for key, value in one.state.items())
    return one.epochs == other.epochs and np.array_equal(one.logits, other.logits) and states


@pytest.mark.parametrize("spec", of(NETWORKS))
def test_a_tape_of_an_epoch_trains_as_the_epoch_itself(spec: ModelSpec) -> None:
    # RMSprop on a processor reads a learning rate that is a tensor; on a GPU it does not.
    recipe = short(spec, **({"step_every": 0} if spec.recipe.optimizer == "rmsprop" else {}))
    # oneDNN's LSTM keeps more than its operator says.
    with torch.backends.mkldnn.flags(enabled=False) if spec.name == "atn" else nullcontext():
        assert same(trained(spec, recipe, Tape()), trained(spec, recipe, Plain()))


@pytest.mark.parametrize("name", ["ststnet", "ststnet_table", "htnet_fixed"])
def test_where_only_one_of_orders_and_dropout_is_drawn_it_is_the_plain_loop_to_the_byte(name: str) -> None:
    spec = models()[name]
    arrays = with_weights(arrays_for(spec, 9, 3))
    alone = train.fit(spec, arrays, short(spec), 3, "cpu")
    assert same(trained(spec, short(spec), Tape(), arrays), alone)


@pytest.mark.parametrize("changes", [
    {"step_every": 2, "step_unit": "step"},
    {"step_every": 2, "step_unit": "epoch", "step_factor": 0.3},
    {"optimizer": "sgd", "momentum": 0.9, "step_every": 3, "step_unit": "step"},
    {"augment": "mirror", "loss": "balanced"},
    {"balance": "oversample", "loss": "cosine"},
    {"keep_every": 3, "epochs": 7, "loss": "focal"},
    {"keep_every": 5, "epochs": 4},
])  # fmt: skip
def test_recipes_are_followed(changes: dict[str, Any]) -> None:
    spec = models()["ststnet"]
    arrays = with_weights(arrays_for(spec, 9, 3))
    taped = trained(spec, short(spec, **changes), Tape(), arrays)
    assert same(taped, trained(spec, short(spec, **changes), Plain(), arrays))
    alone = train.fit(spec, arrays, short(spec, **changes), 3, "cpu")
    assert taped.epochs == alone.epochs
    # Rates on the device are float32; mirroring draws from the generator that orders are drawn from.
    assert changes.get("augment") or np.allclose(taped.logits, alone.logits, rtol=1e-5, atol=1e-6)


class OnlyDevice(TorchDispatchMode):
    """Refuses an operator that touches a tensor of the host, as a recording of a GPU would."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        touched: list[torch.Tensor] = []
        tree_map_only(torch.Tensor, touched.append, (args, kwargs, out))
        if any(tensor.device.type == "cpu" for tensor in touched):
            raise HostReadError(str(func))
        return out


def one_epoch_on_a_device(spec: ModelSpec, recipe: Recipe) -> None:
    """On PyTorch's device without memory, on which nothing can be read."""
    arrays = arrays_for(spec, 5, 2)
    training = train.Training(spec, arrays, recipe, 0, "meta")
    order = list(train.batches(5, recipe, "meta"))
    with OnlyDevice():
        training.epoch(order)
        training.logits()


@pytest.mark.parametrize("spec", of(NETWORKS, light=True))
def test_a_step_neither_waits_for_the_host_nor_copies_from_it(spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    # Fused optimizers do not know this device. Those of a GPU are PyTorch's, made to be recorded.
    monkeypatch.setattr(train, "_optimizer", lambda recipe, groups: torch.optim.SGD(groups, lr=0.1))
    for loss in LOSSES if spec.name == "ststnet" else [spec.recipe.loss]:  # a loss sees logits, whatever gave them
        one_epoch_on_a_device(spec, short(spec, loss=loss))
    if all({"u", "gray"} & set(one.channels) for one in spec.inputs):
        one_epoch_on_a_device(spec, short(spec, augment="mirror"))


def test_a_loss_that_reads_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def reads(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return LOSSES["cross-entropy"](logits, labels) * float(logits.detach().sum() > -1e9)

    spec = models()["ststnet"]
    monkeypatch.setattr(train, "LOSSES", {**LOSSES, "reads": reads})
    with pytest.raises(HostReadError):
        trained(spec, short(spec, loss="reads"), Tape())


def pack(folds: list[PackedFold], lane: Callable[[], Lane] = Tape) -> dict[int, Outcome | Exception | None]:
    ended = list(train_pack(folds, lambda place, done, of: None, lane))
    assert sorted(end.place for end in ended) == list(range(len(folds)))
    return {end.place: end.result for end in ended}


def mixed() -> list[PackedFold]:
    """Folds of several networks and lengths."""
    shapes = [(6, 2, 4), (9, 3, 3), (7, 2, 6), (5, 4, 5)]
    return [
        PackedFold(models()[name], with_weights(arrays_for(models()[name], clips, test, seed=clips)),
                   short(models()[name], epochs=epochs), seed=clips)
        for name, (clips, test, epochs) in zip(LIGHT, shapes, strict=True)
    ]  # fmt: skip


def test_a_fold_does_not_depend_on_its_pack() -> None:
    folds = mixed()
    whole, reversed_pack = pack(folds), pack(folds[::-1])
    for place, fold in enumerate(folds):
        alone = pack([fold])[0]
        assert same(alone, whole[place])
        assert same(alone, reversed_pack[len(folds) - 1 - place])


def test_one_that_diverges_or_cannot_begin_fails_alone() -> None:
    folds = mixed()
    folds[1] = replace(folds[1], recipe=replace(folds[1].recipe, lr=1e30))
    folds[2] = replace(folds[2], recipe=replace(folds[2].recipe, penalty=1.0))
    ended, usual = pack(folds), pack(mixed())
    for place, why in ((1, "not finite"), (2, "penalty")):
        assert isinstance(ended[place], TrainingFailed)
        assert why in str(ended[place])
    assert same(ended[0], usual[0])
    assert same(ended[3], usual[3])


def lanes_until(full: int) -> Callable[[], Lane]:
    """Lanes of a GPU whose memory holds only so many folds."""
    made: list[Lane] = []

    def lane() -> Lane:
        if len(made) == full:
            raise torch.cuda.OutOfMemoryError("full")
        made.append(Tape())
        return made[-1]

    return lane


def test_what_the_memory_does_not_hold_is_given_back_unbegun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    ended = pack(mixed(), lanes_until(2))
    assert [isinstance(ended[place], Outcome) for place in range(4)] == [True, True, False, False]
    assert [ended[place] for place in (2, 3)] == [None, None]
    assert isinstance(pack(mixed()[:1], lanes_until(0))[0], torch.cuda.OutOfMemoryError)


def test_ends_come_as_they_happen_with_their_part_of_the_time_and_progress_per_fold() -> None:
    folds, told = mixed(), list[tuple[int, int, int]]()
    ends: Iterator[Ended] = train_pack(folds, lambda *how_far: told.append(how_far), Tape)
    first = next(ends)
    assert first.place == 1  # three epochs
    assert max(done for place, done, _ in told if place == 2) < folds[2].recipe.epochs
    rest = list(ends)
    assert all(end.seconds > 0 for end in [first, *rest])
    for place, fold in enumerate(folds):
        assert [done for at, done, of in told if at == place] == list(range(2, fold.recipe.epochs + 1))


@pytest.mark.parametrize(
    ("model", "changes", "why"),
    [("majority", {}, "loop"), ("ststnet", {"epochs": 2}, "few epochs"), ("ststnet", {"epochs": 3}, "")],
)
def test_what_is_not_recorded(model: str, changes: dict[str, Any], why: str) -> None:
    spec = models()[model]
    told = why_not(spec, arrays_for(spec), replace(spec.recipe, **changes))
    assert why in told
    assert bool(told) == bool(why)


def test_clips_that_do_not_lie_on_the_gpu_are_not_recorded() -> None:
    spec = models()["macnn"]
    one = np.zeros(shape_of(spec.inputs[0]), np.float32)
    many = np.broadcast_to(one, (1 + (1 << 30) // one.nbytes, *one.shape))
    arrays = replace(arrays_for(models()["ststnet"]), train=(many,))
    assert "do not lie" in why_not(spec, arrays, spec.recipe)


@pytest.mark.gpu
@pytest.mark.parametrize("spec", of(NETWORKS))
def test_a_gpu_repeats_what_it_does_operator_by_operator(spec: ModelSpec) -> None:
    arrays = with_weights(arrays_for(spec, 9, 3))
    recorded, plain = trained(spec, short(spec), GraphLane(), arrays), train.fit(spec, arrays, short(spec), 3, "cuda")
    assert np.allclose(recorded.logits, plain.logits, rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
def test_a_pack_on_a_gpu_has_the_bytes_of_folds_alone() -> None:
    for _ in range(3):
        whole = pack(mixed(), GraphLane)
        for place, fold in enumerate(mixed()):
            assert same(pack([fold], GraphLane)[0], whole[place])
