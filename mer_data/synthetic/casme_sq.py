"""The twin of CAS(ME)^2: names, proportions and workbooks of :mod:`mer_data.datasets.casme_sq`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from mer_data.synthetic.casme import shift
from mer_data.synthetic.twin import ClipTruth, Profile, Progress, draw, plan
from mer_data.synthetic.workbook import write_worksheets

WORKBOOK, BLINKS = "CAS(ME)^2code_final.xlsx", "CAS(ME)^2blink-code.xlsx"
# The participants' folders, in the order of their numbers; further ones are made up.
FOLDERS = (15, 16, *range(19, 28), *range(29, 39), 40, *range(41, 1000))
# Each video: code and name, the latter invented.
STIMULI = {
    "disgust1": ("0101", "oldsoup"),
    "disgust2": ("0102", "wetdog"),
    "anger1": ("0401", "queuejumper"),
    "anger2": ("0402", "lostparcel"),
    "happy1": ("0502", "catfalls"),
    "happy2": ("0503", "clumsyband"),
    "happy3": ("0505", "talkingtoast"),
}

# Micro-expressions per estimated emotion, 57 in all.
PROPORTIONS = {"negative": 21, "others": 19, "surprise": 9, "positive": 8}
ALWAYS = ("negative", "positive", "surprise")  # one for each of the three classes
_UNITS = {
    "negative": ("4", "4+7", "9", "15"),
    "others": ("14", "R14", "24"),
    "surprise": ("1+2", "5"),
    "positive": ("12", "6+12"),
}
_SELF_REPORT = ("disgust", "happiness", "anger", "fear", "sadness", "surprise", "pain", "helpless")
_FRAME_NAMES = ("img{}", "img{:03}", "img_{}")  # one for each subject in turn; of real copies each has one

Tree = Literal["cropped", "rawpic"]


def _name(rng: np.random.Generator, subject: str, emotion: str, number: int) -> str:
    """Draw the video that was watched, and count; what was shown does not depend on it."""
    return f"{rng.choice(list(STIMULI))}_{number}"


PROFILE = Profile(
    dataset="casme_sq",
    people=lambda people: [f"s{number}" for number in FOLDERS[:people]],
    proportions=PROPORTIONS,
    always=ALWAYS,
    names=_name,
    first=(20, 60),
    units=_UNITS,
    without_apex=0.1,
)


def make_casme_sq(
    dest: Path,
    *,
    subjects: int = 14,
    clips: int = 57,
    seed: int = 0,
    size: tuple[int, int] = (140, 170),
    length: tuple[int, int] = (5, 16),
    tree: Tree = "cropped",
    progress: Progress | None = None,
) -> None:
    """Write a twin of CAS(ME)^2: workbooks, frames, and ``truth.json``; see :class:`~.twin.MakeTwin`.

    Planted: no header, macro-expressions, an apex or an offset of 0, clip names that tell nothing of the emotion,
    codes that lost their zeros, frame names of three kinds, and a workbook of blinks. `tree` is ``cropped`` for cut
    samples of faces, or ``rawpic`` for videos, of which there are only the frames around the clips.
    """
    planned = _without_an_offset(one_after_the_other(plan(PROFILE.casting(subjects, clips, size, length), seed)))
    around = 3 if tree == "rawpic" else 0
    frame_file, write = partial(_frame_file, tree=tree), partial(_write_workbooks, planned)
    draw(dest, planned, frame_file, write, seed=seed, before=around, after=around, progress=progress)


def one_after_the_other(planned: Sequence[ClipTruth]) -> list[ClipTruth]:
    """Let the intervals of a subject follow each other, so that they can be in one video, of one size of frames."""
    done: list[ClipTruth] = []
    for truth in planned:
        before = done[-1] if done and done[-1].subject == truth.subject else None
        onset = before.offset + 10 if before else truth.onset
        done.append(shift(truth, onset, name=truth.name, like=before or truth))
    return done


def _without_an_offset(planned: Sequence[ClipTruth]) -> list[ClipTruth]:
    """Make the first clip with an apex symmetrical, so that its offset can be left out of the workbook."""
    position = _no_offset(planned)
    mirrored = {position: replace(planned[position], offset=2 * planned[position].apex - planned[position].onset)}
    return one_after_the_other([mirrored.get(i, truth) for i, truth in enumerate(planned)])


def _no_offset(planned: Sequence[ClipTruth]) -> int:
    return next((i for i, truth in enumerate(planned) if truth.apex_in_sheet), 0)


def _frame_file(truth: ClipTruth, number: int, tree: Tree) -> str:
    person = truth.subject.removeprefix("s")
    file = _FRAME_NAMES[truth.face % len(_FRAME_NAMES)].format(number)
    if tree == "cropped":
        return f"cropped/{person}/{truth.name}/{file}.jpg"
    code, stimulus = STIMULI[truth.name.rpartition("_")[0]]
    return f"rawpic/{truth.subject}/{person}_{code}{stimulus}/{file}.jpg"


def _write_workbooks(planned: Sequence[ClipTruth], folder: Path) -> None:
    rows: list[list[object]] = []
    for position, truth in enumerate(planned):
        number = FOLDERS.index(int(truth.subject.removeprefix("s"))) + 1
        apex = truth.apex if truth.apex_in_sheet else 0
        offset = 0 if position == _no_offset(planned) and truth.apex_in_sheet else truth.offset
        report = _SELF_REPORT[(position + truth.face) % len(_SELF_REPORT)]
        units = int(truth.action_units) if truth.action_units.isdigit() else truth.action_units
        rows.append([
            number, truth.name, truth.onset, apex, offset, units, truth.emotion, "micro-expression", report,
        ])  # fmt: skip
        macro = f"{truth.name.rpartition('_')[0]}_{position + 1000}"
        rows.append([number, macro, 5, 0, 90, "6+12", "positive", "macro-expression", "happiness"])
    people = [[f"p{number}", f"s{name}", number] for number, name in enumerate(FOLDERS[:22], start=1)]
    people += [[f"p{n}", f"s{FOLDERS[n - 1]}", n] for n in {row[0] for row in rows} if isinstance(n, int) and n > 22]
    # Half of the codes are numbers, without the zero in front.
    codes = [[int(code) if i % 2 else code, name] for i, (name, (code, _)) in enumerate(STIMULI.items())]
    write_worksheets(folder / WORKBOOK, {"CASFEcode_final": rows, "naming rule1": people, "naming rule2": codes})
    write_worksheets(folder / BLINKS, {"blink": [[1, "happy1_1", 30, 33, 36, "blink"]]})
