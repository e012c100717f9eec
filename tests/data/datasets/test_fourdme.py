"""The 4DME importer: mixtures of emotions, both releases' headers, trees, and errors told with file and row."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import pytest
from by_hand import assert_told, write_frames, write_sheet

from mer_data import schema
from mer_data.datasets import fourdme
from mer_data.frames import list_frames
from mer_data.labels import SCHEMES, scheme
from mer_data.problems import BadInput
from mer_data.schema import Clip
from mer_data.synthetic.fourdme import EXTRAS, HEADER, make_fourdme
from mer_data.synthetic.twin import read_truth

COLUMN = {name: position for position, name in enumerate(HEADER)}
CLIP = "gray_micro_crop/S13/S13_1st_001_01_1"


class FourDme:
    """A hand-made 4DME of one clip with frames 100 to 140, spoiled by each test as it likes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sheet = root / "4DME_Labelling_Micro_release v1.xlsx"

    def write_sheet(self, *rows: Sequence[object], header: Sequence[str] = HEADER) -> None:
        write_sheet(self.sheet, header, *rows)

    def write_frames(self, folder: str = CLIP, numbers: Sequence[int] = range(100, 141)) -> Path:
        return write_frames(self.root / folder, [f"{number}.jpg" for number in numbers])


def _row(**changes: object) -> list[object]:
    row = {"fold": 1, "sub_ID": "S13", "fold_name": "S13_1st_001_01_1", "Onset": 102.0, "Apex": 117.0, "Offset": 135.0}
    row |= {"Emotion": "Negative", "AUs": "AU4(k)+L7", "AU4": 1, "AU7": 1, "Negative": 1, "Total": 1} | changes
    return [row.get(name, "" if name in ("eye blink", "Notes") else 0) for name in HEADER]


@pytest.fixture
def tree(tmp_path: Path) -> FourDme:
    made = FourDme(tmp_path / "4DMicro")
    made.write_frames()
    made.write_sheet(_row())
    return made


def _only(tree: FourDme) -> tuple[Clip, tuple[str, ...]]:
    imported = fourdme.read([tree.root])
    assert not schema.find_problems(imported.clips, "sheet")
    (clip,) = imported.clips
    return clip, tuple(note for note in imported.notes if "counted by the class columns" not in note)


def _problems(tree: FourDme) -> list[str]:
    with pytest.raises(BadInput) as caught:
        fourdme.read([tree.root])
    return [str(problem) for problem in caught.value.problems]


def test_the_twin_imports_as_it_was_planted(tmp_path: Path) -> None:
    make_fourdme(tmp_path / "twin", subjects=5, clips=36, seed=2, size=(32, 36), length=(5, 9))
    imported, truths = fourdme.read([tmp_path / "twin"]), read_truth(tmp_path / "twin")
    assert not schema.find_problems(imported.clips, "twin")
    assert [clip.id for clip in imported.clips] == list(truths)
    assert len({clip.subject for clip in imported.clips}) == 5
    for clip in imported.clips:
        truth = truths[clip.id]
        source = "annotated" if truth.apex_in_sheet else "midpoint"
        assert (clip.onset, clip.apex, clip.offset, clip.fps) == (truth.onset, truth.apex, truth.offset, 60.0)
        assert (clip.emotion, clip.action_units, clip.apex_source) == (truth.emotion, truth.action_units, source)
        frames = list_frames(imported.frame_root / clip.frames)
        assert list(frames) == list(range(truth.onset, truth.offset + 1))
        shape = cv2.imread(str(frames[truth.apex]), cv2.IMREAD_UNCHANGED).shape
        assert shape == (truth.height, truth.width)  # one channel
    mixed = [clip for clip in imported.clips if "+" in clip.emotion]
    assert len(mixed) >= 3
    said = "\n".join(imported.notes)
    assert f"{len(mixed)} of 36 clips are mixtures of emotions, which 3-class leaves out" in said
    assert said.count("numbers of the whole recording") == 4
    assert said.count("the middle frame") == 1


def test_a_row_becomes_a_clip(tree: FourDme) -> None:
    imported = fourdme.read([tree.root])
    expected = Clip(
        "4dme", "4dme/S13", "S13_1st_001_01_1", "negative", 102, 117, 135, "annotated", "AU4(k)+L7", 60.0,
        "S13/S13_1st_001_01_1",
    )  # fmt: skip
    assert imported.clips == (expected,)
    assert [note.split(": ", 1)[1] for note in imported.notes] == [
        "counted by the class columns, mixtures for each of their classes: negative 1"
    ]
    assert (imported.source, imported.frame_root) == (tree.sheet, tree.root / "gray_micro_crop")


@pytest.mark.parametrize("apostrophe", ["'", "’"])
def test_headers_of_a_pre_release_end_in_an_apostrophe(tree: FourDme, apostrophe: str) -> None:
    header = [name + apostrophe for name in HEADER]
    tree.write_sheet(_row(sub_ID=f"S13{apostrophe}", Onset=f"102{apostrophe}"), header=header)
    imported = fourdme.read([tree.root])
    assert (imported.clips[0].id, imported.clips[0].onset) == ("4dme/S13/S13_1st_001_01_1", 102)
    assert "class columns" in imported.notes[0]
    (tree.root / CLIP).rename(tree.root / "gone")
    assert f"row 2, column fold_name{apostrophe}: no folder for clip" in _problems(tree)[0]


@pytest.mark.parametrize("subject", ["S13", "s13", 13, 13.0, "013"])
def test_subjects_in_every_spelling(tree: FourDme, subject: object) -> None:
    tree.write_sheet(_row(sub_ID=subject))
    assert _only(tree)[0].subject == "4dme/S13"
    (tree.root / "gray_micro_crop/S13").rename(tree.root / "gray_micro_crop/13")
    assert _only(tree)[0].subject == "4dme/S13"


def test_frame_numbers_are_floats_even_as_text(tree: FourDme) -> None:
    tree.write_sheet(_row(Onset="102.0", Apex="117.0", Offset="135.00"))
    assert [_only(tree)[0].onset, _only(tree)[0].apex, _only(tree)[0].offset] == [102, 117, 135]
    tree.write_sheet(_row(Apex=117.5))
    assert "row 2, column Apex: '117.5' is not a frame number" in _problems(tree)[0]


def test_crops_are_preferred(tree: FourDme) -> None:
    tree.write_frames("gray_micro/S13/S13_1st_001_01_1")
    assert fourdme.read([tree.root]).frame_root == tree.root / "gray_micro_crop"
    shutil.rmtree(tree.root / "gray_micro_crop")
    imported = fourdme.read([tree.root])
    assert imported.frame_root == tree.root / "gray_micro"
    assert "not face crops" in imported.notes[0]
    assert fourdme.read([tree.sheet, tree.root / "gray_micro"]).frame_root == tree.root / "gray_micro"


def test_the_sheet_with_self_reports_is_not_taken_for_the_labels(tree: FourDme) -> None:
    write_sheet(tree.root / EXTRAS, HEADER, _row(Emotion="Positive"))
    assert fourdme.read([tree.root]).source == tree.sheet
    tree.sheet.unlink()
    assert fourdme.read([tree.root]).source == tree.root / EXTRAS


@pytest.mark.parametrize(
    ("word", "emotion"),
    [("Surprise+Positive", "surprise+positive"), ("positive + Surprise ", "positive+surprise"), ("Other", "others")],
)
def test_two_emotions_are_joined_in_the_order_of_the_sheet(tree: FourDme, word: str, emotion: str) -> None:
    tree.write_sheet(_row(Emotion=word, Negative=0))
    assert _only(tree)[0].emotion == emotion


def test_three_classes_leave_mixtures_out(tree: FourDme) -> None:
    words = ["Surprise+Positive", "Positive", "Negative+Surprise", "Repression", "Others", "Surprise+Positive"]
    names = [f"S13_1st_00{number}_01_2" for number in range(len(words))]
    for name in names:
        tree.write_frames(f"gray_micro_crop/S13/{name}")
    columns = [dict.fromkeys(word.split("+"), 1) | {"Negative": int("Neg" in word)} for word in words]
    tree.write_sheet(*(_row(fold_name=n, Emotion=w, **c) for n, w, c in zip(names, words, columns, strict=True)))
    imported = fourdme.read([tree.root])
    classes = Counter(SCHEMES["3-class"].label(clip) for clip in imported.clips)
    assert classes == {None: 4, "positive": 1, "negative": 1}
    assert "surprise+positive" in scheme("native", imported.clips, "plan").classes
    assert [note.split(": ", 1)[1] for note in imported.notes] == [
        "3 of 6 clips are mixtures of emotions, which 3-class leaves out: negative+surprise 1, surprise+positive 2",
        "counted by the class columns, mixtures for each of their classes: "
        "negative 1, others 1, positive 3, repression 1, surprise 3",
    ]


def test_class_columns_that_say_something_else_are_noted(tree: FourDme) -> None:
    """So exchanged labels of two rows can be seen."""
    tree.write_sheet(_row(Emotion="Positive"))
    clip, notes = _only(tree)
    assert clip.emotion == "positive"
    assert notes[0].endswith("row 2, column Emotion: positive, but the class columns have negative; positive is kept")


def test_class_columns_may_be_absent(tree: FourDme) -> None:
    kept = COLUMN["AUs"] + 1
    tree.write_sheet(_row()[:kept], header=HEADER[:kept])
    assert fourdme.read([tree.root]).notes == ()


@pytest.mark.parametrize("first", [0, 1])
def test_a_folder_counted_from_the_clip_s_start(tree: FourDme, first: int) -> None:
    shutil.rmtree(tree.root / CLIP)
    tree.write_frames(CLIP, range(first, first + 34))
    clip, notes = _only(tree)
    assert (clip.onset, clip.apex, clip.offset) == (first, first + 15, first + 33)
    assert f"row 2, column Onset: numbers of the whole recording; {102 - first} is subtracted" in notes[0]


def test_a_folder_that_does_not_fit_is_not_guessed_at(tree: FourDme) -> None:
    shutil.rmtree(tree.root / CLIP)
    tree.write_frames(CLIP, range(50))
    assert [problem.split(":")[0][-12:] for problem in _problems(tree)] == ["column Onset", " column Apex"]


@pytest.mark.parametrize("cell", ["", 0, 102, 136])
def test_an_unusable_apex_becomes_the_middle_frame(tree: FourDme, cell: object) -> None:
    tree.write_sheet(_row(Apex=cell))
    clip, notes = _only(tree)
    assert (clip.apex, clip.apex_source) == (118, "midpoint")
    assert "row 2, column Apex" in notes[0]


def test_all_problems_of_all_rows_are_told_together(tree: FourDme) -> None:
    tree.write_sheet(
        _row(),
        _row(Emotion="Surprise+Positiv"),
        _row(fold_name="S13_1st_001_01_2", Emotion=""),
        _row(fold_name="S13_1st_001_01_1x", Emotion="Positive+", Onset=""),
        _row(sub_ID="nobody"),
        _row(sub_ID="S14"),
    )
    crops = tree.root / "gray_micro_crop"
    where = f"{tree.sheet}, row"
    expected = [
        f"{where} 3, column Emotion: unknown emotion 'Positiv' (did you mean 'positive'?)",
        f"{where} 3, column fold_name: clip S13/S13_1st_001_01_1 is in row 2 already",
        f"{where} 4, column Emotion: unknown emotion ''",
        f"{where} 4, column fold_name: no folder for clip 'S13_1st_001_01_2' in {crops}/S13",
        f"{where} 5, column Emotion: unknown emotion ''",
        f"{where} 5, column fold_name: no folder for clip 'S13_1st_001_01_1x'",
        f"{where} 5, column Onset: the cell is empty",
        f"{where} 6, column sub_ID: 'nobody' is not a subject (write it as S01 or 1)",
        f"{where} 7, column sub_ID: no folder for subject S14 in {crops}",
    ]
    found = _problems(tree)
    assert_told(found, expected)


def test_two_folders_of_one_subject_are_a_problem(tree: FourDme) -> None:
    (tree.root / "gray_micro_crop/13").mkdir()
    assert "13 and S13 are one subject" in _problems(tree)[0]


def test_no_frames_and_no_sheet(tree: FourDme) -> None:
    shutil.rmtree(tree.root / "gray_micro_crop")
    assert "no folder of frames" in _problems(tree)[0]
    tree.sheet.write_bytes(b"PK")
    assert _problems(tree)[0].startswith(f"{tree.sheet}: cannot be read")
    tree.sheet.unlink()
    assert "no annotation sheet" in _problems(tree)[0]
