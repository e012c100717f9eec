"""A contact sheet: what the store holds of a few clips, as one picture to look at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from mer_data.faces.aligner import make_aligner
from mer_data.faces.alignment import AlignSpec
from mer_data.faces.finder import Face
from mer_data.features.flow import grey, tvl1
from mer_data.features.strain import standard
from mer_data.files import written_aside
from mer_data.frames import crop, decode, frame_bytes, inside, list_frames, pick
from mer_data.problems import BadInput, Problem
from mer_data.schema import Clip
from mer_data.storage.shards import Feature
from mer_data.storage.store import Dataset, Store
from mer_data.variants import Variant, default_alignment

Picture: TypeAlias = npt.NDArray[np.uint8]

_WIDTH, _HEIGHT, _GAP, _TEXT = 120, 140, 4, 18
_WIDE = 2 * _WIDTH + _GAP  # of a whole picture
_GROUND, _INK, _MARK, _POINT = 24, (235, 235, 235), (60, 200, 255), (90, 255, 90)
_FONT, _FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.4


def contact_sheet(store: Store, dataset: str, clips: int = 12) -> Picture:
    """Draw a row for each of some clips: onset frame, apex frame, and every channel of every feature that is maps.

    Of whole pictures, the onset frame is shown with the face's box and points first, then both frames aligned. While
    the dataset has no such feature, flow and strain are computed from the two frames, for this picture only.

    Parameters
    ----------
    store, dataset
        Where to look, also a variant. If its frames are out of reach, the sheet shows features only. They are cropped
        to the face box. A dataset of whole pictures is shown with its default alignment.
    clips
        How many rows at most; the emotions take turns.

    Returns
    -------
    uint8 ``[H, W, 3]``, BGR. A channel with negative values has its zero at middle grey, and is stretched.

    Raises
    ------
    BadInput
        If the dataset is unknown, has nothing to show, or a frame of it is missing or damaged; or if the two frames
        of a clip differ in size while flow is computed from them.
    """
    known = store.dataset(dataset)
    align = default_alignment(known)
    aligned = Variant(align).name(dataset)
    dataset = aligned if align and store.has(aligned) else dataset
    root = known.frame_root if known.frame_root is not None and known.frame_root.is_dir() else None
    chosen = choose(known.clips, clips)
    features = [store.feature(dataset, name) for name in store.features(dataset)]
    maps = [(feature, feature.find([clip.id for clip in chosen])) for feature in features if _is_maps(feature)]
    maps = [(feature, found) for feature, found in maps if found]
    with_frames = root is not None and any(clip.frames for clip in chosen)
    if not with_frames and not maps:
        raise _nothing(known)
    rows = []
    for clip in chosen:
        frames = _frames(clip, root, align) if with_frames and root else []
        said, whole = "", list[Picture]()
        if align and frames:
            whole, frames, said = _aligned(clip, frames, align)
        cells = [*whole, *(_empty() if frame is None else _fit(frame) for frame in frames)]
        if not maps:
            cells += _motion(clip, *frames)
        for feature, found in maps:
            cells += _channels(feature, found.get(clip.id))
        rows.append(_row(cells, f"{clip.id}: {clip.emotion}{said}"))
    return np.concatenate([_heading(_titles(with_frames, align, [feature for feature, _ in maps])), *rows])


def _titles(with_frames: bool, align: AlignSpec, maps: Sequence[Feature]) -> list[tuple[str, str, int]]:
    """What the columns are, each with its width."""
    titles = [("whole picture", "onset", _WIDE)] if with_frames and align else []
    names = [(f"{align.name}" if align else "", "onset"), ("", "apex")] if with_frames else []
    if not maps:
        names += [("flow, not stored", "u"), ("", "v"), ("", "strain")]
    for feature in maps:
        names += [("" if index else feature.name, channel) for index, channel in enumerate(feature.channels)]
    return [*titles, *((above, name, _WIDTH) for above, name in names)]


def _aligned(
    clip: Clip, frames: Sequence[Picture | None], align: AlignSpec
) -> tuple[list[Picture], list[Picture | None], str]:
    """The whole onset frame with its face marked, both frames aligned, and what is to be said of them."""
    onset, apex = frames
    if onset is None:
        return [_empty(_WIDE)], [None, None], ", no onset"
    try:
        aligner = make_aligner(align, onset, clip.landmarks, clip.id)
    except BadInput as error:
        return [_fit(onset, _WIDE)], [None, None], f": {error.problems[0].what}"
    both = [None if frame is None or frame.shape != onset.shape else aligner.apply(frame) for frame in (onset, apex)]
    rivals = f", {aligner.face.rivals + 1} faces" if aligner.face.rivals else ""
    return [_fit(_marked(onset, aligner.face), _WIDE)], both, f", turned by {aligner.face.turned:.0f} degrees{rivals}"


def _marked(frame: Picture, face: Face) -> Picture:
    """A frame with a face's box and points, thick enough to be seen when it is made small."""
    picture, thick = frame.copy(), max(1, round(2 * max(frame.shape[1] / _WIDE, frame.shape[0] / _HEIGHT) / 2))
    left, top, right, bottom = (round(side) for side in face.box)
    cv2.rectangle(picture, (left, top), (right, bottom), _MARK, thick)
    for x, y in face.points.tolist():
        cv2.circle(picture, (round(x), round(y)), round(1.5 * thick), _POINT, -1)
    return picture


def choose(clips: Sequence[Clip], count: int) -> list[Clip]:
    """Choose clips by letting the emotions take turns, then put those of an emotion together."""
    by_emotion: defaultdict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        by_emotion[clip.emotion].append(clip)
    turns = zip_longest(*(by_emotion[emotion] for emotion in sorted(by_emotion)))
    chosen = [clip for turn in turns for clip in turn if clip is not None][:count]
    return sorted(chosen, key=lambda clip: clip.emotion)


def save(picture: Picture, path: Path) -> None:
    """Write a picture as PNG.

    Raises
    ------
    BadInput
        If the file's name says that it is something else.
    """
    if path.suffix.lower() != ".png":
        raise BadInput(Problem(str(path), "a contact sheet is a PNG", "give it a name that ends in .png"))
    # OpenCV's own writer takes the format from the suffix, which the file written aside does not have.
    data = cv2.imencode(".png", picture)[1].tobytes()
    with written_aside(path) as aside:
        aside.write_bytes(data)


def _nothing(dataset: Dataset) -> BadInput:
    gone = dataset.frame_root is not None and not dataset.frame_root.is_dir()
    lack = f"its frames in {dataset.frame_root} are out of reach" if gone else "it was imported without frames"
    what = f"there is nothing to show: {lack}, and it has no features"
    return BadInput(Problem(f"dataset {dataset.name}", what, "import it with its frames, or run `mer features`"))


def _is_maps(feature: Feature) -> bool:
    """Whether a feature is a picture for each of its channels; a sequence or a table of numbers is not."""
    return bool(feature.channels) and len(feature.shape) == 3


def _frames(clip: Clip, root: Path, align: AlignSpec) -> list[Picture | None]:
    """Onset and apex of a clip, cropped to its face box or whole; None for those that its annotation lacks."""
    pictures: list[Picture | None] = []
    have: dict[int, Path] | None = None
    for number in (clip.onset, clip.apex):
        if clip.frames is None or number is None:
            pictures.append(None)
            continue
        folder = inside(root, clip.frames)
        have = list_frames(folder, root) if have is None else have
        path = pick(have, number, str(folder))
        frame = decode(frame_bytes(path), str(path))
        pictures.append(frame if align else crop(frame, clip.face, str(path)))
    return pictures


def _motion(clip: Clip, onset: Picture | None, apex: Picture | None) -> list[Picture]:
    """u, v and strain from onset to apex, or empty cells if a frame is lacking."""
    if onset is None or apex is None:
        return [_empty(), _empty(), _empty()]
    try:
        flow = tvl1(grey(onset), grey(apex))
    except ValueError as error:
        raise BadInput(Problem(f"clip {clip.id}", str(error), "compare its frames with the original")) from error
    return [_picture(channel) for channel in (*flow, standard(flow))]


def _channels(feature: Feature, array: npt.NDArray[Any] | None) -> list[Picture]:
    """Every channel as a picture, or empty cells for a clip that lacks the feature."""
    if array is None:
        return [_empty() for _ in feature.channels]
    return [_picture(channel) for channel in array]


def _picture(channel: npt.NDArray[Any]) -> Picture:
    return _fit(cv2.cvtColor(_to_grey(channel), cv2.COLOR_GRAY2BGR))


def _to_grey(channel: npt.NDArray[Any]) -> Picture:
    """Values as brightness: bytes as they are, others stretched, with zero in the middle if some are negative."""
    if channel.dtype == np.uint8:
        return np.ascontiguousarray(channel)
    values = np.nan_to_num(channel.astype(np.float64), posinf=0, neginf=0)
    reach = float(np.abs(values).max()) or 1.0
    scaled = 127.5 * (1 + values / reach) if values.min() < 0 else 255 * values / reach
    return np.asarray(np.rint(scaled), np.uint8)


def _fit(picture: npt.NDArray[Any], wide: int = _WIDTH) -> Picture:
    """Scale a picture into a cell: small maps by a whole factor, pixel by pixel, and frames by area."""
    height, width = picture.shape[:2]
    factor: float = min(wide / width, _HEIGHT / height)
    if factor >= 1:
        factor = int(factor)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    scaled = cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST if factor >= 1 else cv2.INTER_AREA)
    cell = _empty(wide)
    left, top = (wide - size[0]) // 2, (_HEIGHT - size[1]) // 2
    cell[top : top + size[1], left : left + size[0]] = scaled
    return cell


def _empty(wide: int = _WIDTH) -> Picture:
    return np.full((_HEIGHT, wide, 3), _GROUND, np.uint8)


def _row(cells: Sequence[Picture], text: str) -> Picture:
    """A line of text over a line of cells."""
    lefts, width = _places([cell.shape[1] for cell in cells])
    row = np.full((_TEXT + _HEIGHT + _GAP, width, 3), _GROUND, np.uint8)
    for left, cell in zip(lefts, cells, strict=True):
        row[_TEXT : _TEXT + _HEIGHT, left : left + cell.shape[1]] = cell
    _write(row, text, _GAP, _TEXT - 5, row.shape[1] - 2 * _GAP)
    return row


def _places(widths: Sequence[int]) -> tuple[list[int], int]:
    """Where cells of these widths begin beside each other, and how wide they are together."""
    lefts = [_GAP + sum(widths[:index]) + index * _GAP for index in range(len(widths))]
    return lefts, _GAP + sum(widths) + len(widths) * _GAP


def _heading(titles: Sequence[tuple[str, str, int]]) -> Picture:
    """What the columns are: a feature's name over its first channel, and every channel's own name."""
    lefts, width = _places([wide for _, _, wide in titles])
    heading = np.full((2 * _TEXT, width, 3), _GROUND, np.uint8)
    for left, (above, name, wide) in zip(lefts, titles, strict=True):
        _write(heading, above, left, _TEXT - 5, wide)
        _write(heading, name, left, 2 * _TEXT - 5, wide)
    return heading


def _write(picture: Picture, text: str, left: int, base: int, width: int) -> None:
    """Write a line of text, smaller if it would not fit."""
    text = text.encode("ascii", "replace").decode()  # OpenCV's fonts have no other letters
    needed = cv2.getTextSize(text, _FONT, _FONT_SCALE, 1)[0][0]
    scale = _FONT_SCALE * min(1.0, width / max(needed, 1))
    cv2.putText(picture, text, (left, base), _FONT, scale, _INK, 1, cv2.LINE_AA)
