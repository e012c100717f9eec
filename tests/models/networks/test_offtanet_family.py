"""The networks of the Off-TANet table: layer by layer as published, and with published keys."""

import math
from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_models.networks.micro_attention import AttentionBlock, PlainAttentionBlock
from mer_models.networks.off_tanet_blocks import AttentionHead, ChannelGate, SpatialGate, position_code
from mer_models.networks.ststnet import ThreeStreams
from mer_models.reference import from_reference
from mer_models.spec import models

State = dict[str, Tensor]

# The published keys. `conv` is a layer with weight and bias, `bare` one without bias, `norm` a batch normalisation.
_STAGES = """
    conv conv1.0 8 3 7 7;  norm conv1.2 8
    conv res1.conv.0 18 8 3 3;  norm res1.conv.1 18;  conv res1.conv.3 18 18 3 3;  norm res1.conv.4 18
    conv res1.botneck 18 8 1 1
    conv res2.conv.0 28 18 3 3;  norm res2.conv.1 28;  conv res2.conv.3 28 28 3 3;  norm res2.conv.4 28
    conv res2.botneck 28 18 1 1;  conv eres.botneck 8 28 1 1
    conv dense.0 64 392;  conv dense.3 64 64;  conv dense.6 3 64
"""
_TWO = "conv eres.conv1.0 28 28 3 3;  norm eres.conv1.1 28;  conv eres.conv2.0 8 28 3 3;  norm eres.conv2.1 8\n"
_GATES = "bare eres.spa.conv1 1 2 3 3;  bare eres.ca.fc1 1 28 1 1;  bare eres.ca.fc2 28 1 1 1\n"


def _heads(prefix: str, c: int, c_in: int) -> str:
    return "".join(f"conv {prefix}.sa_blocks.{head}.w_{one} {c} {c_in} 1 1\n" for head in range(4) for one in "qkv")


def _towers(prefix: str) -> str:
    return "".join(
        f"conv {prefix}.{i}.path1.0 {c} {c_in} 1 1;  conv {prefix}.{i}.path1.2 {c} {c} 5 5\n"
        f"conv {prefix}.{i}.path2.0 {c} {c_in} 1 1;  conv {prefix}.{i}.path2.2 {c} {c} 3 3\n"
        f"conv {prefix}.{i}.path3.1 {c} {c_in} 1 1;  conv {prefix}.{i}.path4 {c} {c_in} 1 1\n"
        for i, c_in, c in ((0, 1, 6), (1, 24, 16))
    )


KEYS = {
    "ststnet": """
        conv conv1 3 3 3 3;  conv conv2 5 3 3 3;  conv conv3 8 3 3 3;  norm bn1 3;  norm bn2 5;  norm bn3 8
        conv fc 3 400
    """,
    "ststnet_table": """
        conv stream1.conv 3 3 3 3;  conv stream2.conv 5 3 3 3;  conv stream3.conv 8 3 3 3
        conv dense.0 400 400;  conv dense.2 3 400
    """,
    "off_apexnet": """
        conv cnn1.conv1 6 1 5 5;  conv cnn1.conv2 16 6 5 5;  conv cnn2.conv1 6 1 5 5;  conv cnn2.conv2 16 6 5 5
        conv dense.0 1024 1568;  conv dense.3 1024 1024;  conv dense.6 3 1024
    """,
    "dual_inception": _towers("icpt1") + _towers("icpt2") + "conv dense.0 1024 6272;  conv dense.2 3 1024",
    "macnn": "\n".join(
        f"conv res_vgg.{i}.conv.0 {c} {c_in} 3 3;  conv res_vgg.{i}.conv.2 {c} {c} 3 3\n"
        f"conv res_vgg.{i}.botneck {c} {c_in} 1 1"
        for i, c_in, c in ((0, 3, 32), (1, 32, 64), (2, 64, 128), (3, 128, 256))
    )
    + """
        conv aconv.0 256 256 3 3;  conv aconv.2 256 256 3 3
        conv dense.0 4096 12544;  conv dense.3 4096 4096;  conv dense.6 3 4096
    """,
    "micro_attention": "conv conv.0 32 3 7 7\n"
    + "\n".join(
        f"conv ma.{i}.convl_1.0 {c} {c_in} 3 3;  norm ma.{i}.convl_1.1 {c}\n"
        f"conv ma.{i}.convl_2.0 {c} {c} 3 3;  norm ma.{i}.convl_2.1 {c}\n"
        f"conv ma.{i}.convm {c} {c_in} 1 1;  conv ma.{i}.convr {3 * c} {3 * c} 1 1"
        for i, c_in, c in ((0, 32, 64), (2, 64, 128), (4, 128, 256))
    )
    + "\nconv dense.0 4096 12544;  conv dense.3 3 4096",
    "off_tanet": _STAGES + _TWO + _GATES + _heads("eres.sa", 7, 28),
    "off_tanet_sa": _STAGES + _TWO + _heads("eres.sa", 2, 28),
    "off_tanet_cbam": _STAGES + _TWO + _GATES,
    "off_tanet_res": _STAGES
    + "conv eres.conv.0 8 28 3 3;  norm eres.conv.1 8;  conv eres.conv.3 8 8 3 3;  norm eres.conv.4 8",
    "off_tanet_bot": _STAGES + _heads("eres.sa.0", 2, 28) + _heads("eres.sa.1", 2, 8),
    "sssnet": """
        conv conv1 32 3 5 5;  norm bn1 32;  conv conv2 64 32 3 3;  norm bn2 64
        conv fc1 256 5184;  conv fc 3 256
    """,
}


def checkpoint(name: str) -> State:
    """Random numbers under the published keys, of a size that keeps the logits around 1."""
    generator = torch.Generator().manual_seed(0)
    state: State = {}
    for entry in KEYS[name].replace(";", "\n").split("\n"):
        if not entry.strip():
            continue
        kind, key, *numbers = entry.split()
        shape = [int(number) for number in numbers]
        if kind == "norm":
            state[f"{key}.running_mean"] = torch.rand(shape, generator=generator) - 0.5
            state[f"{key}.running_var"] = torch.rand(shape, generator=generator) + 0.5
            state[f"{key}.num_batches_tracked"] = torch.tensor(7)
            state[f"{key}.weight"] = torch.rand(shape, generator=generator) + 0.5
        else:
            bound = math.sqrt(6 / math.prod(shape[1:]))
            state[f"{key}.weight"] = (torch.rand(shape, generator=generator) - 0.5) * bound
        if kind != "bare":
            state[f"{key}.bias"] = torch.rand(shape[:1], generator=generator) - 0.5
    return state


class Plain:
    """Every network once more, in functions and published keys."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        self.state = state

    def conv(self, key: str, x: Tensor, **options: int) -> Tensor:
        return F.conv2d(x, self.state[f"{key}.weight"], self.state.get(f"{key}.bias"), **options)

    def dense(self, key: str, x: Tensor) -> Tensor:
        return F.linear(x, self.state[f"{key}.weight"], self.state[f"{key}.bias"])

    def norm(self, key: str, x: Tensor) -> Tensor:
        names = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(self.state[f"{key}.{name}"] for name in names))

    def ststnet(self, x: Tensor) -> Tensor:
        streams = [self.norm(f"bn{i}", self.conv(f"conv{i}", x, padding=2).relu()) for i in (1, 2, 3)]
        pooled = torch.cat([F.max_pool2d(stream, 3, 3, 1) for stream in streams], 1)
        return self.dense("fc", F.avg_pool2d(pooled, 2).flatten(1))

    def ststnet_table(self, x: Tensor) -> Tensor:
        streams = [F.max_pool2d(self.conv(f"stream{i}.conv", x, padding=1), 3, 3, 1) for i in (1, 2, 3)]
        x = F.max_pool2d(torch.cat(streams, 1), 2).flatten(1)
        return self.dense("dense.2", self.dense("dense.0", x).relu())

    def off_apexnet(self, x: Tensor) -> Tensor:
        flat = []
        for i, half in enumerate(x.chunk(2, 1), start=1):
            half = F.max_pool2d(self.conv(f"cnn{i}.conv1", half, padding=2), 2)
            flat.append(F.max_pool2d(self.conv(f"cnn{i}.conv2", half, padding=2), 2).flatten(1))
        return self.three_dense(torch.cat(flat, 1))

    def three_dense(self, x: Tensor) -> Tensor:
        return self.dense("dense.6", self.dense("dense.3", self.dense("dense.0", x).relu()).relu())

    def dual_inception(self, x: Tensor) -> Tensor:
        flat = []
        for i, half in enumerate(x.chunk(2, 1), start=1):
            for key in (f"icpt{i}.0", f"icpt{i}.1"):
                one = self.conv(f"{key}.path1.2", self.conv(f"{key}.path1.0", half).relu(), padding=2).relu()
                two = self.conv(f"{key}.path2.2", self.conv(f"{key}.path2.0", half).relu(), padding=1).relu()
                three = self.conv(f"{key}.path3.1", F.max_pool2d(half, 3, 1, 1)).relu()
                half = F.max_pool2d(torch.cat((one, two, three, self.conv(f"{key}.path4", half)), 1), 2)
            flat.append(half.flatten(1))
        return self.dense("dense.2", self.dense("dense.0", torch.cat(flat, 1)).relu())

    def macnn(self, x: Tensor) -> Tensor:
        for i in range(4):
            main = self.conv(f"res_vgg.{i}.conv.0", x, padding=1).relu()
            main = self.conv(f"res_vgg.{i}.conv.2", main, padding=1).relu()
            x = F.max_pool2d(main + self.conv(f"res_vgg.{i}.botneck", x), 2)
        x = self.conv("aconv.0", x, padding=4, dilation=4).relu()
        x = self.conv("aconv.2", x, padding=2, dilation=2).relu()
        return self.three_dense(x.flatten(1))

    def micro_attention(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.conv("conv.0", x, stride=2, padding=3).relu(), 3, 2, 1)
        for key in ("ma.0", "ma.2", "ma.4"):
            a = self.norm(f"{key}.convl_1.1", self.conv(f"{key}.convl_1.0", x, padding=1)).relu()
            b = self.norm(f"{key}.convl_2.1", self.conv(f"{key}.convl_2.0", a, padding=1)).relu()
            m = self.conv(f"{key}.convm", x)
            p = self.conv(f"{key}.convr", torch.cat((a, b, m), 1)).mean(1)  # [N, H, W]
            w = p.exp() / p.exp().sum((1, 2), keepdim=True)
            x = F.max_pool2d((b + m) * (1 + w[:, None]), 2)
        return self.dense("dense.3", self.dense("dense.0", x.flatten(1)).relu())

    def off_tanet(self, x: Tensor) -> Tensor:
        x = self.norm("conv1.2", self.conv("conv1.0", x, stride=2, padding=3).relu())
        x = self.residual("res2", self.residual("res1", x))
        if "eres.conv.0.weight" in self.state:
            return self.three_dense(self.residual("eres", x).flatten(1))
        h = x
        bot = "eres.sa.1.sa_blocks.0.w_q.weight" in self.state
        if not bot:
            h = self.norm("eres.conv1.1", self.conv("eres.conv1.0", h, padding=1)).relu()
        if "eres.ca.fc1.weight" in self.state:
            squeezed = (h.mean((2, 3), keepdim=True), h.amax((2, 3), keepdim=True))
            h = h * sum(self.conv("eres.ca.fc2", self.conv("eres.ca.fc1", one).relu()) for one in squeezed).sigmoid()
            maps = torch.stack((h.mean(1), h.max(1).values), 1)
            h = h * self.conv("eres.spa.conv1", maps, padding=1).sigmoid()
        for key in ("eres.sa.0", "eres.sa.1") if bot else ("eres.sa",):
            if f"{key}.sa_blocks.0.w_q.weight" in self.state:
                h = torch.cat([self.head(f"{key}.sa_blocks.{head}", h) for head in range(4)], 1)
        if h.shape[1] == 28:
            h = self.norm("eres.conv2.1", self.conv("eres.conv2.0", h, padding=1)).relu()
        return self.three_dense(F.max_pool2d(h + self.conv("eres.botneck", x), 2).flatten(1))

    def residual(self, key: str, x: Tensor) -> Tensor:
        main = self.norm(f"{key}.conv.1", self.conv(f"{key}.conv.0", x, padding=1)).relu()
        main = self.norm(f"{key}.conv.4", self.conv(f"{key}.conv.3", main, padding=1)).relu()
        return F.max_pool2d(main + self.conv(f"{key}.botneck", x), 2)

    def head(self, key: str, x: Tensor) -> Tensor:
        q, k, v = (self.conv(f"{key}.w_{one}", x) for one in "qkv")
        p = position_code(14)
        scores = torch.einsum("ncrd,ncsd->ncrs", q, k) + torch.einsum("ncrd,sd->ncrs", q, p)
        return scores.exp() / scores.exp().sum((2, 3), keepdim=True) * v

    def sssnet(self, x: Tensor) -> Tensor:
        x = self.norm("bn1", F.max_pool2d(self.conv("conv1", x).relu(), 3))
        x = self.norm("bn2", F.max_pool2d(self.conv("conv2", x).relu(), 2))
        return self.dense("fc", self.dense("fc1", x.flatten(1)).relu())

    off_tanet_sa = off_tanet_cbam = off_tanet_res = off_tanet_bot = off_tanet


@pytest.mark.parametrize("name", KEYS)
def test_a_published_checkpoint_gives_the_published_function(name: str) -> None:
    state = checkpoint(name)
    network = from_reference(name, state)
    clips = torch.rand(2, *models()[name].inputs[0].shape, generator=torch.Generator().manual_seed(1)) - 0.5
    with torch.inference_mode():
        logits = network(clips)
        plain = getattr(Plain(state), name)(clips)
    assert logits.shape == (2, 3)
    assert (logits[0] - logits[1]).abs().max() > 1e-4
    torch.testing.assert_close(logits, plain, rtol=1e-4, atol=1e-5)
    assert sum(x.numel() for x in network.state_dict().values() if x.shape) == sum(
        x.numel() for x in state.values() if x.shape
    )


SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "ststnet": {"conv": (16, 30, 30), "pool": (16, 10, 10), "average": (16, 5, 5)},
    "ststnet_table": {"streams.0.0": (3, 28, 28), "streams.1": (5, 10, 10), "pool": (16, 5, 5), "dense.0": (400,)},
    "off_apexnet": {"vertical.0": (6, 28, 28), "vertical.3": (16, 7, 7), "horizontal": (784,), "head.0": (1024,)},
    "dual_inception": {"horizontal.0": (24, 14, 14), "vertical.1": (64, 7, 7), "dense.0": (1024,)},
    "macnn": {"blocks.0": (32, 56, 56), "blocks.3": (256, 7, 7), "atrous.0": (256, 7, 7), "dense.3": (4096,)},
    "micro_attention": {"stem.0": (32, 112, 112), "stem": (32, 56, 56), "blocks.2": (128, 28, 28), "dense.0": (4096,)},
    "off_tanet": {"stem": (8, 56, 56), "stage1": (18, 28, 28), "stage2": (28, 14, 14), "stage3": (8, 7, 7)},
    "sssnet": {"conv1": (32, 60, 60), "pool1": (32, 20, 20), "conv2": (64, 18, 18), "pool2": (64, 9, 9)},
}


@pytest.mark.parametrize("name", SHAPES)
def test_layers_have_the_published_shapes(name: str) -> None:
    seen: dict[str, tuple[int, ...]] = {}
    with torch.device("meta"):
        network = models()[name].build(3).eval()
        for key in SHAPES[name]:
            network.get_submodule(key).register_forward_hook(
                lambda module, inputs, output, key=key: seen.update({key: tuple(output.shape[1:])})
            )
        network(torch.empty(5, *models()[name].inputs[0].shape))
    assert seen == SHAPES[name]


class TestOffTANetBlocks:
    def test_position_code(self) -> None:
        code = position_code(14)
        expected = torch.tensor([1.6829, 1.3818, 1.3818, 1.0806, 1.3366])
        torch.testing.assert_close(code[[0, 0, 1, 1, 0], [0, 1, 0, 1, 2]], expected, rtol=0, atol=5e-5)

    def test_position_code_is_no_parameter_and_no_part_of_a_checkpoint(self) -> None:
        assert not [key for key in models()["off_tanet"].build(3).state_dict() if "position" in key]

    def test_one_distribution_per_channel_over_all_positions_weighs_the_values(self) -> None:
        head = AttentionHead(5, 2, size=4)
        nn.init.zeros_(head.value.weight)
        nn.init.ones_(head.value.bias)
        weights = head(torch.randn(3, 5, 4, 4))
        torch.testing.assert_close(weights.sum((2, 3)), torch.ones(3, 2))
        assert weights.std() > 0

    def test_the_channel_gate_has_one_unit_and_adds_both_summaries(self) -> None:
        gate = ChannelGate(2)
        for layer in (gate.fc1, gate.fc2):
            nn.init.ones_(layer.weight)
        x = torch.tensor([[[[1.0, 3.0]], [[0.0, 0.0]]]])  # means 2 and 0, maxima 3 and 0
        torch.testing.assert_close(gate(x), x * torch.sigmoid(torch.tensor(5.0)))

    def test_the_spatial_gate_sees_mean_then_maximum(self) -> None:
        gate = SpatialGate()
        nn.init.zeros_(gate.conv.weight)
        gate.conv.weight.data[0, 0, 1, 1] = 1.0
        x = torch.tensor([[[[1.0]], [[5.0]]]])
        torch.testing.assert_close(gate(x), x * torch.sigmoid(torch.tensor(3.0)))

    @pytest.mark.parametrize(
        ("name", "layers"),
        [
            ("off_tanet", ["conv1", "ca", "spa", "sa", "conv2"]),
            ("off_tanet_cbam", ["conv1", "ca", "spa", "conv2"]),
            ("off_tanet_sa", ["conv1", "sa"]),
            ("off_tanet_bot", ["sa"]),
        ],
    )
    def test_the_last_stage_has_its_layers_in_this_order(self, name: str, layers: list[str]) -> None:
        """Map attention divides by 196, which hides from the logits what comes before it."""
        path = models()[name].build(3).get_submodule("stage3.path")
        assert [key for key, _ in path.named_children()] == layers

    def test_the_idle_convolution_of_sa_is_declared(self) -> None:
        spec = models()["off_tanet_sa"]
        network = spec.build(3)
        network(torch.rand(2, 3, 112, 112)).sum().backward()
        idle = {name for name, parameter in network.named_parameters() if parameter.grad is None}
        assert idle == {name for name, _ in network.named_parameters() if any(part in name for part in spec.dead)}
        assert sum(p.numel() for name, p in network.named_parameters() if name in idle) == 2_040


class TestFusedForms:
    def test_one_convolution_is_three_streams(self) -> None:
        state = checkpoint("ststnet")
        streams = ThreeStreams(3).eval()
        streams.load_state_dict(state)
        x = torch.rand(2, 3, 28, 28) * 255
        torch.testing.assert_close(from_reference("ststnet", state)(x), streams(x), rtol=1e-4, atol=1e-4)

    def test_mean_of_the_filters_is_mean_of_the_projection(self) -> None:
        torch.manual_seed(0)
        fused, plain = AttentionBlock(3, 4), PlainAttentionBlock(3, 4)
        plain.load_state_dict(fused.state_dict())
        x = torch.randn(2, 3, 6, 6)
        outputs = fused(x), plain(x)
        torch.testing.assert_close(*outputs)
        for output in outputs:
            output.square().sum().backward()
        torch.testing.assert_close(fused.project.weight.grad, plain.project.weight.grad, rtol=1e-4, atol=1e-6)
        assert fused.project.weight.grad.abs().max() > 1e-3


@pytest.mark.parametrize("name", KEYS)
def test_other_inputs_have_the_shape_of_the_main_ones(name: str) -> None:
    spec = models()[name]
    for inputs in spec.instead:
        assert [one.shape for one in inputs] == [one.shape for one in spec.inputs]
        assert {one.feature for one in inputs} == {"flow_uvs_28"}
    assert bool(spec.instead) == (name in {"off_apexnet", "ststnet_table", "dual_inception"})
