"""Finding and reading AMAN's files: one folder for each frame, ordered by number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from mer_data.frames import decode, frame_number
from mer_data.problems import BadInput, Problem, raise_all
from mer_data.published.megc2019 import clip_id, subject_of
from mer_data.published.pictures import read_jpeg
from mer_data.published.reading import entries, for_every_clip

MAP = (256, 14, 14)  # what a ResNet-18 gives after its third stage for 224x224 pixels
_FILE = "feature512.npy"
_JPEG = frozenset({".jpg", ".jpeg"})
_MAGIC = b"\x93NUMPY"
_FACTOR = re.compile(r"[0-9]{1,4}(\.[0-9]{1,20})?")
_RESTORE = "restore the file from the original"

Frames = dict[str, list[Path]]  # clip id to its frames' folders


def kind_of(root: Path) -> Literal["maps", "images"] | None:
    """Tell what lies in the folders ``SUBJECT/CLIP/FRAME``, or None if nothing of AMAN's."""
    for path in root.glob("*/*/*/*"):
        suffix = path.suffix.lower()
        if not path.name.startswith("."):
            if suffix == ".npy":
                return "maps"
            if suffix in _JPEG:
                return "images"
    return None


def find_maps(root: Path, problems: list[Problem]) -> tuple[dict[str, str], dict[str, list[Path]]]:
    """List the maps' files.

    Returns
    -------
    The label digit of every clip, and its files in the order of the frames.
    """
    labels: dict[str, str] = {}
    frames: Frames = {}
    for folder in _clip_folders(root, problems):
        found, label = clip_id(folder.parent.name, folder.name[:-1]), folder.name[-1]
        if found is None or label not in "0123456789":
            what = "is not a clip's name with a label digit as its last character"
            problems.append(Problem(str(folder), what, "name it like EP02_01f1"))
        elif found in labels:
            problems.append(Problem(str(folder), f"is a second folder of clip {found}", "keep one"))
        else:
            labels[found] = label
            frames[found] = _frame_folders(root, folder, problems)
    files: dict[str, list[Path]] = {}
    factors: dict[Path, int] = {}
    for found, folders in frames.items():
        files[found] = []
        for folder in folders:
            try:
                path = _map_file(root, folder, problems)
                factors[path] = _opened(path).shape[0]
                files[found].append(path)
            except BadInput as bad:
                problems += bad.problems
    _check_alike({path: f"{count} factors" for path, count in factors.items()}, problems)
    return labels, files


def find_images(
    root: Path, labels: Mapping[str, str], problems: list[Problem]
) -> tuple[dict[str, list[tuple[Path, ...]]], tuple[float, ...]]:
    """List the magnified frames of the clips in `labels`.

    Returns
    -------
    For every clip, in the order of the frames, a frame's files in the order of the factors; and the factors.
    """
    frames: Frames = {}
    for folder in _clip_folders(root, problems):
        subject, name = folder.parent.name, folder.name
        found = clip_id(subject, name)
        bare = clip_id(subject, name[:-1])
        if found not in labels and bare and labels.get(bare) == name[-1]:
            found = bare
        if found is None:
            problems.append(Problem(str(folder), "is not a clip's name", "name it like EP02_01f"))
        elif found in frames:
            problems.append(Problem(str(folder), f"is a second folder of clip {found}", "keep one"))
        else:
            frames[found] = _frame_folders(root, folder, problems)
    for_every_clip(str(root), "magnified", frames, labels, problems)
    by_factor = {}
    for folder in (folder for folders in frames.values() for folder in folders):
        if here := _factor_files(root, folder, problems):
            by_factor[folder] = here
        else:
            problems.append(Problem(str(folder), "no images named after factors", "name them like 2.0.jpg"))
    _check_alike({folder: f"the factors {', '.join(map(str, here))}" for folder, here in by_factor.items()}, problems)
    files = {
        found: [tuple(by_factor[folder].values()) for folder in folders if folder in by_factor]
        for found, folders in frames.items()
    }
    return files, tuple(next(iter(by_factor.values()), {}))


def load_map(path: Path) -> npt.NDArray[np.float16]:
    """Read one frame's maps, float16 ``[factors, 256, 14, 14]``.

    Raises
    ------
    BadInput
        If the file is damaged, holds anything but such an array, or a value that float16 cannot hold.
    """
    with np.errstate(over="ignore"):  # too great for float16 becomes infinite, and is told just below
        maps = _opened(path).astype(np.float16)
    if not np.isfinite(maps).all():
        raise BadInput(Problem(str(path), "has values that are not finite or above 65504", _RESTORE))
    return maps


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of an image file.

    Raises
    ------
    BadInput
        If it is damaged.
    """
    try:
        height, width, _ = decode(path.read_bytes(), str(path)).shape
    except OSError as error:
        raise BadInput(Problem(str(path), f"cannot be read: {error.strerror}", _RESTORE)) from error
    return height, width


def load_images(paths: Sequence[Path], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Read one frame in all its magnifications, uint8 ``[factors, H, W, 3]`` (BGR), `size` being height and width.

    Raises
    ------
    BadInput
        With all the files that are damaged or of another size.
    """
    images = [read_jpeg(path, str(path), size) for path in paths]
    raise_all(image for image in images if isinstance(image, Problem))
    return np.stack([image for image in images if not isinstance(image, Problem)])


def _clip_folders(root: Path, problems: list[Problem]) -> list[Path]:
    """List the folders ``SUBJECT/CLIP``."""
    found = []
    for subject in entries(root, root, problems):
        if not subject.is_dir():
            continue
        if subject_of(subject.name) is None:
            remedy = "name it like sub01 (casme2), s01 (smic) or 006 (samm), or move it away"
            problems.append(Problem(str(subject), "is not a subject's folder", remedy))
        else:
            found += [path for path in entries(root, subject, problems) if path.is_dir()]
    return found


def _frame_folders(root: Path, clip: Path, problems: list[Problem]) -> list[Path]:
    """List a clip's folders of frames, ordered by their numbers."""
    frames: dict[int, Path] = {}
    for path in entries(root, clip, problems):
        if not path.is_dir():
            continue
        number = frame_number(f"{path.name}.")  # the dot keeps a dot in the folder's name from hiding its end
        if number is None:
            problems.append(Problem(str(path), "has no frame number in its name", "name it after its frame"))
        elif number in frames:
            what = f"{frames[number].name} and {path.name} are both frame {number}"
            problems.append(Problem(str(clip), what, "keep one"))
        else:
            frames[number] = path
    if not frames:
        problems.append(Problem(str(clip), "no folders of frames", "restore them, or move the clip away"))
    return [frames[number] for number in sorted(frames)]


def _map_file(root: Path, frame: Path, problems: list[Problem]) -> Path:
    """Find a frame's one file of maps, under its own name or another."""
    files = [path for path in entries(root, frame, problems) if path.suffix.lower() == ".npy"]
    chosen = [path for path in files if path.name == _FILE] or files
    if len(chosen) != 1:
        raise BadInput(Problem(str(frame), f"holds {len(files)} .npy files, none of them {_FILE}", _RESTORE))
    return chosen[0]


def _factor_files(root: Path, frame: Path, problems: list[Problem]) -> dict[float, Path]:
    """List a frame's magnifications, ordered by factor."""
    files: dict[float, Path] = {}
    for path in entries(root, frame, problems):
        if path.suffix.lower() not in _JPEG:
            continue
        if not _FACTOR.fullmatch(path.stem):
            problems.append(Problem(str(path), "is not named after a factor", "name it like 2.0.jpg"))
        elif float(path.stem) in files:
            what = f"{files[float(path.stem)].name} and {path.name} are one factor"
            problems.append(Problem(str(frame), what, "keep one"))
        else:
            files[float(path.stem)] = path
    return dict(sorted(files.items()))


def _check_alike(said: Mapping[Path, str], problems: list[Problem]) -> None:
    """Check that all files or folders hold the same; those that do not are problems."""
    if said:
        usual, _ = Counter(said.values()).most_common(1)[0]
        for path, words in said.items():
            if words != usual:
                problems.append(Problem(str(path), f"has {words[:100]}; most others have {usual[:100]}", _RESTORE))


def _opened(path: Path) -> npt.NDArray[np.floating]:
    """Map a file of maps into memory, which reads its header only."""
    try:
        with path.open("rb") as file:
            is_array = file.read(len(_MAGIC)) == _MAGIC
    except OSError as error:
        raise BadInput(Problem(str(path), f"cannot be read: {error.strerror}", _RESTORE)) from error
    if not is_array:
        what = "is not a NumPy array file; pickled objects are not read"
        raise BadInput(Problem(str(path), what, "save the array with numpy.save"))
    # On a damaged header the reader raises whatever comes up in it, from SyntaxError to MemoryError.
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:
        what = "is damaged, or holds objects: its header is not that of an array of numbers, or it is too short"
        raise BadInput(Problem(str(path), what, _RESTORE)) from error
    if array.dtype.kind != "f" or array.shape[1:] != MAP or not array.shape[0]:
        what = f"holds {array.dtype} {list(array.shape)}; maps are floats [factors, {', '.join(map(str, MAP))}]"
        raise BadInput(Problem(str(path), what, _RESTORE))
    return np.asarray(array)
