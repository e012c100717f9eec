"""The CASME II importer: every quirk of the real files, and every error told with file and row."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from by_hand import assert_told

from mer_data import schema
from mer_data.datasets import casme2
from mer_data.problems import BadInput
from mer_data.schema import Clip
from mer_data.synthetic.casme2 import HEADER

if TYPE_CHECKING:
    from conftest import Casme2Tree

NAME, ONSET, APEX, OFFSET, UNITS, EMOTION = 1, 3, 4, 5, 7, 8


def _row(*changes: tuple[int, object], subject: object = "01") -> list[object]:
    cells: list[object] = [subject, "EP02_01f", "", 46, 59, 86, "", "R1+L2", "surprise"]
    for position, value in changes:
        cells[position] = value
    return cells


def _only(root: Path) -> tuple[Clip, tuple[str, ...]]:
    imported = casme2.read([root])
    assert not schema.find_problems(imported.clips, "sheet")
    (clip,) = imported.clips
    return clip, imported.notes


def _problems(root: Path) -> list[str]:
    with pytest.raises(BadInput) as caught:
        casme2.read([root])
    return [str(problem) for problem in caught.value.problems]


def test_a_row_becomes_a_clip(tree: Casme2Tree) -> None:
    imported = casme2.read([tree.root])
    expected = Clip(
        "casme2", "casme2/sub01", "EP02_01f", "surprise", 46, 59, 86, "annotated", "R1+L2", 200.0, "sub01/EP02_01f"
    )
    assert imported.clips == (expected,)
    assert imported.notes == ()
    assert imported.source == tree.sheet
    assert imported.frame_root == tree.root / "Cropped"


@pytest.mark.parametrize("subject", ["01", "1", 1, 1.0, "1.0", "sub01", "Sub1"])
def test_subjects_in_every_spelling(tree: Casme2Tree, subject: object) -> None:
    tree.write_sheet([_row(subject=subject)])
    assert _only(tree.root)[0].subject == "casme2/sub01"


@pytest.mark.parametrize(
    "sheet_name", ["CASME2-coding-20190701.xlsx", "CASME2-coding-updated.xlsx", "CASME2_label_Ver_2.xls"]
)
def test_sheets_of_any_name_without_spacer_columns(tree: Casme2Tree, sheet_name: str) -> None:
    tree.sheet.unlink()
    tree.sheet_name = sheet_name
    plain = [cell for position, cell in enumerate(_row()) if HEADER[position]]
    tree.write_sheet([plain], [name for name in HEADER if name])
    assert _only(tree.root)[0].apex == 59


@pytest.mark.parametrize(("cell", "units"), [(4, "4"), ("?", "?"), ("4+L10", "4+L10"), ("", None)])
def test_action_units_are_text(tree: Casme2Tree, cell: object, units: str | None) -> None:
    tree.write_sheet([_row((UNITS, cell))])
    assert _only(tree.root)[0].action_units == units


@pytest.mark.parametrize(
    ("word", "emotion"), [("Others", "others"), (" other ", "others"), ("Happy", "happiness"), ("sad", "sadness")]
)
def test_emotions_in_every_spelling(tree: Casme2Tree, word: str, emotion: str) -> None:
    tree.write_sheet([_row((EMOTION, word))])
    assert _only(tree.root)[0].emotion == emotion


@pytest.mark.parametrize("cell", ["/", "", 0, -1, 46, 40, 87])
def test_an_unusable_apex_becomes_the_middle_frame(tree: Casme2Tree, cell: object) -> None:
    tree.write_sheet([_row((APEX, cell))])
    clip, notes = _only(tree.root)
    assert (clip.apex, clip.apex_source) == (66, "midpoint")
    assert len(notes) == 1
    assert "row 2, column ApexFrame" in notes[0]


def test_an_apex_in_the_last_frame_is_kept(tree: Casme2Tree) -> None:
    tree.write_sheet([_row((APEX, 86))])
    assert (_only(tree.root)[0].apex, _only(tree.root)[0].apex_source) == (86, "annotated")


@pytest.mark.parametrize("cell", ["", 0, -1])
@pytest.mark.parametrize(("apex", "offset"), [(59, 72), (80, 86)], ids=["by the distance", "cut to the last frame"])
def test_a_missing_offset_is_mirrored_at_the_apex(tree: Casme2Tree, cell: object, apex: int, offset: int) -> None:
    tree.write_sheet([_row((APEX, apex), (OFFSET, cell))])
    clip, notes = _only(tree.root)
    assert (clip.onset, clip.apex, clip.offset) == (46, apex, offset)
    assert "row 2, column OffsetFrame" in notes[0]


def test_missing_files_are_replaced_by_the_nearest_within_two(tree: Casme2Tree) -> None:
    folder = tree.root / "Cropped/sub01/EP02_01f"
    for number in (46, 59, 58):
        (folder / f"reg_img{number}.jpg").unlink()
    clip, notes = _only(tree.root)
    assert (clip.onset, clip.apex) == (47, 60)
    assert [note.split(": ", 1)[1] for note in notes] == [
        "frame 46 is missing on disk; frame 47 is used",
        "frame 59 is missing on disk; frame 60 is used",
    ]


def test_files_missing_beyond_reach_are_a_problem(tree: Casme2Tree) -> None:
    shutil.rmtree(tree.root / "Cropped")
    tree.write_frames("sub01/EP02_01f", [46, *range(63, 87)])
    (problem,) = _problems(tree.root)
    assert "row 2, column ApexFrame: frame 59 is not in" in problem
    assert "46 to 86" in problem


@pytest.mark.parametrize("top", ["Cropped/Cropped", "cropped", "CASME2_RAW_selected", "CASME2-RAW/CASME2-RAW"])
def test_trees_under_their_names_and_doubled(tree: Casme2Tree, top: str) -> None:
    shutil.rmtree(tree.root / "Cropped")
    tree.write_frames("sub01/EP02_01f", range(40, 90), top, "img")
    (tree.root / top / "Thumbs.db").touch()
    imported = casme2.read([tree.root])
    assert imported.clips[0].frames == "sub01/EP02_01f"
    assert imported.frame_root == tree.root / top
    assert any("not face crops" in note for note in imported.notes) == ("RAW" in top)


def test_crops_are_preferred_unless_empty(tree: Casme2Tree) -> None:
    tree.write_frames("sub01/EP02_01f", range(40, 90), "CASME2-RAW", "img")
    assert casme2.read([tree.root]).frame_root == tree.root / "Cropped"
    shutil.rmtree(tree.root / "Cropped")
    (tree.root / "Cropped").mkdir()
    assert casme2.read([tree.root]).frame_root == tree.root / "CASME2-RAW"


def test_the_whole_dataset_may_be_doubled(tree: Casme2Tree) -> None:
    outer = tree.root.with_name("outer")
    outer.mkdir()
    tree.root.rename(outer / "CASME2")
    (outer / "CASME2").rename(outer / "outer")
    assert _only(outer)[0].name == "EP02_01f"


def test_sheet_and_frames_may_be_named_apart(tree: Casme2Tree, tmp_path: Path) -> None:
    sheet = tree.sheet.rename(tmp_path / "mine.xlsx")
    for frames in (tree.root, tree.root / "Cropped"):
        imported = casme2.read([sheet, frames])
        assert (imported.source, imported.frame_root) == (sheet, tree.root / "Cropped")


def test_stray_files_are_ignored(tree: Casme2Tree) -> None:
    for folder in ("", "Cropped", "Cropped/sub01", "Cropped/sub01/EP02_01f"):
        for name in ("Thumbs.db", ".DS_Store", "._reg_img46.jpg"):
            (tree.root / folder / name).touch()
    (tree.root / "~$CASME2-coding-20140508.xlsx").touch()
    assert len(casme2.read([tree.root]).clips) == 1


def test_a_folder_in_another_case_is_noted(tree: Casme2Tree) -> None:
    tree.write_sheet([_row((NAME, "ep02_01F"))])
    clip, notes = _only(tree.root)
    assert (clip.name, clip.frames) == ("ep02_01F", "sub01/EP02_01f")
    assert "the folder is called EP02_01f" in notes[0]


def test_all_problems_of_all_rows_are_told_together(tree: Casme2Tree) -> None:
    (tree.root / "Cropped/sub01/EP05_01").mkdir()
    rows = [
        _row(),
        _row((NAME, "EP02_01")),
        _row(),
        _row((NAME, "EP05_01"), (EMOTION, "surprize")),
        _row(subject="02"),
        _row((NAME, "EP03_02"), subject="sub2"),
        _row((ONSET, "x"), (OFFSET, "86?"), subject="one"),
        _row((NAME, ""), (ONSET, "")),
        _row((NAME, "../../other"), (OFFSET, 30)),
        _row((NAME, "EP09"), (APEX, "/"), (OFFSET, 0)),
        _row((NAME, "EP10"), (APEX, "soon")),
    ]
    tree.write_sheet(rows)
    where = f"{tree.sheet}, sheet Sheet1, "
    frames = tree.root / "Cropped"
    expected = [
        f"{where}row 3, column Filename: no folder for clip 'EP02_01' in {frames}/sub01 (did you mean 'EP02_01f'?)",
        f"{where}row 4, column Filename: clip sub01/EP02_01f is in row 2 already",
        f"{where}row 5, column Estimated Emotion: unknown emotion 'surprize' (did you mean 'surprise'?)",
        f"{frames}/sub01/EP05_01: no frames in this folder",
        f"{where}row 6, column Subject: no folder for subject sub02",  # and not again for row 7
        f"{where}row 8, column Subject: 'one' is not a subject",
        f"{where}row 8, column OnsetFrame: 'x' is not a frame number",
        f"{where}row 8, column OffsetFrame: '86?' is not a frame number",
        f"{where}row 9, column Filename: no folder for clip ''",
        f"{where}row 9, column OnsetFrame: the cell is empty",
        f"{where}row 10, column Filename: no folder for clip '../../other'",
        f"{where}row 10, column OffsetFrame: offset 30 is not after onset 46",
        f"{where}row 11, column Filename: no folder for clip 'EP09'",
        f"{where}row 11, column OffsetFrame: neither offset nor apex is given",
        f"{where}row 12, column Filename: no folder for clip 'EP10'",
        f"{where}row 12, column ApexFrame: 'soon' is not a frame number",
    ]
    found = _problems(tree.root)
    assert_told(found, expected)


def test_a_link_out_of_the_tree_is_refused(tree: Casme2Tree, tmp_path: Path) -> None:
    outside = (tree.root / "Cropped/sub01/EP02_01f").rename(tmp_path / "outside")
    (tree.root / "Cropped/sub01/EP02_01f").symlink_to(outside)
    (problem,) = _problems(tree.root)
    assert "leads out of this folder" in problem


def test_two_files_of_one_number_are_a_problem(tree: Casme2Tree) -> None:
    tree.write_frames("sub01/EP02_01f", [46], prefix="img")
    (problem,) = _problems(tree.root)
    assert "both frame 46" in problem


def test_two_folders_of_one_subject_are_a_problem(tree: Casme2Tree) -> None:
    (tree.root / "Cropped/sub1").mkdir()
    (problem,) = _problems(tree.root)
    assert "sub01 and sub1 are one subject" in problem


def test_no_sheet(tree: Casme2Tree) -> None:
    tree.sheet.unlink()
    (problem,) = _problems(tree.root)
    assert problem.startswith(f"{tree.root}: no annotation sheet")


def test_a_broken_sheet_is_named(tree: Casme2Tree) -> None:
    tree.sheet.write_bytes(b"<html>")
    (problem,) = _problems(tree.root)
    assert problem.startswith(f"{tree.sheet}: cannot be read")


def test_a_sheet_with_other_columns_is_named(tree: Casme2Tree) -> None:
    tree.write_sheet([_row()], [name.replace("Emotion", "Class") for name in HEADER])
    (problem,) = _problems(tree.root)
    assert problem.startswith(f"{tree.sheet}: no row has the columns")
    assert "lacks Estimated Emotion" in problem


def test_two_sheets_are_not_chosen_from(tree: Casme2Tree) -> None:
    shutil.copy(tree.sheet, tree.root / "CASME2-coding-20190701.xlsx")
    (problem,) = _problems(tree.root)
    assert "CASME2-coding-20140508.xlsx, CASME2-coding-20190701.xlsx" in problem
    assert len(casme2.read([tree.sheet, tree.root]).clips) == 1


def test_no_frames(tree: Casme2Tree) -> None:
    shutil.rmtree(tree.root / "Cropped")
    (problem,) = _problems(tree.root)
    assert problem.startswith(f"{tree.root}: no folder of frames (expected one of Cropped")


def test_other_combinations_of_sources_are_refused(tree: Casme2Tree) -> None:
    for sources in ([], [tree.sheet, tree.sheet], [tree.root, tree.root], [tree.root / "gone"]):
        with pytest.raises(BadInput, match="cannot be used"):
            casme2.read(sources)


def test_the_documented_offset_is_corrected(tree: Casme2Tree) -> None:
    tree.write_frames("sub06/EP01_01", range(60, 120))
    tree.write_sheet([_row((NAME, "EP01_01"), (ONSET, 66), (APEX, 111), (OFFSET, 111), subject=6)])
    clip, notes = _only(tree.root)
    assert (clip.onset, clip.apex, clip.offset, clip.apex_source) == (66, 78, 91, "midpoint")
    assert "row 2, column OffsetFrame: 111 corrected to 91" in notes[0]


@pytest.mark.parametrize("name", ["EP02_01f", "EP09f", "EP06_02_01", "EP01_2"])
def test_clip_names_of_every_shape(tree: Casme2Tree, name: str) -> None:
    shutil.rmtree(tree.root / "Cropped")
    for other in ("EP02_01", "EP02_01f", "EP09", "EP09f", "EP06_02", "EP06_02_01", "EP01_2", "EP01_02"):
        tree.write_frames(f"sub01/{other}", range(46, 87))
    tree.write_sheet([_row((NAME, name))])
    assert _only(tree.root)[0].frames == f"sub01/{name}"


def test_an_offset_beyond_the_last_frame_is_cut_and_told(tree: Casme2Tree) -> None:
    tree.write_sheet([_row((OFFSET, 99))])
    clip, notes = _only(tree.root)
    assert clip.offset == 86
    assert any("frame 99 is beyond the last on disk; frame 86 is used" in note for note in notes)


def test_a_spotted_apex_is_marked(tree: Casme2Tree) -> None:
    tree.write_sheet([_row((APEX, "/"))])
    assert _only(tree.root)[0].apex_source == "midpoint"
    spotted = casme2.read([tree.root], "spotted")
    assert spotted.clips[0].apex_source == "spotted"
    assert any("spotted by motion" in note for note in spotted.notes)
