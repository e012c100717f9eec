"""Reading sheets: columns by header, tolerance for layout, one clear message for what is unreadable."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import xlsxwriter

from mer_data.problems import BadInput
from mer_data.sheets import read_bare, read_sheet

COLUMNS = {"subject": ("Subject",), "onset": ("OnsetFrame", "Onset")}


def _xlsx(path: Path, *sheets: Sequence[Sequence[object]]) -> Path:
    workbook = xlsxwriter.Workbook(path)
    for rows in sheets:
        sheet = workbook.add_worksheet()
        for number, cells in enumerate(rows):
            sheet.write_row(number, 0, cells)
    workbook.close()
    return path


@pytest.mark.parametrize("header", ["OnsetFrame", "Onset Frame", "onset_frame", " ONSETFRAME ", "onset"])
def test_headers_are_found_in_any_spelling(tmp_path: Path, header: str) -> None:
    sheet = read_sheet(_xlsx(tmp_path / "a.xlsx", [["Subject", "", header], ["01", "", 7]]), COLUMNS)
    assert [dict(row.cells) for row in sheet.rows] == [{"subject": "01", "onset": "7"}]


def test_the_preferred_header_wins(tmp_path: Path) -> None:
    path = _xlsx(tmp_path / "a.xlsx", [["Onset", "Subject", "OnsetFrame"], [1, "s", 2]])
    assert read_sheet(path, COLUMNS).rows[0]["onset"] == "2"


def test_text_above_the_header_and_empty_rows_keep_row_numbers(tmp_path: Path) -> None:
    text = [[f"line {number}", "about Subject numbers"] for number in range(13)]
    rows = [*text, ["Subject", "Onset"], ["006", 1], [], ["", " "], ["007", 2]]
    sheet = read_sheet(_xlsx(tmp_path / "samm.xlsx", rows), COLUMNS)
    assert [(row.number, row["subject"]) for row in sheet.rows] == [(15, "006"), (18, "007")]
    assert sheet.rows[0].at("onset") == f"{tmp_path / 'samm.xlsx'}, row 15, column Onset"


def test_leading_empty_rows_and_columns_count(tmp_path: Path) -> None:
    path = _xlsx(tmp_path / "a.xlsx", [[], [], ["", "", "Subject", "Onset"], ["", "", "01", 5]])
    assert [(row.number, row["onset"]) for row in read_sheet(path, COLUMNS).rows] == [(4, "5")]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_texts_with_any_separator(tmp_path: Path, mark: str) -> None:
    rows = [["Subject", "AU", "Onset"], ["01", '"4,7;9"', "7"], ["02", "", "8"], ["03", "12", ""]]
    (tmp_path / "a.csv").write_text("".join(f"{mark.join(cells)}\n" for cells in rows), encoding="utf-8-sig")
    found = [(row["subject"], row["onset"]) for row in read_sheet(tmp_path / "a.csv", COLUMNS).rows]
    assert found == [("01", "7"), ("02", "8"), ("03", "")]


def test_rows_with_nothing_in_the_columns_that_were_asked_for_are_passed_over(tmp_path: Path) -> None:
    rows = [["Subject", "Onset", "AU", "Remark"], ["01", 7, 4, ""], ["", "", "", "all by hand"], ["", "", 12, ""]]
    path = _xlsx(tmp_path / "a.xlsx", rows)
    assert [row.number for row in read_sheet(path, COLUMNS).rows] == [2]
    assert [row.number for row in read_sheet(path, COLUMNS, {"units": ("AU",)}).rows] == [2, 4]


@pytest.mark.parametrize(("third", "found"), [("Onset", "8"), ("", "8"), ("Second", "8"), ("Last", "")])
def test_a_column_may_be_told_by_its_neighbour(tmp_path: Path, third: str, found: str) -> None:
    path = _xlsx(tmp_path / "a.xlsx", [["Subject", "Onset", third], ["01", 7, 8]])
    (row,) = read_sheet(path, COLUMNS, {"last": ("Last",)}, {"second": ("onset", 1), "third": ("onset", 9)}).rows
    assert (row["onset"], row["second"], row["third"]) == ("7", found, "")
    assert row.at("second").endswith(f"column {third or 'C'}" if found else "column second")


def test_numbers_become_text_as_they_were_typed(tmp_path: Path) -> None:
    path = _xlsx(tmp_path / "a.xlsx", [["Subject", "Onset"], [1.0, 2.5], ["01", "1.0"], [True, None]])
    found = [(row["subject"], row["onset"]) for row in read_sheet(path, COLUMNS).rows]
    assert found == [("1", "2.5"), ("01", "1.0"), ("True", "")]


def test_optional_columns_are_empty_where_the_sheet_lacks_them(tmp_path: Path) -> None:
    path = _xlsx(tmp_path / "a.xlsx", [["Subject", "Onset", "AU"], ["01", 5, 4]])
    row = read_sheet(path, COLUMNS, {"units": ("Action Units", "AU"), "fps": ("Fps",)}).rows[0]
    assert (row["units"], row["fps"]) == ("4", "")


def test_the_worksheet_with_the_columns_is_used(tmp_path: Path) -> None:
    path = _xlsx(tmp_path / "a.xlsx", [], [["something", "else"]], [["Subject", "Onset"], ["01", 5]])
    assert read_sheet(path, COLUMNS).rows[0].at() == f"{path}, sheet Sheet3, row 2"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_csv(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes('Subject,,Onset Frame\r\n\r\nmüller,,"7"\r\nshort\r\n'.encode(encoding))
    found = [(row.number, row["subject"], row["onset"]) for row in read_sheet(path, COLUMNS).rows]
    assert found == [(3, "müller", "7"), (4, "short", "")]


def test_an_xls_that_is_an_xlsx_inside_is_read(tmp_path: Path) -> None:
    path = _xlsx(tmp_path / "a.xlsx", [["Subject", "Onset"], ["01", 5]]).rename(tmp_path / "label.xls")
    assert len(read_sheet(path, COLUMNS).rows) == 1


def test_missing_columns_are_named(tmp_path: Path) -> None:
    path = _xlsx(tmp_path / "a.xlsx", [["Subject", "Emotion"], ["01", "happy"]])
    with pytest.raises(BadInput, match=r"a\.xlsx: no row has the columns Subject, OnsetFrame \(.*lacks OnsetFrame"):
        read_sheet(path, COLUMNS)


def test_missing_and_doubled_columns_are_named_together_with_what_is_near(tmp_path: Path) -> None:
    path = _xlsx(tmp_path / "a.xlsx", [["about"], ["Subject", "subject", "OnsetFrames"], ["01", "01", 1]])
    with pytest.raises(BadInput, match=r"row 2, which lacks OnsetFrame or Onset; did you mean 'OnsetFrames'") as caught:
        read_sheet(path, COLUMNS)
    assert "row 2: more than one column is called Subject" in str(caught.value)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    path = _xlsx(tmp_path / "a.xlsx", [["Subject", "Onset Frame", "OnsetFrame"], ["01", 1, 2]])
    with pytest.raises(BadInput, match=r"row 1: more than one column"):
        read_sheet(path, COLUMNS)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("page.xlsx", b"<html><table><tr><td>Subject</td></tr></table></html>", "save it again"),
        ("cut.xlsx", b"PK\x03\x04 and no more", "save it again"),
        ("cut.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "save it again"),
        ("latin.csv", "Subject,Onset\nmüller,1\n".encode("latin-1"), "UTF-8"),
        ("zero.xlsx", b"", "empty file"),
        ("zero.csv", b"", "empty file"),
        ("blank.csv", b"\n,,\n", "holds no rows"),
        ("header.csv", b"\nSubject,Onset\n,,,\n", "no rows below its header in row 2"),
        ("quote.csv", b'Subject,Onset\n01,1\n"02,2\n', "row 3"),
        ("nul.csv", b"Subject,Onset\n01,1\0\n", "row 2: holds NUL"),
        ("notes.txt", b"Subject,Onset\n", "expected .csv, .xls, .xlsx"),
    ],
)
def test_what_is_no_sheet_gives_one_problem(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        read_sheet(path, COLUMNS)
    assert len(caught.value.problems) == 1
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


def test_rows_with_more_cells_than_the_header_are_named_together(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("about, this, sheet, and, more\nSubject,Onset\n01,1,,\n02,2,3\n03,4\n05,6,,7\n")
    with pytest.raises(BadInput) as caught:
        read_sheet(path, COLUMNS)
    assert [problem.where for problem in caught.value.problems] == [f"{path}, row 4", f"{path}, row 6"]
    assert "has 4 cells, the header has 2" in str(caught.value)


def test_bare_worksheets_keep_their_row_numbers_and_fill_short_rows(tmp_path: Path) -> None:
    _xlsx(tmp_path / "a.xlsx", [["x", 1.0], [], ["y"], ["", "", "a remark beside"]], [])
    first, second = read_bare(tmp_path / "a.xlsx")
    assert [(row.number, dict(row.cells)) for row in first.columns(("a", "b"))] == [
        (1, {"a": "x", "b": "1"}),
        (3, {"a": "y", "b": ""}),
    ]
    assert first.columns(("a", "b"))[1].at("b") == f"{tmp_path / 'a.xlsx'}, sheet Sheet1, row 3, column B"
    assert (second.name, second.rows) == ("Sheet2", ())
    (tmp_path / "b.csv").write_text("x,\0\n")
    with pytest.raises(BadInput, match="row 1: holds NUL characters"):
        read_bare(tmp_path / "b.csv")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"gone\.xlsx: no such file"):
        read_sheet(tmp_path / "gone.xlsx", COLUMNS)


def test_a_hundred_thousand_rows_take_seconds(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("Subject,,Onset\n" + "".join(f"{n % 50},,{n}\n" for n in range(100_000)))
    start = time.perf_counter()
    assert len(read_sheet(path, COLUMNS).rows) == 100_000
    assert time.perf_counter() - start < 5
