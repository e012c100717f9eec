"""Temporal interpolation against the method as published, and against curves that are known."""

from __future__ import annotations

import numpy as np
import pytest

from mer_data.features.tim import linear, tim, tim_bytes, tim_weights


def as_published(frames: np.ndarray, n: int) -> np.ndarray:
    """TIM step by step, with its decomposition: frames ``[T, pixels]`` to ``[n, pixels]``."""
    length = len(frames)
    mean = frames.mean(axis=0)
    u, s, vt = np.linalg.svd((frames - mean).T, full_matrices=False)
    kept = s > 1e-10 * s[0]  # one direction less than frames, fewer if frames are dependent
    u, q = u[:, kept], (s[:, None] * vt)[kept]
    k = np.arange(1, length)

    def curve(t: np.ndarray) -> np.ndarray:
        return np.sin(np.pi * np.outer(k, t) + (np.pi * (length - k) / (2 * length))[:, None])

    nodes = np.arange(1, length + 1) / length
    w = np.linalg.lstsq(q @ q.T, q @ curve(nodes).T, rcond=None)[0]
    wanted = curve(np.linspace(1 / length, 1, n))
    return (u @ np.linalg.lstsq(w.T, wanted, rcond=None)[0]).T + mean


@pytest.mark.parametrize("length", [3, 5, 10, 20])
def test_the_same_length_gives_the_same_frames(length: int) -> None:
    frames = np.random.default_rng(length).random((length, 5, 10))
    np.testing.assert_allclose(tim(frames, length), frames, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("length", "n"), [(3, 10), (7, 10), (10, 4), (20, 64), (40, 10)])
def test_it_is_the_published_method(length: int, n: int) -> None:
    frames = np.random.default_rng(length).random((length, 60))
    np.testing.assert_allclose(tim(frames, n), as_published(frames, n), atol=1e-10)


def test_equal_frames_are_no_singular_case() -> None:
    frames = np.random.default_rng(0).random((8, 60))
    frames[5] = frames[4]
    frames[1] = frames[0]
    np.testing.assert_allclose(tim(frames, 13), as_published(frames, 13), atol=1e-10)
    still = np.full((6, 4, 4), 7, np.uint8)
    np.testing.assert_allclose(tim(still, 10), 7, atol=1e-12)


@pytest.mark.parametrize("length", [3, 8, 33])
def test_each_curve_sums_to_zero_so_that_shares_sum_to_one(length: int) -> None:
    t, k = np.arange(1, length + 1) / length, np.arange(1, length)[:, None]
    curves = np.sin(np.pi * k * t + np.pi * (length - k) / (2 * length))
    np.testing.assert_allclose(curves.sum(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(tim_weights(length, 50).sum(axis=1), 1, atol=1e-12)


def test_frames_on_a_straight_line_stay_near_it() -> None:
    line = np.linspace(0, 1, 9)[:, None]
    found = tim(line, 17)[:, 0]
    np.testing.assert_allclose(found[::2], line[:, 0], rtol=0, atol=1e-14)
    away = np.abs(found - np.linspace(0, 1, 17))[1::2]
    assert 0.005 < away.max() < 0.0065  # 0.6 % of the range: the curve is made of sines
    np.testing.assert_allclose(linear(line, 17)[:, 0], np.linspace(0, 1, 17), atol=1e-14)


def test_one_frame_is_repeated_and_two_are_joined_by_a_line() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (1, 3, 4))
    assert (tim(frame, 5) == frame).all()
    assert tim(np.array([[0.0], [8.0]]), 5).ravel().tolist() == [0, 2, 4, 6, 8]


def test_linear_takes_neighbours_only() -> None:
    frames = np.array([[0.0], [4.0], [1.0], [9.0]])
    assert linear(frames, 7).ravel().tolist() == [0, 2, 4, 2.5, 1, 5, 9]
    assert linear(frames, 4).ravel().tolist() == [0, 4, 1, 9]


def test_bytes_are_rounded_and_never_wrap() -> None:
    steep = np.array([0, 0, 255, 255, 0, 0], np.uint8)[:, None]
    exact, found = tim(steep, 21), tim_bytes(steep, 21)
    assert exact.min() < 0
    assert exact.max() > 255
    assert found.dtype == np.uint8
    assert np.abs(found - exact.clip(0, 255)).max() <= 0.5


@pytest.mark.parametrize(("length", "n"), [(0, 10), (5, 0), (1, 0)])
def test_nothing_cannot_be_interpolated(length: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"{length} frames to {n}"):
        tim(np.zeros((length, 2)), n)


def test_golden_values() -> None:
    frames = np.array([0.0, 1, 3, 2, 5])[:, None]
    np.testing.assert_allclose(tim(frames, 9).ravel(), [0, 0.0458, 1, 2.4065, 3, 2.4408, 2, 3.0125, 5], atol=1e-3)
