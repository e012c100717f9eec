"""AMAN, its feature extractor and its magnifier, against their equations and published keys."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mer_models.networks.aman import AMAN
from mer_models.networks.magnifier import Magnifier
from mer_models.networks.resnet18 import ResNet18
from mer_models.reference import WrongCheckpoint, from_reference
from mer_models.spec import extractors, models


def batch_norm(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    names = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{key}": (channels,) for key in names} | {f"{name}.num_batches_tracked": ()}


def basic_block(name: str, inputs: int, channels: int) -> dict[str, tuple[int, ...]]:
    shapes = {f"{name}.conv1.weight": (channels, inputs, 3, 3), f"{name}.conv2.weight": (channels, channels, 3, 3)}
    shapes |= batch_norm(f"{name}.bn1", channels) | batch_norm(f"{name}.bn2", channels)
    if inputs != channels:
        shapes |= {f"{name}.downsample.0.weight": (channels, inputs, 1, 1)}
        shapes |= batch_norm(f"{name}.downsample.1", channels)
    return shapes


def resnet_layer(number: int, inputs: int, channels: int) -> dict[str, tuple[int, ...]]:
    name = f"layer{number}"
    return basic_block(f"{name}.0", inputs, channels) | basic_block(f"{name}.1", channels, channels)


AMAN_KEYS = resnet_layer(4, 256, 512) | {
    "alpha.0.weight": (1, 512),
    "alpha.0.bias": (1,),
    "beta.0.weight": (1, 512),
    "beta.0.bias": (1,),
    "pred_fc.weight": (5, 512),
    "pred_fc.bias": (5,),
}
RESNET_KEYS = (
    {"conv1.weight": (64, 3, 7, 7)}
    | batch_norm("bn1", 64)
    | resnet_layer(1, 64, 64)
    | resnet_layer(2, 64, 128)
    | resnet_layer(3, 128, 256)
    | resnet_layer(4, 256, 512)
)
# Outputs, inputs and kernel of every convolution; a star means two such convolutions in a residual block.
MAGNIFIER_KEYS = """
encoder: conv1 16 3 7, conv2 32 16 3, resblks.0* 32 32 3, resblks.1* 32 32 3, resblks.2* 32 32 3, conv1_text 32 32 3,
resblks_text.0* 32 32 3, resblks_text.1* 32 32 3, conv1_shape 32 32 3, resblks_shape.0* 32 32 3,
resblks_shape.1* 32 32 3;
manipulator: convblks.0.conv1 32 32 7, convblks_after.0.conv1 32 32 3, resblks.0* 32 32 3;
decoder: conv1_text 32 32 3, resblks.0* 64 64 3, resblks.1* 64 64 3, resblks.2* 64 64 3, resblks.3* 64 64 3,
resblks.4* 64 64 3, resblks.5* 64 64 3, resblks.6* 64 64 3, resblks.7* 64 64 3, resblks.8* 64 64 3, conv1 32 64 3,
conv2 3 32 7"""


def magnifier_keys() -> dict[str, tuple[int, ...]]:
    shapes = {}
    for part in MAGNIFIER_KEYS.split(";"):
        name, layers = part.split(":")
        for layer in layers.split(","):
            key, outputs, inputs, kernel = layer.split()
            shape = (int(outputs), int(inputs), int(kernel), int(kernel))
            keys = [key[:-1] + ".conv1", key[:-1] + ".conv2"] if key.endswith("*") else [key]
            shapes |= {f"{name.strip()}.{one}.weight": shape for one in keys}
    return shapes


def draw(keys: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """A published checkpoint with random weights and statistics."""
    torch.manual_seed(0)
    state = {}
    for key, shape in keys.items():
        scale = max(1, int(np.prod(shape[1:]))) ** -0.5
        state[key] = torch.rand(shape) + 0.5 if "bn" in key or "downsample.1" in key else torch.randn(shape) * scale
    return state


@pytest.mark.parametrize(
    ("name", "keys", "count"),
    [
        ("aman", AMAN_KEYS, 8_397_319),
        ("aman_resnet18", RESNET_KEYS, 11_176_512),
        ("aman_magnifier", magnifier_keys(), 928_144),
    ],
)
def test_published_checkpoints_load_strictly(name: str, keys: dict[str, tuple[int, ...]], count: int) -> None:
    state = draw(keys)
    network = from_reference(name, {f"module.{key}": tensor for key, tensor in state.items()})
    assert sum(p.numel() for p in network.parameters()) == count
    loaded = network.state_dict()
    assert loaded.keys() == keys.keys()
    assert all(torch.equal(loaded[key], tensor.to(loaded[key].dtype)) for key, tensor in state.items())
    del state[next(iter(keys))]
    with pytest.raises(WrongCheckpoint, match="missing"):
        from_reference(name, state)


def test_magnifier_has_43_tensors() -> None:
    assert len(magnifier_keys()) == 43


def test_aman_has_8396293_parameters_with_three_classes() -> None:
    assert sum(p.numel() for p in models()["aman"].build(3).parameters()) == 8_396_293


@pytest.fixture(scope="module")
def aman() -> AMAN:
    return from_reference("aman", draw(AMAN_KEYS))


def batch_normed(state: dict[str, Tensor], x: Tensor, name: str) -> Tensor:
    return F.batch_norm(x, *(state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")))


def blocks(state: dict[str, Tensor], x: Tensor, name: str) -> Tensor:
    """The two basic blocks of a layer in evaluation mode, from the published tensors."""

    def convolved(x: Tensor, conv: str, bn: str, stride: int = 1) -> Tensor:
        weight = state[f"{conv}.weight"]
        return batch_normed(state, F.conv2d(x, weight, stride=stride, padding=weight.shape[2] // 2), bn)

    for block in (f"{name}.0", f"{name}.1"):
        projected = f"{block}.downsample.0.weight" in state
        y = convolved(x, f"{block}.conv1", f"{block}.bn1", 2 if projected else 1).relu()
        y = convolved(y, f"{block}.conv2", f"{block}.bn2")
        shortcut = convolved(x, f"{block}.downsample.0", f"{block}.downsample.1", 2) if projected else x
        x = (y + shortcut).relu()
    return x


def test_attention_is_a_weighted_mean_and_no_softmax(aman: AMAN) -> None:
    state = draw(AMAN_KEYS)
    x = torch.rand(2, 3, 2, 256, 14, 14)
    with torch.inference_mode():
        got = aman(x)
    for clip in range(2):
        per_frame = []
        for j in range(3):
            v = blocks(state, x[clip, j], "layer4").mean((2, 3))  # [I, 512]
            a = 1 / (1 + (-(v @ state["alpha.0.weight"].T + state["alpha.0.bias"])).exp())
            per_frame.append((a * v).sum(0) / a.sum())
        u = torch.stack(per_frame)
        b = 1 / (1 + (-(u @ state["beta.0.weight"].T + state["beta.0.bias"])).exp())
        z = (b * u).sum(0) / b.sum()
        expected = state["pred_fc.weight"] @ z + state["pred_fc.bias"]
        torch.testing.assert_close(got[clip], expected, rtol=1e-4, atol=1e-4)


def test_any_number_of_frames_and_factors_in_any_order(aman: AMAN) -> None:
    x = torch.rand(2, 3, 4, 256, 14, 14)
    with torch.inference_mode():
        whole = aman(x)
        assert whole.shape == (2, 5)
        torch.testing.assert_close(aman(x[:, [2, 0, 1]][:, :, [3, 1, 0, 2]]), whole, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(aman(x[1:]), whole[1:], rtol=1e-4, atol=1e-4)
        strided = x.transpose(-1, -2).contiguous().transpose(-1, -2)
        torch.testing.assert_close(aman(strided), whole, rtol=1e-4, atol=1e-4)
        assert aman(x[:, :1, :1]).shape == (2, 5)


def test_evaluating_slices_together_equals_one_by_one(aman: AMAN) -> None:
    x = torch.rand(2, 2, 2, 256, 14, 14)
    with torch.inference_mode():
        together = aman(x)
        one_by_one = copy.deepcopy(aman)
        one_by_one.fused = one_by_one.plain
        one_by_one.training = True  # takes the path of training, with the layers still in evaluation mode
        torch.testing.assert_close(one_by_one(x), together, rtol=1e-4, atol=1e-4)


def test_in_training_every_slice_is_a_batch_of_its_own(aman: AMAN) -> None:
    torch.manual_seed(0)
    x = torch.rand(3, 2, 2, 256, 14, 14)
    x[:, 1] *= 5  # statistics over all slices would differ from those of each
    network = copy.deepcopy(aman).train()
    got = network(x)
    alone = copy.deepcopy(aman).train()
    vectors = torch.stack([alone.layer4(x[:, j, i]).mean((2, 3)) for j in range(2) for i in range(2)], 1)
    vectors = vectors.view(3, 2, 2, 512)
    a = alone.alpha(vectors)
    u = (a * vectors).sum(2) / a.sum(2)
    b = alone.beta(u)
    torch.testing.assert_close(got, alone.pred_fc((b * u).sum(1) / b.sum(1)), rtol=1e-4, atol=1e-4)
    updates = network.layer4[0].bn1.num_batches_tracked - aman.layer4[0].bn1.num_batches_tracked
    assert updates == 4
    torch.testing.assert_close(network.layer4[1].bn2.running_var, alone.layer4[1].bn2.running_var)


def test_a_gradient_reaches_everything_in_aman(aman: AMAN) -> None:
    network = copy.deepcopy(aman).train()
    network(torch.rand(2, 2, 2, 256, 14, 14)).square().sum().backward()
    assert [key for key, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum()] == []


def test_the_extractor_gives_layer_3_and_leaves_layer_4_idle() -> None:
    network: ResNet18 = from_reference("aman_resnet18", draw(RESNET_KEYS)).eval()
    x = torch.rand(2, 3, 224, 224)
    maps = network(x)
    assert maps.shape == (2, 256, 14, 14)
    state = draw(RESNET_KEYS)
    y = batch_normed(state, F.conv2d(x, state["conv1.weight"], stride=2, padding=3), "bn1").relu()
    y = F.max_pool2d(y, 3, 2, 1)
    for name in ("layer1", "layer2", "layer3"):
        y = blocks(state, y, name)
    torch.testing.assert_close(maps, y, rtol=1e-4, atol=1e-4)
    maps.sum().backward()
    without = {key for key, p in network.named_parameters() if p.grad is None}
    assert without == {key for key, _ in network.named_parameters() if key.startswith("layer4.")}
    assert sum(dict(network.named_parameters())[key].numel() for key in without) == 8_393_728
    with torch.inference_mode():
        torch.testing.assert_close(network(x[1:]), maps[1:], rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def magnifier() -> Magnifier:
    return extractors()["aman_magnifier"].build(0).eval()


@pytest.fixture(scope="module")
def frames() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    a, b = torch.rand(2, 2, 3, 32, 48) * 2 - 1
    return a, b


def test_sizes_of_texture_and_shape(magnifier: Magnifier, frames: tuple[Tensor, Tensor]) -> None:
    for texture, shape in magnifier.representations(*frames):
        assert texture.shape == (2, 32, 8, 12)
        assert shape.shape == (2, 32, 16, 24)


def test_factor_one_decodes_the_later_frame(magnifier: Magnifier, frames: tuple[Tensor, Tensor]) -> None:
    _, later = magnifier.representations(*frames)
    decoded = magnifier.decoder(*later).clamp(-1, 1)
    torch.testing.assert_close(magnifier(*frames, torch.ones(2, 1, 1, 1)), decoded)
    torch.testing.assert_close(magnifier(frames[1], frames[1], torch.full((2, 1, 1, 1), 9.0)), decoded)


def test_each_pair_has_its_factor(magnifier: Magnifier, frames: tuple[Tensor, Tensor]) -> None:
    factors = torch.tensor([1.0, 12.0]).view(2, 1, 1, 1)
    both = magnifier(*frames, factors)
    assert both.shape == frames[0].shape
    for i in range(2):
        torch.testing.assert_close(both[i : i + 1], magnifier(*(x[i : i + 1] for x in (*frames, factors))))
    assert not torch.allclose(both[1], magnifier(*frames, torch.ones(2, 1, 1, 1))[1])


def test_images_stay_in_range(frames: tuple[Tensor, Tensor]) -> None:
    loud = from_reference("aman_magnifier", {key: 5 * tensor for key, tensor in draw(magnifier_keys()).items()})
    image = loud(*frames, torch.full((2, 1, 1, 1), 2.0))
    assert (image.min(), image.max()) == (-1, 1)


def test_magnifier_is_the_published_graph(frames: tuple[Tensor, Tensor]) -> None:
    state = draw(magnifier_keys())

    def conv(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        pad = weight.shape[2] // 2
        return F.conv2d(F.pad(x, (pad,) * 4, mode="reflect"), weight, stride=stride)

    def residuals(x: Tensor, name: str, count: int) -> Tensor:
        for i in range(count):
            x = x + conv(conv(x, f"{name}.{i}.conv1").relu(), f"{name}.{i}.conv2")
        return x

    def encode(x: Tensor) -> tuple[Tensor, Tensor]:
        x = conv(conv(x, "encoder.conv1").relu(), "encoder.conv2", 2).relu()
        x = residuals(x, "encoder.resblks", 3)
        texture = residuals(conv(x, "encoder.conv1_text", 2).relu(), "encoder.resblks_text", 2)
        return texture, residuals(conv(x, "encoder.conv1_shape").relu(), "encoder.resblks_shape", 2)

    (_, shape_a), (texture, shape_b) = encode(frames[0]), encode(frames[1])
    d = conv(shape_b - shape_a, "manipulator.convblks.0.conv1").relu() * 0.5  # the factor is 1.5
    shape = shape_b + residuals(conv(d, "manipulator.convblks_after.0.conv1"), "manipulator.resblks", 1)
    texture = conv(texture.repeat_interleave(2, 2).repeat_interleave(2, 3), "decoder.conv1_text").relu()
    x = residuals(torch.cat([texture, shape], 1), "decoder.resblks", 9)
    x = conv(x.repeat_interleave(2, 2).repeat_interleave(2, 3), "decoder.conv1").relu()
    expected = conv(x, "decoder.conv2")
    with torch.inference_mode():
        got = from_reference("aman_magnifier", state)(*frames, torch.full((2, 1, 1, 1), 1.5))
    assert (expected.abs() < 1).float().mean() > 0.2  # enough of the image is within the range to compare
    torch.testing.assert_close(got, expected.clamp(-1, 1), rtol=1e-3, atol=1e-4)
