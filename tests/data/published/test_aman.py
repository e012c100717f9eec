"""Importing AMAN's trees: order by number, lazy arrays, and everything wrong said together."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mer_data import schema
from mer_data.composites import published
from mer_data.problems import BadInput
from mer_data.published import aman, aman_files
from mer_data.published.megc2019 import clip_id
from mer_data.storage.store import Store
from mer_data.synthetic import read_truth
from mer_data.synthetic.aman import make_aman

MAP = (256, 14, 14)


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people and six clips, two magnifications of 2 to 4 frames; read only."""
    dest = tmp_path_factory.mktemp("aman") / "AMAN"
    make_aman(dest, subjects=3, clips=6, seed=4, frames=2, size=(32, 40))
    return dest


@pytest.fixture
def root(twin: Path, tmp_path: Path) -> Path:
    """A copy of the twin to spoil."""
    return Path(shutil.copytree(twin, tmp_path / "AMAN"))


@pytest.fixture
def numbered(tmp_path: Path) -> Path:
    """Two clips whose values tell frame and factor: 12 frames from 8 to 19, and 3 frames."""
    for name, frames in (("EP02_01f1", range(8, 20)), ("EP03_020", (1, 2, 10))):
        for frame in frames:
            folder = tmp_path / "maps/sub01" / name / f"img{frame}"
            folder.mkdir(parents=True)
            np.save(folder / "feature512.npy", np.full((2, *MAP), frame, np.float32))
            pictures = tmp_path / "images/sub01" / name[:-1] / f"img{frame}"
            pictures.mkdir(parents=True)
            for factor, spelled in ((2, "2.0"), (4, "4"), (10, "10.06")):
                write_jpeg(pictures / f"{spelled}.jpg", frame * 10 + factor)
    return tmp_path


def write_jpeg(path: Path, level: int, size: tuple[int, int] = (16, 24)) -> None:
    path.write_bytes(cv2.imencode(".jpg", np.full((*size, 3), level, np.uint8))[1].tobytes())


def problems_of(*sources: Path) -> list[str]:
    with pytest.raises(BadInput) as caught:
        aman.read(sources)
    return [str(problem) for problem in caught.value.problems]


def the_problem(*sources: Path) -> str:
    (problem,) = problems_of(*sources)
    return problem


def a_map(root: Path) -> Path:
    return sorted((root / "features").rglob("*.npy"))[0]


# What comes in --------------------------------------------------------------------------------------


def test_the_twin_imports_as_it_was_planted(twin: Path, tmp_path: Path) -> None:
    imported, truths = aman.read([twin]), read_truth(twin)
    assert not schema.find_problems(imported.clips, "twin")
    assert {clip.id: clip.emotion for clip in imported.clips} == {key: one.emotion for key, one in truths.items()}
    assert set(truths) <= set(published("megc2019"))
    store = Store(tmp_path / "store")
    with store.replacing("aman") as writer:
        writer.clips(imported.clips, format_="aman", frame_root=None, notes=imported.notes)
        for one in imported.features:
            writer.feature(one.spec, one.arrays, imported.clips, one.origin)
    maps, images = store.feature("aman", "aman_maps"), store.feature("aman", "magnified")
    assert (maps.shape, maps.dtype) == ((2, 2, *MAP), np.float16)
    assert (images.shape, images.dtype) == ((2, 2, 40, 32, 3), np.uint8)
    for clip in imported.clips:
        (folder,) = (twin / "features").glob(f"*/{clip.name}?")
        last = max(folder.iterdir(), key=lambda path: int(path.name))
        stored = maps.gather([clip.id])[0]
        np.testing.assert_array_equal(stored[-1], np.load(last / "feature512.npy").astype(np.float16))
        image = cv2.imread(str(next((twin / "images").glob(f"*/{clip.name}/{last.name}/12.0.jpg"))))
        np.testing.assert_array_equal(images.gather([clip.id])[0, -1, -1], image)


def test_the_same_arguments_give_the_same_twin(twin: Path, tmp_path: Path) -> None:
    make_aman(tmp_path / "again", subjects=3, clips=6, seed=4, frames=2, size=(32, 40))
    for path in sorted(path for path in twin.rglob("*") if path.is_file()):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(twin)).read_bytes(), path


def test_clips_are_sampled_evenly_in_the_order_of_numbers(numbered: Path) -> None:
    imported = aman.read([numbered])
    maps, images = (one.arrays for one in imported.features)
    # 12 frames, 8 to 19, down to the 3 of the other clip: positions 0, 5.5 and 11, a half going to the even one.
    for clip, frames in (("EP02_01f", (8, 14, 19)), ("EP03_02", (1, 2, 10))):
        found = maps[f"casme2/sub01/{clip}"]
        assert found.dtype == np.float16
        assert found[:, 0, 0, 0, 0].tolist() == list(frames)
        levels = images[f"casme2/sub01/{clip}"].mean(axis=(2, 3, 4))
        np.testing.assert_allclose(levels, [[frame * 10 + factor for factor in (2, 4, 10)] for frame in frames], atol=1)
    assert imported.features[1].spec.params["factors"] == [2.0, 4.0, 10.06]
    assert "np.linspace" in imported.features[0].spec.params["frames"]
    assert any("3 to 12 frames; 3 of each" in note for note in imported.notes)


def test_no_more_than_eleven_frames_are_taken(numbered: Path) -> None:
    shutil.rmtree(numbered / "maps/sub01/EP03_020")
    shutil.rmtree(numbered / "images")
    (feature,) = aman.read([numbered / "maps"]).features
    assert feature.spec.shape == (11, 2, *MAP)


def test_arrays_are_read_when_they_are_asked_for(twin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = aman.read([twin]).features[0].arrays
    read: list[Path] = []
    load = aman_files.load_map
    monkeypatch.setattr(arrays, "_load", lambda path: read.append(path) or load(path))
    clips = list(arrays)
    assert len(arrays) == 6
    assert not read
    assert arrays[clips[0]].shape == (2, 2, *MAP)
    assert len(read) == 2


def test_the_trees_may_be_given_apart_and_together(twin: Path) -> None:
    whole = aman.read([twin])
    assert aman.read([twin / "images", twin / "features"]).clips == whole.clips
    assert [one.spec.name for one in aman.read([twin / "features"]).features] == ["aman_maps"]


def test_stray_files_and_labels_in_the_images_folders_change_nothing(numbered: Path) -> None:
    expected = aman.read([numbered])
    arrays = [dict(one.arrays) for one in expected.features]
    for folder in ("", "maps", "maps/sub01", "maps/sub01/EP03_020", "maps/sub01/EP03_020/img1", "images/sub01"):
        (numbered / folder / ".DS_Store").touch()
        (numbered / folder / "Thumbs.db").touch()
    (numbered / "images/sub01/EP03_02").rename(numbered / "images/sub01/EP03_020")
    (numbered / "maps/sub01/EP03_020/img1/feature512.npy").rename(numbered / "maps/sub01/EP03_020/img1/x.npy")
    found = aman.read([numbered])
    assert found.clips == expected.clips
    for one, before in zip(found.features, arrays, strict=True):
        for key, array in before.items():
            np.testing.assert_array_equal(one.arrays[key], array)


def test_names_are_those_of_the_published_list() -> None:
    assert clip_id("6", "006_1_2") == clip_id("006", "006_1_2") == "samm/006/006_1_2"
    assert clip_id("s1", "s1_ne_01") == clip_id("s01", "s01_ne_01") == "smic/s01/s01_ne_01"
    assert clip_id("sub01", "../x") is None
    assert clip_id("nobody", "EP01") is None


def test_labels_above_two_are_classes_without_words(numbered: Path) -> None:
    assert [clip.emotion for clip in aman.read([numbered]).clips] == ["positive", "negative"]
    (numbered / "maps/sub01/EP03_020").rename(numbered / "maps/sub01/EP03_024")
    imported = aman.read([numbered])
    assert [clip.emotion for clip in imported.clips] == ["class-1", "class-4"]
    assert any("4 is class-4" in note for note in imported.notes)


# What is wrong ----------------------------------------------------------------------------------------


def test_sources_that_are_no_trees_of_maps(twin: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    maps, images = twin / "features", twin / "images"
    for sources in ([], [tmp_path / "empty"], [images], [maps, maps], [maps, images, images], [a_map(twin)]):
        assert "feature512.npy" in the_problem(*sources)


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


GOOD = np.ones((2, *MAP), np.float32)
WITH_NAN = GOOD.copy()
WITH_NAN[1, 200, 3, 4] = np.nan


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (npy(GOOD)[:5000], "is damaged"),
        (npy(GOOD)[:20], "is damaged"),
        (b"", "is not a NumPy array file"),
        (np.float64(1).dumps(), "pickled objects are not read"),
        (npy(np.array([{"a": 1}], object)), "objects"),
        (npy(GOOD).replace(b"'shape'", b"'(((((("), "is damaged"),
        (npy(GOOD.astype(np.int32)), "holds int32 [2, 256, 14, 14]"),
        (npy(GOOD[:, :128]), "holds float32 [2, 128, 14, 14]"),
        (npy(GOOD[0]), "holds float32 [256, 14, 14]"),
        (npy(GOOD[:0]), "holds float32 [0, 256, 14, 14]"),
        (npy(GOOD[:1]), "has 1 factors; most others have 2 factors"),
        (npy(WITH_NAN), "not finite or above 65504"),
        (npy(GOOD * 7e4), "not finite or above 65504"),
    ],
)
def test_a_wrong_file_of_maps_is_named(root: Path, data: bytes, said: str) -> None:
    a_map(root).write_bytes(data)
    message = the_problem(root)
    assert str(a_map(root)) in message
    assert said in message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda root: (root / "maps/sub01/EP03_020").rename(root / "maps/sub01/EP03_02x"), "label digit"),
        (lambda root: (root / "maps/sub01/EP03_020").rename(root / "maps/sub01/EP03 020"), "label digit"),
        (lambda root: shutil.copytree(root / "maps/sub01/EP03_020", root / "maps/sub1/EP03_021"), "a second folder"),
        (lambda root: (root / "maps/someone").mkdir(), "is not a subject's folder"),
        (lambda root: (root / "maps/sub01/EP09_010").mkdir(), "no folders of frames"),
        (lambda root: (root / "maps/sub01/EP03_020/last").mkdir(), "has no frame number"),
        (lambda root: (root / "maps/sub01/EP03_020/010").mkdir(), "are both frame 10"),
        (lambda root: (root / "maps/sub01/EP03_020/11").mkdir(), "holds 0 .npy files"),
        (lambda root: shutil.rmtree(root / "images/sub01/EP03_02"), "missing for 1 of 2 clips: casme2/sub01/EP03_02"),
        (lambda root: (root / "images/sub01/EP03_02/img1/4.jpg").unlink(), "has the factors 2.0, 10.06"),
        (lambda root: write_jpeg(root / "images/sub01/EP03_02/img1/4.0.jpg", 9), "are one factor"),
        (lambda root: write_jpeg(root / "images/sub01/EP03_02/img1/onset.jpg", 9), "is not named after a factor"),
        (lambda root: (root / "images/sub01/EP03_02/img11").mkdir(), "no images named after factors"),
        (lambda root: write_jpeg(root / "images/sub01/EP03_02/img1/4.jpg", 9, (8, 8)), "is 8x8; 24x16 is expected"),
        (lambda root: (root / "images/sub01/EP03_02/img1/4.jpg").write_bytes(b"\xff\xd8\xff"), "not a whole JPEG"),
    ],
)
def test_a_wrong_tree_is_named(numbered: Path, change: Callable[[Path], object], said: str) -> None:
    (numbered / "maps/sub1").mkdir()
    change(numbered)
    assert any(said in problem for problem in problems_of(numbered)), problems_of(numbered)


@pytest.mark.parametrize(
    "linked",
    ["maps/sub01", "maps/sub01/EP03_020", "maps/sub01/EP03_020/img1", "maps/sub01/EP03_020/img1/feature512.npy"],
)
def test_nothing_is_read_through_a_link_out_of_the_folder(numbered: Path, linked: str) -> None:
    outside = numbered.parent / f"{numbered.name} outside"
    (numbered / linked).rename(outside)
    (numbered / linked).symlink_to(outside)
    assert any("link that leads out" in problem for problem in problems_of(numbered / "maps"))


def test_all_problems_of_all_files_are_told_together(numbered: Path) -> None:
    maps, images = numbered / "maps/sub01/EP03_020", numbered / "images/sub01/EP03_02"
    (maps / "img1/feature512.npy").write_bytes(npy(GOOD)[:300])
    (maps / "img2/feature512.npy").write_bytes(npy(WITH_NAN))
    (images / "img1/2.0.jpg").write_bytes(b"")
    (images / "img10/4.jpg").unlink()
    (numbered / "maps/x").mkdir()
    said = ("not a subject's", "is damaged", "has the factors 2.0, 10.06;", "not finite", "not a whole JPEG")
    found = problems_of(numbered)
    assert len(found) == len(said)
    for problem, words in zip(found, said, strict=True):
        assert words in problem


def test_a_file_that_is_damaged_after_the_check_is_named(root: Path, tmp_path: Path) -> None:
    imported = aman.read([root])
    path = a_map(root)
    path.write_bytes(b"")
    clip = next(clip for clip in imported.clips if clip.name == path.parents[1].name[:-1])
    with pytest.raises(BadInput, match="is not a NumPy array file"):
        imported.features[0].arrays[clip.id]
