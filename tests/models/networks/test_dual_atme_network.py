"""Dual-ATME: two inception towers, one attention module, and a penalty on features that differ."""

import pytest
import torch
from torch import Tensor, nn

from mer_models.complexity import complexity
from mer_models.reference import WrongCheckpoint, from_reference
from mer_models.spec import models

SPEC = models()["dual_atme"]


def published_shapes() -> dict[str, tuple[int, ...]]:
    """The published checkpoint, in its order."""
    shapes: dict[str, tuple[int, ...]] = {}

    def unit(name: str, index: int, channels: int, filters: int, kernel: int) -> None:
        shapes.update(
            {f"{name}.{index}.weight": (filters, channels, kernel, kernel), f"{name}.{index}.bias": (filters,)}
        )
        normal(f"{name}.{index + 1}", filters)

    def normal(name: str, width: int) -> None:
        shapes.update({f"{name}.{key}": (width,) for key in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{name}.num_batches_tracked"] = ()

    for tower in (1, 2):
        for stage, channels, filters in ((1, 3, 6), (2, 24, 12)):
            name = f"Inception{tower}_{stage}"
            unit(f"{name}.branch1x1", 0, channels, filters, 1)
            for kernel in (3, 5):
                unit(f"{name}.branch{kernel}x{kernel}", 0, channels, 6, 1)
                unit(f"{name}.branch{kernel}x{kernel}", 3, 6, filters, kernel)
            unit(f"{name}.branch_pool", 1, channels, filters, 1)
    shapes |= {"cbam.shared_MLP.0.weight": (3, 48), "cbam.shared_MLP.0.bias": (3,)}
    shapes |= {"cbam.shared_MLP.2.weight": (48, 3), "cbam.shared_MLP.2.bias": (48,)}
    shapes |= {"cbam.conv2d.weight": (1, 2, 3, 3), "cbam.conv2d.bias": (1,)}
    shapes |= {"fc.0.weight": (1024, 4704), "fc.0.bias": (1024,)}
    normal("fc.1", 1024)
    return shapes | {"fc.4.weight": (3, 1024), "fc.4.bias": (3,)}


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return SPEC.build(3).eval()


@pytest.fixture
def pictures() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    return tuple(torch.rand(4, 3, 28, 28, generator=random) * 2 - 1 for _ in range(2))


def test_counts_are_the_published_ones() -> None:
    counted = complexity(SPEC, 3)
    assert (counted.params, counted.flops, counted.mem_rw_bytes) == (4_833_193, 8_496_038, 21_439_980)


def test_shapes_of_the_layers(network: nn.Module, pictures: tuple[Tensor, Tensor]) -> None:
    for tower, x in zip((network.face, network.puzzle), pictures, strict=True):
        shapes = []
        for layer in tower:
            x = layer(x)
            shapes.append(tuple(x.shape[1:]))
        assert shapes == [(24, 28, 28), (24, 14, 14), (48, 14, 14), (48, 7, 7)]
    assert [tuple(one.shape) for one in network.features(*pictures)] == [(4, 2352), (4, 2352)]
    assert network(*pictures).shape == (4, 3)


def test_both_towers_go_through_one_attention_module(network: nn.Module, pictures: tuple[Tensor, Tensor]) -> None:
    calls = []
    handle = network.cbam.register_forward_hook(lambda module, args, output: calls.append(args[0]))
    network(*pictures)
    handle.remove()
    assert len(calls) == 2
    torch.testing.assert_close(calls[0], network.face(pictures[0]))
    torch.testing.assert_close(calls[1], network.puzzle(pictures[1]))


def test_attention_gates_channels_then_positions(network: nn.Module) -> None:
    x = torch.randn(2, 48, 7, 7)
    flat = x.flatten(2)
    first, _, second = network.cbam.shared_mlp

    def mlp(v: Tensor) -> Tensor:
        return (v @ first.weight.T + first.bias).clamp(min=0) @ second.weight.T + second.bias

    y = x * torch.sigmoid(mlp(flat.mean(2)) + mlp(flat.max(2).values)).reshape(2, 48, 1, 1)
    gate = torch.nn.functional.conv2d(
        torch.stack([y.mean(1), y.max(1).values], 1), network.cbam.conv.weight, network.cbam.conv.bias, padding=1
    )
    torch.testing.assert_close(network.cbam(x), y * torch.sigmoid(gate))


def test_the_towers_share_no_other_weight(network: nn.Module) -> None:
    ours = {id(p) for p in network.face.parameters()}
    assert not ours & {id(p) for p in network.puzzle.parameters()}


def test_the_penalty_is_one_minus_cosine(network: nn.Module, pictures: tuple[Tensor, Tensor]) -> None:
    logits, penalty = network.with_penalty(*pictures)
    one, other = network.features(*pictures)
    cosines = [torch.dot(a, b) / (a.norm() * b.norm()) for a, b in zip(one, other, strict=True)]
    torch.testing.assert_close(penalty, 1 - sum(cosines) / 4)
    assert torch.equal(logits, network(*pictures))
    assert 0 < penalty.item() < 1  # the features are positive, and differ


def test_the_penalty_draws_the_towers_together(pictures: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    network = SPEC.build(3).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    penalties = []
    for _ in range(8):
        penalty = network.with_penalty(*pictures)[1]
        optimizer.zero_grad()
        penalty.backward()
        optimizer.step()
        penalties.append(penalty.item())
    assert penalties[-1] < 0.8 * penalties[0]


def test_the_order_of_the_inputs_matters(network: nn.Module, pictures: tuple[Tensor, Tensor]) -> None:
    face, puzzle = pictures
    assert not torch.allclose(network(face, puzzle), network(puzzle, face), atol=1e-3)


def test_clips_do_not_depend_on_the_batch_or_the_memory_format(
    network: nn.Module, pictures: tuple[Tensor, Tensor]
) -> None:
    whole = network(*pictures)
    torch.testing.assert_close(network(*(x.to(memory_format=torch.channels_last) for x in pictures)), whole)
    parts = torch.cat([network(*(x[i : i + 1] for x in pictures)) for i in (3, 1)])
    torch.testing.assert_close(parts, whole[[3, 1]], rtol=1e-4, atol=1e-5)


def test_the_recipe_is_the_published_one() -> None:
    recipe = SPEC.recipe
    assert (recipe.loss, recipe.penalty, recipe.lr, recipe.epochs, recipe.batch_size) == ("focal", 0.01, 1e-3, 60, 128)
    assert recipe.step_every == 0


class TestCheckpoint:
    @pytest.fixture
    def checkpoint(self) -> dict[str, Tensor]:
        return {key: torch.rand(shape) if shape else torch.tensor(7) for key, shape in published_shapes().items()}

    def test_every_tensor_finds_its_place(self, checkpoint: dict[str, Tensor]) -> None:
        assert dict(SPEC.reference.shapes(3)) == published_shapes()
        network = from_reference("dual_atme", checkpoint)
        for published, ours in (
            ("Inception1_1.branch3x3.3.weight", network.face[0].branch3x3[3].weight),
            ("Inception1_2.branch_pool.2.running_var", network.face[2].branch_pool[2].running_var),
            ("Inception2_1.branch5x5.0.bias", network.puzzle[0].branch5x5[0].bias),
            ("Inception2_2.branch1x1.1.weight", network.puzzle[2].branch1x1[1].weight),
            ("cbam.conv2d.weight", network.cbam.conv.weight),
            ("fc.4.weight", network.head[4].weight),
        ):
            assert torch.equal(checkpoint[published], ours)

    def test_a_key_of_another_network_is_refused(self, checkpoint: dict[str, Tensor]) -> None:
        with pytest.raises(WrongCheckpoint, match=r"unknown fc\.9\.weight"):
            from_reference("dual_atme", {**checkpoint, "fc.9.weight": torch.zeros(1)})
