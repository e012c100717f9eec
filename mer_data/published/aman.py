"""AMAN's arrays: maps of a ResNet-18 for every magnified frame, and the magnified frames themselves.

::

    MAPS/{subject}/{clip}{label digit}/{frame}/feature512.npy     [factors, 256, 14, 14]
    IMAGES/{subject}/{clip}/{frame}/{factor}.jpg

The label is the last character of the clip's folder. The folders of magnified frames do not tell it, so they need the
maps beside them; the clip's folder may have the digit there or not. Frames and factors are ordered by number: the
folder ``10`` comes after ``9``, which it does not as text.

All maps of the composite are about 9 GB. They are read a clip at a time, when they are asked for.

Wei et al., "A Novel Micro-Expression Recognition Approach Using Attention-Based Magnification-Adaptive Networks",
ICASSP 2022.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from mer_data.imported import Imported, ImportedFeature
from mer_data.problems import BadInput, Problem, raise_all
from mer_data.published.aman_files import find_images, find_maps, image_size, kind_of, load_images, load_map
from mer_data.published.foreign import imported_spec
from mer_data.published.megc2019 import LABELS, in_order, make_clip
from mer_data.published.reading import entries

MOST_FRAMES = 11
_FORM = "give the folder SUBJECT/CLIP+LABEL/FRAME/feature512.npy, and if you like SUBJECT/CLIP/FRAME/FACTOR.jpg too"
_SAMPLING = (
    f"frames of each clip, evenly: positions np.rint(np.linspace(0, frames - 1, count)), the count being that of the "
    f"clip with the fewest, at most {MOST_FRAMES}"
)


File = TypeVar("File")


class ClipArrays(Mapping[str, npt.NDArray[Any]], Generic[File]):
    """Arrays by clip id that are read from their files each time they are asked for.

    Parameters
    ----------
    files
        What `load` needs for each frame of each clip.
    load
        Reads one frame; a clip's frames are stacked in their order.
    """

    def __init__(self, files: Mapping[str, Sequence[File]], load: Callable[[File], npt.NDArray[Any]]) -> None:
        self._files = files
        self._load = load

    def __getitem__(self, clip_id: str) -> npt.NDArray[Any]:
        return np.stack([self._load(file) for file in self._files[clip_id]])

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def find_problems(self) -> list[Problem]:
        """Read every file once, keeping none."""
        problems: list[Problem] = []
        for files in self._files.values():
            for file in files:
                try:
                    self._load(file)
                except BadInput as bad:
                    problems += bad.problems
        return problems


def read(sources: Sequence[Path]) -> Imported:
    """Read AMAN's maps, and the magnified frames if they are given.

    The network weighs frames and takes their mean, so a frame twice would change it. Therefore clips are not filled
    up to the longest but sampled evenly down to the shortest; see `params` of the features.

    Parameters
    ----------
    sources
        The folder of the maps and, in any order, that of the magnified frames; or one folder that holds them.

    Returns
    -------
    Imported
        Clips without frame numbers. The emotion is negative, positive or surprise if no label is above 2, else
        ``class-0`` and so on. Features, J being the number of frames and I that of factors: ``aman_maps``, float16
        ``[J, I, 256, 14, 14]``, and ``magnified``, uint8 ``[J, I, H, W, 3]`` (BGR). Their arrays are read lazily.

    Raises
    ------
    BadInput
        With everything that is wrong, each with its file. Every file that is used is read once to find it. A file
        that is damaged later raises when its clip is read.
    """
    problems: list[Problem] = []
    try:
        maps, images = _find(sources)
        labels, map_files = find_maps(maps, problems)
        image_files, factors = find_images(images, labels, problems) if images else ({}, ())
    except OSError as error:
        raise BadInput(Problem(str(error.filename), f"cannot be read: {error.strerror}", "check its rights")) from error
    features = [
        *_maps_feature(_sampled(map_files), problems),
        *_images_feature(_sampled(image_files), factors, problems),
    ]
    raise_all(problems)
    words = _words(labels)
    clips = in_order(make_clip(clip_id, words[label]) for clip_id, label in labels.items())
    counts = [len(files) for files in map_files.values()]
    told = ", ".join(f"{digit} is {word}" for digit, word in words.items())
    notes = (
        f"labels are the last characters of the clips' folders, taken as: {told}",
        f"clips have {min(counts)} to {max(counts)} frames; {features[0].spec.size[0]} of each were taken, evenly",
    )
    return Imported(clips, maps, notes=notes, features=tuple(features))


def _find(sources: Sequence[Path]) -> tuple[Path, Path | None]:
    """Tell the folder of the maps and that of the magnified frames, if there is one."""
    raise_all(Problem(str(path), "is not a folder", _FORM) for path in sources if not path.is_dir())
    problems: list[Problem] = []
    found: dict[str, list[Path]] = {"maps": [], "images": []}
    for source in sources:
        root = source.resolve()
        inner = [path for path in entries(root, root, problems) if path.is_dir()] if kind_of(root) is None else []
        for path in (root, *inner):
            if kind := kind_of(path):
                found[kind].append(path)
    if len(found["maps"]) != 1 or len(found["images"]) > 1:
        counted = f"{len(found['maps'])} folders of maps and {len(found['images'])} of magnified frames"
        where = ", ".join(map(str, sources)) or "sources"
        problems.append(Problem(where, f"{counted} were found; one of maps is needed for the labels", _FORM))
    raise_all(problems)
    return found["maps"][0], next(iter(found["images"]), None)


def _sampled(files: Mapping[str, Sequence[File]]) -> dict[str, list[File]]:
    """Take equally many frames of every clip."""
    count = min(MOST_FRAMES, *map(len, files.values())) if files else 0
    chosen = {}
    for clip_id, frames in files.items():
        positions = np.rint(np.linspace(0, len(frames) - 1, count)).astype(int).tolist()
        chosen[clip_id] = [frames[position] for position in positions]
    return chosen


def _maps_feature(files: Mapping[str, Sequence[Path]], problems: list[Problem]) -> list[ImportedFeature]:
    """Make the feature of the maps; none if there are no files that could tell its shape."""
    arrays = ClipArrays(files, load_map)
    problems += arrays.find_problems()
    if problems or not files:
        return []
    shape = next(iter(arrays.values())).shape
    spec = imported_spec(
        "aman_maps",
        "onset..offset",
        (),
        shape,
        "float16",
        {"origin": "AMAN", "axes": "frame, factor, channel, height, width", "frames": _SAMPLING},
    )
    return [ImportedFeature(spec, arrays, "AMAN, feature512.npy")]


def _images_feature(
    files: Mapping[str, Sequence[tuple[Path, ...]]], factors: Sequence[float], problems: list[Problem]
) -> list[ImportedFeature]:
    """Make the feature of the magnified frames; none if there are no files that could tell its shape."""
    first = next((images for frames in files.values() for images in frames if images), None)
    if first is None:
        return []
    try:
        size = image_size(first[0])
    except BadInput as bad:
        problems += bad.problems
        return []
    arrays = ClipArrays(files, partial(load_images, size=size))
    problems += arrays.find_problems()
    if problems:
        return []
    spec = imported_spec(
        "magnified",
        "onset..offset",
        (),
        (len(next(iter(files.values()))), len(factors), *size, 3),
        "uint8",
        {
            "origin": "AMAN",
            "axes": "frame, factor, height, width, colour (blue, green, red)",
            "factors": list(factors),
            "frames": _SAMPLING,
        },
    )
    return [ImportedFeature(spec, arrays, "AMAN, magnified frames")]


def _words(labels: Mapping[str, str]) -> dict[str, str]:
    """Give each label digit its word: MEGC 2019's three if no other digit occurs."""
    digits = sorted(set(labels.values()))
    return {digit: LABELS[digit] if set(digits) <= LABELS.keys() else f"class-{digit}" for digit in digits}
