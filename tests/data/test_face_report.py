"""What `mer data doctor --faces` says of the faces in whole pictures, and what a contact sheet shows of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mer_data import face_report
from mer_data.contact_sheet import contact_sheet
from mer_data.face_report import examine_faces
from mer_data.faces.alignment import ALIGNMENTS
from mer_data.faces.finder import Face
from mer_data.formats import import_dataset, read_format, read_points
from mer_data.frames import list_frames
from mer_data.imported import Imported
from mer_data.problems import BadInput
from mer_data.storage.store import Store
from mer_data.synthetic import TWINS
from mer_data.variants import Variant, prepare
from orchestrator.cli import commands as cli

POINTS = np.array([(60, 60), (110, 60), (85, 90), (66, 115), (104, 115)], np.float32)
BOX = (40.0, 30.0, 130.0, 140.0)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    dest = tmp_path / "SAMM"
    TWINS["samm"](dest, subjects=2, clips=4, length=(4, 5), raw=True, scale=0.34)
    return dest


def onset_of(imported: Imported, number: int) -> Path:
    clip = imported.clips[number]
    return list_frames(imported.frame_root / clip.frames)[clip.onset]


def blank(path: Path) -> None:
    height, width = cv2.imread(str(path)).shape[:2]
    cv2.imwrite(str(path), np.full((height, width), 90, np.uint8))


def test_a_twin_is_faultless_and_a_blank_picture_is_named(tree: Path) -> None:
    imported = read_format("samm", [tree])
    assert examine_faces(imported).faultless
    blank(onset_of(imported, 1))
    found = examine_faces(imported)
    assert list(found.missing) == [imported.clips[1].id]
    assert any("1 clip without a face that can be aligned" in line for line in found.remarks())


@pytest.mark.parametrize(
    ("onset", "apex", "what", "words"),
    [
        (Face(BOX, POINTS * 0.4), Face(BOX, POINTS * 0.4), "tiny", "20 px"),
        (Face(BOX, POINTS @ np.array([[0.9, 0.44], [-0.44, 0.9]])), None, "turned", "26 degrees"),
        (Face(BOX, POINTS), Face(BOX, POINTS + 8), "jumping", "23 % of the distance"),
        (Face(BOX, POINTS), None, "jumping", "999 % of the distance"),
        (Face(BOX, POINTS, 2), Face(BOX, POINTS), "several", "3 faces"),
    ],
)
def test_what_is_remarkable(
    tree: Path, monkeypatch: pytest.MonkeyPatch, onset: Face, apex: Face | None, what: str, words: str
) -> None:
    monkeypatch.setattr("mer_data.faces.aligner.find_face", lambda image: onset)
    monkeypatch.setattr(face_report, "find_face", lambda image: apex)
    imported = read_format("samm", [tree])
    found = examine_faces(imported)
    assert set(getattr(found, what)) == {clip.id for clip in imported.clips}
    assert any(words in line for line in found.remarks()), found.remarks()


def test_points_of_a_sheet_take_the_place_of_the_detector(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imported = read_format("samm", [tree])
    monkeypatch.setattr("mer_data.faces.mtcnn.installed", lambda: None)
    marked = read_points(tree / "landmarks.csv", imported)
    found = examine_faces(imported, marked)
    assert found.faultless
    assert found.marked == 4
    with pytest.raises(BadInput, match="no detector of faces is installed, and 4 clips are in no sheet"):
        examine_faces(imported)


def test_a_sheet_of_other_pictures_is_refused_and_nothing_is_written(tree: Path, tmp_path: Path) -> None:
    sheet, store = tree / "landmarks.csv", Store(tmp_path / "store")
    text = sheet.read_text().splitlines()
    sheet.write_text("\n".join([text[0], *(line.replace("694,370", "1388,740") for line in text[1:])]))
    with pytest.raises(BadInput) as caught:
        import_dataset("samm", [tree], store, "samm", landmarks=sheet)
    assert len(caught.value.problems) == 4
    assert "row 2: was marked in a picture of 1388x740, and the clip's onset frame is 694x370" in str(caught.value)
    cells = text[2].rsplit(",", 2)[0].split(",")
    cells[4] = "900"  # right eye, x
    sheet.write_text("\n".join([text[0].rsplit(",", 2)[0], ",".join(cells)]))
    with pytest.raises(BadInput, match=r"row 2: its points reach to x 900, y [\d.]+, and its onset frame is 694x370"):
        import_dataset("samm", [tree], store, "samm", landmarks=sheet)
    assert store.names() == []


def test_the_command_tells_and_counts_missing_faces(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blank(onset_of(read_format("samm", [tree]), 0))
    with pytest.raises(SystemExit) as stopped:
        cli.main(["data", "doctor", "samm", str(tree), "--faces", "--json"])
    assert stopped.value.code == 1
    assert len(json.loads(capsys.readouterr().out)["faces"]["missing"]) == 1


def test_a_contact_sheet_shows_the_face_in_the_picture_and_both_frames_aligned(tree: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    imported = import_dataset("samm", [tree], store, "samm", landmarks=tree / "landmarks.csv")
    shown = contact_sheet(store, "samm", 4)
    assert shown.shape == (36 + 4 * 162, 4 + 248 + 5 * 124, 3), "a wide cell, then onset, apex, u, v, strain"
    mark = (shown == (60, 200, 255)).all(-1)
    assert mark[:, 4:248].any(), "the box"
    assert not mark[:, 252:].any()
    prepare(store, "samm", Variant(ALIGNMENTS["box"]))
    assert (contact_sheet(store, "samm@align-box", 4) != shown).any()
    clips = [replace(clip, landmarks=None) for clip in imported.clips]
    with store.replacing("samm") as writer:
        writer.clips(clips, format_="samm", frame_root=imported.frame_root, raw=True)
    for number in range(4):
        blank(onset_of(imported, number))
    without = contact_sheet(store, "samm", 4)
    cells = without[36 + 18 : 36 + 158]
    assert (cells[:, 256:] == cells[0, 256]).all(), "no face, so nothing is aligned"
    assert (cells[:, 4:252] == 90).any(), "the picture is shown"
