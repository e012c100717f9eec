"""The twins of SMIC's three cameras: names and proportions of :mod:`mer_data.datasets.smic`.

Planted quirks: subjects and clips without the zero (``s1``, ``s1_ne_01``), ``.bmp``, frame numbers of six to eight
digits, a clip in twenty without its last frame but one, folders ``non_micro`` and ``Thumbs.db``. The near-infrared
camera is grey.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from mer_data.datasets.smic import CAMERAS, EMOTIONS, TREES
from mer_data.synthetic.casting import ClipTruth, Profile, numbered, shift
from mer_data.synthetic.dataset_twin import DatasetTwin, Layout
from mer_data.synthetic.raw import RawForm

_WITHOUT = frozenset({7, 10, 16, 17})  # numbers of people without a micro-expression
_STARTS = (70_000, 550_000, 1_030_000, 17_580_000)  # numbers of five (padded to six) to eight digits, by subject
_GAP_EVERY = 20  # one clip in so many lacks a frame


def _name(_: np.random.Generator, subject: str, emotion: str, number: int) -> str:
    """Name a clip for now; see :func:`numbered_as_recorded`."""
    return f"{subject}_{EMOTIONS[emotion]}_{number:04}"


def numbered_as_recorded(planned: Sequence[ClipTruth]) -> list[ClipTruth]:
    """Count the clips of a subject by emotion, from 1, as their names do, and their frames as the recording does."""
    given: Counter[tuple[str, str]] = Counter()
    named = []
    for truth in planned:
        given[truth.subject, truth.emotion] += 1
        count = given[truth.subject, truth.emotion]
        named.append(replace(truth, name=f"{truth.subject}_{EMOTIONS[truth.emotion]}_{count:02}"))
    return in_recordings(named)


def in_recordings(planned: Sequence[ClipTruth]) -> list[ClipTruth]:
    """Let each subject's recording begin at a number of its own; the clips are numbered from 0 or little more."""
    return [shift(truth, truth.onset + _STARTS[truth.face % len(_STARTS)]) for truth in planned]


def _layout(camera: str, planned: Sequence[ClipTruth]) -> Layout:
    tree, gaps = f"{TREES[0]}/{camera}", frozenset(truth.id for truth in planned[::_GAP_EVERY])

    def frame_file(truth: ClipTruth, number: int) -> str:
        kind = f"micro/{truth.emotion}"
        if truth.id in gaps and number == truth.offset - 1:  # never the onset, the middle frame or the offset
            kind = "non_micro"
        return f"{tree}/{_plain(truth.subject)}/{kind}/{_plain(truth.name)}/reg_image{number:06}.bmp"

    first = planned[0]
    strays = [f"{_plain(first.subject)}/micro/{first.emotion}/{_plain(first.name)}"]
    strays += [f"{subject}/non_micro" for subject in {_plain(truth.subject) for truth in planned}]
    return Layout(frame_file, files={f"{tree}/{stray}/Thumbs.db": b"" for stray in strays})


def _plain(name: str) -> str:
    """Take the zero out, as in the folders: ``s01_ne_01`` -> ``s1_ne_01``."""
    return f"s{name[1:].lstrip('0')}"


PROFILE = Profile(
    dataset=CAMERAS["HS"].dataset,
    people=numbered("s{:02}", without=_WITHOUT),
    proportions={"negative": 70, "positive": 51, "surprise": 43},
    always=tuple(EMOTIONS),
    names=_name,
    first=(0, 29_999),
    units={},
    without_apex=1.0,
)
RAW = RawForm(picture=(640, 480), enlarged=1.0, renamed=((f"{TREES[0]}/", f"{TREES[1]}/"), ("reg_image", "image")))
make_smic = DatasetTwin(
    PROFILE, partial(_layout, "HS"), subjects=16, clips=164, length=(10, 57), quirks=numbered_as_recorded, raw=RAW
)
# The slow cameras were only there for the last ten people.
make_smic_vis = replace(
    make_smic,
    profile=replace(
        PROFILE,
        dataset=CAMERAS["VIS"].dataset,
        people=numbered("s{:02}", first=11, without=_WITHOUT),
        proportions={"negative": 23, "positive": 28, "surprise": 20},
    ),
    layout=partial(_layout, "VIS"),
    subjects=8,
    clips=71,
    length=(4, 14),
)
make_smic_nir = replace(
    make_smic_vis,
    profile=replace(make_smic_vis.profile, dataset=CAMERAS["NIR"].dataset),
    layout=partial(_layout, "NIR"),
    grey=True,
)
BY_CAMERA: Mapping[str, DatasetTwin] = {"HS": make_smic, "VIS": make_smic_vis, "NIR": make_smic_nir}
