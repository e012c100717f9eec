"""What is not the paper's is said: on the cards, and when a run is about to use it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from blobs import SPEC, write_blobs

from mer_data.composites import perhaps_same_people
from mer_data.faces import mtcnn
from mer_data.features import FEATURES
from mer_data.problems import BadInput
from mer_data.schema import Clip
from mer_data.storage.store import Store
from mer_models.networks.resnet18 import ResNet18
from orchestrator.cli import commands as cli
from orchestrator.precompute import deep_features
from orchestrator.precompute.feature_notes import note_of_feature, warning_on_dataset

ON_CARDS = [
    ("aman", "Resnet18_FER+_pytorch.pth.tar"),
    ("aman", "MER_AMAN_RESNET18"),
    ("aman", "since 2024-11-22"),
    ("htnet", "fixed, the same for every clip"),
    ("rcn_a", "32 maps, pooled to 5 × 5 (15,331 parameters), and 20 epochs"),
    ("dual_atme", "bilinear filter"),
    ("dual_atme", "--apex spotted"),
    ("off_tanet", "uy² stands where the tensor has vy²"),
    ("macnn", "uy² stands where the tensor has vy²"),
    ("sssnet", "the axes are exchanged"),
]


def mer(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(one) for one in arguments])
    return int(stopped.value.code or 0)


@pytest.mark.parametrize(("model", "words"), ON_CARDS)
def test_the_card_says_it(model: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert mer("models", model) == 0
    assert words in " ".join(capsys.readouterr().out.split())


def test_nothing_is_said_of_what_is_as_published() -> None:
    assert [name for name in ("flow_uvs_28", "flow_offtanet_112_standard-sobel") if note_of_feature(name)] == []


@pytest.fixture
def forgotten() -> Iterator[None]:
    deep_features.aman_network.cache_clear()
    yield
    deep_features.aman_network.cache_clear()


class Published(torch.nn.DataParallel):
    """As the file was trained: within DataParallel, with a classifier of eight expressions."""

    def __init__(self) -> None:
        network = ResNet18()
        network.fc = torch.nn.Linear(512, 8)
        super().__init__(network)


def test_weights_are_taken_by_their_published_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forgotten: None
) -> None:
    published = Published()
    path = tmp_path / deep_features.AMAN_FILE
    fields = {"epoch": 60, "arch": "resnet18", "state_dict": published.state_dict(), "best_prec1": torch.tensor(0.9)}
    torch.save(fields, path, _use_new_zipfile_serialization=False)  # the form of its years
    monkeypatch.setenv("MER_AMAN_RESNET18", str(path))
    x = torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(deep_features.aman_network()(x), published.module.eval()(x))


def test_weights_of_another_network_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forgotten: None) -> None:
    torch.save({"module.conv1.weight": torch.zeros(3)}, tmp_path / "other.pt")
    monkeypatch.setenv("MER_AMAN_RESNET18", str(tmp_path / "other.pt"))
    with pytest.raises(BadInput, match="is not a ResNet-18"):
        deep_features.aman_network()


@pytest.fixture
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run ends after its warnings, before Ray."""

    def refuse(*_: object) -> None:
        raise BadInput(())

    monkeypatch.setattr("orchestrator.whole_run.Cluster", refuse)


def clips_of(dataset: str, subjects: int = 3) -> list[Clip]:
    emotions = ("negative", "positive", "surprise")
    return [Clip(dataset, f"{dataset}/{s}", f"clip{i}", emotions[i]) for s in range(subjects) for i in range(3)]


def test_a_run_on_published_maps_tells_of_fixed_landmarks(
    tmp_path: Path, no_cluster: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MER_STORE", str(tmp_path / "store"))
    write_blobs(Store(tmp_path / "store"), "maps", clips_of("casme2"))
    (tmp_path / "e.yaml").write_text("{name: e, datasets: maps, models: [htnet, ststnet]}")
    mer("run", tmp_path / "e.yaml", "--out", tmp_path / "out")
    (told,) = [line for line in capsys.readouterr().err.splitlines() if "fixed landmarks" in line]
    assert told.startswith("maps: htnet_mosaic_28 is cut at fixed landmarks, the same for every clip")
    assert told.endswith("(eaten by htnet)")


def test_landmarks_are_fixed_only_where_no_face_can_be_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, clips = Store(tmp_path / "store"), clips_of("casme2")
    apexes = replace(SPEC, name="apex_28")
    arrays = {clip.id: np.zeros((3, 28, 28), np.uint8) for clip in clips}
    marked = [replace(clip, landmarks=(1.0,) * 10) for clip in clips]
    for name, of, root in (("apexes", clips, None), ("frames", clips, tmp_path), ("marked", marked, tmp_path)):
        with store.replacing(name) as writer:
            writer.clips(of, format_="test", frame_root=root)
            if name == "apexes":
                writer.feature(apexes, arrays, of, "test")

    def told() -> list[str]:
        datasets = map(store.dataset, ("apexes", "frames", "marked"))
        return [dataset.name for dataset in datasets if warning_on_dataset(store, dataset, "htnet_mosaic_28")]

    assert told() == []
    monkeypatch.setattr(mtcnn, "installed", lambda: None)
    assert told() == ["apexes", "frames"]


def test_random_weights_are_told_and_imported_maps_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, clips = Store(tmp_path / "store"), clips_of("casme2", 1)
    spec = replace(FEATURES["aman_maps"], size=(1,), dtype="float32", params={"origin": "test"})
    with store.replacing("imported") as writer:
        writer.clips(clips, format_="test", frame_root=None)
        writer.feature(spec, {clip.id: np.zeros(1, np.float32) for clip in clips}, clips, "test")
    with store.replacing("frames") as writer:
        writer.clips(clips, format_="test", frame_root=tmp_path)
    assert "RANDOM weights" in str(warning_on_dataset(store, store.dataset("frames"), "aman_maps"))
    assert warning_on_dataset(store, store.dataset("imported"), "aman_maps") is None
    loaded = replace(FEATURES["aman_maps"], params={**FEATURES["aman_maps"].params, "weights": "sha256 0"})
    monkeypatch.setitem(FEATURES, "aman_maps", loaded)
    assert warning_on_dataset(store, store.dataset("frames"), "aman_maps") is None


@pytest.mark.parametrize(
    ("pair", "told"),
    [
        (("casme", "casme2"), True),
        (("casme2", "casme_sq"), True),
        (("smic", "4dme"), True),
        (("casme2", "samm"), False),
        (("casme2", "casme2"), False),
    ],
)
def test_people_that_nobody_compared_are_told(pair: tuple[str, str], told: bool) -> None:
    found = perhaps_same_people(f"{dataset}/01/a" for dataset in pair)
    assert bool(found) is told
    assert all("may show the same people" in line for line in found)


def test_a_run_unites_them_with_a_warning(
    tmp_path: Path, no_cluster: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MER_STORE", str(tmp_path / "store"))
    for name in ("casme", "casme2"):
        write_blobs(Store(tmp_path / "store"), name, clips_of(name))
    (tmp_path / "e.yaml").write_text(
        "{name: e, datasets: [{name: both, union: [casme, casme2]}, casme], models: majority}"
    )
    mer("run", tmp_path / "e.yaml", "--out", tmp_path / "out")
    told = [line for line in capsys.readouterr().err.splitlines() if "same people" in line]
    assert len(told) == 1
    assert told[0].startswith("both: casme and casme2 come from one laboratory")
