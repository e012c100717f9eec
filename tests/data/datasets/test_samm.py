"""The importers of SAMM and of its long videos: the twins, every quirk of the real files, and every error told."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import xlsxwriter
from by_hand import assert_told

from mer_data import schema
from mer_data.datasets import samm, samm_lv
from mer_data.frames import list_frames
from mer_data.imported import Imported
from mer_data.problems import BadInput
from mer_data.schema import Clip
from mer_data.synthetic.casting import ClipTruth
from mer_data.synthetic.samm import HEADER, TEXT, make_samm
from mer_data.synthetic.samm_lv import HEADER as LV_HEADER
from mer_data.synthetic.samm_lv import make_samm_lv
from mer_data.synthetic.twin import read_truth

SMALL = {"subjects": 4, "clips": 16, "seed": 2, "size": (32, 40), "length": (4, 6)}
SUBJECT, NAME, ONSET, APEX, OFFSET, UNITS, EMOTION = 0, 1, 3, 4, 5, 8, 9
LV_TYPE = 7
JPG = cv2.imencode(".jpg", np.zeros((8, 6), np.uint8))[1].tobytes()


def _row(*changes: tuple[int, object]) -> list[object]:
    cells: list[object] = ["006", "006_1_2", 1, 5562, 5588, 5632, 71, "Micro - 1/2", "4+7", "Anger", 3, ""]
    for position, value in changes:
        cells[position] = value
    return cells


def _lv_row(*changes: tuple[int, object]) -> list[object]:
    cells: list[object] = ["006", "006_1_2", 1, 12, 20, 40, 29, "Micro - 1/2", "4+7", ""]
    for position, value in changes:
        cells[position] = value
    return cells


def _write_sheet(path: Path, rows: Sequence[Sequence[object]], header: Sequence[str] = HEADER, text: int = 13) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    workbook = xlsxwriter.Workbook(path)
    sheet = workbook.add_worksheet("MICRO_ONLY")
    above = [[(TEXT[number] if number < len(TEXT) else "text") or "-"] for number in range(text)]
    for number, cells in enumerate([*above, header, *rows]):
        sheet.write_row(number, 0, cells)
    workbook.close()


def _write_frames(folder: Path, numbers: Iterable[int], name: str = "006_{:05}.jpg") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / name.format(number)).write_bytes(JPG)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One good row and its crops."""
    folder = tmp_path / "SAMM"
    _write_sheet(folder / samm.SHEET, [_row()])
    _write_frames(folder / "SAMM_CROP/006/006_1_2", range(5562, 5633))
    return folder


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """One good row of the long videos, its video, and SAMM's sheet in another folder."""
    folder = tmp_path / "SAMMLV"
    _write_sheet(folder / samm_lv.SHEET, [_lv_row()], LV_HEADER, text=10)
    _write_frames(folder / "SAMM_longvideos/006_1", range(1, 61), "006_1_{:04}.jpg")
    _write_sheet(tmp_path / "SAMM" / samm.SHEET, [_row()])
    return folder


@pytest.fixture
def samm_sheet(tmp_path: Path) -> Path:
    return tmp_path / "SAMM" / samm.SHEET


def _only(root: Path) -> tuple[Clip, tuple[str, ...]]:
    imported = samm.read([root])
    assert not schema.find_problems(imported.clips, "sheet")
    (clip,) = imported.clips
    return clip, imported.notes


def _problems(*sources: Path, read=samm.read) -> list[str]:
    with pytest.raises(BadInput) as caught:
        read(sources)
    return [str(problem) for problem in caught.value.problems]


def _check_planted(imported: Imported, truths: dict[str, ClipTruth]) -> None:
    assert not schema.find_problems(imported.clips, "twin")
    assert [clip.id for clip in imported.clips] == list(truths)
    for clip in imported.clips:
        truth = truths[clip.id]
        assert clip.subject == f"{truth.dataset}/{truth.subject}"
        assert (clip.onset, clip.apex, clip.offset) == (truth.onset, truth.apex, truth.offset)
        assert clip.apex_source == ("annotated" if truth.apex_in_sheet else "midpoint")
        assert (clip.emotion, clip.action_units, clip.fps) == (truth.emotion, truth.action_units, 200.0)
        frames = list_frames(imported.frame_root / clip.frames)
        assert set(range(truth.onset, truth.offset + 1)) <= set(frames)
        image = cv2.imread(str(frames[truth.apex]), cv2.IMREAD_UNCHANGED)
        assert image.shape == (truth.height, truth.width)  # one channel


def test_the_twin_imports_as_it_was_planted(tmp_path: Path) -> None:
    make_samm(tmp_path / "twin", **SMALL)
    imported = samm.read([tmp_path / "twin"])
    _check_planted(imported, read_truth(tmp_path / "twin"))
    assert len(imported.clips) == 16
    assert {clip.subject for clip in imported.clips} == {f"samm/{number:03}" for number in (6, 7, 9, 10)}
    assert any("no apex" in note for note in imported.notes)
    stems = [path.stem for path in (tmp_path / "twin").rglob("*.jpg")]
    assert {len(stem.split("_")[-1]) for stem in stems} == {4, 5}
    assert {"_" in stem for stem in stems} == {True, False}
    assert next((tmp_path / "twin").rglob("Thumbs.db"))


def test_the_long_twin_imports_as_it_was_planted(tmp_path: Path) -> None:
    make_samm_lv(tmp_path / "twin", **SMALL)
    imported = samm_lv.read([tmp_path / "twin"])
    _check_planted(imported, read_truth(tmp_path / "twin"))
    assert len({clip.frames for clip in imported.clips}) < len(imported.clips)  # several clips of one video
    assert imported.notes[-1].endswith("16 macro-expressions are left out")


def test_a_row_becomes_a_clip(root: Path) -> None:
    imported = samm.read([root])
    expected = Clip("samm", "samm/006", "006_1_2", "anger", 5562, 5588, 5632, "annotated", "4+7", 200.0, "006/006_1_2")
    assert imported == Imported((expected,), root / samm.SHEET, root / "SAMM_CROP")


@pytest.mark.parametrize("text", [0, 1, 13])
def test_the_header_is_found_below_any_text(root: Path, text: int) -> None:
    _write_sheet(root / samm.SHEET, [_row()], text=text)
    assert _only(root)[0].name == "006_1_2"


@pytest.mark.parametrize("subject", ["006", "6", 6, 6.0, "6.0"])
def test_subjects_in_every_spelling(root: Path, subject: object) -> None:
    _write_sheet(root / samm.SHEET, [_row((SUBJECT, subject))])
    assert _only(root)[0].subject == "samm/006"


@pytest.mark.parametrize(("word", "emotion"), [("Other", "others"), ("Happiness", "happiness"), ("SADNESS", "sadness")])
def test_emotions_have_capitals_and_other_is_singular(root: Path, word: str, emotion: str) -> None:
    _write_sheet(root / samm.SHEET, [_row((EMOTION, word))])
    assert _only(root)[0].emotion == emotion


@pytest.mark.parametrize(
    ("cell", "units"),
    [(4, "4"), ("L12 or L14", "L12 or L14"), ("(R6 or R12)+R15 ", "(R6 or R12)+R15"), ("soft focus", "soft focus"),
     ("4D+9B", "4D+9B"), ("ref(4)", "ref(4)"), ("", None)],
)  # fmt: skip
def test_action_units_stay_text(root: Path, cell: object, units: str | None) -> None:
    _write_sheet(root / samm.SHEET, [_row((UNITS, cell))])
    assert _only(root)[0].action_units == units


@pytest.mark.parametrize("cell", [-1, 0, "", "/", 5562, 5000, 6000])
def test_an_unusable_apex_becomes_the_middle_frame(root: Path, cell: object) -> None:
    _write_sheet(root / samm.SHEET, [_row((APEX, cell))])
    clip, notes = _only(root)
    assert (clip.apex, clip.apex_source) == (5597, "midpoint")
    assert "row 15, column Apex Frame" in notes[0]


def test_an_apex_of_minus_one_can_be_spotted(root: Path) -> None:
    _write_sheet(root / samm.SHEET, [_row((APEX, -1))])
    (clip,) = samm.read([root], "spotted").clips
    assert clip.apex_source == "spotted"


def test_the_wrong_offset_is_corrected_and_told(root: Path) -> None:
    _write_sheet(root / samm.SHEET, [_row((ONSET, 5700), (APEX, 5720), (OFFSET, 5793))])
    _write_frames(root / "SAMM_CROP/006/006_1_2", range(5700, 5740))
    clip, notes = _only(root)
    assert (clip.offset, clip.apex_source) == (5739, "annotated")
    assert "row 15, column Offset Frame: 5793 corrected to 5739" in notes[0]


@pytest.mark.parametrize("name", ["006_{:04}.jpg", "006_{:05}.jpg", "{:05}.jpg", "{:04}.jpg"])
def test_frames_of_both_widths_with_and_without_the_subject(root: Path, name: str) -> None:
    shutil.rmtree(root / "SAMM_CROP")
    _write_sheet(root / samm.SHEET, [_row((ONSET, 217), (APEX, 230), (OFFSET, 260))])
    folder = _write_frames(root / "SAMM_CROP/006/006_1_2", range(217, 261), name)
    (folder / "Thumbs.db").touch()
    clip, notes = _only(root)
    assert (clip.onset, notes) == (217, ())


def test_crops_are_preferred_to_whole_frames(root: Path) -> None:
    _write_frames(root / "SAMM/006/006_1_2", range(5562, 5633))
    assert samm.read([root]).frame_root == root / "SAMM_CROP"
    shutil.rmtree(root / "SAMM_CROP")
    imported = samm.read([root])
    assert imported.frame_root == root / "SAMM"
    assert "whole frames" in imported.notes[0]


@pytest.mark.parametrize("top", ["SAMM_CROP/SAMM_CROP", "Samm crop", "."])
def test_trees_under_other_names_and_doubled(root: Path, top: str) -> None:
    shutil.rmtree(root / "SAMM_CROP")
    _write_frames(root / top / "006/006_1_2", range(5562, 5633))
    assert samm.read([root]).frame_root == root / top


def test_all_problems_of_all_rows_are_told_together(root: Path) -> None:
    (root / "SAMM_CROP/006/006_5_1").mkdir()
    rows = [
        _row(),
        _row((NAME, "006_1_3")),
        _row(),
        _row((NAME, "006_5_1"), (EMOTION, "Angry!")),
        _row((SUBJECT, 7), (NAME, "007_1_1")),
        _row((SUBJECT, "007"), (NAME, "007_1_2")),
        _row((SUBJECT, "six"), (ONSET, "x")),
        _row((NAME, "006_9"), (OFFSET, 30)),
        _row((NAME, "006_8"), (APEX, -1), (OFFSET, -1)),
    ]
    _write_sheet(root / samm.SHEET, rows)
    crops, where = root / "SAMM_CROP", f"{root / samm.SHEET}, row "
    expected = [
        f"{where}16, column Filename: no folder for clip '006_1_3' in {crops}/006",
        f"{where}17, column Filename: clip 006/006_1_2 is in row 15 already",
        f"{where}18, column Estimated Emotion: unknown emotion 'Angry!' (did you mean 'anger'?)",
        f"{crops}/006/006_5_1: no frames in this folder",
        f"{where}19, column Subject: no folder for subject 007",  # and not again for the next row
        f"{where}21, column Subject: 'six' is not a subject (write it as 006 or 6)",
        f"{where}21, column Onset Frame: 'x' is not a frame number",
        f"{where}22, column Filename: no folder for clip '006_9'",
        f"{where}22, column Offset Frame: offset 30 is not after onset 5562",
        f"{where}23, column Filename: no folder for clip '006_8'",
        f"{where}23, column Offset Frame: neither offset nor apex is given",
    ]
    found = _problems(root)
    assert_told(found, expected)


def test_a_frame_that_cannot_be_read_is_named_where_it_is_needed(root: Path) -> None:
    _write_sheet(root / samm.SHEET, [_row((APEX, -1))])
    (root / "SAMM_CROP/006/006_1_2/006_05570.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(BadInput, match=r"006_05570\.jpg: is not a readable image"):
        samm.read([root], "spotted")


@pytest.mark.parametrize("content", [b"<html>", b"", b"PK\x03\x04"])
def test_a_broken_sheet_is_named(root: Path, content: bytes) -> None:
    (root / samm.SHEET).write_bytes(content)
    (problem,) = _problems(root)
    assert problem.startswith(str(root / samm.SHEET))


def test_no_sheet_and_no_frames(root: Path) -> None:
    sheet = (root / samm.SHEET).rename(root.parent / "mine.xlsx")
    assert _problems(root)[0].startswith(f"{root}: no annotation sheet in this folder (put {samm.SHEET}")
    shutil.rmtree(root / "SAMM_CROP")
    assert _problems(sheet, root) == [
        f"{root}: no folder of frames (expected one of SAMM_CROP, SAMM, or 006, 007, ...)"
    ]


def test_a_micro_row_becomes_a_clip_with_the_emotion_of_samm(videos: Path, samm_sheet: Path) -> None:
    expected = Clip("samm_lv", "samm_lv/006", "006_1_2", "anger", 12, 20, 40, "annotated", "4+7", 200.0, "006_1")
    own = videos / samm_lv.SHEET
    for sources in ([videos, samm_sheet], [samm_sheet, videos], [own, samm_sheet], [samm_sheet, own, videos]):
        imported = samm_lv.read(sources)
        assert imported == Imported((expected,), own, videos / "SAMM_longvideos")


def test_the_emotions_may_lie_beside_the_videos(videos: Path, samm_sheet: Path) -> None:
    samm_sheet.rename(videos / "emotions.xlsx")
    assert samm_lv.read([videos]).clips[0].emotion == "anger"


def test_without_the_sheet_of_samm_there_are_no_emotions(videos: Path) -> None:
    (problem, *_) = _problems(videos, read=samm_lv.read)
    assert (
        problem
        == f"{videos / samm_lv.SHEET}: does not tell the emotions (name SAMM's sheet too, for instance {samm.SHEET})"
    )


def test_macro_rows_are_counted_whatever_is_in_them(videos: Path, samm_sheet: Path) -> None:
    macro = _lv_row((NAME, "006_1_7"), (ONSET, 0), (APEX, -1), (OFFSET, -1), (LV_TYPE, "Macro"))
    _write_sheet(videos / samm_lv.SHEET, [macro, _lv_row(), macro], LV_HEADER, text=10)
    imported = samm_lv.read([videos, samm_sheet])
    assert len(imported.clips) == 1
    assert imported.notes == (f"{videos / samm_lv.SHEET}: 2 macro-expressions are left out",)


@pytest.mark.parametrize("onset", [0, 1])
def test_an_onset_before_the_recording_is_its_first_frame(videos: Path, samm_sheet: Path, onset: int) -> None:
    _write_sheet(videos / samm_lv.SHEET, [_lv_row((ONSET, onset))], LV_HEADER, text=10)
    imported = samm_lv.read([videos, samm_sheet])
    assert imported.clips[0].onset == 1
    assert len(imported.notes) == (onset == 0)


def test_an_apex_or_offset_that_was_not_observed(videos: Path, samm_sheet: Path) -> None:
    rows = [_lv_row((APEX, -1)), _lv_row((NAME, "006_1_3"), (OFFSET, -1))]
    _write_sheet(videos / samm_lv.SHEET, rows, LV_HEADER, text=10)
    _write_sheet(samm_sheet, [_row(), _row((NAME, "006_1_3"), (EMOTION, "Fear"))])
    first, second = samm_lv.read([videos, samm_sheet]).clips
    assert (first.apex, first.apex_source) == (26, "midpoint")
    assert (second.onset, second.offset, second.emotion) == (12, 28, "fear")


def test_all_problems_of_the_long_videos_are_told_together(videos: Path, samm_sheet: Path) -> None:
    rows = [
        _lv_row((LV_TYPE, "mini")),
        _lv_row((NAME, "006_2_1")),
        _lv_row((NAME, "nonsense")),
        _lv_row((ONSET, "x")),
        _lv_row(),
        _lv_row((NAME, "006_1_4")),
    ]
    _write_sheet(videos / samm_lv.SHEET, rows, LV_HEADER, text=10)
    _write_sheet(samm_sheet, [_row(), _row((NAME, "006_2_1")), _row((NAME, "006_1_4"), (EMOTION, "Boredom"))])
    where, tree = f"{videos / samm_lv.SHEET}, row ", videos / "SAMM_longvideos"
    expected = [
        f"{where}12, column Type: 'mini' is neither micro nor macro",
        f"{where}13, column Filename: no folder for video 006_2 in {tree}",
        f"{where}14, column Filename: no clip 'nonsense' in {samm_sheet}",
        f"{where}14, column Filename: no video in the name 'nonsense' in {tree}",
        f"{where}15, column Onset: 'x' is not a frame number",
        f"{where}16, column Filename: clip 006/006_1_2 is in row 15 already",
        f"{samm_sheet}, row 17, column Estimated Emotion: unknown emotion 'Boredom'",
    ]
    found = _problems(videos, samm_sheet, read=samm_lv.read)
    assert_told(found, expected)


def test_a_sheet_with_macro_rows_only(videos: Path, samm_sheet: Path) -> None:
    _write_sheet(videos / samm_lv.SHEET, [_lv_row((LV_TYPE, "Macro"))], LV_HEADER, text=10)
    (problem,) = _problems(videos, samm_sheet, read=samm_lv.read)
    assert "no rows of micro-expressions" in problem


def test_sheets_that_cannot_be_told_apart_or_read(videos: Path, samm_sheet: Path) -> None:
    copy = shutil.copy(samm_sheet, videos.parent / "copy.xlsx")
    assert "too many sheets" in _problems(videos, samm_sheet, Path(copy), read=samm_lv.read)[0]
    samm_sheet.write_bytes(b"<html>")
    (problem,) = _problems(videos, samm_sheet, read=samm_lv.read)
    assert problem.startswith(f"{samm_sheet}: cannot be read")
