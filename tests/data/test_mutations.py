"""Whatever is done to a sheet or a tree, an importer gives valid clips or says what is wrong; it never breaks."""

import datetime
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import valid_or_refused
from python_calamine import CalamineWorkbook

from mer_data.formats import read_format
from mer_data.synthetic import PROJECT_TWINS, TWINS

# What people, spreadsheets and editors leave in cells.
CELLS = st.one_of(
    st.sampled_from(
        ["", " ", "/", "\\", "-1", "0", "1", "1e9", "99999999999999999999", "5" * 5000, "nan", "ＡＰＥＸ", "001.0",
         "..", "../..", "sub01", "s1", "Others", "happiness", None, True, -1, 0, 3, 3.5, 1e300,
         datetime.date(2014, 5, 8)]
    ),
    st.text(max_size=12),
    st.integers(-5, 500),
)  # fmt: skip
TREE = st.sampled_from(["delete", "empty", "cut", "rename", "text", "folder"])


@pytest.fixture(scope="module", params=list(TWINS))
def twin(request: pytest.FixtureRequest, twin_of: Callable[[str], Path]) -> tuple[str, Path]:
    return request.param, twin_of(request.param)


def check(format_: str, source: Path) -> None:
    valid_or_refused(lambda: read_format(format_, [source]))


def copy_of(twin: Path) -> Path:
    """A copy with hard links: a mutation replaces files, it never writes into them."""
    copy = twin.parent / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(twin, copy, copy_function=os.link)
    return copy


def rewrite(path: Path, changes: list[tuple[int, int, int, Any]]) -> None:
    """Write a workbook anew, with some cells changed: sheet, row, column (each modulo what is there), value."""
    workbook = CalamineWorkbook.from_path(str(path))
    sheets = {name: workbook.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in workbook.sheet_names}
    filled = [rows for rows in sheets.values() if rows and rows[0]]
    for sheet, row, column, value in changes:
        rows = filled[sheet % len(filled)]
        cells = rows[row % len(rows)]
        cells[column % len(cells)] = value
    path.unlink()
    with xlsxwriter.Workbook(str(path), {"nan_inf_to_errors": True}) as book:
        for name, rows in sheets.items():
            sheet_ = book.add_worksheet(name)
            for i, cells in enumerate(rows):
                for j, value in enumerate(cells):
                    if isinstance(value, str | int | float | bool) and not (
                        isinstance(value, str) and len(value) > 32767
                    ):
                        sheet_.write(i, j, value) if not isinstance(value, str) else sheet_.write_string(i, j, value)


QUIET = settings(
    max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)
NUMBER = st.integers(0, 400)


@QUIET
@given(changes=st.lists(st.tuples(NUMBER, NUMBER, NUMBER, CELLS), min_size=1, max_size=6))
def test_mutated_sheets(twin: tuple[str, Path], changes: list[tuple[int, int, int, Any]]) -> None:
    format_, source = twin
    books = sorted(source.rglob("*.xlsx"))
    if not books:
        pytest.skip(f"{format_} has no workbook")
    copy = copy_of(source)
    rewrite(copy / books[0].relative_to(source), changes)
    check(format_, copy)


@QUIET
@given(changes=st.lists(st.tuples(st.integers(0, 10**6), TREE), min_size=1, max_size=4))
def test_mutated_trees(twin: tuple[str, Path], changes: list[tuple[int, str]]) -> None:
    format_, source = twin
    copy = copy_of(source)
    mutate_tree(copy, changes)
    check(format_, copy)


@pytest.mark.parametrize("format_", PROJECT_TWINS)
def test_mutated_trees_of_projects(format_: str, twin_of: Callable[[str], Path]) -> None:
    @QUIET
    @given(changes=st.lists(st.tuples(st.integers(0, 10**6), TREE), min_size=1, max_size=4))
    def mutated(changes: list[tuple[int, str]]) -> None:
        copy = copy_of(twin_of(format_))
        mutate_tree(copy, changes)
        check(format_, copy)

    mutated()


def mutate_tree(root: Path, changes: list[tuple[int, str]]) -> None:
    for index, change in changes:
        files = sorted(path for path in root.rglob("*") if path.is_file())
        if not files:
            return
        path = files[index % len(files)]
        data = path.read_bytes()
        path.unlink()
        if change in ("empty", "cut", "text"):
            path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "text": b"not what it says"}[change])
        elif change == "rename":
            path.with_name(f"é {path.name}").write_bytes(data)
        elif change == "folder":
            path.mkdir()
