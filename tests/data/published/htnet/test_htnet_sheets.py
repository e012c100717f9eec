"""Published flow maps with a sheet: everything wrong is said together, with file and row."""

import csv
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from htnet_forms import (
    FLAT,
    FORMS,
    SHEET,
    SHEET_HEADER,
    TREE,
    TWINS,
    csv_text,
    encode,
    problems_of,
    sheet_text,
    the_problem,
    write_flat,
    write_samples,
)


def test_sources_that_are_no_form_name_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for sources in ([tmp_path / "empty"], [], [tmp_path, tmp_path]):
        message = the_problem(*sources)
        assert SHEET in message
        assert TREE in message
        assert "samples.csv" in message


def test_missing_sources_are_named_together(tmp_path: Path) -> None:
    problems = problems_of(tmp_path / "maps", tmp_path / "labels.csv")
    assert [Path(problem.partition(":")[0]).name for problem in problems] == ["maps", "labels.csv"]


def test_maps_without_a_sheet_and_a_sheet_without_maps(tmp_path: Path) -> None:
    folder, sheet = write_flat(tmp_path, TWINS)
    away = tmp_path / "away" / SHEET
    away.parent.mkdir()
    sheet.rename(away)
    assert "without their labels" in the_problem(folder)
    message = the_problem(away)
    assert SHEET in message
    assert FLAT in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty file"),
        ("\n,,,\n", "no rows"),
        (",".join(SHEET_HEADER) + "\n", "no rows"),
        ('a,b\n"1,2\n', "row 2"),
        ("dataset,sub,filename_o,label\ncasme2,sub01,EP\0,1\n", "NUL"),
    ],
)
def test_a_sheet_that_is_no_table(tmp_path: Path, text: str, said: str) -> None:
    _, sheet = write_flat(tmp_path, TWINS)
    sheet.write_text(text)
    message = the_problem(tmp_path)
    assert str(sheet) in message
    assert said in message


def test_a_sheet_that_is_not_text(tmp_path: Path) -> None:
    _, sheet = write_flat(tmp_path, TWINS)
    sheet.write_bytes(b"PK\x03\x04\xff\xfe")
    assert str(sheet) in the_problem(tmp_path)


def test_missing_and_doubled_columns(tmp_path: Path) -> None:
    _, sheet = write_flat(tmp_path, TWINS)
    text = sheet.read_text()
    sheet.write_text(text.replace("filename_o", "filename", 1).replace("label", "dataset", 1))
    problems = problems_of(tmp_path)
    assert all(f"{sheet}, row 1" in problem for problem in problems)
    assert any("lacks filename_o or clip, label; did you mean 'filename'?" in problem for problem in problems)
    assert any("more than one column is called dataset" in problem for problem in problems)
    samples = write_samples(tmp_path / "c", TWINS) / "samples.csv"
    samples.write_text(samples.read_text().replace("file", "path", 1))
    assert "no column 'file'" in the_problem(samples)


# Each case edits one row of the sheet (row 2 is the first clip of the set) and is named with file and row.
ROW_EDITS = {
    "label 3": ("label", "3", "'3' is not a label"),
    "label -1": ("label", "-1", "'-1' is not a label"),
    "label word": ("label", "negative", "0 (negative), 1 (positive), 2 (surprise)"),
    "no label": ("label", "", "'' is not a label"),
    "dataset near": ("dataset", "casme", "did you mean 'casme2'?"),
    "dataset far": ("dataset", "xyz", "known: casme2, samm, smic"),
    "dataset of another subject": ("dataset", "smic", "spelled as in casme2"),
    "subject": ("sub", "subject 1", "'subject 1' is not a subject"),
    "clip leaving the folder": ("filename_o", "../EP02_01f", "is not a clip's name"),
    "no clip": ("filename_o", "", "'' is not a clip's name"),
}


@pytest.mark.parametrize("edit", ROW_EDITS.values(), ids=ROW_EDITS.keys())
def test_bad_cells_name_file_and_row(tmp_path: Path, edit: tuple[str, str, str]) -> None:
    column, value, said = edit
    _, sheet = write_flat(tmp_path, TWINS)
    rows = list(csv.DictReader(io.StringIO(sheet_text(TWINS))))
    rows[0][column] = value
    sheet.write_text(csv_text(SHEET_HEADER, [row.values() for row in rows]))
    problems = problems_of(tmp_path)
    assert f"{sheet}, row 2" in problems[0]
    assert said in problems[0]
    # Where the row still tells which clip it means, its PNG is not reported as one without a row.
    assert len(problems) == (2 if column in ("sub", "filename_o") else 1), problems


def test_rows_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    _, sheet = write_flat(tmp_path, TWINS)
    lines = sheet_text(TWINS).splitlines()
    lines[3] = lines[3].replace(f",{TWINS[2].label},", ",9,")
    sheet.write_text("\n".join([*lines[:2], ",,,", "", *lines[2:]]))
    assert "row 6" in the_problem(tmp_path)


def test_a_row_with_too_many_cells(tmp_path: Path) -> None:
    _, sheet = write_flat(tmp_path, TWINS)
    lines = sheet_text(TWINS).splitlines()
    lines[1] += ",1"
    sheet.write_text("\n".join(lines))
    assert f"{sheet}, row 2: has 8 cells, the header has 7" in the_problem(tmp_path)


def test_a_row_without_a_png_and_a_png_without_a_row(tmp_path: Path) -> None:
    folder, sheet = write_flat(tmp_path, TWINS)
    sheet.write_text(sheet_text(TWINS[1:]))
    (folder / TWINS[3].file()).unlink()
    problems = problems_of(tmp_path)
    assert len(problems) == 2
    assert f"{sheet}, row 4" in problems[0]
    assert TWINS[3].file("") in problems[0]
    assert f"{TWINS[0].file()!r} (clip {TWINS[0].id}) has no row" in problems[1]


def test_a_subject_missing_in_the_sheet(tmp_path: Path) -> None:
    _, sheet = write_flat(tmp_path, TWINS)
    sheet.write_text(sheet_text(twin for twin in TWINS if twin.subject != "s02"))
    problems = problems_of(tmp_path)
    assert len(problems) == 3
    assert all("smic/s02/" in problem and "has no row" in problem for problem in problems)


def test_a_clip_listed_twice(tmp_path: Path) -> None:
    _, sheet = write_flat(tmp_path, TWINS)
    samm = next(twin for twin in TWINS if twin.dataset == "samm")
    again = f"samm,{int(samm.subject)},{samm.clip},{samm.label},,,\n"  # the same person, written without zeros
    sheet.write_text(sheet_text(TWINS) + again)
    message = the_problem(tmp_path)
    assert f"{sheet}, row {len(TWINS) + 2}" in message
    assert f"{samm.id} is in row {TWINS.index(samm) + 2} too" in message


@pytest.mark.parametrize("form_name", ["flat", "tree"])
def test_two_names_for_one_clip(tmp_path: Path, form_name: str) -> None:
    FORMS[form_name](tmp_path, TWINS)
    png = next(tmp_path.rglob("u_test/*/*.png" if form_name == "tree" else "*.png"))
    shutil.copy(png, png.with_name(png.name.replace(" ", "")))
    message = the_problem(tmp_path)
    assert str(png.parent) in message
    assert repr(png.name) in message


@pytest.mark.parametrize("name", ["figure.png", "x01_EP02_01f.png", "sub01_.png", "sub01_\udcff.png"])
@pytest.mark.parametrize("form_name", ["flat", "tree"])
def test_a_png_whose_name_is_no_clip(tmp_path: Path, form_name: str, name: str) -> None:
    FORMS[form_name](tmp_path, TWINS)
    folder = next(tmp_path.rglob("*.png")).parent
    (folder / name).write_bytes(TWINS[0].png)
    message = the_problem(tmp_path)
    assert f"{folder}: {name!r} names no clip" in message
    message.encode()


def rgb28(value: int = 7) -> np.ndarray:
    return np.full((3, 28, 28), value, np.uint8)


BROKEN_PNGS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not a whole PNG"),
    "not a PNG": (b"\xff\xd8\xff\xe0 JFIF", "not a whole PNG"),
    "cut in its header": (TWINS[0].png[:20], "not a whole PNG"),
    "cut in its data": (TWINS[0].png[: len(TWINS[0].png) // 2], "not a whole PNG"),
    "cut at its end": (TWINS[0].png[:-4], "not a whole PNG"),
    "damaged inside": (TWINS[0].png[:60] + b"\0" * 400 + TWINS[0].png[460:], "not a readable image"),
    "another size": (encode(np.zeros((3, 28, 14), np.uint8)), "14x28, 8 bit, RGB"),
    "grey": (encode(rgb28()[0]), "8 bit, grey"),
    "16 bit": (encode(rgb28().astype(np.uint16)), "16 bit, RGB"),
    "with alpha": (encode(np.full((4, 28, 28), 7, np.uint8)), "RGB with alpha"),
}


@pytest.mark.parametrize(("png", "said"), BROKEN_PNGS.values(), ids=BROKEN_PNGS.keys())
def test_pngs_that_are_no_map(form: Path, png: bytes, said: str) -> None:
    # The bytes are replaced in place, so that every form keeps its own name for the file.
    twin = TWINS[5]
    paths = [p for p in form.rglob("*.png") if p.name in (twin.file(), twin.file("")) and "u_train" not in p.parts]
    (path,) = paths
    path.write_bytes(png)
    message = the_problem(form)
    assert str(path) in message
    assert said in message
    if (form / SHEET).exists():
        assert f"row {len(TWINS) - TWINS.index(twin) + 1}" in message  # the sheet is written in reverse


def test_several_problems_are_reported_together(tmp_path: Path) -> None:
    folder, sheet = write_flat(tmp_path, TWINS)
    lines = sheet_text(TWINS).splitlines()
    lines[1] = lines[1].replace(f",{TWINS[0].label},", ",7,")
    lines[2] = lines[2].replace("casme2", "casme")
    sheet.write_text("\n".join(lines))
    (folder / TWINS[4].file()).write_bytes(b"")
    (folder / TWINS[5].file()).unlink()
    problems = problems_of(tmp_path)
    assert len(problems) == 4
    assert [said in problem for said, problem in zip(("'7'", "'casme'", "no PNG", "PNG"), problems, strict=True)]


@pytest.mark.parametrize("how", ["..", "absolute", "link"])
def test_paths_that_leave_the_folder_are_never_read(tmp_path: Path, how: str) -> None:
    root = write_samples(tmp_path / "c", TWINS)
    outside = tmp_path / "outside.png"
    outside.write_bytes(TWINS[0].png)
    file = f"png/{TWINS[0].file('')}"
    (root / file).unlink()
    if how == "link":
        (root / file).symlink_to(outside)
    else:
        samples = root / "samples.csv"
        samples.write_text(samples.read_text().replace(file, "../outside.png" if how == ".." else str(outside)))
    message = the_problem(root)
    assert f"{root / 'samples.csv'}, row 2" in message
    assert "leads out of" in message


@pytest.mark.parametrize("form_name", ["flat", "tree"])
def test_links_out_of_the_folder_are_never_read(tmp_path: Path, form_name: str) -> None:
    FORMS[form_name](tmp_path / "root", TWINS)
    outside = tmp_path / "outside.png"
    outside.write_bytes(TWINS[0].png)
    png = next((tmp_path / "root").rglob("u_test/*/*.png" if form_name == "tree" else "*.png"))
    png.unlink()
    png.symlink_to(outside)
    assert "leads out of" in the_problem(tmp_path / "root")
    png.unlink()
    png.symlink_to(png)
    assert png.name in the_problem(tmp_path / "root")


def test_samples_with_wrong_files(tmp_path: Path) -> None:
    root = write_samples(tmp_path, TWINS)
    samples = root / "samples.csv"
    first, second, other = (f"png/{TWINS[i].file('')}" for i in (0, 1, 3))
    text = samples.read_text()

    samples.write_text(text.replace(f"{first}\n", f"{second}\n"))
    problems = problems_of(root)
    assert any(f"{samples}, row 3" in p and "is also the file of" in p and "row 2" in p for p in problems)
    assert any(TWINS[0].file("") in p and "has no row" in p for p in problems)

    samples.write_text(text.replace(first, "").replace(second, "png/none.png"))
    problems = problems_of(root)
    assert any(f"{samples}, row 2, column file" in problem for problem in problems)
    assert any(f"{samples}, row 3" in problem and "no PNG 'png/none.png'" in problem for problem in problems)

    # A map under another subject's name would be trained on while that subject is held out.
    samples.write_text(text.replace(first, "swap").replace(other, first).replace("swap", other))
    problems = problems_of(root)
    assert len(problems) == 2
    assert "is named after casme2/sub02, the row says casme2/sub01" in problems[0]


def test_a_bad_row_of_samples_does_not_blame_its_png(tmp_path: Path) -> None:
    root = write_samples(tmp_path, TWINS)
    samples = root / "samples.csv"
    samples.write_text(samples.read_text().replace("casme2,", "casme,", 1))
    assert f"{samples}, row 2" in the_problem(root)
