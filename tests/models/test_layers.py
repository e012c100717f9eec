"""What makes training fast on a CPU computes what PyTorch's own layers compute."""

import copy

import pytest
import torch
from plain import layer_by_layer, plain
from test_registry import NETWORKS, of, tensors
from torch import Tensor, nn

from mer_models import layers
from mer_models.spec import ModelSpec, models


def without_dropout(network: nn.Module) -> nn.Module:
    """In training, with every dropout switched off."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.eval()
    return network


def taken(network: nn.Module, clips: list[Tensor]) -> dict[str, Tensor]:
    """Logits, gradients and buffers after one pass forward and backward."""
    logits = network(*clips)
    logits.square().sum().backward()
    gradients = {f"gradient of {name}": p.grad for name, p in network.named_parameters() if p.grad is not None}
    return {"logits": logits.detach(), **gradients, **dict(network.named_buffers())}


DRAWS = 3
_WITHOUT_KERNEL = {"aman", "dual_atme", "dual_inception", "htnet", "htnet_fixed", "off_apexnet", "ststnet_table"}
FUSED = [models()[name] for name in sorted(_WITHOUT_KERNEL | {"rcn_p", "ststnet"})]


@pytest.mark.parametrize("spec", of(FUSED))
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=["nchw", "nhwc"])
def test_the_fast_way_is_the_plain_way(spec: ModelSpec, memory_format: torch.memory_format) -> None:
    for seed in range(DRAWS):  # in some draws the kink of a ReLU, or a tie of pooling, falls to the other side
        try:
            compare_the_ways(spec, memory_format, seed)
        except AssertionError:
            if seed == DRAWS - 1:
                raise
        else:
            return


def compare_the_ways(spec: ModelSpec, memory_format: torch.memory_format, seed: int) -> None:
    torch.manual_seed(seed)
    fast = without_dropout(spec.build(3)).to(memory_format=memory_format)
    slow = layer_by_layer(copy.deepcopy(fast)).double()  # in float32, PyTorch's own sums may be the worse ones
    clips = tensors(spec, 4)
    got, expected = taken(fast, clips), taken(slow, [x.double() for x in clips])
    assert got.keys() == expected.keys()
    largest = max(tensor.abs().max() for name, tensor in expected.items() if name.startswith("gradient"))
    for name, tensor in expected.items():
        # A bias before a normalisation has a gradient of zero, of which rounding leaves something.
        absolute = 1e-5 * largest.item() if name.startswith("gradient") else 1e-5
        torch.testing.assert_close(
            got[name].to(tensor.dtype), tensor, rtol=1e-3, atol=absolute, msg=lambda told, name=name: name + told
        )


def test_networks_with_a_fast_way_are_those_that_need_one() -> None:
    with torch.device("meta"):  # without numbers
        fused = [spec for spec in NETWORKS if any(hasattr(module, "fused") for module in spec.build(3).modules())]
    assert sorted(spec.name for spec in fused) == [spec.name for spec in FUSED]


class TestDropout:
    @pytest.mark.parametrize("p", [0.5, 0.25])
    def test_zeros_are_as_frequent_as_asked_for_and_the_rest_is_scaled(self, p: float) -> None:
        torch.manual_seed(0)
        y = layers.Dropout(p).train()(torch.ones(1_000_000))
        assert y.unique().tolist() == pytest.approx([0, 1 / (1 - p)])
        assert (y == 0).float().mean().item() == pytest.approx(p, abs=4 * (p * (1 - p) / 1e6) ** 0.5)

    def test_neighbours_are_independent(self) -> None:
        torch.manual_seed(0)
        zero = (layers.Dropout(0.5).train()(torch.ones(1_000_000)) == 0).float() - 0.5
        for distance in (1, 2, 3, 4, 7, 8, 16):
            correlation = (zero[:-distance] * zero[distance:]).mean().item() * 4
            assert abs(correlation) < 4e-3  # four standard errors

    def test_every_byte_of_a_word_decides_alike(self) -> None:
        torch.manual_seed(0)
        zero = (layers.Dropout(0.5).train()(torch.ones(800_000)) == 0).float()
        torch.testing.assert_close(zero.view(-1, 8).mean(0), torch.full((8,), 0.5), rtol=0, atol=0.007)

    def test_the_gradient_passes_where_the_value_passes(self) -> None:
        x = torch.rand(5, 7, 3, 3).add(1).to(memory_format=torch.channels_last).requires_grad_()
        y = layers.Dropout(0.5).train()(x)
        y.sum().backward()
        torch.testing.assert_close(x.grad * x, y)
        assert y.is_contiguous(memory_format=torch.channels_last)

    def test_the_seed_decides(self) -> None:
        drop = layers.Dropout(0.5).train()

        def drawn(seed: int) -> Tensor:
            torch.manual_seed(seed)
            return drop(torch.ones(100))

        assert torch.equal(drawn(1), drawn(1))
        assert not torch.equal(drawn(1), drawn(2))

    def test_evaluation_leaves_everything_as_it_is(self) -> None:
        x = torch.rand(5)
        assert torch.equal(layers.Dropout(0.5).eval()(x), x)

    def test_a_probability_that_a_byte_cannot_tell_is_refused(self) -> None:
        with pytest.raises(ValueError, match="1/256"):
            layers.Dropout(0.3)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5, 12), (3, 4, 12)])
def test_linear_is_linear(bias: bool, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    ours = layers.Linear(12, 7, bias=bias)
    theirs = nn.Linear(12, 7, bias=bias)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(shape, requires_grad=True)
    other = x.detach().clone().requires_grad_()
    weight = torch.randn(*shape[:-1], 7)
    (ours(x) * weight).sum().backward()
    (theirs(other) * weight).sum().backward()
    torch.testing.assert_close(ours(x), theirs(other))
    torch.testing.assert_close(x.grad, other.grad)
    for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad)


def test_linear_without_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = layers.Linear(12, 7), torch.randn(5, 12)
    with_it = layer(x)
    monkeypatch.setattr(layers, "_ONEDNN", None)
    torch.testing.assert_close(layer(x), with_it)


def test_pooling_of_an_input_is_pooling() -> None:
    x = torch.randn(2, 3, 9, 6)
    assert torch.equal(layers.MaxPool3()(x), nn.MaxPool2d(3, stride=1, padding=1)(x))


def test_plain_networks_have_none_of_our_layers() -> None:
    for spec in NETWORKS:
        with torch.device("meta"):
            network = plain(spec.build(3))
        assert not any(type(module).__module__ == layers.__name__ for module in network.modules())
