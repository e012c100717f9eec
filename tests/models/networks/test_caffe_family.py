"""ATN and Micro-Attention against Caffe's arithmetic, written out here from the published blobs."""

import copy
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_models import train
from mer_models.networks import atn, caffe
from mer_models.reference import WrongCheckpoint, from_reference
from mer_models.spec import FoldArrays, models

# Layer, then the shapes of its blobs. BN is "N N 1", a Scale "N N".
STEM = """
data_bn 1 1 1, data_scale 1 1, conv1 64x1x7x7 64, conv1_bn 64 64 1, conv1_scale 64 64,
layer_64_1_conv1 64x64x3x3, layer_64_1_bn2 64 64 1, layer_64_1_scale2 64 64, layer_64_1_conv2 64x64x3x3,
layer_128_1_bn1 64 64 1, layer_128_1_scale1 64 64, layer_128_1_conv1 128x64x3x3, layer_128_1_bn2 128 128 1,
layer_128_1_scale2 128 128, layer_128_1_conv2 128x128x3x3, layer_128_1_conv_expand 128x64x1x1,
layer_256_1_bn1 128 128 1, layer_256_1_scale1 128 128, layer_256_1_conv1 256x128x3x3, layer_256_1_bn2 256 256 1,
layer_256_1_scale2 256 256, layer_256_1_conv2 256x256x3x3, layer_256_1_conv_expand 256x128x1x1,
layer_512_1_bn1 256 256 1, layer_512_1_scale1 256 256, layer_512_1_conv1 512x256x3x3, layer_512_1_bn2 512 512 1,
layer_512_1_scale2 512 512, layer_512_1_conv2 512x512x3x3, layer_512_1_conv_expand 512x256x1x1,
last_bn 512 512 1, last_scale 512 512"""
BLOBS = {
    "atn": STEM
    + """, lstm1 2048x128 2048 2048x512, lstm2 2048x512 2048 2048x512,
        classifier-Micro_expression 3x1024 3""",
    "micro_attention_caffe": STEM
    + """,
        mask_Concat_64_1x1 64x192x1x1, mask_Concat_64_1x1_one 1x64x1x1,
        mask_Concat_128_1x1 128x384x1x1, mask_Concat_128_1x1_one 1x128x1x1,
        mask_Concat_256_1x1 256x768x1x1, mask_Concat_256_1x1_one 1x256x1x1,
        mask_Concat_512_1x1 512x1536x1x1, mask_Concat_512_1x1_one 1x512x1x1, classifier-Micro_expression 3x512 3""",
}


def shapes(name: str) -> dict[str, tuple[int, ...]]:
    told = {}
    for entry in BLOBS[name].split(","):
        layer, *blobs = entry.split()
        told |= {f"{layer}.{i}": tuple(map(int, blob.split("x"))) for i, blob in enumerate(blobs)}
    return told


def published(name: str) -> dict[str, Tensor]:
    """A model file as Caffe writes it: random weights, sums of statistics with the scale factor 2."""
    torch.manual_seed(0)
    state = {}
    for key, shape in shapes(name).items():
        tensor = torch.randn(shape) / max(1, int(np.prod(shape[1:]))) ** 0.5
        if re.search(r"bn\d?\.[01]$|scale\d?\.0$", key):
            tensor = tensor.abs() + 1
        elif re.search(r"bn\d?\.2$", key):
            tensor = torch.full(shape, 2.0)
        elif "_one" in key:
            tensor = torch.full(shape, 0.00195312 if shape[1] == 512 else 1 / shape[1])
        state[key] = tensor
    return state


def caffe_image_branch(blobs: dict[str, Tensor], x: Tensor) -> Tensor:
    def bn(x: Tensor, layer: str) -> Tensor:
        total, square, factor = (blobs[f"{layer}.{i}"] for i in range(3))
        gain, bias = (blobs[f"{layer.replace('bn', 'scale')}.{i}"] for i in range(2))
        per_channel = (1, -1, 1, 1)
        x = (x - (total / factor).view(per_channel)) / (square / factor + 1e-5).sqrt().view(per_channel)
        return x * gain.view(per_channel) + bias.view(per_channel)

    x = F.conv2d(bn(x, "data_bn"), blobs["conv1.0"], blobs["conv1.1"], stride=2, padding=3)
    x = F.max_pool2d(F.pad(bn(x, "conv1_bn").relu(), (0, 1, 0, 1)), 3, 2)  # one more row and column: size rounds up
    for width in (64, 128, 256, 512):
        stride = 1 if width == 64 else 2
        layer = f"layer_{width}_1_"
        z = x if width == 64 else bn(x, layer + "bn1").relu()
        a = bn(F.conv2d(z, blobs[layer + "conv1.0"], stride=stride, padding=1), layer + "bn2").relu()
        b = F.conv2d(a, blobs[layer + "conv2.0"], padding=1)
        e = x if width == 64 else F.conv2d(z, blobs[layer + "conv_expand.0"], stride=2)
        x = b + e
        if width == 512:
            x = bn(x, "last_bn").relu()
        if f"mask_Concat_{width}_1x1.0" in blobs:
            g = F.conv2d(torch.cat([e, a, b], 1), blobs[f"mask_Concat_{width}_1x1.0"]).mean(1, keepdim=True)
            x = x + x / (1 + (-g).exp())
    x = x.mean((2, 3))
    return x / x.square().sum(1, keepdim=True).sqrt()


def caffe_lstm(blobs: dict[str, Tensor], layer: str, x: Tensor, continued: Tensor) -> Tensor:
    """Step by step, ``x`` is [T, N, D]; stacked gates: input, forget, output, candidate."""
    into, bias, recurrent = (blobs[f"{layer}.{i}"] for i in range(3))
    h = c = torch.zeros(x.shape[1], 512)
    outputs = []
    for step, flag in zip(x, continued, strict=True):
        gates = step @ into.T + bias + (flag[:, None] * h) @ recurrent.T
        i, f, o, g = (gates[:, k * 512 : (k + 1) * 512] for k in range(4))
        c = f.sigmoid() * (flag[:, None] * c) + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        outputs.append(h)
    return torch.stack(outputs)


@pytest.mark.parametrize(
    ("name", "learnable", "frozen"), [("atn", 8_312_837, 0), ("micro_attention_caffe", 5_944_773, 960)]
)
class TestBoth:
    def test_counts(self, name: str, learnable: int, frozen: int) -> None:
        network = models()[name].build(3)
        assert sum(p.numel() for p in network.parameters()) == learnable
        assert sum(p.numel() for p in network.parameters() if not p.requires_grad) == frozen
        statistics = {key: x for key, x in network.state_dict().items() if key not in dict(network.named_parameters())}
        assert sum(x.numel() for x in statistics.values()) == 3_980
        assert sum(p.numel() for p in network.image.parameters()) == (4_897_794 if name == "atn" else 5_943_234)

    def test_published_blobs_are_ours(self, name: str, learnable: int, frozen: int) -> None:
        assert dict(models()[name].reference.shapes(3)) == shapes(name)

    def test_image_branch_is_caffes(self, name: str, learnable: int, frozen: int) -> None:
        network, blobs = from_reference(name, published(name)), published(name)
        x = torch.rand(2, 1, 64, 64) * 255
        torch.testing.assert_close(network.image(x), caffe_image_branch(blobs, x), rtol=1e-4, atol=1e-6)
        if name == "micro_attention_caffe":
            weight, bias = (blobs[f"classifier-Micro_expression.{i}"] for i in range(2))
            torch.testing.assert_close(network(x), caffe_image_branch(blobs, x) @ weight.T + bias, rtol=1e-4, atol=1e-5)

    def test_sizes_of_the_stages(self, name: str, learnable: int, frozen: int) -> None:
        image = models()[name].build(3).eval().image
        seen: dict[str, list[int]] = {}
        for path, module in image.named_modules():
            module.register_forward_hook(
                lambda _m, _i, y, path=path: seen.update({path: list(getattr(y, "shape", []))})
            )
        with torch.inference_mode():
            assert image(torch.rand(1, 1, 224, 224)).shape == (1, 512)
        assert seen["conv1"] == [1, 64, 112, 112]
        assert seen["pool"] == [1, 64, 56, 56]
        sizes = {64: 56, 128: 28, 256: 14, 512: 7}
        assert {c: seen[f"units.{c}.conv2"] for c in sizes} == {c: [1, c, n, n] for c, n in sizes.items()}
        if name == "micro_attention_caffe":
            assert {c: seen[f"gates.{c}.average"] for c in sizes} == {c: [1, 1, n, n] for c, n in sizes.items()}

    def test_biases_learn_twice_as_fast(self, name: str, learnable: int, frozen: int) -> None:
        spec = models()[name]
        network = spec.build(3)
        names = {id(p): key for key, p in network.named_parameters()}
        rates = {
            names[id(p)]: (group["lr"], group["weight_decay"])
            for group in spec.groups(network, spec.recipe)
            for p in group["params"]
        }
        assert rates.keys() == {key for key, p in network.named_parameters() if p.requires_grad}
        assert rates.pop("classifier.bias") == (0.02, 0)
        doubled = {key for key, rate in rates.items() if rate == (0.02, 5e-6)}
        assert all(rates[key] == (0.01, 5e-6) for key in rates.keys() - doubled)
        scale_biases = {f"{path}.bias" for path, m in network.named_modules() if isinstance(m, nn.BatchNorm2d)}
        assert len(scale_biases) == 10
        assert doubled == {"image.conv1.bias"} | scale_biases

    def test_initial_weights(self, name: str, learnable: int, frozen: int) -> None:
        torch.manual_seed(0)
        network = models()[name].build(3)
        assert network.image.conv1.weight.std().item() == pytest.approx((2 / (64 * 49)) ** 0.5, rel=0.05)
        expand = network.image.units["512"].conv_expand.weight
        assert expand.std().item() == pytest.approx((2 / 256) ** 0.5, rel=0.05)
        limit = (3 / network.classifier.in_features) ** 0.5
        assert network.classifier.weight.abs().max() <= limit
        assert network.classifier.weight.std().item() == pytest.approx(limit / 3**0.5, rel=0.05)
        assert network.classifier.bias.tolist() == pytest.approx([0.2] * 3)

    def test_clips_alone_together_and_strided_give_the_same(self, name: str, learnable: int, frozen: int) -> None:
        network = from_reference(name, published(name))
        clips = [torch.rand(3, 1, 64, 64) * 255, torch.randn(3, 64, 128)][: len(models()[name].inputs)]
        with torch.inference_mode():
            whole = network(*clips)
            alone = torch.cat([network(*(x[i : i + 1] for x in clips)) for i in (2, 0)])
            strided = network(*(x.transpose(-1, -2).contiguous().transpose(-1, -2) for x in clips))
        torch.testing.assert_close(alone, whole[[2, 0]], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(strided, whole, rtol=1e-4, atol=1e-5)

    def test_it_trains_with_its_recipe_and_groups(self, name: str, learnable: int, frozen: int) -> None:
        spec = models()[name]
        random = np.random.default_rng(0)
        clips = [random.random((4, 1, 224, 224), np.float32), random.random((4, 64, 128), np.float32)]
        rows = tuple(clips[: len(spec.inputs)])
        recipe = replace(spec.recipe, epochs=1)
        arrays = FoldArrays(rows, np.array([0, 0, 1, 2]), tuple(x[:2] for x in rows), 2, 3)
        assert np.isfinite(train.fit(spec, arrays, recipe, 0, "cpu").logits).all()


def test_running_averages_are_caffes() -> None:
    torch.manual_seed(0)
    layer = caffe.BatchNormScale(2).train()
    sums, squares, factor = torch.zeros(2), torch.zeros(2), 0.0
    for _ in range(5):
        x = torch.randn(3, 2, 4, 4) * 3 + 1
        per_channel = (1, -1, 1, 1)
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
        expected = (x - mean.view(per_channel)) / (variance.view(per_channel) + 1e-5).sqrt()
        torch.testing.assert_close(layer(x), expected)
        sums, squares = 0.999 * sums + mean, 0.999 * squares + x.var((0, 2, 3))
        factor = 0.999 * factor + 1
    torch.testing.assert_close(layer.running_mean, sums / factor)
    torch.testing.assert_close(layer.running_var, squares / factor)
    assert layer.scale_factor.item() == pytest.approx(factor)


def test_lstm_is_caffes_and_the_temporal_mean_takes_every_step() -> None:
    network, blobs = from_reference("atn", published("atn")), published("atn")
    points = torch.randn(2, 64, 128)
    points[0, :50] = 0
    continued = torch.ones(64, 2)
    continued[0] = 0
    hidden = caffe_lstm(blobs, "lstm1", points.transpose(0, 1), continued)
    hidden = caffe_lstm(blobs, "lstm2", hidden, continued)
    time = hidden.mean(0) / hidden.mean(0).norm(dim=1, keepdim=True)
    image = torch.rand(2, 1, 64, 64) * 255
    weight, bias = (blobs[f"classifier-Micro_expression.{i}"] for i in range(2))
    expected = torch.cat([caffe_image_branch(blobs, image), time], 1) @ weight.T + bias
    with torch.inference_mode():
        torch.testing.assert_close(network(image, points), expected, rtol=1e-4, atol=1e-5)


def test_the_second_lstm_bias_is_zero_and_stays_zero() -> None:
    torch.manual_seed(0)
    layer = copy.deepcopy(caffe.Lstm(6, 5)).double().float()
    assert [name for name, _ in layer.named_parameters()] == ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0"]
    assert "bias_hh_l0" not in layer.state_dict()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    x = torch.randn(4, 3, 6)
    before = layer(x)
    before.square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in layer.parameters())
    optimizer.step()
    assert layer.bias_hh_l0.tolist() == [0] * 20
    plain = nn.LSTM(6, 5)  # the same weights in PyTorch's own layer
    plain.load_state_dict({**layer.state_dict(), "bias_hh_l0": torch.zeros(20)})
    torch.testing.assert_close(layer(x), plain(x)[0])
    assert not torch.equal(layer(x), before)


def test_lstm_starts_from_a_normal_distribution_of_a_tenth() -> None:
    torch.manual_seed(0)
    layer = caffe.Lstm(128, 512)
    for weight in (layer.weight_ih_l0, layer.weight_hh_l0):
        assert weight.std().item() == pytest.approx(0.1, rel=0.02)
    assert layer.bias_ih_l0.abs().sum() == 0


def test_empty_steps_come_first() -> None:
    points = torch.zeros(2, 6, 3)
    points[0, 1], points[0, 3], points[0, 4] = torch.eye(3)
    points[0, 5] = torch.tensor([1.0, -1.0, 0.0])  # sums to zero: as good as empty
    points[1] = torch.arange(1, 7)[:, None]
    moved = atn.empty_steps_first(points)
    assert moved[0, :3].abs().sum() == 0
    assert torch.equal(moved[0, 3:], torch.eye(3))
    assert torch.equal(moved[1], points[1])
    assert torch.equal(atn.empty_steps_first(moved), moved)


def test_gradients_pass_the_moved_steps() -> None:
    points = torch.zeros(1, 4, 2)
    points[0, 1] = 1
    points.requires_grad_()
    atn.empty_steps_first(points).square().sum().backward()
    assert points.grad[0].tolist() == [[0, 0], [2, 2], [0, 0], [0, 0]]


def test_averages_that_are_none_are_refused() -> None:
    state = published("micro_attention_caffe")
    state["mask_Concat_128_1x1_one.0"][0, 5] = 0.5
    with pytest.raises(WrongCheckpoint, match=r"mask_Concat_128_1x1_one\.0"):
        from_reference("micro_attention_caffe", state)


def test_only_the_averages_of_the_gates_get_no_gradient() -> None:
    spec = models()["micro_attention_caffe"]
    network = spec.build(3).train()
    network(torch.rand(2, 1, 64, 64)).square().sum().backward()
    without = {key for key, p in network.named_parameters() if p.grad is None}
    assert without == {f"image.gates.{width}.average.weight" for width in (64, 128, 256, 512)}
    assert without == {key for key, _ in network.named_parameters() if any(part in key for part in spec.dead)}
