"""Importing ATN's data: every spelling of its files, and everything wrong said together."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from atn_files import (
    CROPS,
    HOOF,
    LBP,
    LIST,
    POINTS,
    SIZES,
    V73,
    arrays_of,
    edit,
    first,
    mat,
    problems_of,
)

from mer_data import schema
from mer_data.composites import published
from mer_data.problems import BadInput
from mer_data.published import atn
from mer_data.published.atn_text import clip_of_key
from mer_data.storage.store import Store
from mer_data.synthetic import read_truth
from mer_data.synthetic.atn import crop_name, make_atn, points


def test_the_twin_imports_as_it_was_planted(twin: Path, tmp_path: Path) -> None:
    imported, truths = atn.read([twin]), read_truth(twin)
    assert not schema.find_problems(imported.clips, "twin")
    assert {clip.id for clip in imported.clips} == set(truths) <= set(published("megc2019"))
    for clip in imported.clips:
        truth = truths[clip.id]
        assert (clip.emotion, clip.apex, clip.onset, clip.offset) == (truth.emotion, truth.apex, None, None)
        assert clip.apex_source == ("midpoint" if clip.dataset == "smic" else "annotated")
    assert {one.spec.name: one.spec.shape for one in imported.features} == {
        "apex_gray_224": (1, 224, 224), "atn_points": (64, 128), **SIZES,
    }  # fmt: skip
    store = Store(tmp_path / "store")
    with store.replacing("atn") as writer:
        writer.clips(imported.clips, format_="atn", frame_root=None, notes=imported.notes)
        for one in imported.features:
            writer.feature(one.spec, one.arrays, imported.clips, one.origin)
    for one in imported.features:
        ids = [clip.id for clip in imported.clips]
        np.testing.assert_array_equal(
            store.feature("atn", one.spec.name).gather(ids), [one.arrays[clip_id] for clip_id in ids]
        )


def test_the_same_arguments_give_the_same_twin(twin: Path, tmp_path: Path) -> None:
    make_atn(tmp_path / "again", subjects=3, clips=6, seed=4, size=(48, 56), length=(10, 50))
    for path in sorted(path for path in twin.rglob("*") if path.is_file()):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(twin)).read_bytes(), path


def test_all_published_clips_are_known_by_their_keys() -> None:
    for clip_id in published("megc2019"):
        dataset, subject, name = clip_id.split("/")
        subject = subject.lstrip("0")
        assert clip_of_key(f"{dataset}-{subject}-{name}") == clip_id
        assert clip_of_key(f"Data\\{dataset}\\{subject}\\{name}") == clip_id


@pytest.mark.parametrize(
    ("written", "clip_id"),
    [
        ("samm-6-006_1_2", "samm/006/006_1_2"),
        ("samm-006-006_1_2", "samm/006/006_1_2"),
        ("smic-s1-s1_ne_01", "smic/s01/s01_ne_01"),
        ("Data/smic/s01/s01_ne_01", "smic/s01/s01_ne_01"),
        (" Data/casme2-sub01-EP02_01f ", "casme2/sub01/EP02_01f"),
        ("casme2-s01-EP02_01f", None),
        ("casme2-sub01", None),
        ("casme2-sub01-../x", None),
        ("../samm/6/006_1_2", None),
        ("samm-6_1-006_1_2", None),
        ("", None),
    ],
)
def test_keys_in_every_spelling(written: str, clip_id: str | None) -> None:
    assert clip_of_key(written) == clip_id


def test_points_are_those_of_the_file(twin: Path) -> None:
    found = arrays_of(atn.read([twin]), "atn_points")
    for clip_id, truth in read_truth(twin).items():
        assert found[clip_id].dtype == np.float32
        np.testing.assert_allclose(found[clip_id], points(truth), rtol=1e-6)
    short = next(truth for truth in read_truth(twin).values() if truth.offset - truth.apex < 30)
    assert not found[short.id][-1].any()  # rows after the clip are where the file has them


def test_crops_of_any_size_become_gray_224(root: Path) -> None:
    samm, casme2 = first(root, "samm"), first(root, "casme2")
    rng = np.random.default_rng(1)
    small, full = rng.integers(0, 256, (60, 50), np.uint8), rng.integers(0, 256, (224, 224, 3), np.uint8)
    for truth, pixels in ((samm, small), (casme2, full)):
        (root / CROPS / crop_name(truth)).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    found = arrays_of(atn.read([root]), "apex_gray_224")
    np.testing.assert_array_equal(found[samm.id][0], cv2.resize(small, (224, 224), interpolation=cv2.INTER_LINEAR))
    np.testing.assert_array_equal(found[casme2.id][0], cv2.cvtColor(full, cv2.COLOR_BGR2GRAY))


def test_line_ends_blanks_prefixes_and_the_folder_itself_change_nothing(root: Path) -> None:
    expected = atn.read([root])
    edit(root / LIST, lambda text: "\ufeff" + text.replace("\r\n", "\n\n").replace("casme2-", f"{CROPS}/casme2-"))
    edit(
        root / POINTS,
        lambda text: text.replace("\r\n", "\n").replace("\n ", "\n").replace("samm-6-", "Data\\samm\\6\\"),
    )
    edit(root / LIST, lambda text: text.replace("Apex_Cropped_images/", "Apex_Cropped_images\\"))
    for source in (root, root / "Data"):
        found = atn.read([source])
        assert found.clips == expected.clips
        for before, after in zip(expected.features, found.features, strict=True):
            assert before.spec == after.spec
            for clip_id in before.arrays:
                np.testing.assert_array_equal(before.arrays[clip_id], after.arrays[clip_id])


def test_all_but_the_crops_may_be_absent(root: Path) -> None:
    (root / POINTS).unlink()
    for folder in (root / "Data").glob("*TIM*"):
        shutil.rmtree(folder)
    assert [one.spec.name for one in atn.read([root]).features] == ["apex_gray_224"]


def test_feature_folders_may_lie_anywhere_and_others_are_left_out(root: Path) -> None:
    (root / LBP).rename(root / "tim10")
    (root / HOOF).rename(root / "whatever")
    (root / "caffe").mkdir()
    (root / "caffe/mean.mat").write_bytes(mat(mean=np.ones((3, 3))))
    imported = atn.read([root])
    assert {one.spec.name for one in imported.features} == {"apex_gray_224", "atn_points", *SIZES}
    assert any("no .mat file is named after a clip" in note for note in imported.notes)


def test_differences_to_the_published_list_are_noted(root: Path) -> None:
    assert any("442" in note for note in atn.read([root]).notes)
    name = crop_name(first(root, "samm"))
    edit(root / LIST, lambda text: text.replace(f"{name} 0", f"{name} 1").replace(f"{name} 2", f"{name} 1"))
    assert any("another class" in note and first(root, "samm").id in note for note in atn.read([root]).notes)


def test_histograms_that_do_not_sum_to_one_are_noted(root: Path) -> None:
    path = next((root / HOOF).iterdir())
    path.write_bytes(mat(HOOF=np.ones((4, 64))))
    assert any("do not sum to 1" in note for note in atn.read([root]).notes)


def test_sources_that_are_not_atn_s_folder(root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for sources in ([], [tmp_path / "empty"], [root, root], [root / LIST]):
        with pytest.raises(BadInput, match="Apex_Cropped_images"):
            atn.read(sources)


def test_damaged_crops_and_links_that_lead_out(root: Path, tmp_path: Path) -> None:
    broken, linked = (root / CROPS / crop_name(first(root, name)) for name in ("smic", "samm"))
    broken.write_bytes(broken.read_bytes()[:20])
    linked.rename(tmp_path / "outside.jpg")
    linked.symlink_to(tmp_path / "outside.jpg")
    found = problems_of(root)
    assert any("is not a readable image" in problem and broken.name in problem for problem in found)
    assert any("link that leads out" in problem and linked.name in problem for problem in found)


@pytest.mark.parametrize("file", [POINTS, CROPS, LIST, LBP])
def test_nothing_is_read_through_a_link_out_of_the_folder(root: Path, tmp_path: Path, file: str) -> None:
    (root / file).rename(tmp_path / "outside")
    (root / file).symlink_to(tmp_path / "outside")
    if file == LBP:  # found by looking round, so it is simply not seen
        assert "lbp_top_atn_tim10_p8" not in {one.spec.name for one in atn.read([root]).features}
    else:
        assert any("leads out of" in problem for problem in problems_of(root))


def test_all_problems_of_all_files_are_told_together(root: Path) -> None:
    edit(root / LIST, lambda text: "7\r\n".join([text.splitlines()[0][:-1], text.partition("\r\n")[2]]))
    (root / CROPS / crop_name(first(root, "smic"))).write_bytes(b"no image")
    lines = (root / POINTS).read_text().split("\n")
    lines[2], lines[3] = "1 2 3", "nan " * 128
    (root / POINTS).write_text("\n".join(lines))
    mats = sorted((root / HOOF).iterdir())
    mats[0].write_bytes(mats[0].read_bytes()[:150])
    mats[1].write_bytes(V73)
    said = ("line 1: ", "not a readable image", "line 3: has 3 numbers", "line 4: number 1 is nan", "is damaged", "7.3")
    found = problems_of(root)
    assert len(found) == len(said)
    for problem, words in zip(found, said, strict=True):
        assert words in problem
