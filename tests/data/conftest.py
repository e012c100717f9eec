"""A small twin of CASME II that the data tests share, and a hand-made tree for one test at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import xlsxwriter

from mer_data.synthetic import HEADER, make_casme2

ROW = ("01", "EP02_01f", "", 46, 59, 86, "", "R1+L2", "surprise")


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 subjects, 48 clips, a few frames each; read only."""
    dest = tmp_path_factory.mktemp("twin") / "CASME2"
    make_casme2(dest, subjects=8, clips=48, seed=3, length=(6, 12))
    return dest


class Casme2Tree:
    """A CASME II of tiny frames, spoiled by each test as it likes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sheet_name = "CASME2-coding-20140508.xlsx"

    @property
    def sheet(self) -> Path:
        return self.root / self.sheet_name

    def write_sheet(self, rows: Sequence[Sequence[object]], header: Sequence[str] = HEADER) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        workbook = xlsxwriter.Workbook(self.sheet)
        sheet = workbook.add_worksheet()
        for number, cells in enumerate([header, *rows]):
            sheet.write_row(number, 0, cells)
        workbook.add_worksheet()
        workbook.close()

    def write_frames(self, clip: str, numbers: Sequence[int], tree: str = "Cropped", prefix: str = "reg_img") -> Path:
        folder = self.root / tree / clip
        folder.mkdir(parents=True, exist_ok=True)
        data = cv2.imencode(".jpg", np.zeros((8, 6, 3), np.uint8))[1].tobytes()
        for number in numbers:
            (folder / f"{prefix}{number}.jpg").write_bytes(data)
        return folder


@pytest.fixture
def tree(tmp_path: Path) -> Casme2Tree:
    """One good row and its frames; a test writes the sheet again to have others."""
    made = Casme2Tree(tmp_path / "CASME2")
    made.write_sheet([ROW])
    made.write_frames("sub01/EP02_01f", range(46, 87))
    return made
