"""Dual-ATME as published, 3 of 68 folds; CAS(ME)^2's workbook with remarks, and its CSV form."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from by_hand import write_frames

from mer_data.datasets import casme_sq
from mer_data.problems import BadInput
from mer_data.published import dual_atme
from mer_data.synthetic.dual_atme import LISTS, make_dual_atme
from mer_data.synthetic.workbook import write_worksheets

PEOPLE = [("p", f"s{folder}", number) for number, folder in ((1, 15), (2, 16), (3, 19))]
CODES = [("0101", "disgust1"), ("0502", "happy1")]


def row(subject: object, name: str, *more: object) -> tuple[object, ...]:
    return (subject, name, 323, 329, 334, "1+2", "surprise", "micro-expression", "happiness", *more)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for person, video in (("s16", "16_0502funnyerrors"), ("s40", "40_0101disgustingteeth")):
        write_frames(tmp_path / "CASME_sq/rawpic" / person / video, [f"img{number}.jpg" for number in range(320, 341)])
    return tmp_path / "CASME_sq"


def test_what_stands_beside_and_below_the_table_is_passed_over(root: Path) -> None:
    rows = [row(2, "happy1_1", "", "checked by hand"), (), ("remarks:",), ("", "AU 12 is weak"), (*[""] * 10, "x")]
    write_worksheets(root / "code_final.xlsx", {"CASFEcode_final": rows, "naming rule1": PEOPLE, "naming rule2": CODES})
    imported = casme_sq.read([root])
    assert [clip.id for clip in imported.clips] == ["casme_sq/s16/happy1_1"]
    assert any("row 3: 2 rows of text from here on are passed over" in note for note in imported.notes)
    odd = [row(2, "happy1_1"), ("text between",), row(2, "happy1_2")]
    write_worksheets(root / "code_final.xlsx", {"CASFEcode_final": odd, "naming rule1": PEOPLE, "naming rule2": CODES})
    with pytest.raises(BadInput, match="row 2, column H: '' is not a type of expression"):
        casme_sq.read([root])


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize(
    ("first", "second"),
    [((2, "happy1_1"), (22, "disgust1_1")), (("s16", "0502_1"), ("s40", "0101_1")), ((16, "502_1"), (40, "101_1"))],
)
def test_the_csv_form_has_fixed_codes(
    root: Path, header: bool, first: tuple[object, str], second: tuple[object, str]
) -> None:
    rows: list[Sequence[object]] = [row(*first), row(*second)]
    names = ("Participant", "Filename", "Onset", "Apex", "Offset", "AUs", "Emotion", "Type", "Self-report")
    with (root / "CASFEcode_final.csv").open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows] if header else rows)
    imported = casme_sq.read([root])
    assert [(clip.id, clip.frames) for clip in imported.clips] == [
        ("casme_sq/s16/happy1_1", "s16/16_0502funnyerrors"),
        ("casme_sq/s40/disgust1_1", "s40/40_0101disgustingteeth"),
    ]
    assert any("22 people and 9 videos of the owners" in note for note in imported.notes)


def test_the_folds_that_are_not_published_are_rebuilt_and_named(tmp_path: Path) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    make_dual_atme(whole, seed=2, subjects=5, clips=12)
    shutil.copytree(whole, part)
    subjects = (part / LISTS / "subName.txt").read_text().split()
    for subject in subjects[2:]:
        for half in ("train", "test"):
            (part / LISTS / f"{subject}_{half}.txt").unlink()
    lines = (part / LISTS / f"{subjects[1]}_train.txt").read_text().splitlines(keepends=True)
    (part / LISTS / f"{subjects[1]}_train.txt").write_text("".join(lines[:-2]))
    imported = dual_atme.read([part])
    assert imported.clips == dual_atme.read([whole]).clips
    (note,) = [note for note in imported.notes if "not published" in note]
    assert "3 of 5 folds are not published" in note
    assert subjects[4] in note
    assert any(f"{subjects[1]} name 10 of 12 clips" in note for note in imported.notes)
