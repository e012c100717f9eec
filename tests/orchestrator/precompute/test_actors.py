"""An actor reads a clip once for all its features, and one that fails does not take the others along."""

import errno
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mer_data.features import FEATURES
from mer_data.features.flow import ALGORITHMS
from mer_data.features.spec import ClipFrames
from mer_data.formats import import_dataset
from mer_data.frames import decode
from mer_data.problems import BadInput
from mer_data.schema import Clip
from mer_data.storage.arrow_files import ArrayWriter, read_arrays
from mer_data.storage.shards import Shard
from mer_data.storage.store import Store
from mer_data.synthetic import make_casme2
from orchestrator.console import Console
from orchestrator.machines.ray_cluster import Cluster
from orchestrator.precompute.actors import Extractor, Made, SubjectWork, pieces
from orchestrator.precompute.missing import ShardFinder, precompute

ONE_FLOW = ("flow_uvs_28", "flow_raw_28", "flow_raw_112", "flow_meb_64", "flow_picture_28", "flow_picture_60", "biwoof")


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dest = tmp_path_factory.mktemp("twin") / "CASME2"
    make_casme2(dest, subjects=2, clips=4, length=(4, 5))
    return dest


@pytest.fixture
def store(twin: Path, tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    import_dataset("casme2", [twin], store, "casme2")
    return store


def work(store: Store, names: Iterable[str]) -> SubjectWork:
    """What an actor gets for the first subject."""
    return ShardFinder(store, store.dataset("casme2")).find([FEATURES[name] for name in names])[0]


def written(store: Store, subject: SubjectWork) -> dict[str, bytes]:
    paths = {name: store.feature_folder("casme2", name) / shard.file for name, shard in subject.shards.items()}
    return {name: path.read_bytes() for name, path in paths.items() if path.exists()}


def leftovers(store: Store) -> list[Path]:
    return list(store.root.rglob(".*.tmp"))


def test_one_flow_serves_all_features_of_it_and_a_frame_is_read_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    flows, read = Counter[str](), Counter[str]()

    def counted_flow(*images: Any) -> Any:
        flows["tvl1"] += 1
        return tvl1.compute(*images)

    def counted_decode(data: bytes, where: str) -> Any:
        read[where] += 1
        return decode(data, where)

    tvl1 = ALGORITHMS["tvl1"]
    monkeypatch.setitem(ALGORITHMS, "tvl1", replace(tvl1, compute=counted_flow))
    monkeypatch.setattr("orchestrator.precompute.actors.decode", counted_decode)
    subject = work(store, (*ONE_FLOW, "apex_gray_224", "lbp_top_megc"))
    made = list(Extractor().make(subject))
    assert [one.arrays for one in made] == [len(ONE_FLOW) + 2] * len(subject.clips)
    assert flows["tvl1"] == len(subject.clips)
    assert set(read.values()) == {1}
    assert set(written(store, subject)) == set(subject.shards)


def test_features_computed_together_have_the_bytes_of_each_alone(store: Store) -> None:
    together = work(store, (*ONE_FLOW, "lbp_top_megc", "lbp_top_meb"))
    list(Extractor().make(together))
    shared = written(store, together)
    for name, shard in together.shards.items():
        store.discard(store.feature_folder("casme2", name) / shard.file)
        list(Extractor().make(replace(together, shards={name: shard})))
    assert written(store, together) == shared


def test_a_feature_that_fails_for_a_clip_does_not_take_the_others_along(store: Store) -> None:
    subject = work(store, ("flow_uvs_28", "flow_puzzle_28"))
    upside_down = ((30.0, 80.0), (50.0, 80.0), (40.0, 60.0), (30.0, 20.0), (50.0, 20.0))
    broken = replace(subject.clips[0].clip, landmarks=upside_down)
    clips = (replace(subject.clips[0], clip=broken), *subject.clips[1:])
    problems = [str(problem) for made in Extractor().make(replace(subject, clips=clips)) for problem in made.problems]
    assert len(problems) == 1
    assert problems[0].startswith(f"clip {broken.id}: the landmarks put the eyes")
    assert set(written(store, subject)) == {"flow_uvs_28"}
    assert leftovers(store) == []


def test_a_frame_that_cannot_be_read_is_one_problem_for_each_feature(store: Store) -> None:
    subject = work(store, ("flow_uvs_28", "flow_raw_28"))
    first = subject.clips[0]
    gone = replace(first, paths={number: path.with_suffix(".gone") for number, path in first.paths.items()})
    made = list(Extractor().make(replace(subject, clips=(gone, *subject.clips[1:]))))
    assert len({str(problem) for one in made for problem in one.problems}) == 1
    assert "cannot be read: No such file" in str(made[0].problems[0])
    assert written(store, subject) == {}


def test_a_store_that_takes_no_more_stops_the_work_and_nothing_is_left(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(writer: ArrayWriter) -> None:
        raise OSError(errno.ENOSPC, "what a library says of it")

    subject = work(store, ("flow_uvs_28_farneback", "apex_gray_224"))
    monkeypatch.setattr(ArrayWriter, "_write", full)
    *_, last = Extractor().make(subject)
    assert last == Made(0, (), last.stop)
    assert str(last.stop).startswith(f"store {store.address}: cannot be written: No space left on device (make room")
    assert written(store, subject) == {}
    assert leftovers(store) == []


def test_a_subject_of_more_than_an_actor_s_share_is_handed_out_in_pieces() -> None:
    shards = {name: Shard("s", name, 5) for name in "abcdefg"}
    clips: Any = (None,) * 5
    subject = SubjectWork("store", "casme2", clips, shards)
    assert pieces(subject, 35) == [subject]
    parts = pieces(subject, 15)
    assert [list(part.shards) for part in parts] == [["a", "b", "c"], ["d", "e"], ["f", "g"]]
    assert max(part.arrays for part in parts) <= 15
    assert [list(part.shards) for part in pieces(subject, 1)] == [[name] for name in "abcdefg"]


def test_a_frame_is_cropped_before_features_see_it(store: Store) -> None:
    subject = work(store, ("apex_gray_224",))
    clip = subject.clips[0]
    boxed = replace(clip, clip=replace(clip.clip, face=(4, 6, 30, 40)))
    list(Extractor().make(replace(subject, clips=(boxed, *subject.clips[1:]))))
    path = store.feature_folder("casme2", "apex_gray_224") / subject.shards["apex_gray_224"].file
    whole = decode(next(iter(clip.paths.values())).read_bytes(), "")
    expected = FEATURES["apex_gray_224"].compute(ClipFrames([np.ascontiguousarray(whole[6:46, 4:34])]))
    np.testing.assert_array_equal(read_arrays(path, "")[0][clip.clip.id], expected)


def test_a_damaged_imported_feature_is_named_since_it_cannot_be_made_anew(tmp_path: Path) -> None:
    store, spec = Store(tmp_path / "store"), FEATURES["flow_uvs_28"]
    clips = tuple(Clip("samm", "samm/006", str(number), "negative") for number in range(3))
    arrays = {clip.id: np.full(spec.shape, number, np.uint8) for number, clip in enumerate(clips)}
    with store.replacing("maps") as writer:
        writer.clips(clips, format_="test", frame_root=None)
        writer.feature(spec, arrays, clips, "a test")
    precompute(store, {"maps": [spec.name]}, Cluster(), Console())
    (path,) = store.feature_folder("maps", spec.name).glob("*.arrow")
    data = bytearray(path.read_bytes())
    data[data.index(bytes([2] * 100)) + 50] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"clip samm/006/2: is damaged.*import the dataset again"):
        precompute(store, {"maps": [spec.name]}, Cluster(), Console())
