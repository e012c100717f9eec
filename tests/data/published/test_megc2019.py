"""A full-size twin of the MEGC 2019 composite: three imports, and the published list finds all its clips."""

import time
from collections import Counter
from pathlib import Path

import pytest

from mer_data.composites import published, select
from mer_data.formats import import_dataset
from mer_data.labels import SCHEMES
from mer_data.problems import BadInput
from mer_data.schema import Clip
from mer_data.storage.store import Store
from mer_data.synthetic import COMPOSITE_TWINS, ClipTruth, read_truth
from mer_data.synthetic.megc2019 import FOLDERS, LEFT_OUT

SMALL = {"size": (48, 56), "length": (6, 8)}


@pytest.fixture(scope="module")
def progress() -> list[tuple[int, int]]:
    return []


@pytest.fixture(scope="module")
def composite(tmp_path_factory: pytest.TempPathFactory, progress: list[tuple[int, int]]) -> Path:
    """All clips of the three datasets, a few small frames each; read only."""
    dest = tmp_path_factory.mktemp("megc2019") / "twins"
    COMPOSITE_TWINS["megc2019"](dest, seed=2, progress=lambda *now: progress.append(now), **SMALL)
    return dest


@pytest.fixture(scope="module")
def clips(composite: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    store = Store(tmp_path_factory.mktemp("megc2019") / "store")
    began = time.perf_counter()
    for format_, folder in FOLDERS.items():
        import_dataset(format_, [composite / folder], store, format_)
    assert time.perf_counter() - began < 30
    return [clip for format_ in FOLDERS for clip in store.dataset(format_).clips]


def test_the_list_finds_all_its_clips(clips: list[Clip]) -> None:
    selection = select("megc2019", clips, "the twin")
    assert (len(selection.labelled), selection.planned, selection.missing) == (442, 442, ())
    assert len({clip.subject for clip, _ in selection.labelled}) == 68
    assert Counter(label for _, label in selection.labelled) == {"negative": 250, "positive": 109, "surprise": 83}
    assert all(SCHEMES["3-class"].label(clip) == label for clip, label in selection.labelled)


def test_the_list_leaves_some_clips_out(clips: list[Clip]) -> None:
    """Two of them have a class of the scheme, so the list is more than the scheme."""
    beside = {clip.id: clip for clip in clips if clip.id not in published("megc2019")}
    assert {clip_id: clip.emotion for clip_id, clip in beside.items()} == LEFT_OUT
    assert [SCHEMES["3-class"].label(clip) for clip in beside.values()].count("negative") == 2
    assert len({clip.subject for clip in clips}) == 68 + 3


def test_emotions_have_the_proportions_of_the_datasets(clips: list[Clip]) -> None:
    listed = [clip for clip in clips if clip.id not in LEFT_OUT]
    counts = Counter((clip.dataset, clip.emotion) for clip in listed)
    samm = {"anger": 57, "contempt": 12, "disgust": 9, "fear": 8, "sadness": 6, "happiness": 26, "surprise": 15}
    assert {emotion: count for (dataset, emotion), count in counts.items() if dataset == "samm"} == samm
    assert (counts["casme2", "disgust"], counts["casme2", "repression"]) == (62, 26)


def test_clips_come_out_as_they_were_planted(composite: Path, clips: list[Clip]) -> None:
    truths: dict[str, ClipTruth] = {}
    for folder in FOLDERS.values():
        truths |= read_truth(composite / folder)
    assert set(truths) == {clip.id for clip in clips}
    for clip in clips:
        truth = truths[clip.id]
        planted = (truth.onset, truth.apex, truth.offset, truth.emotion)
        assert (clip.onset, clip.apex, clip.offset, clip.emotion) == planted, clip.id


def test_progress_is_that_of_the_three_together(composite: Path, progress: list[tuple[int, int]]) -> None:
    total = 442 + len(LEFT_OUT)
    assert progress == [(done, total) for done in range(1, total + 1)]


def test_a_folder_in_use_is_refused(composite: Path) -> None:
    with pytest.raises(BadInput, match="exists and is not empty"):
        COMPOSITE_TWINS["megc2019"](composite)


def test_frames_must_be_large_enough(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be drawn"):
        COMPOSITE_TWINS["megc2019"](tmp_path / "twins", size=(20, 20))
    assert not (tmp_path / "twins").exists()
