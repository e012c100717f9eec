"""SMIC-E as it circulates: a worksheet per camera, third pairs, an emotion that contradicts the name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from by_hand import write_frames

from mer_data.datasets import smic_e
from mer_data.problems import BadInput
from mer_data.sheets import read_sheet
from mer_data.synthetic.workbook import write_worksheets

HEADER = (
    "Subject", "Filename", "OnsetF", "OffsetF", "FirstF", "LastF", "Onset2F", "Offset2F", "Onset3F", "Offset3F",
    "Emotion",
)  # fmt: skip


def row(
    subject: int, name: str, *pairs: object, first: object = 1000, last: object = 1100, emotion: str = ""
) -> list[object]:
    onset, offset, *more = pairs
    return [subject, name, onset, offset, first, last, *more, *[""] * (4 - len(more)), emotion]


def tree(
    root: Path,
    sheets: Mapping[str, Sequence[Sequence[object]]],
    camera: str = "HS",
    clips: Sequence[str] = ("s04_ne_04",),
) -> Path:
    for clip in clips:
        folder = root / f"{camera}_long/SMIC-{camera}-E/{clip[:3]}/{clip}"
        write_frames(folder, [f"image{number:06}.jpg" for number in range(1000, 1101)])
    write_worksheets(root / f"{camera}_long/SMIC-{camera}-E_annotation.xlsx", sheets)
    return root


def test_the_worksheet_of_the_camera_is_read(tmp_path: Path) -> None:
    sheets = {
        "HS": [HEADER, row(4, "s04_ne_04", 1010, 1030)],
        "VIS": [HEADER, row(11, "s11_ne_01", 1020, 1040)],
    }
    tree(tmp_path, sheets)
    tree(tmp_path, sheets, "VIS", ["s11_ne_01"])
    assert [clip.id for clip in smic_e.read_hs([tmp_path]).clips] == ["smic_e/s04/s04_ne_04"]
    assert [clip.id for clip in smic_e.read_vis([tmp_path]).clips] == ["smic_e_vis/s11/s11_ne_01"]
    tree(tmp_path, sheets, "NIR", ["s11_ne_01"])
    with pytest.raises(BadInput, match=r"no worksheet .*NIR.*HS, VIS"):
        smic_e.read_nir([tmp_path])


def test_a_tie_between_worksheets_is_not_broken_silently(tmp_path: Path) -> None:
    columns = {"subject": ("Subject",), "onset": ("OnsetF",)}
    tables = {
        "one": [("Subject", "OnsetF"), (1, 2)],
        "two": [("Subject", "OnsetF"), (1, 3)],
        "empty": [("Subject", "OnsetF")],
    }
    write_worksheets(tmp_path / "any.xlsx", tables)
    with pytest.raises(BadInput, match="2 worksheets have the right columns: one, two"):
        read_sheet(tmp_path / "any.xlsx", columns)
    write_worksheets(tmp_path / "any.xlsx", {**tables, "two": tables["one"]})
    assert len(read_sheet(tmp_path / "any.xlsx", columns).rows) == 1


def test_the_name_counts_where_the_emotion_contradicts_it(tmp_path: Path) -> None:
    tree(tmp_path, {"HS": [HEADER, row(18, "s18_sur_03", 1010, 1030, emotion="negative")]}, clips=["s18_sur_03"])
    imported = smic_e.read_hs([tmp_path])
    assert [clip.emotion for clip in imported.clips] == ["surprise"]
    assert any("'negative', but the clip is called s18_sur_03; surprise is kept" in note for note in imported.notes)


def test_three_pairs_are_three_clips(tmp_path: Path) -> None:
    tree(tmp_path, {"HS": [HEADER, row(4, "s04_ne_04", 1010, 1030, 1040, 1060, 1070, 1090, first="MISSING 1000")]})
    clips = smic_e.read_hs([tmp_path]).clips
    assert [(clip.name, clip.onset, clip.offset) for clip in clips] == [
        ("s04_ne_04@1010", 1010, 1030),
        ("s04_ne_04@1040", 1040, 1060),
        ("s04_ne_04@1070", 1070, 1090),
    ]


def test_a_pair_outside_the_clip_is_left_out_with_a_note(tmp_path: Path) -> None:
    tree(tmp_path, {"HS": [HEADER, row(4, "s04_ne_04", 1010, 1030, 1140, 1160)]})
    imported = smic_e.read_hs([tmp_path])
    assert [clip.name for clip in imported.clips] == ["s04_ne_04"]
    assert any(
        "column Onset2F: frames 1140 to 1160 are not within 1000 to 1100; left out" in note for note in imported.notes
    )


def test_columns_with_frame_numbers_are_not_passed_over_without_a_word(tmp_path: Path) -> None:
    header = (*HEADER, "Blink", "Duration")
    tree(tmp_path, {"HS": [header, [*row(4, "s04_ne_04", 1010, 1030), 1015, 21]]})
    notes = smic_e.read_hs([tmp_path]).notes
    assert any("column Blink: holds frame numbers and is not read" in note for note in notes)
    assert not any("Duration" in note for note in notes)
