"""The twin of ATN's data: names and text forms of :mod:`mer_data.published.atn`, with all their oddities.

The points are those of the planted motion. HOOF is the histogram of the same motion. The LBP-TOP histograms are drawn
at random and only have the right form: bins that 4 neighbours never reach are empty, and every row sums to 1.
"""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mer_data.synthetic import motion
from mer_data.synthetic.casting import ClipTruth
from mer_data.synthetic.published import CLIPS, LABELS, SUBJECTS, picture, plan_published
from mer_data.synthetic.twin import Progress, counted, new_twin, random_state, write_image

STEPS, APEX_STEP, CELLS = 64, 32, 8
_HEADER = b"MATLAB 5.0 MAT-file, written by a twin".ljust(116)
_BINS, _USED_BY_FOUR = 59, 12


def make_atn(
    dest: Path,
    *,
    subjects: int = SUBJECTS,
    clips: int = CLIPS,
    seed: int = 0,
    size: tuple[int, int] = (140, 170),
    length: tuple[int, int] = (24, 110),
    progress: Progress | None = None,
) -> None:
    """Write a twin of ATN's data: apex crops, points, eight features in MATLAB files, and ``truth.json``.

    Subjects and clips are chosen from the published list; otherwise see :class:`~.twin.MakeTwin`.
    """
    planned = plan_published(subjects, clips, seed, size, length)
    with new_twin(dest, "atn", planned, seed) as folder:
        data = folder / "Data"
        data.mkdir()
        # CRLF, and a blank line at the end.
        lines = [f"{crop_name(truth)} {LABELS[truth.emotion]}\r\n" for truth in planned]
        (data / "Apex_Cropped_images.txt").write_bytes("".join([*lines, "\r\n"]).encode())
        with (data / "OpticalFlowFeatureData.txt").open("wb") as text:
            for position, truth in enumerate(counted(planned, progress)):
                grey = truth.dataset == "samm"
                write_image(data / "Apex_Cropped_images" / crop_name(truth), picture(truth, seed, 1.0, grey=grey))
                text.write(_block(truth, position).encode())
                _write_mats(data, truth, seed)


def key(truth: ClipTruth, separator: str = "-") -> str:
    """Write a clip's key: ``samm-6-006_1_2``, without the zeros of SAMM's subjects."""
    subject = truth.subject.lstrip("0") if truth.dataset == "samm" else truth.subject
    return separator.join((truth.dataset, subject, truth.name))


def crop_name(truth: ClipTruth) -> str:
    """Write the name of a clip's apex crop; each dataset has its own names of frames."""
    frame = {
        "casme2": f"img{truth.apex}.jpg",
        "smic": f"image{truth.apex:06d}.bmp",
        "samm": f"{truth.subject}_{truth.apex:05d}.jpg",
    }[truth.dataset]
    return f"{key(truth)}-{frame}"


def points(truth: ClipTruth) -> npt.NDArray[np.float32]:
    """Compute a clip's points from its planted motion, float32 ``[64, 128]``.

    Row r holds the motion from frame ``apex - 32 + r`` to the next one, in pixels of the crop, for 8×8 cells row by
    row: direction (radians, v downwards) and magnitude one after the other. Rows outside the clip are zero.
    """
    at_apex = _cells(truth, CELLS)
    rows = np.zeros((STEPS, CELLS * CELLS, 2), np.float32)
    for row in range(STEPS):
        number = truth.apex - APEX_STEP + row
        if truth.onset <= number < truth.offset:
            u, v = _between(truth, at_apex, number, number + 1).reshape(2, -1)
            rows[row] = np.stack([np.arctan2(v, u), np.hypot(u, v)], axis=-1)
    return rows.reshape(STEPS, -1)


def _cells(truth: ClipTruth, side: int) -> npt.NDArray[np.float32]:
    """Average the actions' motion at the apex over cells, ``[2, side, side]``."""
    actions = motion.bumps_at(truth.bumps, motion.grid(truth.width, truth.height))
    return np.stack([cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA) for part in actions])


def _between(truth: ClipTruth, at_apex: npt.NDArray[np.float32], before: float, after: float) -> motion.Field:
    """Compute the motion from one moment to another; moments between frames are as good."""
    amounts = [_level(truth, moment) for moment in (before, after)]
    elapsed = (after - before) / (truth.apex - truth.onset)
    drift = motion.drift_of(truth.drift, truth.width)
    return np.asarray((amounts[1] - amounts[0]) * at_apex + elapsed * drift, np.float32)


def _level(truth: ClipTruth, moment: float) -> float:
    """Interpolate the amount of motion between the frames around a moment."""
    whole = int(moment)
    low, high = (motion.level(truth.onset, truth.apex, truth.offset, number) for number in (whole, whole + 1))
    return low + (moment - whole) * (high - low)


def _block(truth: ClipTruth, position: int) -> str:
    """Write a clip's points in one of the spellings that its key and its lines may have."""
    written = (
        key(truth), f"Data/{key(truth, '/')}", f"Data\\{key(truth, chr(92))}", key(truth, "/"),
    )[position % 4]  # fmt: skip
    space = " " if position % 2 == 0 else ""
    rows = [space + " ".join(f"{number:.7g}" for number in row) for row in points(truth).tolist()]
    return "\r\n".join([written, *rows, *[""] * (1 + position % 2)])


def _write_mats(data: Path, truth: ClipTruth, seed: int) -> None:
    """Write a clip's eight MATLAB files."""
    rng = random_state(seed, truth.id, "lbp-top")
    field = _cells(truth, 16)
    for length, columns in ((10, 9), (64, 64)):
        for count in (4, 8):
            bins = np.zeros((3, _BINS))
            used = _USED_BY_FOUR if count == 4 else _BINS
            bins[:, :used] = rng.dirichlet(np.full(used, 2.0), 3)
            _save(data / f"LBP_TOP_333_TIM{length}_{count}" / f"{key(truth)}.mat", "Histogram", bins)
            _save(data / f"HOOF_TIM{length}_{count}" / f"{key(truth)}.mat", "HOOF", _hoof(truth, field, count, columns))


def _hoof(truth: ClipTruth, field: npt.NDArray[np.float32], bins: int, columns: int) -> npt.NDArray[np.float64]:
    """Compute histograms of the direction of motion in equal parts of the clip, ``[bins, columns]``."""
    moments = np.linspace(truth.onset, truth.offset, columns + 1).tolist()
    histograms = np.empty((bins, columns))
    for column in range(columns):
        u, v = _between(truth, field, moments[column], moments[column + 1])
        angles, magnitudes = np.arctan2(v, u) % (2 * np.pi), np.hypot(u, v)
        votes, _ = np.histogram(angles, bins, (0, 2 * np.pi), weights=magnitudes)
        histograms[:, column] = votes / votes.sum() if votes.sum() else 1 / bins
    return histograms


def _save(path: Path, name: str, matrix: npt.NDArray[np.float64]) -> None:
    """Write one matrix as a MATLAB file of version 5."""
    values = matrix.astype("<f8").tobytes("F")
    parts = ((6, struct.pack("<2I", 6, 0)), (5, struct.pack("<2i", *matrix.shape)), (1, name.encode()), (9, values))
    content = b"".join(_element(type_, data) for type_, data in parts)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(_HEADER + struct.pack("<QH2s", 0, 0x0100, b"IM") + _element(14, content))


def _element(type_: int, data: bytes) -> bytes:
    return struct.pack("<2I", type_, len(data)) + data + bytes(-len(data) % 8)
