"""The RCN family against its equations, sizes and published keys."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_models.networks.rcn_blocks import Dense, Embedding, Recurrent, attention
from mer_models.reference import from_reference
from mer_models.spec import models

# Per convolution: outputs, inputs, kernel; the number after the colon is the place of its batch normalisation.
STEM = "conv1:1 64 3 5"
WIDE = "stream1:2 32 3 3, stream2:2 16 3 3, stream3:2 16 3 3"
RECURRENT = "rcls.0.ffconv:1 64 64 1, rcls.0.rrconv:1 64 64 3"
DENSE = "dbl.0.conv1:1 64 64 1, dbl.0.conv2:1 64 64 3, dbl.0.conv3:1 64 64 3"
EMBEDDING = "ebl.conv1:1 64 64 1, ebl.conv2:1 64 64 3"
KEYS = {
    "a": f"{STEM}, {RECURRENT}",
    "s": f"{STEM}, {DENSE}",
    "w": f"{WIDE}, {RECURRENT}",
    "p": f"stream1:2 32 3 3, stream2:2 32 3 3, {DENSE}, {RECURRENT}",
    "c": f"{WIDE}, {DENSE}, {EMBEDDING}",
    "f": f"{WIDE}, {EMBEDDING}",
}
COUNTS = {"a": 55_747, "s": 92_803, "w": 52_675, "p": 131_075, "c": 131_075, "f": 52_675}
IDLE = {"a": 0, "s": 37_056, "w": 0, "p": 78_400, "c": 78_400, "f": 480}


def shapes(variant: str) -> dict[str, tuple[int, ...]]:
    told: dict[str, tuple[int, ...]] = {}
    for entry in KEYS[variant].split(","):
        name, outputs, inputs, kernel = entry.split()
        name, place = name.split(":")
        channels = int(outputs)
        told |= {f"{name}.0.weight": (channels, int(inputs), int(kernel), int(kernel)), f"{name}.0.bias": (channels,)}
        told |= {f"{name}.{place}.{key}": (channels,) for key in ("weight", "bias", "running_mean", "running_var")}
        told[f"{name}.{place}.num_batches_tracked"] = ()
    return told | {"classifier.weight": (3, 3136), "classifier.bias": (3,)}


def draw(variant: str) -> dict[str, Tensor]:
    torch.manual_seed(0)
    state = {}
    for key, shape in shapes(variant).items():
        tensor = torch.rand(shape) + 0.5 if len(shape) < 2 else torch.randn(shape) / shape[1] ** 0.5
        state[key] = tensor
    return state


def loaded(variant: str) -> nn.Module:
    return from_reference(f"rcn_{variant}", draw(variant))


def reference_attention(maps: Tensor, weights: Tensor) -> Tensor:
    """As published, clip by clip and class by class; `weights` [classes, C or 1, 7, 7]."""
    gates = []
    for clip in maps:
        seen = []
        for weight in weights:
            cam = (weight * clip).mean(0)
            cam = cam - cam.min()
            seen.append(cam / cam.max())
        gates.append(torch.stack(seen).mean(0, keepdim=True))
    return torch.stack(gates)


class Published:
    """Forward passes written from the published tensors, in evaluation mode."""

    def __init__(self, variant: str) -> None:
        self.variant, self.state = variant, draw(variant)
        self.weights = self.state["classifier.weight"].view(3, 64, 7, 7)

    def conv(self, x: Tensor, name: str, **options: int) -> Tensor:
        return F.conv2d(x, self.state[f"{name}.0.weight"], self.state[f"{name}.0.bias"], **options)

    def bn(self, x: Tensor, name: str) -> Tensor:
        keys = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(self.state[f"{name}.{key}"] for key in keys))

    def a(self, x: Tensor, name: str) -> Tensor:
        return self.bn(self.conv(x, name), f"{name}.1").relu()

    def b(self, x: Tensor, name: str) -> Tensor:
        return self.bn(self.conv(x, name, padding=1), f"{name}.1").relu()

    def stem(self, x: Tensor) -> Tensor:
        return F.max_pool2d(self.bn(self.conv(x, "conv1"), "conv1.1").relu(), 2)

    def stream(self, x: Tensor, name: str, dilation: int) -> Tensor:
        return self.bn(self.conv(x, name, stride=3, padding=dilation, dilation=dilation).relu(), f"{name}.2")

    def recurrent(self, x: Tensor) -> Tensor:
        y = self.a(x, "rcls.0.ffconv")
        y = self.b(x + y, "rcls.0.rrconv")
        return F.max_pool2d(self.b(x + y, "rcls.0.rrconv"), 2)

    def dense(self, x: Tensor, y: Tensor, name: str) -> Tensor:
        z = self.b(x + y, name)
        e = self.b(x + y + z, name)
        return F.max_pool2d(self.b(x + y + z + e, name), 2)

    def logits(self, x: Tensor) -> Tensor:
        pool = nn.AdaptiveAvgPool2d(7)
        gate = torch.ones(len(x), 1, 7, 7)
        if self.variant in "as":
            x = self.stem(x)
            if self.variant == "a":
                gate = reference_attention(pool(x), self.weights)
        elif self.variant == "p":
            streams = [("stream1", 1), ("stream2", 3)]
            maps = [self.conv(x, name, padding=d, dilation=d).relu() for name, d in streams]
            maps = [self.bn(y, f"{name}.2") for y, (name, _) in zip(maps, streams, strict=True)]
            x = torch.cat([F.max_pool2d(y, 3, 3, 1) for y in maps], 1)
            gate = reference_attention(pool(x), self.weights)
        else:
            third = ("stream2", 2) if self.variant == "f" else ("stream3", 3)
            wide = [self.stream(x, *one) for one in (("stream1", 1), ("stream2", 2), third)]
            seen = reference_attention(pool(x), self.weights.mean(1, keepdim=True))
            x = torch.cat(wide, 1)
            assert x.shape[1:] == (64, 20, 20)
            if self.variant == "c":
                x = x * F.interpolate(seen, (20, 20))
        if self.variant in "aw":
            x = self.recurrent(x)
        elif self.variant in "spc":
            x = self.dense(x, self.a(x, "dbl.0.conv1"), "dbl.0.conv2")
        else:
            inner = F.interpolate(reference_attention(pool(x), self.weights), (20, 20)) * self.a(x, "ebl.conv1")
            x = self.dense(x, inner, "ebl.conv2")
        x = pool(x) * gate
        return x.flatten(1) @ self.state["classifier.weight"].T + self.state["classifier.bias"]


@pytest.mark.parametrize("variant", KEYS)
class TestEveryVariant:
    def test_counts_and_keys(self, variant: str) -> None:
        spec = models()[f"rcn_{variant}"]
        network = spec.build(3)
        assert dict(spec.reference.shapes(3)) == shapes(variant)
        assert {key: tuple(x.shape) for key, x in network.state_dict().items()} == shapes(variant)
        assert sum(p.numel() for p in network.parameters()) == COUNTS[variant]
        idle = [p.numel() for key, p in network.named_parameters() if any(part in key for part in spec.dead)]
        assert sum(idle) == IDLE[variant]

    def test_forward_is_the_published_one(self, variant: str) -> None:
        x = torch.rand(3, 3, 60, 60)
        with torch.inference_mode():
            torch.testing.assert_close(loaded(variant)(x), Published(variant).logits(x), rtol=1e-4, atol=1e-3)

    def test_idle_parts_and_nothing_else_get_no_gradient(self, variant: str) -> None:
        spec = models()[f"rcn_{variant}"]
        network = loaded(variant).train()
        network(torch.rand(4, 3, 60, 60)).square().sum().backward()
        without = {key for key, p in network.named_parameters() if p.grad is None}
        assert without == {key for key, _ in network.named_parameters() if any(part in key for part in spec.dead)}
        assert all(p.grad.abs().sum() > 0 for p in network.parameters() if p.grad is not None)

    def test_clips_alone_together_and_strided_give_the_same(self, variant: str) -> None:
        network, x = loaded(variant), torch.rand(3, 3, 60, 60)
        with torch.inference_mode():
            whole = network(x)
            alone = torch.cat([network(x[i : i + 1]) for i in (2, 0)])
            torch.testing.assert_close(alone, whole[[2, 0]], rtol=1e-4, atol=1e-4)
            for strided in (x.contiguous(memory_format=torch.channels_last), x.mT.contiguous().mT):
                torch.testing.assert_close(network(strided), whole, rtol=1e-4, atol=1e-4)

    def test_a_black_picture_has_finite_logits_and_gradients(self, variant: str) -> None:
        network = models()[f"rcn_{variant}"].build(3).train()
        logits = network(torch.zeros(2, 3, 60, 60))
        logits.square().sum().backward()
        assert logits.isfinite().all()
        assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)

    def test_initial_weights(self, variant: str) -> None:
        torch.manual_seed(0)
        network = models()[f"rcn_{variant}"].build(3)
        for module in network.modules():
            if isinstance(module, nn.Conv2d) and module.in_channels == 64:
                fan_out = 64 * module.kernel_size[0] ** 2
                assert module.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)
                assert module.bias.abs().sum() > 0  # PyTorch's own
        assert network.classifier.weight.std().item() == pytest.approx(0.01, rel=0.05)
        assert network.classifier.bias.abs().sum() == 0


@pytest.mark.parametrize("size", [28, 20])
@pytest.mark.parametrize("block", [Recurrent, Dense])
def test_blocks_halve_the_size(block: type[nn.Module], size: int) -> None:
    assert block()(torch.rand(2, 64, size, size)).shape == (2, 64, size // 2, size // 2)


def test_the_embedding_block_halves_the_size() -> None:
    assert Embedding()(torch.rand(2, 64, 20, 20), torch.rand(3, 64, 7, 7)).shape == (2, 64, 10, 10)


@pytest.mark.parametrize("channels", [64, 1])
def test_attention_is_the_published_one(channels: int) -> None:
    torch.manual_seed(0)
    maps, weights = torch.rand(4, 64, 7, 7), torch.randn(3, channels, 7, 7)
    gate = attention(maps, weights)
    torch.testing.assert_close(gate, reference_attention(maps, weights))
    assert gate.min() >= 0
    assert gate.max() <= 1


def test_attention_of_a_constant_map_is_zero_with_finite_gradients() -> None:
    maps, weights = torch.zeros(2, 64, 7, 7), torch.ones(3, 64, 7, 7)
    maps[1] = torch.rand(64, 7, 7)
    maps.requires_grad_()
    weights.requires_grad_()
    gate = attention(maps, weights)
    gate.sum().backward()
    assert gate[0].abs().sum() == 0
    assert gate[1].max() == 1
    assert maps.grad.isfinite().all()
    assert weights.grad.isfinite().all()


@pytest.mark.parametrize("variant", ["a", "p", "c", "f"])
def test_the_gate_passes_gradients_to_the_classifier(variant: str) -> None:
    """Without the gate's part, the gradient of the classifier's weights is that of a linear layer."""
    network = loaded(variant)
    read: list[Tensor] = []
    network.classifier.register_forward_pre_hook(lambda _m, inputs: read.append(inputs[0]))
    network(torch.rand(2, 3, 60, 60)).sum().backward()
    linear = read[0].detach().sum(0).expand(3, -1)
    assert (network.classifier.weight.grad - linear).abs().max() > 1e-3


def test_the_repeated_stream_of_f_moves_its_averages_twice() -> None:
    network = models()["rcn_f"].build(3).train()
    network(torch.rand(2, 3, 60, 60))
    assert [getattr(network, f"stream{i}")[2].num_batches_tracked.item() for i in (1, 2, 3)] == [1, 2, 0]


@pytest.mark.parametrize("variant", ["a", "w"])
def test_the_repeated_convolution_moves_its_averages_twice(variant: str) -> None:
    network = models()[f"rcn_{variant}"].build(3).train()
    network(torch.rand(2, 3, 60, 60))
    assert network.rcls[0].rrconv[1].num_batches_tracked == 2
