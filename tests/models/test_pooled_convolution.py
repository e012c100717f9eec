"""The kernel computes what its layers compute, told by float64, and steps aside where it cannot."""

import copy
import hashlib
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_registry import arrays_for, short
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mer_models import pooled_convolution as kernel
from mer_models.spec import models

ROOT = Path(__file__).resolve().parents[2]
# Clips, filters, padding, dilation: STSTNet's, both streams of RCN-P, and maps whose last window is cut.
SHAPES = [((5, 3, 28, 28), 16, 2, 1), ((3, 3, 60, 60), 32, 1, 1), ((3, 3, 60, 60), 32, 3, 3), ((1, 2, 13, 17), 4, 1, 1)]


def layers_of(shape: tuple[int, ...], filters: int, padding: int, dilation: int) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    torch.manual_seed(0)
    convolution, norm = nn.Conv2d(shape[1], filters, 3, padding=padding, dilation=dilation), nn.BatchNorm2d(filters)
    nn.init.normal_(norm.weight)  # of both signs
    nn.init.normal_(norm.bias)
    return convolution, norm


def by_layers(x: Tensor, convolution: nn.Module, norm: nn.Module) -> Tensor:
    return F.max_pool2d(norm(convolution(x).relu()), 3, 3, 1)


def taken(y: Tensor, convolution: nn.Module, norm: nn.Module) -> dict[str, Tensor]:
    """Result, gradients and running averages, after one pass back."""
    torch.manual_seed(1)
    y.backward(torch.randn(y.shape).to(y.dtype))
    named = [*convolution.named_parameters("convolution"), *norm.named_parameters("norm")]
    return {"y": y.detach(), **{name: p.grad for name, p in named}, **dict(norm.named_buffers())}


def one_step(x: Tensor, shape: tuple[int, ...], *of: int) -> dict[str, Tensor]:
    layers = layers_of(shape, *of)
    return taken(kernel.pooled_convolution(x, *layers), *layers)


@pytest.mark.parametrize(("shape", "filters", "padding", "dilation"), SHAPES)
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format], ids=["nhwc", "nchw"])
def test_everything_is_that_of_float64(
    shape: tuple[int, ...], filters: int, padding: int, dilation: int, layout: torch.memory_format
) -> None:
    layers = layers_of(shape, filters, padding, dilation)
    in_double = [copy.deepcopy(layer).double() for layer in layers]
    x = (255 * torch.rand(shape)).contiguous(memory_format=layout)
    got = taken(kernel.pooled_convolution(x, *layers), *layers)
    for name, tensor in taken(by_layers(x.double(), *in_double), *in_double).items():
        off = (got[name].double() - tensor).norm() / tensor.double().norm()
        assert off < 1e-5, f"{name}: {off:.1e}"  # clips are positive, and the gradients of their weights cancel
        assert got[name].dtype == (torch.int64 if name == "num_batches_tracked" else torch.float32)


def test_maps_that_are_flat_or_dead_are_no_trouble() -> None:
    layers = layers_of(*SHAPES[0])
    with torch.no_grad():
        layers[0].bias[3] = -1e4  # this filter never fires: its variance is zero
    in_double = [copy.deepcopy(layer).double() for layer in layers]
    x = torch.full((5, 3, 28, 28), 127.0)
    got = taken(kernel.pooled_convolution(x, *layers), *layers)
    wanted = taken(by_layers(x.double(), *in_double), *in_double)
    for name in ("y", "norm.weight", "norm.bias", "running_mean", "running_var"):
        torch.testing.assert_close(got[name].double(), wanted[name], rtol=1e-4, atol=1e-3)
    assert not got["convolution.weight"][3].any()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_is_not_finite_shows_where_it_would(value: float) -> None:
    x = torch.rand(4, 3, 28, 28)
    x[2, 1, 14, 14] = value
    layers = layers_of(*SHAPES[0])
    others = copy.deepcopy(layers)
    got = taken(kernel.pooled_convolution(x, *layers), *layers)
    wanted = taken(by_layers(x, *others), *others)
    assert {name for name, tensor in got.items() if not tensor.isfinite().all()} == {
        name for name, tensor in wanted.items() if not tensor.isfinite().all()
    }


def test_threads_change_no_byte() -> None:
    """Neither those of PyTorch, nor two steps at the same time in one process."""
    shape, *of = SHAPES[0]
    x = torch.rand(64, *shape[1:])
    first = one_step(x, shape, *of)
    torch.set_num_threads(2)
    second = one_step(x, shape, *of)
    torch.set_num_threads(1)
    layers = [layers_of(shape, *of) for _ in range(2)]
    clips, results = [x, 1 + x], {}

    def train(which: int) -> None:
        results[which] = kernel.pooled_convolution(clips[which], *layers[which])

    threads = [threading.Thread(target=train, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.equal(results[0], first["y"])
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def test_two_steps_may_be_under_way_and_go_back_twice() -> None:
    shape, *of = SHAPES[0]
    layers, clips = layers_of(shape, *of), torch.rand(2, *shape)
    one, two = (kernel.pooled_convolution(x, *layers).square().sum() for x in clips)
    first = torch.autograd.grad(one, layers[0].weight, retain_graph=True)
    torch.autograd.grad(two, layers[0].weight)
    assert torch.equal(*first, *torch.autograd.grad(one, layers[0].weight))


@pytest.mark.parametrize("name", ["ststnet", "rcn_p"])
def test_whoever_cannot_see_into_the_kernel_gets_the_layers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the kernel was called")

    monkeypatch.setattr(kernel, "_run", refuse)
    network = models()[name].build(3).train()
    x = torch.rand(2, *models()[name].inputs[0].shape)
    with pytest.raises(AssertionError, match="was called"):
        network(x)
    with FlopCounterMode(display=False) as training:
        network(x)
    with FlopCounterMode(display=False) as testing:
        network.eval()(x)
    assert training.get_total_flops() == testing.get_total_flops() > 0
    network.train()
    network(x.clone().requires_grad_()).sum().backward()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        network(x)
    assert torch.func.grad(lambda scale: scale * (not kernel.suits(x)))(torch.ones(())) == 1
    copy.deepcopy(network).double()(x.double())
    network.to("meta")(x.to("meta"))


def test_it_compiles_also_where_machine_code_cannot_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(self: object) -> None:
        raise RuntimeError("cannot cache function: no locator available")

    import numba

    monkeypatch.setattr("numba.core.dispatcher.Dispatcher.enable_caching", read_only)
    assert numba  # it is imported by now, so the patch has something to change
    shape, *of = (2, 1, 5, 6), 2, 1, 1
    assert one_step(torch.rand(shape), shape, *of)["y"].shape == (2, 2, 2, 2)


def test_a_fold_trained_anew_in_another_process_with_two_threads_has_the_same_bytes() -> None:
    code = (
        "from test_registry import arrays_for, short\nfrom mer_models.spec import models\nimport hashlib, torch\n"
        "torch.set_num_threads(2)\nspec = models()['ststnet']\n"
        "print(hashlib.sha256(spec.fit(spec, arrays_for(spec), short(spec), 7, 'cpu').logits.tobytes()).hexdigest())"
    )
    paths = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}:{ROOT / 'tests' / 'models'}"}
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=paths, check=True).stdout
    spec, threads = models()["ststnet"], torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        here = spec.fit(spec, arrays_for(spec), short(spec), 7, "cpu").logits.tobytes()
    finally:
        torch.set_num_threads(threads)
    assert told.strip() == hashlib.sha256(here).hexdigest()


def test_numba_waits_until_a_network_trains() -> None:
    code = "import sys, mer_models.spec as s\ns.models()['ststnet'].code_digest()\nprint('numba' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}, check=True
    )
    assert done.stdout.strip() == "False"


def test_dropout_is_drawn_by_the_seed() -> None:
    spec = models()["ststnet"]
    one, two = (spec.fit(spec, arrays_for(spec), short(spec), seed, "cpu").logits for seed in (1, 2))
    assert not np.array_equal(one, two)
