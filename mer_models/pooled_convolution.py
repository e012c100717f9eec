"""Convolution, ReLU, batch normalisation and max pooling as one kernel: a training step on a CPU with little memory.

Layer by layer, a step passes over the maps of the convolution about eighteen times. Three facts make it two.

1. Normalisation is monotone in each channel, ``z = g * (y - mean) / deviation + h``: rising for a scale g > 0, falling
   for g < 0. So it commutes with the maximum: the largest z of a window is that of the largest y (of the smallest, for
   g < 0). Pool the rectified map y, and normalise one value in nine.
2. Going back, with G the gradient of the pooled z and count the positions of a channel in the batch, its rule
   (S. Ioffe, C. Szegedy: Batch normalization. ICML 2015, the equations of section 3) is

       dL/dy = g / deviation * (G - sum(G) / count - z_hat * sum(G * z_hat) / count) = sparse + a + b * y

   for y > 0, and 0 elsewhere by the ReLU: G lies in the places of the largest values alone, and a and b are two numbers
   per channel. So a map's gradient is built in cache and summed at once to those of the weights; it is never stored.
3. Clips padded to rows of one width lie such that a tap is a fixed distance from its output: one loop over all rows,
   which fills vector registers. The last columns of a row are no results; they are set to zero, as by the ReLU.

Sums over clips are float64. Nothing runs in threads or is kept between calls: arguments and machine code decide the
bytes. Of equal values in a window, another may be taken than PyTorch takes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode


def suits(x: Tensor) -> bool:
    """Whether a step on clips `x` may take the kernel, which nobody sees into who counts or transforms operations."""
    plain = type(x) is Tensor and x.device.type == "cpu" and x.dtype == torch.float32 and not x.requires_grad
    watched = torch._C._are_functorch_transforms_active() or _get_current_dispatch_mode() is not None
    return plain and len(x) > 0 and not watched and not torch.is_autocast_enabled("cpu")


def pooled_convolution(x: Tensor, convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    """``max_pool2d(norm(relu(convolution(x))), 3, 3, 1)`` in training; the running averages of `norm` move.

    Clips are float32 ``[N, C, H, W]``; the convolution is 3 × 3 with a bias, an even number of filters, and any padding
    and dilation; the result is float32 ``[N, filters, height, width]``.
    """
    settings = cast(int, convolution.padding[0]), convolution.dilation[0], norm.eps
    parameters = convolution.weight, convolution.bias, norm.weight, norm.bias
    pooled, mean, variance = _Block.apply(x, *parameters, settings)  # type: ignore[no-untyped-call]
    cast(Tensor, norm.num_batches_tracked).add_(1)
    cast(Tensor, norm.running_mean).lerp_(mean, cast(float, norm.momentum))
    cast(Tensor, norm.running_var).lerp_(variance, cast(float, norm.momentum))
    return cast(Tensor, pooled)


class _Block(torch.autograd.Function):
    """The pooled maps, and for the running averages their mean and their unbiased variance."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor, settings: Any) -> Any:
        (padding, dilation, eps), (clips, channels, height, width), filters = settings, x.shape, len(weight)
        shrunk = 2 * (padding - dilation)
        rows, columns, row = height + shrunk, width + shrunk, width + 2 * padding
        padded = x.new_zeros(clips, channels, (height + 2 * padding) * row + 2 * dilation)
        sizes = (rows * row,), ((rows + 2) // 3, (columns + 2) // 3)
        maps, largest = (x.new_empty(clips, filters, *size) for size in sizes)
        places, sums = torch.empty_like(largest, dtype=torch.int32), x.new_zeros(3, filters, dtype=torch.float64)
        lying = x.permute(0, 2, 3, 1).contiguous(), weight.contiguous(), bias, torch.where(scale < 0, -1.0, 1.0)
        _run(_forward(height, width, padding, dilation), *lying, padded, maps, largest, places, sums)
        count = clips * rows * columns
        mean, variance = sums[0] / count + sums[2], (sums[1] / count - (sums[0] / count) ** 2).clamp_min(0)
        deviation = (variance + eps).sqrt()
        factor = scale / deviation
        ctx.save_for_backward(padded, maps, largest, places, scale, mean, deviation)
        ctx.geometry, ctx.count = (row, channels, rows * row, dilation), count
        pooled = torch.addcmul((shift - mean * factor).float()[:, None, None], largest, factor.float()[:, None, None])
        averaged = mean.float(), (variance * (count / (count - 1))).float()
        ctx.mark_non_differentiable(*averaged)
        return pooled, *averaged

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor, _mean: Tensor, _variance: Tensor) -> tuple[Tensor | None, ...]:
        padded, maps, largest, places, scale, mean, deviation = ctx.saved_tensors
        grad, factor = grad.contiguous(), scale / deviation
        of_shift = grad.sum((0, 2, 3)).double()
        of_scale = (grad * (largest - mean.float()[:, None, None])).sum((0, 2, 3)) / deviation
        b = -factor * of_scale / (ctx.count * deviation)
        a = -factor * of_shift / ctx.count - b * mean
        of_weight = mean.new_zeros(len(scale), ctx.geometry[1], 3, 3)
        of_bias, of_pooled = torch.zeros_like(mean), (places.flatten(2), grad.flatten(2))
        numbers = a.float(), b.float(), factor.float()
        _run(_backward(*ctx.geometry), padded, maps, *of_pooled, *numbers, of_weight, of_bias)
        return None, of_weight.float(), of_bias.float(), of_scale.float(), of_shift.float(), None


def _run(kernel: Callable[..., None], *tensors: Tensor) -> None:
    kernel(*(tensor.detach().numpy() for tensor in tensors))


def _compiled(signature: str, function: Callable[..., None]) -> Callable[..., None]:
    """Machine code, kept for the next process where there is a place for it. Sums may be made in any order."""
    import numba  # only who trains needs it, and it takes half a second

    options: Any = {"fastmath": {"contract", "reassoc", "nsz"}, "error_model": "numpy", "nogil": True}
    try:
        return cast(Callable[..., None], numba.njit(signature, cache=True, **options)(function))
    except (RuntimeError, OSError):  # neither this folder nor the user's cache can be written
        return cast(Callable[..., None], numba.njit(signature, **options)(function))


@cache
def _forward(height: int, width: int, padding: int, dilation: int) -> Callable[..., None]:
    row, rows, columns = width + 2 * padding, height + 2 * (padding - dilation), width + 2 * (padding - dilation)
    size = rows * row

    def forward(clips, weight, bias, turned, padded, maps, largest, places, sums):  # type: ignore[no-untyped-def]
        best, at = np.empty(row, np.float32), np.empty(row, np.int32)
        for n in range(len(clips)):
            for c in range(weight.shape[1]):
                inner = padded[n, c, : (height + 2 * padding) * row].reshape(height + 2 * padding, row)
                inner[padding : padding + height, padding : padding + width] = clips[n, :, :, c]
            for f in range(0, len(weight), 2):  # two at a time, for they share what is loaded
                pair = maps[n, f : f + 2].reshape(2 * size)
                pair[:size], pair[size:] = bias[f], bias[f + 1]
                for c in range(weight.shape[1]):
                    x, taps = padded[n, c], weight[f : f + 2, c]
                    for p in range(size):
                        one, two = pair[p], pair[size + p]
                        for i in range(3):
                            for j in range(3):
                                one += taps[0, i, j] * x[(i * row + j) * dilation + p]
                                two += taps[1, i, j] * x[(i * row + j) * dilation + p]
                        pair[p], pair[size + p] = one, two
                for k in range(f, f + 2):
                    y, total, square = maps[n, k], np.float32(0), np.float32(0)
                    if n == 0:  # sums are those of the distances from any value of the map: little cancels then
                        sums[2, k] = max(y[rows // 2 * row + columns // 2], np.float32(0))
                    near = np.float32(sums[2, k])
                    for i in range(rows):
                        line = y[i * row : (i + 1) * row]
                        for j in range(row):
                            line[j] = np.float32(0) if (line[j] < 0) | (j >= columns) else line[j]  # NaN stays
                            off = np.float32(0) if j >= columns else line[j] - near
                            total, square = total + off, square + off * off
                    sums[0, k], sums[1, k] = sums[0, k] + total, sums[1, k] + square
                    for r in range(largest.shape[2]):  # the largest of three rows in each column, then of three columns
                        top, middle, low = max(3 * r - 1, 0) * row, 3 * r * row, min(3 * r + 1, rows - 1) * row
                        first, second, third = y[top : top + row], y[middle : middle + row], y[low : low + row]
                        for j in range(row):
                            u, v, w = turned[k] * first[j], turned[k] * second[j], turned[k] * third[j]
                            start = np.int32(middle) if v > u else np.int32(top)
                            v = v if v > u else u
                            at[j] = (np.int32(low) if w > v else start) + np.int32(j)
                            best[j] = w if w > v else v
                        for q in range(largest.shape[3]):
                            left, right = max(3 * q - 1, 0), min(3 * q + 1, columns - 1)
                            place = at[3 * q] if best[3 * q] > best[left] else at[left]
                            v = max(best[left], best[3 * q])
                            places[n, k, r, q] = at[right] if best[right] > v else place
                            largest[n, k, r, q] = turned[k] * max(v, best[right])

    maps = "f4[:,:,:,::1], f4[:,:,:,::1], f4[::1], f4[::1], f4[:,:,::1], f4[:,:,::1]"
    return _compiled(f"void({maps}, f4[:,:,:,::1], i4[:,:,:,::1], f8[:,::1])", forward)


@cache
def _backward(row: int, channels: int, size: int, dilation: int) -> Callable[..., None]:
    def backward(padded, maps, places, grad, a, b, factor, of_weight, of_bias):  # type: ignore[no-untyped-def]
        dense = np.empty((2, size), np.float32)
        for n in range(len(maps)):
            for f in range(0, len(a), 2):
                for k in range(2):
                    y, of_y, level, slope, total = maps[n, f + k], dense[k], a[f + k], b[f + k], np.float32(0)
                    for p in range(size):
                        of_y[p] = np.float32(0) if y[p] <= 0 else level + slope * y[p]
                        total += of_y[p]
                    for q in range(grad.shape[2]):
                        p = places[n, f + k, q]
                        share = np.float32(0) if y[p] <= 0 else factor[f + k] * grad[n, f + k, q]
                        of_y[p], total = of_y[p] + share, total + share
                    of_bias[f + k] += total
                one, two = dense[0], dense[1]
                for c in range(channels):
                    for i in range(3):
                        x = padded[n, c, i * dilation * row :]
                        u0 = u1 = u2 = v0 = v1 = v2 = np.float32(0)
                        for p in range(size):
                            x0, x1, x2 = x[p], x[p + dilation], x[p + 2 * dilation]
                            u0, u1, u2 = u0 + one[p] * x0, u1 + one[p] * x1, u2 + one[p] * x2
                            v0, v1, v2 = v0 + two[p] * x0, v1 + two[p] * x1, v2 + two[p] * x2
                        taps = of_weight[f : f + 2, c, i]
                        taps[0, 0], taps[0, 1], taps[0, 2] = taps[0, 0] + u0, taps[0, 1] + u1, taps[0, 2] + u2
                        taps[1, 0], taps[1, 1], taps[1, 2] = taps[1, 0] + v0, taps[1, 1] + v1, taps[1, 2] + v2

    arrays = "f4[:,:,::1], f4[:,:,::1], i4[:,:,::1], f4[:,:,::1], f4[::1], f4[::1], f4[::1]"
    return _compiled(f"void({arrays}, f8[:,:,:,::1], f8[::1])", backward)
