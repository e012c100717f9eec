"""The importers of SMIC-E's three cameras: the twins, every quirk of the sheet and the trees, and every error told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from by_hand import write_frames, write_sheet

from mer_data import schema
from mer_data.composites import refuse_same_people
from mer_data.datasets import smic_e
from mer_data.frames import list_frames
from mer_data.imported import Imported
from mer_data.problems import BadInput
from mer_data.schema import Clip
from mer_data.synthetic.smic_e import make_smic_e, make_smic_e_nir, make_smic_e_vis
from mer_data.synthetic.twin import read_truth

HEADER = ("Subject", "Filename", "", "OnsetF", "OffsetF", "Onset2", "Offset2", "", "FirstF", "LastF", "Emotion")
ROW = (1, "s01_ne_01", "", 559740, 559760, "", "", "", 559720, 559780, "negative")
TREE = "SMIC-E_raw image/HS_long/SMIC-HS-E"
SHEET = "SMIC-E_raw image/HS_long/SMIC-HS-E_annotation.xlsx"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One good clip of the high-speed camera."""
    root = tmp_path / "SMIC"
    add_clip(root, "s01/s01_ne_01", range(559720, 559781))
    write_sheet(root / SHEET, HEADER, ROW)
    return root


def add_clip(root: Path, clip: str, numbers: range, tree: str = TREE) -> Path:
    return write_frames(root / tree / clip, [f"image{number:06}.jpg" for number in numbers])


def problems_of(root: Path) -> list[str]:
    with pytest.raises(BadInput) as caught:
        smic_e.read_hs([root])
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("make", "read", "channels"),
    [(make_smic_e, smic_e.read_hs, 3), (make_smic_e_vis, smic_e.read_vis, 3), (make_smic_e_nir, smic_e.read_nir, 1)],
    ids=["hs", "vis", "nir"],
)
def test_the_twin_imports_as_it_was_planted(
    tmp_path: Path, make: Callable[..., None], read: Callable[..., Imported], channels: int
) -> None:
    make(tmp_path / "twin", subjects=2, clips=8, seed=2, size=(32, 40), length=(4, 6))
    truths, imported = read_truth(tmp_path / "twin"), read([tmp_path / "twin"])
    assert not schema.find_problems(imported.clips, "twin")
    assert [clip.id for clip in imported.clips] == list(truths)
    assert len({clip.frames for clip in imported.clips}) < len(imported.clips)  # two in one folder
    for clip in imported.clips:
        truth = truths[clip.id]
        assert (clip.onset, clip.apex, clip.offset) == (truth.onset, truth.apex, truth.offset)
        assert (clip.emotion, clip.apex_source) == (truth.emotion, "midpoint")
        frames = list_frames(imported.frame_root / clip.frames)
        assert min(frames) < truth.onset < truth.offset < max(frames)
        image = cv2.imread(str(frames[truth.apex]), cv2.IMREAD_UNCHANGED)
        assert (image.shape[2:] or (1,)) == (channels,)
    assert any("rows of text" in note for note in imported.notes)


def test_a_row_becomes_a_clip(root: Path) -> None:
    imported = smic_e.read_hs([root])
    expected = Clip(
        "smic_e", "smic_e/s01", "s01_ne_01", "negative", 559740, 559750, 559760, "midpoint", None, 100.0,
        "s01/s01_ne_01",
    )  # fmt: skip
    note = f"{root / SHEET}: gives no apex for any clip; the middle frame is taken, or motion decides"
    assert imported == Imported((expected,), root / SHEET, root / TREE, (note,))
    assert smic_e.read_hs([root], "spotted").clips[0].apex_source == "spotted"


@pytest.mark.parametrize("headers", [("Onset2", "Offset2"), ("OnsetF", "OffsetF"), ("", ""), ("second", "")])
def test_a_second_micro_expression_whatever_its_columns_are_called(root: Path, headers: tuple[str, str]) -> None:
    header = (*HEADER[:5], *headers, *HEADER[7:])
    write_sheet(root / SHEET, header, (*ROW[:5], 559766, 559776, *ROW[7:]))
    one, two = smic_e.read_hs([root]).clips
    assert (one.name, one.onset, one.offset) == ("s01_ne_01@559740", 559740, 559760)
    assert (two.name, two.onset, two.offset) == ("s01_ne_01@559766", 559766, 559776)
    assert one.frames == two.frames


def test_a_sheet_without_a_second_pair(root: Path) -> None:
    """Then FirstF and LastF are right of the first pair, and are not taken for one."""
    header = (*HEADER[:5], *HEADER[8:])
    write_sheet(root / SHEET, header, (*ROW[:5], *ROW[8:]))
    assert [clip.name for clip in smic_e.read_hs([root]).clips] == ["s01_ne_01"]


def test_half_of_a_second_pair_is_told(root: Path) -> None:
    write_sheet(root / SHEET, HEADER, (*ROW[:5], 559766, "", *ROW[7:]))
    (problem,) = problems_of(root)
    assert "row 2, column Offset2: neither offset nor apex is given" in problem


def test_rows_of_text_below_the_data_are_passed_over_and_others_are_not(root: Path) -> None:
    text = [("Remarks:",), ("", "FirstF is the number of the first frame"), ("All by hand",)]
    write_sheet(root / SHEET, HEADER, ROW, *text)
    imported = smic_e.read_hs([root])
    assert len(imported.clips) == 1
    assert "row 3: 3 rows of text from here on are passed over" in imported.notes[0]
    write_sheet(root / SHEET, HEADER, ("somebody", *ROW[1:]), ROW)
    assert "'somebody' is not a subject" in problems_of(root)[0]


def test_a_text_in_the_place_of_the_first_frame_does_not_matter(root: Path) -> None:
    write_sheet(root / SHEET, HEADER, (*ROW[:8], "missing", "?", "negative"))
    assert len(smic_e.read_hs([root]).clips) == 1
    write_sheet(root / SHEET, HEADER, (*ROW[:3], "about 559740", *ROW[4:]))
    assert "'about 559740' is not a frame number" in problems_of(root)[0]


@pytest.mark.parametrize("subject", [1, "01", "s1", "s01", 1.0])
@pytest.mark.parametrize("folder", ["s01/s01_ne_01", "s1/s1_ne_01", "S01/S01_NE_01"])
def test_subjects_and_clips_with_and_without_the_zero(root: Path, subject: object, folder: str) -> None:
    (root / TREE / "s01").rename(root / TREE / "aside")
    (root / TREE / folder).parent.mkdir(exist_ok=True)
    (root / TREE / "aside/s01_ne_01").rename(root / TREE / folder)
    write_sheet(root / SHEET, HEADER, (subject, "s1_ne_01", *ROW[2:]))
    assert smic_e.read_hs([root]).clips[0].id == "smic_e/s01/s01_ne_01"


def test_the_emotion_is_the_name_s_and_the_cell_must_agree(root: Path) -> None:
    for cell, said in (("Negative", ""), ("", ""), (1, "'1' is no emotion; negative of the name is used")):
        write_sheet(root / SHEET, HEADER, (*ROW[:10], cell))
        imported = smic_e.read_hs([root])
        assert imported.clips[0].emotion == "negative"
        assert any(said in note for note in imported.notes)
    write_sheet(root / SHEET, HEADER, (*ROW[:10], "surprise"), (1, "s01_xx_02", *ROW[2:]))
    found = problems_of(root)
    assert "'surprise', but the clip is called s01_ne_01" in found[0]
    assert "'s01_xx_02' is not a clip's name" in found[1]


def test_apexes_that_somebody_added_are_used_and_told(root: Path) -> None:
    write_sheet(root / SHEET, (*HEADER, "ApexF"), (*ROW, 559744))
    imported = smic_e.read_hs([root])
    assert (imported.clips[0].apex, imported.clips[0].apex_source) == (559744, "annotated")
    assert "gives apexes, which the official sheet does not" in imported.notes[0]


@pytest.mark.parametrize("sheet", ["", "SMIC-E_raw image", "SMIC-E_raw image/HS_long", TREE])
@pytest.mark.parametrize("inner", ["", "HS"])
def test_the_sheet_beside_the_frames_or_above_them(root: Path, sheet: str, inner: str) -> None:
    if inner:
        (root / TREE / "s01").rename(root / TREE / "aside")
        (root / TREE / inner).mkdir()
        (root / TREE / "aside").rename(root / TREE / inner / "s01")
    (root / SHEET).rename(root / sheet / "SMIC-HS-E_annotation_2019.xlsx")
    imported = smic_e.read_hs([root])
    assert imported.frame_root == root / TREE / inner
    named = smic_e.read_hs([root / sheet / "SMIC-HS-E_annotation_2019.xlsx", root / TREE])
    assert named.clips == imported.clips


def test_each_format_picks_its_own_camera_and_never_the_short_clips(root: Path) -> None:
    add_clip(root, "s1/micro/negative/s1_ne_01", range(559740, 559761), "SMIC_all_raw/HS")
    for camera in ("VIS", "NIR"):
        add_clip(root, "s11/s11_po_01", range(20), f"SMIC-E_raw image/{camera}_long/SMIC-{camera}-E")
        sheet = root / f"SMIC-E_raw image/SMIC-{camera}-E_annotation.xlsx"
        write_sheet(sheet, HEADER, (11, "s11_po_01", "", 4, 12, "", "", "", 0, 19, "positive"))
    (root / SHEET).rename(root / "SMIC-E_raw image/SMIC-HS-E_annotation.xlsx")
    readers = (smic_e.read_hs, smic_e.read_vis, smic_e.read_nir)
    clips = [read([root]).clips[0] for read in readers]
    assert [clip.id.rpartition("/")[0] for clip in clips] == ["smic_e/s01", "smic_e_vis/s11", "smic_e_nir/s11"]
    assert [clip.fps for clip in clips] == [100.0, 25.0, 25.0]
    with pytest.raises(BadInput, match=r"no folder of frames \(expected HS_long/SMIC-HS-E/s01"):
        smic_e.read_hs([root / "SMIC-E_raw image/VIS_long"])
    with pytest.raises(BadInput, match="SMIC-VIS-E is not of SMIC-E's camera HS"):
        smic_e.read_hs([root / "SMIC-E_raw image/VIS_long/SMIC-VIS-E"])


def test_two_sheets_of_one_camera_are_for_a_person_to_choose_from(root: Path) -> None:
    write_sheet((root / SHEET).with_name("SMIC-HS-E_annotation_2019.xlsx"), HEADER, ROW)
    assert "2 sheets have the right columns" in problems_of(root)[0]
    assert smic_e.read_hs([root / SHEET, root]).clips


def test_what_is_missing_is_told(root: Path, tmp_path: Path) -> None:
    write_sheet(root / SHEET, HEADER, ROW, (2, "s02_ne_01", *ROW[2:]), (1, "s01_ne_02", *ROW[2:]), ROW)
    found = problems_of(root)
    assert "no folder for a clip of subject s02" in found[0]
    assert "no folder for clip 's01_ne_02'" in found[1]
    assert "clip s01/s01_ne_01@559740 is in row 2 already" in found[2]
    (root / SHEET).unlink()
    assert "put SMIC-HS-E_annotation.xlsx there, or name the sheet too" in problems_of(root)[0]
    (tmp_path / "empty").mkdir()
    assert "expected HS_long/SMIC-HS-E/s01" in problems_of(tmp_path / "empty")[0]


def test_the_same_people_are_not_united(root: Path) -> None:
    clips = smic_e.read_hs([root]).clips
    short = Clip("smic", "smic/s01", "s01_ne_01", "negative", 559740, 559750, 559760, "midpoint", None, 100.0, "s1")
    with pytest.raises(BadInput, match="smic and smic_e show the same people"):
        refuse_same_people([*clips, short], "experiment")
