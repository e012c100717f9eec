"""Published flow maps in folds: no clip is on the wrong side or lacking, and every fold says the same."""

import shutil
from pathlib import Path

import pytest
from htnet_forms import (
    TWINS,
    Twin,
    problems_of,
    the_problem,
    write_tree,
)


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
