"""A small twin of ATN's data that its tests share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mer_data.synthetic.atn import make_atn


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people and six clips; read only."""
    dest = tmp_path_factory.mktemp("atn") / "ATN"
    make_atn(dest, subjects=3, clips=6, seed=4, size=(48, 56), length=(10, 50))
    return dest


@pytest.fixture
def root(twin: Path, tmp_path: Path) -> Path:
    """A copy of the twin to spoil."""
    return Path(shutil.copytree(twin, tmp_path / "ATN"))
