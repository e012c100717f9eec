"""A contact sheet shows stored maps of any kind, and flow of its own while there are none."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mer_data.contact_sheet import choose, contact_sheet
from mer_data.features import FEATURES
from mer_data.features.flow import grey, tvl1
from mer_data.features.spec import FeatureSpec
from mer_data.features.strain import standard
from mer_data.formats import import_dataset
from mer_data.frames import list_frames
from mer_data.problems import BadInput
from mer_data.storage.store import Store
from mer_data.synthetic import make_casme2

_ROW, _CELL = 162, 124


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two subjects, four clips, crops of about 60x70; read only."""
    dest = tmp_path_factory.mktemp("small") / "CASME2"
    make_casme2(dest, subjects=2, clips=4, length=(4, 5), size=(60, 72))
    return dest


@pytest.fixture
def store(small: Path, tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    import_dataset("casme2", [small], store, "casme2")
    return store


def _store(store: Store, spec: FeatureSpec, *arrays: np.ndarray) -> None:
    """A feature of the first clips, in the order of the contact sheet."""
    known = store.dataset("casme2")
    chosen = choose(known.clips, len(arrays))
    with store.replacing("casme2") as writer:
        writer.clips(known.clips, format_="casme2", frame_root=known.frame_root)
        writer.feature(spec, {clip.id: array for clip, array in zip(chosen, arrays, strict=True)}, chosen, "a test")


def _restore(store: Store, **changed: object) -> None:
    """The clips changed, without features."""
    known = store.dataset("casme2")
    with store.replacing("casme2") as writer:
        clips = [replace(clip, **changed) for clip in known.clips]
        writer.clips(clips, format_="casme2", frame_root=known.frame_root)


def _cell(sheet: np.ndarray, row: int, column: int) -> np.ndarray:
    left = 4 + column * _CELL
    return sheet[36 + row * _ROW :][18:158, left : left + 120]


def test_flow_is_computed_while_none_is_stored(store: Store) -> None:
    """It looks like the same flow in the store."""
    sheet = contact_sheet(store, "casme2", 4)
    assert sheet.shape == (36 + 4 * _ROW, 4 + 5 * _CELL, 3)  # onset, apex, u, v, strain
    dataset = store.dataset("casme2")
    clip = choose(dataset.clips, 1)[0]
    frames = list_frames(dataset.frame_root / clip.frames)
    flow = tvl1(*(grey(cv2.imread(str(frames[number]))) for number in (clip.onset, clip.apex)))
    maps = np.stack([*flow, standard(flow)])
    spec = FeatureSpec("flow", 1, "onset-apex", ("u", "v", "strain"), maps.shape[1:], "float32", {}, lambda _: maps)
    _store(store, spec, maps)
    shown, row = contact_sheet(store, "casme2", 1), choose(dataset.clips, 4).index(clip)
    for column in range(5):
        np.testing.assert_array_equal(_cell(shown, 0, column), _cell(sheet, row, column))
    for row in range(4):
        strain = _cell(sheet, row, 4)
        assert strain.max() == 255
        assert strain.mean() < _cell(sheet, row, 3).mean()  # dark, since it is never negative


def test_floats_are_shown_around_grey(store: Store) -> None:
    array = np.stack([np.full((28, 28), -2.0), np.linspace(-1, 3, 784).reshape(28, 28), np.full((28, 28), 0.5)])
    _store(store, FEATURES["flow_raw_28"], array.astype(np.float32))
    sheet = contact_sheet(store, "casme2", 1)
    middle = [int(_cell(sheet, 0, column)[70, 60, 0]) for column in (2, 3, 4)]
    assert middle == [0, pytest.approx(127.5 * (1 + 1 / 3), abs=3), 255]


def test_what_is_no_picture_is_left_out(store: Store) -> None:
    spec = FEATURES["flow_raw_28"]
    plain = FeatureSpec("volume", 1, "onset-apex", (), (3, 28, 28), "float32", {}, spec.compute)
    _store(store, plain, np.ones((3, 28, 28), np.float32))
    assert contact_sheet(store, "casme2", 1).shape[1] == 4 + 5 * _CELL  # flow of its own instead


def test_frames_are_cropped_to_the_face(store: Store) -> None:
    _restore(store, face=(10, 12, 30, 40))
    dataset = store.dataset("casme2")
    clip = choose(dataset.clips, 1)[0]
    frame = cv2.imread(str(list_frames(dataset.frame_root / clip.frames)[clip.onset]))
    enlarged = frame[12:52, 10:40].repeat(3, axis=0).repeat(3, axis=1)
    np.testing.assert_array_equal(_cell(contact_sheet(store, "casme2", 1), 0, 0)[10:130, 15:105], enlarged)


def test_frames_of_two_sizes_are_named(store: Store, small: Path, tmp_path: Path) -> None:
    clip = choose(store.dataset("casme2").clips, 1)[0]
    root = Path(shutil.copytree(small, tmp_path / "CASME2"))
    path = list_frames(root / "Cropped" / clip.frames)[clip.apex]
    cv2.imwrite(str(path), np.zeros((31, 40, 3), np.uint8))
    import_dataset("casme2", [root], store, "casme2")
    with pytest.raises(BadInput, match=rf"clip {clip.id}: the frames differ in size: \d+x\d+ and 40x31"):
        contact_sheet(store, "casme2", 1)
    _restore(store, apex=None, apex_source=None)
    cells = [_cell(contact_sheet(store, "casme2", 1), 0, column) for column in (1, 2, 3, 4)]
    assert all((cell == cell[0, 0]).all() for cell in cells)
