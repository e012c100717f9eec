"""Batch normalisation sums exactly in the memory layout that is trained."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_models.batch_norm import BatchNorm2d, batch_norm, with_exact_sums


def taken(x: Tensor, weight: Tensor, bias: Tensor, grad: Tensor, exact: bool) -> dict[str, Tensor]:
    """Result, averages and gradients; by PyTorch if they are to be `exact`, which needs float64."""
    x, weight, bias = (tensor.detach().clone().requires_grad_() for tensor in (x, weight, bias))
    mean, variance = torch.zeros_like(weight), torch.ones_like(weight)
    if exact:
        y = F.batch_norm(x, mean, variance, weight, bias, True, 0.1, 1e-5)
    else:
        y = batch_norm(x, mean, variance, weight, bias, 0.1, 1e-5)
    y.backward(grad)
    return {"y": y, "mean": mean, "variance": variance, "x": x.grad, "weight": weight.grad, "bias": bias.grad}


@pytest.mark.parametrize("shape", [(64, 16, 56, 56), (256, 7, 30, 30), (3, 5, 2, 1), (1, 4, 9, 9), (16, 1, 40, 40)])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format], ids=["nhwc", "nchw"])
def test_everything_is_that_of_float64(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    x, grad = (torch.randn(shape).contiguous(memory_format=layout) for _ in range(2))
    x += 1
    weight, bias = torch.randn(2, shape[1])
    got = taken(x, weight, bias, grad, exact=False)
    wanted = taken(x.double(), weight.double(), bias.double(), grad.double(), exact=True)
    for name, tensor in wanted.items():
        off = (got[name].double() - tensor).norm() / tensor.norm()
        assert off < 3e-6, f"{name}: {off:.1e}"
    assert got["y"].is_contiguous(memory_format=layout)
    assert got["x"].is_contiguous(memory_format=layout)


def test_the_layer_is_its_base_with_the_same_state() -> None:
    torch.manual_seed(0)
    ours, theirs = nn.BatchNorm2d(6), nn.BatchNorm2d(6)
    with_exact_sums(ours)
    assert type(ours) is BatchNorm2d
    x = torch.randn(8, 6, 5, 5).contiguous(memory_format=torch.channels_last)
    for _ in range(3):
        torch.testing.assert_close(ours(x), theirs(x))
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for name, tensor in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], tensor)
    assert torch.equal(ours.eval()(x), theirs.eval()(x)) or torch.allclose(ours(x), theirs(x))


@pytest.mark.parametrize("options", [{"affine": False}, {"momentum": None}, {"track_running_stats": False}], ids=str)
def test_unusual_layers_stay_as_they_are(options: dict[str, object]) -> None:
    ours, theirs = with_exact_sums(nn.BatchNorm2d(6, **options)), nn.BatchNorm2d(6, **options)
    x = torch.randn(8, 6, 5, 5).contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_dtypes_are_pytorch_s(dtype: torch.dtype) -> None:
    x = torch.randn(8, 6, 5, 5, dtype=dtype).contiguous(memory_format=torch.channels_last)
    ours, theirs = with_exact_sums(nn.BatchNorm2d(6)).to(dtype), nn.BatchNorm2d(6).to(dtype)
    assert torch.equal(ours(x), theirs(x))


def test_gradients_can_be_taken_twice_and_without_that_of_the_map() -> None:
    torch.manual_seed(0)
    layer = with_exact_sums(nn.BatchNorm2d(4))
    x = torch.randn(8, 4, 5, 5).contiguous(memory_format=torch.channels_last)
    loss = layer(x).square().sum()
    first = torch.autograd.grad(loss, layer.weight, retain_graph=True)
    assert torch.equal(*first, *torch.autograd.grad(loss, layer.weight))
