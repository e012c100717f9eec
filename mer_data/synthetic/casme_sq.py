"""The twin of CAS(ME)^2: names, proportions and workbooks of :mod:`mer_data.datasets.casme_sq`.

Planted quirks: no header, macro-expressions, an apex or an offset of 0, clip names that tell nothing of the emotion,
codes that lost their zeros, frame names of three kinds, and a workbook of blinks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mer_data.datasets.casme_sq import WORKBOOK
from mer_data.synthetic.casting import ClipTruth, Profile, shift
from mer_data.synthetic.dataset_twin import DatasetTwin, Layout
from mer_data.synthetic.workbook import Worksheets, units_cell

BLINKS = "CAS(ME)^2blink-code.xlsx"
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
_SELF_REPORT = ("disgust", "happiness", "anger", "fear", "sadness", "surprise", "pain", "helpless")
_FRAME_NAMES = ("img{}", "img{:03}", "img_{}")  # one for each subject in turn; of real copies each has one


def _name(rng: np.random.Generator, subject: str, emotion: str, number: int) -> str:
    """Draw the video that was watched, and count; what was shown does not depend on it."""
    return f"{rng.choice(list(STIMULI))}_{number}"


def one_after_the_other(planned: Sequence[ClipTruth]) -> list[ClipTruth]:
    """Let the intervals of a subject follow each other, so that they can be in one video, of one size of frames."""
    done: list[ClipTruth] = []
    for truth in planned:
        before = done[-1] if done and done[-1].subject == truth.subject else None
        onset = before.offset + 10 if before else truth.onset
        done.append(shift(truth, onset, like=before))
    return done


def _in_videos(planned: Sequence[ClipTruth]) -> list[ClipTruth]:
    """Put clips into videos; the first with an apex becomes symmetrical, so that its offset can be left out."""
    planned = one_after_the_other(planned)
    position = _no_offset(planned)
    mirrored = {position: replace(planned[position], offset=2 * planned[position].apex - planned[position].onset)}
    return one_after_the_other([mirrored.get(i, truth) for i, truth in enumerate(planned)])


def _no_offset(planned: Sequence[ClipTruth]) -> int:
    return next((i for i, truth in enumerate(planned) if truth.apex_in_sheet), 0)


def _cut_samples(planned: Sequence[ClipTruth]) -> Layout:
    def frame_file(truth: ClipTruth, number: int) -> str:
        return f"cropped/{_person(truth)}/{truth.name}/{_frame(truth, number)}"

    return Layout(frame_file, _sheets(planned))


def _whole_videos(planned: Sequence[ClipTruth]) -> Layout:
    def frame_file(truth: ClipTruth, number: int) -> str:
        code, stimulus = STIMULI[truth.name.rpartition("_")[0]]
        return f"rawpic/{truth.subject}/{_person(truth)}_{code}{stimulus}/{_frame(truth, number)}"

    return Layout(frame_file, _sheets(planned))


def _person(truth: ClipTruth) -> int:
    return int(truth.subject.removeprefix("s"))


def _frame(truth: ClipTruth, number: int) -> str:
    return f"{_FRAME_NAMES[truth.face % len(_FRAME_NAMES)].format(number)}.jpg"


def _sheets(planned: Sequence[ClipTruth]) -> dict[str, Worksheets]:
    rows: list[list[object]] = []
    for position, truth in enumerate(planned):
        number = FOLDERS.index(_person(truth)) + 1
        apex = truth.apex if truth.apex_in_sheet else 0
        offset = 0 if position == _no_offset(planned) and truth.apex_in_sheet else truth.offset
        report = _SELF_REPORT[(position + truth.face) % len(_SELF_REPORT)]
        rows.append([
            number, truth.name, truth.onset, apex, offset, units_cell(truth), truth.emotion, "micro-expression", report,
        ])  # fmt: skip
        macro = f"{truth.name.rpartition('_')[0]}_{position + 1000}"
        rows.append([number, macro, 5, 0, 90, "6+12", "positive", "macro-expression", "happiness"])
    people = [[f"p{number}", f"s{name}", number] for number, name in enumerate(FOLDERS[:22], start=1)]
    people += [[f"p{n}", f"s{FOLDERS[n - 1]}", n] for n in {row[0] for row in rows} if isinstance(n, int) and n > 22]
    # Half of the codes are numbers, without the zero in front.
    codes = [[int(code) if i % 2 else code, name] for i, (name, (code, _)) in enumerate(STIMULI.items())]
    return {
        WORKBOOK: {"CASFEcode_final": rows, "naming rule1": people, "naming rule2": codes},
        BLINKS: {"blink": [[1, "happy1_1", 30, 33, 36, "blink"]]},
    }


PROFILE = Profile(
    dataset="casme_sq",
    people=lambda people: [f"s{number}" for number in FOLDERS[:people]],
    proportions={"negative": 21, "others": 19, "surprise": 9, "positive": 8},
    always=("negative", "positive", "surprise"),
    names=_name,
    first=(20, 60),
    units={
        "negative": ("4", "4+7", "9", "15"),
        "others": ("14", "R14", "24"),
        "surprise": ("1+2", "5"),
        "positive": ("12", "6+12"),
    },
    without_apex=0.1,
)
make_casme_sq = DatasetTwin(PROFILE, _cut_samples, subjects=14, clips=57, length=(5, 16), quirks=_in_videos)
# The same as whole videos; of them there are only the frames around the clips.
make_casme_sq_videos = replace(make_casme_sq, layout=_whole_videos, before=3, after=3)
