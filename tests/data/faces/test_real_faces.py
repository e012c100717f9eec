"""The detector on photographs: those that scikit-image ships, an astronaut and a hundred small faces (LFW)."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from mer_data.faces.aligner import similarity
from mer_data.faces.alignment import ALIGNMENTS
from mer_data.faces.finder import face_of_points, find_face

EYES = ((204, 102), (247, 105))  # of the astronaut, as seen in the picture


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return np.ascontiguousarray(data.astronaut()[..., ::-1])


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
def test_a_face_is_found_at_its_place_in_a_picture_of_any_size(astronaut: np.ndarray, scale: float) -> None:
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    picture = cv2.resize(astronaut, None, fx=scale, fy=scale, interpolation=how)
    face = find_face(picture)
    assert face is not None
    assert face.rivals == 0
    assert np.abs(face.points[:2] / scale - EYES).max() < 3
    assert np.abs(np.array(face_of_points(face.points).box) - face.box).max() < 0.3 * face.eye_distance


@pytest.mark.parametrize("turned", [-15, 15])
def test_a_turned_face_is_turned_back(astronaut: np.ndarray, turned: int) -> None:
    matrix = cv2.getRotationMatrix2D((225, 120), -turned, 1)
    face = find_face(cv2.warpAffine(astronaut, matrix, astronaut.shape[1::-1]))
    upright = find_face(astronaut)
    assert face is not None
    assert upright is not None
    assert abs(face.turned - upright.turned - turned) < 3
    affine = similarity(face.points, np.array(ALIGNMENTS["similarity"].template))
    eyes = face.points[:2] @ affine[:, :2].T
    assert abs(np.degrees(np.arctan2(*(eyes[1] - eyes[0])[::-1]))) < 4


def test_small_faces_are_found_and_other_pictures_have_none() -> None:
    """Faces of 25 pixels, made larger; the second half of the set shows no faces."""
    pictures = data.lfw_subset()[::5]
    found = []
    for picture in pictures:
        larger = cv2.resize((255 * picture).astype(np.uint8), (100, 100), interpolation=cv2.INTER_CUBIC)
        found.append(find_face(cv2.cvtColor(larger, cv2.COLOR_GRAY2BGR)) is not None)
    assert sum(found[:20]) >= 19
    assert sum(found[20:]) <= 1


def test_detections_of_the_same_face_differ_by_more_than_an_expression_moves(astronaut: np.ndarray) -> None:
    """Aligned frame by frame, a photograph that only shifts seems to move by half a pixel and more."""
    template = np.array(ALIGNMENTS["similarity"].template)
    picture = cv2.resize(astronaut, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    first = find_face(picture)
    assert first is not None
    clip, rng, moves = similarity(first.points, template), np.random.default_rng(0), []
    places = np.array([(30, 40), (110, 40), (70, 130)], np.float64)  # brows and chin of the aligned frame
    at = (places - clip[:, 2]) @ np.linalg.inv(clip[:, :2]).T
    for _ in range(8):
        shift = rng.uniform(-3, 3, 2)
        moved = cv2.warpAffine(
            picture, np.array([[1, 0, shift[0]], [0, 1, shift[1]]]), picture.shape[1::-1], flags=cv2.INTER_CUBIC
        )
        noisy = np.clip(moved + rng.normal(0, 2, moved.shape), 0, 255).astype(np.uint8)
        again = find_face(noisy)
        assert again is not None
        own = similarity(again.points, template)
        moves.append(np.linalg.norm((at + shift) @ own[:, :2].T + own[:, 2] - places, axis=1).mean())
    print(f"seeming motion {np.mean(moves):.2f} px of a face of 140 px")
    assert np.mean(moves) > 0.4
