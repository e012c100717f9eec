"""Importing ATN's data: every spelling of its text files, its MATLAB files, and everything wrong said together."""

from __future__ import annotations

import io
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from mer_data import schema
from mer_data.composites import published
from mer_data.imported import Imported
from mer_data.imports import atn
from mer_data.imports.atn_text import clip_of_key
from mer_data.imports.mat5 import read_variables
from mer_data.problems import BadInput
from mer_data.store import Store
from mer_data.synthetic import read_truth
from mer_data.synthetic.atn import crop_name, key, make_atn, points
from mer_data.synthetic.casting import ClipTruth

LIST, POINTS, CROPS = "Data/Apex_Cropped_images.txt", "Data/OpticalFlowFeatureData.txt", "Data/Apex_Cropped_images"
LBP, HOOF = "Data/LBP_TOP_333_TIM10_8", "Data/HOOF_TIM64_4"
SIZES = {
    **{f"lbp_top_atn_tim{length}_p{count}": (3, 59) for length in (10, 64) for count in (4, 8)},
    **{f"hoof_atn_tim{length}_k{bins}": (bins, cols) for length, cols in ((10, 9), (64, 64)) for bins in (4, 8)},
}


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people and six clips; read only."""
    dest = tmp_path_factory.mktemp("atn") / "ATN"
    make_atn(dest, subjects=3, clips=6, seed=4, size=(48, 56), length=(10, 50))
    return dest


@pytest.fixture
def root(twin: Path, tmp_path: Path) -> Path:
    """A copy of the twin to spoil."""
    return Path(shutil.copytree(twin, tmp_path / "ATN"))


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


# What comes in --------------------------------------------------------------------------------------


def test_the_twin_imports_as_it_was_planted(twin: Path, tmp_path: Path) -> None:
    imported, truths = atn.read([twin]), read_truth(twin)
    assert not schema.find_problems(imported.clips, "twin")
    assert {clip.id for clip in imported.clips} == set(truths) <= set(published("megc2019"))
    for clip in imported.clips:
        truth = truths[clip.id]
        assert (clip.emotion, clip.apex, clip.onset, clip.offset) == (truth.emotion, truth.apex, None, None)
        assert clip.apex_source == ("midpoint" if clip.dataset == "smic" else "annotated")
    assert {one.spec.name: one.spec.shape for one in imported.features} == {
        "apex_gray_224": (1, 224, 224), "atn_points": (64, 128), **SIZES,
    }  # fmt: skip
    store = Store(tmp_path / "store")
    with store.replacing("atn") as writer:
        writer.clips(imported.clips, format_="atn", frame_root=None, notes=imported.notes)
        for one in imported.features:
            writer.feature(one.spec, one.arrays, imported.clips, one.origin)
    for one in imported.features:
        ids = [clip.id for clip in imported.clips]
        np.testing.assert_array_equal(
            store.feature("atn", one.spec.name).gather(ids), [one.arrays[clip_id] for clip_id in ids]
        )


def test_the_same_arguments_give_the_same_twin(twin: Path, tmp_path: Path) -> None:
    make_atn(tmp_path / "again", subjects=3, clips=6, seed=4, size=(48, 56), length=(10, 50))
    for path in sorted(path for path in twin.rglob("*") if path.is_file()):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(twin)).read_bytes(), path


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


def test_points_are_those_of_the_file(twin: Path) -> None:
    found = arrays_of(atn.read([twin]), "atn_points")
    for clip_id, truth in read_truth(twin).items():
        assert found[clip_id].dtype == np.float32
        np.testing.assert_allclose(found[clip_id], points(truth), rtol=1e-6)
    short = next(truth for truth in read_truth(twin).values() if truth.offset - truth.apex < 30)
    assert not found[short.id][-1].any()  # rows after the clip are where the file has them


def test_crops_of_any_size_become_gray_224(root: Path) -> None:
    samm, casme2 = first(root, "samm"), first(root, "casme2")
    rng = np.random.default_rng(1)
    small, full = rng.integers(0, 256, (60, 50), np.uint8), rng.integers(0, 256, (224, 224, 3), np.uint8)
    for truth, pixels in ((samm, small), (casme2, full)):
        (root / CROPS / crop_name(truth)).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    found = arrays_of(atn.read([root]), "apex_gray_224")
    np.testing.assert_array_equal(found[samm.id][0], cv2.resize(small, (224, 224), interpolation=cv2.INTER_LINEAR))
    np.testing.assert_array_equal(found[casme2.id][0], cv2.cvtColor(full, cv2.COLOR_BGR2GRAY))


def test_line_ends_blanks_prefixes_and_the_folder_itself_change_nothing(root: Path) -> None:
    expected = atn.read([root])
    edit(root / LIST, lambda text: "\ufeff" + text.replace("\r\n", "\n\n").replace("casme2-", f"{CROPS}/casme2-"))
    edit(
        root / POINTS,
        lambda text: text.replace("\r\n", "\n").replace("\n ", "\n").replace("samm-6-", "Data\\samm\\6\\"),
    )
    edit(root / LIST, lambda text: text.replace("Apex_Cropped_images/", "Apex_Cropped_images\\"))
    for source in (root, root / "Data"):
        found = atn.read([source])
        assert found.clips == expected.clips
        for before, after in zip(expected.features, found.features, strict=True):
            assert before.spec == after.spec
            for clip_id in before.arrays:
                np.testing.assert_array_equal(before.arrays[clip_id], after.arrays[clip_id])


def test_all_but_the_crops_may_be_absent(root: Path) -> None:
    (root / POINTS).unlink()
    for folder in (root / "Data").glob("*TIM*"):
        shutil.rmtree(folder)
    assert [one.spec.name for one in atn.read([root]).features] == ["apex_gray_224"]


def test_feature_folders_may_lie_anywhere_and_others_are_left_out(root: Path) -> None:
    (root / LBP).rename(root / "tim10")
    (root / HOOF).rename(root / "whatever")
    (root / "caffe").mkdir()
    (root / "caffe/mean.mat").write_bytes(mat(mean=np.ones((3, 3))))
    imported = atn.read([root])
    assert {one.spec.name for one in imported.features} == {"apex_gray_224", "atn_points", *SIZES}
    assert any("no .mat file is named after a clip" in note for note in imported.notes)


def test_differences_to_the_published_list_are_noted(root: Path) -> None:
    assert any("442" in note for note in atn.read([root]).notes)
    name = crop_name(first(root, "samm"))
    edit(root / LIST, lambda text: text.replace(f"{name} 0", f"{name} 1").replace(f"{name} 2", f"{name} 1"))
    assert any("another class" in note and first(root, "samm").id in note for note in atn.read([root]).notes)


def test_histograms_that_do_not_sum_to_one_are_noted(root: Path) -> None:
    path = next((root / HOOF).iterdir())
    path.write_bytes(mat(HOOF=np.ones((4, 64))))
    assert any("do not sum to 1" in note for note in atn.read([root]).notes)


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


# What is wrong ----------------------------------------------------------------------------------------


def test_sources_that_are_not_atn_s_folder(root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for sources in ([], [tmp_path / "empty"], [root, root], [root / LIST]):
        with pytest.raises(BadInput, match="Apex_Cropped_images"):
            atn.read(sources)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda line: line[:-1] + "3", "is not a file and a label"),
        (lambda line: line[:-2], "is not a file and a label"),
        (lambda line: line.replace("casme2-sub", "casme2-s"), "names no clip and frame"),
        (lambda line: line.replace("img", "frame."), "no image"),
        (lambda line: "../" + line, "leads out of"),
        (lambda line: "..\\..\\" + line, "leads out of"),
        (lambda line: "/etc/" + line, "leads out of"),
        (lambda line: "other/" + line, "names no clip and frame"),
        (lambda line: line.replace("img", "img" + "9" * 5000), "names no clip and frame"),
        (lambda line: line.replace("img", "\0img"), "no image"),
    ],
)
def test_a_wrong_line_of_the_list_is_named(root: Path, change: Callable[[str], str], said: str) -> None:
    lines = (root / LIST).read_text().split("\n")
    assert lines[0].startswith("casme2")
    lines[0] = change(lines[0])
    (root / LIST).write_text("\n".join(lines))
    found = [problem for problem in problems_of(root) if "line 1:" in problem]
    assert len(found) == 1
    assert said in found[0]


def test_a_clip_twice_in_the_list_and_a_crop_that_is_not_in_it(root: Path) -> None:
    edit(root / LIST, lambda text: text + text.splitlines()[0].replace("img", "image") + "\n")
    (root / CROPS / "casme2-sub99-EP01-img1.jpg").write_bytes(b"")
    found = problems_of(root)
    assert len(found) == 2
    assert "line 1 too" in found[0]
    assert "has no line" in found[1]


def test_damaged_crops_and_links_that_lead_out(root: Path, tmp_path: Path) -> None:
    broken, linked = (root / CROPS / crop_name(first(root, name)) for name in ("smic", "samm"))
    broken.write_bytes(broken.read_bytes()[:20])
    linked.rename(tmp_path / "outside.jpg")
    linked.symlink_to(tmp_path / "outside.jpg")
    found = problems_of(root)
    assert any("is not a readable image" in problem and broken.name in problem for problem in found)
    assert any("link that leads out" in problem and linked.name in problem for problem in found)


@pytest.mark.parametrize("file", [POINTS, CROPS, LIST, LBP])
def test_nothing_is_read_through_a_link_out_of_the_folder(root: Path, tmp_path: Path, file: str) -> None:
    (root / file).rename(tmp_path / "outside")
    (root / file).symlink_to(tmp_path / "outside")
    if file == LBP:  # found by looking round, so it is simply not seen
        assert "lbp_top_atn_tim10_p8" not in {one.spec.name for one in atn.read([root]).features}
    else:
        assert any("leads out of" in problem for problem in problems_of(root))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: [*lines[:9], *lines[10:]], "line 1: 'casme2-{}' is followed by 63 lines"),
        (lambda lines: [*lines[:9], lines[9].rpartition(" ")[0], *lines[10:]], "line 10: has 127 numbers, not 128"),
        (lambda lines: [*lines[:9], lines[9] + "x", *lines[10:]], "line 10: "),
        (lambda lines: [*lines[:9], "nan " + lines[9].strip().partition(" ")[2], *lines[10:]], "number 1 is nan"),
        (lambda lines: [*lines[:9], "1e39 " + lines[9].strip().partition(" ")[2], *lines[10:]], "number 1 is 1e39"),
        (lambda lines: [*lines[:9], "1_0 " + lines[9].strip().partition(" ")[2], *lines[10:]], "is not a number"),
        (lambda lines: ["nobody", *lines[1:]], "line 1: 'nobody' is not a clip's key"),
        (lambda lines: ["Data/../x", *lines[1:]], "line 1: 'Data/../x' is not a clip's key"),
        (lambda lines: lines[1:], "numbers before the first key"),
        (lambda lines: [*lines[:65], *lines[:65], *lines[65:]], "has a block at line 1 too"),
        (lambda lines: lines[65:], "atn_points is missing for 1 of 6 clips: casme2/"),
        (lambda lines: ["casme2-sub01-EP99", *lines[1:65], *lines], "clips without a label: casme2/sub01/EP99"),
        (lambda lines: [""], "has no lines"),
    ],
)
def test_a_wrong_block_of_points_is_named(root: Path, change: Callable[[list[str]], list[str]], said: str) -> None:
    lines = (root / POINTS).read_text().split("\n")
    (root / POINTS).write_text("\n".join(change(lines)))
    said = said.format(lines[0].partition("-")[2])
    assert any(said in problem and str(root / POINTS) in problem for problem in problems_of(root)), said


def test_a_points_file_that_is_not_text(root: Path) -> None:
    (root / POINTS).write_bytes(b"PK\xff\xfe\x00")
    assert "save it as plain text" in the_problem(root)


HISTOGRAM = np.full((3, 59), 1 / 59)
V73 = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + b"\x89HDF\r\n\x1a\n"
DOUBLE, FUNCTION, OPAQUE = (struct.pack("<4I", 6, 8, number, 0) for number in (6, 16, 17))
OBJECTS = np.array([[1, "x"]], object)


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


def test_all_problems_of_all_files_are_told_together(root: Path) -> None:
    edit(root / LIST, lambda text: "7\r\n".join([text.splitlines()[0][:-1], text.partition("\r\n")[2]]))
    (root / CROPS / crop_name(first(root, "smic"))).write_bytes(b"no image")
    lines = (root / POINTS).read_text().split("\n")
    lines[2], lines[3] = "1 2 3", "nan " * 128
    (root / POINTS).write_text("\n".join(lines))
    mats = sorted((root / HOOF).iterdir())
    mats[0].write_bytes(mats[0].read_bytes()[:150])
    mats[1].write_bytes(V73)
    said = ("line 1: ", "not a readable image", "line 3: has 3 numbers", "line 4: number 1 is nan", "is damaged", "7.3")
    found = problems_of(root)
    assert len(found) == len(said)
    for problem, words in zip(found, said, strict=True):
        assert words in problem


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
