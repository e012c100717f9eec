"""Layers that train faster on a CPU than PyTorch's own, and compute the same.

They differ from their base classes in nothing but the time of a training step: same parameters, same counts, and on
other devices the same code.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# oneDNN's matrix product on ordinary tensors. PyTorch's own goes through MKL, which on processors that are not Intel's
# takes twice as long. Builds without oneDNN do not have it.
_ONEDNN = torch.ops.mkldnn._linear_pointwise if hasattr(torch.ops.mkldnn, "_linear_pointwise") else None


class Dropout(nn.Dropout):
    """Dropout that draws a byte per element on the CPU, where PyTorch draws the bits of a double one after the other.

    Parameters
    ----------
    p
        Probability of a zero, a multiple of 1/256.

    Raises
    ------
    ValueError
        If a byte cannot decide with this probability.
    """

    def __init__(self, p: float) -> None:
        super().__init__(p)
        if 256 * p % 1:
            raise ValueError("p must be a multiple of 1/256")

    def forward(self, x: Tensor) -> Tensor:
        """Zeros in random places, the rest divided by 1 - p; in evaluation mode `x` itself."""
        if not self.training or x.device.type != "cpu":
            return super().forward(x)
        words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
        kept = words.view(torch.uint8)[: x.numel()] >= 256 * self.p
        # Which byte decides about which element does not matter, so the mask takes the memory layout of `x`.
        layout = torch.empty_like(x)
        return x * torch.mul(kept, 1 / (1 - self.p)).as_strided(layout.shape, layout.stride())


class Linear(nn.Linear):
    """Linear layer whose three products of a training step run in oneDNN on the CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """``x @ weight.T + bias``."""
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``x @ weight.T + bias`` along the last axis of `x`, by oneDNN where gradients are wanted on the CPU."""
    if _ONEDNN is None or x.device.type != "cpu" or not torch.is_grad_enabled():
        return F.linear(x, weight, bias)
    product: Tensor = _Product.apply(x.reshape(-1, x.shape[-1]), weight, bias)  # type: ignore[no-untyped-call]
    return product.view(*x.shape[:-1], -1)


class _Product(torch.autograd.Function):
    """``x @ weight.T + bias`` of matrices."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        grad = grad.contiguous()
        return (
            _product(grad, weight.t()) if of_x else None,
            _product(grad.t(), x.t()) if of_weight else None,
            grad.sum(0) if of_bias else None,
        )


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return cast(Tensor, cast(Any, _ONEDNN)(x, weight, bias, "none", [], ""))


class MaxPool3(nn.MaxPool2d):
    """Maximum of every 3 × 3 neighbourhood, the size kept.

    The input of a network needs no gradient, so nobody asks which neighbour was the largest; then rows and columns one
    after the other take a fraction of the time.
    """

    def __init__(self) -> None:
        super().__init__(kernel_size=3, stride=1, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map of the same shape."""
        if x.requires_grad or x.device.type != "cpu":
            return cast(Tensor, super().forward(x))
        x = F.pad(x, (1, 1, 1, 1), value=-torch.inf)
        x = torch.maximum(torch.maximum(x[:, :, :-2], x[:, :, 1:-1]), x[:, :, 2:])
        return torch.maximum(torch.maximum(x[..., :-2], x[..., 1:-1]), x[..., 2:])
