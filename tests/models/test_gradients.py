"""Every network learns by the gradients of its own loss: in each form that is trained, they are those of float64.

The gradients of one step are compared with those of the network in float64, layer by layer in the plain memory layout:
same weights, same clips, dropout switched off in both. The error of a parameter is the norm of the difference over the
norm of the gradient in float64.

Some true gradients are zero, such as that of a bias before a normalisation, and what is left of them is rounding. They
are told by a norm in float64 below a millionth of that of all gradients together, and their error is taken over that
norm of all.

A gradient jumps where a unit passes the kink of a ReLU, or two neighbours the tie of a maximum. Among millions of units
one may be so near that the last bit of float32 decides, and then a gradient of thousands of units that cancel each
other differs by up to a hundredth, however exact the sums are, in PyTorch's own float32 too. That happens in some draws
of clips and weights, in the larger networks in every second, while sums that are wrong are wrong in all. So one draw
must keep to the bounds, which are tighter for that: without such a unit, exact sums give 1e-6 in the median. A quarter
of the recipe's batch has fewer of them.
"""

import copy
from collections.abc import Callable
from statistics import median

import pytest
import torch
from plain import layer_by_layer
from test_layers import without_dropout
from test_registry import NETWORKS, of, tensors
from torch import Tensor, nn

from mer_models import train
from mer_models.losses import LOSSES
from mer_models.spec import ModelSpec

MEDIAN, LARGEST, OF_ZERO = 1e-5, 1e-3, 1e-5
DRAWS = 6
SHARE_OF_BATCH = 4


def on_cpu(network: nn.Module) -> nn.Module:
    return train.as_trained(network, "cpu")


# A faster form of any network gets a line here.
FORMS: dict[str, Callable[[nn.Module], nn.Module]] = {"trained": on_cpu}


def gradients(network: nn.Module, spec: ModelSpec, clips: list[Tensor]) -> dict[str, Tensor]:
    """Gradients of the recipe's loss by the name of the parameter, float64; zero where none arrives."""
    labels = torch.arange(len(clips[0])) % 3
    if spec.recipe.penalty:
        logits, penalty = network.with_penalty(*clips)
        loss = LOSSES[spec.recipe.loss](logits, labels) + spec.recipe.penalty * penalty
    else:
        loss = LOSSES[spec.recipe.loss](network(*clips), labels)
    loss.backward()
    named = network.named_parameters()
    return {name: torch.zeros_like(p).double() if p.grad is None else p.grad.double() for name, p in named}


def errors(got: dict[str, Tensor], exact: dict[str, Tensor]) -> tuple[list[float], list[float]]:
    """Relative errors of parameters whose gradient is not zero, and of those whose gradient is."""
    whole = sum(gradient.norm() ** 2 for gradient in exact.values()) ** 0.5
    of_others, of_zeros = [], []
    for name, gradient in exact.items():
        size, off = gradient.norm(), (got[name] - gradient).norm()
        if size < 1e-6 * whole:
            of_zeros.append(float(off / whole))
        else:
            of_others.append(float(off / size))
    return of_others, of_zeros


def errors_of_a_draw(
    spec: ModelSpec, form: Callable[[nn.Module], nn.Module], seed: int
) -> tuple[list[float], list[float]]:
    torch.manual_seed(seed)
    network, clips = without_dropout(spec.build(3)), tensors(spec, spec.recipe.batch_size // SHARE_OF_BATCH + 1, seed)
    in_double = without_dropout(layer_by_layer(copy.deepcopy(network))).double()
    exact = gradients(in_double, spec, [x.double().contiguous() for x in clips])
    return errors(gradients(without_dropout(form(network)), spec, clips), exact)


def keeps_to_the_bounds(of_others: list[float], of_zeros: list[float]) -> bool:
    return median(of_others) < MEDIAN and max(of_others) < LARGEST and max(of_zeros, default=0.0) < OF_ZERO


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("spec", of(NETWORKS))
def test_gradients_are_those_of_float64(spec: ModelSpec, form: Callable[[nn.Module], nn.Module]) -> None:
    told = []
    for seed in range(DRAWS):
        of_others, of_zeros = errors_of_a_draw(spec, form, seed)
        if keeps_to_the_bounds(of_others, of_zeros):
            return
        told.append(
            f"median {median(of_others):.0e}, largest {max(of_others):.0e}, zeros {max(of_zeros, default=0):.0e}"
        )
    pytest.fail("; ".join(told))
