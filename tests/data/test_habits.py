"""What systems, archives and people do to a dataset on its way changes nothing in what is imported."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import xlsxwriter
from python_calamine import CalamineWorkbook

from mer_data.formats import read_format
from mer_data.imported import Imported
from mer_data.synthetic import PROJECT_TWINS, TRUTH, TWINS

IMAGES = (".bmp", ".jpg", ".png")
# SMIC has no sheet, and CAS(ME)^2 a workbook of three worksheets without headers. Lists of other projects name files
# and folders as they are, so those tests are for the datasets alone.
WITH_HEADERS = [name for name in TWINS if name not in ("smic", "smic_vis", "smic_nir", "casme_sq")]
# What is read must lie in the folder that is given, or in a tree in it that may be a link; DFME has three trees.
LINKED = [name for name in TWINS if name != "dfme"]


@pytest.fixture(params=[*TWINS, *PROJECT_TWINS])
def twin(request: pytest.FixtureRequest, twin_of: Callable[[str], Path]) -> tuple[str, Path]:
    return request.param, twin_of(request.param)


@pytest.fixture
def root(twin: tuple[str, Path], tmp_path: Path) -> Path:
    """A copy with hard links: a test renames and adds files, it never writes into them."""
    return Path(shutil.copytree(twin[1], tmp_path / "data", copy_function=os.link))


def same(format_: str, expected: Path, *sources: Path) -> Imported:
    """Both give the same clips and the same arrays of features."""
    one, other = _untouched(format_, expected), read_format(format_, list(sources))
    # The folders' names may be other ones.
    assert [replace(clip, frames=None) for clip in other.clips] == [replace(clip, frames=None) for clip in one.clips]
    for feature, expected_feature in zip(other.features, one.features, strict=True):
        assert feature.spec.key() == expected_feature.spec.key()
        np.testing.assert_equal(dict(feature.arrays), dict(expected_feature.arrays))
    return other


@cache
def _untouched(format_: str, twin: Path) -> Imported:
    return read_format(format_, [twin])


def folders(root: Path) -> Iterator[Path]:
    yield root
    yield from sorted(path for path in root.rglob("*") if path.is_dir())


def sheets(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.suffix in (".xlsx", ".xls", ".csv"))


def test_what_operating_systems_and_programs_leave_behind(twin: tuple[str, Path], root: Path) -> None:
    for folder in list(folders(root)):
        for name in (".DS_Store", "Thumbs.db", "desktop.ini", "ehthumbs.db", "readme.txt"):
            (folder / name).unlink(missing_ok=True)  # a link to a file of the twin, which others read
            (folder / name).write_bytes(b"anything")
        first = next(path for path in sorted(folder.iterdir()))
        (folder / f"._{first.name}").write_bytes(b"\0\5\26\7")
        for path in [path for path in folder.iterdir() if path.suffix in IMAGES][:1]:
            (folder / f"._{path.name}").write_bytes(b"\0\5\26\7")
        (folder / ".ipynb_checkpoints").mkdir()
    for sheet in sheets(root):
        sheet.with_name(f"~${sheet.name}").write_bytes(b"somebody has it open")
        sheet.with_name(f"._{sheet.name}").write_bytes(b"\0\5\26\7")
        sheet.with_name(f".~lock.{sheet.name}#").write_bytes(b"somebody")
    # The archiver of macOS adds a tree of its own, with a file for every file.
    for path in [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".")]:
        copy = root / "__MACOSX" / path.relative_to(root).parent / f"._{path.name}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(b"\0\5\26\7")
    same(twin[0], twin[1], root)


def test_an_archive_that_unpacks_into_a_folder_of_its_own_name(twin: tuple[str, Path], root: Path) -> None:
    (root / TRUTH).unlink()
    root.rename(root.with_name("inner"))
    root.mkdir()
    root.with_name("inner").rename(root / root.name)
    (root / "__MACOSX").mkdir()
    (root / ".DS_Store").touch()
    same(twin[0], twin[1], root)


@pytest.mark.parametrize("twin", list(TWINS), indirect=True)
def test_images_with_suffixes_in_capitals(twin: tuple[str, Path], root: Path) -> None:
    for path in [path for path in root.rglob("*") if path.suffix in IMAGES]:
        path.rename(path.with_suffix(path.suffix.upper()))
    same(twin[0], twin[1], root)


@pytest.mark.parametrize("twin", list(TWINS), indirect=True)
@pytest.mark.parametrize("change", [str.upper, str.lower], ids=["upper", "lower"])
def test_folders_in_another_case(twin: tuple[str, Path], root: Path, change: Callable[[str], str]) -> None:
    for folder in sorted(folders(root), reverse=True)[:-1]:
        if change(folder.name) != folder.name:
            folder.rename(folder.with_name(change(folder.name)))
    same(twin[0], twin[1], root)


@pytest.mark.parametrize("twin", list(TWINS), indirect=True)
def test_top_folders_with_blanks_for_underscores(twin: tuple[str, Path], root: Path) -> None:
    for folder in [path for path in root.iterdir() if path.is_dir()]:
        folder.rename(folder.with_name(f"{folder.name.replace('_', ' ')} "))
    same(twin[0], twin[1], root)


def _as_shown(cell: object) -> object:
    return int(cell) if isinstance(cell, float) and cell.is_integer() else cell


def rewritten(sheet: Path, delimiter: str, mark: str) -> None:
    """Save the first worksheet as text, as spreadsheet programs do."""
    workbook = CalamineWorkbook.from_path(str(sheet))
    rows = workbook.get_sheet_by_index(0).to_python(skip_empty_area=False)
    with sheet.with_suffix(".csv").open("w", encoding=f"utf-8{mark}", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([_as_shown(cell) for cell in cells] for cells in rows)
    sheet.unlink()


@pytest.mark.parametrize("twin", WITH_HEADERS, indirect=True)
@pytest.mark.parametrize(
    ("delimiter", "mark"), [(",", ""), (";", "-sig"), ("\t", "")], ids=["comma", "semicolon", "tab"]
)
def test_sheets_saved_as_text(twin: tuple[str, Path], root: Path, delimiter: str, mark: str) -> None:
    books = [path for path in sheets(root) if path.suffix != ".csv"]
    for book in books:
        if book.name != "CAS(ME)3_part_A_v2.xls":
            rewritten(book, delimiter, mark)
    same(twin[0], twin[1], root)


@pytest.mark.parametrize("twin", [*WITH_HEADERS, "casme_sq"], indirect=True)
def test_workbooks_with_the_other_suffix_in_capitals(twin: tuple[str, Path], root: Path) -> None:
    books = [path for path in sheets(root) if path.suffix == ".xlsx"]
    for book in books:
        book.rename(book.with_suffix(".XLS"))
    same(twin[0], twin[1], root)


@pytest.mark.parametrize("twin", WITH_HEADERS, indirect=True)
def test_cells_with_blanks_around_their_texts_and_rows_of_nothing(twin: tuple[str, Path], root: Path) -> None:
    books = [path for path in sheets(root) if path.suffix == ".xlsx"]
    for book in books:
        workbook = CalamineWorkbook.from_path(str(book))
        names = workbook.sheet_names
        tables = {name: workbook.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in names}
        book.unlink()
        with xlsxwriter.Workbook(str(book)) as new:
            for name, rows in tables.items():
                sheet = new.add_worksheet(name)
                for number, cells in enumerate(rows):
                    padded = [f" {cell} " if isinstance(cell, str) and cell else cell for cell in cells]
                    sheet.write_row(2 * number, 0, padded)
                    if cells:
                        sheet.write(2 * number + 1, len(cells) + 3, "somebody's remark")
    same(twin[0], twin[1], root)


@pytest.mark.parametrize("twin", LINKED, indirect=True)
def test_frames_behind_a_link(twin: tuple[str, Path], root: Path, tmp_path: Path) -> None:
    for folder in [path for path in root.iterdir() if path.is_dir()]:
        folder.rename(tmp_path / folder.name)
        folder.symlink_to(tmp_path / folder.name, target_is_directory=True)
    same(twin[0], twin[1], root)
