"""The costs of a network: the rules of published tables to the integer, and the counts beside them."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from torch import nn

from mer_models.complexity import complexity, counted_flops, peak_bytes
from mer_models.networks.macnn import MACNN
from mer_models.spec import InputSpec, ModelSpec, Recipe, models

# parameters in all, parameters counted, FLOPs, bytes read and written
COSTS = {
    "ststnet": (1_683, 1_683, 449_200, 306_968),
    "ststnet_table": (162_051, 162_051, 526_976, 799_192),
    "off_apexnet": (2_664_475, 2_664_475, 3_866_688, 10_853_752),
    "dual_inception": (6_449_867, 6_449_867, 12_643_744, 27_546_936),
    "macnn": (70_573_923, 70_573_923, 797_686_784, 312_432_024),
    "micro_attention": (53_384_195, 53_384_195, 1_002_482_688, 249_528_344),
    "off_tanet": (59_403, 59_403, 30_079_889, 5_915_288),
    "off_tanet_sa": (57_589, 55_549, 29_333_856, 5_796_928),
    "off_tanet_cbam": (56_967, 56_967, 29_602_433, 5_576_264),
    "off_tanet_res": (50_353, 50_353, 28_313_088, 5_453_136),
    "off_tanet_bot": (48_625, 48_625, 27_971_264, 5_731_600),
    "sssnet": (1_349_251, 1_349_251, 16_247_680, 6_823_448),
}


def toy(build: Callable[[], nn.Module], *shape: int) -> ModelSpec:
    inputs = (InputSpec("toy", (), shape),)
    return ModelSpec("toy", "", inputs, Recipe(epochs=1), fit=models()["ststnet"].fit, build=lambda classes: build())


@pytest.mark.parametrize("name", COSTS)
def test_published_row(name: str) -> None:
    row = complexity(models()[name], 3)
    assert (row.params, row.counted_params, row.flops, row.mem_rw_bytes) == COSTS[name]


def test_the_published_row_of_macnn_is_that_of_two_channels() -> None:
    without_strain = (InputSpec("flow_offtanet_112", ("u", "v"), (112, 112)),)
    spec = replace(models()["macnn"], inputs=without_strain, build=lambda classes: MACNN(classes, channels=2))
    row = complexity(spec, 3)
    assert (row.params, row.flops, row.mem_rw_bytes) == (70_573_603, 793_672_704, 312_330_392)


def test_it_says_what_it_does_not_count() -> None:
    uncounted = complexity(models()["off_tanet"], 3).uncounted
    assert {"bmm", "softmax", "sigmoid", "cat", "repeated Conv2d", "repeated ReLU"} <= set(uncounted)
    assert complexity(models()["off_tanet_res"], 3).uncounted == ("add",)
    assert complexity(models()["sssnet"], 3).uncounted == ("relu",)


@pytest.mark.parametrize(
    ("module", "shape", "flops", "elements"),
    [
        (lambda: nn.Conv2d(4, 6, 3, groups=2), (4, 5, 5), 9 * (9 * 4 * 3 + 6), 100 + (6 * 2 * 9 + 6) + 54),
        (lambda: nn.BatchNorm2d(4, affine=False), (4, 5, 5), 100, 200 + 8),
        (lambda: nn.ReLU6(), (4, 5, 5), 100, 200),
        (lambda: nn.PReLU(4), (4, 5, 5), 100, 200 + 4),
        (lambda: nn.Upsample(scale_factor=2), (4, 5, 5), 100, 0),
        (lambda: nn.Linear(7, 2), (7,), 14, 7 + 16 + 2),
        (lambda: nn.GELU(), (4, 5, 5), 0, 0),
    ],
    ids=["grouped", "plain-norm", "relu6", "prelu", "upsample", "linear", "unknown"],
)
def test_rules(module: Callable[[], nn.Module], shape: tuple[int, ...], flops: int, elements: int) -> None:
    row = complexity(toy(lambda: nn.Sequential(module()), *shape), 3)
    assert (row.flops, row.mem_rw_bytes) == (flops, 4 * elements)


def test_space_folded_into_the_batch_reads_parameters_again() -> None:
    fold = nn.Sequential(nn.Unflatten(1, (2, 7)), nn.Flatten(0, 1), nn.Linear(7, 2))
    assert complexity(toy(lambda: fold, 14), 3).mem_rw_bytes == 4 * (14 + 2 * 16 + 4)


def test_every_product_is_counted_by_the_other_count() -> None:
    shared = nn.Linear(7, 7, bias=False)
    spec = toy(lambda: nn.Sequential(shared, shared), 7)
    assert complexity(spec, 3).flops == 49
    assert complexity(spec, 3).uncounted == ("repeated Linear",)
    assert counted_flops(spec, 3) == 2 * 2 * 49


def test_peak_is_what_is_alive_at_once() -> None:
    spec = toy(lambda: nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Sigmoid(), nn.Linear(100, 1)), 4, 25)
    clip, activation, parameters = 400, 400, 404
    assert peak_bytes(spec, 3) == parameters + clip + 2 * activation


def test_what_has_no_network_costs_nothing() -> None:
    spec = replace(models()["ststnet"], build=None)
    assert (complexity(spec, 3).flops, counted_flops(spec, 3), peak_bytes(spec, 3)) == (0, 0, 0)
