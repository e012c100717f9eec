"""Equal notes become one line with a count; `--verbose` lists them."""

from __future__ import annotations

from pathlib import Path

import pytest
from by_hand import write_frames, write_sheet

from mer_data.doctor import examine
from mer_data.formats import read_format
from mer_data.problems import summed_up
from orchestrator.cli import commands as cli

HEADER = ("Subject", "Filename", "", "OnsetFrame", "ApexFrame", "OffsetFrame", "", "Action Units", "Estimated Emotion")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twelve clips without an apex, and one with an apex too soon."""
    rows = []
    for number in range(13):
        name = f"EP02_{number:02}"
        write_frames(tmp_path / f"CASME2/Cropped/sub01/{name}", [f"reg_img{at}.jpg" for at in range(1, 30 + number)])
        rows.append(("01", name, "", 1, 2 if number == 5 else "/", 29 + number, "", "4", "disgust"))
    write_sheet(tmp_path / "CASME2/any.xlsx", HEADER, *rows)
    return tmp_path / "CASME2"


def test_notes_that_differ_in_numbers_only_are_one_line() -> None:
    notes = [f"sheet.xlsx, row {row}, column Apex: no apex; the middle frame {row * 3} is used" for row in range(2, 93)]
    lines = summed_up([*notes[:40], "sheet.xlsx: something else", *notes[40:]])
    assert lines == [f"{notes[0]} (and 90 more like it)", "sheet.xlsx: something else"]


def test_import_and_doctor_count_and_verbose_lists(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["data", "import", "casme2", str(root), "--store", str(tmp_path / "store")]
    said = {}
    for arguments in (command, [*command, "--verbose"]):
        with pytest.raises(SystemExit) as stop:
            cli.main(arguments)
        assert not stop.value.code
        said[len(arguments)] = capsys.readouterr().err
    short, long = said[len(command)], said[len(command) + 1]
    assert short.count("no apex; the middle frame") == 1
    assert "(and 11 more like it)" in " ".join(short.split())
    assert "--verbose lists all 13 notes" in " ".join(short.split())
    assert long.count("no apex; the middle frame") == 12
    remarks = examine(read_format("casme2", [root]), "casme2").remarks()
    assert sum("no apex; the middle frame" in line for line in remarks) == 1
