"""Every correction that ships fires on a sheet with the values that circulate, and nothing else is claimed."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from by_hand import write_frames, write_sheet

from mer_data.corrections import corrections
from mer_data.datasets import casme2, samm
from mer_data.formats import FORMATS
from mer_data.imported import Imported

SAMM = (
    "Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration", "Micro",
    "Action Units", "Estimated Emotion", "Objective Classes", "Notes",
)  # fmt: skip
CASME2 = ("Subject", "Filename", "", "OnsetFrame", "ApexFrame", "OffsetFrame", "", "Action Units", "Estimated Emotion")
# What circulates: onset, apex, offset before and after; offsets that are not known are made up.
FIRED = {
    ("samm", "032", "032_3_1"): ((4896, 1930, 4960), (4896, 4930, 4960)),
    ("casme3a", "spNO.149", "d"): ((112, 83, 358), (112, 160, 358)),
    ("casme3a", "spNO.216", "d"): ((3647, 2668, 2690), (2647, 2668, 2690)),
    ("casme3a", "spNO.40", "e"): ((1812, 1820, 0), (1812, 1820, 1845)),
}


def read_samm(root: Path, *clips: tuple[str, int, int, int]) -> Imported:
    for name, onset, _, offset in clips:
        write_frames(
            root / f"SAMM_CROP/{name[:3]}/{name}", [f"{name[:3]}_{n:05}.jpg" for n in range(onset, offset + 1)]
        )
    rows = [(name[:3], name, 3, *numbers, 9, "Micro - 1/2", "4", "Other", 7, "") for name, *numbers in clips]
    write_sheet(root / "SAMM_Micro_FACS_Codes_v2.xlsx", SAMM, *rows)
    return samm.read([root])


def test_the_apex_of_032_3_1_has_the_digit_that_was_lost(tmp_path: Path) -> None:
    (clip,) = read_samm(tmp_path, ("032_3_1", 4896, 1930, 4960)).clips
    assert (clip.onset, clip.apex, clip.offset, clip.apex_source) == (4896, 4930, 4960, "corrected")


def test_an_apex_after_the_offset_is_told_and_not_used(tmp_path: Path) -> None:
    imported = read_samm(tmp_path, ("028_4_1", 1100, 1143, 1134))
    assert (imported.clips[0].apex, imported.clips[0].apex_source) == (1117, "midpoint")
    assert any("apex 1143 is not within 1100 to 1134" in note for note in imported.notes)


def test_an_apex_one_frame_after_the_onset_is_told(tmp_path: Path) -> None:
    imported = read_samm(tmp_path, ("032_3_2", 5126, 5127, 5180), ("032_3_3", 5200, 5230, 5280))
    assert [clip.apex_source for clip in imported.clips] == ["annotated", "annotated"]
    (note,) = [note for note in imported.notes if "after the onset" in note]
    assert "row 2, column Apex Frame: apex 5127 is 1 frame, 5 ms, after the onset" in note


@pytest.mark.parametrize("person", ["06", "12"])
def test_66_111_111_is_right_as_it_is(tmp_path: Path, person: str) -> None:
    """The values belong to sub12/EP09_06; the apex may be the last frame."""
    write_frames(tmp_path / f"Cropped/sub{person}/EP09_06", [f"reg_img{number}.jpg" for number in range(66, 112)])
    write_sheet(tmp_path / "CASME2.xlsx", CASME2, (person, "EP09_06", "", 66, 111, 111, "", "4", "disgust"))
    imported = casme2.read([tmp_path])
    assert (imported.clips[0].apex, imported.clips[0].offset, imported.notes) == (111, 111, ())


def test_no_correction_is_without_a_sheet_that_it_fires_on() -> None:
    shipped = {path.name.removesuffix(".csv") for path in (resources.files("mer_data") / "corrections").iterdir()}
    rows = [(name, change.subject, change.clip) for name in FORMATS if name in shipped for change in corrections(name)]
    assert {*rows} == {*FIRED}


@pytest.mark.parametrize("key", FIRED)
def test_a_correction_gives_the_value_that_is_told(key: tuple[str, str, str]) -> None:
    dataset, subject, clip = key
    before, after = (dict(zip(("onset", "apex", "offset"), map(str, numbers), strict=True)) for numbers in FIRED[key])
    change = next(
        one for one in corrections(dataset) if (one.subject, one.clip, one.onset) == (subject, clip, before["onset"])
    )
    assert (before[change.field], after[change.field]) == (change.old, change.new)
    assert {**before, change.field: change.new} == after
    assert change.source
