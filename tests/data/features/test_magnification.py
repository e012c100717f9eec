"""Magnified motion: measured by flow on planted shifts, and which frames the feature takes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from clips import bump, clip, computed, moved, texture

from mer_data.features.flow import grey, tvl1
from mer_data.features.magnification import (
    FACTORS,
    around_apex,
    eulerian_change,
    magnified_frames,
    magnify_eulerian,
    magnify_lagrangian,
)
from mer_data.features.spec import ClipFrames
from mer_data.problems import BadInput

Magnify = Callable[[np.ndarray, np.ndarray, float], np.ndarray]
both = pytest.mark.parametrize("magnify", [magnify_eulerian, magnify_lagrangian])


@both
def test_factor_1_gives_the_frame(magnify: Magnify) -> None:
    frames = clip(1, 5, 9, peak=2)
    assert (magnify(frames.images[0], frames.images[4], 1) == frames.images[4]).all()


@both
def test_without_motion_nothing_changes(magnify: Magnify) -> None:
    picture = texture().astype(np.uint8)
    assert np.abs(magnify(picture, picture, 12).astype(int) - picture).max() <= 1


@pytest.mark.parametrize(
    ("shift", "factor"), [((0.1, 0.0), 8), ((0.0, 0.1), 12), ((0.25, 0.0), 4), ((0.25, -0.25), 4), ((0.5, 0.0), 2)]
)
def test_eulerian_makes_a_shift_longer_up_to_a_pixel(shift: tuple[float, float], factor: float) -> None:
    np.testing.assert_allclose(after_magnifying(magnify_eulerian, shift, factor), np.multiply(factor, shift), atol=0.15)


def test_eulerian_falls_short_beyond() -> None:
    """It is documented, so nobody should take the factor for a promise."""
    u, _ = after_magnifying(magnify_eulerian, (0.5, 0.0), 8)
    assert 1.5 < u < 3.5


@pytest.mark.parametrize(
    ("shift", "factor"), [((0.25, 0.0), 8), ((0.5, 0.0), 12), ((0.5, -0.25), 4), ((0.0, 0.5), 2), ((1.0, 0.5), 4)]
)
def test_lagrangian_makes_a_shift_longer_up_to_some_pixels(shift: tuple[float, float], factor: float) -> None:
    found = after_magnifying(magnify_lagrangian, shift, factor)
    np.testing.assert_allclose(found, np.multiply(factor, shift), atol=0.1)


def after_magnifying(magnify: Magnify, shift: tuple[float, float], factor: float) -> np.ndarray:
    """Mean u and v, from the onset to the magnified frame, of the inner part of a shifted texture."""
    picture = texture(96, 96, sigma=3)
    onset, frame = moved(picture, 0, 0), moved(picture, *shift)
    return tvl1(grey(onset), grey(magnify(onset, frame, factor)))[:, 20:-20, 20:-20].mean(axis=(1, 2))


def test_a_local_motion_becomes_longer_where_it_is() -> None:
    picture, spot = texture(), bump(128, (70, 60), 14)
    onset, frame = moved(picture, 0, 0), moved(picture, 0, spot)
    found = tvl1(grey(onset), grey(magnify_lagrangian(onset, frame, 4)))[1]
    before = tvl1(grey(onset), grey(frame))[1].max()  # TV-L1 flattens peaks, here to 0.9
    assert found.max() / before == pytest.approx(4, abs=0.4)
    assert np.corrcoef(found.ravel(), spot.ravel())[0, 1] > 0.9


def test_light_and_the_finest_noise_are_not_amplified() -> None:
    picture = texture().astype(np.uint8)
    assert np.abs(eulerian_change(picture, picture + 10)).max() < 1e-3
    y, x = np.mgrid[:128, :128]
    checks = np.where((x + y) % 2, 5, 0).astype(np.uint8)[..., None]
    assert np.abs(eulerian_change(picture, picture + checks)).max() < 0.2


def test_colours_change_in_luminance_only() -> None:
    frames = clip(1, 5, 9, peak=1)
    magnified = magnify_eulerian(frames.images[0], frames.images[4], 4)
    change = magnified.astype(int) - frames.images[4]
    unclipped = ((magnified > 0) & (magnified < 255)).all(axis=2)
    assert np.abs(change).max() > 5
    assert unclipped.mean() > 0.9
    assert (np.ptp(change, axis=2)[unclipped] == 0).all()


@pytest.mark.parametrize(
    ("onset", "apex", "offset", "count", "expected"),
    [
        pytest.param(10, 20, 40, 5, [10, 15, 20, 25, 30], id="to the nearer end"),
        pytest.param(10, 20, 30, 11, [10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30], id="whole clip"),
        pytest.param(10, 18, 20, 5, [16, 17, 18, 19, 20], id="one apart"),
        pytest.param(10, 20, 20, 5, [18, 19, 20, 20, 20], id="apex is offset"),
        pytest.param(10, 11, 12, 5, [10, 10, 11, 12, 12], id="short clip"),
        pytest.param(10, 20, 40, 1, [20], id="the apex"),
    ],
)
def test_frames_around_the_apex(onset: int, apex: int, offset: int, count: int, expected: list[int]) -> None:
    numbers = tuple(range(onset, offset + 1))
    images = [np.full((2, 2, 3), number, np.uint8) for number in numbers]
    chosen = around_apex(ClipFrames(images, numbers, onset, apex), count)
    assert [int(image[0, 0, 0]) for image in chosen] == expected


def test_a_frame_that_is_not_on_disk_gives_way_to_its_neighbour() -> None:
    numbers = (10, 12, 13, 20, 30)
    images = [np.full((2, 2, 3), number, np.uint8) for number in numbers]
    chosen = around_apex(ClipFrames(images, numbers, 10, 20), 5)
    assert [int(image[0, 0, 0]) for image in chosen] == [10, 13, 20, 20, 30]


@pytest.mark.parametrize(
    ("method", "magnify", "numbers"),
    [("eulerian", magnify_eulerian, (1, 5, 9)), ("lagrangian", magnify_lagrangian, (5,))],
)
def test_frames_by_factors(method: str, magnify: Magnify, numbers: tuple[int, ...]) -> None:
    frames = clip(1, 5, 9, side=224)
    found = magnified_frames(frames, len(numbers), (1, 3.5), method)
    assert (found.shape, found.dtype) == ((len(numbers), 2, 224, 224, 3), np.uint8)
    for images, number in zip(found, numbers, strict=True):
        frame = frames.images[frames.numbers.index(number)]
        assert (images[0] == frame).all()
        assert (images[1] == magnify(frames.images[0], frame, 3.5)).all()


def test_factors_are_nine_from_2_to_12() -> None:
    assert FACTORS == (2, 3.25, 4.5, 5.75, 7, 8.25, 9.5, 10.75, 12)


def test_golden_values() -> None:
    found = computed("magnified_11x9", clip(3, 9, 14))
    golden = {(5, 0, 90, 134, 0): 122, (5, 4, 90, 134, 1): 7, (5, 8, 100, 120, 0): 255, (8, 3, 80, 140, 1): 162}
    assert {place: int(found[place]) for place in golden} == pytest.approx(golden, abs=1)


def test_a_clip_without_apex_is_refused() -> None:
    frames = clip(3, 7, 9)
    with pytest.raises(BadInput, match="no apex between its frames 3 and 9"):
        computed("magnified_11x9", ClipFrames(frames.images, frames.numbers, 3, 0))


def test_frames_of_two_sizes_are_refused() -> None:
    images = [np.zeros((30, 40, 3), np.uint8), np.zeros((31, 40, 3), np.uint8)]
    with pytest.raises(ValueError, match="40x30 and 40x31"):
        computed("magnified_11x9", ClipFrames(images, (1, 2), 1, 2))
