"""Importing published flow maps: three forms, one result, and everything wrong said together."""

from __future__ import annotations

import csv
import io
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from htnet_forms import (
    FLAT,
    FORMS,
    LABELS,
    SHEET,
    SHEET_HEADER,
    TREE,
    Twin,
    csv_text,
    encode,
    make_twins,
    sheet_text,
    write_flat,
    write_samples,
    write_tree,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mer_data import formats, schema
from mer_data.imported import Imported
from mer_data.imports import htnet
from mer_data.problems import BadInput
from mer_data.store import Store

# Trees grow with the square of the subjects, so most tests take half a dozen.
TWINS = make_twins(subjects=2)
DOZEN = make_twins(subjects=4)
REAL = Path(os.environ.get("MER_MEGC2019_FLOW") or Path(__file__).parents[2].parent / "shared/data/megc2019_flow")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder that is gone after the test: pytest's own stay for three runs, with thousands of files."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder).resolve()


def problems_of(*sources: Path) -> tuple[str, ...]:
    with pytest.raises(BadInput) as caught:
        htnet.read(sources)
    for problem in caught.value.problems:
        assert problem.where
        assert problem.remedy
    return tuple(str(problem) for problem in caught.value.problems)


def the_problem(*sources: Path) -> str:
    problems = problems_of(*sources)
    assert len(problems) == 1, problems
    return problems[0]


def assert_same(one: Imported, other: Imported) -> None:
    assert one.clips == other.clips
    assert one.notes == other.notes
    (feature,), (other_feature,) = one.features, other.features
    assert feature.spec.key() == other_feature.spec.key()
    assert feature.origin == other_feature.origin
    assert list(feature.arrays) == list(other_feature.arrays)
    for clip_id, array in feature.arrays.items():
        np.testing.assert_array_equal(array, other_feature.arrays[clip_id])


# What a form gives -----------------------------------------------------------------------------------


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    FORMS[request.param](tmp_path, TWINS)
    return tmp_path


def test_clips_are_qualified_labelled_by_name_and_in_the_promised_order(form: Path) -> None:
    imported = htnet.read([form])
    assert [clip.id for clip in imported.clips] == [twin.id for twin in TWINS]
    assert [clip.emotion for clip in imported.clips] == [twin.emotion for twin in TWINS]
    for clip, twin in zip(imported.clips, TWINS, strict=True):
        assert (clip.dataset, clip.subject) == (twin.dataset, f"{twin.dataset}/{twin.subject}")
        assert (clip.onset, clip.apex, clip.apex_source, clip.frames) == (None, None, None, None)
    assert imported.frame_root is None
    assert schema.find_problems(imported.clips, "form") == []


def test_arrays_are_red_green_blue_of_the_file(form: Path) -> None:
    (feature,) = htnet.read([form]).features
    assert feature.spec.channels == ("u", "v", "strain")
    assert list(feature.arrays) == [twin.id for twin in TWINS]
    for twin in TWINS:
        rgb = np.asarray(Image.open(io.BytesIO(twin.png)).convert("RGB"))
        array = feature.arrays[twin.id]
        assert array.dtype == np.uint8
        assert array.flags.c_contiguous
        np.testing.assert_array_equal(array, rgb.transpose(2, 0, 1))


def test_the_spec_is_that_of_an_imported_flow_uvs_28(form: Path) -> None:
    spec = htnet.read([form]).features[0].spec
    assert (spec.name, spec.version, spec.frames) == ("flow_uvs_28", 1, "onset-apex")
    assert (spec.shape, spec.dtype) == ((3, 28, 28), "uint8")
    assert "STSTNet/HTNet" in spec.params["origin"]
    with pytest.raises(NotImplementedError, match="imported"):
        spec.compute([])


def test_the_three_forms_give_the_same(tmp_path: Path) -> None:
    one, *others = [tmp_path / name for name in FORMS]
    for name, write in FORMS.items():
        write(tmp_path / name, DOZEN)
    assert [clip.id for clip in htnet.read([one]).clips] == [twin.id for twin in DOZEN]
    for other in others:
        assert_same(htnet.read([one]), htnet.read([other]))


@pytest.mark.parametrize("space", ["", " "])
def test_the_space_before_the_extension_may_be_there_or_not(tmp_path: Path, space: str) -> None:
    folder, sheet = write_flat(tmp_path / "a", TWINS, space)
    write_tree(tmp_path / "b", TWINS, space=space)
    assert_same(htnet.read([folder, sheet]), htnet.read([tmp_path / "b"]))


def test_sources_may_be_given_in_any_order_or_as_one_root(tmp_path: Path) -> None:
    folder, sheet = write_flat(tmp_path / "a", TWINS)
    tree = write_tree(tmp_path / "b", TWINS)
    samples = write_samples(tmp_path / "c", TWINS)
    named_otherwise = tmp_path / "labels.csv"
    shutil.copy(sheet, named_otherwise)
    expected = htnet.read([folder, sheet])
    for sources in (
        [sheet, folder],
        [named_otherwise, folder],
        [folder.parent],
        [sheet],
        [tree],
        [tree.parent],
        [samples],
        [samples / "samples.csv"],
        [samples / "samples.csv", samples],
    ):
        assert_same(expected, htnet.read(sources))


def test_the_roots_of_htnet_may_hold_other_things(tmp_path: Path) -> None:
    write_flat(tmp_path / "datasets", TWINS)
    write_tree(tmp_path / "datasets", TWINS)
    (tmp_path / "datasets" / "combined_datasets_whole").mkdir()
    (tmp_path / "datasets" / "combined_datasets_whole" / "sub01_EP02_01f.jpg").write_bytes(b"a face")
    (tmp_path / "datasets" / "cas(me)3_part_A_edited.csv").write_text("Subject,Filename\n")
    (tmp_path / "datasets" / FLAT / "Thumbs.db").write_bytes(b"\0")
    (tmp_path / "datasets" / FLAT / "._sub01_EP02_01f .png").write_bytes(b"\0")
    (tmp_path / "datasets" / TREE / ".DS_Store").write_bytes(b"\0")
    (tmp_path / "figure.png").write_bytes(b"not a map")
    expected = htnet.read([tmp_path / "datasets"])
    assert expected.source.name == SHEET
    # In the repository itself the sheet lies beside `datasets`.
    (tmp_path / "datasets" / SHEET).rename(tmp_path / SHEET)
    assert_same(expected, htnet.read([tmp_path]))
    assert_same(expected, htnet.read([tmp_path / "datasets"]))
    shutil.rmtree(tmp_path / "datasets" / FLAT)
    assert_same(expected, htnet.read([tmp_path]))


@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_blank_rows_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path, newline: str, bom: str) -> None:
    folder, sheet = write_flat(tmp_path, TWINS)
    expected = htnet.read([tmp_path])
    text = bom + newline.join(line + newline + ",,," for line in sheet_text(TWINS).splitlines()) + newline * 2
    sheet.write_bytes(text.encode())
    assert_same(expected, htnet.read([folder, sheet]))


def test_samm_subjects_are_padded_in_the_flat_form_too(tmp_path: Path) -> None:
    folder, sheet = write_flat(tmp_path, TWINS)
    expected = htnet.read([tmp_path])
    sheet.write_text(sheet.read_text().replace("samm,00", "samm,"))
    assert "samm,6,006_1_2" in sheet.read_text()
    assert_same(expected, htnet.read([folder, sheet]))


def test_the_tree_may_lack_label_folders(tmp_path: Path) -> None:
    tree = write_tree(tmp_path, TWINS)
    assert any(len(list(half.iterdir())) < 3 for half in tree.glob("*/u_test"))
    assert len(htnet.read([tree]).clips) == len(TWINS)


def test_swapped_channels_are_noted(tmp_path: Path) -> None:
    def swapped(twin: Twin) -> Twin:
        rgb = np.asarray(Image.open(io.BytesIO(twin.png))).transpose(2, 0, 1)
        return Twin(twin.dataset, twin.subject, twin.clip, twin.emotion, encode(rgb[::-1]))

    write_flat(tmp_path / "right", TWINS)
    write_flat(tmp_path / "wrong", [swapped(twin) for twin in TWINS])
    right, wrong = htnet.read([tmp_path / "right"]), htnet.read([tmp_path / "wrong"])
    assert not any("channels" in note for note in right.notes)
    assert any("channels seem to be in another order" in note for note in wrong.notes)


def test_a_set_of_another_size_than_published_is_noted(form: Path) -> None:
    assert any("442" in note for note in htnet.read([form]).notes)


# What is wrong with an input -------------------------------------------------------------------------


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


# What is wrong with a tree ---------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path, TWINS)


def place(tree: Path, twin: Twin, held_out: str, half: str, label: str | None = None) -> Path:
    return tree / held_out / half / (label or twin.label) / twin.file()


def move(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    path.rename(to)


def other_label(twin: Twin) -> str:
    return str((int(twin.label) + 1) % 3)


def test_tree_where_two_subjects_disagree_on_a_label(tree: Path) -> None:
    twin = TWINS[0]
    move(place(tree, twin, "s01", "u_train"), place(tree, twin, "s01", "u_train", other_label(twin)))
    message = the_problem(tree)
    assert str(tree) in message
    assert f"clip {twin.id} has several labels" in message
    assert f"{other_label(twin)} in s01/u_train" in message


def test_tree_where_one_half_has_a_clip_under_two_labels(tree: Path) -> None:
    twin = TWINS[0]
    copy = place(tree, twin, "s01", "u_train", other_label(twin))
    copy.parent.mkdir(exist_ok=True)
    shutil.copy(place(tree, twin, "s01", "u_train"), copy)
    assert any(f"{tree / 's01' / 'u_train'}: clip {twin.id} is in the folders" in p for p in problems_of(tree))


def test_tree_where_training_lacks_a_clip(tree: Path) -> None:
    place(tree, TWINS[0], "s01", "u_train").unlink()
    assert f"{tree / 's01'}: u_train and u_test lack 1 of the tree's clips: {TWINS[0].id}" in the_problem(tree)


def test_tree_where_no_fold_tests_a_clip(tree: Path) -> None:
    twin = TWINS[0]
    place(tree, twin, twin.subject, "u_test").unlink()
    assert f"clip {twin.id} is in no u_test of its subject" in the_problem(tree)


def test_tree_where_training_holds_the_held_out_subject(tree: Path) -> None:
    twin = TWINS[0]
    leak = place(tree, twin, twin.subject, "u_train")
    leak.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(place(tree, twin, twin.subject, "u_test"), leak)
    message = the_problem(tree)
    assert f"{tree / twin.subject / 'u_train'}: holds clips of the held-out subject casme2/sub01" in message


def test_tree_where_the_test_half_holds_another_subject(tree: Path) -> None:
    twin = TWINS[0]
    move(place(tree, twin, "s01", "u_train"), place(tree, twin, "s01", "u_test"))
    message = the_problem(tree)
    assert f"{tree / 's01' / 'u_test'}: holds clips of other subjects than smic/s01: {twin.id}" in message


def test_tree_that_lacks_a_subject_or_a_half(tree: Path) -> None:
    shutil.rmtree(tree / "s01")
    problems = problems_of(tree)
    assert len(problems) == 3
    assert all("smic/s01/s01_" in problem and "is in no u_test" in problem for problem in problems)
    shutil.rmtree(tree / "s02" / "u_train")
    assert any(f"{tree / 's02'}: u_train and u_test lack" in problem for problem in problems_of(tree))
    shutil.rmtree(tree / "s02" / "u_test")
    assert any(f"{tree / 's02' / 'u_test'}: holds no PNG" in problem for problem in problems_of(tree))


def test_tree_with_folders_that_mean_nothing(tree: Path) -> None:
    move(place(tree, TWINS[0], "s01", "u_train"), tree / "s01" / "u_train" / "3" / TWINS[0].file())
    move(place(tree, TWINS[1], "s01", "u_train"), tree / "s01" / "u_train" / TWINS[1].file())
    (tree / "person" / "u_test").mkdir(parents=True)
    (tree / "6").mkdir()
    problems = problems_of(tree)
    assert any("folder '3' is not a label" in problem for problem in problems)
    assert any(f"{TWINS[1].file()!r} has no label" in problem for problem in problems)
    assert any("folder 'person' is not a subject" in problem for problem in problems)
    assert any("second folder of samm/006" in problem for problem in problems)


# Whatever the input, a table or a clear refusal ------------------------------------------------------

FEW = make_twins(subjects=1, clips=2)
odd_text = st.text(st.characters(codec="utf-8"), max_size=8)
cells = st.sampled_from(["", ",,,", "..", "/", "0", "3", "sub01", "6", "006", "samm", '"', "\r", "\n", "\0", "é"])


@st.composite
def mutated_text(draw: st.DrawFn, text: str) -> str:
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(cells | odd_text) + text[end:]
    return text


file_names = st.sampled_from([FEW[0].file(), FEW[0].file(""), "..png", "-_.PNG", "6_006_1_2.png"]) | st.text(
    st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12
).map(lambda name: f"{name}.png")


def table_or_refusal(*sources: Path) -> None:
    try:
        imported = htnet.read(sources)
    except BadInput as refusal:
        bad = refusal
    else:
        assert schema.find_problems(imported.clips, "sheet") == []
        assert imported.features[0].arrays.keys() == {clip.id for clip in imported.clips}
        schema.to_table(imported.clips)
        return
    assert bad.problems
    assert all(problem.where and problem.what for problem in bad.problems)
    str(bad).encode()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), form_name=st.sampled_from(["flat", "samples"]))
def test_any_sheet_is_a_table_or_refused(data: st.DataObject, form_name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        FORMS[form_name](root, FEW)
        (sheet,) = root.glob("*.csv")
        sheet.write_bytes(data.draw(mutated_text(sheet.read_text())).encode())
        table_or_refusal(root)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(new=st.lists(file_names, min_size=1, max_size=3), form_name=st.sampled_from(list(FORMS)), data=st.data())
def test_any_file_names_are_a_table_or_refused(new: list[str], form_name: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        FORMS[form_name](root, FEW)
        paths = sorted(root.rglob("*.png"))
        for name in new:
            path = data.draw(st.sampled_from(paths))
            if path.exists():
                path.rename(path.with_name(name))
        table_or_refusal(root)


# Into a store ----------------------------------------------------------------------------------------


def test_round_trip_through_a_store(form: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    imported = formats.import_dataset("htnet", [form], store, "twins")
    assert store.names() == ["twins"]
    assert store.dataset("twins").clips == imported.clips
    assert store.dataset("twins").format == "htnet"
    assert store.dataset("twins").frame_root is None
    feature = store.feature("twins", "flow_uvs_28")
    assert feature.channels == ("u", "v", "strain")
    assert feature.source.startswith("imported")
    ids = [clip.id for clip in reversed(imported.clips)]
    expected = np.stack([imported.features[0].arrays[clip_id] for clip_id in ids])
    np.testing.assert_array_equal(feature.gather(ids), expected)


# The real maps, where they are at hand ---------------------------------------------------------------

needs_real = pytest.mark.skipif(
    not (REAL / "samples.csv").is_file(),
    reason=f"no published maps in {REAL}; set MER_MEGC2019_FLOW to their folder",
)


@pytest.fixture(scope="module")
def real() -> Imported:
    return htnet.read([REAL])


@pytest.fixture(scope="module")
def real_twins(real: Imported) -> list[Twin]:
    """The real annotations with the real files' bytes, to be written in the other forms."""
    return [
        Twin(
            clip.dataset,
            clip.subject.partition("/")[2],
            clip.name,
            clip.emotion,
            (REAL / "png" / f"{clip.subject.partition('/')[2]}_{clip.name}.png").read_bytes(),
        )
        for clip in real.clips
    ]


@needs_real
def test_real_maps(real: Imported) -> None:
    assert real.notes == ()
    assert len({clip.subject for clip in real.clips}) == 68
    assert Counter(clip.emotion for clip in real.clips) == {"negative": 250, "positive": 109, "surprise": 83}
    assert Counter(clip.dataset for clip in real.clips) == {"casme2": 145, "smic": 164, "samm": 133}
    published = np.load(REAL / "flow_u_v_os_uint8.npz")
    ids = [
        f"{dataset}/{subject}/{clip}"
        for dataset, subject, clip in zip(*(published[key] for key in ("dataset", "subject", "clip")), strict=True)
    ]
    assert [clip.id for clip in real.clips] == ids
    assert [LABELS[clip.emotion] for clip in real.clips] == published["labels"].tolist()
    arrays = np.stack([real.features[0].arrays[clip_id] for clip_id in ids])
    np.testing.assert_array_equal(arrays, published["images"].transpose(0, 3, 1, 2))


@needs_real
def test_real_maps_in_the_flat_form(real: Imported, real_twins: list[Twin], tmp_path: Path) -> None:
    write_flat(tmp_path, real_twins)
    assert_same(real, htnet.read([tmp_path]))


def linker(pool: Path) -> Callable[[Path, Twin], None]:
    """Write each map once and then link it: 30,000 files in seconds. Copies where links are impossible."""
    link: Callable[[str, str], object] = os.link

    def put(path: Path, twin: Twin) -> None:
        nonlocal link
        source = pool / twin.file()
        if not source.exists():
            source.write_bytes(twin.png)
        try:
            link(str(source), str(path))
        except OSError:
            link = shutil.copyfile
            link(str(source), str(path))

    pool.mkdir()
    return put


@needs_real
def test_real_maps_in_the_tree_form(real: Imported, real_twins: list[Twin], tmp_path: Path) -> None:
    put = linker(tmp_path / "pool")
    few = [twin for twin in real_twins if twin.subject in {"sub17", "s03", "s04", "006", "011"}]
    started = time.monotonic()
    tree = write_tree(tmp_path / "few", few, put)
    files = len({twin.subject for twin in few}) * len(few)
    whole = (time.monotonic() - started) / files * 68 * 442 < 6  # seconds; a slow disk gets the few only
    tree = write_tree(tmp_path / "all", real_twins, put) if whole else tree
    read = htnet.read([tree])
    if whole:
        assert_same(real, read)
        return
    ids = {twin.id for twin in few}
    assert read.clips == tuple(clip for clip in real.clips if clip.id in ids)
    for clip_id, array in read.features[0].arrays.items():
        np.testing.assert_array_equal(array, real.features[0].arrays[clip_id])
