"""The doctor notices what it should, says so in words and in JSON; the contact sheet shows what the store has."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from mer_data.contact_sheet import choose, contact_sheet
from mer_data.doctor import Findings, by_kind, examine
from mer_data.features import FEATURES
from mer_data.formats import import_dataset, read_format
from mer_data.problems import BadInput, Problem
from mer_data.schema import Clip
from mer_data.storage.store import Store
from mer_data.synthetic import make_casme2
from orchestrator.cli import commands as cli

if TYPE_CHECKING:
    from conftest import Casme2Tree

FEATURE = FEATURES["flow_uvs_28"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three subjects, seven clips, crops of about 60x70; read only."""
    dest = tmp_path_factory.mktemp("small") / "CASME2"
    make_casme2(dest, subjects=3, clips=7, length=(4, 5), size=(60, 72))
    return dest


@pytest.fixture
def spoiled(small: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small, tmp_path / "CASME2"))


def _examine(root: Path) -> Findings:
    return examine(read_format("casme2", [root]), "casme2")


def _frame(root: Path, clip: Clip, number: int | None) -> Path:
    return root / "Cropped" / str(clip.frames) / f"reg_img{number}.jpg"


def _mer(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of the command line."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(one) for one in arguments])
    said = capsys.readouterr()
    return int(stop.value.code or 0), said.out, said.err


def test_a_healthy_tree(small: Path) -> None:
    found = _examine(small)
    assert (found.clips, found.subjects, found.looked_at) == (7, 3, 7)
    assert sum(found.emotions.values()) == sum(found.apexes.values()) == 7
    assert (found.repeated, found.still, found.resized, found.unreadable) == ((), (), (), ())
    assert any("all are readable" in line for line in found.remarks())


def test_counts_stand_beside_the_published_ones(small: Path) -> None:
    counts = {name: (here, published) for name, here, published in _examine(small).counts()}
    assert counts["clips"] == (7, (255,))
    assert counts["subjects"] == (3, (26,))
    assert counts["fear"] == (0, (2,))
    unknown = replace(_examine(small), published=None, emotions={"tense": 7})
    assert unknown.counts() == [("clips", 7, ()), ("subjects", 3, ()), ("tense", 7, ())]
    strange = replace(_examine(small), emotions={"tense": 7})
    assert ("tense", 7, (0,)) in strange.counts()


def test_a_copied_folder_is_noticed(spoiled: Path) -> None:
    first, second = read_format("casme2", [spoiled]).clips[:2]
    shutil.copy(_frame(spoiled, first, first.onset), _frame(spoiled, second, second.onset))
    found = _examine(spoiled)
    assert found.repeated == ((first.id, second.id),)
    assert any("folder copied" in line for line in found.remarks())


def test_a_clip_without_motion_is_noticed(spoiled: Path) -> None:
    clip = read_format("casme2", [spoiled]).clips[0]
    shutil.copy(_frame(spoiled, clip, clip.onset), _frame(spoiled, clip, clip.apex))
    found = _examine(spoiled)
    assert (found.still, found.repeated) == ((clip.id,), ())
    assert f"  {clip.id}" in found.remarks()


def test_frames_of_two_sizes_are_noticed(spoiled: Path) -> None:
    clip = read_format("casme2", [spoiled]).clips[0]
    cv2.imwrite(str(_frame(spoiled, clip, clip.apex)), np.zeros((30, 20, 3), np.uint8))
    (one,) = _examine(spoiled).resized
    assert (one.clip, one.other, one.frames) == (clip.id, (20, 30), 1)
    assert one.onset[1] > one.onset[0] > 20  # width, height


def test_a_damaged_frame_is_told_and_the_rest_is_examined(spoiled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = read_format("casme2", [spoiled]).clips
    _frame(spoiled, clips[0], clips[0].apex).write_bytes(b"not a picture")
    status, out, _ = _mer(capsys, "data", "doctor", "casme2", spoiled)
    assert status == 1
    assert "1 frame missing or damaged" in out
    assert clips[0].id in out
    assert "7 clips" in out


def test_clips_without_frames_have_nothing_to_look_at(small: Path) -> None:
    found = examine(replace(read_format("casme2", [small]), frame_root=None), "casme2")
    assert found.looked_at == 0
    assert "frames: none to look at" in found.remarks()


def test_problems_of_a_kind_stand_together() -> None:
    many = [Problem(f"sheet, row {row}", f"no frame {row}", "it has 1 to 9") for row in range(20, 25)]
    lines = by_kind([Problem("sheet, row 3", "unknown emotion 'joy'"), *many])
    assert lines[0] == "5 times: no frame ..."
    assert lines[1] == "  sheet, row 20: no frame 20 (it has 1 to 9)"
    assert lines[4:] == ["  ... and 2 more", "sheet, row 3: unknown emotion 'joy'"]


def test_the_doctor_in_words(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = _mer(capsys, "data", "doctor", "casme2", small)
    assert status == 0
    for text in ("here", "published", "25 or 28", "differs", "apexes: ", "of 7 clips, all from onset to offset"):
        assert text in out
    assert f"next: mer data import casme2 {small} --name casme2" in err


def test_the_doctor_in_json(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = _mer(capsys, "data", "doctor", "casme2", small, "--apex", "spotted", "--json")
    document = json.loads(out)
    assert (status, document["usable"], document["repeated"]) == (0, True, [])
    assert document["counts"][0] == {"name": "clips", "here": 7, "published": [255]}
    # The command it proposes is one that works.
    command = shlex.split(document["next"])
    assert _mer(capsys, *command[1:], "--store", tmp_path / "store")[0] == 0
    assert len(Store(tmp_path / "store").dataset("casme2").clips) == 7


def test_an_unusable_tree(tree: Casme2Tree, capsys: pytest.CaptureFixture[str]) -> None:
    row = ("01", "EP02_01f", "", 46, 59, 86, "", "R1+L2", "joy")
    tree.write_sheet([row, ("02", *row[1:]), ("03", *row[1:])])
    status, out, err = _mer(capsys, "data", "doctor", "casme2", tree.root, "--json")
    document = json.loads(out)
    assert (status, document["usable"]) == (2, False)
    assert any("joy" in problem["what"] for problem in document["problems"])
    assert "3 times: unknown emotion ..." in err
    status, out, _ = _mer(capsys, "data", "doctor", "casme2", tree.root / "absent")
    assert (status, out) == (2, "")


@pytest.fixture
def stored(small: Path, tmp_path: Path) -> Store:
    """The small twin with a feature: u is a ramp, v is blank, strain is white; the last clip lacks it."""
    store = Store(tmp_path / "store")
    imported = import_dataset("casme2", [small], store, "casme2")
    ramp = np.tile(np.arange(28, dtype=np.uint8) * 9, (28, 1))
    maps = np.stack([ramp, np.zeros_like(ramp), np.full_like(ramp, 255)])
    arrays = {clip.id: maps for clip in imported.clips}
    with store.replacing("casme2") as writer:
        writer.clips(imported.clips, format_="casme2", frame_root=imported.frame_root)
        writer.feature(FEATURE, arrays, imported.clips[:-1], "a test")
    return store


def test_a_contact_sheet_has_a_row_per_clip(stored: Store) -> None:
    sheet = contact_sheet(stored, "casme2", 5)
    assert sheet.dtype == np.uint8
    assert sheet.shape == (36 + 5 * 162, 4 + 5 * 124, 3)  # onset, apex, u, v, strain
    rows = sheet[36:].reshape(5, 162, *sheet.shape[1:])
    onsets, apexes = rows[:, 18:158, 4:124], rows[:, 18:158, 128:248]
    assert all((onsets[0] != other).any() for other in onsets[1:])
    assert all((one != other).any() for one, other in zip(onsets, apexes, strict=True))
    assert rows[:, :18].max() > 200  # the clip's name
    assert contact_sheet(stored, "casme2", 50).shape[0] == 36 + 7 * 162


def test_channels_are_enlarged_pixel_by_pixel(stored: Store) -> None:
    imported = stored.dataset("casme2").clips
    sheet = contact_sheet(stored, "casme2", len(imported))
    position = choose(imported, len(imported)).index(imported[0])
    cells = sheet[36 + position * 162 :][18:158]
    u, strain = cells[:, 4 + 2 * 124 :][:, :120], cells[:, 4 + 4 * 124 :][:, :120]
    assert (u[14:126, 4:116:4, 0] == np.arange(28) * 9).all()
    assert (u[14:126, 7:116:4, 0] == np.arange(28) * 9).all()
    assert (strain[14:126, 4:116] == 255).all()
    without = sheet[36 + choose(imported, 7).index(imported[-1]) * 162 :][18:158, 4 + 2 * 124 :]
    assert (without == without[0, 0]).all()


def test_emotions_take_turns() -> None:
    clips = [Clip("d", "d/a", f"{word}{number}", word) for word in ("others", "fear") for number in range(4)]
    assert [clip.name for clip in choose(clips, 3)] == ["fear0", "fear1", "others0"]


def test_without_frames_only_features_are_shown(stored: Store, small: Path) -> None:
    clips = stored.dataset("casme2").clips
    maps = {clip.id: np.zeros(FEATURE.shape, np.uint8) for clip in clips}
    for root in (None, small / "gone"):
        with stored.replacing("casme2") as writer:
            writer.clips(clips, format_="casme2", frame_root=root)
            writer.feature(FEATURE, maps, clips, "a test")
        assert contact_sheet(stored, "casme2").shape[1] == 4 + 3 * 124


def test_nothing_to_show(stored: Store, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with stored.replacing("casme2") as writer:
        writer.clips(stored.dataset("casme2").clips, format_="casme2", frame_root=None)
    with pytest.raises(BadInput, match="nothing to show"):
        contact_sheet(stored, "casme2")
    picture = tmp_path / "sheet.png"
    assert _mer(capsys, "data", "contact", "casme2", picture, "--store", stored.root)[0] == 2
    assert not picture.exists()


def test_the_contact_command(stored: Store, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture = tmp_path / "made" / "sheet.png"
    command = ("data", "contact", "casme2", picture, "--store", stored.root, "--clips", 3)
    assert _mer(capsys, *command)[0] == 0
    assert (cv2.imread(str(picture)) == contact_sheet(stored, "casme2", 3)).all()
    assert [path.name for path in picture.parent.iterdir()] == ["sheet.png"]
    status, _, err = _mer(capsys, *command[:3], picture.with_suffix(".jpg"), *command[4:])
    assert status == 2
    assert "ends in .png" in err
