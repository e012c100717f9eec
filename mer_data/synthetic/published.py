"""What the twins of other projects' files share: clips of the published list, and pictures of them.

Projects that build on MEGC 2019 share features of its clips instead of frames, so their twins draw only what is asked
for. Names and classes are those of the list; a twin of all 442 clips makes the composite complete.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import zip_longest

import cv2
import numpy as np
import numpy.typing as npt

from mer_data.composites import published
from mer_data.problems import BadInput, Problem
from mer_data.synthetic import casme2, faces, motion, samm, smic
from mer_data.synthetic.casting import ClipTruth, plan_named, share_out
from mer_data.synthetic.twin import _random

SUBJECTS, CLIPS = 68, 442
_LIST = "megc2019"


def plan_published(
    subjects: int, clips: int, seed: int, size: tuple[int, int], length: tuple[int, int]
) -> list[ClipTruth]:
    """Plan some clips of the published list: of the people with the most clips, shared out to the three datasets.

    Raises
    ------
    BadInput
        If the list has not as many clips of as many people, or the numbers make no dataset.
    """
    chosen = _choose(subjects, clips)
    planned: list[ClipTruth] = []
    for dataset, roles in chosen.items():
        people = sorted({subject for subject, _ in roles})
        count = len(people)
        castings = {
            "casme2": casme2.casting(count, len(roles), size, length),
            "smic": smic.casting("smic", 1, count, smic.PROPORTIONS, size, length),
            "samm": samm.casting("samm", count, len(roles), size, length),
        }
        # The crops' names tell an apex for every clip; SMIC's is the middle frame.
        casting = replace(castings[dataset], subjects=people, without_apex=1.0 if dataset == "smic" else 0.0)
        planned += plan_named(casting, roles, seed)
    return planned


def picture(truth: ClipTruth, seed: int, amount: float, *, grey: bool = False) -> npt.NDArray[np.uint8]:
    """Draw a clip's face moved by `amount` times the motion at its apex, uint8 ``[H, W, 3]`` (BGR) or ``[H, W, 1]``."""
    face = faces.face(_random(seed, truth.dataset, truth.face), truth.width, truth.height)
    if grey:
        face = np.asarray(cv2.cvtColor(face, cv2.COLOR_BGR2GRAY)[..., None], np.float32)
    grid = motion.grid(truth.width, truth.height)
    moved = motion.bumps_at(truth.bumps, grid) + motion.drift_of(truth.drift, truth.width)
    source = grid - np.float32(amount) * moved
    frame = cv2.remap(face, source[0], source[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.rint(np.clip(frame.reshape(face.shape), 0, 255)).astype(np.uint8)


def _choose(subjects: int, clips: int) -> dict[str, dict[tuple[str, str], str]]:
    """Choose clips of the list: by dataset, subject and name to class."""
    by_person: defaultdict[str, defaultdict[str, list[tuple[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for clip_id, label in published(_LIST).items():
        dataset, subject, name = clip_id.split("/")
        by_person[dataset][subject].append((name, label))
    shares = share_out({dataset: len(owned) for dataset, owned in by_person.items()}, subjects, tuple(by_person))
    people = []
    for dataset, owned in by_person.items():
        most = sorted(owned.items(), key=lambda item: -len(item[1]))[: shares[dataset]]
        people += [(dataset, subject, own) for subject, own in most]
    # Everybody's first clip, then everybody's second: so nobody is left without one.
    rounds = zip_longest(*([(dataset, subject, *clip) for clip in own] for dataset, subject, own in people))
    picked = [clip for turn in rounds for clip in turn if clip][:clips]
    if not 1 <= subjects == len(people) <= clips == len(picked):
        what = f"{subjects} subjects and {clips} clips cannot be chosen from its {SUBJECTS} and {CLIPS}"
        raise BadInput(Problem(_LIST, what, f"of {len(people)} subjects there are {len(picked)} clips at the most"))
    roles: dict[str, dict[tuple[str, str], str]] = {dataset: {} for dataset in shares if shares[dataset]}
    for dataset, subject, name, label in picked:
        roles[dataset][subject, name] = label
    return roles
