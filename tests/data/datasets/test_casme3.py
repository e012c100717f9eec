"""The CAS(ME)^3 importers: their twins come back as planted, and every quirk of the real files is dealt with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from by_hand import assert_told

from mer_data import schema
from mer_data.datasets import casme3
from mer_data.datasets.casme3 import SHEET_A, SHEET_C
from mer_data.imported import Imported
from mer_data.problems import BadInput
from mer_data.schema import Clip
from mer_data.synthetic.casme3 import (
    HEADER_A,
    HEADER_C,
    TREE_A,
    TREE_C,
    make_casme3a,
    make_casme3c,
)
from mer_data.synthetic.twin import read_truth
from mer_data.synthetic.workbook import write_worksheets

SUBJECT, NAME, ONSET, APEX, OFFSET, UNITS, _, EMOTION = range(8)


def _row_a(*changes: tuple[int, object], subject: object = "spNO.12") -> list[object]:
    cells: list[object] = [subject, "f", 1421, 1426, 1440, "2+1", "II", "others"]
    for position, value in changes:
        cells[position] = value
    return cells


def _frames(folder: Path, numbers: Iterable[int] = range(1400, 1461)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / f"{number}.jpg").touch()


def _sheet_a(root: Path, *rows: Sequence[object]) -> Path:
    folder = root / "part_A/annotation"
    folder.mkdir(parents=True, exist_ok=True)
    write_worksheets(folder / SHEET_A, {"label": [HEADER_A, *rows], "Sheet2": [], "Sheet3": []})
    return folder / SHEET_A


def _sheet_c(root: Path, *rows: Sequence[object]) -> Path:
    (root / "part_C").mkdir(parents=True, exist_ok=True)
    write_worksheets(root / "part_C" / SHEET_C, {"mockCrimeME": [HEADER_C, *rows]})
    return root / "part_C" / SHEET_C


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One good row of each part and its frames."""
    _frames(tmp_path / TREE_A / "spNO.12/f/color")
    _sheet_a(tmp_path, _row_a())
    _frames(tmp_path / TREE_C / "04/1/color", range(300, 321))
    _sheet_c(tmp_path, (4, 1, 300, 320, "4,7", "negative"))
    return tmp_path


def _only(imported: Imported) -> tuple[Clip, tuple[str, ...]]:
    assert not schema.find_problems(imported.clips, "sheet")
    (clip,) = imported.clips
    return clip, imported.notes


def _check_twin(dest: Path, imported: Imported) -> None:
    assert not schema.find_problems(imported.clips, "sheet")
    truth = read_truth(dest)
    assert [clip.id for clip in imported.clips] == list(truth)
    for clip, planted in zip(imported.clips, truth.values(), strict=True):
        assert (clip.onset, clip.apex, clip.offset) == (planted.onset, planted.apex, planted.offset)
        assert (clip.emotion, clip.action_units) == (planted.emotion, planted.action_units)
        assert clip.apex_source == ("annotated" if planted.apex_in_sheet else "midpoint")
        assert clip.fps == 30
        assert imported.frame_root
        assert clip.frames
        assert (imported.frame_root / clip.frames / f"{clip.apex}.jpg").is_file()


def test_the_twin_of_part_a_comes_back_as_planted(tmp_path: Path) -> None:
    dest = tmp_path / "CASME3"
    make_casme3a(dest, subjects=4, clips=16, seed=1, size=(40, 32), length=(5, 9))
    imported = casme3.read_a([dest])
    _check_twin(dest, imported)
    said = "\n".join(imported.notes)
    for quirk in (
        "no offset; taken as",
        "the folder is called j",
        "frame 0 is missing on disk; frame 1 is used",
        "from onset to offset are missing on disk",
    ):
        assert quirk in said
    videos = {(clip.subject, clip.frames) for clip in imported.clips}
    assert len(videos) < len(imported.clips)
    assert casme3.read_a([dest / "part_A"]).clips == imported.clips


def test_the_twin_of_part_c_comes_back_as_planted(tmp_path: Path) -> None:
    dest = tmp_path / "CASME3"
    make_casme3c(dest, subjects=3, clips=12, seed=1, size=(40, 32), length=(5, 9))
    imported = casme3.read_c([dest])
    _check_twin(dest, imported)
    (note,) = imported.notes
    assert "gives no apex for any clip" in note
    assert casme3.read_c([dest / "part_C"]).clips == imported.clips
    assert {clip.apex_source for clip in casme3.read_c([dest], "spotted").clips} == {"spotted"}


def test_a_row_of_part_a_becomes_a_clip(root: Path) -> None:
    expected = Clip(
        "casme3a", "casme3a/spNO.12", "f@1421", "others", 1421, 1426, 1440, "annotated", "2+1", 30.0, "spNO.12/f/color"
    )
    assert _only(casme3.read_a([root])) == (expected, ())


def test_a_row_of_part_c_becomes_a_clip(root: Path) -> None:
    clip, _ = _only(casme3.read_c([root]))
    expected = Clip("casme3c", "casme3c/c04", "1", "negative", 300, 310, 320, "midpoint", "4+7", 30.0, "04/1/color")
    assert clip == expected


@pytest.mark.parametrize(
    ("word", "emotion"), [("Others", "others"), ("others", "others"), ("happy", "happiness"), ("sad", "sadness")]
)
def test_emotions_in_every_spelling(root: Path, word: str, emotion: str) -> None:
    _sheet_a(root, _row_a((EMOTION, word)))
    assert _only(casme3.read_a([root]))[0].emotion == emotion


def test_a_video_is_found_without_regard_to_case(root: Path) -> None:
    _sheet_a(root, _row_a((NAME, "F")))
    clip, (note,) = _only(casme3.read_a([root]))
    assert (clip.name, clip.frames) == ("f@1421", "spNO.12/f/color")
    assert "the folder is called f" in note


def test_several_clips_of_one_video(root: Path) -> None:
    _sheet_a(root, _row_a(), _row_a((ONSET, 1445), (APEX, 1450), (OFFSET, 1455)))
    assert [clip.name for clip in casme3.read_a([root]).clips] == ["f@1421", "f@1445"]


def test_clips_that_were_cut_out_of_the_videos(tmp_path: Path) -> None:
    sheet = _sheet_a(tmp_path, _row_a((ONSET, 1445), (APEX, 1450), (OFFSET, 1455)), _row_a())
    tree = tmp_path / "ME_A"
    _frames(tree / "spNO.12/f/color", range(1445, 1456))
    _frames(tree / "spNO.12/f2/color", range(1421, 1441))
    clips = casme3.read_a([sheet, tree]).clips
    assert [clip.frames for clip in clips] == ["spNO.12/f/color", "spNO.12/f2/color"]
    _sheet_a(tmp_path, _row_a((ONSET, 1), (APEX, 3), (OFFSET, 5)))
    with pytest.raises(BadInput, match=r"row 2, column Filename: none of the clip's frames is in f, f2 of"):
        casme3.read_a([sheet, tree])


@pytest.mark.parametrize(("onset", "apex"), [(1421, 1421), (1421, 1392)])
def test_an_apex_not_after_the_onset_is_missing(root: Path, onset: int, apex: int) -> None:
    _sheet_a(root, _row_a((ONSET, onset), (APEX, apex)))
    clip, (note,) = _only(casme3.read_a([root]))
    assert (clip.apex, clip.apex_source) == (1430, "midpoint")
    assert "row 2, column Apex" in note


def test_a_missing_offset_is_mirrored_at_the_apex(root: Path) -> None:
    _sheet_a(root, _row_a((OFFSET, 0)))
    assert _only(casme3.read_a([root]))[0].offset == 1431


def test_an_onset_of_zero_without_such_a_frame(root: Path) -> None:
    _frames(root / TREE_A / "spNO.12/a/color", range(1, 30))
    _sheet_a(root, _row_a((NAME, "a"), (ONSET, 0), (APEX, 12), (OFFSET, 25)))
    clip, notes = _only(casme3.read_a([root]))
    assert (clip.name, clip.onset, clip.apex) == ("a@0", 1, 12)
    assert any("frame 0 is missing on disk; frame 1 is used" in note for note in notes)


def test_frames_that_the_camera_dropped_are_counted(root: Path) -> None:
    for number in (1423, 1430, 1431):
        (root / TREE_A / f"spNO.12/f/color/{number}.jpg").unlink()
    clip, (note,) = _only(casme3.read_a([root]))
    assert (clip.onset, clip.apex, clip.offset) == (1421, 1426, 1440)
    assert note.endswith("row 2, column Offset: 3 of the 20 frames from onset to offset are missing on disk")


def test_long_intervals_are_counted(root: Path) -> None:
    _frames(root / TREE_A / "spNO.12/f/color", range(1400, 1600))
    _sheet_a(root, _row_a((OFFSET, 1590)), _row_a((ONSET, 1424)))
    (note,) = casme3.read_a([root]).notes
    assert note.endswith("1 of 2 intervals are longer than 60 frames, the longest has 170")


def test_the_documented_slip_is_corrected(root: Path) -> None:
    _frames(root / TREE_A / "spNO.216/d/color", range(2640, 2700))
    _sheet_a(root, _row_a((NAME, "d"), (ONSET, 3647), (APEX, 2668), (OFFSET, 2694), subject="spNO.216"))
    clip, (note,) = _only(casme3.read_a([root]))
    assert (clip.name, clip.onset, clip.apex, clip.apex_source) == ("d@2647", 2647, 2668, "annotated")
    assert "3647 corrected to 2647" in note


def test_the_documented_apex_before_the_onset_is_corrected(root: Path) -> None:
    _frames(root / TREE_A / "spNO.149/d/color", range(80, 360))
    rows = [_row_a((NAME, "d"), (ONSET, onset), (APEX, 83), (OFFSET, 358), subject="spNO.149") for onset in (112, 113)]
    _sheet_a(root, *rows)
    first, other = casme3.read_a([root]).clips
    assert (first.apex, first.apex_source) == (160, "corrected")
    assert (other.apex, other.apex_source) == (235, "midpoint")  # not the documented row


@pytest.mark.parametrize("tree", ["", "data/part_A", "part_A/data/part_A_split/part_A/part_A"])
def test_the_tree_is_found_wherever_it_is(tmp_path: Path, tree: str) -> None:
    _sheet_a(tmp_path, _row_a())
    for other in ("part_C", "ME_A"):
        _frames(tmp_path / other / "spNO.12/f/color")
    _frames(tmp_path / tree / "spNO.12/f/color")
    _frames(tmp_path / tree / "spNO.12/f/depth")
    assert casme3.read_a([tmp_path]).frame_root == tmp_path / tree


def test_the_sheets_of_all_expressions_are_not_taken(root: Path) -> None:
    header: list[object] = [*HEADER_A[:6], "Expression type", "Objective class"]
    every: list[list[object]] = [header, [*_row_a()[:6], "Micro-expression", "II"]]
    blinks = [[*HEADER_A[:3], "Offset"], ["spNO.12", "f", 1421, 1440]]
    sheets = {"AU+Emotion": every, "eye blink": blinks}
    write_worksheets(root / "part_A/annotation/CAS(ME)3_part_A_v2.xls", sheets)
    assert casme3.read_a([root]).source.name == SHEET_A
    numbers: list[list[object]] = [["Subject", "Onset", "Offset", "diff", "Exp_type", "risk"], [4, 300, 320, 20, 1, 0]]
    write_worksheets(root / "part_C/CAS(ME)3_part_C.xls", {"Sheet1": numbers})
    assert casme3.read_c([root]).source.name == SHEET_C


@pytest.mark.parametrize(
    ("cell", "units"),
    [(4, "4"), ("4,7,", "4+7"), ("4\uff0c7", "4+7"), ("13?", "13?"), ("1, 2", "1+2"), ("", None)],
)
def test_action_units_of_part_c(root: Path, cell: object, units: str | None) -> None:
    _sheet_c(root, (4, 1, 300, 320, cell, "negative"))
    assert _only(casme3.read_c([root]))[0].action_units == units


@pytest.mark.parametrize("count", [1, "1", "01", "1.0"])
def test_clips_of_part_c_are_called_by_a_plain_count(root: Path, count: object) -> None:
    _sheet_c(root, (4, count, 300, 320, "4", "negative"))
    assert _only(casme3.read_c([root]))[0].id == "casme3c/c04/1"


@pytest.mark.parametrize("folder", ["4/1", "c04/1/color", "sub04/01", "spNO.4/color", "04"])
def test_layouts_of_part_c(tmp_path: Path, folder: str) -> None:
    _frames(tmp_path / "part_C/frames" / folder, range(300, 321))
    _sheet_c(tmp_path, (4.0, 1, 300, 320, "4", "negative"))
    clip, _ = _only(casme3.read_c([tmp_path]))
    assert (clip.subject, clip.frames) == ("casme3c/c04", folder)


def test_all_problems_of_part_a_are_told_together(root: Path) -> None:
    sheet = _sheet_a(
        root,
        _row_a(),
        _row_a(),
        _row_a(subject="12"),
        _row_a((NAME, "b")),
        _row_a((ONSET, "x"), (EMOTION, "otters")),
        _row_a((ONSET, 1500), (APEX, 1510), (OFFSET, 1520)),
        _row_a(subject="spNO.13"),
    )
    where = f"{sheet}, sheet label, row"
    expected = [
        f"{where} 3, column Filename: clip spNO.12/f@1421 is in row 2 already",
        f"{where} 4, column Subject: '12' is not a subject (write it as spNO.1)",
        f"{where} 5, column Filename: no folder for clip 'b'",
        f"{where} 6, column emotion: unknown emotion 'otters' (did you mean 'others'?)",
        f"{where} 6, column Onset: 'x' is not a frame number",
        f"{where} 7, column Onset: frame 1500 is not in",
        f"{where} 7, column Apex: frame 1510 is not in",
        f"{where} 8, column Subject: no folder for subject spNO.13",
    ]
    with pytest.raises(BadInput) as caught:
        casme3.read_a([root])
    found = [str(problem) for problem in caught.value.problems]
    assert_told(found, expected)


def test_all_problems_of_part_c_are_told_together(root: Path) -> None:
    sheet = _sheet_c(
        root, (4, 1, 300, 320, "4", "negative"), (4, 1, 300, 320, "4", "bad"), (4, 9, 300, 0, "4", "surprise")
    )
    expected = [
        f"{sheet}, row 3, column emotion: unknown emotion 'bad'",
        f"{sheet}, row 3, column count: clip c04/1 is in row 2 already",
        f"{sheet}, row 4, column count: no folder for clip '9'",
        f"{sheet}, row 4, column offset: neither offset nor apex is given",
    ]
    with pytest.raises(BadInput) as caught:
        casme3.read_c([root])
    found = [str(problem) for problem in caught.value.problems]
    assert_told(found, expected)


def test_no_frames(root: Path) -> None:
    (root / TREE_A / "spNO.12").rename(root / TREE_A / "somebody")
    with pytest.raises(BadInput, match=r"no folder of frames \(expected spNO\.1"):
        casme3.read_a([root])
