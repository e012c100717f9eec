"""HTNet as released: a nested transformer on a mosaic of four face regions, whose attention never has a choice."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_models.layers import linear
from mer_models.spec import InputSpec, ModelSpec, Published, Recipe, Reference, State, register
from mer_models.train import fit

_PATCH, _WIDTHS, _REPEATS = 7, (256, 512, 1024), (2, 2, 10)
_CLASSIFIER = "mlp_head.2.weight"


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels at each position of a map ``[N, C, H, W]``."""

    def forward(self, x: Tensor) -> Tensor:
        """Map of the same shape."""
        return self.tokens(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def tokens(self, x: Tensor) -> Tensor:
        """The same with the channels along the last axis."""
        return super().forward(x)


class Attention(nn.Module):
    """Self-attention among the positions of a map; maps ``[N, width, H, W]`` in and out.

    A head is ``width // heads`` wide, so all heads together may be narrower than the map (255 of 256). With a single
    position the softmax is over one score and equals 1: the result is the value, and queries and keys are not computed.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        inner = width // heads * heads
        self.query_key = nn.Conv2d(width, 2 * inner, kernel_size=1, bias=False)
        self.value = nn.Conv2d(width, inner, kernel_size=1, bias=False)
        self.out = nn.Conv2d(inner, width, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Every position's mixture of all positions."""
        value = self.value(x)
        if x.shape[2:] != (1, 1):
            query, key = self.query_key(x).chunk(2, 1)
            value = _attend(query, key, value, self.heads)
        attended: Tensor = self.out(value)
        return attended

    def tokens(self, x: Tensor) -> Tensor:
        """The same for positions in a row, ``[N, positions, width]``."""
        value = _dense(self.value, x)
        if x.shape[1] != 1:
            parts = (*_dense(self.query_key, x).chunk(2, -1), value)
            query, key, value = (part.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2) for part in parts)
            value = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        return _dense(self.out, value)


class PlainAttention(nn.Module):
    """The same as released: one convolution for queries, keys and values, and a softmax even over a single score.

    It is never trained here.
    """

    def __init__(self, ours: Attention) -> None:
        super().__init__()
        self.heads = ours.heads
        weight = torch.cat([ours.query_key.weight, ours.value.weight])
        self.to_qkv = nn.Conv2d(weight.shape[1], weight.shape[0], kernel_size=1, bias=False)
        self.to_qkv.weight = nn.Parameter(weight)
        self.out = ours.out

    def forward(self, x: Tensor) -> Tensor:
        """Every position's mixture of all positions."""
        query, key, value = self.to_qkv(x).chunk(3, 1)
        attended: Tensor = self.out(_attend(query, key, value, self.heads))
        return attended


def _dense(convolution: nn.Module, x: Tensor) -> Tensor:
    """A 1 × 1 convolution of tokens, channels along the last axis."""
    weight, bias = cast(Tensor, convolution.weight), cast("Tensor | None", convolution.bias)
    return linear(x, weight.flatten(1), bias)


def _attend(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Values ``[N, inner, H, W]`` mixed by scaled products of queries and keys; heads are outermost in `inner`."""
    inner, positions = value.shape[1], value.shape[2] * value.shape[3]
    queries, keys, values = (part.reshape(-1, heads, inner // heads, positions) for part in (query, key, value))
    scores = queries.transpose(2, 3) @ keys * (inner // heads) ** -0.5  # [N, heads, positions, positions]
    mixed: Tensor = (values @ scores.softmax(-1).transpose(2, 3)).reshape(value.shape)
    return mixed


class Block(nn.Module):
    """Transformer block on a map: attention, then a perceptron per position, each normalised before and added."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = ChannelNorm(width)
        self.attention: Attention | PlainAttention = Attention(width, heads)
        self.mlp_norm = ChannelNorm(width)
        self.mlp = nn.Sequential(
            nn.Conv2d(width, 4 * width, kernel_size=1), nn.GELU(), nn.Conv2d(4 * width, width, kernel_size=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map of the same shape."""
        x = x + self.attention(self.attention_norm(x))
        mixed: Tensor = x + self.mlp(self.mlp_norm(x))
        return mixed

    def tokens(self, x: Tensor) -> Tensor:
        """The same for positions in a row, ``[N, positions, width]``."""
        x = x + cast(Attention, self.attention).tokens(self.attention_norm.tokens(x))
        return x + _dense(self.mlp[2], F.gelu(_dense(self.mlp[0], self.mlp_norm.tokens(x))))


class Level(nn.Module):
    """One level of the hierarchy: transformer blocks inside each tile of the map; tiles do not see each other.

    Parameters
    ----------
    width
        Channels of the map.
    heads
        Attention heads.
    repeats
        Number of transformer blocks.
    tiles
        The map is cut into `tiles` × `tiles` squares.
    position
        Learned positions, ``[1 or width, side, side]`` of a tile, added to every tile; the initial values.
    """

    def __init__(self, width: int, heads: int, repeats: int, tiles: int, position: Tensor) -> None:
        super().__init__()
        self.tiles = tiles
        self.position = nn.Parameter(position)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(repeats)))

    def forward(self, x: Tensor) -> Tensor:
        """Map of the same shape."""
        return self.fused(x) if self.training else self.plain(x)

    def plain(self, x: Tensor) -> Tensor:
        """Layer by layer as released."""
        (clips, width, height, _), tiles, side = x.shape, self.tiles, x.shape[2] // self.tiles
        x = x.reshape(clips, width, tiles, side, tiles, side)  # [N, C, row, y, column, x]
        x = x.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)  # [N * rows * columns, C, y, x]
        x = self.blocks(x + self.position).reshape(clips, tiles, tiles, width, side, side)
        return x.permute(0, 3, 1, 4, 2, 5).reshape(clips, width, height, height)

    def fused(self, x: Tensor) -> Tensor:
        """The same with positions in a row: matrix products instead of 1 × 1 convolutions, and nothing to turn."""
        (clips, width, height, _), tiles, side = x.shape, self.tiles, x.shape[2] // self.tiles
        x = x.permute(0, 2, 3, 1).reshape(clips, tiles, side, tiles, side, width)  # [N, row, y, column, x, C]
        x = x.transpose(2, 3).reshape(-1, side * side, width) + self.position.flatten(1).t()
        for block in self.blocks:
            x = cast(Block, block).tokens(x)
        x = x.reshape(clips, tiles, tiles, side, side, width).transpose(2, 3)
        return x.reshape(clips, height, height, width).permute(0, 3, 1, 2)


def merge(width: int, wider: int) -> nn.Sequential:
    """Between two levels: the map's sides are halved and neighbouring tiles meet."""
    return nn.Sequential(
        nn.Conv2d(width, wider, kernel_size=3, padding=1),
        ChannelNorm(wider),
        nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
    )


class HTNet(nn.Module):
    """Hierarchical transformer network with the released settings.

    28 pixels in patches of 7 make a map of 4 × 4 positions. Its three levels cut it into 4 × 4, 2 × 2 and 1 tiles
    while the map shrinks to 2 × 2 and 1 × 1, so every tile holds a single position: attention only passes its value
    on, and positions meet in the two merging steps alone. The learned position of a level is one number, which every
    normalisation over the channels takes out again; that of the last level cannot change the answer at all.

    Input float32 ``[N, 3, 28, 28]`` (strain, v, u; bytes 0 to 255), output logits ``[N, classes]``.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, _WIDTHS[0], kernel_size=_PATCH, stride=_PATCH)
        self.levels = nn.ModuleList(
            # A head has 85 channels in all levels: 3, 6 and 12 heads.
            Level(width, width // 85, repeats, tiles, torch.randn(1, 1, 1))
            for width, repeats, tiles in zip(_WIDTHS, _REPEATS, (4, 2, 1), strict=True)
        )
        self.merges = nn.ModuleList(map(merge, _WIDTHS[:-1], _WIDTHS[1:]))
        self.norm = ChannelNorm(_WIDTHS[-1])
        self.fc = nn.Linear(_WIDTHS[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch."""
        x = self.levels[0](self.embed(x))  # [N, 256, 4, 4]
        for merging, level in zip(self.merges, self.levels[1:], strict=True):
            x = level(merging(x))  # [N, 512, 2, 2], then [N, 1024, 1, 1]
        logits: Tensor = self.fc(self.norm(x).mean((2, 3)))
        return logits

    def published_form(self) -> nn.Module:
        """The same network with the attention as it was published, for counting."""
        published = copy.deepcopy(self)
        for module in published.modules():
            if isinstance(module, Block) and isinstance(module.attention, Attention):
                module.attention = PlainAttention(module.attention)
        return published


# Our keys to the published ones. Queries, keys and values are one published tensor, in this order.
_RENAMES = (
    (r"^embed\.", "to_patch_embedding.1."),
    (r"^levels\.(\d+)\.position$", r"layers.\1.0.pos_emb"),
    (r"^levels\.(\d+)\.blocks\.(\d+)\.", r"layers.\1.0.layers.\2."),
    (r"^merges\.(\d+)\.", r"layers.\1.1."),
    (r"attention_norm", "0.norm"),
    (r"attention\.(query_key|value)", "0.fn.to_qkv"),
    (r"attention\.out", "0.fn.to_out.0"),
    (r"mlp_norm", "1.norm"),
    (r"mlp\.2", "1.fn.net.3"),
    (r"mlp\.0", "1.fn.net.0"),
    (r"^norm", "mlp_head.0"),
    (r"^fc", "mlp_head.2"),
    (r"((?:norm|layers\.\d\.1\.1|mlp_head\.0)\.)weight$", r"\1g"),
    (r"((?:norm|layers\.\d\.1\.1|mlp_head\.0)\.)bias$", r"\1b"),
)


def _published_key(key: str) -> str:
    for pattern, replacement in _RENAMES:
        key = re.sub(pattern, replacement, key)
    return key


def _our_shapes(classes: int) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):  # half a gigabyte of weights that nobody needs for their shapes
        return {key: tuple(tensor.shape) for key, tensor in HTNet(classes).state_dict().items()}


def _published_shapes(classes: int) -> Mapping[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for key, shape in _our_shapes(classes).items():
        published = _published_key(key)
        if key == "embed.weight":
            shape = (shape[0], 3 * _PATCH**2, 1, 1)
        elif key.endswith("position"):
            shape = (1,)
        elif published.endswith((".g", ".b")):
            shape = (1, *shape, 1, 1)
        elif published in shapes:  # the values, after queries and keys
            shape = (shapes[published][0] + shape[0], *shape[1:])
        shapes[published] = shape
    return shapes


def _convert(state: State) -> dict[str, Tensor]:
    converted = {}
    for key, shape in _our_shapes(len(state[_CLASSIFIER])).items():
        tensor = state[_published_key(key)]
        if key == "embed.weight":  # 1 × 1 convolution of pixels as channels, ordered (row, column, colour)
            tensor = tensor.reshape(-1, _PATCH, _PATCH, 3).permute(0, 3, 1, 2)
        elif key.endswith("query_key.weight"):
            tensor = tensor[: shape[0]]
        elif key.endswith("value.weight"):
            tensor = tensor[-shape[0] :]
        converted[key] = tensor.reshape(shape)
    return converted


register(
    ModelSpec(
        name="htnet",
        paper=(
            "Z. Wang, K. Zhang, W. Luo, R. Sankaranarayana: HTNet for micro-expression recognition. "
            "Neurocomputing 602, 128196, 2024"
        ),
        # The PNG files of STSTNet, read the same way: strain comes first.
        inputs=(InputSpec("htnet_mosaic_28", ("strain", "v", "u"), (28, 28), bytes=True),),
        recipe=Recipe(epochs=800, batch_size=256, order="by-class", lr=5e-5),
        fit=fit,
        build=HTNet,
        published=(
            Published("megc2019", 0.8603, 0.8475, "oracle-subject", "paper; epoch chosen on the test subject"),
            Published(
                "megc2019",
                0.8313,
                0.8175,
                "oracle-subject",
                "recomputed from the predictions stored in the authors' code",
            ),
        ),
        deviations=(
            "As released, every block of the attention holds one token: queries and keys (22,195,200 of the "
            "139,582,982 parameters) cannot change the answer. They are kept, and never computed nor trained. The "
            "paper describes attention between the tokens of a region; htnet_fixed has that.",
            "As released, the four crops are cut with rows and columns exchanged: the upper right one shows the lower "
            "left of the face. htnet_fixed has the right places.",
            "The published scores choose the epoch of each subject by its own test accuracy; compare them with the "
            "oracle-subject column only. Without that choice no score is published.",
            "Trained for 800 epochs at 139.6 million parameters: hours per fold on one CPU core, so use a GPU.",
            "Within a class, clips are in the order of their ids; the original takes the file system's order.",
        ),
        dead=("attention.query_key",),
        reference=Reference(_CLASSIFIER, _published_shapes, _convert),
        gpu_share=0.5,  # 2.1 GiB of weights, gradients and moments; 0.3 GiB of activations
    )
)
