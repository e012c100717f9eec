"""The CAS(ME)^2 importer: its twins come back as planted, and every quirk of the real files is dealt with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from by_hand import assert_told

from mer_data import schema
from mer_data.datasets import casme_sq
from mer_data.datasets.casme_sq import WORKBOOK
from mer_data.problems import BadInput
from mer_data.schema import Clip
from mer_data.sheets import read_bare
from mer_data.synthetic.casme_sq import BLINKS, FOLDERS, STIMULI, make_casme_sq, make_casme_sq_videos
from mer_data.synthetic.dataset_twin import DatasetTwin
from mer_data.synthetic.twin import read_truth
from mer_data.synthetic.workbook import write_worksheets

NAME, ONSET, APEX, OFFSET, UNITS, EMOTION, TYPE = range(1, 8)
VIDEO = "16_0502funnycat"


def _row(*changes: tuple[int, object], subject: object = 2) -> list[object]:
    cells: list[object] = [subject, "happy1_1", 323, 329, 334, "1+2", "surprise", "micro-expression", "happiness"]
    for position, value in changes:
        cells[position] = value
    return cells


def _frames(folder: Path, numbers: Iterable[int] = range(320, 341), pattern: str = "img{}.jpg") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / pattern.format(number)).touch()


def _workbook(root: Path, *rows: Sequence[object], code: object = 502, first: str = "CASFEcode_final") -> None:
    root.mkdir(parents=True, exist_ok=True)
    people: list[list[object]] = [["p", f"s{folder}", number] for number, folder in enumerate(FOLDERS[:22], start=1)]
    codes: list[list[object]] = [["0101", "disgust1"], [code, "happy1"]]
    write_worksheets(root / WORKBOOK, {first: rows, "naming rule1": people, "naming rule2": codes})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One good row and the video it is in."""
    _frames(tmp_path / "CASME_sq/rawpic/s16" / VIDEO)
    _workbook(tmp_path / "CASME_sq", _row())
    return tmp_path / "CASME_sq"


def _only(root: Path) -> tuple[Clip, tuple[str, ...]]:
    imported = casme_sq.read([root])
    (clip,) = imported.clips
    return clip, imported.notes[1:]


def _problems(root: Path) -> list[str]:
    with pytest.raises(BadInput) as caught:
        casme_sq.read([root])
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("make", [make_casme_sq, make_casme_sq_videos], ids=["samples", "videos"])
def test_the_twin_comes_back_as_planted(tmp_path: Path, make: DatasetTwin) -> None:
    dest = tmp_path / "CAS(ME)^2"
    make(dest, subjects=4, clips=12, seed=1, size=(32, 40), length=(5, 9))
    imported = casme_sq.read([dest])
    assert not schema.find_problems(imported.clips, "workbook")
    truth = read_truth(dest)
    assert [clip.id for clip in imported.clips] == list(truth)
    for clip, planted in zip(imported.clips, truth.values(), strict=True):
        assert (clip.onset, clip.apex, clip.offset) == (planted.onset, planted.apex, planted.offset)
        assert (clip.emotion, clip.action_units) == (planted.emotion, planted.action_units)
        assert clip.apex_source == ("annotated" if planted.apex_in_sheet else "midpoint")
        assert clip.fps == 30
    assert "12 macro-expressions are left out, 12 micro-expressions are read" in imported.notes[0]
    assert any("no offset" in note for note in imported.notes)
    assert {clip.subject for clip in imported.clips} == {f"casme_sq/s{number}" for number in (15, 16, 19, 20)}
    assert (dest / BLINKS).is_file()


def test_the_twin_plants_what_is_in_real_copies() -> None:
    assert {number for number in range(15, 41) if number not in FOLDERS} == {17, 18, 28, 39}
    assert [FOLDERS[number - 1] for number in (2, 8, 9, 11, 14, 15, 18, 20, 21)] == [
        16, 24, 25, 27, 31, 32, 35, 37, 38,
    ]  # fmt: skip
    assert all(code.startswith("0") for code, _ in STIMULI.values())


def test_a_row_becomes_a_clip(root: Path) -> None:
    expected = Clip(
        "casme_sq", "casme_sq/s16", "happy1_1", "surprise", 323, 329, 334, "annotated", "1+2", 30.0, f"s16/{VIDEO}"
    )
    assert _only(root) == (expected, ())


@pytest.mark.parametrize("code", ["0502", 502, 502.0, "502"])
def test_codes_may_have_lost_their_zeros(root: Path, code: object) -> None:
    _workbook(root, _row(), code=code)
    assert _only(root)[0].frames == f"s16/{VIDEO}"


@pytest.mark.parametrize("pattern", ["img{}.jpg", "img{:05}.jpg", "img_{}.jpg"])
@pytest.mark.parametrize("tree", ["rawpic", "longVideoFaceCropped", "rawpic/rawpic"])
def test_videos_in_every_copy(tmp_path: Path, tree: str, pattern: str) -> None:
    _frames(tmp_path / tree / "s16" / VIDEO, pattern=pattern)
    _frames(tmp_path / tree / "s16" / "16_0101oldsoup")
    _workbook(tmp_path, _row())
    assert _only(tmp_path)[0].frames == f"s16/{VIDEO}"


@pytest.mark.parametrize("folder", ["cropped/16", "selectedpic/s16", "Cropped/Cropped/016"])
def test_cut_samples(tmp_path: Path, folder: str) -> None:
    _frames(tmp_path / folder / "happy1_1", range(323, 335))
    _workbook(tmp_path, _row())
    clip, notes = _only(tmp_path)
    assert (clip.subject, clip.frames) == ("casme_sq/s16", f"{Path(folder).name}/happy1_1")
    assert notes == ()


def test_cut_samples_may_be_named_apart(root: Path, tmp_path: Path) -> None:
    _frames(tmp_path / "casme^2_cropped/16/happy1_1", range(323, 335))
    imported = casme_sq.read([root / WORKBOOK, tmp_path / "casme^2_cropped"])
    assert imported.clips[0].frames == "16/happy1_1"


def test_bare_worksheets_keep_their_row_numbers_and_fill_short_rows(tmp_path: Path) -> None:
    write_worksheets(tmp_path / "a.xlsx", {"one": [["x", 1.0], [], ["y"], ["", "", "a remark beside"]], "two": []})
    one, two = read_bare(tmp_path / "a.xlsx")
    assert [(row.number, dict(row.cells)) for row in one.columns(("a", "b"))] == [
        (1, {"a": "x", "b": "1"}),
        (3, {"a": "y", "b": ""}),
    ]
    assert one.columns(("a", "b"))[1].at("b") == f"{tmp_path / 'a.xlsx'}, sheet one, row 3, column B"
    assert (two.name, two.rows) == ("two", ())
    (tmp_path / "b.csv").write_text("x,\0\n")
    with pytest.raises(BadInput, match="row 1: holds NUL characters"):
        read_bare(tmp_path / "b.csv")


def test_the_clip_name_does_not_tell_the_emotion(root: Path) -> None:
    _workbook(root, _row((EMOTION, "negative")))
    assert _only(root)[0].emotion == "negative"


@pytest.mark.parametrize("word", ["micro-expression", "Micro-expression"])
def test_macro_expressions_are_left_out_and_counted(root: Path, word: str) -> None:
    macro = _row((NAME, "anger1_1"), (TYPE, "macro-expression"), subject=3)
    _workbook(root, macro, _row((TYPE, word)), macro)
    imported = casme_sq.read([root])
    assert [clip.name for clip in imported.clips] == ["happy1_1"]
    assert imported.notes[0].endswith("2 macro-expressions are left out, 1 micro-expressions are read")


def test_remarks_beside_the_tables_are_passed_over(root: Path) -> None:
    _workbook(root, _row(), [*[""] * 9, "1: see the first worksheet"])
    assert [clip.name for clip in casme_sq.read([root]).clips] == ["happy1_1"]


def test_an_apex_of_zero_is_missing(root: Path) -> None:
    _workbook(root, _row((APEX, 0)))
    clip, notes = _only(root)
    assert (clip.apex, clip.apex_source) == (328, "midpoint")
    assert "row 1, column D: no apex" in notes[0]


def test_an_offset_of_zero_is_missing(root: Path) -> None:
    _workbook(root, _row((OFFSET, 0)))
    clip, notes = _only(root)
    assert (clip.apex, clip.offset) == (329, 335)
    assert "row 1, column E: no offset" in notes[0]


def test_several_clips_of_one_video(root: Path) -> None:
    _frames(root / "rawpic/s16" / VIDEO, range(300, 500))
    _workbook(root, _row(), _row((NAME, "happy1_2"), (ONSET, 400), (APEX, 404), (OFFSET, 409)))
    assert [clip.onset for clip in casme_sq.read([root]).clips] == [323, 400]


@pytest.mark.parametrize("name", ["CAS(ME)^2code_final(Updated).xlsx", "code_final.xlsx"])
def test_workbooks_of_any_name(root: Path, name: str) -> None:
    _workbook(root, _row(), first="CASMEcode_final")
    (root / WORKBOOK).rename(root / name)
    write_worksheets(root / BLINKS, {"blink": [[1, "happy1_1", 30, 33, 36]]})
    assert casme_sq.read([root]).source == root / name


def test_two_workbooks_are_not_chosen_from(root: Path) -> None:
    (root / "copy.xlsx").write_bytes((root / WORKBOOK).read_bytes())
    (problem,) = _problems(root)
    assert "2 workbooks list expressions" in problem


def test_no_workbook(root: Path) -> None:
    (root / WORKBOOK).unlink()
    write_worksheets(root / BLINKS, {"blink": [[1, "happy1_1", 30, 33, 36]]})
    (problem,) = _problems(root)
    assert problem.startswith(f"{root}: no workbook lists expressions")


def test_worksheets_that_are_missing_are_told_together(root: Path) -> None:
    write_worksheets(root / WORKBOOK, {"CASFEcode_final": [_row()], "other": [["x"]]})
    assert _problems(root) == [
        f"{root / WORKBOOK}: no worksheet is called 'naming rule1' (it has CASFEcode_final, other)",
        f"{root / WORKBOOK}: no worksheet is called 'naming rule2' (it has CASFEcode_final, other)",
    ]
    write_worksheets(root / WORKBOOK, {"naming rule1": [["p", "s15", 1]]})
    with pytest.raises(BadInput, match="no worksheet has micro-expression or macro-expression in column H"):
        casme_sq.read([root / WORKBOOK, root])


def test_all_problems_are_told_together(root: Path) -> None:
    _frames(root / "rawpic/s24/24_0502funnycat")
    _frames(root / "rawpic/s24/24_0502funnycat2")
    _workbook(
        root,
        _row(),
        _row(subject=30),
        _row(subject="two"),
        _row((NAME, "happi1_1")),
        _row((NAME, "disgust1_1")),
        _row(subject=8),
        _row(subject=9),
        _row((NAME, "happy1_2"), (ONSET, "x"), (EMOTION, "surprize")),
        _row((TYPE, "mikro-expression")),
        _row(),
    )
    where = f"{root / WORKBOOK}, sheet CASFEcode_final, row"
    expected = [
        f"{where} 9, column H: 'mikro-expression' is not a type of expression (did you mean 'micro-expression'?)",
        f"{where} 2, column A: '30' is not in naming rule1",
        f"{where} 3, column A: 'two' is not in naming rule1",
        f"{where} 4, column B: video 'happi1' of 'happi1_1' is not in naming rule2 (did you mean 'happy1'?)",
        f"{where} 5, column B: 0 folders for clip 'disgust1_1' with code 0101",
        f"{where} 6, column B: 2 folders for clip 'happy1_1' with code 0502",
        f"{where} 7, column A: no folder for subject s25",
        f"{where} 8, column G: unknown emotion 'surprize'",
        f"{where} 8, column C: 'x' is not a frame number",
        f"{where} 10, column B: clip s16/happy1_1 is in row 1 already",
    ]
    found = _problems(root)
    assert_told(found, expected)
