"""Off-TANet's data folder: clips as our own importers name them, and everything wrong said together."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import mutated, valid_or_refused

from mer_data import schema
from mer_data.composites import published, select
from mer_data.datasets import casme, casme2, casme_sq
from mer_data.frames import frame_number, list_frames
from mer_data.problems import BadInput
from mer_data.published.offtanet import read
from mer_data.synthetic import read_truth
from mer_data.synthetic.offtanet import SHEET, make_offtanet

SMALL = {"subjects": 6, "clips": 14, "size": (40, 44), "length": (5, 8)}
HEADER = "Dataset,Subject,Sample,Onset,Apex,Class"
ROWS = (
    "casme1,sub01,EP01_5,98,101,positive",
    "casme2,sub01,EP02_01f,46,59,positive",
    "casme^2,16,disgust1_3,552,557,surprise",
)


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dest = tmp_path_factory.mktemp("offtanet") / "twin"
    make_offtanet(dest, seed=2, **SMALL)
    return dest


def write_list(root: Path, rows: tuple[str, ...], header: str = HEADER) -> Path:
    root.mkdir(exist_ok=True)
    sheet = root / SHEET
    sheet.write_text("\n".join([header, *rows]) + "\n")
    return sheet


def write_frames(root: Path, rows: tuple[str, ...]) -> None:
    """Files in place of frames: an importer looks at names only."""
    for row in rows:
        dataset, subject, name, onset, apex, _ = row.split(",")
        folder = root / f"{dataset}_cropped" / subject / name
        folder.mkdir(parents=True)
        for number in (onset, apex):
            prefix = {"casme1": f"reg_{name}-", "casme2": "reg_img", "casme^2": "img"}[dataset]
            (folder / f"{prefix}{number}.jpg").touch()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_list(tmp_path / "data", ROWS)
    write_frames(tmp_path / "data", ROWS)
    return tmp_path / "data"


def problems_of(*sources: Path) -> list[str]:
    with pytest.raises(BadInput) as caught:
        read(sources)
    assert all(problem.where and problem.remedy for problem in caught.value.problems)
    return [str(problem) for problem in caught.value.problems]


def the_problem(*sources: Path) -> str:
    (problem,) = problems_of(*sources)
    return problem


def test_a_twin_comes_out_as_it_was_planted(twin: Path) -> None:
    imported = read([twin])
    truths = read_truth(twin)
    assert [clip.id for clip in imported.clips] == list(truths)
    assert len(truths) == 14
    assert len({clip.subject for clip in imported.clips}) == 6
    assert {clip.dataset for clip in imported.clips} == {"casme", "casme2", "casme_sq"}
    assert imported.frame_root == twin
    for clip in imported.clips:
        truth = truths[clip.id]
        assert (clip.onset, clip.apex, clip.offset) == (truth.onset, truth.apex, None)
        assert (clip.emotion, clip.apex_source) == (truth.emotion, "annotated")
        assert clip.fps == {"casme": 60, "casme2": 200, "casme_sq": 30}[clip.dataset]
        assert clip.frames
        assert {clip.onset, clip.apex} <= list_frames(imported.frame_root / clip.frames).keys()
    assert schema.find_problems(imported.clips, "twin") == []


def test_the_twin_has_the_oddities_of_the_original(twin: Path) -> None:
    assert {path.name for path in twin.iterdir() if path.is_dir()} == {
        "casme1_cropped", "casme2_cropped", "casme^2_cropped",
    }  # fmt: skip
    assert all(path.name.isdigit() for path in (twin / "casme^2_cropped").iterdir())
    names = [path.name for path in twin.rglob("*.jpg")]
    assert not any(f"-0{frame_number(name)}" in name or f"g0{frame_number(name)}" in name for name in names)
    assert b"\r" not in (twin / SHEET).read_bytes()
    assert (twin / SHEET).read_text().splitlines()[0] == HEADER


def test_the_published_list_finds_all_its_clips(tmp_path: Path) -> None:
    rows = tuple(
        f"{ {'casme': 'casme1', 'casme_sq': 'casme^2'}.get(dataset, dataset) },"
        f"{subject.removeprefix('s') if dataset == 'casme_sq' else subject},{name},100,107,{label}"
        for (dataset, subject, name), label in ((id_.split("/"), label) for id_, label in published("casmes").items())
    )
    write_list(tmp_path, rows)
    write_frames(tmp_path, rows)
    imported = read([tmp_path])
    assert imported.notes == ()
    selection = select("casmes", imported.clips, "test")
    assert (len(selection.labelled), selection.missing) == (294, ())
    assert all(clip.emotion == label for clip, label in selection.labelled)
    assert Counter(clip.dataset for clip in imported.clips) == {"casme": 114, "casme2": 145, "casme_sq": 35}
    assert len({clip.subject for clip in imported.clips}) == 49


def test_subjects_are_those_of_our_own_importers(root: Path) -> None:
    ours = (casme.read_subject("1"), casme2.read_subject("01"), casme_sq.read_subject("16"))
    assert [clip.subject for clip in read([root]).clips] == [
        f"{dataset}/{subject}" for dataset, subject in zip(("casme", "casme2", "casme_sq"), ours, strict=True)
    ]


def test_list_and_trees_may_be_apart(root: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "list.csv"
    (root / SHEET).rename(sheet)
    assert len(read([root, sheet]).clips) == 3


def test_padded_numbers_and_other_suffixes_are_found_too(root: Path) -> None:
    folder = root / "casme1_cropped/sub01/EP01_5"
    (folder / "reg_EP01_5-98.jpg").rename(folder / "reg_EP01_5-098.png")
    assert len(read([root]).clips) == 3


def test_clips_and_classes_unlike_the_published_list_are_noted(root: Path) -> None:
    (root / SHEET).write_text((root / SHEET).read_text().replace("59,positive", "59,negative"))
    (root / "casme1_cropped/sub01/EP01_5").rename(root / "casme1_cropped/sub01/EP99")
    (root / SHEET).write_text((root / SHEET).read_text().replace("EP01_5", "EP99"))
    count, strange, label = read([root]).notes
    assert "3 clips; the published list casmes has 294" in count
    assert "casme/sub01/EP99" in strange
    assert "casme2/sub01/EP02_01f is negative, there positive" in label


def test_all_problems_of_a_list_are_told_together(root: Path) -> None:
    (root / "casme1_cropped/sub01/EP01_5/reg_EP01_5-98.jpg").unlink()
    shutil.rmtree(root / "casme2_cropped/sub01/EP02_01f")
    extra = (
        "casme3,sub01,EP01_5,1,2,positive",
        "casme1,nobody,EP01_5,1,2,positive",
        "casme1,sub77,EP01_5,1,2,positive",
        "casme^2,16,disgust1_3,552,557,surprise",
        "casme^2,16,../16/disgust1_3,552,557,surprise",
        "casme^2,16,disgust1_3,,x,sad",
    )
    write_list(root, (*ROWS, *extra))
    problems = problems_of(root)
    sheet = root / SHEET
    expected = [
        f"{sheet}, row 2: {root / 'casme1_cropped/sub01/EP01_5'}: no frame 98 (it has 101 to 101)",
        f"{sheet}, row 3, column Sample: no folder for clip 'EP02_01f'",
        f"{sheet}, row 5, column Dataset: unknown dataset 'casme3' (did you mean",
        f"{sheet}, row 6, column Subject: 'nobody' is not a subject of casme1",
        f"{sheet}, row 7, column Subject: no folder for subject 'sub77'",
        f"{sheet}, row 8, column Sample: clip casme^2/s16/disgust1_3 is in row 4 already",
        f"{sheet}, row 9, column Sample: no folder for clip '../16/disgust1_3'",
        f"{sheet}, row 10, column Class: 'sad' is not a class",
        f"{sheet}, row 10, column Onset: '' is not a frame number",
        f"{sheet}, row 10, column Apex: 'x' is not a frame number",
        f"{sheet}, row 10, column Sample: clip casme^2/s16/disgust1_3 is in row 4 already",
    ]
    assert len(problems) == len(expected)
    for problem, start in zip(problems, expected, strict=True):
        assert problem.startswith(start), problem


@pytest.mark.parametrize(("onset", "apex"), [(59, 59), (59, 46)])
def test_an_apex_that_is_not_after_the_onset(root: Path, onset: int, apex: int) -> None:
    write_list(root, (ROWS[0], f"casme2,sub01,EP02_01f,{onset},{apex},positive"))
    assert f"{root / SHEET}, row 3, column Apex: apex {apex} is not after onset {onset}" in the_problem(root)


def test_a_tree_that_is_missing_is_told_once(root: Path) -> None:
    (root / "casme^2_cropped").rename(root / "casme2_cropped_too")  # the caret did not survive
    write_list(root, (*ROWS, "casme^2,16,happy1_1,1,2,negative"))
    assert f"{root / 'casme^2_cropped'}: no such folder of frames" in the_problem(root)


@pytest.mark.parametrize("level", ["casme2_cropped", "casme2_cropped/sub01/EP02_01f", "frame"])
def test_links_that_leave_the_root_are_not_followed(root: Path, tmp_path: Path, level: str) -> None:
    path = root / ("casme2_cropped/sub01/EP02_01f/reg_img59.jpg" if level == "frame" else level)
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    message = the_problem(root)
    assert "leads out of this folder" in message
    assert (", row 3: " in message) == (level != "casme2_cropped")  # of a tree it is told once, not row by row


def test_a_wrong_header_names_what_is_missing(root: Path) -> None:
    write_list(root, ROWS, header=HEADER.replace("Apex", "Peak"))
    assert "no row has the columns Dataset, Subject, Sample, Onset, Apex, Class" in the_problem(root)


def test_a_twin_that_cannot_be_made(tmp_path: Path) -> None:
    for wrong in ({"subjects": 50}, {"clips": 295}, {"subjects": 0}, {"subjects": 7, "clips": 6}, {"size": (8, 8)}):
        with pytest.raises(BadInput, match="cannot be drawn"):
            make_offtanet(tmp_path / "twin", **{**SMALL, **wrong})
    assert not (tmp_path / "twin").exists()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_list_is_valid_or_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    root = tmp_path_factory.getbasetemp() / f"offtanet-{os.getpid()}"
    if not root.exists():
        write_list(root, ROWS)
        write_frames(root, ROWS)
    (root / SHEET).write_bytes(data.draw(mutated("\n".join([HEADER, *ROWS]))))
    valid_or_refused(lambda: read([root]))
