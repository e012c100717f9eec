"""Where ATN's files are, and what is said of them."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from mer_data.imported import Imported
from mer_data.problems import BadInput
from mer_data.published import atn
from mer_data.synthetic import read_truth
from mer_data.synthetic.casting import ClipTruth

LIST, POINTS, CROPS = "Data/Apex_Cropped_images.txt", "Data/OpticalFlowFeatureData.txt", "Data/Apex_Cropped_images"
LBP, HOOF = "Data/LBP_TOP_333_TIM10_8", "Data/HOOF_TIM64_4"
SIZES = {
    **{f"lbp_top_atn_tim{length}_p{count}": (3, 59) for length in (10, 64) for count in (4, 8)},
    **{f"hoof_atn_tim{length}_k{bins}": (bins, cols) for length, cols in ((10, 9), (64, 64)) for bins in (4, 8)},
}
HISTOGRAM = np.full((3, 59), 1 / 59)
V73 = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + b"\x89HDF\r\n\x1a\n"
DOUBLE, FUNCTION, OPAQUE = (struct.pack("<4I", 6, 8, number, 0) for number in (6, 16, 17))
OBJECTS = np.array([[1, "x"]], object)


def problems_of(root: Path) -> list[str]:
    with pytest.raises(BadInput) as caught:
        atn.read([root])
    return [str(problem) for problem in caught.value.problems]


def the_problem(root: Path) -> str:
    (problem,) = problems_of(root)
    return problem


def arrays_of(imported: Imported, name: str) -> dict[str, np.ndarray]:
    (found,) = [one for one in imported.features if one.spec.name == name]
    return dict(found.arrays)


def edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_bytes(change(path.read_bytes().decode()).encode())


def mat(*, do_compression: bool = False, **variables: object) -> bytes:
    buffer = io.BytesIO()
    savemat(buffer, variables, do_compression=do_compression)
    return buffer.getvalue()


def first(twin: Path, dataset: str) -> ClipTruth:
    return next(truth for truth in read_truth(twin).values() if truth.dataset == dataset)
