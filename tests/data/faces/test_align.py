"""Alignment adds no motion of its own: against twins in whole pictures, whose motion and whose faces are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from mer_data.faces.aligner import Aligner, make_aligner, shift_of, similarity, warp
from mer_data.faces.alignment import ALIGNMENTS, NONE, SIZE
from mer_data.faces.finder import face_of_points, find_face
from mer_data.features import FEATURES
from mer_data.features.flow import grey, tvl1
from mer_data.formats import read_format
from mer_data.frames import list_frames
from mer_data.problems import BadInput
from mer_data.schema import ALIGNMENT_NAMES, Clip
from mer_data.synthetic import TWINS, ClipTruth, motion, read_truth
from mer_data.synthetic.raw import Placement, points_of, read_placements

SEED, SCALE = 1, 0.5
Picture = np.ndarray


def test_names_are_known_without_what_does_it() -> None:
    assert tuple(ALIGNMENTS) == ALIGNMENT_NAMES


@dataclass(frozen=True)
class Twins:
    """The same clips as crops and in whole pictures."""

    crops: Path
    raw: Path

    def pair(self, tree: Path, clip: Clip) -> tuple[Picture, Picture]:
        frames = list_frames(read_format("samm", [tree]).frame_root / clip.frames)
        return tuple(cv2.imread(str(frames[number])) for number in (clip.onset, clip.apex))


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Twins:
    folder = tmp_path_factory.mktemp("twins")
    for name, more in (("crops", {}), ("raw", {"raw": True, "scale": SCALE})):
        TWINS["samm"](folder / name, subjects=4, clips=8, seed=SEED, length=(6, 8), **more)
    return Twins(folder / "crops", folder / "raw")


def within(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Inside the outline of a head, with shares of the face's width and height."""
    return (np.abs(2 * x - 1) ** 3 + np.abs(2 * y - 1) ** 3) ** (1 / 3) < 0.85


def planted(truth: ClipTruth) -> tuple[np.ndarray, np.ndarray]:
    """The true flow in the face's rectangle, and where the head is."""
    x, y = motion.grid(truth.width, truth.height)
    inside = within((x + 0.5) / truth.width, (y + 0.5) / truth.height)
    return motion.flow(truth.bumps, truth.drift, truth.width, truth.height), inside


def planted_aligned(truth: ClipTruth, where: Placement, aligner: Aligner) -> tuple[np.ndarray, np.ndarray]:
    """The true flow as an aligned frame has it, and where the head is in it."""
    whole = np.vstack([aligner.affine, [0, 0, 1]]) @ np.vstack([where.affine(truth), [0, 0, 1]])
    back = np.linalg.inv(whole)
    at = np.einsum("ij,jhw->ihw", back[:2, :2], motion.grid(*aligner.spec.size)) + back[:2, 2, None, None]
    flow, _ = planted(truth)
    x, y = at.astype(np.float32)
    there = np.stack([cv2.remap(channel, x, y, cv2.INTER_LINEAR) for channel in flow])
    inside = within((x + 0.5) / truth.width, (y + 0.5) / truth.height)
    return np.einsum("ij,jhw->ihw", whole[:2, :2], there), inside


def error(found: np.ndarray, true: np.ndarray, inside: np.ndarray) -> float:
    """Mean end-point error in the head, in pixels: a face has about as many in both twins, 153 and 137."""
    return float(np.hypot(*(found - true))[inside].mean())


def errors_of(twins: Twins) -> dict[str, float]:
    """Mean end-point error of the crops, of aligned whole pictures, and of frames that are aligned one by one."""
    found: dict[str, list[float]] = {"crops": [], "similarity": [], "per frame": []}
    small, large, places = read_truth(twins.crops), read_truth(twins.raw), read_placements(twins.raw)
    cropped = {clip.id: clip for clip in read_format("samm", [twins.crops]).clips}
    rng = np.random.default_rng(0)
    for clip in read_format("samm", [twins.raw]).clips:
        truth, where = large[clip.id], places[clip.id]
        flow, inside = planted(small[clip.id])
        before, after = twins.pair(twins.crops, cropped[clip.id])
        found["crops"].append(error(tvl1(grey(before), grey(after)), flow, inside))
        before, after = twins.pair(twins.raw, clip)
        points = points_of(truth, where, SEED)
        aligner = make_aligner(ALIGNMENTS["similarity"], before, points.ravel().tolist(), "onset")
        true = planted_aligned(truth, where, aligner)
        onset = grey(aligner.apply(before))
        found["similarity"].append(error(tvl1(onset, grey(aligner.apply(after))), *true))
        # A second detection, on the apex, differs by half a pixel of a face that is 140 pixels wide.
        again = points + rng.normal(0, 0.5 * truth.width / 140, points.shape)
        own = make_aligner(ALIGNMENTS["similarity"], after, again.ravel().tolist(), "apex")
        found["per frame"].append(error(tvl1(onset, grey(own.apply(after))), *true))
    return {name: float(np.mean(values)) for name, values in found.items()}


def test_one_transform_for_a_clip_costs_no_exactness_and_one_for_each_frame_does(twins: Twins) -> None:
    """Half a pixel of detection: seven times the error of flow."""
    found = errors_of(twins)
    print(", ".join(f"{name} {value:.4f} px" for name, value in found.items()))
    assert found["similarity"] <= 1.05 * found["crops"]
    assert found["per frame"] > 4 * found["crops"]


def test_nothing_is_part_of_a_definition_where_nothing_is_done() -> None:
    spec = FEATURES["flow_uvs_28"]
    assert spec.of(NONE).key() == spec.key()
    assert "align" not in spec.describe()
    keys = {spec.of(align).key() for align in ALIGNMENTS.values()}
    assert len(keys) == len(ALIGNMENTS)
    assert spec.of(ALIGNMENTS["box"]).describe()["align"]["margin"] == 0.1


def test_a_similarity_transform_is_found_again() -> None:
    points = np.array([(10, 12), (40, 15), (25, 30), (14, 44), (37, 45)], np.float64)
    affine = np.array([[1.2, -0.5, 7], [0.5, 1.2, -3]])
    found = similarity(points, points @ affine[:, :2].T + affine[:, 2])
    np.testing.assert_allclose(found, affine, atol=1e-9)


def test_points_come_to_lie_on_the_template(twins: Twins) -> None:
    truths, places = read_truth(twins.raw), read_placements(twins.raw)
    for clip in read_format("samm", [twins.raw]).clips:
        before, _ = twins.pair(twins.raw, clip)
        marked = points_of(truths[clip.id], places[clip.id], SEED).ravel().tolist()
        aligner = make_aligner(ALIGNMENTS["similarity"], before, marked, "onset")
        assert aligner.apply(before).shape == (SIZE[1], SIZE[0], 3)
        assert np.abs(aligner.landmarks - np.array(aligner.spec.template)).mean() < 4
        assert abs(np.degrees(np.arctan2(*(aligner.landmarks[1] - aligner.landmarks[0])[::-1]))) < 1
        square = make_aligner(ALIGNMENTS["box"], before, marked, "onset")
        assert square.affine[0, 1] == square.affine[1, 0] == 0, "a box is not turned"
        assert (square.landmarks > 20).all()
        assert (square.landmarks < 150).all()


def test_making_smaller_does_not_alias() -> None:
    """Stripes of one pixel become even grey, by whatever factor."""
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    for factor in (2, 2.7, 4):
        small = warp(stripes, np.array([[1 / factor, 0, 0], [0, 1 / factor, 0]]), (90, 90))
        assert small[10:-10, 10:-10].std() < 3, factor


def test_reducing_first_moves_nothing() -> None:
    y, x = np.mgrid[0:300, 0:400].astype(np.float32)
    picture = np.repeat(np.rint(100 + 50 * np.sin(x / 30) + 50 * np.cos(y / 25)).astype(np.uint8)[..., None], 3, 2)
    affine = np.array([[0.3, 0.05, -7.0], [-0.05, 0.3, 4.0]])
    small = warp(picture, affine, (60, 50))[..., 0].astype(float)
    back = np.linalg.inv(np.vstack([affine, [0, 0, 1]]))
    at = np.einsum("ij,jhw->ihw", back[:2, :2], motion.grid(60, 50)) + back[:2, 2, None, None]
    true = 100 + 50 * np.sin(at[0] / 30) + 50 * np.cos(at[1] / 25)
    inside = (at[0] > 8) & (at[0] < 390) & (at[1] > 8) & (at[1] < 290)
    assert np.abs(small - true)[inside].mean() < 0.6


def test_a_shift_is_measured_to_a_fraction_of_a_pixel() -> None:
    noise = cv2.GaussianBlur(np.random.default_rng(0).standard_normal((120, 100), np.float32), (0, 0), 2)
    before = 128 + 400 * noise
    weight = np.zeros_like(before)
    weight[30:90, 20:80] = 1
    for shift in ((0.3, -0.7), (4.2, 2.6), (0.0, 0.0)):
        moved = cv2.warpAffine(
            before, np.array([[1, 0, shift[0]], [0, 1, shift[1]]]), (100, 120), flags=cv2.INTER_CUBIC
        )
        np.testing.assert_allclose(shift_of(before, moved + 9, weight), shift, atol=0.03)


def test_stabilising_takes_the_motion_of_the_head_out(twins: Twins) -> None:
    """A camera that moves by some pixels leaves as much flow after `similarity`, and hardly any after `stabilised`."""
    clip = read_format("samm", [twins.raw]).clips[0]
    before, _ = twins.pair(twins.raw, clip)
    marked = points_of(read_truth(twins.raw)[clip.id], read_placements(twins.raw)[clip.id], SEED).ravel().tolist()
    left = {}
    moved = cv2.warpAffine(before, np.array([[1, 0, 5.3], [0, 1, -3.6]]), before.shape[1::-1], flags=cv2.INTER_CUBIC)
    for name in ("similarity", "stabilised"):
        aligner = make_aligner(ALIGNMENTS[name], before, marked, "onset")
        flow = tvl1(grey(aligner.apply(before)), grey(aligner.apply(moved)))
        left[name] = float(np.hypot(*np.median(flow[:, 30:-30, 30:-30], axis=(1, 2))))
    assert left["similarity"] > 2
    assert left["stabilised"] < 0.05


def test_points_outside_the_picture_are_refused(twins: Twins) -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    with pytest.raises(BadInput, match=r"reach to x 250, y 80, and its onset frame is 200x100"):
        make_aligner(ALIGNMENTS["similarity"], picture, [30, 40, 250, 41, 50, 60, 35, 80, 65, 80], "a.jpg")


def test_a_picture_without_a_face_is_named() -> None:
    with pytest.raises(BadInput, match=r"a\.jpg: no face is found .*--landmarks FILE"):
        make_aligner(ALIGNMENTS["similarity"], np.full((300, 400, 3), 90, np.uint8), None, "a.jpg")


def test_without_a_detector_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mer_data.faces.mtcnn.installed", lambda: None)
    with pytest.raises(BadInput, match=r"no detector of faces is installed.*landmarks\].*align: none"):
        make_aligner(ALIGNMENTS["similarity"], np.full((300, 400, 3), 90, np.uint8), None, "a.jpg")


def test_a_drawn_face_is_found_where_it_is(tmp_path: Path) -> None:
    """Of any size in the picture, and turned; the mouth's corners of a drawn face are found too far out."""
    TWINS["casme3a"](tmp_path / "twin", subjects=3, clips=4, seed=2, length=(4, 5), raw=True, scale=0.7)
    truths, places = read_truth(tmp_path / "twin"), read_placements(tmp_path / "twin")
    imported = read_format("casme3a", [tmp_path / "twin"])
    for clip in imported.clips:
        frames = list_frames(imported.frame_root / clip.frames)
        face = find_face(cv2.imread(str(frames[clip.onset])))
        true = points_of(truths[clip.id], places[clip.id], 2)
        assert face is not None, clip.id
        assert np.abs(face.points - true).max() < 0.25 * face.eye_distance, clip.id
        assert abs(face.turned - places[clip.id].turned) < 3, clip.id
        assert face.rivals == 0
        made_up = face_of_points(true.astype(np.float32))
        assert np.abs(np.array(made_up.box) - face.box).max() < 0.7 * face.eye_distance, (made_up.box, face.box)
