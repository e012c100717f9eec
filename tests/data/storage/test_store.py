"""The store: a dataset is replaced whole or not at all, keys follow the bytes, and damage is named."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import pytest

from mer_data.features.spec import FeatureSpec, Frames
from mer_data.problems import BadInput
from mer_data.schema import Clip
from mer_data.storage.shards import Feature
from mer_data.storage.store import Store

Arrays = Mapping[str, npt.NDArray[Any]]
CLIPS = tuple(
    Clip("samm", f"samm/{subject}", f"{subject}_{number}", "negative")
    for subject in ("007", "006", "011")
    for number in (2, 1)
)


def never(frames: Frames) -> NoReturn:
    raise NotImplementedError


def make_spec(**changed: Any) -> FeatureSpec:
    definition: dict[str, Any] = {
        "name": "flow",
        "version": 1,
        "frames": "onset-apex",
        "channels": ("u", "v"),
        "size": (4, 3),
        "dtype": "float32",
        "params": {"origin": "a test"},
        "compute": never,
    }
    return FeatureSpec(**(definition | changed))


def make_arrays(clips: Sequence[Clip] = CLIPS, seed: int = 0) -> dict[str, npt.NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return {clip.id: rng.random((2, 4, 3), np.float32) for clip in clips}


def put(
    store: Store,
    clips: Sequence[Clip] = CLIPS,
    arrays: Arrays | None = None,
    spec: FeatureSpec | None = None,
    name: str = "twin",
) -> None:
    with store.replacing(name) as writer:
        writer.clips(clips, format_="test", frame_root=None, notes=["a note"])
        writer.feature(spec or make_spec(), arrays if arrays is not None else make_arrays(clips), clips, "a test")


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def filled(store: Store) -> Store:
    put(store)
    return store


def feature_of(store: Store) -> Feature:
    return store.feature("twin", "flow")


def shard_path(store: Store) -> Path:
    return store.feature_folder("twin", "flow") / feature_of(store).shards[0].file


# What comes back -------------------------------------------------------------------------------------


def test_a_dataset_comes_back_as_it_was(filled: Store, tmp_path: Path) -> None:
    dataset = filled.dataset("twin")
    assert (dataset.name, dataset.format, dataset.frame_root) == ("twin", "test", None)
    assert dataset.clips == CLIPS
    assert filled.names() == ["twin"]
    with filled.replacing("other") as writer:
        writer.clips(CLIPS, format_="test", frame_root=tmp_path)
    assert filled.dataset("other").frame_root == tmp_path.resolve()
    assert filled.names() == ["other", "twin"]
    assert filled.features("other") == []


def test_a_feature_tells_what_it_is(filled: Store) -> None:
    feature = feature_of(filled)
    assert filled.features("twin") == ["flow"]
    assert (feature.name, feature.channels, feature.shape) == ("flow", ("u", "v"), (2, 4, 3))
    assert feature.dtype == np.float32
    assert feature.definition == make_spec().describe()
    assert feature.source == "imported: a test"
    assert feature.clips == len(CLIPS)
    assert set(feature.clip_ids) == {clip.id for clip in CLIPS}


def test_there_is_a_shard_per_subject(filled: Store) -> None:
    shards = feature_of(filled).shards
    assert [(shard.subject, shard.clips) for shard in shards] == [
        ("samm/006", 2),
        ("samm/007", 2),
        ("samm/011", 2),
    ]
    on_disk = {path.name for path in filled.feature_folder("twin", "flow").glob("*.arrow")}
    assert on_disk == {shard.file for shard in shards}


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [3, 0, 5], [2, 2, 2], []])
def test_gather_gives_the_order_asked_for(filled: Store, order: list[int]) -> None:
    arrays = make_arrays()
    ids = [CLIPS[i].id for i in order]
    gathered = feature_of(filled).gather(ids)
    assert gathered.shape == (len(order), 2, 4, 3)
    assert gathered.dtype == np.float32
    for array, clip_id in zip(gathered, ids, strict=True):
        np.testing.assert_array_equal(array, arrays[clip_id])


def test_gather_copies(filled: Store) -> None:
    feature = feature_of(filled)
    before = snapshot(filled.root)
    feature.gather([CLIPS[0].id])[:] = -1
    np.testing.assert_array_equal(feature.gather([CLIPS[0].id])[0], make_arrays()[CLIPS[0].id])
    assert snapshot(filled.root) == before


def test_gather_of_a_clip_without_the_feature(filled: Store) -> None:
    with pytest.raises(KeyError, match="samm/006/none"):
        feature_of(filled).gather(["samm/006/none"])


def test_the_mapped_view_is_read_only_and_not_a_copy(filled: Store) -> None:
    (array,) = feature_of(filled).find([CLIPS[0].id]).values()
    assert not array.flags.owndata
    assert not array.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 0


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_dtypes_are_kept(store: Store, dtype: str) -> None:
    arrays = {clip_id: (array * 100).astype(dtype) for clip_id, array in make_arrays().items()}
    put(store, arrays=arrays, spec=make_spec(dtype=dtype))
    gathered = feature_of(store).gather([clip.id for clip in CLIPS])
    assert gathered.dtype == dtype
    np.testing.assert_array_equal(gathered, np.stack([arrays[clip.id] for clip in CLIPS]))


def test_arrays_of_another_dtype_than_declared_are_refused(store: Store) -> None:
    arrays = {clip_id: array.astype(np.float64) for clip_id, array in make_arrays().items()}
    with pytest.raises(ValueError, match="float64"):
        put(store, arrays=arrays)
    assert store.names() == []


def test_arrays_of_another_shape_than_declared_are_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="shape"):
        put(store, spec=make_spec(size=(3, 4)))


def test_the_memory_order_of_the_arrays_is_no_matter(store: Store) -> None:
    transposed = {clip_id: np.asfortranarray(array) for clip_id, array in make_arrays().items()}
    put(store, arrays=transposed)
    gathered = feature_of(store).gather([clip.id for clip in CLIPS])
    np.testing.assert_array_equal(gathered, np.stack(list(make_arrays().values())))


# Whole or not at all ---------------------------------------------------------------------------------


class Stop(Exception):  # noqa: N818
    pass


def test_an_exception_leaves_the_old_dataset(filled: Store) -> None:
    def half_done() -> None:
        with filled.replacing("twin") as writer:
            writer.clips(CLIPS[:2], format_="test", frame_root=None)
            writer.feature(make_spec(), make_arrays(seed=1), CLIPS[:2], "another test")
            raise Stop

    before = snapshot(filled.root)
    with pytest.raises(Stop):
        half_done()
    assert snapshot(filled.root) == before
    assert feature_of(filled).gather([CLIPS[0].id]).shape == (1, 2, 4, 3)


def test_an_exception_leaves_nothing_of_a_new_dataset(store: Store) -> None:
    def half_done() -> None:
        with store.replacing("twin") as writer:
            writer.clips(CLIPS, format_="test", frame_root=None)
            raise Stop

    with pytest.raises(Stop):
        half_done()
    assert store.names() == []
    assert snapshot(store.root) == {}


def test_a_failure_at_the_last_step_leaves_the_old_dataset(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name for name in snapshot(filled.root) if name.startswith("twin/")}
    rename = Path.rename

    def fail_at_the_end(self: Path, target: Path) -> Path:
        if target == filled.root / "twin" and self.suffix == ".new":
            raise OSError("the disk is full")
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail_at_the_end)
        with pytest.raises(OSError, match="full"), filled.replacing("twin") as writer:
            writer.clips(CLIPS[:2], format_="test", frame_root=None)
    assert {name for name in snapshot(filled.root) if name.startswith("twin/")} == before


def test_nothing_is_seen_before_the_end(filled: Store) -> None:
    with filled.replacing("twin") as writer:
        writer.clips(CLIPS[:2], format_="test", frame_root=None)
        assert filled.dataset("twin").clips == CLIPS
        assert filled.names() == ["twin"]
    assert filled.dataset("twin").clips == CLIPS[:2]


def test_replacing_leaves_no_traces(filled: Store) -> None:
    put(filled, CLIPS[:2])
    assert [path.name for path in filled.root.iterdir()] == ["twin"]
    assert len(list(filled.feature_folder("twin", "flow").glob("*.arrow"))) == 1


def test_a_computed_feature_that_is_not_written_anew_stays(filled: Store) -> None:
    filled.write_manifest("twin", make_spec(), feature_of(filled).shards, "computed")
    with filled.replacing("twin") as writer:
        writer.clips(CLIPS, format_="test", frame_root=None)
    assert filled.features("twin") == ["flow"]
    ids = [clip.id for clip in CLIPS]
    np.testing.assert_array_equal(feature_of(filled).gather(ids), np.stack(list(make_arrays().values())))


def test_a_reader_keeps_what_it_has_mapped(filled: Store) -> None:
    feature = feature_of(filled)
    feature.gather([CLIPS[0].id])
    put(filled, arrays=make_arrays(seed=1))
    np.testing.assert_array_equal(feature.gather([CLIPS[1].id])[0], make_arrays()[CLIPS[1].id])
    np.testing.assert_array_equal(feature_of(filled).gather([CLIPS[1].id])[0], make_arrays(seed=1)[CLIPS[1].id])


def test_declaring_a_feature_removes_the_shards_that_left_it(filled: Store) -> None:
    shards = feature_of(filled).shards
    filled.write_manifest("twin", make_spec(), shards[1:], "computed")
    feature = feature_of(filled)
    assert feature.shards == shards[1:]
    assert feature.source == "computed"
    on_disk = {path.name for path in filled.feature_folder("twin", "flow").glob("*.arrow")}
    assert on_disk == {shard.file for shard in shards[1:]}


# Keys ------------------------------------------------------------------------------------------------


def key_with(tmp_path: Path, name: str, **arguments: Any) -> str:
    store = Store(tmp_path / name)
    put(store, **arguments)
    return feature_of(store).key


def test_the_key_changes_when_an_array_does_and_not_otherwise(tmp_path: Path) -> None:
    key = key_with(tmp_path, "first")
    assert key_with(tmp_path, "again") == key
    changed = make_arrays()
    changed[CLIPS[3].id][1, 2, 0] += 1
    assert key_with(tmp_path, "array", arrays=changed) != key
    swapped = make_arrays()
    swapped[CLIPS[0].id], swapped[CLIPS[1].id] = swapped[CLIPS[1].id], swapped[CLIPS[0].id]
    assert key_with(tmp_path, "swapped", arrays=swapped) != key


def test_the_key_changes_with_the_clips_and_the_definition(tmp_path: Path) -> None:
    keys = [
        key_with(tmp_path, "first"),
        key_with(tmp_path, "fewer", clips=CLIPS[:4]),
        key_with(tmp_path, "version", spec=make_spec(version=2)),
        key_with(tmp_path, "params", spec=make_spec(params={"origin": "another"})),
        key_with(tmp_path, "channels", spec=make_spec(channels=("v", "u"))),
    ]
    assert len(set(keys)) == len(keys)


def test_a_changed_array_changes_its_own_shard_only(filled: Store) -> None:
    before = {shard.subject: shard.key for shard in feature_of(filled).shards}
    arrays = make_arrays()
    arrays[CLIPS[0].id][0, 0, 0] += 1
    put(filled, arrays=arrays)
    after = {shard.subject: shard.key for shard in feature_of(filled).shards}
    assert {subject for subject in before if before[subject] != after[subject]} == {CLIPS[0].subject}


# Damage ----------------------------------------------------------------------------------------------


def test_unknown_datasets_and_features_are_named(filled: Store, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no dataset 'twim' .*did you mean 'twin'"):
        filled.dataset("twim")
    with pytest.raises(BadInput, match=r"no dataset 'twin' .*the store is empty"):
        Store(tmp_path / "none").dataset("twin")
    with pytest.raises(BadInput, match=r"strain.*manifest\.json: no such file"):
        filled.feature("twin", "strain")


@pytest.mark.parametrize("how", ["missing", "empty", "cut", "overwritten"])
def test_a_damaged_shard_is_named(filled: Store, how: str) -> None:
    path = shard_path(filled)
    data = path.read_bytes()
    path.unlink()
    if how != "missing":
        path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "overwritten": b"\0" * len(data)}[how])
    with pytest.raises(BadInput) as caught:
        feature_of(filled).gather([CLIPS[0].id])
    (problem,) = caught.value.problems
    assert str(path) in problem.where
    assert problem.remedy


@pytest.mark.parametrize("file", ["clips.arrow", "dataset.json"])
@pytest.mark.parametrize("how", ["empty", "cut"])
def test_a_damaged_dataset_is_named(filled: Store, file: str, how: str) -> None:
    path = filled.root / "twin" / file
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] if how == "cut" else b"")
    with pytest.raises(BadInput, match=rf"twin/{file}.*import the dataset again"):
        filled.dataset("twin")


MANIFESTS = {
    "empty": "",
    "cut": '{"definition": {"name": "fl',
    "not text": "\0\ufffd",
}
NOT_A_MANIFEST = {"no keys": "{}", "a list": "[]", "a number": "1", "half the keys": '{"definition": {}}'}


@pytest.mark.parametrize(
    "text",
    [
        *(pytest.param(text, id=name) for name, text in MANIFESTS.items()),
        *(pytest.param(text, id=name) for name, text in NOT_A_MANIFEST.items()),
    ],
)
def test_a_damaged_manifest_is_named(filled: Store, text: str) -> None:
    path = filled.feature_folder("twin", "flow") / "manifest.json"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        feature_of(filled)
    assert str(path) in str(caught.value)


def test_a_dataset_file_without_its_keys_is_named(filled: Store) -> None:
    (filled.root / "twin" / "dataset.json").write_text("{}")
    with pytest.raises(BadInput, match=r"dataset\.json"):
        filled.dataset("twin")


def test_a_shard_of_other_clips_is_named(filled: Store) -> None:
    feature = feature_of(filled)
    folder = filled.feature_folder("twin", "flow")
    first, second = (folder / shard.file for shard in feature.shards[:2])
    second.write_bytes(first.read_bytes())
    with pytest.raises(BadInput, match=second.name):
        feature.gather([clip.id for clip in CLIPS])


def test_an_imported_feature_does_not_outlive_its_clips(filled: Store) -> None:
    other = [Clip("smic", "smic/s01", "s01_ne_01", "negative")]
    with filled.replacing("twin") as writer:
        writer.clips(other, format_="test", frame_root=None)
    assert filled.features("twin") == []


def test_the_manifest_is_plain_json_in_utf8(store: Store) -> None:
    put(store, spec=make_spec(params={"origin": "été"}))
    text = (store.feature_folder("twin", "flow") / "manifest.json").read_text(encoding="utf-8")
    assert "été" in text
    assert json.loads(text)["definition"]["size"] == [4, 3]
