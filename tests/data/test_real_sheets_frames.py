"""Every frame that features read is checked: missing, of another size, damaged, of 16 bits, turned."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from by_hand import write_sheet
from clips import texture

from mer_data.datasets import casme2
from mer_data.doctor import Findings, examine
from mer_data.features import FEATURES
from mer_data.formats import import_dataset, read_format
from mer_data.frames import decode, missing_between
from mer_data.problems import BadInput
from mer_data.storage.store import Store
from orchestrator.precompute.actors import Extractor
from orchestrator.precompute.missing import ShardFinder

HEADER = ("Subject", "Filename", "", "OnsetFrame", "ApexFrame", "OffsetFrame", "", "Action Units", "Estimated Emotion")
SAMM = ("Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration", "Micro",
        "Action Units", "Estimated Emotion", "Objective Classes", "Notes")  # fmt: skip
LONG = (
    "Subject",
    "Filename",
    "Inducement Code",
    "Onset",
    "Apex",
    "Offset",
    "Duration",
    "Type",
    "Action Units",
    "Notes",
)
FACE = texture(64, 60).astype(np.uint8)


def jpeg(image: np.ndarray = FACE) -> bytes:
    return cv2.imencode(".jpg", image)[1].tobytes()


def damaged() -> bytes:
    data = bytearray(jpeg())
    data[-600:-300] = bytes(300)
    assert cv2.imdecode(np.frombuffer(bytes(data), np.uint8), cv2.IMREAD_COLOR) is not None
    return bytes(data)


def turned(orientation: int) -> bytes:
    """A JPEG that says in its EXIF that it is to be turned."""
    entry = b"\x01\x12\0\x03\0\0\0\x01" + orientation.to_bytes(2, "big") + b"\0\0"
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + entry + b"\0\0\0\0"
    data = jpeg()
    return data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One clip of frames 1 to 9, apex 5."""
    folder = tmp_path / "CASME2/Cropped/sub01/EP02_01f"
    folder.mkdir(parents=True)
    for number in range(1, 10):
        shifted = np.roll(FACE, number, axis=1)
        (folder / f"reg_img{number}.jpg").write_bytes(jpeg(shifted))
    write_sheet(tmp_path / "CASME2/any.xlsx", HEADER, ("01", "EP02_01f", "", 1, 5, 9, "", "4", "disgust"))
    return tmp_path / "CASME2"


def frame(root: Path, number: int) -> Path:
    return root / f"Cropped/sub01/EP02_01f/reg_img{number}.jpg"


def found(root: Path) -> Findings:
    return examine(read_format("casme2", [root]), "casme2")


def test_a_healthy_clip_is_looked_at_from_onset_to_offset(root: Path) -> None:
    assert any("looked at 9 frames of 1 clip, all from onset to offset" in line for line in found(root).remarks())
    assert not found(root).unreadable


def test_missing_frames_are_counted_and_a_regular_step_is_no_gap(root: Path) -> None:
    for number in (3, 4, 8):
        frame(root, number).unlink()
    said = "3 of 9 frames between onset and offset are missing"
    assert any(said in note for note in casme2.read([root]).notes)
    assert any(said in line for line in found(root).remarks())
    assert missing_between(range(10, 60, 2), 10, 58) == (0, 25)
    assert missing_between({*range(10, 60, 2)} - {30}, 10, 58) == (1, 25)
    assert missing_between((1, 9), 1, 9) == (7, 9)


def test_a_frame_of_another_size_anywhere_is_told(root: Path) -> None:
    frame(root, 7).write_bytes(jpeg(FACE[:40, :50]))
    (one,) = found(root).resized
    assert (one.onset, one.other, one.frames) == ((60, 64), (50, 40), 1)


def test_a_damaged_frame_anywhere_is_told_and_the_library_s_warning_is_caught(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    frame(root, 7).write_bytes(damaged())
    capfd.readouterr()
    (problem,) = found(root).unreadable
    assert "reg_img7.jpg" in problem.where
    assert "is damaged: Corrupt JPEG data" in problem.what
    assert capfd.readouterr().err == ""


def test_a_damaged_tiff_is_told_too(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(cv2.imencode(".tif", FACE)[1].tobytes())
    middle = len(data) // 2
    data[middle : middle + len(data) // 8] = bytes(len(data) // 8)
    with pytest.raises(BadInput, match=r"a\.tif: is damaged: LZWDecode: "):
        decode(bytes(data), "a.tif")
    assert capfd.readouterr().err == ""


def test_no_feature_is_made_of_a_damaged_frame(root: Path, tmp_path: Path) -> None:
    frame(root, 5).write_bytes(damaged())
    store = Store(tmp_path / "store")
    import_dataset("casme2", [root], store, "casme2")
    (work,) = ShardFinder(store, store.dataset("casme2")).find([FEATURES["flow_uvs_28"]])
    (made,) = Extractor().make(work)
    assert "is damaged: Corrupt JPEG data" in made.problems[0].what
    assert not store.shards("casme2", "flow_uvs_28")


def test_other_words_on_standard_error_get_through(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = cv2.imdecode

    def talkative(*arguments: object) -> object:
        os.write(2, b"a remark\n")
        return real(*arguments)

    monkeypatch.setattr(cv2, "imdecode", talkative)
    assert decode(jpeg(), "a.jpg").shape == (64, 60, 3)
    assert capfd.readouterr().err == "a remark\n"


def test_sixteen_bits_of_which_few_are_used_are_refused(tmp_path: Path) -> None:
    dark = cv2.imencode(".png", FACE.astype(np.uint16) * 4)[1].tobytes()
    with pytest.raises(BadInput, match=r"a\.png: .*16 bits.*at most 10"):
        decode(dark, "a.png")
    full = cv2.imencode(".png", FACE.astype(np.uint16) * 257)[1].tobytes()
    assert np.array_equal(decode(full, "a.png"), FACE)


def test_a_turned_picture_is_turned_back() -> None:
    assert decode(turned(1), "a.jpg").shape == (64, 60, 3)
    assert decode(turned(6), "a.jpg").shape == (60, 64, 3)
    assert np.array_equal(decode(turned(6), "a.jpg"), np.rot90(decode(turned(1), "a.jpg"), -1))


@pytest.mark.parametrize("suffix", [".tif", ".tiff", ".webp", ".jp2"])
def test_frames_of_other_formats_are_read(root: Path, suffix: str) -> None:
    for number in range(1, 10):
        image = cv2.imdecode(np.frombuffer(frame(root, number).read_bytes(), np.uint8), cv2.IMREAD_COLOR)
        frame(root, number).with_suffix(suffix).write_bytes(cv2.imencode(suffix, image)[1].tobytes())
        frame(root, number).unlink()
    assert casme2.read([root]).clips[0].offset == 9
    assert not found(root).unreadable


def samm(root: Path) -> Path:
    write_sheet(root / "any.xlsx", SAMM, ("006", "006_1_2", 1, 1, 5, 9, 9, "Micro - 1/2", "4", "Anger", 3, ""))
    (root / "SAMM_CROP/006/006_1_2").mkdir(parents=True)
    return root


def long(root: Path) -> Path:
    write_sheet(root / "any.xlsx", LONG, ("006", "006_1_2", 1, 1, 5, 9, 9, "Micro - 1/2", "4", ""))
    (root / "SAMM_longvideos/006_1").mkdir(parents=True)
    return root


@pytest.mark.parametrize(
    ("format_", "make", "looks_like"), [("samm", long, "samm_lv"), ("samm_lv", samm, "samm"), ("casme", samm, "samm")]
)
def test_the_format_that_a_source_looks_like_is_named(
    tmp_path: Path, format_: str, make: Callable[[Path], Path], looks_like: str
) -> None:
    with pytest.raises(BadInput, match=rf"looks like {looks_like}, not {format_}") as refused:
        read_format(format_, [make(tmp_path)])
    assert f"import it as {looks_like}" in refused.value.problems[0].remedy
