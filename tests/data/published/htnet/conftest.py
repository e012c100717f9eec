"""What the tests of the published flow maps share: a place for thousands of files, and each form of a small set."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from htnet_forms import FORMS, TWINS


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder that is gone after the test: pytest's own stay for three runs, with thousands of files."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder).resolve()


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    FORMS[request.param](tmp_path, TWINS)
    return tmp_path
