"""CASME as it circulates: 12 columns, back-slashes for what is missing, repeated names, folders counted afresh."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from by_hand import write_frames, write_sheet

from mer_data.datasets import casme, casme2
from mer_data.datasets.intervals import read_number
from mer_data.formats import read_format
from mer_data.imported import Imported
from mer_data.labels import read_emotion
from mer_data.problems import BadInput
from mer_data.sheets import read_sheet
from orchestrator.cli import commands as cli

HEADER = (
    "Subject",
    "Filename",
    "",
    "OnsetF",
    "ApexF1",
    "ApexF2",
    "OffsetF",
    "",
    "Onset (ms)",
    "Total (ms)",
    "AU",
    "Emotion",
)


def row(
    name: str, onset: object, apex: object, offset: object, emotion: str = "tense", units: object = "4"
) -> Sequence[object]:
    return (6, name, "", onset, apex, "\\", offset, "", 150, 300, units, emotion)


def frames(root: Path, clip: str, first: int, last: int) -> Path:
    return write_frames(
        root / "Cropped/sub06" / clip, [f"reg_{clip}-{number}.jpg" for number in range(first, last + 1)]
    )


def told(imported: Imported, text: str) -> list[str]:
    return [note for note in imported.notes if text in note]


def test_a_back_slash_is_a_missing_value_and_the_folder_tells_the_offset(tmp_path: Path) -> None:
    frames(tmp_path, "EP04_2", 71, 95)
    write_sheet(tmp_path / "casme.xlsx", HEADER, row("EP04_2", 71, 85, "\\", units="\\"))
    (clip,) = casme.read([tmp_path]).clips
    assert (clip.onset, clip.apex, clip.offset, clip.apex_source) == (71, 85, 95, "annotated")
    assert clip.action_units is None


@pytest.mark.parametrize("cell", ["\\", "/", "-", "NULL", "NaN", "N/A", "n/a", "  ", ""])
def test_every_word_for_nothing_is_missing_in_every_column_but_those_of_words(tmp_path: Path, cell: str) -> None:
    columns = {"onset": ("OnsetF",), "units": ("AU",), "emotion": ("Emotion",)}
    write_sheet(tmp_path / "any.xlsx", ("OnsetF", "AU", "Emotion"), (7, cell, "fear"), (cell, "4+7", cell))
    first, second = read_sheet(tmp_path / "any.xlsx", columns).rows
    assert (first["units"], second["onset"]) == ("", "")
    assert second["emotion"] == cell.strip()
    assert read_number(second["onset"]) is None


def test_a_misspelt_emotion_is_read_and_told(tmp_path: Path) -> None:
    frames(tmp_path, "EP04_2", 71, 95)
    write_sheet(tmp_path / "casme.xlsx", HEADER, row("EP04_2", 71, 85, 95, "comtempt"))
    imported = casme.read([tmp_path])
    assert [clip.emotion for clip in imported.clips] == ["contempt"]
    assert told(imported, "column Emotion: 'comtempt' is read as contempt")
    assert read_emotion("Comtempt") == "contempt"


def test_a_folder_counted_afresh_is_taken_by_its_length(tmp_path: Path) -> None:
    frames(tmp_path, "EP02_5", 1, 20)
    write_sheet(tmp_path / "casme.xlsx", HEADER, row("EP02_5", 107, 112, 126))
    imported = casme.read([tmp_path])
    (clip,) = imported.clips
    assert (clip.onset, clip.apex, clip.offset, clip.apex_source) == (1, 6, 20, "annotated")
    assert told(imported, "as long as the interval, but counts from 1; 106 is subtracted")


def test_repeated_names_find_their_counted_folders_by_length(tmp_path: Path) -> None:
    frames(tmp_path, "EP02_5_1", 7, 26)
    frames(tmp_path, "EP02_5_2", 3, 17)
    write_sheet(tmp_path / "casme.xlsx", HEADER, row("EP02_5", 207, 212, 226), row("EP02_5", 303, 311, 317))
    first, second = casme.read([tmp_path]).clips
    assert (first.name, first.frames, first.onset, first.apex, first.offset) == (
        "EP02_5@207",
        "sub06/EP02_5_1",
        7,
        12,
        26,
    )
    assert (second.name, second.frames, second.onset) == ("EP02_5@303", "sub06/EP02_5_2", 3)


def test_two_folders_of_one_length_are_not_guessed_between(tmp_path: Path) -> None:
    for clip in ("EP02_5_1", "EP02_5_2"):
        frames(tmp_path, clip, 1, 20)
    frames(tmp_path, "EP04_2", 71, 95)
    rows = (row("EP02_5", 207, 212, 226), row("EP02_5", 303, 311, 322), row("EP04_2", 71, 85, 95))
    write_sheet(tmp_path / "casme.xlsx", HEADER, *rows)
    with pytest.raises(BadInput, match="EP02_5_1, EP02_5_2") as refused:
        read_format("casme", [tmp_path])
    assert "row 2" in str(refused.value)
    imported = read_format("casme", [tmp_path], partial=True)
    assert [clip.name for clip in imported.clips] == ["EP04_2"]
    left = told(imported, "left out: casme/sub06/EP02_5@")
    assert len(left) == 2
    assert "row 2, column Filename" in left[0]


def test_partial_leaves_out_by_name_in_every_dataset_with_a_sheet(tmp_path: Path) -> None:
    header = (
        "Subject",
        "Filename",
        "",
        "OnsetFrame",
        "ApexFrame",
        "OffsetFrame",
        "",
        "Action Units",
        "Estimated Emotion",
    )
    write_frames(tmp_path / "Cropped/sub01/EP02_01f", [f"reg_img{number}.jpg" for number in range(46, 87)])
    rows = [
        ("01", "EP02_01f", "", 46, 59, 86, "", "12", "happiness"),
        ("01", "EP09_09", "", 6, 9, 16, "", "", "disgust"),
    ]
    rows += [(person, f"EP01_0{person}", "", 6, 9, 16, "", "", "disgust") for person in (7, 7)]
    write_sheet(tmp_path / "CASME2.xlsx", header, *rows[:3], (*rows[3][:1], "EP01_08", *rows[3][2:]))
    with pytest.raises(BadInput):
        casme2.read([tmp_path])
    imported = read_format("casme2", [tmp_path], partial=True)
    assert [clip.id for clip in imported.clips] == ["casme2/sub01/EP02_01f"]
    names = [note.split(": ")[1] for note in told(imported, "left out: ")]
    assert names == ["casme2/sub01/EP09_09", "casme2/sub07/EP01_07", "casme2/sub07/EP01_08"]


def test_partial_takes_no_dataset_of_which_nothing_can_be_read(tmp_path: Path) -> None:
    frames(tmp_path, "EP04_2", 71, 95)
    write_sheet(tmp_path / "casme.xlsx", HEADER, row("EP99", 71, 85, 95))
    with pytest.raises(BadInput, match="EP99"):
        read_format("casme", [tmp_path], partial=True)


def test_a_repeated_name_may_mean_a_folder_of_its_recording_that_no_row_has(tmp_path: Path) -> None:
    frames(tmp_path, "EP02_5", 7, 26)
    frames(tmp_path, "EP02_7", 27, 41)
    frames(tmp_path, "EP02_2", 69, 83)
    rows = (row("EP02_5", 207, 212, 226), row("EP02_5", 303, 311, 317), row("EP02_2", 69, 73, 83))
    write_sheet(tmp_path / "casme.xlsx", HEADER, *rows)
    assert [(clip.name, clip.frames, clip.onset) for clip in casme.read([tmp_path]).clips] == [
        ("EP02_5@207", "sub06/EP02_5", 7),
        ("EP02_5@303", "sub06/EP02_7", 27),
        ("EP02_2", "sub06/EP02_2", 69),
    ]


def test_the_command_line_tells_of_partial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames(tmp_path / "CASME", "EP04_2", 71, 95)
    write_sheet(tmp_path / "CASME/casme.xlsx", HEADER, row("EP04_2", 71, 85, 95), row("EP99", 71, 85, 95))
    command = ["data", "import", "casme", str(tmp_path / "CASME"), "--store", str(tmp_path / "store")]
    for arguments, status in ((command, 2), ([*command, "--partial"], 0)):
        with pytest.raises(SystemExit) as stop:
            cli.main(arguments)
        assert int(stop.value.code or 0) == status
        said = capsys.readouterr().err
        assert ("1 clips can be read; --partial" in said) == (status == 2)
    assert "left out: casme/sub06/EP99: " in said
    with pytest.raises(SystemExit):
        cli.main(["data", "doctor", "casme", str(tmp_path / "CASME"), "--partial"])
    assert "left out: casme/sub06/EP99: " in capsys.readouterr().out
