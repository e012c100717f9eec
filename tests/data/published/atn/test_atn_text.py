"""ATN's list and points: a wrong line is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from atn_files import CROPS, LIST, POINTS, edit, problems_of, the_problem


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda line: line[:-1] + "3", "is not a file and a label"),
        (lambda line: line[:-2], "is not a file and a label"),
        (lambda line: line.replace("casme2-sub", "casme2-s"), "names no clip and frame"),
        (lambda line: line.replace("img", "frame."), "no image"),
        (lambda line: "../" + line, "leads out of"),
        (lambda line: "..\\..\\" + line, "leads out of"),
        (lambda line: "/etc/" + line, "leads out of"),
        (lambda line: "other/" + line, "names no clip and frame"),
        (lambda line: line.replace("img", "img" + "9" * 5000), "names no clip and frame"),
        (lambda line: line.replace("img", "\0img"), "no image"),
    ],
)
def test_a_wrong_line_of_the_list_is_named(root: Path, change: Callable[[str], str], said: str) -> None:
    lines = (root / LIST).read_text().split("\n")
    assert lines[0].startswith("casme2")
    lines[0] = change(lines[0])
    (root / LIST).write_text("\n".join(lines))
    found = [problem for problem in problems_of(root) if "line 1:" in problem]
    assert len(found) == 1
    assert said in found[0]


def test_a_clip_twice_in_the_list_and_a_crop_that_is_not_in_it(root: Path) -> None:
    edit(root / LIST, lambda text: text + text.splitlines()[0].replace("img", "image") + "\n")
    (root / CROPS / "casme2-sub99-EP01-img1.jpg").write_bytes(b"")
    found = problems_of(root)
    assert len(found) == 2
    assert "line 1 too" in found[0]
    assert "has no line" in found[1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: [*lines[:9], *lines[10:]], "line 1: 'casme2-{}' is followed by 63 lines"),
        (lambda lines: [*lines[:9], lines[9].rpartition(" ")[0], *lines[10:]], "line 10: has 127 numbers, not 128"),
        (lambda lines: [*lines[:9], lines[9] + "x", *lines[10:]], "line 10: "),
        (lambda lines: [*lines[:9], "nan " + lines[9].strip().partition(" ")[2], *lines[10:]], "number 1 is nan"),
        (lambda lines: [*lines[:9], "1e39 " + lines[9].strip().partition(" ")[2], *lines[10:]], "number 1 is 1e39"),
        (lambda lines: [*lines[:9], "1_0 " + lines[9].strip().partition(" ")[2], *lines[10:]], "is not a number"),
        (lambda lines: ["nobody", *lines[1:]], "line 1: 'nobody' is not a clip's key"),
        (lambda lines: ["Data/../x", *lines[1:]], "line 1: 'Data/../x' is not a clip's key"),
        (lambda lines: lines[1:], "numbers before the first key"),
        (lambda lines: [*lines[:65], *lines[:65], *lines[65:]], "has a block at line 1 too"),
        (lambda lines: lines[65:], "atn_points is missing for 1 of 6 clips: casme2/"),
        (lambda lines: ["casme2-sub01-EP99", *lines[1:65], *lines], "clips without a label: casme2/sub01/EP99"),
        (lambda lines: [""], "has no lines"),
    ],
)
def test_a_wrong_block_of_points_is_named(root: Path, change: Callable[[list[str]], list[str]], said: str) -> None:
    lines = (root / POINTS).read_text().split("\n")
    (root / POINTS).write_text("\n".join(change(lines)))
    said = said.format(lines[0].partition("-")[2])
    assert any(said in problem and str(root / POINTS) in problem for problem in problems_of(root)), said


def test_a_points_file_that_is_not_text(root: Path) -> None:
    (root / POINTS).write_bytes(b"PK\xff\xfe\x00")
    assert "save it as plain text" in the_problem(root)
