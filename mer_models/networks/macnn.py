"""MACNN: residual blocks, then two atrous convolutions and three wide linear layers."""

from __future__ import annotations

from torch import Tensor, nn

from mer_models.layers import Dropout, Linear
from mer_models.reference import renamed
from mer_models.spec import InputSpec, ModelSpec, Published, Recipe, register
from mer_models.train import fit


class ResidualBlock(nn.Module):
    """Two convolutions beside a 1x1 convolution, then pooling: ``[N, c_in, H, W]`` to ``[N, c, H / 2, W / 2]``."""

    def __init__(self, c_in: int, c: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(c_in, c, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(c, c, kernel_size=3, padding=1),
            nn.ReLU(),
        )
        self.shortcut = nn.Conv2d(c_in, c, kernel_size=1)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        """Add and pool; there is no activation after the sum."""
        pooled: Tensor = self.pool(self.conv(x) + self.shortcut(x))
        return pooled


class MACNN(nn.Module):
    """Four residual blocks of 32 to 256 channels, two atrous convolutions, three linear layers.

    Input float32 ``[N, channels, 112, 112]`` (u, v in pixels; strain), output logits ``[N, classes]``.

    Parameters
    ----------
    classes
        Number of classes.
    channels
        Input channels: 3, or 2 without the strain, which is what the published complexity was measured with.
    """

    def __init__(self, classes: int, channels: int = 3) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            ResidualBlock(channels, 32), ResidualBlock(32, 64), ResidualBlock(64, 128), ResidualBlock(128, 256)
        )
        # The wider dilation comes first. On maps of 7x7 its outer taps see little but padding.
        self.atrous = nn.Sequential(
            nn.Conv2d(256, 256, kernel_size=3, padding=4, dilation=4),
            nn.ReLU(),
            nn.Conv2d(256, 256, kernel_size=3, padding=2, dilation=2),
            nn.ReLU(),
        )
        self.dense = nn.Sequential(
            Linear(256 * 7 * 7, 4096),
            nn.ReLU(),
            Dropout(0.5),
            Linear(4096, 4096),
            nn.ReLU(),
            Dropout(0.5),
            nn.Linear(4096, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch."""
        x = self.atrous(self.blocks(x))  # [N, 256, 7, 7]
        logits: Tensor = self.dense(x.flatten(1))
        return logits


register(
    ModelSpec(
        name="macnn",
        paper=(
            "Z. Lai, R. Chen, J. Jia, Y. Qian: Real-time micro-expression recognition based on ResNet and atrous "
            "convolutions. Journal of Ambient Intelligence and Humanized Computing, 2020"
        ),
        inputs=(InputSpec("flow_offtanet_112", ("u", "v", "strain"), (112, 112)),),
        recipe=Recipe(epochs=501, batch_size=64, lr=1e-3, step_every=50, step_factor=0.9, keep_every=20),
        fit=fit,
        build=MACNN,
        published=(Published("casmes", 0.6660, 0.6835, "oracle-epoch, mean of folds", "Off-TANet table"),),
        deviations=(
            "Network and recipe are those of the Off-TANet re-implementation.",
            "The published complexity (793.67M FLOPs, 297.86 MB) is that of a network fed with u and v only; this one "
            "takes strain too, as the published configuration does.",
            "Tested after epochs 20, 40, ..., 500, 501; the re-implementation after 1, 21, ..., 501.",
        ),
        reference=renamed(
            MACNN, "dense.6.weight", ("^blocks", "res_vgg"), ("shortcut", "botneck"), ("^atrous", "aconv")
        ),
        gpu_share=0.5,  # 1.1 GiB of weights, gradients and moments; 0.7 GiB of activations
    )
)
