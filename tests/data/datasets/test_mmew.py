"""The MMEW importer: layouts, labels, frame numbers of the recording, and errors told with file and row."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import pytest
from by_hand import assert_told, write_frames, write_sheet

from mer_data import schema
from mer_data.corrections import Correction
from mer_data.datasets import mmew
from mer_data.frames import list_frames
from mer_data.imported import ApexRule
from mer_data.labels import SCHEMES
from mer_data.problems import BadInput
from mer_data.schema import Clip
from mer_data.synthetic.mmew import HEADER, make_mmew
from mer_data.synthetic.twin import read_truth

SUBJECT, NAME, ONSET, APEX, OFFSET, UNITS, EMOTION = range(7)
CLIP = "Micro_Expression/disgust/S05-04-003"


class Mmew:
    """A hand-made MMEW of one clip with frames 1 to 80, spoiled by each test as it likes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sheet = root / "MMEW_Micro_Exp.xlsx"

    def write_sheet(self, *rows: Sequence[object], header: Sequence[str] = HEADER) -> None:
        write_sheet(self.sheet, header, *rows)

    def write_frames(self, folder: str = CLIP, numbers: Sequence[int] = range(1, 81)) -> Path:
        return write_frames(self.root / folder, [f"{number}.jpg" for number in numbers])


def _row(changes: dict[int, object] | None = None) -> list[object]:
    cells: list[object] = ["S05", "S05-04-003", 2, 33, 74, "4+7", "disgust", ""]
    for position, value in (changes or {}).items():
        cells[position] = value
    return cells


@pytest.fixture
def tree(tmp_path: Path) -> Mmew:
    made = Mmew(tmp_path / "MMEW_Final")
    made.write_frames()
    made.write_sheet(_row())
    return made


def _only(tree: Mmew, apex: ApexRule = "midpoint") -> tuple[Clip, tuple[str, ...]]:
    imported = mmew.read([tree.root], apex)
    assert not schema.find_problems(imported.clips, "sheet")
    (clip,) = imported.clips
    return clip, imported.notes


def _problems(*sources: Path) -> list[str]:
    with pytest.raises(BadInput) as caught:
        mmew.read(sources)
    return [str(problem) for problem in caught.value.problems]


def test_the_twin_imports_as_it_was_planted(tmp_path: Path) -> None:
    make_mmew(tmp_path / "twin", subjects=5, clips=34, seed=1, size=(36, 36), length=(5, 9))
    imported, truths = mmew.read([tmp_path / "twin"]), read_truth(tmp_path / "twin")
    assert not schema.find_problems(imported.clips, "twin")
    assert [clip.id for clip in imported.clips] == list(truths)
    assert len({clip.subject for clip in imported.clips}) == 5
    for clip in imported.clips:
        truth = truths[clip.id]
        source = "annotated" if truth.apex_in_sheet else "midpoint"
        assert (clip.onset, clip.apex, clip.offset, clip.fps) == (truth.onset, truth.apex, truth.offset, 90.0)
        assert (clip.emotion, clip.action_units, clip.apex_source) == (truth.emotion, truth.action_units, source)
        frames = list_frames(imported.frame_root / clip.frames)
        assert list(frames) == list(range(1, truth.offset + 4))
        assert cv2.imread(str(frames[truth.apex])).shape == (36, 36, 3)
    said = "\n".join(imported.notes)
    assert said.count("numbers of the whole recording") == 3
    assert said.count("the middle frame") == sum(not truth.apex_in_sheet for truth in truths.values()) >= 2
    others = sum(truth.emotion == "others" for truth in truths.values())
    assert f"{others} clips labelled others are in a folder called repression" in said


def test_a_row_becomes_a_clip(tree: Mmew) -> None:
    imported = mmew.read([tree.root])
    expected = Clip(
        "mmew", "mmew/S05", "S05-04-003", "disgust", 2, 33, 74, "annotated", "4+7", 90.0, "disgust/S05-04-003"
    )
    assert imported.clips == (expected,)
    assert imported.notes == ()
    assert (imported.source, imported.frame_root) == (tree.sheet, tree.root / "Micro_Expression")


@pytest.mark.parametrize("subject", ["S05", "s5", "05", "5", 5, 5.0])
def test_subjects_in_every_spelling(tree: Mmew, subject: object) -> None:
    tree.write_sheet(_row({SUBJECT: subject}))
    assert _only(tree)[0].subject == "mmew/S05"


@pytest.mark.parametrize(
    "folder",
    [
        "Micro_Expression/S05/disgust/S05-04-003",
        "Micro_Expression/Micro_Expression/disgust/S05-04-003",
        "micro expression/disgust/S05-04-003",
        "disgust/S05-04-003",
        "S05/disgust/S05-04-003",
        "S05-04-003",
    ],
)
def test_clips_in_any_layout(tree: Mmew, folder: str) -> None:
    shutil.rmtree(tree.root / "Micro_Expression")
    path = tree.write_frames(folder)
    imported = mmew.read([tree.root])
    assert imported.frame_root / imported.clips[0].frames == path
    assert imported.notes == ()


def test_clip_names_are_padded(tree: Mmew) -> None:
    shutil.rmtree(tree.root / "Micro_Expression")
    tree.write_frames("Micro_Expression/disgust/S5-4-3")
    clip, notes = _only(tree)
    assert (clip.name, clip.frames) == ("S05-04-003", "disgust/S5-4-3")
    assert "the folder is called S5-4-3" in notes[0]
    tree.write_sheet(_row({NAME: "s5-04-3"}))
    assert _only(tree)[0].name == "S05-04-003"


@pytest.mark.parametrize(("folder", "noted"), [("repression", True), ("others", False)])
def test_others_may_be_in_a_folder_repression(tree: Mmew, folder: str, noted: bool) -> None:
    tree.write_frames(f"Micro_Expression/{folder}/S05-07-001")
    tree.write_sheet(_row({NAME: "S05-07-001", EMOTION: "Others"}))
    clip, notes = _only(tree)
    assert (clip.emotion, clip.frames) == ("others", f"{folder}/S05-07-001")
    assert [note.split(": ", 1)[1].startswith("1 clips labelled others") for note in notes] == [True] * noted


def test_of_two_folders_the_one_of_the_emotion_is_used(tree: Mmew) -> None:
    for folder in ("disgust", "fear", "repression"):
        tree.write_frames(f"Micro_Expression/{folder}/S05-07-001")
    tree.write_sheet(_row({NAME: "S05-07-001", EMOTION: "fear"}))
    assert _only(tree)[0].frames == "fear/S05-07-001"
    tree.write_sheet(_row({NAME: "S05-07-001", EMOTION: "others"}))
    assert _only(tree)[0].frames == "repression/S05-07-001"
    tree.write_sheet(_row({NAME: "S05-07-001", EMOTION: "anger"}))
    (problem,) = _problems(tree.root)
    assert "row 2, column Filename: clip 'S05-07-001' has 3 folders: disgust/S05-07-001, fear/" in problem


def test_a_folder_of_another_emotion_is_noted(tree: Mmew) -> None:
    tree.write_sheet(_row({EMOTION: "anger"}))
    clip, notes = _only(tree)
    assert clip.emotion == "anger"
    assert "column Estimated Emotion: the sheet has anger, the folder is in disgust" in notes[0]


def test_macro_expressions_are_passed_over(tree: Mmew) -> None:
    shutil.copy(tree.sheet, tree.root / "MMEW_Macro_Exp.xlsx")
    (tree.root / "Micro_Expression").rename(tree.root / "Clips")  # so that the whole of the root is searched
    tree.write_frames("Macro_Expression/disgust/S05-04-003", [1])
    assert _only(tree)[0].frames == "Clips/disgust/S05-04-003"


@pytest.mark.parametrize("apex", [233, "/", 0])
def test_numbers_of_the_recording_are_counted_from_the_onset(tree: Mmew, apex: object) -> None:
    tree.write_sheet(_row({ONSET: 201, APEX: apex, OFFSET: 273}))
    clip, notes = _only(tree)
    assert (clip.onset, clip.apex, clip.offset) == (1, 33 if apex == 233 else 37, 73)
    assert "row 2, column OnsetFrame: numbers of the whole recording; 200 is subtracted" in notes[0]


def test_numbers_of_the_recording_that_begin_within_the_folder(tree: Mmew) -> None:
    """The onset is a file's number, but the interval is as long as the folder and does not fit into it."""
    tree.write_sheet(_row({ONSET: 41, APEX: 60, OFFSET: 120}))
    assert [_only(tree)[0].onset, _only(tree)[0].apex, _only(tree)[0].offset] == [1, 20, 80]


def test_frames_with_the_numbers_of_the_recording_are_found_by_them(tree: Mmew) -> None:
    shutil.rmtree(tree.root / CLIP)
    tree.write_frames(CLIP, range(200, 280))
    tree.write_sheet(_row({ONSET: 201, APEX: 233, OFFSET: 273}))
    clip, notes = _only(tree)
    assert (clip.onset, clip.apex, clip.offset) == (201, 233, 273)
    assert notes == ()


@pytest.mark.parametrize("cell", ["/", "", 0, -1, 2, 1, 75])
def test_an_unusable_apex_becomes_the_middle_frame(tree: Mmew, cell: object) -> None:
    tree.write_sheet(_row({APEX: cell}))
    clip, notes = _only(tree)
    assert (clip.apex, clip.apex_source) == (38, "midpoint")
    assert "row 2, column ApexFrame" in notes[0]


def test_an_apex_may_be_spotted(tree: Mmew) -> None:
    tree.write_sheet(_row({APEX: "/", OFFSET: 12}))
    assert _only(tree, "spotted")[0].apex_source == "spotted"


def test_a_wrong_offset_is_cut_to_the_folder(tree: Mmew) -> None:
    tree.write_sheet(_row({OFFSET: 740}))
    clip, notes = _only(tree)
    assert (clip.apex, clip.offset) == (33, 80)
    assert "row 2, column OffsetFrame: offset 740 is beyond the last frame; frame 80 is used" in notes[0]


def test_three_classes(tree: Mmew) -> None:
    words = ["happiness", "surprise", "anger", "disgust", "fear", "sadness", "others"]
    for number, word in enumerate(words, start=1):
        tree.write_frames(f"Micro_Expression/{word}/S01-{number:02}-001")
    tree.write_sheet(*(_row({SUBJECT: 1, NAME: f"S01-{n:02}-001", EMOTION: w}) for n, w in enumerate(words, start=1)))
    classes = [SCHEMES["3-class"].label(clip) for clip in mmew.read([tree.root]).clips]
    assert classes == ["positive", "surprise", *["negative"] * 4, None]


def test_numbers_beyond_a_folder_with_the_recording_s_numbers_are_not_shifted(tree: Mmew) -> None:
    shutil.rmtree(tree.root / CLIP)
    tree.write_frames(CLIP, range(200, 230))
    tree.write_sheet(_row({ONSET: 301, APEX: 310, OFFSET: 320}))
    assert "frame 301 is not in" in _problems(tree.root)[0]


def test_a_corrected_emotion_counts(tree: Mmew, monkeypatch: pytest.MonkeyPatch) -> None:
    fix = Correction("S05", "S05-04-003", "", "emotion", "disgust", "fear", "exchanged", "a test")
    monkeypatch.setattr("mer_data.corrections.corrections", lambda dataset: (fix,))
    clip, notes = _only(tree)
    assert clip.emotion == "fear"
    assert "disgust corrected to fear" in notes[0]


def test_all_problems_of_all_rows_are_told_together(tree: Mmew, tmp_path: Path) -> None:
    outside = tree.write_frames("Micro_Expression/disgust/S06-04-001").rename(tmp_path / "outside")
    (tree.root / "Micro_Expression/disgust/S06-04-001").symlink_to(outside)
    tree.write_frames("Micro_Expression/fear/S06-05-001", [])
    tree.write_sheet(
        _row(),
        _row({NAME: "S05-04-030"}),
        _row(),
        _row({SUBJECT: "S06"}),
        _row({SUBJECT: "six", NAME: "S06-05-001", EMOTION: "feer"}),
        _row({SUBJECT: 6, NAME: "S06-05-001", ONSET: "x"}),
        _row({SUBJECT: 6, NAME: "S06-04-001"}),
        _row({SUBJECT: 7, NAME: "S07-01-001"}),
        _row({SUBJECT: 7, NAME: "S07-01-002", OFFSET: 1}),
        _row({NAME: "../../x"}),
    )
    micro = tree.root / "Micro_Expression"
    expected = [
        f"{tree.sheet}, row 3, column Filename: no folder for clip 'S05-04-030' in {micro} (did you mean 'S05-04-003'?",
        f"{tree.sheet}, row 4, column Filename: clip S05/S05-04-003 is in row 2 already",
        f"{tree.sheet}, row 5, column Filename: clip S05-04-003 is not of subject S06",
        f"{tree.sheet}, row 6, column Subject: 'six' is not a subject",
        f"{tree.sheet}, row 6, column Estimated Emotion: unknown emotion 'feer' (did you mean 'fear'?",
        f"{micro}/fear/S06-05-001: no frames in this folder",
        f"{tree.sheet}, row 7, column OnsetFrame: 'x' is not a frame number",
        f"{micro}: 'disgust/S06-04-001' leads out of this folder",
        f"{tree.sheet}, row 9, column Subject: no folder for a clip of subject S07",  # and not again for row 10
        f"{tree.sheet}, row 10, column OffsetFrame: offset 1 is not after onset 2",
        f"{tree.sheet}, row 11, column Filename: no folder for clip '../../x'",
    ]
    found = _problems(tree.root)
    assert_told(found, expected)


def test_frames_far_outside_the_folder_are_a_problem(tree: Mmew) -> None:
    tree.write_sheet(_row({APEX: 300, OFFSET: 400}))
    (problem,) = _problems(tree.root)
    assert "row 2, column ApexFrame: frame 300 is not in" in problem


def test_no_frames_and_no_sheet(tree: Mmew) -> None:
    shutil.rmtree(tree.root / CLIP)
    assert "no folder of frames" in _problems(tree.root)[0]
    tree.write_sheet(_row(), header=[name.replace("Emotion", "Class") for name in HEADER])
    assert "lacks Estimated Emotion" in _problems(tree.root)[0]
    tree.sheet.unlink()
    assert "no annotation sheet" in _problems(tree.root)[0]
