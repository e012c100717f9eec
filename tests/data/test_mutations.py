"""Whatever is done to a source, an importer gives valid clips or says what is wrong; it never breaks."""

from __future__ import annotations

import datetime
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xlsxwriter
from contract import Source
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from promises import PROMISES
from promises.htnet_forms import FORMS, with_crops
from python_calamine import CalamineWorkbook

from mer_data import schema
from mer_data.formats import read_format
from mer_data.problems import BadInput
from mer_data.synthetic import PROJECT_TWINS

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
PIECES = st.sampled_from(
    ["", ",", ",,,", " ", "..", "/", "\\", "-", "0", "3", "9", "006", "sub01", "samm", '"', "\r", "\n", "\0", "é", "٣"]
)  # fmt: skip
TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
NAMES = st.sampled_from(
    ["é ", "..", "-_", "6_006_1_2", "s1_", "006_006_1_2", "s01_s٣_ne_01", "sub01_EP02_01f"]
) | st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12)
CHANGES = st.sampled_from(["delete", "empty", "cut", "text", "folder"]) | NAMES
NUMBER = st.integers(0, 400)
SUFFIXES = (".csv", ".txt", ".mat", ".npy")


def quiet(examples: int) -> settings:
    """Settings for so many examples; ``MER_MUTATIONS`` in the environment says how many times as many."""
    examples, checks = examples * int(os.environ.get("MER_MUTATIONS", "1")), list(HealthCheck)
    return settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=checks, database=None)


@pytest.fixture(scope="module", params=list(PROMISES))
def twin(request: pytest.FixtureRequest, twin_of: Callable[[str], Path]) -> tuple[str, Path]:
    return request.param, twin_of(request.param)


def valid_or_refused(format_: str, source: Path) -> None:
    try:
        imported = read_format(format_, [source])
    except BadInput as refusal:
        bad = refusal
    else:
        schema.to_table(imported.clips)
        for feature in imported.features:
            assert feature.arrays.keys() == {clip.id for clip in imported.clips}
            assert all(np.isfinite(feature.arrays[clip.id]).all() for clip in imported.clips)
        return
    assert bad.problems
    assert all(problem.where and problem.what for problem in bad.problems)
    str(bad).encode()


def copy_of(twin: Path, name: str = "copy") -> Path:
    """A copy with hard links: a mutation replaces files, it never writes into them."""
    copy = twin.parent / name
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(twin, copy, copy_function=os.link)
    return copy


@pytest.fixture(scope="module")
def spoilt(twin: tuple[str, Path]) -> Path:
    """A copy whose first workbook is written anew by each example."""
    return copy_of(twin[1], "spoilt")


def rewrite(original: Path, path: Path, changes: list[tuple[int, int, int, Any]]) -> None:
    """Write a workbook anew, with some cells changed: sheet, row, column (each modulo what is there), value."""
    workbook = CalamineWorkbook.from_path(str(original))
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
                    if isinstance(value, str) and len(value) <= 32767:
                        sheet_.write_string(i, j, value)
                    elif isinstance(value, int | float | bool):
                        sheet_.write(i, j, value)


@quiet(8)
@given(changes=st.lists(st.tuples(NUMBER, NUMBER, NUMBER, CELLS), min_size=1, max_size=6))
def test_mutated_sheets(twin: tuple[str, Path], spoilt: Path, changes: list[tuple[int, int, int, Any]]) -> None:
    format_, source = twin
    books = sorted(source.rglob("*.xlsx"))
    if not books:
        pytest.skip(f"{format_} has no workbook")
    rewrite(books[0], spoilt / books[0].relative_to(source), changes)
    valid_or_refused(format_, spoilt)


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
        elif change == "folder":
            path.mkdir()
        elif change != "delete" and not path.with_name(f"{change}{path.suffix}").exists():
            path.with_name(f"{change}{path.suffix}").write_bytes(data)


@quiet(12)
@given(changes=st.lists(st.tuples(st.integers(0, 10**6), CHANGES), min_size=1, max_size=4))
def test_mutated_trees(twin: tuple[str, Path], changes: list[tuple[int, str]]) -> None:
    copy = copy_of(twin[1])
    mutate_tree(copy, changes)
    valid_or_refused(twin[0], copy)


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes with one to four pieces of them replaced, and perhaps cut in the middle of a letter."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        piece = draw(PIECES | TEXTS)
        data = data[:start] + piece.encode() + data[end:]
    return data[: len(data) - draw(st.sampled_from([0, 0, 0, 1, 5]))]


def check_bytes(format_: str, root: Path, examples: int) -> None:
    """Texts and arrays are spoilt, those of each kind as often."""
    files = [path for path in sorted(root.rglob("*.*")) if path.suffix in SUFFIXES]
    kinds, copy = sorted({path.suffix for path in files}), copy_of(root)

    @quiet(examples)
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        kind = data.draw(st.sampled_from(kinds))
        path = data.draw(st.sampled_from([path for path in files if path.suffix == kind]))
        spoilt, place = data.draw(mutated(path.read_bytes())), copy / path.relative_to(root)
        place.unlink()
        place.write_bytes(spoilt)
        try:
            valid_or_refused(format_, copy)
        finally:
            place.unlink()
            os.link(path, place)

    check()


@pytest.mark.parametrize("format_", PROJECT_TWINS)
def test_mutated_texts_and_arrays(format_: str, twin_of: Callable[[str], Path]) -> None:
    check_bytes(format_, twin_of(format_), 60)


@pytest.mark.parametrize("form", FORMS)
def test_mutated_forms_of_htnet(form: str, twin_of: Callable[[str], Path], tmp_path: Path) -> None:
    source = Source(PROMISES["htnet"], tmp_path, twin_of)
    FORMS[form][0](source)
    if form == "flat":
        with_crops(source)
    if form != "tree":
        check_bytes("htnet", source.root, 50)

    @quiet(30)
    @given(changes=st.lists(st.tuples(st.integers(0, 10**6), NAMES), min_size=1, max_size=3))
    def check(changes: list[tuple[int, str]]) -> None:
        copy = copy_of(source.root)
        mutate_tree(copy, changes)
        valid_or_refused("htnet", copy)

    check()
