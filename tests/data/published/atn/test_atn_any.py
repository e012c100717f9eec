"""Whatever is in ATN's files: problems or clips."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from atn_files import (
    CROPS,
    HISTOGRAM,
    LBP,
    LIST,
    POINTS,
    mat,
)
from hypothesis import given
from hypothesis import strategies as st

from mer_data import schema
from mer_data.problems import BadInput
from mer_data.published import atn


@given(
    file=st.sampled_from(["list", "points", "mat"]),
    edits=st.lists(
        st.tuples(
            st.floats(0, 1), st.integers(0, 6), st.binary(max_size=6) | st.sampled_from([b"\n", b" ", b"-", b"/.."])
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_any_change_gives_problems_or_clips(
    small: tuple[Path, dict[str, bytes]], file: str, edits: list[tuple[float, int, bytes]]
) -> None:
    """Never another exception than BadInput, whatever is in the files."""
    root, originals = small
    for name, data in originals.items():
        if name == file:
            for at, length, new in edits:
                start = int(at * len(data))
                data = data[:start] + new + data[start + length :]
        (root / {"list": LIST, "points": POINTS, "mat": f"{LBP}/casme2-sub17-EP01_13.mat"}[name]).write_bytes(data)
    try:
        imported = atn.read([root])
    except BadInput:
        return
    assert not schema.find_problems(imported.clips, "twin")
    assert all(np.isfinite(array).all() for one in imported.features for array in one.arrays.values())


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """One clip, its points, and one MATLAB file."""
    root = tmp_path_factory.mktemp("small")
    name = "casme2-sub17-EP01_13"
    for folder in (CROPS, LBP):
        (root / folder).mkdir(parents=True)
    (root / CROPS / f"{name}-img5.bmp").write_bytes(cv2.imencode(".bmp", np.zeros((224, 224), np.uint8))[1].tobytes())
    rows = "\r\n".join(" " + " ".join(["0.25"] * 128) for _ in range(64))
    return root, {
        "list": f"{name}-img5.bmp 1\r\n".encode(),
        "points": f"{name}\r\n{rows}\r\n".encode(),
        "mat": mat(Histogram=HISTOGRAM),
    }
