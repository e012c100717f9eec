"""HTNet's twin comes out as it was planted, with the apex crops beside the maps if every clip has one."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mer_data import schema
from mer_data.composites import select
from mer_data.formats import import_dataset
from mer_data.problems import BadInput
from mer_data.published.htnet import read
from mer_data.storage.store import Store
from mer_data.synthetic import motion, read_truth
from mer_data.synthetic.htnet import APEXES, MAPS, SHEET, TREE, make_htnet

SMALL = {"subjects": 4, "clips": 9}


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only."""
    dest = tmp_path_factory.mktemp("htnet") / "twin"
    make_htnet(dest, seed=4, **SMALL)
    return dest


@pytest.fixture
def root(twin: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(twin, tmp_path / "twin"))


def crops(root: Path) -> list[Path]:
    return sorted((root / "datasets" / APEXES).iterdir())


def the_problem(root: Path) -> str:
    with pytest.raises(BadInput) as caught:
        read([root])
    (problem,) = caught.value.problems
    assert problem.where
    assert problem.remedy
    return str(problem)


def test_a_twin_comes_out_as_it_was_planted(twin: Path) -> None:
    truths = read_truth(twin)
    assert len(truths) == 9
    imported = read([twin])
    assert {clip.id: clip.emotion for clip in imported.clips} == {t.id: t.emotion for t in truths.values()}
    assert len({clip.subject for clip in imported.clips}) == 4
    assert len(select("megc2019", imported.clips, "twin").labelled) == 9
    assert schema.find_problems(imported.clips, "twin") == []


def test_every_form_of_the_twin_gives_the_same(twin: Path) -> None:
    datasets = twin / "datasets"
    whole = read([twin])
    for sources in ([datasets / TREE], [datasets / MAPS, twin / SHEET], [datasets]):
        form = read(sources)
        assert form.clips == whole.clips
        for clip_id, array in form.features[0].arrays.items():
            np.testing.assert_array_equal(array, whole.features[0].arrays[clip_id])


def test_maps_are_of_the_planted_motion(twin: Path) -> None:
    maps = read([twin]).features[0].arrays
    for clip_id, truth in read_truth(twin).items():
        planted = motion.flow(truth.bumps, truth.drift, 56, 56)
        small = np.stack([cv2.resize(channel, (28, 28), interpolation=cv2.INTER_AREA) for channel in planted])
        for channel, expected in zip(maps[clip_id], small, strict=False):
            stretched = (expected - expected.min()) / np.ptp(expected) * 255
            np.testing.assert_allclose(channel, stretched, atol=1)


def test_the_twin_has_the_oddities_of_the_original(twin: Path) -> None:
    assert all(path.name.endswith(" .png") for path in (twin / "datasets" / MAPS).iterdir())
    assert any(path.name.startswith("s") and "_s" in path.name and "_s0" not in path.name for path in crops(twin))
    with (twin / SHEET).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all((twin / "datasets" / APEXES / row["imagename"]).is_file() for row in rows)
    assert {(row["apex"], row["sub_filename"]) for row in rows} == {("", "")}
    for held_out in (twin / "datasets" / TREE).iterdir():
        labels = {path.name for path in (held_out / "u_test").iterdir()}
        assert all(list(path.iterdir()) for path in (held_out / "u_test").iterdir())
        assert labels < {"0", "1", "2"}  # nobody here has all three


def test_apex_crops_are_reduced_by_area(twin: Path) -> None:
    imported = read([twin])
    _, apex = imported.features
    assert (apex.spec.name, apex.spec.frames, apex.spec.dtype) == ("apex_28", "apex", "uint8")
    assert (apex.spec.channels, apex.spec.size) == (("b", "g", "r"), (28, 28))
    assert list(apex.arrays) == [clip.id for clip in imported.clips]
    with (twin / SHEET).open(newline="") as file:
        for row in csv.DictReader(file):
            crop = cv2.imread(str(twin / "datasets" / APEXES / row["imagename"]))
            means = crop.astype(float).reshape(28, 8, 28, 8, 3).mean(axis=(1, 3)).transpose(2, 0, 1)
            array = apex.arrays[f"{row['dataset']}/{row['sub']}/{row['filename_o']}"]
            assert np.abs(array - means).max() <= 0.51
            assert array.flags.c_contiguous


def test_apex_crops_reach_the_store(twin: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    imported = import_dataset("htnet", [twin], store, "htnet")
    ids = [clip.id for clip in imported.clips]
    expected = np.stack([imported.features[1].arrays[clip_id] for clip_id in ids])
    np.testing.assert_array_equal(store.feature("htnet", "apex_28").gather(ids), expected)


def test_without_the_folder_nothing_is_said(root: Path) -> None:
    with_crops = read([root])
    shutil.rmtree(root / "datasets" / APEXES)
    without = read([root])
    assert [feature.spec.name for feature in without.features] == ["flow_uvs_28"]
    assert (without.clips, without.notes) == (with_crops.clips, with_crops.notes)


def test_missing_crops_are_counted_and_none_is_imported(root: Path) -> None:
    for path in crops(root)[:2]:
        path.unlink()
    crops(root)[0].with_name("Thumbs.db").touch()
    crops(root)[0].with_name("figure.jpg").touch()
    imported = read([root])
    assert len(imported.features) == 1
    assert "2 of 9 clips have no picture of the apex, so none was imported: samm/" in imported.notes[-1]


def test_damaged_crops_are_refused(root: Path) -> None:
    paths = crops(root)
    paths[0].write_bytes(paths[0].read_bytes()[:-200])
    paths[1].write_bytes(b"")
    paths[2].write_bytes(bytes(cv2.imencode(".jpg", np.zeros((28, 28, 3), np.uint8))[1]))
    with pytest.raises(BadInput) as caught:
        read([root])
    said = sorted(str(problem).partition(": ")[2].partition(" (")[0] for problem in caught.value.problems)
    assert said == ["is 28x28; 224x224 is expected", "is not a whole JPEG file", "is not a whole JPEG file"]


def test_two_crops_of_one_clip(root: Path) -> None:
    path = next(path for path in crops(root) if "_s" in path.name)
    subject, _, clip = path.name.partition("_")
    shutil.copy(path, path.with_name(f"{subject}_{subject}{clip[clip.index('_') :]}"))
    assert "are both clip smic/" in the_problem(root)


def test_links_out_of_the_folder(root: Path, tmp_path: Path) -> None:
    path = crops(root)[0]
    path.rename(tmp_path / "outside.jpg")
    path.symlink_to(tmp_path / "outside.jpg")
    assert "leads out of this folder" in the_problem(root)


NAMES = st.sampled_from(["..jpg", "s1_.jpg", "006_006_1_2.jpg", "s01_s٣_ne_01.jpg", "sub01_EP02_01f.JPEG"]) | st.text(
    st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12
).map(lambda name: f"{name}.jpg")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=NAMES, number=st.integers(0, 8))
def test_any_names_of_crops_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, twin: Path, name: str, number: int
) -> None:
    root = tmp_path_factory.getbasetemp() / "htnet-names"
    if not root.exists():
        shutil.copytree(twin, root)
    path = crops(root)[number]
    renamed = path.with_name(name)
    if renamed.exists():
        return
    path.rename(renamed)
    try:
        imported = read([root])
    except BadInput as refusal:
        assert refusal.problems  # noqa: PT017 - either outcome is right
    else:
        assert len(imported.features) in (1, 2)
        assert len(imported.clips) == 9
    finally:
        renamed.rename(path)
