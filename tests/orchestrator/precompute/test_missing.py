"""Features are computed once, for what is missing, and a broken clip is told by name."""

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import ray

from mer_data.formats import import_dataset
from mer_data.problems import BadInput
from mer_data.storage.store import Store
from mer_data.synthetic import make_casme2
from orchestrator.console import Console
from orchestrator.experiment.config import Experiment
from orchestrator.machines.ray_cluster import Cluster
from orchestrator.precompute.missing import precompute
from orchestrator.whole_run import compute_features

FEATURE = "flow_uvs_28"


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dest = tmp_path_factory.mktemp("twin") / "CASME2"
    make_casme2(dest, subjects=3, clips=7, length=(6, 8))
    return dest


@pytest.fixture(scope="module")
def computed(ray_session: None, twin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the twin ``CASME2`` and the complete store ``store``; copy it before changing it."""
    folder = tmp_path_factory.mktemp("computed")
    shutil.copytree(twin, folder / "CASME2")
    fill(folder)
    return folder


def fill(folder: Path) -> Store:
    store = Store(folder / "store")
    import_dataset("casme2", [folder / "CASME2"], store, "casme2")
    with Cluster() as cluster:
        precompute(store, {"casme2": [FEATURE]}, cluster, Console())
    return store


def moved(computed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(computed, tmp_path / "here"))


def shards(store: Store) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in store.feature_folder("casme2", FEATURE).glob("*.arrow")}


def apex_frame(folder: Path) -> Path:
    """The apex frame of the first clip."""
    clip = Store(folder / "store").dataset("casme2").clips[0]
    return folder / "CASME2" / "Cropped" / str(clip.frames) / f"reg_img{clip.apex}.jpg"


def test_every_clip_gets_maps_that_are_stretched(computed: Path) -> None:
    store = Store(computed / "store")
    feature = store.feature("casme2", FEATURE)
    ids = [clip.id for clip in store.dataset("casme2").clips]
    maps = feature.gather(ids)
    assert feature.source == "computed"
    assert (maps.shape, maps.dtype) == ((7, 3, 28, 28), np.uint8)
    assert (maps.min((2, 3)) == 0).all()
    assert (maps.max((2, 3)) == 255).all()


def test_a_second_run_computes_nothing_and_starts_nothing(computed: Path, tmp_path: Path) -> None:
    folder = moved(computed, tmp_path)
    store = fill(folder)
    before, key = shards(store), store.feature("casme2", FEATURE).key

    class NoCluster(Cluster):
        @property
        def resources(self) -> None:  # type: ignore[override]
            raise AssertionError("a cluster was asked for")

    precompute(store, {"casme2": [FEATURE]}, NoCluster(), Console())
    assert shards(store) == before
    assert store.feature("casme2", FEATURE).key == key


def test_a_lost_shard_comes_back_with_the_same_bytes(computed: Path, tmp_path: Path) -> None:
    folder = moved(computed, tmp_path)
    lost = sorted(Store(folder / "store").feature_folder("casme2", FEATURE).glob("*.arrow"))[0]
    data = lost.read_bytes()
    lost.unlink()
    fill(folder)
    assert lost.read_bytes() == data


def test_a_changed_frame_makes_its_subjects_shard_stale_and_no_other(computed: Path, tmp_path: Path) -> None:
    folder = moved(computed, tmp_path)
    store = fill(folder)
    before, key = shards(store), store.feature("casme2", FEATURE).key
    frame = apex_frame(folder)
    other = next(path for path in sorted(frame.parent.iterdir()) if path.read_bytes() != frame.read_bytes())
    shutil.copy(other, frame)
    after = shards(fill(folder))
    assert len(set(before) - set(after)) == len(set(after) - set(before)) == 1
    assert {name: time for name, time in after.items() if name in before}.items() <= before.items()
    assert store.feature("casme2", FEATURE).key != key


def test_broken_frames_are_told_together_and_the_rest_is_done(computed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    shutil.copytree(computed / "CASME2", folder / "CASME2")
    store = Store(folder / "store")
    import_dataset("casme2", [folder / "CASME2"], store, "casme2")
    first, last = store.dataset("casme2").clips[0], store.dataset("casme2").clips[-1]
    for clip, data in ((first, b"no image"), (last, b"")):
        frame = folder / "CASME2" / "Cropped" / str(clip.frames) / f"reg_img{clip.apex}.jpg"
        frame.write_bytes(data)
    with pytest.raises(BadInput) as caught, Cluster() as cluster:
        precompute(store, {"casme2": [FEATURE]}, cluster, Console())
    message = str(caught.value)
    assert f"clip {first.id}" in message
    assert f"clip {last.id}" in message
    assert "is not a readable image" in message
    assert store.features("casme2") == []
    deadline = time.monotonic() + 5  # while the error, which is still held here, keeps the names of those who raised it
    while ray.available_resources().get("CPU") != 2:
        assert time.monotonic() < deadline, "actors keep their cores"
        time.sleep(0.1)
    whole = {clip.subject for clip in store.dataset("casme2").clips} - {first.subject, last.subject}
    assert len(shards(store)) == len(whole)


def test_frames_that_vanished_are_told_before_anything_is_computed(computed: Path, tmp_path: Path) -> None:
    folder = moved(computed, tmp_path)
    store = fill(folder)
    apex_frame(folder).unlink()
    with pytest.raises(BadInput, match=r"clip casme2/\S+, .*no frame \d+"):
        precompute(store, {"casme2": [FEATURE]}, Cluster(), Console())


def test_a_complete_feature_serves_without_its_frames(computed: Path, tmp_path: Path) -> None:
    """The disk with the faces may be away; what was computed from it is still right."""
    folder = moved(computed, tmp_path)
    store = fill(folder)
    shutil.rmtree(folder / "CASME2")
    precompute(store, {"casme2": [FEATURE]}, Cluster(), Console())
    shards_left = sorted(store.feature_folder("casme2", FEATURE).glob("*.arrow"))
    assert len(shards_left) == 3
    shutil.rmtree(store.feature_folder("casme2", FEATURE))
    with pytest.raises(BadInput, match="no such folder of frames"):
        precompute(store, {"casme2": [FEATURE]}, Cluster(), Console())


def test_unknown_features_are_told(computed: Path) -> None:
    store = Store(computed / "store")
    with pytest.raises(BadInput, match="did you mean 'flow_uvs_28'"):
        precompute(store, {"casme2": ["flow_uvs_29"]}, Cluster(), Console())


def test_features_are_computed_by_name_whatever_the_models_eat(computed: Path, tmp_path: Path) -> None:
    folder = moved(computed, tmp_path)
    experiment = Experiment(name="x", store=str(folder / "store"), datasets=["casme2"], models=["chance"])
    compute_features(experiment, Console(), names=["apex_gray_224", FEATURE])
    assert sorted(Store(folder / "store").features("casme2")) == ["apex_gray_224", FEATURE]
    with pytest.raises(BadInput, match=r"unknown feature 'apex_gray_22'.*apex_gray_224"):
        compute_features(experiment, Console(), names=["apex_gray_22"])


def test_a_damaged_shard_is_computed_anew_with_the_same_bytes(computed: Path, tmp_path: Path) -> None:
    folder = moved(computed, tmp_path)
    store = Store(folder / "store")
    paths = sorted(store.feature_folder("casme2", FEATURE).glob("*.arrow"))
    before = [path.read_bytes() for path in paths]
    flipped = bytearray(before[0])
    flipped[
        before[0].index(bytes(store.feature("casme2", FEATURE).gather([first_clip(store)])[0].tobytes()[:64])) + 5
    ] ^= 1
    paths[0].write_bytes(flipped)
    paths[1].write_bytes(before[1][: len(before[1]) // 2])
    fill(folder)
    assert [path.read_bytes() for path in paths] == before


def first_clip(store: Store) -> str:
    """A clip of the subject whose shard comes first by name."""
    return min(clip.id for clip in store.dataset("casme2").clips)
