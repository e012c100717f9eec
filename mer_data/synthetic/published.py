"""What the twins of other projects' files share: clips of the published list, and pictures of them.

Projects that build on MEGC 2019 share features of its clips instead of frames, so their twins draw only what is asked
for. Names and classes are those of the list; a twin of all 442 clips makes the composite complete.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

import numpy as np
import numpy.typing as npt

from mer_data.composites import published
from mer_data.problems import BadInput, Problem
from mer_data.synthetic import casme2, motion, samm, smic
from mer_data.synthetic.casting import ClipTruth, plan_named, share_out
from mer_data.synthetic.twin import draw_face, to_pixels, warp

SUBJECTS, CLIPS = 68, 442
LABELS = {"negative": 0, "positive": 1, "surprise": 2}
PROFILES = {"casme2": casme2.PROFILE, "smic": smic.PROFILE, "samm": samm.PROFILE}
_LIST = "megc2019"

Roles = dict[tuple[str, str], str]  # subject and name of a clip to its class
# A dataset, a subject of it, and that person's clips with their classes.
Person = tuple[str, str, Sequence[tuple[str, str]]]


def plan_published(
    subjects: int, clips: int, seed: int, size: tuple[int, int], length: tuple[int, int]
) -> list[ClipTruth]:
    """Plan some clips of the published list: of the people with the most clips, shared out to the three datasets.

    Raises
    ------
    BadInput
        If the list has not as many clips of as many people, or the numbers make no dataset.
    """
    ranked = by_clips(_LIST)
    shares = share_out({dataset: len(owned) for dataset, owned in ranked.items()}, subjects, tuple(ranked))
    people = [person for dataset, owned in ranked.items() for person in owned[: shares[dataset]]]
    planned: list[ClipTruth] = []
    for dataset, roles in deal(_LIST, people, subjects, clips).items():
        casting = PROFILES[dataset].casting(0, len(roles), size, length)
        # The crops' names tell an apex for every clip; SMIC's is the middle frame.
        apex = 1.0 if dataset == "smic" else 0.0
        casting = replace(casting, subjects=sorted({subject for subject, _ in roles}), without_apex=apex)
        planned += plan_named(casting, roles, seed)
    return planned


def picture(truth: ClipTruth, seed: int, amount: float, *, grey: bool = False) -> npt.NDArray[np.uint8]:
    """Draw a clip's face moved by `amount` times the motion at its apex, uint8 ``[H, W, 3]`` (BGR) or ``[H, W, 1]``."""
    grid = motion.grid(truth.width, truth.height)
    moved = motion.bumps_at(truth.bumps, grid) + motion.drift_of(truth.drift, truth.width)
    return to_pixels(warp(draw_face(truth, seed, grey=grey), grid - np.float32(amount) * moved))


def by_clips(list_name: str) -> dict[str, list[Person]]:
    """List the people of a published list by dataset, those with the most clips first."""
    owned: defaultdict[str, defaultdict[str, list[tuple[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for clip_id, label in published(list_name).items():
        dataset, subject, name = clip_id.split("/")
        owned[dataset][subject].append((name, label))
    return {
        dataset: [(dataset, *owner) for owner in sorted(people.items(), key=lambda item: -len(item[1]))]
        for dataset, people in owned.items()
    }


def deal(list_name: str, people: Sequence[Person], subjects: int, clips: int) -> dict[str, Roles]:
    """Choose so many clips of these people, as evenly as they go, by dataset.

    Raises
    ------
    BadInput
        If the people are not as many as was asked, or have not as many clips.
    """
    # Everybody's first clip, then everybody's second: so nobody is left without one.
    rounds = zip_longest(*([(dataset, subject, *clip) for clip in own] for dataset, subject, own in people))
    picked = [clip for turn in rounds for clip in turn if clip][: max(clips, 0)]
    if not 1 <= subjects == len(people) <= clips == len(picked):
        what = f"{subjects} subjects and {clips} clips cannot be drawn from it"
        raise BadInput(Problem(list_name, what, f"of {len(people)} subjects there are {len(picked)} clips at the most"))
    roles: dict[str, Roles] = {dataset: {} for dataset, _, _ in people}
    for dataset, subject, name, label in picked:
        roles[dataset][subject, name] = label
    return roles
