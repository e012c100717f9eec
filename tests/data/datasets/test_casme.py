"""The CASME importer: its twin comes back as planted, and every quirk of the real files is dealt with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from by_hand import assert_told

from mer_data import schema
from mer_data.datasets import casme
from mer_data.datasets.casme import SHEET
from mer_data.problems import BadInput
from mer_data.schema import Clip
from mer_data.synthetic.casme import HEADER, make_casme
from mer_data.synthetic.twin import read_truth
from mer_data.synthetic.workbook import write_workbook

SUBJECT, NAME, ONSET, APEX, APEX_END, OFFSET, UNITS, EMOTION = 0, 1, 3, 4, 5, 6, 8, 9


def _row(*changes: tuple[int, object], subject: object = 3) -> list[object]:
    cells: list[object] = [subject, "EP05_2", "", 61, 70, "", 78, "", 4, "tense"]
    for position, value in changes:
        cells[position] = value
    return cells


def _frames(folder: Path, numbers: Iterable[int], pattern: str = "reg_EP05_2-{}.jpg") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / pattern.format(number)).touch()


def _sheet(root: Path, *rows: Sequence[object], header: Sequence[object] = HEADER) -> None:
    write_workbook(root / SHEET, [header, *rows])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One good row and its frames."""
    _frames(tmp_path / "CASME/Cropped/sub03/EP05_2", range(61, 79))
    _sheet(tmp_path / "CASME", _row())
    return tmp_path / "CASME"


def _only(root: Path) -> tuple[Clip, tuple[str, ...]]:
    imported = casme.read([root])
    (clip,) = imported.clips
    return clip, imported.notes


def _problems(root: Path) -> list[str]:
    with pytest.raises(BadInput) as caught:
        casme.read([root])
    return [str(problem) for problem in caught.value.problems]


def test_the_twin_comes_back_as_planted(tmp_path: Path) -> None:
    make_casme(tmp_path / "CASME", subjects=4, clips=16, seed=1, size=(32, 40), length=(5, 9))
    imported = casme.read([tmp_path / "CASME"])
    assert not schema.find_problems(imported.clips, "sheet")
    truth = read_truth(tmp_path / "CASME")
    assert [clip.id for clip in imported.clips] == list(truth)
    for clip, planted in zip(imported.clips, truth.values(), strict=True):
        assert (clip.onset, clip.apex, clip.offset) == (planted.onset, planted.apex, planted.offset)
        assert (clip.emotion, clip.action_units) == (planted.emotion, planted.action_units)
        assert (clip.dataset, clip.fps, clip.apex_source) == ("casme", 60.0, "annotated")
    said = "\n".join(imported.notes)
    for quirk in ("rows are called", "the apex lasts from", "OnsetF: frame", "OffsetF: frame"):
        assert quirk in said
    files = [path.stem.rpartition("-")[2] for path in (tmp_path / "CASME").rglob("*.jpg")]
    assert any(digits.startswith("0") for digits in files)
    assert any(len(digits) == 2 for digits in files)


def test_a_row_becomes_a_clip(root: Path) -> None:
    expected = Clip("casme", "casme/sub03", "EP05_2", "tense", 61, 70, 78, "annotated", "4", 60.0, "sub03/EP05_2")
    assert _only(root) == (expected, ())


@pytest.mark.parametrize("subject", [3, 3.0, "3", "03", "sub03", "Sub3"])
def test_subjects_in_every_spelling(root: Path, subject: object) -> None:
    _sheet(root, _row(subject=subject))
    assert _only(root)[0].subject == "casme/sub03"


@pytest.mark.parametrize("pattern", ["EP05_2-{:03}.jpg", "EP05_2-{}.jpg", "reg_EP05_2-{:03}.jpg"])
def test_whole_frames_and_crops_padded_or_not(tmp_path: Path, pattern: str) -> None:
    tree = "Cropped" if pattern.startswith("reg") else "CASME_raw_selected/CASME_raw_selected"
    _frames(tmp_path / tree / "sub03/EP05_2", range(61, 79), pattern)
    _sheet(tmp_path, _row())
    clip, notes = _only(tmp_path)
    assert (clip.onset, clip.apex, clip.offset) == (61, 70, 78)
    assert any("not face crops" in note for note in notes) == ("raw" in tree)


@pytest.mark.parametrize("place", ["Cropped/Section {}", "Section {}", "Section {}/Cropped"])
def test_the_two_sections_may_lie_apart(tmp_path: Path, place: str) -> None:
    _frames(tmp_path / place.format("A") / "sub03/EP05_2", range(61, 79))
    _frames(tmp_path / place.format("B") / "sub12/EP05_2", range(61, 79))
    _sheet(tmp_path, _row(), _row(subject=12))
    imported = casme.read([tmp_path])
    assert [clip.subject for clip in imported.clips] == ["casme/sub03", "casme/sub12"]
    for clip in imported.clips:
        assert imported.frame_root
        assert clip.frames
        assert (imported.frame_root / clip.frames / "reg_EP05_2-61.jpg").is_file()


def test_a_subject_in_both_sections_is_a_problem(tmp_path: Path) -> None:
    for section in "AB":
        _frames(tmp_path / f"Section {section}/sub03/EP05_2", range(61, 79))
    _sheet(tmp_path, _row())
    (problem,) = _problems(tmp_path)
    assert "are one subject" in problem


def test_of_a_plateau_the_first_frame_is_the_apex(root: Path) -> None:
    _sheet(root, _row((APEX_END, 73)))
    clip, (note,) = _only(root)
    assert (clip.apex, clip.apex_source) == (70, "annotated")
    assert "row 2, column ApexF2: the apex lasts from frame 70 to 73" in note


def test_clips_of_one_name_are_told_apart_by_their_onsets(root: Path) -> None:
    _frames(root / "Cropped/sub03/EP05_2", range(90, 111))
    first, second = _row(), _row((ONSET, 90), (APEX, 99), (OFFSET, 110))
    _sheet(root, first, second)
    imported = casme.read([root])
    assert [clip.name for clip in imported.clips] == ["EP05_2@61", "EP05_2@90"]
    assert {clip.frames for clip in imported.clips} == {"sub03/EP05_2"}
    assert sum("2 rows are called sub03/EP05_2" in note for note in imported.notes) == 2
    _sheet(root, second, first)
    assert [clip.name for clip in casme.read([root]).clips] == ["EP05_2@90", "EP05_2@61"]


def test_folders_may_have_the_second_index_that_the_sheet_dropped(root: Path) -> None:
    (root / "Cropped/sub03/EP05_2").rename(root / "Cropped/sub03/EP05_2_1")
    _frames(root / "Cropped/sub03/EP05_2_2", range(90, 111))
    _sheet(root, _row((ONSET, 90), (APEX, 99), (OFFSET, 110)), _row())
    imported = casme.read([root])
    assert [(clip.name, clip.frames) for clip in imported.clips] == [
        ("EP05_2@90", "sub03/EP05_2_2"),
        ("EP05_2@61", "sub03/EP05_2_1"),
    ]


def test_one_clip_twice_is_a_problem(root: Path) -> None:
    _sheet(root, _row(), _row())
    (problem,) = _problems(root)
    assert "row 3, column Filename: clip sub03/EP05_2@61 is in row 2 already" in problem


@pytest.mark.parametrize(
    "change",
    [
        (ONSET, 40),
        (ONSET, 66),
        (OFFSET, 98),
        (OFFSET, 74),
        (OFFSET, 18),
    ],
)
def test_the_folder_is_trusted_where_the_sheet_disagrees(root: Path, change: tuple[int, object]) -> None:
    _sheet(root, _row(change))
    clip, notes = _only(root)
    assert (clip.onset, clip.apex, clip.offset, clip.apex_source) == (61, 70, 78, "annotated")
    assert f"row 2, column {HEADER[change[0]]}: frame {change[1]}" in notes[0]


def test_the_folder_is_trusted_where_both_ends_and_the_apex_disagree(root: Path) -> None:
    _sheet(root, _row((ONSET, 56), (APEX, 58), (OFFSET, 77)), _row((NAME, "EP06_1"), (ONSET, 56), (OFFSET, 90)))
    _frames(root / "Cropped/sub03/EP06_1", range(61, 79))
    first, second = casme.read([root]).clips
    assert (first.onset, first.apex, first.offset, first.apex_source) == (61, 69, 77, "midpoint")
    assert (second.onset, second.apex, second.offset, second.apex_source) == (61, 70, 78, "annotated")


def test_a_folder_with_more_than_the_clip_does_not_change_it(root: Path) -> None:
    _frames(root / "Cropped/sub03/EP05_2", range(40, 100))
    assert _only(root)[0].onset == 61
    assert _only(root)[1] == ()


def test_a_folder_of_other_frames_is_a_problem(root: Path) -> None:
    _sheet(root, _row((ONSET, 300), (APEX, 310), (OFFSET, 320)))
    assert ["the folder has 61 to 78" in problem for problem in _problems(root)] == [True, True]


def test_all_problems_are_told_together(root: Path) -> None:
    rows = [
        _row(subject="x"),
        _row((NAME, "EP99")),
        _row((EMOTION, "tens"), subject=3),
        _row((ONSET, "?"), (NAME, "EP09_1"), subject=5),
        _row((NAME, "EP09_2"), subject=5),
    ]
    _sheet(root, *rows)
    where = f"{root / SHEET}, sheet Sheet1, row"
    expected = [
        f"{where} 2, column Subject: 'x' is not a subject",
        f"{where} 3, column Filename: no folder for clip 'EP99'",
        f"{where} 4, column Emotion: unknown emotion 'tens' (did you mean 'tense'?)",
        f"{where} 5, column Subject: no folder for subject sub05",
        f"{where} 5, column OnsetF: '?' is not a frame number",
    ]
    found = _problems(root)
    assert_told(found, expected)


def test_sheets_of_other_datasets_are_told_from_it(root: Path) -> None:
    _sheet(root, _row(), header=[str(name).replace("ApexF1", "Peak") for name in HEADER])
    assert "lacks ApexF1" in _problems(root)[0]
