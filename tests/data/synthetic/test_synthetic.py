"""Twins, CASME II's above all: they import, they repeat, and their planted motion is what flow finds."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from mer_data import schema
from mer_data.apex import midpoint
from mer_data.datasets import casme2
from mer_data.features.flow import grey, tvl1
from mer_data.frames import list_frames
from mer_data.imported import Imported
from mer_data.labels import EMOTIONS, SCHEMES
from mer_data.problems import BadInput
from mer_data.schema import Clip
from mer_data.synthetic import TWINS, make_casme2, motion, planted_flow, read_truth
from mer_data.synthetic.casme2 import PROFILE
from mer_data.synthetic.casting import Casting, ClipTruth, plan, share_out
from mer_data.synthetic.twin import draw_planned

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
        assert (clip.subject, clip.name) == (f"casme2/{truth.subject}", truth.name)
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
    assert share_out(PROFILE.proportions, 255, PROFILE.always) == PROFILE.proportions
    for clips in range(4, 60):
        counts = share_out(PROFILE.proportions, clips, PROFILE.always)
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


def test_a_twin_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "truth.json").write_text('{"format": "casme2", "seed": 0, "clips": [{"subject": 1, "name": "EP01"}]}')
    with pytest.raises(BadInput, match=r"truth\.json: cannot be read.*make the twin again"):
        read_truth(tmp_path)


# What the twins of other datasets need of the shared part.


def _name(rng: np.random.Generator, subject: str, emotion: str, number: int) -> str:
    return f"{emotion}_{rng.integers(1, 10)}"


def _file(suffix: str, truth: ClipTruth, number: int) -> str:
    return f"{truth.subject}/{truth.name}/{number:03}{suffix}"


def _one_file(truth: ClipTruth, number: int) -> str:
    return f"{truth.subject}/{number}.png"


def _nothing(folder: Path) -> None:
    (folder / "notes.txt").touch()


CASTING = Casting(
    dataset="another",
    subjects=["006", "s2"],
    emotions={"positive": 5, "negative": 5},
    names=_name,
    first=(5, 9),
    length=(4, 6),
    size=(32, 40),
    units={"positive": ("12",)},
)


def test_a_plan_is_sorted_and_has_every_name_once() -> None:
    planned = plan(CASTING, seed=1)
    ids = [truth.id for truth in planned]
    assert ids == sorted(set(ids))
    assert planned == plan(CASTING, seed=1)
    assert planned != plan(CASTING, seed=2)
    assert {(truth.subject, truth.face) for truth in planned} == {("006", 1), ("s2", 2)}
    assert Counter(truth.emotion for truth in planned) == CASTING.emotions
    for truth in planned:
        assert truth.id.startswith("another/")
        assert truth.name.startswith(truth.emotion)
        assert truth.action_units == ("12" if truth.emotion == "positive" else "")
        assert 5 <= truth.onset <= 9
        assert 4 <= truth.offset - truth.onset <= 6
        assert truth.onset < truth.apex < truth.offset


@pytest.mark.parametrize(("share", "clips"), [(0.0, 0), (0.01, 1), (0.5, 5), (1.0, 10)])
def test_a_share_of_the_clips_has_no_apex_in_the_sheet(share: float, clips: int) -> None:
    unknown = [truth for truth in plan(replace(CASTING, without_apex=share), 0) if not truth.apex_in_sheet]
    assert len(unknown) == clips
    assert all(truth.apex == midpoint(truth.onset, truth.offset) for truth in unknown)


def test_datasets_do_not_share_faces_or_motions() -> None:
    one, other = (plan(replace(CASTING, dataset=name), 0) for name in ("one", "other"))
    assert [truth.bumps for truth in one] != [truth.bumps for truth in other]


def test_names_that_run_out_are_an_error() -> None:
    with pytest.raises(ValueError, match="no new name for clip 2 of 006"):
        plan(replace(CASTING, subjects=["006"], names=lambda *_: "same"), 0)


def test_every_emotion_moves() -> None:
    assert set(EMOTIONS) <= set(motion.EMOTIONS)
    assert motion.EMOTIONS["positive"] == motion.EMOTIONS["happiness"]
    assert motion.plan_bumps(np.random.default_rng(0), "a word of the dataset's own", 1.0)


@pytest.mark.parametrize("suffix", [".jpg", ".bmp", ".png"])
def test_context_is_still_and_grey_has_one_channel(tmp_path: Path, suffix: str) -> None:
    planned = plan(replace(CASTING, size=(96, 120)), 0)[:2]
    draw_planned(tmp_path / "twin", planned, partial(_file, suffix), _nothing, seed=0, before=5, after=3, grey=True)
    assert sorted(path.name for path in (tmp_path / "twin").iterdir() if path.is_file()) == ["notes.txt", "truth.json"]
    assert list(read_truth(tmp_path / "twin")) == [truth.id for truth in planned]
    for truth in planned:
        folder = tmp_path / "twin" / truth.subject / truth.name
        frames = {int(path.stem): cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in folder.iterdir()}
        assert sorted(frames) == list(range(truth.onset - 5, truth.offset + 4))
        assert {frame.shape for frame in frames.values()} == {(truth.height, truth.width)}

        def apart(one: int, other: int, frames: dict[int, np.ndarray] = frames) -> float:
            return float(np.std(frames[one].astype(float) - frames[other]))

        moved = apart(truth.onset, truth.apex)
        assert 0 < apart(truth.onset - 5, truth.onset) < moved / 2  # only the noise of two frames
        assert 0 < apart(truth.offset + 3, truth.offset) < moved / 2


def test_what_cannot_be_drawn_is_an_error_before_drawing(tmp_path: Path) -> None:
    planned = plan(CASTING, 0)
    with pytest.raises(ValueError, match="no room for 10 frames before the onset"):
        draw_planned(tmp_path / "twin", planned, partial(_file, ".png"), _nothing, seed=0, before=10)
    with pytest.raises(ValueError, match="frames in one file"):
        draw_planned(tmp_path / "twin", planned, _one_file, _nothing, seed=0)
    assert list(tmp_path.iterdir()) == []
