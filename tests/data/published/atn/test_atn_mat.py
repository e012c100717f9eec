"""ATN's MATLAB files: read as SciPy reads them, and nothing but plain numbers is let in."""

from __future__ import annotations

import io
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from atn_files import (
    DOUBLE,
    FUNCTION,
    HISTOGRAM,
    HOOF,
    LBP,
    OBJECTS,
    OPAQUE,
    V73,
    arrays_of,
    first,
    mat,
    problems_of,
    the_problem,
)
from scipy.io import loadmat

from mer_data.published import atn
from mer_data.published.mat5 import read_variables
from mer_data.synthetic import read_truth
from mer_data.synthetic.atn import key


@pytest.mark.parametrize("do_compression", [False, True])
@pytest.mark.parametrize("dtype", ["f8", "f4", "u1", "i2", ">f8"])
def test_matrices_are_read_as_scipy_reads_them(dtype: str, do_compression: bool) -> None:
    matrix = np.arange(20).reshape(4, 5).astype(dtype)
    data = mat(do_compression=do_compression, before=np.ones((2, 2)), x=matrix, a_longer_name=[[7.5]])
    assert {one.name: one.numbers.tolist() for one in read_variables(data, 10_000)} == {
        name: array.tolist() for name, array in loadmat(io.BytesIO(data)).items() if not name.startswith("__")
    }


def test_files_of_the_other_byte_order_are_read() -> None:
    parts = [(6, struct.pack(">2I", 6, 0)), (5, struct.pack(">2i", 1, 2)), (9, struct.pack(">2d", 1.5, -2))]
    flags, shape, values = (struct.pack(">2I", type_, len(data)) + data for type_, data in parts)
    matrix = flags + shape + struct.pack(">2H4s", 2, 1, b"ab") + values
    data = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(">H2s", 0x0100, b"MI") + struct.pack(">2I", 14, len(matrix))
    (found,) = read_variables(data + matrix, 1000)
    assert (found.name, found.numbers.tolist()) == ("ab", [[1.5, -2.0]])
    assert loadmat(io.BytesIO(data + matrix))["ab"].tolist() == [[1.5, -2.0]]


def test_the_twin_s_matlab_files_are_what_scipy_reads(twin: Path) -> None:
    found = arrays_of(atn.read([twin]), "hoof_atn_tim64_k4")
    for truth in read_truth(twin).values():
        matrix = loadmat(twin / HOOF / f"{key(truth)}.mat")["HOOF"]
        np.testing.assert_array_equal(found[truth.id], matrix.astype(np.float32))
        np.testing.assert_allclose(matrix.sum(axis=0), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (mat(Histogram=HISTOGRAM)[:300], "is damaged"),
        (mat(Histogram=HISTOGRAM)[:130], "is damaged"),
        (b"", "is not a MATLAB file of version 5"),
        (b"not a mat file at all" * 20, "is not a MATLAB file of version 5"),
        (V73, "-v7"),
        (mat(Histogram=OBJECTS), "holds cell Histogram 1x2"),
        (mat(Histogram={"a": 1}), "holds struct Histogram"),
        (mat(Histogram="text"), "holds char Histogram"),
        (mat(Histogram=HISTOGRAM > 0), "holds logical Histogram 3x59"),
        (mat(Histogram=HISTOGRAM * 1j), "holds complex Histogram 3x59"),
        (mat(Histogram=HISTOGRAM * np.nan), "not finite"),
        (mat(Histogram=HISTOGRAM[:2]), "holds double Histogram 2x59"),
        (mat(Histogram=scipy.sparse.csc_matrix(HISTOGRAM)), "holds sparse Histogram 3x59"),
        (mat(f=HISTOGRAM, Histogram=HISTOGRAM).replace(DOUBLE, FUNCTION, 1), "holds a MATLAB function, f"),
        (mat(f=HISTOGRAM, Histogram=HISTOGRAM).replace(DOUBLE, OPAQUE, 1), "holds a MATLAB opaque"),
        (mat(Other=HISTOGRAM), "holds double Other 3x59"),
        (mat(HOOF=np.full((4, 9), 0.25)), "most of its folder Histogram 3x59"),
        (mat(Histogram=np.ones((400, 400))), "far too large"),
    ],
)
def test_a_wrong_matlab_file_is_named(root: Path, data: bytes, said: str) -> None:
    path = sorted((root / LBP).iterdir())[0]
    path.write_bytes(data)
    message = the_problem(root)
    assert str(path) in message
    assert said in message


def test_a_compressed_variable_cannot_fill_the_memory(root: Path) -> None:
    path = sorted((root / LBP).iterdir())[0]
    path.write_bytes(mat(do_compression=True, Histogram=np.zeros((3000, 3000))))
    assert path.stat().st_size < 1 << 20
    assert "cut off or too large" in the_problem(root)


def test_feature_folders_must_be_whole_and_once(root: Path) -> None:
    name = key(first(root, "casme2"))
    (root / HOOF / f"{name}.mat").rename(root / HOOF / "stray.mat")
    shutil.copytree(root / LBP, root / "copy_10")
    (root / "Data/LBP_TOP_333_TIM64_4").rename(root / "Data/lbp")
    found = problems_of(root)
    assert any("hoof_atn_tim64_k4 is missing for 1 of 6 clips" in problem for problem in found)
    assert any("'stray.mat' names no clip" in problem for problem in found)
    assert any("and so does" in problem and "copy_10" in problem for problem in found)
    assert any("10 or of 64 frames" in problem for problem in found)
    assert len(found) == 4
