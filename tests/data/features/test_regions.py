"""HTNet's mosaic and Dual-ATME's puzzle: which pixels go where."""

from __future__ import annotations

import cv2
import golden_flow
import numpy as np
import pytest

from mer_data.faces import landmarks
from mer_data.features import FEATURES, pictures, regions
from mer_data.features.pictures import puzzle, puzzle_strips
from mer_data.features.regions import htnet_mosaic_from_maps
from mer_data.features.spec import ClipFrames

# Every pixel says its row and its column.
PLACES = np.stack(np.mgrid[0:28, 0:28]).astype(np.uint8)
# (first row, first column) of the windows around the fixed points, in the order of the mosaic: upper left, upper right,
# lower left, lower right.
AS_PUBLISHED = ((2, 4), (14, 3), (3, 14), (13, 14))
IN_PLACE = ((4, 2), (3, 14), (14, 3), (14, 13))


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> ClipFrames:
    """A pair without landmarks, on a machine without a detector."""
    for module in (regions, pictures):
        monkeypatch.setattr(module, "find_points", lambda image: None)
    return ClipFrames(golden_flow.frames().images)


@pytest.mark.parametrize(("swapped", "expected"), [(True, AS_PUBLISHED), (False, IN_PLACE)])
def test_windows_of_the_fixed_points(swapped: bool, expected: tuple[tuple[int, int], ...]) -> None:
    mosaic = htnet_mosaic_from_maps(PLACES, None, swapped=swapped)
    assert (mosaic.shape, mosaic.dtype) == (PLACES.shape, PLACES.dtype)
    places = ((0, 0), (0, 14), (14, 0), (14, 14))
    for (row, column), (from_row, from_column) in zip(places, expected, strict=True):
        window = mosaic[:, row : row + 14, column : column + 14]
        np.testing.assert_array_equal(window, PLACES[:, from_row : from_row + 14, from_column : from_column + 14])


def test_points_are_limited_and_cut_to_whole_pixels() -> None:
    outside = np.array([(-5, 3.2), (40, 6.9), (0, 0), (7.99, 30), (21.9, 20.99)], np.float32)
    mosaic = htnet_mosaic_from_maps(PLACES, outside, swapped=False)
    corners = [mosaic[:, row, column].tolist() for row in (0, 14) for column in (0, 14)]
    assert corners == [[0, 0], [0, 14], [14, 0], [13, 14]]


def test_a_swapped_mosaic_is_that_of_the_transposed_maps() -> None:
    points = np.random.default_rng(0).uniform(0, 28, (5, 2)).astype(np.float32)
    swapped = htnet_mosaic_from_maps(PLACES, points, swapped=True)
    turned = htnet_mosaic_from_maps(PLACES.transpose(0, 2, 1), points, swapped=False)
    windows = [(slice(row, row + 14), slice(column, column + 14)) for row in (0, 14) for column in (0, 14)]
    for rows, columns in windows:
        np.testing.assert_array_equal(swapped[:, rows, columns], turned[:, rows, columns].transpose(0, 2, 1))


@pytest.mark.parametrize(("name", "swapped"), [("htnet_mosaic_28", True), ("htnet_corners_28", False)])
def test_mosaics_are_cut_from_flow_uvs_28(name: str, swapped: bool, frames: ClipFrames) -> None:
    maps = FEATURES["flow_uvs_28"].compute(frames)
    np.testing.assert_array_equal(FEATURES[name].compute(frames), htnet_mosaic_from_maps(maps, None, swapped=swapped))
    marked = ClipFrames(frames.images, landmarks=golden_flow.LANDMARKS)
    height, width = golden_flow.SHAPE
    points = golden_flow.LANDMARKS * np.array([28 / width, 28 / height], np.float32)
    np.testing.assert_array_equal(FEATURES[name].compute(marked), htnet_mosaic_from_maps(maps, points, swapped=swapped))
    assert (FEATURES[name].compute(marked) != FEATURES[name].compute(frames)).any()


def test_a_detector_sees_the_small_apex_in_the_published_order(
    frames: ClipFrames, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    points = np.array([(8, 9), (20, 9), (14, 15), (9, 20), (19, 20)], np.float32)
    monkeypatch.setattr(regions, "find_points", lambda image: seen.append(image) or points)
    mosaic = FEATURES["htnet_mosaic_28"].compute(frames)
    small = cv2.resize(frames.images[1], (28, 28), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(seen[0], small[..., ::-1])
    maps = FEATURES["flow_uvs_28"].compute(frames)
    np.testing.assert_array_equal(mosaic, htnet_mosaic_from_maps(maps, points, swapped=True))


@pytest.mark.parametrize("name", ["htnet_mosaic_28", "htnet_corners_28", "flow_puzzle_28"])
def test_landmarks_and_detector_are_part_of_the_definition(name: str) -> None:
    assert FEATURES[name].uses_landmarks
    assert FEATURES[name].params["detector"] == landmarks.DETECTOR


def test_strips_hold_brows_and_eyes_and_the_mouth() -> None:
    points = np.array([(30, 40), (70, 40), (50, 60), (35, 80), (65, 80)], np.float32)
    assert puzzle_strips(points, 120) == (slice(16, 50), slice(66, 98))
    assert puzzle_strips(points, 90) == (slice(16, 50), slice(66, 90))


@pytest.mark.parametrize("shift", [-60, 200])
def test_landmarks_outside_the_picture_are_refused(shift: int, frames: ClipFrames) -> None:
    moved = golden_flow.LANDMARKS + np.array([0, shift], np.float32)
    with pytest.raises(ValueError, match="landmarks put the eyes at row"):
        FEATURES["flow_puzzle_28"].compute(ClipFrames(frames.images, landmarks=moved))


def test_a_face_on_its_head_is_refused() -> None:
    with pytest.raises(ValueError, match="landmarks put the eyes"):
        puzzle_strips(golden_flow.LANDMARKS[::-1].copy(), 96)


def test_a_puzzle_is_eyes_over_mouth() -> None:
    image = np.zeros((101, 60, 3), np.uint8)
    image[20:40], image[70:90] = 100, 200
    found = puzzle(image, (slice(20, 40), slice(70, 90)))
    assert found.shape == image.shape
    assert (found[:50] == 100).all()
    assert (found[50:] == 200).all()


def test_the_puzzle_is_made_before_the_flow(frames: ClipFrames) -> None:
    height = golden_flow.SHAPE[0]
    strips = puzzle_strips(landmarks.FIXED_POINTS * height, height)
    puzzled = ClipFrames([puzzle(image, strips) for image in frames])
    np.testing.assert_array_equal(FEATURES["flow_puzzle_28"].compute(frames), FEATURES["flow_uvs_28"].compute(puzzled))


def test_pictures_are_maps_under_the_names_of_colours(frames: ClipFrames) -> None:
    picture = FEATURES["flow_picture_28"]
    assert picture.channels == ("r", "g", "b")
    np.testing.assert_array_equal(picture.compute(frames), FEATURES["flow_uvs_28"].compute(frames))
    assert FEATURES["flow_picture_60"].compute(frames).shape == (3, 60, 60)
