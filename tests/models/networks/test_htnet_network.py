"""HTNet as released, where attention has no choice, and HTNet repaired, where it has."""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_models.complexity import complexity
from mer_models.networks.htnet import PlainAttention
from mer_models.reference import WrongCheckpoint, from_reference
from mer_models.spec import models

PARAMETERS, QUERIES_AND_KEYS = 139_582_982, 22_195_200
WIDTHS, REPEATS, HEAD = (256, 512, 1024), (2, 2, 10), 85


def published_shapes(classes: int = 3) -> dict[str, tuple[int, ...]]:
    """The published checkpoint, in its order."""
    shapes: dict[str, tuple[int, ...]] = {
        "to_patch_embedding.1.weight": (256, 147, 1, 1),
        "to_patch_embedding.1.bias": (256,),
    }
    for level, (width, repeats) in enumerate(zip(WIDTHS, REPEATS, strict=True)):
        inner = width // HEAD * HEAD
        shapes[f"layers.{level}.0.pos_emb"] = (1,)
        for block in range(repeats):
            attention, mlp = (f"layers.{level}.0.layers.{block}.{branch}." for branch in (0, 1))
            shapes |= {attention + "norm.g": (1, width, 1, 1), attention + "norm.b": (1, width, 1, 1)}
            shapes[attention + "fn.to_qkv.weight"] = (3 * inner, width, 1, 1)
            shapes |= {attention + "fn.to_out.0.weight": (width, inner, 1, 1), attention + "fn.to_out.0.bias": (width,)}
            shapes |= {mlp + "norm.g": (1, width, 1, 1), mlp + "norm.b": (1, width, 1, 1)}
            shapes |= {mlp + "fn.net.0.weight": (4 * width, width, 1, 1), mlp + "fn.net.0.bias": (4 * width,)}
            shapes |= {mlp + "fn.net.3.weight": (width, 4 * width, 1, 1), mlp + "fn.net.3.bias": (width,)}
        if level < 2:
            merge = f"layers.{level}.1."
            shapes |= {merge + "0.weight": (2 * width, width, 3, 3), merge + "0.bias": (2 * width,)}
            shapes |= {merge + "1.g": (1, 2 * width, 1, 1), merge + "1.b": (1, 2 * width, 1, 1)}
    shapes |= {"mlp_head.0.g": (1, 1024, 1, 1), "mlp_head.0.b": (1, 1024, 1, 1)}
    return shapes | {"mlp_head.2.weight": (classes, 1024), "mlp_head.2.bias": (classes,)}


def published_forward(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """The published network written out: tokens ``[N * blocks, tokens, C]``, queries and keys and all."""

    def norm(name: str, x: Tensor) -> Tensor:  # over the last axis
        centred = x - x.mean(-1, keepdim=True)
        unit = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return unit * state[name + ".g"].flatten() + state[name + ".b"].flatten()

    def dense(name: str, x: Tensor, bias: bool = True) -> Tensor:
        return F.linear(x, state[name + ".weight"].flatten(1), state[name + ".bias"] if bias else None)

    n = len(x)
    x = x.reshape(n, 3, 4, 7, 4, 7).permute(0, 2, 4, 3, 5, 1).reshape(n, 4, 4, 147)  # rows, columns, colour
    x = dense("to_patch_embedding.1", x)
    for level, (width, repeats) in enumerate(zip(WIDTHS, REPEATS, strict=True)):
        side, heads = x.shape[1], width // HEAD
        x = x.reshape(n * side * side, 1, width) + state[f"layers.{level}.0.pos_emb"]
        for block in range(repeats):
            attention, mlp = (f"layers.{level}.0.layers.{block}.{branch}." for branch in (0, 1))
            qkv = dense(attention + "fn.to_qkv", norm(attention + "norm", x), bias=False)
            q, k, v = (part.reshape(len(x), 1, heads, HEAD).transpose(1, 2) for part in qkv.chunk(3, -1))
            weights = (q @ k.transpose(2, 3) * HEAD**-0.5).softmax(-1)
            x = x + dense(attention + "fn.to_out.0", (weights @ v).transpose(1, 2).reshape(len(x), 1, heads * HEAD))
            x = x + dense(mlp + "fn.net.3", F.gelu(dense(mlp + "fn.net.0", norm(mlp + "norm", x))))
        x = x.reshape(n, side, side, width)
        if level < 2:
            name = f"layers.{level}.1."
            wider = F.conv2d(x.permute(0, 3, 1, 2), state[name + "0.weight"], state[name + "0.bias"], padding=1)
            x = norm(name + "1", wider.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            x = F.max_pool2d(x, 3, stride=2, padding=1).permute(0, 2, 3, 1)
    return dense("mlp_head.2", norm("mlp_head.0", x).mean((1, 2)))


@pytest.fixture(scope="module")
def checkpoint() -> dict[str, Tensor]:
    """A published checkpoint with random numbers; small ones, as trained weights are."""
    torch.manual_seed(0)
    return {key: torch.empty(shape).uniform_(-0.08, 0.08) for key, shape in published_shapes().items()}


@pytest.fixture(scope="module")
def network(checkpoint: dict[str, Tensor]) -> Iterator[nn.Module]:
    return from_reference("htnet", checkpoint)


@pytest.fixture
def clips() -> Tensor:
    return torch.rand(3, 3, 28, 28, generator=torch.Generator().manual_seed(1)) * 255


class TestReleased:
    def test_the_published_checkpoint_gives_the_published_network(
        self, network: nn.Module, checkpoint: dict[str, Tensor], clips: Tensor
    ) -> None:
        with torch.inference_mode():
            torch.testing.assert_close(network(clips), published_forward(checkpoint, clips), rtol=1e-4, atol=1e-4)

    def test_queries_and_keys_are_kept(self, network: nn.Module, checkpoint: dict[str, Tensor]) -> None:
        attention = network.levels[1].blocks[0].attention
        published = checkpoint["layers.1.0.layers.0.0.fn.to_qkv.weight"]
        assert torch.equal(torch.cat([attention.query_key.weight, attention.value.weight]), published)

    def test_leaving_out_queries_and_keys_changes_nothing(self, network: nn.Module, clips: Tensor) -> None:
        attention = network.levels[1].blocks[0].attention
        x = torch.randn(5, 512, 1, 1)
        with torch.inference_mode():
            assert torch.equal(attention(x), PlainAttention(attention)(x))

    def test_counts_are_the_published_ones(self) -> None:
        counted = complexity(models()["htnet"], 3)
        assert counted.params == PARAMETERS
        # Three position scalars belong to modules with children, which the rules overlook.
        assert (counted.counted_params, counted.flops) == (PARAMETERS - 3, 214_449_152)
        assert counted.mem_rw_bytes == 729_634_648

    def test_only_the_declared_parameters_get_no_gradient(self, network: nn.Module, clips: Tensor) -> None:
        network(clips).square().sum().backward()
        dead = {name: p for name, p in network.named_parameters() if p.grad is None}
        idle = [name for name, p in network.named_parameters() if p.grad is not None and not p.grad.any()]
        network.zero_grad()
        assert idle == []
        assert all(any(part in name for part in models()["htnet"].dead) for name in dead)
        assert sum(p.numel() for p in dead.values()) == QUERIES_AND_KEYS

    def test_the_position_of_the_last_level_cannot_change_the_answer(self, network: nn.Module, clips: Tensor) -> None:
        with torch.inference_mode():
            before = network(clips)
            network.levels[2].position += 1
            after = network(clips)
            network.levels[2].position -= 1
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)

    def test_a_patch_reaches_its_own_token_only(self, network: nn.Module, clips: Tensor) -> None:
        assert reached(network.embed, network.levels[0], clips, row=8, column=15) == {(1, 2)}

    def test_clips_do_not_depend_on_the_batch_or_the_memory_format(self, network: nn.Module, clips: Tensor) -> None:
        independent_of_batch(network, clips)

    def test_a_checkpoint_of_another_shape_is_refused(self, checkpoint: dict[str, Tensor]) -> None:
        name = "layers.0.0.layers.0.0.fn.to_qkv.weight"
        with pytest.raises(WrongCheckpoint, match=name.replace(".", r"\.")):
            from_reference("htnet", {**checkpoint, name: torch.zeros(768, 256, 1, 1)})

    def test_other_numbers_of_classes(self) -> None:
        shapes = models()["htnet"].reference.shapes(5)
        assert dict(shapes) == published_shapes(5)


class TestFixed:
    @pytest.fixture
    def network(self) -> nn.Module:
        torch.manual_seed(0)
        return models()["htnet_fixed"].build(3)

    def test_size(self, network: nn.Module, clips: Tensor) -> None:
        assert sum(p.numel() for p in network.parameters()) == 148_867
        shapes = []
        for module in (network.regions, network.merge, network.face):
            module.register_forward_hook(lambda module, args, output: shapes.append(tuple(output.shape[1:])))
        assert network(clips).shape == (3, 3)
        assert shapes == [(32, 14, 14), (64, 7, 7), (64, 7, 7)]

    def test_every_parameter_gets_a_gradient(self, network: nn.Module, clips: Tensor) -> None:
        network(clips / 127.5 - 1).square().sum().backward()
        assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []
        assert models()["htnet_fixed"].dead == ()

    def test_attention_stays_within_a_region_and_reaches_all_of_it(self, network: nn.Module, clips: Tensor) -> None:
        tokens = reached(network.embed, network.regions, clips / 127.5 - 1, row=3, column=20)  # the upper right crop
        assert tokens == {(row, column) for row in range(7) for column in range(7, 14)}

    def test_the_second_level_reaches_the_whole_face(self, network: nn.Module, clips: Tensor) -> None:
        front = nn.Sequential(network.embed, network.regions, network.merge)
        assert len(reached(front, network.face, clips / 127.5 - 1, row=0, column=0)) == 49

    def test_attention_is_a_weighted_mean_of_values(self, network: nn.Module) -> None:
        attention = network.regions.blocks[0].attention
        x = torch.randn(2, 32, 7, 7)
        tokens = x.flatten(2).transpose(1, 2)  # [2, 49, 32]
        q, k = F.linear(tokens, attention.query_key.weight.flatten(1)).chunk(2, -1)
        v = F.linear(tokens, attention.value.weight.flatten(1))
        heads = [
            F.scaled_dot_product_attention(*(part[..., first : first + 16] for part in (q, k, v))) for first in (0, 16)
        ]
        expected = F.linear(torch.cat(heads, -1), attention.out.weight.flatten(1), attention.out.bias)
        torch.testing.assert_close(attention(x), expected.transpose(1, 2).reshape(x.shape), rtol=1e-4, atol=1e-5)

    def test_where_something_moves_within_a_region_matters(self, network: nn.Module) -> None:
        """Attention alone is blind to order; the learned positions are not."""
        x = torch.randn(1, 32, 14, 14)
        mean = network.regions(x)[..., :7, :7].mean((2, 3))
        moved = network.regions(x.flip(-1))[..., :7, 7:].mean((2, 3))
        assert not torch.allclose(mean, moved, atol=1e-4)

    def test_clips_do_not_depend_on_the_batch_or_the_memory_format(self, network: nn.Module, clips: Tensor) -> None:
        independent_of_batch(network.eval(), clips / 127.5 - 1)


def reached(front: nn.Module, level: nn.Module, clips: Tensor, row: int, column: int) -> set[tuple[int, int]]:
    """Tokens that change after a level when one pixel changes."""
    other = clips[:1].clone()
    other[..., row, column] += 1
    with torch.inference_mode():
        change = (level(front(other)) - level(front(clips[:1]))).abs().amax((0, 1))
    return {(r, c) for r, c in change.nonzero().tolist()}


def independent_of_batch(network: nn.Module, clips: Tensor) -> None:
    with torch.inference_mode():
        whole = network(clips)
        turned = clips.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2)
        for same in (clips.contiguous(memory_format=torch.channels_last), turned):
            torch.testing.assert_close(network(same), whole, rtol=1e-4, atol=1e-4)
        parts = torch.cat([network(clips[i : i + 1]) for i in (2, 0)])
    torch.testing.assert_close(parts, whole[[2, 0]], rtol=1e-4, atol=1e-4)
