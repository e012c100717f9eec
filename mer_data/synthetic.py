"""Licence-free twins of the datasets: the same layout on disk, drawn faces, and motion that is known.

A twin is for tests, demonstrations and trials of the machinery. Scores on it say nothing about real faces.

Every clip is one still picture, warped. At the apex, ``apex(x) = onset(x - m(x))`` with a smooth motion m:
the actions of the clip's emotion, a random distractor, and a drift of the whole head. Between onset and
offset the actions rise and fall. Noise, a change of brightness and JPEG come on top.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import xlsxwriter

from mer_data.files import read_json, write_json
from mer_data.problems import BadInput, Problem, did_you_mean

Field = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]

SHEET = "CASME2-coding-20140508.xlsx"
TRUTH = "truth.json"
HEADER = (
    "Subject", "Filename", "", "OnsetFrame", "ApexFrame", "OffsetFrame", "",
    "Action Units", "Estimated Emotion",
)  # fmt: skip

# Clips per emotion among CASME II's 255.
PROPORTIONS = {
    "others": 99, "disgust": 63, "happiness": 32, "repression": 27, "surprise": 25, "sadness": 7, "fear": 2,
}  # fmt: skip
_ALWAYS = ("disgust", "happiness", "surprise")  # one for each of the three classes
_UNITS = {
    "others": ("4", "4+7", "?"),
    "disgust": ("4+9", "4+7+10", "4+L10"),
    "happiness": ("12", "6+12", "R12"),
    "repression": ("4+15", "17", "14+17"),
    "surprise": ("1+2", "1+2+25", "L1+L2"),
    "sadness": ("1+15", "15"),
    "fear": ("1+4+20",),
}

# What moves in an action: centre x, y and radius x, y as shares of the crop's width and height, motion x, y.
_ACTIONS = {
    "brows down": ((0.32, 0.29, 0.12, 0.07, 0.5, 0.9), (0.68, 0.29, 0.12, 0.07, -0.5, 0.9)),
    "brows up": ((0.31, 0.28, 0.14, 0.08, 0.0, -1.0), (0.69, 0.28, 0.14, 0.08, 0.0, -1.0)),
    "jaw down": ((0.50, 0.88, 0.18, 0.08, 0.0, 0.9),),
    "smile": ((0.36, 0.77, 0.09, 0.07, -0.6, -0.8), (0.64, 0.77, 0.09, 0.07, 0.6, -0.8)),
    "lips down": ((0.36, 0.79, 0.09, 0.07, 0.0, 0.8), (0.64, 0.79, 0.09, 0.07, 0.0, 0.8)),
    "nose up": ((0.50, 0.60, 0.11, 0.07, 0.0, -0.7),),
}
_EMOTIONS: dict[str, dict[str, float]] = {
    "disgust": {"brows down": 1.0, "nose up": 0.6},
    "repression": {"brows down": 0.8, "lips down": 0.6},
    "sadness": {"lips down": 1.0, "brows down": 0.5},
    "fear": {"brows down": 0.7, "brows up": 0.4, "lips down": 0.4},
    "happiness": {"smile": 1.0},
    "surprise": {"brows up": 1.0, "jaw down": 0.5},
    "others": {},  # drawn for each clip
}

# Nuisance, set so that a linear classifier is clearly better than the majority and clearly not perfect.
_HIDDEN = 0.45  # share of clips whose own actions are weak beside a foreign one
_DISTRACTOR = 0.8  # greatest distractor, in pixels at a width of 128
_DRIFT = 0.5
_BRIGHTNESS = 0.7  # standard deviation at the apex, in grey levels: TV-L1 takes brightness for motion
_NOISE = 1.0
_JPEG_QUALITY = 95
_LEFT_AT_OFFSET = 0.2  # share of the motion that is still there in the last frame


@dataclass(frozen=True)
class ClipTruth:
    """What was planted in one clip; an element of ``clips`` in ``truth.json``.

    Attributes
    ----------
    subject, name, emotion, action_units, onset, apex, offset
        As in the sheet; the apex is right even where the sheet has ``/``.
    apex_in_sheet
        Whether the sheet gives the apex. If not, it is the middle frame.
    width, height
        Of the crop, in pixels.
    bumps
        Gaussians that add up to the motion at the apex: centre x, y and radius x, y as shares of the crop,
        motion x, y in pixels at a width of 128.
    drift
        Motion x, y of the whole picture at the apex, in pixels at a width of 128; it grows with time.
    brightness
        Grey levels added at the apex.
    """

    subject: int
    name: str
    emotion: str
    action_units: str
    onset: int
    apex: int
    offset: int
    apex_in_sheet: bool
    width: int
    height: int
    bumps: Sequence[Sequence[float]]
    drift: Sequence[float]
    brightness: float

    @property
    def id(self) -> str:
        """The clip's id after import."""
        return f"casme2/sub{self.subject:02}/{self.name}"


def make_casme2(
    dest: Path,
    *,
    subjects: int = 26,
    clips: int = 255,
    seed: int = 0,
    size: tuple[int, int] = (140, 170),
    length: tuple[int, int] = (24, 110),
    progress: Progress | None = None,
) -> None:
    """Write a twin of CASME II: sheet, cropped frames, and ``truth.json``.

    The same arguments give the same bytes. The folder appears when it is complete. Frames are drawn by worker
    processes that start afresh, so a script that calls this needs the usual ``if __name__ == "__main__":``.

    Parameters
    ----------
    dest
        A folder that does not exist or is empty.
    subjects, clips
        How many; every subject has at least one clip. Emotions have CASME II's proportions, and from four
        clips on there are some of each of the three classes.
    seed
        Another seed draws other faces, motions and intervals.
    size
        Width and height of the smallest crop in pixels; the largest is 1.21 times as large. The real ones
        begin at (231, 282).
    length
        The least and the greatest distance from onset to offset in frames; at least 4.
    progress
        Called with the clips done and the clips in all.

    Raises
    ------
    BadInput
        If `dest` is in use, or the numbers make no dataset.
    """
    if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
        raise BadInput(Problem(str(dest), "exists and is not empty", "name a new folder"))
    if not 1 <= subjects <= clips or not 4 <= length[0] <= length[1] or min(size) < 32:
        what = f"{subjects} subjects, {clips} clips, {length} frames, {size} pixels cannot be drawn"
        raise BadInput(Problem(str(dest), what, "at least 1 subject, a clip each, 4 frames and 32 pixels"))
    plan = _plan(subjects, clips, seed, size, length)
    with _appearing(dest) as folder:
        _write_sheet(folder / SHEET, plan)
        write_json(folder / TRUTH, {"format": "casme2", "seed": seed, "clips": [asdict(truth) for truth in plan]})
        workers = min(os.cpu_count() or 1, 8, clips)
        # Fresh processes instead of forked ones: forking a process that has threads (OpenCV, Arrow) may hang.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, cv2.setNumThreads, (1,)) as pool:
            for done, _ in enumerate(pool.map(partial(_draw_clip, folder / "Cropped", seed), plan), start=1):
                if progress:
                    progress(done, clips)


TWINS: Mapping[str, Callable[..., None]] = {"casme2": make_casme2}


def read_truth(dest: Path) -> dict[str, ClipTruth]:
    """Read what was planted in a twin, by clip id."""
    document = read_json(dest / TRUTH, "make the twin again with `mer data make`")
    truths = (ClipTruth(**clip) for clip in document["clips"])
    return {truth.id: truth for truth in truths}


def planted_flow(dest: Path, clip_id: str) -> Field:
    """Compute the true flow from onset to apex of a clip of a twin.

    Frames are drawn by looking up where each pixel of the apex came from, so the flow w solves
    w(x) = m(x + w(x)). Fixed-point iteration finds it, since the motion is smooth.

    Returns
    -------
    float32 ``[2, H, W]``: u and v in pixels, ``onset(x, y) = apex(x + u, y + v)``.

    Raises
    ------
    BadInput
        If the folder is no twin, or has no such clip.
    """
    truths = read_truth(dest)
    if clip_id not in truths:
        raise BadInput(Problem(str(dest), f"no clip {clip_id!r}", did_you_mean(clip_id, truths)))
    truth = truths[clip_id]
    grid = _grid(truth)
    drift = _drift(truth)
    flow = np.zeros_like(grid)
    for _ in range(30):
        flow = _actions(truth, grid + flow) + drift
    return flow


@contextmanager
def _appearing(dest: Path) -> Iterator[Path]:
    """Give a folder beside `dest` that becomes `dest` when the body ends, and vanishes if the body raises."""
    aside = dest.absolute().with_name(f".{dest.name}.{os.getpid()}.new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
        aside.replace(dest)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _plan(subjects: int, clips: int, seed: int, size: tuple[int, int], length: tuple[int, int]) -> list[ClipTruth]:
    rng = np.random.default_rng(seed)
    emotions = rng.permutation([word for word, count in _counts(clips).items() for _ in range(count)])
    share = rng.dirichlet(np.full(subjects, 1.2))  # some subjects have many clips, some only one
    per_subject = 1 + rng.multinomial(clips - subjects, share)
    unknown = set(rng.choice(clips, max(1, clips // 50), replace=False).tolist())
    plan: list[ClipTruth] = []
    for subject, count in enumerate(per_subject.tolist(), start=1):
        strength = rng.uniform(0.7, 1.3)
        for name in _names(rng, count):
            emotion, given = str(emotions[len(plan)]), len(plan) not in unknown
            onset, duration = int(rng.integers(20, 160)), int(rng.integers(length[0], length[1] + 1))
            scale = rng.uniform(1.0, 1.21)
            truth = ClipTruth(
                subject=subject,
                name=name,
                emotion=emotion,
                action_units=str(rng.choice(_UNITS[emotion])),
                onset=onset,
                apex=onset + (round(duration * rng.uniform(0.35, 0.65)) if given else duration // 2),
                offset=onset + duration,
                apex_in_sheet=given,
                width=round(size[0] * scale),
                height=round(size[1] * scale),
                bumps=_plan_motion(rng, emotion, strength),
                drift=_rounded(rng.uniform(-_DRIFT, _DRIFT, 2)),
                brightness=round(rng.normal(0, _BRIGHTNESS), 3),
            )
            plan.append(truth)
    return plan


def _plan_motion(rng: np.random.Generator, emotion: str, strength: float) -> list[list[float]]:
    actions = dict(_EMOTIONS[emotion])
    foreign = str(rng.choice(sorted(_ACTIONS)))
    if not actions:
        actions = {foreign: 1.0, str(rng.choice(sorted(_ACTIONS))): 0.6}
    elif rng.random() < _HIDDEN:
        actions = {action: 0.3 * weight for action, weight in actions.items()} | {foreign: 1.0}
    peak = float(np.clip(strength * rng.uniform(0.6, 1.8), 0.5, 2.0))
    bumps = []
    for action, weight in actions.items():
        for x, y, radius_x, radius_y, dx, dy in _ACTIONS[action]:
            # The two sides of a face never move alike.
            size = peak * weight * rng.uniform(0.6, 1.2)
            place = rng.normal((x, y), 0.015)
            bumps.append(_rounded([*place, radius_x, radius_y, size * dx, size * dy]))
    place, radius = rng.uniform(0.15, 0.85, 2), rng.uniform(0.06, 0.12, 2)
    bumps.append(_rounded([*place, *radius, *rng.uniform(-_DISTRACTOR, _DISTRACTOR, 2)]))
    return bumps


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(float(value), 4) for value in values]


def _counts(clips: int) -> dict[str, int]:
    """Share out the clips by CASME II's proportions, missing classes and largest remainders first."""
    exact = {word: clips * count / sum(PROPORTIONS.values()) for word, count in PROPORTIONS.items()}
    counts = {word: int(value) for word, value in exact.items()}
    first = sorted(exact, key=lambda word: (word not in _ALWAYS or counts[word] > 0, counts[word] - exact[word]))
    for word in first[: clips - sum(counts.values())]:
        counts[word] += 1
    return counts


def _names(rng: np.random.Generator, count: int) -> list[str]:
    """Draw clip names of one subject, in the shapes that CASME II has; no two are of one video."""
    shapes = ("EP{:02}_{:02}", "EP{:02}_{:02}f", "EP{:02}_{:02}_01", "EP{:02}_{}", "EP{:02}f")
    videos = np.sort(rng.choice(np.arange(1, max(30, count) + 1), count, replace=False))
    chosen = rng.choice(shapes, count, p=(0.69, 0.27, 0.02, 0.01, 0.01))
    return [str(shape).format(video, rng.integers(1, 10)) for shape, video in zip(chosen, videos, strict=True)]


def _write_sheet(path: Path, plan: Sequence[ClipTruth]) -> None:
    workbook = xlsxwriter.Workbook(path)
    workbook.set_properties({"created": datetime(2014, 5, 8)})  # else every run gives other bytes
    sheet = workbook.add_worksheet()
    sheet.write_row(0, 0, HEADER)
    for row, truth in enumerate(plan, start=1):
        apex = truth.apex if truth.apex_in_sheet else "/"
        units = int(truth.action_units) if truth.action_units.isdigit() else truth.action_units
        sheet.write_string(row, 0, f"{truth.subject:02}")
        sheet.write_row(row, 1, (truth.name, "", truth.onset, apex, truth.offset, "", units, truth.emotion))
    workbook.add_worksheet()
    workbook.add_worksheet()
    workbook.close()


def _draw_clip(tree: Path, seed: int, truth: ClipTruth) -> None:
    """Draw the frames onset..offset of one clip. Runs in a worker process."""
    folder = tree / f"sub{truth.subject:02}" / truth.name
    folder.mkdir(parents=True)
    face = _face(np.random.default_rng([seed, truth.subject]), truth.width, truth.height)
    grid = _grid(truth)
    actions, drift = _actions(truth, grid), _drift(truth)
    rng = np.random.default_rng([seed, truth.subject, truth.onset, truth.apex, truth.offset])
    for number in range(truth.onset, truth.offset + 1):
        level = _level(truth, number)
        elapsed = (number - truth.onset) / (truth.apex - truth.onset)
        source = grid - level * actions - elapsed * drift
        frame = cv2.remap(face, source[0], source[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        noise = rng.standard_normal(face.shape[:2], np.float32)
        frame = frame + (_NOISE * noise + level * truth.brightness)[..., None]
        pixels = np.rint(np.clip(frame, 0, 255)).astype(np.uint8)
        data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
        (folder / f"reg_img{number}.jpg").write_bytes(data.tobytes())


def _level(truth: ClipTruth, number: int) -> float:
    """How much of the motion there is in a frame: 0 at the onset, 1 at the apex, a rest at the offset."""
    if number <= truth.apex:
        return float(np.sin(np.pi / 2 * (number - truth.onset) / (truth.apex - truth.onset)) ** 2)
    fallen = np.sin(np.pi / 2 * (number - truth.apex) / (truth.offset - truth.apex)) ** 2
    return float(1 - (1 - _LEFT_AT_OFFSET) * fallen)


def _grid(truth: ClipTruth) -> Field:
    """Pixel positions x and y, float32 ``[2, H, W]``."""
    return np.stack(np.meshgrid(np.arange(truth.width), np.arange(truth.height))).astype(np.float32)


def _actions(truth: ClipTruth, at: Field) -> Field:
    """Compute the bumps' motion at the apex, in pixels, at positions `at` (both float32 ``[2, H, W]``)."""
    x, y = at[0] / truth.width, at[1] / truth.height
    motion = np.zeros_like(at)
    for centre_x, centre_y, radius_x, radius_y, dx, dy in truth.bumps:
        bump = np.exp(-(((x - centre_x) / radius_x) ** 2 + ((y - centre_y) / radius_y) ** 2) / 2)
        motion += np.stack([dx * bump, dy * bump])
    return motion * np.float32(truth.width / 128)


def _drift(truth: ClipTruth) -> Field:
    return np.array(truth.drift, np.float32)[:, None, None] * np.float32(truth.width / 128)


def _face(rng: np.random.Generator, width: int, height: int) -> Field:
    """Draw a subject's neutral face, float32 ``[H, W, 3]`` BGR, 0..255; `rng` is the subject's."""
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    skin = np.array([115, 150, 190]) * rng.uniform(0.75, 1.1)
    brow, eye, mouth = rng.normal((0.29, 0.39, 0.78), 0.008)
    apart, wide = rng.uniform(0.18, 0.21), rng.uniform(0.13, 0.16)

    def ellipse(cx: float, cy: float, rx: float, ry: float, soft: float) -> npt.NDArray[np.float64]:
        radius = np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2)
        return np.asarray(1 / (1 + np.exp(np.clip((radius - 1) / soft, -50, 50))))

    def stroke(cx: float, cy: float, rx: float, thick: float, bend: float) -> npt.NDArray[np.float64]:
        line = cy + bend * ((x - cx) / rx) ** 2
        return np.asarray(np.exp(-(((y - line) / thick) ** 2)) * ellipse(cx, cy, rx, 1.0, 0.08))

    layers = [(ellipse(0.5, 0.5, 0.53, 0.6, 0.03), skin)]
    layers += [(ellipse(0.5, 0.58, 0.10, 0.17, 0.35) * 0.5, skin * 1.2)]  # the nose catches the light
    layers += [(ellipse(0.5 + side * 0.055, 0.65, 0.025, 0.012, 0.2), skin * 0.4) for side in (-1, 1)]
    for side in (-1, 1):
        at = 0.5 + side * apart
        layers += [(ellipse(at, eye + 0.01, 0.12, 0.07, 0.3) * 0.4, skin * 0.7)]
        layers += [(ellipse(at, eye, 0.075, 0.022, 0.12), np.full(3, 225.0))]
        layers += [(ellipse(at, eye, 0.025, 0.021, 0.12), np.full(3, 40.0))]
        layers += [(stroke(at, brow, 0.11, 0.018, 0.02) * 0.9, skin * 0.3)]
        layers += [(stroke(0.5 + side * 0.17, 0.69, 0.03, 0.05, 0.0) * 0.3, skin * 0.7)]
    layers += [(ellipse(0.5, mouth, wide, 0.035, 0.12), np.array([95, 90, 165.0]))]
    layers += [(stroke(0.5, mouth, wide * 1.05, 0.008, -0.006), np.array([50, 40, 80.0]))]

    image = np.full((height, width, 3), 60.0)
    for mask, colour in layers:
        image += mask[..., None] * (colour - image)
    return np.asarray(image + _texture(rng, width, height)[..., None], np.float32)


def _texture(rng: np.random.Generator, width: int, height: int) -> Field:
    """Pores and spots at two scales, the same at every crop size: flow is undefined on plain skin."""
    texture = np.zeros((352, 288), np.float32)
    for blur, grey_levels in ((1.8, 7.0), (5.0, 6.0)):
        layer = cv2.GaussianBlur(rng.standard_normal(texture.shape, np.float32), (0, 0), blur)
        texture += grey_levels * layer / layer.std()
    return np.asarray(cv2.resize(texture, (width, height), interpolation=cv2.INTER_AREA), np.float32)
