"""Variants of a dataset change what they name, and nothing else."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mer_data.apex import midpoint
from mer_data.faces.alignment import ALIGNMENTS
from mer_data.formats import import_dataset
from mer_data.frames import list_frames
from mer_data.problems import BadInput
from mer_data.storage.store import Store, original
from mer_data.synthetic import TWINS, make_casme2, read_truth
from mer_data.variants import Variant, prepare


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A twin of CASME II in crops, and one of SAMM in whole pictures."""
    folder = tmp_path_factory.mktemp("trees")
    make_casme2(folder / "casme2", subjects=2, clips=6, length=(12, 16), size=(100, 120))
    TWINS["samm"](folder / "samm", subjects=2, clips=3, length=(12, 14), raw=True, scale=0.34)
    return folder


@pytest.fixture
def store(trees: Path, tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    import_dataset("casme2", [trees / "casme2"], store, "casme2")
    import_dataset("samm", [trees / "samm"], store, "samm", landmarks=trees / "samm/landmarks.csv")
    return store


def test_names_tell_what_is_changed() -> None:
    assert Variant().name("samm") == "samm"
    everything = Variant(ALIGNMENTS["box"], "midpoint", 5, 1)
    assert everything.name("samm") == "samm@align-box+apex-midpoint+jitter-5-seed-1"
    assert str(everything) == "align box, apex midpoint, onset and apex moved by up to 5 frames (seed 1)"
    assert original("samm@align-box") == original("samm") == "samm"


def test_raw_trees_are_known_by_their_folder_or_size(store: Store, trees: Path, tmp_path: Path) -> None:
    assert store.dataset("samm").raw
    assert not store.dataset("casme2").raw
    TWINS["casme3a"](tmp_path / "whole", subjects=2, clips=2, length=(4, 5), raw=True, scale=0.5)
    TWINS["casme3a"](tmp_path / "cut", subjects=2, clips=2, length=(4, 5))
    assert import_dataset("casme3a", [tmp_path / "whole"], store, "whole").raw
    assert not import_dataset("casme3a", [tmp_path / "cut"], store, "cut").raw, "somebody cut the faces out"


def test_a_variant_that_changes_nothing_is_the_original(store: Store) -> None:
    assert prepare(store, "casme2", Variant()) == "casme2"
    assert store.names() == ["casme2", "samm"]


def test_variants_are_not_listed_among_datasets(store: Store) -> None:
    name = prepare(store, "samm", Variant(ALIGNMENTS["box"]))
    assert name == "samm@align-box"
    assert store.names() == ["casme2", "samm"]
    assert store.dataset(name).align == ALIGNMENTS["box"]
    assert store.dataset(name).clips == store.dataset("samm").clips


def test_the_middle_frame_of_every_clip(store: Store) -> None:
    clips = store.dataset(prepare(store, "casme2", Variant(apex="midpoint"))).clips
    before = store.dataset("casme2").clips
    assert [replace(c, apex=b.apex, apex_source=b.apex_source) for c, b in zip(clips, before, strict=True)] == [*before]
    assert all(clip.apex == midpoint(clip.onset, clip.offset) for clip in clips)
    assert {clip.apex_source for clip in clips} == {"midpoint"}


@pytest.mark.parametrize(("dataset", "align"), [("casme2", "none"), ("samm", "similarity")])
def test_spotted_apexes_are_near_planted_ones(store: Store, trees: Path, dataset: str, align: str) -> None:
    """Also in whole pictures, where motion is looked for in the aligned face."""
    truths = read_truth(trees / dataset)
    clips = store.dataset(prepare(store, dataset, Variant(ALIGNMENTS[align], "spotted"))).clips
    assert {clip.apex_source for clip in clips} == {"spotted"}
    assert np.median([abs(clip.apex - truths[clip.id].apex) for clip in clips]) <= 2


def test_jitter_moves_onset_and_apex_apart_and_is_seeded(store: Store) -> None:
    def moves(variant: Variant) -> np.ndarray:
        clips = store.dataset(prepare(store, "casme2", variant)).clips
        known = {clip.id: clip for clip in store.dataset("casme2").clips}
        on_disk = {clip.id: list_frames(store.dataset("casme2").frame_root / clip.frames) for clip in clips}
        for clip in clips:
            assert {clip.onset, clip.apex} <= set(on_disk[clip.id])
            assert clip.onset < clip.apex <= clip.offset
        return np.array([(c.onset - known[c.id].onset, c.apex - known[c.id].apex) for c in clips])

    two, five = moves(Variant(jitter=2)), moves(Variant(jitter=5))
    assert np.abs(two).max() == 2
    assert 3 <= np.abs(five).max() <= 5
    assert ((five[:, 0] > 0) & (five[:, 1] < 0)).any(), "each by itself"
    assert (two[:, 0] >= 0).all(), "this tree has no frames before the onset"
    assert (np.sign(two[:, 1]) * np.sign(five[:, 1]) >= 0).all(), "in the same direction, and further"
    np.testing.assert_array_equal(moves(Variant(jitter=2)), two)
    assert (moves(Variant(jitter=2, seed=1)) != two).any()


def test_a_variant_follows_its_original(store: Store, trees: Path, tmp_path: Path) -> None:
    tree = Path(shutil.copytree(trees / "casme2", tmp_path / "CASME2"))
    import_dataset("casme2", [tree], store, "casme2")
    spotted = Variant(apex="spotted")
    seen: list[int] = []
    prepare(store, "casme2", spotted, seen.append)
    assert len(seen) == 6
    prepare(store, "casme2", spotted, seen.append)
    assert len(seen) == 6, "nothing has changed, so nothing is looked at again"
    clip = store.dataset("casme2").clips[0]
    frames = list_frames(store.dataset("casme2").frame_root / clip.frames)
    cv2.imwrite(str(frames[clip.apex]), np.zeros((120, 100, 3), np.uint8))
    prepare(store, "casme2", spotted, seen.append)
    assert len(seen) == 12
    with store.replacing("casme2") as writer:
        known = store.dataset("casme2")
        writer.clips(known.clips[:4], format_="casme2", frame_root=known.frame_root)
    assert len(store.dataset(prepare(store, "casme2", spotted)).clips) == 4


def test_without_frames_there_are_no_variants(store: Store) -> None:
    known = store.dataset("casme2")
    with store.replacing("maps") as writer:
        writer.clips(known.clips, format_="htnet", frame_root=None)
    with pytest.raises(BadInput, match="dataset maps: came without frames, so there can be no variant of it"):
        prepare(store, "maps", Variant(jitter=2))
    assert not store.has("maps@jitter-2")


def test_frames_that_cannot_be_read_are_told_together(store: Store, trees: Path, tmp_path: Path) -> None:
    tree = Path(shutil.copytree(trees / "samm", tmp_path / "SAMM"))
    import_dataset("samm", [tree], store, "samm")
    known = store.dataset("samm")
    for clip in known.clips[:2]:
        list_frames(known.frame_root / clip.frames)[clip.onset].write_bytes(b"no picture")
    with pytest.raises(BadInput) as caught:
        prepare(store, "samm", Variant(ALIGNMENTS["similarity"], "spotted"))
    told = [str(problem) for problem in caught.value.problems]
    assert len([line for line in told if "is not a readable image" in line]) == 2, told
    assert not store.has("samm@align-similarity+apex-spotted")
