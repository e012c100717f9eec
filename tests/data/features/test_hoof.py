"""HOOF and BiWOOF against flow fields whose directions are known."""

from __future__ import annotations

import numpy as np
import pytest
from clips import bump, choose, clip, computed, moved, texture

from mer_data.features import hoof as module
from mer_data.features.hoof import hoof, hoof_symmetric
from mer_data.features.spec import ClipFrames


def field(degrees: float, magnitude: float = 1.0) -> np.ndarray:
    """The same motion everywhere, at an angle that is counted clockwise on the screen from the right."""
    angle = np.deg2rad(degrees)
    u, v = magnitude * np.cos(angle), magnitude * np.sin(angle)
    return np.stack([np.full((6, 5), u), np.full((6, 5), v)]).astype(np.float32)


@pytest.mark.parametrize("bins", [4, 8])
def test_each_direction_has_its_bin(bins: int) -> None:
    for expected in range(bins):
        found = hoof(field((expected + 0.5) * 360 / bins), bins)
        assert found.tolist() == [float(i == expected) for i in range(bins)]


def test_angles_grow_clockwise_from_the_right() -> None:
    # The angle is close above a bin's lower edge: to the right, down, to the left, up.
    assert [int(hoof(field(degrees + 1), 8).argmax()) for degrees in (0, 90, 180, 270)] == [0, 2, 4, 6]
    assert [int(hoof(field(degrees - 1), 8).argmax()) for degrees in (0, 90, 180, 270)] == [7, 1, 3, 5]


def test_votes_are_magnitudes_and_sum_to_one() -> None:
    flow = np.concatenate([field(10, 3.0), field(100, 1.0)], axis=1)
    np.testing.assert_allclose(hoof(flow, 4), [0.75, 0.25, 0, 0], atol=1e-7)
    noise = np.random.default_rng(0).standard_normal((2, 20, 20)).astype(np.float32)
    assert hoof(noise, 8).sum() == pytest.approx(1)
    assert hoof_symmetric(noise, 8).sum() == pytest.approx(1)


def test_the_histogram_is_that_of_numpy() -> None:
    u, v = flow = np.random.default_rng(1).standard_normal((2, 30, 40)).astype(np.float32)
    angle = np.mod(np.arctan2(v, u, dtype=float), 2 * np.pi)
    expected, _ = np.histogram(angle, 8, (0, 2 * np.pi), weights=np.hypot(u, v))
    np.testing.assert_allclose(hoof(flow, 8), expected / expected.sum(), atol=1e-6)


def test_no_motion_gives_zeros() -> None:
    assert hoof(np.zeros((2, 4, 4), np.float32), 8).tolist() == [0] * 8
    assert hoof_symmetric(np.zeros((2, 4, 4), np.float32), 8).tolist() == [0] * 8


def test_symmetric_takes_left_for_right() -> None:
    flow = np.random.default_rng(2).standard_normal((2, 20, 20)).astype(np.float32)
    mirrored = flow * np.float32([-1, 1])[:, None, None]
    np.testing.assert_allclose(hoof_symmetric(flow, 6), hoof_symmetric(mirrored, 6), atol=1e-12)
    assert hoof(field(10), 6).tolist() != hoof(field(170), 6).tolist()
    # From -90 to 90 degrees: upwards is first, downwards is last.
    assert hoof_symmetric(field(-80), 6).tolist() == [1, 0, 0, 0, 0, 0]
    assert hoof_symmetric(field(100), 6).tolist() == [0, 0, 0, 0, 0, 1]
    assert hoof_symmetric(field(170), 6).tolist() == [0, 0, 0, 1, 0, 0]


def test_motion_of_a_clip_falls_into_its_bin() -> None:
    picture = texture(96, 96)
    numbers = tuple(range(1, 11))
    rising = ClipFrames([moved(picture, 0.8 * i, -0.4 * i) for i in range(10)], numbers, 1, 5)
    columns = computed("hoof_tim10_8", rising)
    assert columns.argmax(axis=0).tolist() == [7] * 9  # to the right and a little upwards: -27 degrees
    assert columns[7].min() > 0.8
    still = ClipFrames([picture.astype(np.uint8)] * 4, (1, 2, 3, 4), 1, 2)
    assert not computed("hoof_tim10_8", still).any()


@pytest.mark.parametrize(
    ("name", "golden"),
    [
        ("hoof_tim10_4", {(1, 0): 0.1065, (2, 3): 0.4688, (3, 4): 0.1418, (0, 6): 0.2512, (3, 8): 0.0601}),
        ("hoof_tim10_8", {(1, 0): 0.0678, (2, 3): 0.0746, (3, 4): 0.0352, (0, 6): 0.0669, (7, 8): 0.0298}),
    ],
)
def test_registered_features(name: str, golden: dict[tuple[int, int], float]) -> None:
    columns = computed(name, clip(3, 7, 12))
    np.testing.assert_allclose(columns.sum(axis=0), 1, atol=1e-5)
    assert {place: columns[place] for place in golden} == pytest.approx(golden, abs=1e-3)


@pytest.mark.parametrize("bins", [4, 8])
def test_64_columns_are_64_pairs(bins: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a flow that costs nothing: how bright the second frame is tells the direction."""
    seen: list[np.ndarray] = []

    def flow(before: np.ndarray, after: np.ndarray) -> np.ndarray:
        seen.append(before)
        assert before.shape == after.shape == (96, 96)
        return field(float(after.mean()))

    monkeypatch.setattr(module, "tvl1", flow)
    # From 0 to 252 grey levels, so that directions go from 0 to 252 degrees.
    frames = [np.full((50, 40, 3), level, np.uint8) for level in range(0, 253, 4)]
    columns = computed(f"hoof_tim64_{bins}", ClipFrames(frames, tuple(range(1, 65)), 1, 30))
    assert len(seen) == 64
    assert columns.sum(axis=0).tolist() == [1] * 64
    direction = columns.argmax(axis=0)
    assert (np.diff(direction) >= 0).all()
    assert (direction[0], direction[-1]) == (0, int(252 / 360 * bins))


def pair(u: np.ndarray | float, v: np.ndarray | float) -> ClipFrames:
    picture = texture(100, 100)
    return ClipFrames([moved(picture, 0, 0), moved(picture, u, v)], (1, 5), 1, 5)


def test_biwoof_is_strong_where_and_in_which_direction_the_face_moves() -> None:
    spot = bump(100, (70, 30), 6)  # in block 8 of 25: row 1, column 3
    found = computed("biwoof", pair(0, 2 * spot)).reshape(25, 8)
    assert found.sum(axis=1).argmax() == 8
    assert found.sum(axis=0).argmax() in (5, 6)  # downwards is 90 degrees, the edge of these two
    assert found[8].sum() > 0.5 * found.sum()
    assert found[8, 5:7].sum() > 0.9 * found[8].sum()
    assert computed("biwoof", pair(2 * spot, 0)).reshape(25, 8)[8].argmax() in (3, 4)  # to the right: 0 degrees
    assert computed("biwoof", pair(-2 * spot, -spot)).reshape(25, 8)[8].argmax() == 0  # from -180 to -135 degrees


def test_biwoof_of_a_shift_is_weak_because_nothing_is_strained() -> None:
    shift = computed("biwoof", pair(0, 1)).reshape(25, 8)[[6, 7, 8, 11, 12, 13, 16, 17, 18]]
    stretch = computed("biwoof", pair(0, bump(100, (50, 50), 15))).reshape(25, 8)
    assert shift.sum() < 0.5 * stretch.sum()
    assert not computed("biwoof", pair(0, 0)).any()


def test_biwoof_golden_values() -> None:
    found = computed("biwoof", choose(clip(3, 7, 12), 3, 7)).reshape(25, 8)
    golden = {(8, 1): 59.3267, (7, 2): 37.7579, (8, 2): 18.7673, (18, 1): 2.3008}
    assert {place: found[place] for place in golden} == pytest.approx(golden, rel=1e-3)


def test_biwoof_refuses_frames_of_two_sizes() -> None:
    frames = ClipFrames([np.zeros((30, 40, 3), np.uint8), np.zeros((31, 40, 3), np.uint8)])
    with pytest.raises(ValueError, match="40x30 and 40x31"):
        computed("biwoof", frames)
