"""Dual-ATME's lists and pictures: foreign paths, one fold per subject, and everything wrong said together."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import mutated, valid_or_refused

from mer_data import schema
from mer_data.composites import select
from mer_data.problems import BadInput
from mer_data.published.dual_atme import read
from mer_data.storage.store import Store
from mer_data.synthetic import dual_atme as twins
from mer_data.synthetic import read_truth
from mer_data.synthetic.dual_atme import HOME, LISTS, make_dual_atme, picture_path

SMALL = {"subjects": 4, "clips": 9}


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only."""
    dest = tmp_path_factory.mktemp("dual_atme") / "twin"
    make_dual_atme(dest, seed=2, **SMALL)
    return dest


@pytest.fixture
def root(twin: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(twin, tmp_path / "twin"))


def problems_of(*sources: Path) -> list[str]:
    with pytest.raises(BadInput) as caught:
        read(sources)
    assert all(problem.where and problem.remedy for problem in caught.value.problems)
    return [str(problem) for problem in caught.value.problems]


def the_problem(*sources: Path) -> str:
    (problem,) = problems_of(*sources)
    return problem


def replace_in_lists(root: Path, old: str, new: str, pattern: str = "*_t*.txt") -> None:
    for path in (root / LISTS).glob(pattern):
        path.write_bytes(path.read_bytes().replace(old.encode(), new.encode()))


def first(root: Path) -> tuple[str, Path, list[str]]:
    """The first subject, its test list, and the lines of that."""
    subject = (root / LISTS / "subName.txt").read_text().split()[0]
    path = root / LISTS / f"{subject}_test.txt"
    return subject, path, path.read_text().splitlines()


def pictures(root: Path, kind: str = "flow") -> list[Path]:
    return sorted(root.rglob(f"*_{kind}.png"))


# What comes out --------------------------------------------------------------------------------------


def test_a_twin_comes_out_as_it_was_planted(twin: Path) -> None:
    imported = read([twin])
    truths = read_truth(twin)
    assert {clip.id for clip in imported.clips} == set(truths)
    assert len(truths) == 9
    assert len({clip.subject for clip in imported.clips}) == 4
    assert {clip.dataset for clip in imported.clips} == {"casme2", "smic", "samm"}
    assert imported.frame_root is None
    for clip in imported.clips:
        truth = truths[clip.id]
        assert (clip.onset, clip.apex, clip.emotion) == (truth.onset, truth.apex, truth.emotion)
        assert clip.apex_source == ("spotted" if clip.dataset == "smic" else "annotated")
        assert (clip.frames, clip.offset) == (None, None)
    assert schema.find_problems(imported.clips, "twin") == []
    assert len(select("megc2019", imported.clips, "twin").labelled) == 9


def test_features_are_red_green_blue_of_the_files(twin: Path) -> None:
    imported = read([twin])
    truths = read_truth(twin)
    assert [feature.spec.name for feature in imported.features] == ["flow_picture_28", "flow_puzzle_28"]
    for feature, kind in zip(imported.features, ("flow", "flow_puzzle"), strict=True):
        assert (feature.spec.channels, feature.spec.size) == (("r", "g", "b"), (28, 28))
        assert list(feature.arrays) == [clip.id for clip in imported.clips]
        for clip_id, array in feature.arrays.items():
            bgr = cv2.imread(str(twin / picture_path(truths[clip_id], kind)))
            np.testing.assert_array_equal(array, bgr[:, :, ::-1].transpose(2, 0, 1))
    whole, puzzle = (feature.arrays for feature in imported.features)
    assert all(not np.array_equal(whole[clip_id], puzzle[clip_id]) for clip_id in whole)


def test_into_a_store(twin: Path, tmp_path: Path) -> None:
    imported = read([twin])
    store = Store(tmp_path / "store")
    with store.replacing("dual") as writer:
        writer.clips(imported.clips, format_="dual_atme", frame_root=None, notes=imported.notes)
        for one in imported.features:
            writer.feature(one.spec, one.arrays, imported.clips, one.origin)
    ids = [clip.id for clip in imported.clips]
    found = store.feature("dual", "flow_puzzle_28").gather(ids)
    np.testing.assert_array_equal(found, np.stack([imported.features[1].arrays[clip_id] for clip_id in ids]))


def test_the_twin_has_the_oddities_of_the_original(twin: Path) -> None:
    subject, _, lines = first(twin)
    assert lines[0].startswith("/home/somebody/")
    assert not Path(lines[0].split()[0]).exists()
    truths = read_truth(twin)
    truth = next(truth for truth in truths.values() if truth.subject == subject)
    assert f"/{subject}_{truth.name}_img{truth.apex}-img{truth.onset}_flow.png " in "\n".join(lines)
    samm = next(truth for truth in truths.values() if truth.dataset == "samm")
    assert f"_{samm.subject}_{samm.apex:05}-{samm.subject}_" in picture_path(samm, "flow")


@pytest.mark.parametrize(
    "home", ["C:\\Users\\me\\Dual ATME", "/home/ann/my flow_data/x", "relative", "/a b/c d/Dual-ATME"]
)
def test_paths_of_any_computer(root: Path, home: str) -> None:
    expected = read([root]).clips
    replace_in_lists(root, HOME, home)
    if "\\" in home:
        replace_in_lists(root, "/", "\\")
    replace_in_lists(root, "\n", "\r\n")
    (root / LISTS / "subName.txt").write_text((root / LISTS / "subName.txt").read_text() + "\n\n")
    assert read([root]).clips == expected


def test_lists_and_pictures_may_be_apart(root: Path, tmp_path: Path) -> None:
    expected = read([root]).clips
    (root / LISTS).rename(tmp_path / "lists")
    for place in (root, root / "data", root / "data/MEGC2019"):
        assert read([tmp_path / "lists", place]).clips == expected
        assert read([place, tmp_path / "lists"]).clips == expected


def test_the_third_column_is_not_trusted(root: Path) -> None:
    expected = read([root]).clips
    for path in (root / LISTS).glob("*_t*.txt"):
        path.write_text("".join(f"{line[:-1]}7\n" for line in path.read_text().splitlines()))
    assert read([root]).clips == expected


def test_both_spellings_of_smic_are_one_clip(root: Path) -> None:
    expected = read([root])
    for path in [path for kind in ("flow", "flow_puzzle") for path in (root / "data/MEGC2019/smic" / kind).iterdir()]:
        path.rename(path.with_name(path.name.replace("_s0", "_s")))
    replace_in_lists(root, "_s0", "_s")
    assert read([root]).clips == expected.clips


def test_exchanged_labels_are_noted_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_dual_atme(tmp_path / "a", **SMALL)
    clip = read([tmp_path / "a"]).clips[0]
    other = "surprise" if clip.emotion != "surprise" else "negative"
    monkeypatch.setattr(twins, "EXCHANGED", {clip.id: other})
    make_dual_atme(tmp_path / "b", **SMALL)
    imported = read([tmp_path / "b"])
    assert imported.clips[0].emotion == other
    count, note = imported.notes
    assert count == "9 clips; the published list megc2019 has 442"
    assert f"1 clips have another class than in the published list megc2019, and keep it: {clip.id} is {other}" in note


def test_the_published_exchange_is_planted() -> None:
    assert twins.EXCHANGED == {"samm/006/006_5_9": "negative", "samm/006/006_5_11": "surprise"}


# What is refused -------------------------------------------------------------------------------------


def test_a_clip_that_is_tested_twice(root: Path) -> None:
    _, _, lines = first(root)
    subjects = (root / LISTS / "subName.txt").read_text().split()
    other = root / LISTS / f"{subjects[1]}_test.txt"
    other.write_text(other.read_text() + lines[0] + "\n")
    assert f"{other}: holds clips of other subjects than" in the_problem(root)


def test_a_clip_of_the_held_out_subject_in_training(root: Path) -> None:
    subject, _, lines = first(root)
    train = root / LISTS / f"{subject}_train.txt"
    train.write_text(train.read_text() + lines[0] + "\n")
    assert f"{train}: holds clips of the held-out subject casme2/{subject}" in the_problem(root)


def test_a_clip_that_is_never_tested(root: Path) -> None:
    _, path, lines = first(root)
    path.write_text("\n".join(lines[1:]))
    assert "is in no test list of its subject" in the_problem(root)


def test_a_clip_that_a_fold_lacks(root: Path) -> None:
    subject, _, _ = first(root)
    train = root / LISTS / f"{subject}_train.txt"
    train.write_text("\n".join(train.read_text().splitlines()[1:]))
    assert f"{subject}_train.txt and {subject}_test.txt lack 1 of the lists' clips" in the_problem(root)


def test_a_label_that_folds_disagree_on(root: Path) -> None:
    _, path, lines = first(root)
    stem, label, code = lines[0].rsplit(maxsplit=2)
    path.write_text("\n".join([f"{stem} {(int(label) + 1) % 3} {code}", *lines[1:]]))
    assert "has several labels" in the_problem(root)


def test_an_apex_that_folds_disagree_on(root: Path) -> None:
    _, _, lines = first(root)
    train = next(p for p in (root / LISTS).glob("*_train.txt") if lines[0] in p.read_text())
    train.write_text(train.read_text().replace(lines[0], lines[0].replace("-img", "1-img")))
    assert "has several pictures" in the_problem(root)


def test_all_problems_of_lists_are_told_together(root: Path) -> None:
    _, path, lines = first(root)
    good = lines[0]
    path.write_text(
        "\n".join(
            [
                *lines,
                good,
                "one two",
                good.replace("_flow.png", ".png"),
                good.replace("/flow/", "/flows/"),
                good.replace("casme2/flow", "samm/flow"),
                f"{good[:-3]}3 0",
                good.replace("-img", "-reg_img"),
                good.replace("-img", "-"),
            ]
        )
    )
    problems = problems_of(root)
    said = (
        "is in this list already", "is not PATH LABEL DATABASE", "names no clip, apex and onset",
        "is not in a folder 'flow'", "is in samm, but its subject is spelled as in casme2", "'3' is not a label",
        "in different ways", "in different ways",
    )  # fmt: skip
    assert len(problems) == len(said)
    for number, (problem, words) in enumerate(zip(problems, said, strict=True), start=len(lines) + 1):
        assert f"{path}, line {number}: " in problem
        assert words in problem


def test_subjects_that_cannot_be(root: Path) -> None:
    names = root / LISTS / "subName.txt"
    subject = names.read_text().split()[0]
    names.write_text(names.read_text() + f"{subject}\nfold1\nsub99\n")
    (root / LISTS / "s19_test.txt").touch()
    problems = problems_of(root)
    for words in (
        "line 5: subject casme2/", "line 6: 'fold1' is not a subject", "s19_test.txt: subject 's19' has no line",
        "sub99_test.txt: no such file", "sub99_train.txt: no such file",
    ):  # fmt: skip
        assert any(words in problem for problem in problems), words


def test_a_file_that_is_missing_names_the_line(root: Path) -> None:
    _, path, _ = first(root)
    whole, puzzle = pictures(root)[0], pictures(root, "flow_puzzle")[-1]
    whole.unlink()
    puzzle.unlink()
    problems = problems_of(root)
    assert len(problems) == 2
    assert f"{path}, line " in problems[0]
    assert whole.name in problems[0]
    assert f"{puzzle.name}: no file in {root} has this path or an end of it" in problems[1]


def test_a_file_that_fits_twice(root: Path) -> None:
    picture = pictures(root)[0]
    shutil.copy(picture, root / picture.name)
    assert f"may be any of data/MEGC2019/casme2/flow/{picture.name}, {picture.name} in {root}" in the_problem(root)


def test_nothing_outside_the_root_is_read(root: Path, tmp_path: Path) -> None:
    picture = pictures(root)[0]
    picture.rename(tmp_path / "outside.png")
    picture.symlink_to(tmp_path / "outside.png")
    assert "leads out of this folder" in the_problem(root)
    picture.unlink()
    shutil.copy(tmp_path / "outside.png", picture)
    replace_in_lists(root, HOME, f"{HOME}/..")
    assert all("has a '..' in it" in problem for problem in problems_of(root))
    replace_in_lists(root, f"{HOME}/..", HOME)
    path = first(root)[1]
    path.rename(tmp_path / "list.txt")
    path.symlink_to(tmp_path / "list.txt")
    assert any("leads out of this folder" in problem for problem in problems_of(root))


def _png(height: int, width: int, dtype: type = np.uint8) -> bytes:
    return bytes(cv2.imencode(".png", np.zeros((height, width, 3), dtype))[1])


@pytest.mark.parametrize("kind", ["flow", "flow_puzzle"])
def test_pictures_that_are_damaged_or_of_another_kind(root: Path, kind: str) -> None:
    paths = pictures(root, kind)
    paths[0].write_bytes(paths[0].read_bytes()[:-20])
    paths[1].write_bytes(_png(28, 20))
    paths[2].write_bytes(_png(28, 28, np.uint16))
    paths[3].write_bytes(b"")
    problems = problems_of(root)
    said = ("is not a whole PNG file", "is 20x28, 8 bit, RGB; a flow picture is square", "16 bit", "is not a whole PNG")
    assert len(problems) == 4
    for problem, words in zip(problems, said, strict=True):
        assert words in problem


def test_pictures_of_several_sizes(root: Path) -> None:
    pictures(root)[0].write_bytes(_png(30, 30))
    message = the_problem(root)
    assert "the pictures of flow_picture differ in size: 28x28 of" in message
    assert "; 30x30 of casme2/" in message


def test_any_size_will_do(tmp_path: Path) -> None:
    make_dual_atme(tmp_path / "twin", size=(80, 90), **SMALL)
    assert [feature.spec.shape for feature in read([tmp_path / "twin"]).features] == [(3, 40, 40)] * 2


def test_folders_without_lists(tmp_path: Path, root: Path) -> None:
    for sources in ([], [tmp_path], [root, root / LISTS], [root, tmp_path, tmp_path]):
        assert "one folder with subName.txt in it" in the_problem(*sources)


def test_lists_that_are_no_text(root: Path) -> None:
    _, path, _ = first(root)
    path.write_bytes(b"\xff\xfe\x00")
    assert any(f"{path}: cannot be read" in problem for problem in problems_of(root))
    path.write_bytes(b"a\0b 1 2")
    assert any(f"{path}: holds NUL characters" in problem for problem in problems_of(root))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_lists_are_valid_or_refused(
    tmp_path_factory: pytest.TempPathFactory, twin: Path, data: st.DataObject
) -> None:
    root = tmp_path_factory.getbasetemp() / f"dual-{os.getpid()}"
    if not root.exists():
        shutil.copytree(twin, root)
    name = data.draw(st.sampled_from(sorted(path.name for path in (twin / LISTS).iterdir())))
    path = root / LISTS / name
    try:
        path.write_bytes(data.draw(mutated((twin / LISTS / name).read_text())))
        valid_or_refused(lambda: read([root]))
    finally:
        shutil.copy(twin / LISTS / name, path)
