"""What every registered model promises; new models are tested by being registered."""

import importlib
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import mer_models
from mer_data.features import FEATURES
from mer_models import networks, train
from mer_models.batches import Input
from mer_models.complexity import complexity
from mer_models.registry import EXTRACTORS, MODELS
from mer_models.spec import (
    REGISTERED_BY,
    RESIDENT_BYTES,
    FoldArrays,
    InputSpec,
    ModelSpec,
    Outcome,
    Recipe,
    TrainingFailed,
    extractors,
    models,
)
from orchestrator.precompute import deep_features as _deep  # noqa: F401 - registers the features that networks make

NETWORKS = [spec for spec in models().values() if spec.build is not None]
# Networks whose training takes this file minutes; `make test` trains the others.
HEAVY = {"aman", "atn", "htnet", "macnn", "micro_attention", "micro_attention_caffe"}
PARAMETERS = {
    "aman": 8_396_293,
    "atn": 8_312_837,
    "dual_atme": 4_833_193,
    "dual_inception": 6_449_867,
    "htnet": 139_582_982,
    "htnet_fixed": 148_867,
    "macnn": 70_573_923,
    "micro_attention": 53_384_195,
    "micro_attention_caffe": 5_944_773,
    "off_apexnet": 2_664_475,
    "off_tanet": 59_403,
    "off_tanet_bot": 48_625,
    "off_tanet_cbam": 56_967,
    "off_tanet_res": 50_353,
    "off_tanet_sa": 57_589,
    "rcn_a": 55_747,
    "rcn_c": 131_075,
    "rcn_f": 52_675,
    "rcn_p": 131_075,
    "rcn_s": 92_803,
    "rcn_w": 52_675,
    "sssnet": 1_349_251,
    "ststnet": 1_683,
    "ststnet_table": 162_051,
}


def test_the_list_of_models_is_what_their_modules_register() -> None:
    for folder in (mer_models, networks):
        for module in pkgutil.iter_modules(folder.__path__, f"{folder.__name__}."):
            importlib.import_module(module.name)
    assert set(models()) == set(MODELS), "a model is not on the list, so nobody finds it"
    assert set(extractors()) == set(EXTRACTORS)
    assert {name: REGISTERED_BY[name] for name in models()} == MODELS
    assert dict(extractors()).keys() == EXTRACTORS.keys()


def test_a_name_of_ours_is_taken_before_its_network_is_imported() -> None:
    code = (
        "import dataclasses, sys\n"
        "from mer_models.spec import ModelSpec, models, register\n"
        "spec = models()['majority']\n"
        "try: register(dataclasses.replace(spec, name='ststnet'))\n"
        "except ValueError as error: print(error, 'torch' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(mer_models.__path__[0]).parent)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "model ststnet is registered twice False\n"


def of(specs: Iterable[ModelSpec], *, light: bool = False) -> list[Any]:
    """Test parameters, in which heavy networks are slow; `light` tests train nothing, so none is."""
    return [
        pytest.param(spec, id=spec.name, marks=[pytest.mark.slow] if spec.name in HEAVY and not light else [])
        for spec in specs
    ]


def shape_of(one: InputSpec) -> tuple[int, ...]:
    """The shape of a clip, with free axes made short."""
    return (*(2 for _ in range(one.free_axes)), *one.shape[one.free_axes :])


def draw(spec: ModelSpec, clips: int, random: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Random clips of a model's inputs, as the store would hold them."""
    arrays = []
    for one in spec.inputs:
        shape, dtype = (clips, *shape_of(one)), FEATURES[one.feature].dtype
        values = random.integers(0, 256, shape) if dtype == "uint8" else random.normal(size=shape)
        arrays.append(values.astype(dtype))
    return tuple(arrays)


def tensors(spec: ModelSpec, clips: int, seed: int = 0) -> list[Tensor]:
    """The same as a network sees them."""
    arrays = draw(spec, clips, np.random.default_rng(seed))
    return [Input(one, x, "cpu").batch(slice(None)) for one, x in zip(spec.inputs, arrays, strict=True)]


def arrays_for(spec: ModelSpec, clips: int = 6, test: int = 3, classes: int = 3, seed: int = 0) -> FoldArrays:
    random = np.random.default_rng(seed)
    train, labels = draw(spec, clips, random), np.arange(clips) % classes
    return FoldArrays(train, labels, draw(spec, test, random), test, classes)


def short(spec: ModelSpec, **changes: object) -> Recipe:
    return replace(spec.recipe, **{"epochs": 3, "keep_every": 2, **changes})


@cache
def trained(name: str) -> Outcome:
    """A model trained once for the tests that look at what comes out."""
    spec = models()[name]
    return spec.fit(spec, arrays_for(spec), short(spec), 7, "cpu")


@pytest.mark.parametrize("spec", of(models().values()))
class TestEveryModel:
    def test_logits_have_a_row_per_kept_epoch_and_clip(self, spec: ModelSpec) -> None:
        outcome = trained(spec.name)
        assert outcome.epochs == (2, 3)
        assert outcome.logits.shape == (2, 3, 3)
        assert outcome.logits.dtype == np.float32

    def test_same_seed_same_bytes_whatever_ran_before(self, spec: ModelSpec) -> None:
        first = trained(spec.name)
        spec.fit(spec, arrays_for(spec, seed=1), short(spec, epochs=1), 8, "cpu")
        again = spec.fit(spec, arrays_for(spec), short(spec), 7, "cpu")
        assert first.logits.tobytes() == again.logits.tobytes()

    def test_a_class_that_training_lacks_is_allowed(self, spec: ModelSpec) -> None:
        arrays = arrays_for(spec)
        without = FoldArrays(arrays.train, arrays.labels % 2, arrays.test, arrays.test_clips, arrays.classes)
        assert spec.fit(spec, without, short(spec, epochs=1), 0, "cpu").logits.shape[-1] == 3

    def test_no_training_clips_is_a_failure_not_a_bug(self, spec: ModelSpec) -> None:
        arrays = arrays_for(spec, clips=0)
        with pytest.raises(TrainingFailed, match="no training clips"):
            spec.fit(spec, arrays, short(spec), 0, "cpu")


@pytest.mark.parametrize("spec", of(NETWORKS, light=True))
class TestEveryNetwork:
    def test_parameter_count(self, spec: ModelSpec) -> None:
        assert complexity(spec, 3).params == PARAMETERS[spec.name]

    def test_an_input_of_another_shape_is_refused(self, spec: ModelSpec) -> None:
        wrong = np.zeros((2, 3, 5, 5, 5, 5, 5), np.uint8)
        with pytest.raises(ValueError, match="the network takes"):
            Input(spec.inputs[0], wrong, "cpu")

    def test_inputs_are_features_of_this_project(self, spec: ModelSpec) -> None:
        for one in (*spec.inputs, *(other for inputs in spec.instead for other in inputs)):
            feature = FEATURES[one.feature]
            assert set(one.channels) <= set(feature.channels)
            assert one.size[one.free_axes :] == feature.size[one.free_axes :]


@pytest.mark.parametrize("spec", of(NETWORKS))
class TestEveryTrainedNetwork:
    def test_test_clips_do_not_influence_each_other(self, spec: ModelSpec) -> None:
        arrays = arrays_for(spec)
        alone = FoldArrays(arrays.train, arrays.labels, tuple(x[:1] for x in arrays.test), 1, arrays.classes)
        both = [one.logits[:, :1] for one in (trained(spec.name), spec.fit(spec, alone, short(spec), 7, "cpu"))]
        np.testing.assert_allclose(*both, rtol=1e-4, atol=1e-4)

    def test_eval_output_does_not_depend_on_the_batch(self, spec: ModelSpec) -> None:
        network = spec.build(3).eval()
        clips = tensors(spec, 6)
        with torch.inference_mode():
            whole = network(*clips)
            parts = torch.cat([network(*(x[i : i + 1] for x in clips)) for i in (2, 0)])
        assert (whole.shape, whole.dtype) == ((6, 3), torch.float32)
        torch.testing.assert_close(parts, whole[[2, 0]], rtol=1e-4, atol=1e-4)

    def test_a_gradient_reaches_every_parameter_that_is_not_declared_dead(self, spec: ModelSpec) -> None:
        torch.manual_seed(0)
        network = spec.build(3).train()
        network(*tensors(spec, 8)).square().sum().backward()
        without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum()]
        dead = [name for name, _ in network.named_parameters() if any(part in name for part in spec.dead)]
        assert without == dead

    def test_memory_layout_does_not_change_the_result(self, spec: ModelSpec) -> None:
        network = spec.build(3).eval()
        clips = tensors(spec, 2)
        strided = [x.transpose(-1, -2).contiguous().transpose(-1, -2) for x in clips]
        torch.testing.assert_close(network(*strided), network(*clips), rtol=1e-4, atol=1e-4)

    def test_one_batch_can_be_learned(self, spec: ModelSpec) -> None:
        clips, epochs = (6, 60) if spec.name == "rcn_p" else (3, 45)  # it is slow to learn so few by heart
        arrays = arrays_for(spec, clips=clips)
        on_itself = FoldArrays(arrays.train, arrays.labels, arrays.train, len(arrays.labels), arrays.classes)
        recipe = Recipe(epochs=epochs, batch_size=clips, lr=5e-5 if spec.name == "htnet" else 1e-3, keep_every=epochs)
        predicted = spec.fit(spec, on_itself, recipe, 0, "cpu").logits[-1].argmax(-1)
        assert (predicted == arrays.labels).mean() >= 0.9

    def test_state_survives_a_round_trip(self, spec: ModelSpec) -> None:
        one, other = spec.build(3).eval(), spec.build(3).eval()
        other.load_state_dict(one.state_dict())
        clips = tensors(spec, 2)
        assert torch.equal(one(*clips), other(*clips))

    def test_logits_that_are_not_finite_are_a_failure(self, spec: ModelSpec) -> None:
        with pytest.raises(TrainingFailed, match="not finite after epoch"):
            spec.fit(spec, arrays_for(spec), short(spec, lr=1e30, epochs=6, keep_every=1), 0, "cpu")


@pytest.mark.parametrize("spec", of(NETWORKS, light=True))
def test_a_gpu_of_8_gb_holds_the_folds_that_share_it(spec: ModelSpec) -> None:
    batch = 4
    with torch.device("meta"):
        network = spec.build(3).train()
        clips = [torch.empty(batch, *one.shape) for one in spec.inputs]
    network.to("meta")
    weights = {id(parameter.untyped_storage()) for parameter in network.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[id(storage)] = storage  # PyTorch has one such object per memory, as long as somebody holds it
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = network(*clips)
    assert logits.requires_grad
    activations = sum(storage.nbytes() for key, storage in kept.items() if key not in weights)
    copies = 4 if spec.recipe.optimizer == "adam" else 3
    parameters = 4 * copies * sum(parameter.numel() for parameter in network.parameters())
    resident = 4 * 436 * sum(x[0].numel() for x in clips)
    needed = 3 * 2**27 + parameters + 2 * activations / batch * spec.recipe.batch_size
    needed += resident if resident <= RESIDENT_BYTES else 0
    assert needed < spec.gpu_share * 2**33


def test_off_apexnet_complexity_is_the_published_row() -> None:
    counted = complexity(models()["off_apexnet"], 3)
    assert (counted.flops, counted.mem_rw_bytes) == (3_866_688, 10_853_752)


def test_ststnet_is_three_streams_side_by_side() -> None:
    """The one convolution of 16 filters equals the three convolutions of the port, each with its normalisation."""
    torch.manual_seed(0)
    network = models()["ststnet"].build(3).train()
    network.dropout.p = 0.0
    x = torch.rand(4, 3, 28, 28) * 255
    streams = []
    for start, stop in ((0, 3), (3, 8), (8, 16)):
        convolved = torch.nn.functional.conv2d(
            x, network.conv.weight[start:stop], network.conv.bias[start:stop], padding=2
        ).relu()
        normal = torch.nn.functional.batch_norm(convolved, None, None, training=True)
        streams.append(torch.nn.functional.max_pool2d(normal, 3, 3, 1))
    pooled = torch.nn.functional.avg_pool2d(torch.cat(streams, 1), 2)
    torch.testing.assert_close(network(x), network.fc(pooled.flatten(1)))


def test_ststnet_batches_are_sorted_by_class_and_never_shuffled() -> None:
    recipe = models()["ststnet"].recipe
    assert recipe.order == "by-class"
    assert list(train.batches(436, recipe, "cpu")) == [slice(0, 256), slice(256, 436)]


def test_shuffled_batches_hold_every_clip_once() -> None:
    recipe = Recipe(epochs=1, batch_size=5, order="shuffled")
    seen = torch.cat(list(train.batches(12, recipe, "cpu")))
    assert sorted(seen.tolist()) == list(range(12))


@pytest.mark.parametrize("order", ["shuffled", "by-class"])
def test_a_last_batch_of_one_clip_joins_the_one_before(order: str) -> None:
    clips = torch.arange(129)
    sizes = [len(clips[batch]) for batch in train.batches(129, Recipe(epochs=1, batch_size=64, order=order), "cpu")]
    assert sizes == [64, 65]
    assert [len(clips[:1][b]) for b in train.batches(1, Recipe(epochs=1, batch_size=64, order=order), "cpu")] == [1]


def test_kept_epochs_always_include_the_last() -> None:
    assert Recipe(epochs=7, keep_every=3).kept_epochs() == [3, 6, 7]
    assert Recipe(epochs=2, keep_every=9).kept_epochs() == [2]


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"epochs": 1, "lr": 0.0}, {"epochs": 1, "batch_size": 0}])
def test_a_recipe_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Recipe(**wrong)


def test_chance_draws_from_the_class_frequencies_anew_in_every_epoch() -> None:
    spec = models()["chance"]
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    outcome = spec.fit(spec, FoldArrays((), labels, (), 400, 3), spec.recipe, 0, "cpu")
    drawn = outcome.logits.argmax(-1)
    np.testing.assert_allclose(np.bincount(drawn.ravel()) / drawn.size, [0.6, 0.3, 0.1], atol=0.01)
    assert len({row.tobytes() for row in drawn}) == len(drawn)


def test_majority_answers_the_most_frequent_class() -> None:
    spec = models()["majority"]
    outcome = spec.fit(spec, FoldArrays((), np.array([2, 1, 2]), (), 4, 3), spec.recipe, 0, "cpu")
    assert outcome.logits[-1].argmax(-1).tolist() == [2, 2, 2, 2]
