"""Corrections apply where the old value is found, and say what they did."""

import pytest

from mer_data import corrections
from mer_data.corrections import Correction, correct
from mer_data.sheets import Row

MEND = Correction("sub06", "", "66", "offset", "111", "91", "before the apex", "the owners")


@pytest.fixture
def overlay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corrections, "corrections", lambda dataset: (MEND,) if dataset == "casme2" else ())


def row(**cells: str) -> Row:
    found = {"onset": "66", "offset": "111", "name": "EP01_01", **cells}
    return Row("sheet.xlsx", 61, found, {name: name for name in found})


def test_the_cell_is_mended_and_told(overlay: None) -> None:
    mended, notes = correct("casme2", "sub06", "EP01_01", row())
    assert mended["offset"] == "91"
    assert mended.corrected == {"offset"}
    assert notes == ["sheet.xlsx, row 61, column offset: 111 corrected to 91: before the apex (the owners)"]


@pytest.mark.parametrize(
    ("dataset", "subject", "cells"),
    [
        ("samm", "sub06", {}),
        ("casme2", "sub07", {}),
        ("casme2", "sub06", {"offset": "91"}),
        ("casme2", "sub06", {"onset": "67"}),
    ],
)
def test_any_other_row_is_left_alone(overlay: None, dataset: str, subject: str, cells: dict[str, str]) -> None:
    before = row(**cells)
    assert correct(dataset, subject, "EP01_01", before) == (before, [])
