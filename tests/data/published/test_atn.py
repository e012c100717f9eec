"""ATN's keys, points and crops, and its MATLAB files, which are read as SciPy reads them."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from contract import Source
from promises.atn import ATN, CROPS, HOOF, mat
from scipy.io import loadmat

from mer_data.composites import published
from mer_data.formats import read_format
from mer_data.imported import Imported
from mer_data.published.atn_text import clip_of_key
from mer_data.published.mat5 import read_variables
from mer_data.synthetic import read_truth
from mer_data.synthetic.atn import key, points

TwinOf = Callable[[str], Path]


def arrays_of(imported: Imported, name: str) -> dict[str, np.ndarray]:
    (found,) = [feature for feature in imported.features if feature.spec.name == name]
    return dict(found.arrays)


def test_all_published_clips_are_known_by_their_keys() -> None:
    for clip_id in published("megc2019"):
        dataset, subject, name = clip_id.split("/")
        subject = subject.lstrip("0")
        assert clip_of_key(f"{dataset}-{subject}-{name}") == clip_id
        assert clip_of_key(f"Data\\{dataset}\\{subject}\\{name}") == clip_id


@pytest.mark.parametrize(
    ("written", "clip_id"),
    [
        ("samm-6-006_1_2", "samm/006/006_1_2"),
        ("samm-006-006_1_2", "samm/006/006_1_2"),
        ("smic-s1-s1_ne_01", "smic/s01/s01_ne_01"),
        ("Data/smic/s01/s01_ne_01", "smic/s01/s01_ne_01"),
        (" Data/casme2-sub01-EP02_01f ", "casme2/sub01/EP02_01f"),
        ("casme2-s01-EP02_01f", None),
        ("casme2-sub01", None),
        ("casme2-sub01-../x", None),
        ("../samm/6/006_1_2", None),
        ("samm-6_1-006_1_2", None),
        ("", None),
    ],
)
def test_keys_in_every_spelling(written: str, clip_id: str | None) -> None:
    assert clip_of_key(written) == clip_id


def test_points_and_matrices_are_those_of_the_files(twin_of: TwinOf) -> None:
    root, imported = twin_of("atn"), read_format("atn", [twin_of("atn")])
    truths, found, hoof = read_truth(root), arrays_of(imported, "atn_points"), arrays_of(imported, "hoof_atn_tim64_k4")
    for clip_id, truth in truths.items():
        assert found[clip_id].dtype == np.float32
        np.testing.assert_allclose(found[clip_id], points(truth), rtol=1e-6)
        matrix = loadmat(root / HOOF / f"{key(truth)}.mat")["HOOF"]
        np.testing.assert_array_equal(hoof[clip_id], matrix.astype(np.float32))
        np.testing.assert_allclose(matrix.sum(axis=0), 1, rtol=1e-6)
    short = next(truth for truth in truths.values() if truth.offset - truth.apex < 30)
    assert not found[short.id][-1].any()  # rows after the clip are where the file has them


def test_crops_of_any_size_become_gray_224(tmp_path: Path, twin_of: TwinOf) -> None:
    source = Source(ATN, tmp_path, twin_of)
    rng = np.random.default_rng(1)
    small, full = rng.integers(0, 256, (60, 50), np.uint8), rng.integers(0, 256, (224, 224, 3), np.uint8)
    for dataset, pixels in (("samm", small), ("casme2", full)):
        path = source.path(f"{CROPS}/{{crop[{dataset}]}}")
        path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    found = arrays_of(source.read(), "apex_gray_224")
    samm, casme2 = (found[source.text(f"{{clip[{dataset}].id}}")][0] for dataset in ("samm", "casme2"))
    np.testing.assert_array_equal(samm, cv2.resize(small, (224, 224), interpolation=cv2.INTER_LINEAR))
    np.testing.assert_array_equal(casme2, cv2.cvtColor(full, cv2.COLOR_BGR2GRAY))


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
