"""Training losses, by the name a recipe gives them. Each takes logits ``[N, C]`` and class indices ``[N]``.

None waits for a GPU or copies to it, so that a training step can be recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]
_GAMMA = 2.0


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of -log p of the true class."""
    return F.cross_entropy(logits, labels)


def focal(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of -(1 - p)² log p of the true class (Lin et al., ICCV 2017, with every class weighted 1)."""
    return _focal(logits, labels).mean()


def balanced(logits: Tensor, labels: Tensor) -> Tensor:
    """Focal loss, each class weighted by 1 - (its share of the batch) / 10, as in the code of RCN and Dual-ATME."""
    share = (labels[:, None] == torch.arange(logits.shape[1], device=labels.device)).sum(0) / len(labels)
    return ((1 - share / 10)[labels] * _focal(logits, labels)).mean()


def cosine(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of 1 - the true class's component of the L2-normalised logits, as in the code of RCN and Dual-ATME."""
    return (1 - _of_class(F.normalize(logits), labels)).mean()


def _focal(logits: Tensor, labels: Tensor) -> Tensor:
    log_p = _of_class(F.log_softmax(logits, 1), labels)
    return -((1 - log_p.exp()) ** _GAMMA) * log_p


def _of_class(values: Tensor, labels: Tensor) -> Tensor:
    """Of each row ``[N, C]`` the value of its class, ``[N]``; on a GPU without waiting for it, as indexing would."""
    return values.gather(1, labels[:, None]).squeeze(1)


LOSSES: Mapping[str, Loss] = {
    "cross-entropy": cross_entropy,
    "focal": focal,
    "balanced": balanced,
    "cosine": cosine,
}
