"""Features of whole pictures: the face is found once per clip, and what is wrong is told clip by clip."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mer_data.faces.aligner import make_aligner
from mer_data.faces.alignment import ALIGNMENTS
from mer_data.features import FEATURES
from mer_data.features.maps import FlowMaps
from mer_data.formats import import_dataset
from mer_data.frames import decode, list_frames
from mer_data.storage.arrow_files import read_arrays
from mer_data.storage.store import Store
from mer_data.synthetic import TWINS
from mer_data.variants import Variant, prepare
from orchestrator.console import Console
from orchestrator.machines.ray_cluster import Cluster
from orchestrator.precompute.actors import Extractor, Made, SubjectWork
from orchestrator.precompute.missing import ShardFinder, precompute

SIMILARITY = ALIGNMENTS["similarity"]


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dest = tmp_path_factory.mktemp("twin") / "SAMM"
    TWINS["samm"](dest, subjects=2, clips=4, length=(4, 5), raw=True, scale=0.34)
    return dest


@pytest.fixture
def tree(twin: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(twin, tmp_path / "SAMM"))


def fill(tree: Path, *, marked: bool = True) -> Store:
    store = Store(tree.parent / "store")
    import_dataset("samm", [tree], store, "samm", landmarks=tree / "landmarks.csv" if marked else None)
    return store


def work(store: Store, *names: str, align: str = "similarity") -> list[SubjectWork]:
    known = store.dataset(prepare(store, "samm", Variant(ALIGNMENTS[align])))
    return ShardFinder(store, known).find([FEATURES[name].of(known.align) for name in names])


def made(works: list[SubjectWork]) -> list[Made]:
    return [one for subject in works for one in Extractor().make(subject)]


def onset_of(store: Store, number: int = 0) -> Path:
    known = store.dataset("samm")
    clip = known.clips[number]
    return list_frames(known.frame_root / clip.frames)[clip.onset]


def test_a_feature_is_that_of_aligned_frames(tree: Path) -> None:
    store = fill(tree)
    subject = work(store, "flow_raw_28")[0]
    assert {problem for one in made([subject]) for problem in one.problems} == set()
    path = store.feature_folder(subject.dataset, "flow_raw_28") / subject.shards["flow_raw_28"].file
    arrays, _ = read_arrays(path, "")
    clip = subject.clips[0].clip
    frames = [cv2.imread(str(subject.clips[0].paths[number])) for number in (clip.onset, clip.apex)]
    aligner = make_aligner(SIMILARITY, frames[0], clip.landmarks, "onset")
    aligned = replace_images([aligner.apply(frame) for frame in frames])
    expected = FEATURES["flow_raw_28"].compute(aligned)
    np.testing.assert_array_equal(arrays[clip.id], expected)


def replace_images(images: list[Any]) -> Any:
    from mer_data.features.spec import ClipFrames

    return ClipFrames(images)


def test_one_detection_per_clip_and_every_frame_decoded_once(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For all features together, whichever frames they take."""
    store = fill(tree, marked=False)
    found, read = Counter[str](), Counter[str]()

    def counted_decode(data: bytes, where: str) -> Any:
        read[where] += 1
        return decode(data, where)

    def counted_find(image: Any) -> Any:
        from mer_data.faces.finder import face_of_points

        found["face"] += 1
        return face_of_points(np.float32([(90, 90), (150, 92), (120, 130), (98, 158), (142, 160)]))

    monkeypatch.setattr("orchestrator.precompute.actors.decode", counted_decode)
    monkeypatch.setattr("mer_data.faces.aligner.find_face", counted_find)
    works = work(store, "flow_uvs_28", "flow_offtanet_28", "apex_gray_224", "lbp_top_megc")
    assert not [one.problems for one in made(works) if one.problems]
    assert found["face"] == 4
    assert set(read.values()) == {1}


def test_a_key_follows_from_the_onset_frame_and_the_points(tree: Path) -> None:
    """Also of a feature that takes the apex alone: the face is found in the onset."""
    store = fill(tree)
    before = [of.shards["apex_gray_224"].key for of in work(store, "apex_gray_224")]
    onset = onset_of(store)
    onset.write_bytes(onset.read_bytes() + b" ")
    after = [of.shards["apex_gray_224"].key for of in work(store, "apex_gray_224")]
    assert [a == b for a, b in zip(after, before, strict=True)].count(False) == 1
    sheet = tree / "landmarks.csv"
    lines = sheet.read_text().splitlines()
    cells = lines[1].split(",")
    cells[2] = str(float(cells[2]) + 1)
    sheet.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]))
    store = fill(tree)
    moved = [of.shards["apex_gray_224"].key for of in work(store, "apex_gray_224")]
    assert [a == b for a, b in zip(moved, after, strict=True)].count(False) == 1
    none = [of.shards["apex_gray_224"].key for of in work(store, "apex_gray_224", align="none")]
    assert not set(none) & {*before, *after, *moved}


def test_clips_without_a_face_are_named_together_and_nothing_of_theirs_is_written(tree: Path) -> None:
    store = fill(tree, marked=False)
    for number in (0, 1):
        onset = onset_of(store, number)
        height, width = cv2.imread(str(onset)).shape[:2]
        cv2.imwrite(str(onset), np.full((height, width), 90, np.uint8))
    works = work(store, "flow_uvs_28", "apex_gray_224")
    told = {str(problem) for one in made(works) for problem in one.problems}
    known = store.dataset("samm").clips
    for clip in known[:2]:
        mine = [line for line in told if clip.id in line]
        assert len(mine) == 1, told
        assert "no face is found in the clip's onset frame (mark its five points in a sheet" in mine[0]
    spoilt = {clip.subject for clip in known[:2]}
    for subject in works:
        for name, shard in subject.shards.items():
            there = (store.feature_folder(subject.dataset, name) / shard.file).exists()
            assert not (there and shard.subject in spoilt)
    assert not list(store.root.rglob(".*.tmp"))


def test_frames_of_another_size_than_their_onset_are_refused(tree: Path) -> None:
    store = fill(tree)
    known = store.dataset("samm")
    clip = known.clips[0]
    apex = list_frames(known.frame_root / clip.frames)[clip.apex]
    cv2.imwrite(str(apex), cv2.resize(cv2.imread(str(apex)), (300, 200)))
    told = [str(problem) for one in made(work(store, "flow_uvs_28")) for problem in one.problems]
    assert len(told) == 1
    assert "is 300x200, and the clip's onset frame is 694x370" in told[0]
    assert clip.id in told[0]


def test_an_unreadable_onset_is_one_message(tree: Path) -> None:
    store = fill(tree)
    onset_of(store).write_bytes(b"no picture")
    told = {str(problem) for one in made(work(store, "flow_uvs_28", "apex_gray_224")) for problem in one.problems}
    assert len(told) == 1
    assert "is not a readable image" in told.pop()


def test_of_two_faces_the_larger_one_is_taken_and_told(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def two(image: Any, smallest: int) -> Any:
        boxes = np.float32([(20, 20, 120, 140), (200, 30, 280, 130)])
        points = np.float32([[(50, 60), (90, 60), (70, 80), (52, 105), (88, 105)]] * 2)
        return boxes, points

    monkeypatch.setattr("mer_data.faces.mtcnn.detect", two)
    store = fill(tree, marked=False)
    told = {one.told for one in made(work(store, "flow_uvs_28"))}
    assert len(told) == 4
    assert all("2 faces in its onset frame; the largest is taken" in line for line in told)


def test_a_shard_that_another_variant_has_is_not_made_again(ray_session: None, tree: Path) -> None:
    """A variant whose frames are the same for a subject takes that subject's shard as it is."""
    store = fill(tree)
    base = prepare(store, "samm", Variant(SIMILARITY))
    with Cluster() as cluster:
        precompute(store, {base: ["flow_uvs_28"]}, cluster, Console())
    other = prepare(store, "samm", Variant(SIMILARITY, apex="midpoint"))
    clips = store.dataset(other).clips
    same = clips[0].subject
    with store.replacing(other) as writer:
        known = {clip.id: clip for clip in store.dataset(base).clips}
        kept = [known[clip.id] if clip.subject == same else clip for clip in clips]
        writer.clips(kept, format_="samm", frame_root=store.dataset(base).frame_root, raw=True, align=SIMILARITY)
    with Cluster() as cluster:
        precompute(store, {other: ["flow_uvs_28"]}, cluster, Console())
    inodes = {
        name: {path.name: path.stat().st_ino for path in store.feature_folder(name, "flow_uvs_28").glob("*.arrow")}
        for name in (base, other)
    }
    shared = set(inodes[base].items()) & set(inodes[other].items())
    assert {name.split(".")[0] for name, _ in shared} >= {same.replace("/", "~")}
    assert store.feature(other, "flow_uvs_28").definition["align"]["name"] == "similarity"


def test_landmarks_of_windows_are_those_of_the_aligned_frame(tree: Path) -> None:
    store = fill(tree)
    seen: list[np.ndarray] = []
    spec = FEATURES["flow_uvs_28"]

    def compute(frames: Any) -> Any:
        seen.append(frames.landmarks)
        return FlowMaps.compute(spec.compute.__self__, frames)

    subject = work(store, "flow_uvs_28")[0]
    patched = replace(spec, compute=compute)
    FEATURES["flow_uvs_28"] = patched
    try:
        made([subject])
    finally:
        FEATURES["flow_uvs_28"] = spec
    assert len(seen) == len(subject.clips)
    for points in seen:
        assert np.abs(points - np.array(SIMILARITY.template)).mean() < 5
