"""Whole pictures with a face somewhere in them: the raw trees that some datasets distribute beside or instead of crops.

The face, its motion and its noise are those of the cropped twin of the same seed. It is larger, turned by up to 15
degrees, somewhere in a picture of the published size, and does not touch the picture's edge. A sheet of landmarks,
``landmarks.csv``, tells its five points in the onset frame of each clip.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mer_data.faces.landmarks import POINTS
from mer_data.files import read
from mer_data.synthetic import faces, motion
from mer_data.synthetic.casting import ClipTruth
from mer_data.synthetic.motion import Field
from mer_data.synthetic.twin import NOISE, TRUTH, Files, draw_face, random_state, to_pixels, warp, when, write_image

LANDMARKS = "landmarks.csv"
_TURN = 15.0  # degrees
_HEAD = 3  # power of the outline: 2 would be an ellipse, and infinity the rectangle of the crop
_MOVES = (1.05, 1.35)  # up to the first radius all moves as planted, from the second one on nothing


@dataclass(frozen=True)
class RawForm:
    """How a dataset's raw tree differs from its cropped one.

    Attributes
    ----------
    picture
        Published width and height in pixels.
    enlarged
        How much larger the face is than in the crops.
    renamed
        Parts of paths, and what they are called in the raw tree.
    """

    picture: tuple[int, int]
    enlarged: float
    renamed: tuple[tuple[str, str], ...] = ()

    def path(self, cropped: str) -> str:
        """The path of a file in the raw tree."""
        for old, new in self.renamed:
            cropped = cropped.replace(old, new)
        return cropped


@dataclass(frozen=True)
class Placement:
    """Where the face of a clip is in its picture.

    Attributes
    ----------
    width, height
        Of the picture, in pixels.
    centre
        Of the face's rectangle, x and y in pixels of the picture.
    turned
        Degrees, clockwise in the picture.
    """

    width: int
    height: int
    centre: tuple[float, float]
    turned: float

    def affine(self, truth: ClipTruth) -> npt.NDArray[np.float64]:
        """From (x, y, 1) in the face's rectangle to (x, y) in the picture, ``[2, 3]``."""
        cos, sin = np.cos(np.radians(self.turned)), np.sin(np.radians(self.turned))
        turn = np.array([[cos, -sin], [sin, cos]])
        middle = np.array([(truth.width - 1) / 2, (truth.height - 1) / 2])
        return np.concatenate([turn, (np.array(self.centre) - turn @ middle)[:, None]], axis=1)


def place(
    planned: Sequence[ClipTruth], form: RawForm, seed: int, scale: float
) -> tuple[list[ClipTruth], dict[str, Placement]]:
    """Enlarge the faces of planned clips, and find each a place in its picture, by clip id.

    `scale` makes pictures and faces smaller than the published ones.
    """
    grown = form.enlarged * scale
    width, height = (round(side * scale) for side in form.picture)
    truths, places = [], {}
    for truth in planned:
        larger = replace(truth, width=round(truth.width * grown), height=round(truth.height * grown))
        rng = random_state(seed, truth.id, "place")
        turned = rng.uniform(-_TURN, _TURN)
        cos, sin = np.cos(np.radians(turned)), abs(np.sin(np.radians(turned)))
        half = np.array([larger.width * cos + larger.height * sin, larger.height * cos + larger.width * sin]) / 2
        room = np.maximum(np.array([width, height]) / 2 - half - 2, 0)
        x, y = np.array([width, height]) / 2 + room * rng.uniform(-1, 1, 2)
        places[truth.id] = Placement(width, height, (round(float(x), 3), round(float(y), 3)), round(turned, 3))
        truths.append(larger)
    return truths, places


def read_placements(dest: Path) -> dict[str, Placement]:
    """Read where the faces of a raw twin are, by clip id; empty for a twin of crops.

    Raises
    ------
    BadInput
        If the folder is no twin.
    """
    path = dest / TRUTH

    def parse() -> dict[str, Placement]:
        told = json.loads(path.read_text(encoding="utf-8")).get("placements", {})
        return {clip: Placement(**{**where, "centre": tuple(where["centre"])}) for clip, where in told.items()}

    found: dict[str, Placement] = read(path, parse, "make the twin again with `mer data make`")
    return found


def told_of(places: Mapping[str, Placement]) -> dict[str, object]:
    """What ``truth.json`` tells of them."""
    return {"placements": {clip: asdict(where) for clip, where in places.items()}}


def points_of(truth: ClipTruth, where: Placement, seed: int) -> npt.NDArray[np.float64]:
    """The five points of a clip's face in its onset frame, ``[5, 2]``, in pixels of the picture."""
    drawn = faces.Proportions.draw(random_state(seed, truth.dataset, truth.face))
    # Shares count from the edge of the first pixel, and pixels from its centre.
    inside = drawn.landmarks * [truth.width, truth.height] - 0.5
    affine = where.affine(truth)
    return np.asarray(inside @ affine[:, :2].T + affine[:, 2])


def landmarks_sheet(planned: Sequence[ClipTruth], places: Mapping[str, Placement], seed: int) -> bytes:
    """The sheet of landmarks, as ``mer data import --landmarks`` reads it."""
    columns = [f"{point} {axis}".replace(" ", "_") for point in POINTS for axis in "xy"]
    lines = [",".join(["subject", "clip", *columns, "width", "height"])]
    for truth in planned:
        where = places[truth.id]
        numbers = [f"{value:.2f}" for value in points_of(truth, where, seed).ravel()]
        lines.append(",".join([truth.subject, truth.name, *numbers, str(where.width), str(where.height)]))
    return "".join(f"{line}\n" for line in lines).encode()


def draw_raw(
    folder: Path, truth: ClipTruth, files: Files, *, seed: int, grey: bool, places: Mapping[str, Placement]
) -> None:
    """Draw the frames of one clip, as :func:`~.twin.draw_crops` does, in whole pictures."""
    where = places[truth.id]
    scene, (rows, columns), moved, drifts = _scene(truth, where, seed, grey=grey)
    grid = motion.grid(scene.shape[1], scene.shape[0])[:, rows, columns]
    rng = random_state(seed, truth.id)
    for number, name in files.items():
        level, elapsed = when(truth, number)
        frame = scene.copy()
        frame[rows, columns] = warp(scene, grid - level * moved - elapsed * drifts)
        noise = NOISE * rng.standard_normal(scene.shape[:2], np.float32) + level * truth.brightness
        if name:
            write_image(folder / name, to_pixels(frame + noise[..., None]))


def _scene(
    truth: ClipTruth, where: Placement, seed: int, *, grey: bool
) -> tuple[npt.NDArray[np.float32], tuple[slice, slice], Field, Field]:
    """The picture at rest; the part of it in which something moves; and the motion there of actions and head."""
    size, affine = (where.width, where.height), where.affine(truth)
    room = _room(truth, where, seed)
    room = np.asarray(cv2.cvtColor(room, cv2.COLOR_BGR2GRAY)[..., None], np.float32) if grey else room
    placed = cv2.warpAffine(
        draw_face(truth, seed, grey=grey), affine, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    ).reshape(room.shape)
    inside = _inside(truth, affine, motion.grid(*size))
    radius = _radius(truth, inside)
    head = 1 / (1 + np.exp(np.clip((radius - 0.98) / 0.01, -50, 50)))[..., None]
    scene = np.asarray(room + head * (placed - room), np.float32)
    touched = radius < _MOVES[1]
    rows, columns = (slice(at[0], at[-1] + 1) for at in (np.flatnonzero(touched.any(axis)) for axis in (1, 0)))
    inside, radius = inside[:, rows, columns], radius[rows, columns]
    share = np.clip((_MOVES[1] - radius) / (_MOVES[1] - _MOVES[0]), 0, 1)
    actions = motion.bumps_in(truth.bumps, inside, truth.width, truth.height)
    drift = np.broadcast_to(motion.drift_of(truth.drift, truth.width), inside.shape)
    turned = [np.einsum("ij,jhw->ihw", affine[:, :2], share * field).astype(np.float32) for field in (actions, drift)]
    return scene, (rows, columns), turned[0], turned[1]


def _inside(truth: ClipTruth, affine: npt.NDArray[np.float64], at: Field) -> Field:
    """Positions in the picture as positions in the face's rectangle."""
    shifted = at - affine[:, 2, None, None].astype(np.float32)
    # A turn back is the transpose of a turn.
    return np.asarray(np.einsum("ji,jhw->ihw", affine[:, :2].astype(np.float32), shifted))


def _radius(truth: ClipTruth, inside: Field) -> npt.NDArray[np.float32]:
    """How far from the middle of the head a position is; 1 at its outline."""
    x, y = (np.abs((inside[axis] + 0.5) / side - 0.5) * 2 for axis, side in enumerate((truth.width, truth.height)))
    return np.asarray((x**_HEAD + y**_HEAD) ** (1 / _HEAD), np.float32)


def _room(truth: ClipTruth, where: Placement, seed: int) -> npt.NDArray[np.float32]:
    """What is behind the head: an uneven wall and shoulders; the same in all clips of a subject."""
    rng = random_state(seed, truth.dataset, truth.face, "room")
    height, width = where.height, where.width
    cloud = rng.standard_normal((max(4, height // 40), max(4, width // 40)), np.float32)
    wall = rng.uniform(85, 140) + 9 * cv2.resize(cloud, (width, height), interpolation=cv2.INTER_CUBIC)
    picture = wall[..., None] * np.array([1.04, 1.0, 0.96], np.float32)
    x, y = motion.grid(width, height)
    shoulders = ((x - where.centre[0]) / (1.25 * truth.width)) ** 2
    shoulders = shoulders + ((y - where.centre[1] - 1.15 * truth.height) / (0.75 * truth.height)) ** 2
    cloth = 1 / (1 + np.exp(np.clip((np.sqrt(shoulders) - 1) / 0.02, -50, 50)))[..., None]
    dress = np.array(rng.uniform(35, 80, 3), np.float32)
    return np.asarray(picture + cloth * (dress - picture), np.float32)
