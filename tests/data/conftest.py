"""A small twin of CASME II that the data tests share, and a hand-made tree for one test at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest
from by_hand import write_frames
from promises import PROMISES

from mer_data.problems import BadInput
from mer_data.synthetic import PROJECT_TWINS, TWINS, make_casme2
from mer_data.synthetic.casme2 import HEADER
from mer_data.synthetic.workbook import write_workbook

ROW = ("01", "EP02_01f", "", 46, 59, 86, "", "R1+L2", "surprise")


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 subjects, 48 clips, a few frames each; read only."""
    dest = tmp_path_factory.mktemp("twin") / "CASME2"
    make_casme2(dest, subjects=8, clips=48, seed=3, length=(6, 12))
    return dest


@pytest.fixture(scope="session")
def draw_twin(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Draws the small twin of a format, with other options if need be."""

    def drawn(format_: str, **other: object) -> Path:
        dest, wanted = tmp_path_factory.mktemp(format_) / "twin", PROMISES[format_].twin
        options = {"seed": 1, "size": (48, 52), "length": (6, 8), **wanted.options}
        options |= {"subjects": wanted.subjects, "clips": wanted.clips, **other}
        try:
            {**TWINS, **PROJECT_TWINS}[format_](dest, **options)
        except BadInput:
            assert not dest.exists()
            raise
        return dest

    return drawn


@pytest.fixture(scope="session")
def twin_of(draw_twin: Callable[..., Path]) -> Callable[[str], Path]:
    """Small twins by format, drawn once and read only."""
    return cache(draw_twin)


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
        write_workbook(self.sheet, [header, *rows])

    def write_frames(self, clip: str, numbers: Sequence[int], tree: str = "Cropped", prefix: str = "reg_img") -> Path:
        return write_frames(self.root / tree / clip, [f"{prefix}{number}.jpg" for number in numbers])


@pytest.fixture
def tree(tmp_path: Path) -> Casme2Tree:
    """One good row and its frames; a test writes the sheet again to have others."""
    made = Casme2Tree(tmp_path / "CASME2")
    made.write_sheet([ROW])
    made.write_frames("sub01/EP02_01f", range(46, 87))
    return made
