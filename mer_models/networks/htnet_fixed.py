"""HTNet repaired: every block of the attention holds several tokens, and the crops show what they are named after."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mer_models.networks.htnet import ChannelNorm, Level, merge
from mer_models.spec import InputSpec, ModelSpec, Recipe, register
from mer_models.train import fit


class HTNetFixed(nn.Module):
    """Hierarchical transformer network that attends within each face region, then across the regions.

    28 pixels in patches of 2 make a map of 14 × 14 positions. The first level cuts it into 2 × 2 tiles: each is one of
    the four 14-pixel crops of the mosaic, and attention runs among its 7 × 7 positions. Merging halves the map to
    7 × 7, where the second level attends across all of it.

    Input float32 ``[N, 3, 28, 28]`` (strain, v, u; -1 to 1), output logits ``[N, classes]``.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 32, kernel_size=2, stride=2)
        # Positions have a number per channel: one number for all channels would be taken out again by the
        # normalisation that stands before every attention, which then could not tell the positions apart.
        self.regions = Level(32, 2, repeats=2, tiles=2, position=0.02 * torch.randn(32, 7, 7))
        self.merge = merge(32, 64)
        self.face = Level(64, 4, repeats=2, tiles=1, position=0.02 * torch.randn(64, 7, 7))
        self.norm = ChannelNorm(64)
        self.fc = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch."""
        x = self.regions(self.embed(x))  # [N, 32, 14, 14]
        x = self.face(self.merge(x))  # [N, 64, 7, 7]
        logits: Tensor = self.fc(self.norm(x).mean((2, 3)))
        return logits


register(
    ModelSpec(
        name="htnet_fixed",
        paper=(
            "Ours, after Z. Wang, K. Zhang, W. Luo, R. Sankaranarayana: HTNet for micro-expression recognition. "
            "Neurocomputing 602, 128196, 2024"
        ),
        # Channels in the order of htnet.
        inputs=(
            InputSpec("htnet_corners_28", ("strain", "v", "u"), (28, 28), scale=1 / 127.5, shift=-1.0, bytes=True),
        ),
        recipe=Recipe(epochs=100, batch_size=64, lr=5e-4),
        fit=fit,
        build=HTNetFixed,
        deviations=(
            "Blocks that attend: HTNet's patches of 7 pixels leave 1 token per block in each of its three levels. Here "
            "patches of 2 pixels give 14 × 14 tokens, in two levels of 4 blocks and 1 block, each of 7 × 7 = 49 "
            "tokens. A block of the first level is exactly one 14-pixel face region; the second sees the whole face. "
            "With crops of 14 pixels only patches of 1, 2, 7 or 14 fit: 196, 49, 4 or 1 tokens per region.",
            "Learned positions have a number per token and channel. HTNet's one number for all channels is removed by "
            "the normalisation before the attention.",
            "Small enough for a CPU: 148,867 parameters instead of 139,582,982; widths 32 and 64, 2 and 4 heads of 16 "
            "channels, 2 blocks per level. One epoch of 436 clips takes under a second on one core.",
            "The crops are cut at the landmarks, not at their mirror images across the diagonal, and the bytes are "
            "scaled to [-1, 1].",
            "The recipe is ours: shuffled batches of 64, Adam at 5e-4, 100 epochs, chosen so that the training clips "
            "are learned; no held-out subject was looked at.",
        ),
    )
)
