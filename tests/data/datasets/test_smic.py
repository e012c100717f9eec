"""The importers of SMIC's three cameras: the twins, every quirk of the real folders, and every error told."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
from by_hand import assert_told

from mer_data import schema
from mer_data.datasets import smic
from mer_data.frames import list_frames
from mer_data.imported import Imported
from mer_data.problems import BadInput
from mer_data.schema import Clip
from mer_data.synthetic.smic import make_smic, make_smic_nir, make_smic_vis
from mer_data.synthetic.twin import read_truth

SMALL = {"seed": 2, "size": (32, 40), "length": (4, 6)}
BMP = cv2.imencode(".bmp", np.zeros((8, 6, 3), np.uint8))[1].tobytes()
CROPPED = "SMIC_all_cropped/HS"


def _write_clip(folder: Path, numbers: Iterable[int], name: str = "reg_image{:06}.bmp") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / name.format(number)).write_bytes(BMP)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One good clip of the high-speed camera."""
    folder = tmp_path / "SMIC"
    _write_clip(folder / CROPPED / "s1/micro/negative/s1_ne_01", range(76533, 76554))
    return folder


def _problems(root: Path) -> list[str]:
    with pytest.raises(BadInput) as caught:
        smic.read_hs([root])
    return [str(problem) for problem in caught.value.problems]


def _only(root: Path) -> tuple[Clip, tuple[str, ...]]:
    imported = smic.read_hs([root])
    assert not schema.find_problems(imported.clips, "folder")
    (clip,) = imported.clips
    return clip, imported.notes


@pytest.mark.parametrize(
    ("make", "read", "subjects", "clips"),
    [(make_smic, smic.read_hs, 5, 22), (make_smic_vis, smic.read_vis, 2, 4), (make_smic_nir, smic.read_nir, 2, 4)],
    ids=["hs", "vis", "nir"],
)
def test_the_twin_imports_as_it_was_planted(
    tmp_path: Path, make: Callable[..., None], read: Callable[..., Imported], subjects: int, clips: int
) -> None:
    make(tmp_path / "twin", subjects=subjects, clips=clips, **SMALL)
    truths = read_truth(tmp_path / "twin")
    imported = read([tmp_path / "twin"])
    assert not schema.find_problems(imported.clips, "twin")
    assert len(imported.clips) == clips
    assert [clip.id for clip in imported.clips] == list(truths)
    for clip in imported.clips:
        truth = truths[clip.id]
        assert (clip.onset, clip.apex, clip.offset) == (truth.onset, truth.apex, truth.offset)
        assert (clip.emotion, clip.apex_source, clip.action_units) == (truth.emotion, "midpoint", None)
        frames = list_frames(imported.frame_root / clip.frames)
        assert cv2.imread(str(frames[truth.apex])).shape == (truth.height, truth.width, 3)
    folders = {Path(clip.frames).name for clip in imported.clips}
    assert ("s1_ne_01" in folders) == (make is make_smic)
    assert sum("missing on disk" in note for note in imported.notes) == (2 if clips > 20 else 1)
    assert sum("non_micro" in note for note in imported.notes) == 1
    assert next((tmp_path / "twin").rglob("Thumbs.db"))


def test_the_twin_has_numbers_of_all_widths_and_only_the_published_subjects(tmp_path: Path) -> None:
    make_smic(tmp_path / "twin", subjects=7, clips=7, **SMALL)
    stems = [path.stem.removeprefix("reg_image") for path in (tmp_path / "twin").rglob("*.bmp")]
    assert {len(stem) for stem in stems} == {6, 7, 8}
    assert any(stem.startswith("0") for stem in stems)
    assert {truth.subject for truth in read_truth(tmp_path / "twin").values()} == {
        "s01", "s02", "s03", "s04", "s05", "s06", "s08",
    }  # fmt: skip


def test_a_folder_becomes_a_clip(root: Path) -> None:
    imported = smic.read_hs([root])
    tree = root / CROPPED
    expected = Clip(
        "smic", "smic/s01", "s01_ne_01", "negative", 76533, 76543, 76553, "midpoint", None, 100.0,
        "s1/micro/negative/s1_ne_01",
    )  # fmt: skip
    notes = (f"{tree}: no apex is annotated; the middle frame is used for all 1 clips",)
    assert imported == Imported((expected,), tree, tree, notes)


def test_the_apex_can_be_spotted(root: Path) -> None:
    imported = smic.read_hs([root], "spotted")
    assert imported.clips[0].apex_source == "spotted"
    assert "the frame of most motion is used" in imported.notes[0]


@pytest.mark.parametrize("first", [1, 76_533, 559_740, 1_038_189, 17_581_039])
def test_frame_numbers_of_six_to_eight_digits(root: Path, first: int) -> None:
    shutil.rmtree(root / CROPPED)
    _write_clip(root / CROPPED / "s1/micro/negative/s1_ne_01", range(first, first + 11))
    clip, _ = _only(root)
    assert (clip.onset, clip.apex, clip.offset) == (first, first + 5, first + 10)


def test_numbers_that_gain_a_digit_within_a_clip(root: Path) -> None:
    shutil.rmtree(root / CROPPED)
    _write_clip(root / CROPPED / "s1/micro/negative/s1_ne_01", range(999_995, 1_000_004))
    assert (_only(root)[0].onset, _only(root)[0].offset) == (999_995, 1_000_003)


@pytest.mark.parametrize("subject", ["s1", "s01", "S1"])
@pytest.mark.parametrize("prefix", ["s1", "s01"])
def test_subjects_and_clips_with_and_without_the_zero(root: Path, subject: str, prefix: str) -> None:
    shutil.rmtree(root / CROPPED)
    _write_clip(root / CROPPED / subject / f"micro/surprise/{prefix}_sur_02", range(100, 120))
    clip, _ = _only(root)
    assert (clip.id, clip.emotion) == ("smic/s01/s01_sur_02", "surprise")


def test_non_micro_is_left_out_and_counted(root: Path) -> None:
    _write_clip(root / CROPPED / "s1/non_micro/s1_non_micro_01", range(5))
    _write_clip(root / CROPPED / "s7/non_micro/s7_non_micro_01", range(5))
    clip, notes = _only(root)
    assert clip.name == "s01_ne_01"
    assert notes[-1].endswith("2 folders non_micro, without micro-expressions, are left out")


def test_a_missing_number_is_noted(root: Path) -> None:
    folder = root / CROPPED / "s1/micro/negative/s1_ne_01"
    for number in (76540, 76543):
        (folder / f"reg_image{number:06}.bmp").unlink()
    clip, notes = _only(root)
    assert clip.apex == 76542
    assert notes[:2] == (
        f"{folder}: missing on disk: frame 76540, 76543",
        f"{folder}: the middle frame 76543 is missing on disk; frame 76542 is used",
    )


def test_stray_files_are_ignored(root: Path) -> None:
    clip = root / CROPPED / "s1/micro/negative/s1_ne_01"
    for folder in (root, *clip.parents[:5], clip):
        for name in ("Thumbs.db", ".DS_Store", "._reg_image000001.bmp"):
            (folder / name).touch()
    assert _only(root)[0].onset == 76533


@pytest.mark.parametrize(
    "top",
    ["SMIC_all_cropped/HS", "SMIC_all_cropped", "SMIC_all_cropped/SMIC_all_cropped/HS", "SMIC_all_raw/HS/HS", "HS", ""],
)
def test_trees_with_and_without_levels(root: Path, top: str) -> None:
    shutil.rmtree(root / "SMIC_all_cropped")
    _write_clip(root / top / "s1/micro/negative/s1_ne_01", range(5), "image{:06}.bmp")
    imported = smic.read_hs([root])
    assert imported.frame_root == (root / top)
    assert any("whole frames" in note for note in imported.notes) == ("raw" in top)
    assert any("taken for that camera's" in note for note in imported.notes) == ("HS" not in top)
    assert smic.read_hs([root / top]).clips == imported.clips


def test_crops_are_preferred_and_missing_ones_taken_from_the_raw_tree(root: Path) -> None:
    _write_clip(root / "SMIC_all_raw/HS/s2/micro/positive/s2_po_01", range(5))
    assert smic.read_hs([root]).frame_root == root / CROPPED
    (root / CROPPED).rename(root / "SMIC_all_cropped/VIS")
    assert smic.read_hs([root]).frame_root == root / "SMIC_all_raw/HS"


def test_each_format_picks_its_own_camera(root: Path) -> None:
    for camera in ("VIS", "NIR"):
        _write_clip(root / f"SMIC_all_cropped/{camera}/s11/micro/positive/s11_po_01", range(5))
    read = {smic.read_hs: "HS", smic.read_vis: "VIS", smic.read_nir: "NIR"}
    found = {camera: reader([root]).clips[0] for reader, camera in read.items()}
    assert [clip.dataset for clip in found.values()] == ["smic", "smic_vis", "smic_nir"]
    assert [clip.fps for clip in found.values()] == [100.0, 25.0, 25.0]
    assert found["VIS"].id == "smic_vis/s11/s11_po_01"
    with pytest.raises(BadInput, match=r"VIS: is the folder of camera VIS, not HS .*import this one as smic_vis"):
        smic.read_hs([root / "SMIC_all_cropped/VIS"])
    shutil.rmtree(root / "SMIC_all_cropped/NIR")
    with pytest.raises(BadInput, match="no folder of SMIC's camera NIR"):
        smic.read_nir([root])


def test_all_problems_of_all_folders_are_told_together(root: Path) -> None:
    tree = root / CROPPED
    negative = tree / "s1/micro/negative"
    _write_clip(tree / "s1/micro/suprise/s1_sur_01", range(5))
    _write_clip(tree / "s1/micro/positive/s1_ne_02", range(5))
    _write_clip(negative / "s2_ne_03", range(5))
    _write_clip(negative / "s01_ne_01", range(5))
    _write_clip(negative / "s1_ne_04", [])
    _write_clip(negative / "s1_ne_05", [7])
    _write_clip(negative / "s1_ne_06", [1, 2, 3, 100])
    _write_clip(negative / "s1_ne_07", range(5), "image.bmp")
    _write_clip(negative / "s1_ne_08", range(5))
    (negative / "s1_ne_08/image00003.bmp").write_bytes(BMP)
    (tree / "s2").mkdir()
    expected = [
        f"{negative}/s1_ne_01: is clip s01_ne_01, as s01_ne_01 is",
        f"{negative}/s1_ne_04: no frames in this folder",
        f"{negative}/s1_ne_05: only one frame in this folder",
        f"{negative}/s1_ne_06: 96 frames are missing between 1 and 100, more than there are",
        f"{negative}/s1_ne_07/image.bmp: has no frame number in its name",
        f"{negative}/s1_ne_08: image00003.bmp and reg_image000003.bmp are both frame 3",
        f"{negative}/s2_ne_03: 's2_ne_03' is not the name of a clip of s01, negative (expected s01_ne_01",
        f"{tree}/s1/micro/positive/s1_ne_02: 's1_ne_02' is not the name of a clip of s01, positive",
        f"{tree}/s1/micro/suprise: unknown emotion 'suprise' (did you mean 'surprise'?)",
        f"{tree}/s2: holds neither micro nor non_micro",
    ]
    found = _problems(root)
    assert_told(found, expected)


def test_a_link_out_of_the_tree_is_refused(root: Path, tmp_path: Path) -> None:
    clip = root / CROPPED / "s1/micro/negative/s1_ne_01"
    clip.rename(tmp_path / "outside")
    clip.symlink_to(tmp_path / "outside")
    (problem,) = _problems(root)
    assert "leads out of this folder" in problem


def test_two_folders_of_one_subject_are_a_problem(root: Path) -> None:
    (root / CROPPED / "s01").mkdir()
    assert "s01 and s1 are one subject" in _problems(root)[0]


def test_frames_that_cannot_be_read_are_told_when_they_are_needed(root: Path) -> None:
    folder = root / CROPPED / "s1/micro/negative/s1_ne_01"
    (folder / "reg_image076540.bmp").write_bytes(BMP[:20])
    assert smic.read_hs([root]).clips
    with pytest.raises(BadInput, match=r"reg_image076540\.bmp: is not a readable image"):
        smic.read_hs([root], "spotted")


def test_folders_without_clips_and_sources_that_are_none(root: Path, tmp_path: Path) -> None:
    shutil.rmtree(root / CROPPED / "s1/micro/negative/s1_ne_01")
    assert "no micro-expressions in this folder" in _problems(root)[0]
    (tmp_path / "empty").mkdir()
    assert _problems(tmp_path / "empty")[0].startswith(f"{tmp_path / 'empty'}: no folder of SMIC's camera HS")
    _write_clip(tmp_path / "HS_long/SMIC-HS-E/s01/s01_ne_01", range(5), "image{:06}.jpg")
    assert "SMIC-E, has formats of its own, such as smic_e" in _problems(tmp_path / "HS_long/SMIC-HS-E")[0]
    (tmp_path / "smic.xlsx").touch()
    assert "SMIC has no sheet" in _problems(tmp_path / "smic.xlsx")[0]
    with pytest.raises(BadInput, match="cannot be used"):
        smic.read_hs([])
