"""The twin of the MEGC 2019 composite: CASME II, SMIC and SAMM with the clips of the published list.

::

    DEST/CASME2   DEST/SMIC   DEST/SAMM   each in its dataset's own layout, with a truth.json of its own

The list tells the class of a clip, not its emotion; that is drawn. CASME II and SAMM have a few clips that the list
leaves out, as the real ones do, among them the only clips of three people.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mer_data.composites import published
from mer_data.synthetic.casme2 import make_casme2
from mer_data.synthetic.casting import ClipTruth, plan_named, share_out
from mer_data.synthetic.published import PROFILES
from mer_data.synthetic.samm import make_samm
from mer_data.synthetic.smic import in_recordings, make_smic
from mer_data.synthetic.twin import Progress, refuse_in_use

__all__ = ("FOLDERS", "LEFT_OUT", "make_megc2019")

# Dataset to the folder that holds its twin.
FOLDERS = {"casme2": "CASME2", "smic": "SMIC", "samm": "SAMM"}
_TWINS = {"casme2": make_casme2, "smic": make_smic, "samm": make_samm}

# Clips beside those of the list. Nobody of CASME II's sub10 and sub18 and of SAMM's 025 is in it.
LEFT_OUT = {
    "casme2/sub01/EP03_02": "others",
    "casme2/sub09/EP02_02f": "fear",
    "casme2/sub10/EP11_01": "others",
    "casme2/sub10/EP12_01f": "others",
    "casme2/sub17/EP15_01": "sadness",
    "casme2/sub18/EP08_01": "others",
    "samm/006/006_4_1": "others",
    "samm/025/025_3_1": "others",
    "samm/025/025_4_2": "others",
    "samm/037/037_4_1": "others",
}
# The emotions of each class; where there are several, they have the dataset's proportions.
_EMOTIONS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "casme2": {"negative": ("disgust", "repression"), "positive": ("happiness",), "surprise": ("surprise",)},
    "samm": {
        "negative": ("anger", "contempt", "disgust", "fear", "sadness"),
        "positive": ("happiness",),
        "surprise": ("surprise",),
    },
    "smic": {"negative": ("negative",), "positive": ("positive",), "surprise": ("surprise",)},
}


def make_megc2019(
    dest: Path,
    *,
    seed: int = 0,
    size: tuple[int, int] = (64, 76),
    length: tuple[int, int] = (10, 16),
    progress: Progress | None = None,
) -> None:
    """Write twins of CASME II, SMIC-HS and SAMM that hold the 442 clips of MEGC 2019, and a few others.

    Each of the three folders appears when it is complete; see :func:`~.twin.draw_planned`.

    Parameters
    ----------
    dest
        A folder that does not exist or is empty.
    seed
        Another seed draws other faces, emotions, motions and intervals; names and classes are the list's.
    size
        Width and height of the smallest crop in pixels; the largest is 1.21 times as large.
    length
        The least and the greatest distance from onset to offset in frames; at least 4.
    progress
        Called with the clips done and the clips in all, of the three together.

    Raises
    ------
    BadInput
        If `dest` is in use, or the numbers make no dataset.
    """
    refuse_in_use(dest)
    plans = _plans(seed, size, length)
    total, before = sum(map(len, plans.values())), 0
    for dataset, planned in plans.items():
        advance = _part_of(progress, before, total) if progress else None
        _TWINS[dataset].write(dest / FOLDERS[dataset], planned, seed=seed, progress=advance)
        before += len(planned)


def _plans(seed: int, size: tuple[int, int], length: tuple[int, int]) -> dict[str, list[ClipTruth]]:
    """Plan the clips of each dataset."""
    plans = {}
    for dataset in FOLDERS:
        roles = _roles(dataset, seed)
        people = len({subject for subject, _ in roles})
        plans[dataset] = plan_named(PROFILES[dataset].casting(people, len(roles), size, length), roles, seed)
    return {**plans, "smic": in_recordings(plans["smic"])}


def _roles(dataset: str, seed: int) -> dict[tuple[str, str], str]:
    """Give each clip of a dataset its emotion: subject and name to emotion."""
    rng = np.random.default_rng([seed, zlib.crc32(f"{dataset} megc2019".encode())])
    classes = {_key(clip_id): label for clip_id, label in published("megc2019").items() if _is_of(dataset, clip_id)}
    roles = {_key(clip_id): emotion for clip_id, emotion in LEFT_OUT.items() if _is_of(dataset, clip_id)}
    for label, words in _EMOTIONS[dataset].items():
        alike = [key for key, other in classes.items() if other == label]
        counts = share_out({word: PROFILES[dataset].proportions[word] for word in words}, len(alike), words)
        drawn = rng.permutation([word for word, count in counts.items() for _ in range(count)]).tolist()
        roles |= dict(zip(alike, drawn, strict=True))
    return roles


def _is_of(dataset: str, clip_id: str) -> bool:
    return clip_id.startswith(f"{dataset}/")


def _key(clip_id: str) -> tuple[str, str]:
    _, subject, name = clip_id.split("/")
    return subject, name


def _part_of(progress: Progress, before: int, total: int) -> Progress:
    """Report the progress of one dataset as that of the three."""
    return lambda done, _: progress(before + done, total)
