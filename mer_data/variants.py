"""Variants of a dataset: other frames taken for onset and apex, or faces aligned otherwise, with nothing else changed.

A variant is a dataset of the store beside its original, ``samm@align-similarity+jitter-2``: the same clips, and
features of its own. It is made anew when its original has changed. A variant that changes nothing is the original.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np

from mer_data.apex import Image, midpoint, spot_apex
from mer_data.faces.aligner import make_aligner
from mer_data.faces.alignment import ALIGNMENTS, NONE, AlignSpec
from mer_data.frames import decode, frame_bytes, list_frames
from mer_data.hashing import digest
from mer_data.problems import BadInput, Problem, raise_all
from mer_data.schema import ApexChoice, Clip
from mer_data.storage.store import VARIANT, Dataset, Store

_VERSION = 1  # raised when the same variant gives other clips


@dataclass(frozen=True)
class Variant:
    """What is changed.

    Attributes
    ----------
    align
        What is done to frames before a feature is computed.
    apex
        ``annotated`` leaves the apex as the import gave it; ``midpoint`` takes the middle frame of every clip,
        ``spotted`` the frame of most motion (:func:`mer_data.apex.spot_apex`), of aligned frames if they are aligned.
    jitter
        Onset and apex are moved by up to so many frames, each by itself.
    seed
        Another seed, other moves. With one seed, a larger jitter moves each in the same direction, and further.
    """

    align: AlignSpec = NONE
    apex: ApexChoice = "annotated"
    jitter: int = 0
    seed: int = 0

    @property
    def suffix(self) -> str:
        """What is changed, as the second part of a name; empty if nothing is."""
        parts = [f"align-{self.align.name}"] if self.align else []
        parts += [f"apex-{self.apex}"] if self.apex != "annotated" else []
        seed = f"-seed-{self.seed}" if self.seed else ""
        parts += [f"jitter-{self.jitter}{seed}"] if self.jitter else []
        return "+".join(parts)

    def __str__(self) -> str:
        """All of it in words."""
        jitter = f", onset and apex moved by up to {self.jitter} frames (seed {self.seed})" if self.jitter else ""
        apex = "" if self.apex == "annotated" else f", apex {self.apex}"
        return f"align {self.align.name}{apex}{jitter}"

    def name(self, dataset: str) -> str:
        """What the variant of a dataset is called in the store."""
        return f"{dataset}{VARIANT}{self.suffix}" if self.suffix else dataset


def default_alignment(dataset: Dataset) -> AlignSpec:
    """How a dataset's faces are aligned if nobody says how: whole pictures by similarity, crops not again."""
    return dataset.align or (ALIGNMENTS["similarity"] if dataset.raw else NONE)


def prepare(store: Store, dataset: str, variant: Variant, advance: Callable[[int], None] = lambda clips: None) -> str:
    """Make sure that the store has a variant of a dataset.

    Parameters
    ----------
    store, dataset
        Of the original.
    variant
        What is changed.
    advance
        Called with 1 after every clip that was looked at.

    Returns
    -------
    The variant's name in the store.

    Raises
    ------
    BadInput
        If the dataset came without frames, or with every clip whose frames cannot be read.
    """
    name = variant.name(dataset)
    if name == dataset:
        return name
    known = store.dataset(dataset)
    if known.frame_root is None:
        what = f"came without frames, so there can be no variant of it ({variant})"
        raise BadInput(Problem(f"dataset {dataset}", what, "take this out of the experiment"))
    made_from = digest([_VERSION, [astuple(clip) for clip in known.clips], str(known.frame_root), variant.suffix])
    looked_at = variant.apex == "spotted" or variant.jitter > 0
    if looked_at:  # then it depends on which frames there are, and on what they show
        made_from = digest([made_from, _state(known)])
    if store.made_from(name) == made_from:
        return name
    clips = _annotated(known, variant, advance)
    with store.replacing(name) as writer:
        writer.clips(
            clips,
            format_=known.format,
            frame_root=known.frame_root,
            edition=known.edition,
            raw=known.raw,
            align=variant.align,
            made_from=made_from,
        )
    return name


def _state(known: Dataset) -> str:
    """Changes when any frame of a dataset does: sizes and times of change, without reading them."""
    folders = sorted({clip.frames for clip in known.clips if clip.frames})
    root = known.frame_root or Path()
    files = [path for folder in folders if (root / folder).is_dir() for path in sorted((root / folder).iterdir())]
    return digest([[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files])


def _annotated(known: Dataset, variant: Variant, advance: Callable[[int], None]) -> list[Clip]:
    """The clips with onset and apex as the variant has them."""
    if variant.apex == "annotated" and not variant.jitter:
        return list(known.clips)
    root, problems, clips = known.frame_root or Path(), list[Problem](), list[Clip]()
    listed: dict[str, dict[int, Path]] = {}
    for clip in known.clips:
        try:
            folder = clip.frames or ""
            if folder not in listed:
                listed = {folder: list_frames(root / folder, root)}
            moved = _with_apex(clip, variant, listed[folder])
            clips.append(_jittered(moved, variant, sorted(listed[folder])) if variant.jitter else moved)
        except BadInput as error:
            problems += [replace(problem, where=f"clip {clip.id}, {problem.where}") for problem in error.problems]
        advance(1)
    raise_all(problems)
    return clips


def _with_apex(clip: Clip, variant: Variant, frames: Mapping[int, Path]) -> Clip:
    if variant.apex == "annotated" or clip.onset is None or clip.offset is None:
        return clip
    if variant.apex == "midpoint":
        later = [number for number in sorted(frames) if clip.onset < number <= clip.offset]
        middle = midpoint(clip.onset, clip.offset)
        apex = min(later, key=lambda number: abs(number - middle), default=middle)
    else:
        look = _looker(clip, variant.align, frames)
        apex = spot_apex(frames, clip.onset, clip.offset, fps=clip.fps or 200.0, look=look)
    return replace(clip, apex=apex, apex_source=variant.apex)


def _looker(clip: Clip, align: AlignSpec, frames: Mapping[int, Path]) -> Callable[[Image], Image]:
    """What is done to frames before motion is looked for in them."""
    path = frames.get(clip.onset or 0)
    if not align or path is None:
        return lambda image: image
    return make_aligner(align, decode(frame_bytes(path), str(path)), clip.landmarks, str(path)).apply


def _jittered(clip: Clip, variant: Variant, numbers: list[int]) -> Clip:
    """Move onset and apex to frames that there are, the onset before the apex and the apex not after the offset."""
    first, best = clip.onset, clip.apex
    if first is None or best is None:
        return clip
    rng = np.random.default_rng([variant.seed, zlib.crc32(clip.id.encode())])
    by_onset, by_apex = np.rint(variant.jitter * rng.uniform(-1, 1, 2)).astype(int).tolist()
    last = best + variant.jitter if clip.offset is None else clip.offset
    apexes = [number for number in numbers if first < number <= last]
    apex = min(apexes, key=lambda number: abs(number - best - by_apex), default=best)
    onsets = [number for number in numbers if number < apex]
    onset = min(onsets, key=lambda number: abs(number - first - by_onset), default=first)
    return replace(clip, onset=onset, apex=apex)
