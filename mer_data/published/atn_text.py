"""The two text files of ATN: the list of apex crops, and the points of the temporal branch.

Both are known with either line end, blank lines between records, back-slashes for slashes, and a ``Data/`` in front.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mer_data.files import read
from mer_data.frames import IMAGE_SUFFIXES, frame_number
from mer_data.problems import BadInput, Problem
from mer_data.published.foreign import imported_spec
from mer_data.published.megc2019 import LABELS, clip_id, labels_remedy, make_clip
from mer_data.published.reading import entries, for_every_clip
from mer_data.schema import Clip

LIST = "Apex_Cropped_images.txt"
CROPS = "Apex_Cropped_images"
POINTS = "OpticalFlowFeatureData.txt"
STEPS, NUMBERS = 64, 128
_LONGEST_NAME = 255  # of a file
_CROP_NAME = "DATASET-SUBJECT-CLIP-FRAME.jpg, such as casme2-sub01-EP02_01f-img59.jpg"
_KEY = "DATASET-SUBJECT-CLIP, such as casme2-sub01-EP02_01f or Data/samm/6/006_1_2"
_RESTORE = "restore the file from the original"

POINTS_SPEC = imported_spec(
    "atn_points",
    "onset..offset",
    (),
    (STEPS, NUMBERS),
    "float32",
    {
        "origin": "ATN",
        "rows": "time steps, row 32 at the apex; rows outside the clip are zero and stay where the file has them",
        "columns": "64 cells of the face: direction in radians and magnitude, one after the other",
    },
)


@dataclass(frozen=True)
class Crop:
    """One clip, the file of its apex crop, and the line that lists it."""

    clip: Clip
    path: Path
    row: str


def list_crops(sheet: Path, folder: Path, problems: list[Problem]) -> tuple[list[Crop], frozenset[str]]:
    """Read the list ``FILE LABEL``, and find each file in the folder of crops.

    Returns
    -------
    The crops of the lines that are right, and the ids of all clips that the list names. The apex is the frame in the
    file's name. In SMIC, which annotates none, it is the middle frame: ATN took that one for all its clips.

    Raises
    ------
    BadInput
        If the list is not text. What is wrong in a line is added to `problems`.
    """
    present = {path.name: path for path in entries(folder, folder, problems) if path.suffix.lower() in IMAGE_SUFFIXES}
    crops = []
    row_of: dict[str, str] = {}
    mentioned = set()
    for number, line in _lines(sheet):
        row = f"{sheet}, line {number}"
        file, _, label = line.replace("\t", " ").rpartition(" ")
        name = _plain(file).removeprefix(f"{CROPS}/")
        mentioned.add(name)
        found = clip_of_key(name.rpartition("-")[0])  # the key, and the frame after one more hyphen
        if found in row_of:
            problems.append(Problem(row, f"clip {found} is in {row_of[found]} too", "keep one line"))
            continue
        if found:
            row_of[found] = row
        if wrong := _wrong_line(line, name, label, found):
            problems.append(Problem(row, *wrong))
        elif name not in present:
            problems.append(Problem(row, f"no image {name[:80]!r} in {folder}", "restore the file or drop the line"))
        elif found:
            source = "midpoint" if found.startswith("smic/") else "annotated"
            crops.append(Crop(make_clip(found, LABELS[label], _frame_of(name), source), present[name], row))
    for name in sorted(present.keys() - mentioned):
        problems.append(Problem(str(folder), f"{name!r} has no line in {sheet.name}", "add it or move the file away"))
    return crops, frozenset(row_of)


def _frame_of(name: str) -> int | None:
    """Tell the frame's number from the last word of a crop's name, which may repeat the subject before it."""
    return frame_number(name.rpartition("-")[2])


def _wrong_line(line: str, name: str, label: str, found: str | None) -> tuple[str, str] | None:
    """Tell what is wrong with a line of the list, whatever files there are, and the remedy."""
    if label not in LABELS or not name:
        return f"{line[:80]!r} is not a file and a label", labels_remedy()
    if ".." in name.split("/") or name.startswith("/"):
        return f"{name[:80]!r} leads out of the folder of crops", "name a file of that folder"
    if found is None or "/" in name or len(name) > _LONGEST_NAME or _frame_of(name) is None:
        return f"{name[:80]!r} names no clip and frame", f"crops are named {_CROP_NAME}"
    return None


def read_points(path: Path, clips: Collection[str], problems: list[Problem]) -> Mapping[str, npt.NDArray[np.float32]]:
    """Read blocks of a key and 64 lines of 128 numbers, float32 ``[64, 128]`` each, by clip id.

    Parameters
    ----------
    path
        The file.
    clips
        The ids of all clips; each must have a block.
    problems
        What is wrong in a block is added here.

    Raises
    ------
    BadInput
        If the file is not text.
    """
    blocks: dict[str, npt.NDArray[np.float32]] = {}
    first: dict[str, int] = {}
    for number, key, rows in _blocks(path, problems):
        where = f"{path}, line {number}"
        found = clip_of_key(key)
        before = len(problems)
        if found is None:
            problems.append(Problem(where, f"{key[:80]!r} is not a clip's key", f"write it as {_KEY}"))
        elif found in first:
            what = f"clip {found} has a block at line {first[found]} too"
            problems.append(Problem(where, what, "keep one block"))
        else:
            first[found] = number
        if len(rows) != STEPS:
            what = f"{key[:80]!r} is followed by {len(rows)} lines of numbers, not {STEPS}"
            problems.append(Problem(where, what, _RESTORE))
        read_rows = [_numbers(path, at, line, problems) for at, line in rows]
        if len(problems) == before and found:
            blocks[found] = np.stack([row for row in read_rows if row is not None])
    for_every_clip(str(path), POINTS_SPEC.name, first, clips, problems)
    return blocks


def clip_of_key(text: str) -> str | None:
    """Tell the clip id from ``samm-6-006_1_2`` or ``Data/samm/6/006_1_2``; None if the text is no such key."""
    parts = _plain(text).replace("/", "-").split("-")
    if len(parts) != 3:
        return None
    dataset, subject, name = parts
    found = clip_id(subject, name)
    return found if found and found.startswith(f"{dataset}/") else None


def _plain(text: str) -> str:
    return text.strip().replace("\\", "/").removeprefix("Data/")


def _lines(path: Path) -> list[tuple[int, str]]:
    """Read the lines that are not blank, stripped, with their numbers from 1."""
    text: str = read(path, lambda: path.read_text(encoding="utf-8-sig"), "save it as plain text")
    # Not splitlines(): it also splits at characters that no editor counts as a line's end.
    numbered = ((number, line.strip()) for number, line in enumerate(text.split("\n"), start=1))
    found = [(number, line) for number, line in numbered if line]
    if not found:
        raise BadInput(Problem(str(path), "has no lines", _RESTORE))
    return found


def _blocks(path: Path, problems: list[Problem]) -> list[tuple[int, str, list[tuple[int, str]]]]:
    """Split the file at its keys: each key's line number, the key, and the numbered lines below it."""
    blocks: list[tuple[int, str, list[tuple[int, str]]]] = []
    for number, line in _lines(path):
        if len(line.split()) == 1 and _number(line) is None:
            blocks.append((number, line, []))
        elif blocks:
            blocks[-1][2].append((number, line))
        else:
            problems.append(Problem(f"{path}, line {number}", "numbers before the first key", _RESTORE))
    return blocks


def _numbers(path: Path, number: int, line: str, problems: list[Problem]) -> npt.NDArray[np.float32] | None:
    """Read one line of numbers, float32 ``[128]``, or add what is wrong with it."""
    fields = line.split()
    values = [value for value in map(_number, fields) if value is not None]
    where = f"{path}, line {number}"
    if len(values) < len(fields):
        wrong = next(field for field in fields if _number(field) is None)
        problems.append(Problem(where, f"{wrong[:40]!r} is not a number", _RESTORE))
    elif len(values) != NUMBERS:
        problems.append(Problem(where, f"has {len(values)} numbers, not {NUMBERS}", _RESTORE))
    else:
        with np.errstate(over="ignore"):  # too great for float32 becomes infinite, and is told just below
            row = np.array(values).astype(np.float32)
        if np.isfinite(row).all():
            return row
        column = int(np.argmin(np.isfinite(row))) + 1
        problems.append(Problem(where, f"number {column} is {fields[column - 1][:40]}, which is not finite", _RESTORE))
    return None


def _number(field: str) -> float | None:
    try:
        return None if "_" in field else float(field)  # Python reads 1_0 as ten, a text file does not mean that
    except ValueError:
        return None
