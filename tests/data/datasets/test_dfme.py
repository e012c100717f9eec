"""The DFME importer: three parts of which any may be absent, rates and codes, and errors told with file and row."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import pytest
from by_hand import assert_told, write_frames, write_sheet

from mer_data import schema
from mer_data.datasets import dfme
from mer_data.frames import list_frames
from mer_data.problems import BadInput
from mer_data.schema import Clip
from mer_data.synthetic.dfme import HEADER, make_dfme, rate_of
from mer_data.synthetic.twin import read_truth

SUBJECT, NAME, ONSET, APEX, OFFSET, EMOTION, CODE, FPS, UNITS = range(9)
TRAIN, TEST_A = "training_full_with_AU.xlsx", "testA_full_with_AU.xlsx"


class Dfme:
    """A hand-made DFME with a clip in part train and one in test A, spoiled by each test as it likes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write_sheet(self, name: str, *rows: Sequence[object], header: Sequence[str] = HEADER) -> Path:
        write_sheet(self.root / name, header, *rows)
        return self.root / name

    def write_frames(self, folder: str, numbers: Sequence[int] = range(32)) -> Path:
        return write_frames(self.root / folder, [f"{number:05}.png" for number in numbers])


def _row(changes: dict[int, object] | None = None) -> list[object]:
    cells: list[object] = ["sub0003", "sub0003_01", 5, 15, 29, "fear", 3, 300, "1+2+5+AD38"]
    for position, value in (changes or {}).items():
        cells[position] = value
    return cells


OTHER = _row({SUBJECT: "sub0180", NAME: "sub0180_02", EMOTION: "disgust", CODE: 2, FPS: 500})


@pytest.fixture
def tree(tmp_path: Path) -> Dfme:
    made = Dfme(tmp_path / "DFME")
    made.write_frames("DFME_train/sub0003_01")
    made.write_frames("DFME_testA/sub0180_02")
    made.write_sheet(TRAIN, _row())
    made.write_sheet(TEST_A, OTHER)
    return made


def _first(tree: Dfme) -> tuple[Clip, tuple[str, ...]]:
    imported = dfme.read([tree.root])
    assert not schema.find_problems(imported.clips, "sheet")
    return imported.clips[0], imported.notes


def _problems(*sources: Path) -> list[str]:
    with pytest.raises(BadInput) as caught:
        dfme.read(sources)
    return [str(problem) for problem in caught.value.problems]


def test_the_twin_imports_as_it_was_planted(tmp_path: Path) -> None:
    make_dfme(tmp_path / "twin", subjects=7, clips=30, seed=4, size=(40, 32), length=(5, 9))
    imported, truths = dfme.read([tmp_path / "twin"]), read_truth(tmp_path / "twin")
    assert not schema.find_problems(imported.clips, "twin")
    assert imported.notes == ()
    assert [clip.id for clip in imported.clips] == list(truths)
    assert len({clip.subject for clip in imported.clips}) == 7
    parts: dict[str, set[str]] = {}
    for clip in imported.clips:
        truth = truths[clip.id]
        assert (clip.onset, clip.apex, clip.offset) == (truth.onset, truth.apex, truth.offset)
        assert (clip.emotion, clip.action_units, clip.apex_source) == (truth.emotion, truth.action_units, "annotated")
        assert clip.fps == rate_of(truth)
        frames = list_frames(imported.frame_root / clip.frames)
        assert list(frames) == list(range(truth.offset + 5))
        assert frames[0].name == "00000.png"
        assert cv2.imread(str(frames[truth.apex])).shape == (32, 40, 3)
        parts.setdefault(clip.frames.split("/")[0], set()).add(clip.subject)
    assert sorted(parts) == ["DFME_testA", "DFME_testB", "DFME_train"]
    assert sum(map(len, parts.values())) == 7  # no subject in two parts
    assert {clip.fps for clip in imported.clips} == {200.0, 300.0, 500.0}


def test_rows_of_all_sheets_become_clips(tree: Dfme) -> None:
    imported = dfme.read([tree.root])
    where = "DFME_train/sub0003_01"
    expected = Clip("dfme", "dfme/sub0003", "sub0003_01", "fear", 5, 15, 29, "annotated", "1+2+5+AD38", 300.0, where)
    by_name = {clip.name: clip for clip in imported.clips}
    assert by_name["sub0003_01"] == expected
    assert (by_name["sub0180_02"].fps, by_name["sub0180_02"].frames) == (500.0, "DFME_testA/sub0180_02")
    assert imported.notes == ()
    assert imported.frame_root == tree.root


def test_an_offset_beyond_the_last_frame_is_cut(tree: Dfme) -> None:
    tree.write_sheet(TRAIN, _row({OFFSET: 290}))
    clip, notes = _first(tree)
    assert clip.offset == 31
    assert "row 2, column OffsetFrame: offset 290 is beyond the last frame" in notes[0]


@pytest.mark.parametrize("subject", ["sub0003", "sub3", "0003", 3, 3.0])
def test_subjects_in_every_spelling(tree: Dfme, subject: object) -> None:
    tree.write_sheet(TRAIN, _row({SUBJECT: subject, NAME: "sub3_1"}))
    (tree.root / TEST_A).unlink()
    assert _first(tree)[0].id == "dfme/sub0003/sub0003_01"


def test_a_part_without_frames_is_left_out_and_noted(tree: Dfme) -> None:
    shutil.rmtree(tree.root / "DFME_testA")
    imported = dfme.read([tree.root])
    assert [clip.name for clip in imported.clips] == ["sub0003_01"]
    notes = imported.notes
    assert len(notes) == 1
    assert f"{tree.root / TEST_A}: left out: none of its 1 clips has frames" in notes[0]


def test_a_part_without_a_sheet_is_noted(tree: Dfme) -> None:
    (tree.root / TRAIN).unlink()
    clip, notes = _first(tree)
    assert clip.name == "sub0180_02"
    assert [note.split(": ", 1)[1] for note in notes] == [
        "1 folders of frames without a row in a sheet, for instance sub0003_01"
    ]


def test_a_part_with_some_frames_must_have_all(tree: Dfme) -> None:
    tree.write_sheet(TRAIN, _row(), _row({SUBJECT: "sub0004", NAME: "sub0004_01"}), _row({NAME: "sub0003_02"}))
    first, second = _problems(tree.root)
    assert first.startswith(f"{tree.root / TRAIN}, row 3, column Subject: no folder for a clip of subject sub0004")
    assert second.startswith(f"{tree.root / TRAIN}, row 4, column Filename: no folder for clip 'sub0003_02'")
    assert "did you mean 'sub0003_01'?" in second


@pytest.mark.parametrize("folder", ["DFME_train/DFME_train/sub0003_01", "sub0003_01", "parts/train/sub0003/sub3_1"])
def test_clips_in_any_layout(tree: Dfme, folder: str) -> None:
    shutil.rmtree(tree.root / "DFME_train")
    path = tree.write_frames(folder)
    assert {tree.root / clip.frames for clip in dfme.read([tree.root]).clips} >= {path}


def test_sheets_may_be_named(tree: Dfme, tmp_path: Path) -> None:
    copy = shutil.copy(tree.root / TRAIN, tmp_path / "mine.xlsx")
    assert [clip.name for clip in dfme.read([copy, tree.root]).clips] == ["sub0003_01"]
    assert len(dfme.read([copy, tree.root, tree.root / TEST_A]).clips) == 2


def test_a_sheet_that_cannot_be_used_is_not_passed_over(tree: Dfme) -> None:
    (tree.root / TEST_A).write_bytes(b"PK")
    tree.write_sheet("testB_full_with_AU.xlsx", OTHER, header=[name.replace("Fps", "Rate") for name in HEADER])
    first, second = _problems(tree.root)
    assert first.startswith(f"{tree.root / TEST_A}: cannot be read")
    assert "lacks Fps" in second


def test_two_copies_of_a_sheet_are_told_once(tree: Dfme) -> None:
    shutil.copy(tree.root / TRAIN, tree.root / "train_old.xlsx")
    (problem,) = _problems(tree.root)
    assert problem.startswith(f"{tree.root / TRAIN}: has 1 clips that are in train_old.xlsx too")


def test_frames_are_counted_from_zero(tree: Dfme) -> None:
    tree.write_sheet(TRAIN, _row({ONSET: 0, APEX: 1}))
    clip = next(clip for clip in dfme.read([tree.root]).clips if clip.name == "sub0003_01")
    assert (clip.onset, clip.apex, clip.apex_source) == (0, 1, "annotated")


@pytest.mark.parametrize("code", [3, 3.0, "3", ""])
def test_code_and_word_agree(tree: Dfme, code: object) -> None:
    tree.write_sheet(TRAIN, _row({EMOTION: "Fear", CODE: code}))
    assert {clip.emotion for clip in dfme.read([tree.root]).clips} == {"fear", "disgust"}


@pytest.mark.parametrize(("code", "said"), [(2, "means disgust"), (7, "means nothing"), ("x", "means nothing")])
def test_code_and_word_that_disagree_are_a_problem(tree: Dfme, code: object, said: str) -> None:
    tree.write_sheet(TRAIN, _row({CODE: code}))
    (problem,) = _problems(tree.root)
    assert f"row 2, column EmotionId: {code} {said}, but Emotion is fear" in problem


def test_the_codes_are_the_seven_emotions_in_order() -> None:
    assert dfme.CODES == ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")


@pytest.mark.parametrize("cell", ["", 0, "fast", -200, "nan"])
def test_a_rate_that_is_none_is_a_problem(tree: Dfme, cell: object) -> None:
    tree.write_sheet(TRAIN, _row({FPS: cell}))
    (problem,) = _problems(tree.root)
    assert f"row 2, column Fps: '{cell}' is not a number of frames per second" in problem


def test_an_odd_rate_is_noted(tree: Dfme) -> None:
    tree.write_sheet(TRAIN, _row({FPS: "29.97"}))
    imported = dfme.read([tree.root])
    assert {clip.fps for clip in imported.clips} == {29.97, 500.0}
    assert "row 2, column Fps: 29.97 frames per second" in imported.notes[0]


@pytest.mark.parametrize("units", ["1+2+5+AD38", "L12", "M58", 4])
def test_action_units_are_text(tree: Dfme, units: object) -> None:
    tree.write_sheet(TRAIN, _row({UNITS: units}))
    assert str(units) in {clip.action_units for clip in dfme.read([tree.root]).clips}


def test_a_clip_in_two_folders_is_a_problem(tree: Dfme) -> None:
    tree.write_frames("DFME_train_crop/sub0003_01")
    (problem,) = _problems(tree.root)
    assert "clip 'sub0003_01' has 2 folders: DFME_train/sub0003_01, DFME_train_crop/sub0003_01" in problem


def test_all_problems_of_all_rows_are_told_together(tree: Dfme) -> None:
    train, other = tree.root / TRAIN, tree.root / TEST_A
    tree.write_frames("DFME_train/sub0003_02", range(10, 32))
    tree.write_sheet(
        TRAIN, _row(), _row(), _row({NAME: "sub0003_02", EMOTION: "feer"}), _row({SUBJECT: "sub0180"}), _row({NAME: ""})
    )
    tree.write_sheet(TEST_A, OTHER, [*OTHER[:ONSET], "", "soon", 29, "anger", 1, "", ""])
    expected = [
        f"{train}, row 3, column Filename: clip sub0003/sub0003_01 is in row 2 already",
        f"{train}, row 4, column Emotion: unknown emotion 'feer'",
        f"{train}, row 4, column OnsetFrame: frame 5 is not in {tree.root}/DFME_train/sub0003_02",
        f"{train}, row 5, column Filename: clip sub0003_01 is not of subject sub0180",
        f"{train}, row 6, column Filename: no folder for clip ''",
        f"{other}, row 3, column EmotionId: 1 means contempt, but Emotion is anger",
        f"{other}, row 3, column Fps: '' is not a number",
        f"{other}, row 3, column Filename: clip sub0180/sub0180_02 is in row 2 already",
        f"{other}, row 3, column OnsetFrame: the cell is empty",
        f"{other}, row 3, column ApexFrame: 'soon' is not a frame number",
    ]
    found = _problems(tree.root)
    assert_told(found, expected)


def test_no_frames_and_no_sheet(tree: Dfme) -> None:
    for folder in ("DFME_train", "DFME_testA"):
        shutil.rmtree(tree.root / folder)
    assert "no folder of frames for any row" in _problems(tree.root)[0]
    for sheet in (TRAIN, TEST_A):
        (tree.root / sheet).unlink()
    assert "no annotation sheet" in _problems(tree.root)[0]
