"""ATN's inputs: where the rows of the points lie in time, what they hold, and the picture of the apex."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from clips import choose, clip, computed, moved, texture

from mer_data.features import points as module
from mer_data.features.spec import ClipFrames
from mer_data.problems import BadInput


def marked(numbers: tuple[int, ...], apex: int) -> ClipFrames:
    """Frames whose grey level is their number."""
    return ClipFrames([np.full((20, 30, 3), number, np.uint8) for number in numbers], numbers, numbers[0], apex)


@pytest.fixture
def cheap_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flow that tells which two frames it is of: u is the number of the first, v that of the second."""

    def flow(before: np.ndarray, after: np.ndarray) -> np.ndarray:
        return np.stack([before, after]).astype(np.float32)

    monkeypatch.setattr(module, "tvl1", flow)


def pairs(frames: ClipFrames) -> dict[int, tuple[int, int]]:
    """The frames that each row which is not 0 was computed from."""
    steps = computed("atn_points", frames)
    found = {}
    for row in np.flatnonzero(steps.any(axis=1)):
        angle, magnitude = steps[row, 0::2], steps[row, 1::2]
        u, v = magnitude * np.cos(angle), magnitude * np.sin(angle)
        found[int(row)] = (round(float(u[0])), round(float(v[0])))
    return found


@pytest.mark.usefixtures("cheap_flow")
def test_the_apex_is_row_32_and_each_row_is_the_motion_to_its_frame() -> None:
    found = pairs(marked(tuple(range(50, 61)), apex=54))
    assert found == {32 + number - 54: (number - 1, number) for number in range(51, 61)}


@pytest.mark.usefixtures("cheap_flow")
def test_what_lies_further_than_the_window_is_left_out() -> None:
    found = pairs(marked(tuple(range(10, 201)), apex=100))
    assert found == {row: (67 + row, 68 + row) for row in range(64)}
    assert pairs(marked(tuple(range(10, 201)), apex=200)) == {row: (167 + row, 168 + row) for row in range(33)}


@pytest.mark.usefixtures("cheap_flow")
def test_a_frame_that_is_not_on_disk_leaves_its_row_empty() -> None:
    assert pairs(marked((50, 51, 54, 55), apex=51)) == {32: (50, 51), 35: (51, 54), 36: (54, 55)}


def test_angle_and_magnitude_are_interleaved_by_rows_of_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = np.random.default_rng(0).standard_normal((2, 8, 8)).astype(np.float32)
    monkeypatch.setattr(module, "tvl1", lambda before, after: cells.repeat(12, axis=1).repeat(12, axis=2))
    row = computed("atn_points", marked((1, 2), apex=2))[32]
    u, v = cells.reshape(2, 64)
    np.testing.assert_allclose(row[0::2], np.arctan2(v, u), atol=1e-5)
    np.testing.assert_allclose(row[1::2], np.hypot(u, v), atol=1e-5)


def test_vectors_are_averaged_never_angles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of each cell moves at 170 degrees and half at -170: the mean is 180 degrees, not 0."""
    angle = np.deg2rad(np.where(np.arange(96) % 2, 170.0, -170.0)) * np.ones((96, 1))
    monkeypatch.setattr(module, "tvl1", lambda before, after: np.stack([np.cos(angle), np.sin(angle)]))
    row = computed("atn_points", marked((1, 2), apex=2))[32]
    np.testing.assert_allclose(np.abs(row[0::2]), np.pi, atol=1e-4)
    np.testing.assert_allclose(row[1::2], np.cos(np.deg2rad(10)), atol=1e-4)


def test_a_clip_that_moves_right_and_down() -> None:
    picture = texture(96, 96)
    frames = ClipFrames([moved(picture, 0.5 * i, 0.5 * i) for i in range(4)], (7, 8, 9, 10), 7, 9)
    steps = computed("atn_points", frames)
    inner = np.arange(64).reshape(8, 8)[1:-1, 1:-1].ravel()
    np.testing.assert_allclose(steps[31:34][:, 2 * inner], np.pi / 4, atol=0.2)
    np.testing.assert_allclose(steps[31:34][:, 2 * inner + 1], 0.5 * 2**0.5, atol=0.08)


@pytest.mark.parametrize("apex", [0, 4, 13])
def test_a_clip_without_apex_is_refused(apex: int) -> None:
    with pytest.raises(BadInput, match="no apex between its frames 5 and 12"):
        computed("atn_points", marked(tuple(range(5, 13)), apex))


def test_frames_of_two_sizes_are_refused() -> None:
    images = [np.zeros((30, 40, 3), np.uint8), np.zeros((31, 40, 3), np.uint8)]
    with pytest.raises(ValueError, match="40x30 and 40x31"):
        computed("atn_points", ClipFrames(images, (1, 2), 1, 2))


def test_golden_values() -> None:
    steps = computed("atn_points", clip(3, 7, 12))
    assert np.flatnonzero(steps.any(axis=1)).tolist() == list(range(29, 38))
    golden = {(29, 58): -1.5847, (29, 59): 0.1654, (33, 58): 1.6111, (33, 59): 0.1147, (37, 61): 0.0558}
    assert {place: steps[place] for place in golden} == pytest.approx(golden, abs=1e-3)


def test_the_apex_in_grey_is_resized_bilinearly() -> None:
    frames = choose(clip(3, 7, 12), 7)
    picture = computed("apex_gray_224", frames)
    grey = cv2.cvtColor(frames.images[0], cv2.COLOR_BGR2GRAY).astype(float)
    # The centre of pixel 100 of 224 lies between pixels 56 and 57 of 128: (100 + 0.5) * 128 / 224 - 0.5 = 56.93.
    share = 100.5 * 128 / 224 - 0.5 - 56
    rows = (1 - share) * grey[56] + share * grey[57]
    assert abs(picture[0, 100, 100] - ((1 - share) * rows[56] + share * rows[57])) <= 1
    assert picture[0, [0, 50, 100, 223], [0, 60, 100, 200]] == pytest.approx([78, 170, 140, 136], abs=1)


def test_an_apex_of_the_right_size_stays_as_it_is() -> None:
    image = texture(224, 224).astype(np.uint8)
    picture = computed("apex_gray_224", ClipFrames([image], (7,), 3, 7))
    assert (picture[0] == cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)).all()
