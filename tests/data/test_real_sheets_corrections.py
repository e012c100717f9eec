"""Every correction that ships fires on a sheet with the values that circulate, and nothing else is claimed."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from by_hand import write_frames, write_sheet

from mer_data.corrections import corrections
from mer_data.datasets import casme2, casme3, samm
from mer_data.formats import FORMATS
from mer_data.imported import Imported

SAMM = (
    "Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration", "Micro",
    "Action Units", "Estimated Emotion", "Objective Classes", "Notes",
)  # fmt: skip
CASME2 = ("Subject", "Filename", "", "OnsetFrame", "ApexFrame", "OffsetFrame", "", "Action Units", "Estimated Emotion")
CASME3 = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion")
# What circulates: onset, apex, offset before and after; where they are not known, they are made up.
FIRED = {
    ("samm", "032", "032_3_1", "4896"): ((4896, 1930, 4960), (4896, 4930, 4960), "corrected"),
    ("casme3a", "spNO.149", "d", "112"): ((112, 83, 358), (112, 160, 358), "corrected"),
    ("casme3a", "spNO.216", "d", "3647"): ((3647, 2668, 2690), (2647, 2668, 2690), "annotated"),
    ("casme3a", "spNO.40", "e", "1812"): ((1812, 1820, 0), (1812, 1820, 1845), "annotated"),
    ("casme3a", "spNO.40", "e", "2327"): ((2327, 2333, 0), (2327, 2333, 2403), "annotated"),
}


def read_samm(root: Path, *clips: tuple[str, int, int, int]) -> Imported:
    for name, onset, _, offset in clips:
        write_frames(
            root / f"SAMM_CROP/{name[:3]}/{name}", [f"{name[:3]}_{n:05}.jpg" for n in range(onset, offset + 1)]
        )
    rows = [(name[:3], name, 3, *numbers, 9, "Micro - 1/2", "4", "Other", 7, "") for name, *numbers in clips]
    write_sheet(root / "SAMM_Micro_FACS_Codes_v2.xlsx", SAMM, *rows)
    return samm.read([root])


def read_casme3(root: Path, subject: str, video: str, *numbers: int) -> Imported:
    write_frames(root / f"part_A/data/{subject}/{video}/color", [f"{number}.jpg" for number in range(100, 2700)])
    write_sheet(root / "part_A/annotation/any.xlsx", CASME3, (subject, video, *numbers, "4", "III", "fear"))
    return casme3.read_a([root])


@pytest.mark.parametrize("key", FIRED)
def test_a_correction_fires_on_a_sheet_with_the_values_that_circulate(
    tmp_path: Path, key: tuple[str, str, str, str]
) -> None:
    dataset, subject, name, _ = key
    before, after, apex_source = FIRED[key]
    if dataset == "samm":
        imported = read_samm(tmp_path, (name, *before))
    else:
        (tmp_path / "part_A/annotation").mkdir(parents=True)
        imported = read_casme3(tmp_path, subject, name, *before)
    (clip,) = imported.clips
    assert ((clip.onset, clip.apex, clip.offset), clip.apex_source) == (after, apex_source)
    (note,) = [note for note in imported.notes if " corrected to " in note]
    (change,) = [one for one in corrections(dataset) if (one.subject, one.clip, one.onset) == (subject, *key[2:])]
    assert change.source
    assert note.endswith(f"{change.old} corrected to {change.new}: {change.reason} ({change.source})")


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
    rows = [
        (name, change.subject, change.clip, change.onset)
        for name in FORMATS
        if name in shipped
        for change in corrections(name)
    ]
    assert sorted(rows) == sorted(FIRED)
