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

from mer_data.features.flow import grey, tvl1
from mer_data.features.strain import standard
from mer_data.files import written_aside
from mer_data.frames import crop, decode, frame_bytes, inside, list_frames, pick
from mer_data.problems import BadInput, Problem
from mer_data.schema import Clip
from mer_data.storage.shards import Feature
from mer_data.storage.store import Dataset, Store

Picture: TypeAlias = npt.NDArray[np.uint8]

_WIDTH, _HEIGHT, _GAP, _TEXT = 120, 140, 4, 18
_GROUND, _INK = 24, (235, 235, 235)
_FONT, _FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.4


def contact_sheet(store: Store, dataset: str, clips: int = 12) -> Picture:
    """Draw a row for each of some clips: onset frame, apex frame, and every channel of every feature that is maps.

    While the dataset has no such feature, flow and strain are computed from the two frames, for this picture only.

    Parameters
    ----------
    store, dataset
        Where to look. If its frames are out of reach, the sheet shows features only. They are cropped to the face box.
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
    root = known.frame_root if known.frame_root is not None and known.frame_root.is_dir() else None
    chosen = choose(known.clips, clips)
    features = [store.feature(dataset, name) for name in store.features(dataset)]
    maps = [(feature, feature.find([clip.id for clip in chosen])) for feature in features if _is_maps(feature)]
    maps = [(feature, found) for feature, found in maps if found]
    with_frames = root is not None and any(clip.frames for clip in chosen)
    if not with_frames and not maps:
        raise _nothing(known)
    titles = [("", "onset"), ("", "apex")] if with_frames else []
    if not maps:
        titles += [("flow, not stored", "u"), ("", "v"), ("", "strain")]
    for feature, _ in maps:
        titles += [("" if index else feature.name, channel) for index, channel in enumerate(feature.channels)]
    rows = [_heading(titles)]
    for clip in chosen:
        frames = _frames(clip, root) if with_frames and root else []
        cells = [_empty() if frame is None else _fit(frame) for frame in frames]
        if not maps:
            cells += _motion(clip, *frames)
        for feature, found in maps:
            cells += _channels(feature, found.get(clip.id))
        rows.append(_row(cells, f"{clip.id}: {clip.emotion}"))
    return np.concatenate(rows)


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


def _frames(clip: Clip, root: Path) -> list[Picture | None]:
    """Onset and apex of a clip, cropped to its face box; None for those that its annotation lacks."""
    pictures: list[Picture | None] = []
    have: dict[int, Path] | None = None
    for number in (clip.onset, clip.apex):
        if clip.frames is None or number is None:
            pictures.append(None)
            continue
        folder = inside(root, clip.frames)
        have = list_frames(folder, root) if have is None else have
        path = pick(have, number, str(folder))
        pictures.append(crop(decode(frame_bytes(path), str(path)), clip.face, str(path)))
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


def _fit(picture: npt.NDArray[Any]) -> Picture:
    """Scale a picture into a cell: small maps by a whole factor, pixel by pixel, and frames by area."""
    height, width = picture.shape[:2]
    factor: float = min(_WIDTH / width, _HEIGHT / height)
    if factor >= 1:
        factor = int(factor)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    scaled = cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST if factor >= 1 else cv2.INTER_AREA)
    cell = _empty()
    left, top = (_WIDTH - size[0]) // 2, (_HEIGHT - size[1]) // 2
    cell[top : top + size[1], left : left + size[0]] = scaled
    return cell


def _empty() -> Picture:
    return np.full((_HEIGHT, _WIDTH, 3), _GROUND, np.uint8)


def _row(cells: Sequence[Picture], text: str) -> Picture:
    """A line of text over a line of cells."""
    row = np.full((_TEXT + _HEIGHT + _GAP, _GAP + len(cells) * (_WIDTH + _GAP), 3), _GROUND, np.uint8)
    for index, cell in enumerate(cells):
        left = _GAP + index * (_WIDTH + _GAP)
        row[_TEXT : _TEXT + _HEIGHT, left : left + _WIDTH] = cell
    _write(row, text, _GAP, _TEXT - 5, row.shape[1] - 2 * _GAP)
    return row


def _heading(titles: Sequence[tuple[str, str]]) -> Picture:
    """What the columns are: a feature's name over its first channel, and every channel's own name."""
    heading = np.full((2 * _TEXT, _GAP + len(titles) * (_WIDTH + _GAP), 3), _GROUND, np.uint8)
    for index, (above, name) in enumerate(titles):
        left = _GAP + index * (_WIDTH + _GAP)
        _write(heading, above, left, _TEXT - 5, _WIDTH)
        _write(heading, name, left, 2 * _TEXT - 5, _WIDTH)
    return heading


def _write(picture: Picture, text: str, left: int, base: int, width: int) -> None:
    """Write a line of text, smaller if it would not fit."""
    text = text.encode("ascii", "replace").decode()  # OpenCV's fonts have no other letters
    needed = cv2.getTextSize(text, _FONT, _FONT_SCALE, 1)[0][0]
    scale = _FONT_SCALE * min(1.0, width / max(needed, 1))
    cv2.putText(picture, text, (left, base), _FONT, scale, _INK, 1, cv2.LINE_AA)
