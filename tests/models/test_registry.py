"""What every registered model promises; new models are tested by being registered."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mer_models import train
from mer_models.batches import Input
from mer_models.complexity import complexity
from mer_models.spec import FoldArrays, ModelSpec, Outcome, Recipe, TrainingFailed, models

NETWORKS = [spec for spec in models().values() if spec.build is not None]
PARAMETERS = {"ststnet": 1_683, "off_apexnet": 2_664_475}


def arrays_for(spec: ModelSpec, clips: int = 12, test: int = 5, classes: int = 3, seed: int = 0) -> FoldArrays:
    random = np.random.default_rng(seed)

    def draw(count: int) -> tuple[np.ndarray, ...]:
        return tuple(random.integers(0, 256, (count, *one.shape), np.uint8) for one in spec.inputs)

    return FoldArrays(draw(clips), np.arange(clips) % classes, draw(test), test, classes)


def short(spec: ModelSpec, **changes: object) -> Recipe:
    return replace(spec.recipe, **{"epochs": 3, "keep_every": 2, **changes})


@pytest.mark.parametrize("spec", models().values(), ids=lambda spec: spec.name)
class TestEveryModel:
    def test_logits_have_a_row_per_kept_epoch_and_clip(self, spec: ModelSpec) -> None:
        outcome = spec.fit(spec, arrays_for(spec), short(spec), 0, "cpu")
        assert outcome.epochs == (2, 3)
        assert outcome.logits.shape == (2, 5, 3)
        assert outcome.logits.dtype == np.float32

    def test_same_seed_same_bytes_whatever_ran_before(self, spec: ModelSpec) -> None:
        def once() -> Outcome:
            return spec.fit(spec, arrays_for(spec), short(spec), 7, "cpu")

        first = once()
        spec.fit(spec, arrays_for(spec, seed=1), short(spec), 8, "cpu")
        assert first.logits.tobytes() == once().logits.tobytes()

    def test_a_class_that_training_lacks_is_allowed(self, spec: ModelSpec) -> None:
        arrays = arrays_for(spec)
        without = FoldArrays(arrays.train, arrays.labels % 2, arrays.test, arrays.test_clips, arrays.classes)
        assert spec.fit(spec, without, short(spec), 0, "cpu").logits.shape[-1] == 3

    def test_no_training_clips_is_a_failure_not_a_bug(self, spec: ModelSpec) -> None:
        arrays = arrays_for(spec, clips=0)
        with pytest.raises(TrainingFailed, match="no training clips"):
            spec.fit(spec, arrays, short(spec), 0, "cpu")


@pytest.mark.parametrize("spec", NETWORKS, ids=lambda spec: spec.name)
class TestEveryNetwork:
    def test_parameter_count(self, spec: ModelSpec) -> None:
        assert complexity(spec, 3).params == PARAMETERS[spec.name]

    def test_test_clips_do_not_influence_each_other(self, spec: ModelSpec) -> None:
        arrays = arrays_for(spec)
        alone = FoldArrays(arrays.train, arrays.labels, tuple(x[:1] for x in arrays.test), 1, arrays.classes)
        both = [spec.fit(spec, one, short(spec), 0, "cpu").logits[:, :1] for one in (arrays, alone)]
        np.testing.assert_allclose(*both, rtol=1e-4, atol=1e-4)

    def test_eval_output_does_not_depend_on_the_batch(self, spec: ModelSpec) -> None:
        network = spec.build(3).eval()
        clips = [torch.rand(6, *one.shape) * 255 for one in spec.inputs]
        whole = network(*clips)
        parts = torch.cat([network(*(x[i : i + 1] for x in clips)) for i in (2, 0)])
        torch.testing.assert_close(parts, whole[[2, 0]], rtol=1e-4, atol=1e-4)

    def test_a_gradient_reaches_every_parameter(self, spec: ModelSpec) -> None:
        torch.manual_seed(0)
        network = spec.build(3).train()
        network(*(torch.rand(8, *one.shape) for one in spec.inputs)).square().sum().backward()
        assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum()] == []

    def test_memory_format_does_not_change_the_result(self, spec: ModelSpec) -> None:
        network = spec.build(3).eval()
        clips = [torch.rand(2, *one.shape) for one in spec.inputs]
        strided = [x.contiguous(memory_format=torch.channels_last) for x in clips]
        torch.testing.assert_close(network(*strided), network(*clips))

    def test_one_batch_can_be_learned(self, spec: ModelSpec) -> None:
        arrays = arrays_for(spec)
        on_itself = FoldArrays(arrays.train, arrays.labels, arrays.train, len(arrays.labels), arrays.classes)
        recipe = replace(spec.recipe, epochs=150, batch_size=12, lr=2e-3, keep_every=150)
        predicted = spec.fit(spec, on_itself, recipe, 0, "cpu").logits[-1].argmax(-1)
        assert (predicted == arrays.labels).mean() >= 0.9

    def test_state_survives_a_round_trip(self, spec: ModelSpec) -> None:
        one, other = spec.build(3).eval(), spec.build(3).eval()
        other.load_state_dict(one.state_dict())
        clips = [torch.rand(2, *one_input.shape) for one_input in spec.inputs]
        assert torch.equal(one(*clips), other(*clips))

    def test_logits_that_are_not_finite_are_a_failure(self, spec: ModelSpec) -> None:
        with pytest.raises(TrainingFailed, match="not finite after epoch"):
            spec.fit(spec, arrays_for(spec), replace(spec.recipe, epochs=6, lr=1e30, keep_every=1), 0, "cpu")

    def test_an_input_of_another_shape_is_refused(self, spec: ModelSpec) -> None:
        wrong = np.zeros((2, 3, 5, 5, 5, 5, 5), np.uint8)
        with pytest.raises(ValueError, match="the network takes"):
            Input(spec.inputs[0], wrong, "cpu")


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
    assert list(train.batches(436, recipe, "cpu")) == [slice(0, 256), slice(256, 512)]


def test_shuffled_batches_hold_every_clip_once() -> None:
    recipe = Recipe(epochs=1, batch_size=5, order="shuffled")
    seen = torch.cat(list(train.batches(12, recipe, "cpu")))
    assert sorted(seen.tolist()) == list(range(12))


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
