"""The twin of CASME II: it imports, it repeats, and its planted motion is what flow finds."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from mer_data import schema, synthetic
from mer_data.datasets import casme2
from mer_data.features.flow import grey, tvl1
from mer_data.frames import list_frames
from mer_data.imported import Imported
from mer_data.labels import SCHEMES
from mer_data.problems import BadInput
from mer_data.schema import Clip
from mer_data.synthetic import TWINS, make_casme2, planted_flow, read_truth

SMALL = {"subjects": 2, "clips": 4, "size": (40, 48), "length": (4, 5)}


@pytest.fixture(scope="module")
def imported(twin: Path) -> Imported:
    return casme2.read([twin])


def _onset_and_apex(imported: Imported, clip: Clip) -> list[np.ndarray]:
    assert imported.frame_root
    assert clip.frames
    frames = list_frames(imported.frame_root / clip.frames)
    return [cv2.imread(str(frames[number])) for number in (clip.onset, clip.apex)]


def _bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_twin_imports_as_it_was_planted(twin: Path, imported: Imported) -> None:
    truths = read_truth(twin)
    assert not schema.find_problems(imported.clips, "twin")
    assert [clip.id for clip in imported.clips] == list(truths)
    for clip in imported.clips:
        truth = truths[clip.id]
        source = "annotated" if truth.apex_in_sheet else "midpoint"
        assert (clip.onset, clip.apex, clip.offset) == (truth.onset, truth.apex, truth.offset)
        assert (clip.emotion, clip.action_units, clip.apex_source) == (truth.emotion, truth.action_units, source)
        frames = list_frames(imported.frame_root / clip.frames)
        assert list(frames) == list(range(truth.onset, truth.offset + 1))
        assert cv2.imread(str(frames[truth.apex])).shape == (truth.height, truth.width, 3)


def test_the_twin_has_the_dataset_s_habits(twin: Path, imported: Imported) -> None:
    truths = read_truth(twin).values()
    subjects = Counter(clip.subject for clip in imported.clips)
    assert len(imported.clips) == 48
    assert len(subjects) == 8
    assert max(subjects.values()) >= 3 * min(subjects.values())
    classes = Counter(SCHEMES["3-class"].label(clip) for clip in imported.clips)
    assert min(classes[name] for name in SCHEMES["3-class"].classes) >= 4
    assert any(not truth.apex_in_sheet for truth in truths)
    assert any(truth.name.endswith("f") for truth in truths)
    assert len({(truth.width, truth.height) for truth in truths}) > 10
    assert sorted(path.name for path in twin.iterdir()) == ["CASME2-coding-20140508.xlsx", "Cropped", "truth.json"]


def test_the_full_size_has_the_dataset_s_proportions() -> None:
    assert synthetic._counts(255) == synthetic.PROPORTIONS
    for clips in range(4, 60):
        counts = synthetic._counts(clips)
        assert sum(counts.values()) == clips
        assert min(counts["disgust"], counts["happiness"], counts["surprise"]) >= 1


def test_flow_finds_the_planted_motion(twin: Path, imported: Imported) -> None:
    errors, still = [], []
    for clip in imported.clips[::6]:
        planted = planted_flow(twin, clip.id)
        before, after = (grey(frame) for frame in _onset_and_apex(imported, clip))
        assert planted.dtype == np.float32
        assert planted.shape == (2, *before.shape)
        inner = (slice(None), slice(10, -10), slice(10, -10))
        errors.append(np.hypot(*(tvl1(before, after) - planted)[inner]).mean())
        still.append(np.hypot(*planted[inner]).mean())
    assert np.mean(errors) < 0.1  # pixels
    assert np.mean(errors) < np.mean(still) / 4  # far better than finding no motion at all


def test_planted_flow_leads_from_onset_to_apex(twin: Path, imported: Imported) -> None:
    """I0(x, y) = I1(x + u, y + v), checked on the frames themselves, without any flow algorithm."""
    left, taken = [], []
    for clip in imported.clips[:6]:
        before, after = (grey(frame).astype(np.float32) for frame in _onset_and_apex(imported, clip))
        y, x = np.mgrid[0 : before.shape[0], 0 : before.shape[1]].astype(np.float32)
        u, v = planted_flow(twin, clip.id)
        back = cv2.remap(after, x + u, y + v, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        left.append(np.std((before - back)[10:-10, 10:-10]))
        taken.append(np.std((before - after)[10:-10, 10:-10]))
    assert np.mean(left) < 2.5  # grey levels: noise and JPEG in two frames
    assert np.mean(left) < np.mean(taken) / 2


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        make_casme2(tmp_path / name, seed=seed, **SMALL)
    assert _bytes_of(tmp_path / "a") == _bytes_of(tmp_path / "b")
    assert _bytes_of(tmp_path / "a") != _bytes_of(tmp_path / "c")


def test_progress_counts_clips(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    (tmp_path / "empty").mkdir()
    TWINS["casme2"](tmp_path / "empty", progress=lambda done, total: seen.append((done, total)), **SMALL)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_an_interrupted_make_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_casme2(tmp_path / "twin", progress=interrupt, **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(BadInput, match="exists and is not empty"):
        make_casme2(tmp_path, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("wrong", [{"subjects": 5}, {"subjects": 0}, {"length": (2, 5)}, {"size": (8, 8)}])
def test_impossible_numbers_are_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="cannot be drawn"):
        make_casme2(tmp_path / "twin", **{**SMALL, **wrong})


def test_unknown_clips_and_folders_are_named(twin: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no clip 'casme2/sub01/EP99'"):
        planted_flow(twin, "casme2/sub01/EP99")
    with pytest.raises(BadInput, match=r"truth\.json: no such file"):
        planted_flow(tmp_path, "casme2/sub01/EP99")


def test_the_truth_is_small_and_readable(twin: Path) -> None:
    document = json.loads((twin / "truth.json").read_text())
    assert (document["format"], document["seed"]) == ("casme2", 3)
    assert (twin / "truth.json").stat().st_size < 48 * 4000
