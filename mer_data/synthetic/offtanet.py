"""The twin of Off-TANet's data: the list and the three trees of :mod:`mer_data.published.offtanet`."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path

from mer_data.synthetic.casting import Casting, ClipTruth, plan_named
from mer_data.synthetic.published import by_clips, deal
from mer_data.synthetic.twin import Progress, draw_planned

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
    """Write a twin of Off-TANet's data: the list, frames, and ``truth.json``; see :class:`~.twin.MakeTwin`.

    Names and classes are those of the published list ``casmes``. Planted: a caret in the name of a folder, frame
    numbers that are not padded, frame names of three kinds, subjects of CAS(ME)^2 as bare numbers, no offsets.

    Subjects and clips are chosen from the published list; otherwise see :class:`~.twin.MakeTwin`.
    """
    planned: list[ClipTruth] = []
    # The person with most clips of each dataset, then the second of each.
    ranks = zip_longest(*by_clips(_LIST).values())
    people = [person for rank in ranks for person in rank if person][: max(subjects, 0)]
    for dataset, roles in deal(_LIST, people, subjects, clips).items():
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
    draw_planned(dest, planned, _frame_file, partial(_write_list, planned), seed=seed, progress=progress)


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
