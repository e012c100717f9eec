"""The twin of Off-TANet's data: the list and the three trees of :mod:`mer_data.imports.offtanet`."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path

from mer_data.composites import published
from mer_data.problems import BadInput, Problem
from mer_data.synthetic.casting import Casting, plan_named
from mer_data.synthetic.twin import ClipTruth, Progress, draw

SHEET = "combined_3class.csv"
HEADER = ("Dataset", "Subject", "Sample", "Onset", "Apex", "Class")
_LIST = "casmes"
# What the list calls a dataset.
_CALLED = {"casme": "casme1", "casme2": "casme2", "casme_sq": "casme^2"}
_FIRST = {"casme": (60, 139), "casme2": (20, 159), "casme_sq": (80, 2000)}


def make_offtanet(
    dest: Path,
    *,
    subjects: int = 49,
    clips: int = 294,
    seed: int = 0,
    size: tuple[int, int] = (64, 76),
    length: tuple[int, int] = (6, 12),
    progress: Progress | None = None,
) -> None:
    """Write a twin of Off-TANet's data: the list, frames, and ``truth.json``; see :func:`mer_data.synthetic.twin.draw`.

    Names and classes are those of the published list ``casmes``. Planted: a caret in the name of a folder, frame
    numbers that are not padded, frame names of three kinds, subjects of CAS(ME)^2 as bare numbers, no offsets.

    Parameters
    ----------
    dest
        A folder that does not exist or is empty.
    subjects, clips
        How many of the list's; every subject has at least one clip.
    seed
        Another seed draws other faces, motions and intervals.
    size
        Width and height of the smallest crop in pixels; the largest is 1.21 times as large.
    length
        The least and the greatest distance from onset to offset in frames; at least 4.
    progress
        Called with the clips done and the clips in all.

    Raises
    ------
    BadInput
        If `dest` is in use, the list has not as many subjects or clips, or the numbers make no dataset.
    """
    planned: list[ClipTruth] = []
    for dataset, roles in _choose(subjects, clips).items():
        casting = Casting(
            dataset=dataset,
            subjects=sorted({subject for subject, _ in roles}),
            emotions={},
            names=lambda *_: "",
            first=_FIRST[dataset],
            length=length,
            size=size,
            units={},
        )
        planned += plan_named(casting, roles, seed)
    draw(dest, planned, _frame_file, partial(_write_list, planned), seed=seed, progress=progress)


def _choose(subjects: int, clips: int) -> dict[str, dict[tuple[str, str], str]]:
    """Choose clips of the list: by dataset, subject and name to class; the people with most clips of each dataset."""
    owned: defaultdict[str, defaultdict[str, list[tuple[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for clip_id, label in published(_LIST).items():
        dataset, subject, name = clip_id.split("/")
        owned[dataset][subject].append((name, label))
    ranked = [
        [(dataset, subject, own) for subject, own in sorted(people.items(), key=lambda item: -len(item[1]))]
        for dataset, people in owned.items()
    ]
    people = [person for rank in zip_longest(*ranked) for person in rank if person][: max(subjects, 0)]
    # Everybody's first clip, then everybody's second, so that nobody is left without one.
    rounds = zip_longest(*([(dataset, subject, *clip) for clip in own] for dataset, subject, own in people))
    picked = [clip for turn in rounds for clip in turn if clip][: max(clips, 0)]
    if not 1 <= subjects == len(people) <= clips == len(picked):
        what = f"{subjects} subjects, {clips} clips cannot be drawn"
        raise BadInput(Problem(_LIST, what, f"{len(people)} subjects of the list have {len(picked)} clips"))
    roles: dict[str, dict[tuple[str, str], str]] = {dataset: {} for dataset in owned}
    for dataset, subject, name, label in picked:
        roles[dataset][subject, name] = label
    return {dataset: own for dataset, own in roles.items() if own}


def _subject(truth: ClipTruth) -> str:
    return truth.subject.removeprefix("s") if truth.dataset == "casme_sq" else truth.subject


def _frame_file(truth: ClipTruth, number: int) -> str:
    file = {
        "casme": f"reg_{truth.name}-{number}.jpg",
        "casme2": f"reg_img{number}.jpg",
        "casme_sq": f"img{number}.jpg",
    }[truth.dataset]
    return f"{_CALLED[truth.dataset]}_cropped/{_subject(truth)}/{truth.name}/{file}"


def _write_list(planned: Sequence[ClipTruth], folder: Path) -> None:
    with (folder / SHEET).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for truth in planned:
            called = _CALLED[truth.dataset]
            writer.writerow((called, _subject(truth), truth.name, truth.onset, truth.apex, truth.emotion))
