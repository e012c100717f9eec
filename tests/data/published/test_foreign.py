"""Paths of another computer: found by their ends, never outside the root."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_data.problems import BadInput
from mer_data.published.foreign import match_tail


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "casme2/flow").mkdir(parents=True)
    (root / "casme2/flow/a b.png").touch()
    return root.resolve()


@pytest.mark.parametrize(
    "foreign",
    [
        "/home/ann/My data/casme2/flow/a b.png",
        "C:\\Users\\ann\\casme2\\flow\\a b.png",
        "D:\\mixed/casme2\\flow/a b.png",
        "casme2/flow/a b.png",
        "./casme2//flow/./a b.png",
    ],
)
def test_the_end_of_a_path_is_found(root: Path, foreign: str) -> None:
    assert match_tail(root, foreign) == root / "casme2/flow/a b.png"
    assert match_tail(root / "casme2/flow", foreign) == root / "casme2/flow/a b.png"


@pytest.mark.parametrize(
    "foreign", ["", "/", "/home/ann/a.png", "/home/casme2/flow", "\0", "x" * 5000, "\udcff", "a b.png"]
)
def test_nothing_else_is_found(root: Path, foreign: str) -> None:
    with pytest.raises(BadInput, match="no file in"):
        match_tail(root, foreign)


def test_two_files_that_fit_are_told(root: Path) -> None:
    (root / "a b.png").touch()
    with pytest.raises(BadInput, match=r"may be any of casme2/flow/a b\.png, a b\.png"):
        match_tail(root, "/home/ann/casme2/flow/a b.png")
    # A link to the same file is no second file.
    (root / "a b.png").unlink()
    (root / "a b.png").symlink_to(root / "casme2/flow/a b.png")
    assert match_tail(root, "/home/ann/casme2/flow/a b.png") == root / "casme2/flow/a b.png"


def test_the_root_is_never_left(root: Path) -> None:
    outside = root.parent / "outside.png"
    outside.touch()
    for foreign in ("../outside.png", "casme2\\..\\..\\outside.png"):
        with pytest.raises(BadInput, match=r"has a '\.\.' in it"):
            match_tail(root, foreign)
    with pytest.raises(BadInput, match="no file in"):
        match_tail(root, str(outside))
    (root / "outside.png").symlink_to(outside)
    with pytest.raises(BadInput, match="leads out of this folder"):
        match_tail(root, str(outside))


@settings(max_examples=60, deadline=None)
@given(
    foreign=st.text(max_size=30)
    | st.lists(st.sampled_from(["/", "\\", "..", ".", "a b.png", "flow", "\0"])).map("".join)
)
def test_any_text_is_a_file_of_the_root_or_refused(tmp_path_factory: pytest.TempPathFactory, foreign: str) -> None:
    root = tmp_path_factory.getbasetemp() / "foreign"
    (root / "flow").mkdir(parents=True, exist_ok=True)
    (root / "flow/a b.png").touch()
    try:
        found = match_tail(root, foreign)
    except BadInput as refusal:
        bad = refusal
    else:
        assert found == (root / "flow/a b.png").resolve()
        return
    assert bad.problems[0].remedy
