"""SAMM Long Videos: clips of recordings, with the emotions of SAMM's own sheet."""

from contract import Edit, Promises, Row, Sheet, Twin
from edits import cells, copied, frames, given, moved, reads, reads_all, refuses, rows, written

from mer_data.datasets.samm_lv import SHEET
from mer_data.schema import Clip
from mer_data.synthetic.samm_lv import HEADER
from mer_data.synthetic.workbook import write_worksheets
from promises.samm import SAMM_SHEET

EMOTIONS = "{outside}/SAMM.xlsx"
MACRO = {"name": "006_1_7", "onset": 0, "apex": -1, "offset": -1, "type": "Macro"}


def emotions(*changed: Row) -> Edit:
    """SAMM's sheet has these rows."""
    return lambda source: SAMM_SHEET.write(source.path(EMOTIONS), SAMM_SHEET.rows(*changed))


def habits(root, imported) -> None:
    assert len({clip.frames for clip in imported.clips}) < len(imported.clips)  # several clips of one video
    assert imported.notes[-1].endswith("16 macro-expressions are left out")


# fmt: off
SAMM_LV = Promises(
    "samm_lv",
    Twin(4, 16, {"seed": 2}, clip=lambda truth: {"fps": 200.0}, channels=1, habits=habits),
    "SAMMLV",
    make=[frames("SAMM_longvideos/006_1", range(1, 61), "006_1_{:04}.jpg"), emotions({})],
    sheet=Sheet(SHEET, "subject name - onset apex offset - type units -", HEADER,
        ("006", "006_1_2", 1, 12, 20, 40, 29, "Micro - 1/2", "4+7", ""), above=[("text",)] * 10, write=lambda path,
        rows: write_worksheets(path, {"Sheet1": rows})),
    clip=Clip("samm_lv", "samm_lv/006", "006_1_2", "anger", 12, 20, 40, "annotated", "4+7", 200.0, "006_1"),
    tree="SAMM_longvideos",
    folder="SAMM_longvideos/006_1",
    sources=("{root}", EMOTIONS),
    midpoint=26,
    apexes=(-1,),
    mirrored={20: 28},
    said={"the sheet apart from all": None, "the sheet apart from SAMM_longvideos": None, "one of two sheets": None,
        "sources, twice": "are too many sheets"},
    before=[emotions({}, {"name": "006_2_1"}, {"name": "006_1_3"}, {"name": "006_1_4", "emotion": "Boredom"})],
    together=[
        ({"type": "mini"}, ["type: 'mini' is neither micro nor macro"]),
        ({"name": "006_2_1"}, ["name: no folder for video 006_2 in {root}/SAMM_longvideos"]),
        ({"name": "nonsense"},
            [f"name: no clip 'nonsense' in {EMOTIONS}",
                "name: no video in the name 'nonsense' in {root}/SAMM_longvideos"]),
        ({"name": "006_1_3", "onset": "x"}, ["onset: 'x' is not a frame number"]),
        ({}, ["name: clip 006/006_1_2 is in row 12 already"]),
        ({"name": "006_1_4"}, [f"{EMOTIONS}, row 18, column Estimated Emotion: unknown emotion 'Boredom'"]),
    ],
    cases=[
        *(reads(f"sources in the order {number}", given(*sources), emotion="anger", source="{sheet}") for number,
            sources in enumerate(
                ((EMOTIONS, "{root}"), ("{sheet}", EMOTIONS), (EMOTIONS, "{sheet}", "{root}"),
                    (EMOTIONS, "{sheet}", "SAMM_longvideos")))),
        reads("the emotions beside the videos", moved(EMOTIONS, "e.xlsx"), given("{root}"), emotion="anger"),
        refuses("no emotions", given("{root}"),
            says=[
                "{sheet}: does not tell the emotions (name SAMM's sheet too, for instance SAMM_Micro_FACS",
                "{sheet}: no row has the columns"]),
        reads_all("macro rows are counted whatever is in them", rows(MACRO, {}, MACRO), gives=[{}],
            notes=["{sheet}: 2 macro-expressions are left out"]),
        reads("an onset before the recording", cells(onset=0), onset=1, notes=["{onset}: "]),
        reads("an onset with the recording", cells(onset=1), onset=1),
        reads_all("each clip has its emotion", rows({}, {"name": "006_1_3"}),
            emotions({}, {"name": "006_1_3", "emotion": "Fear"}), gives=[{"emotion": "anger"}, {"emotion": "fear"}]),
        refuses("macro rows only", cells(type="Macro"), says="no rows of micro-expressions"),
        refuses("three sheets", copied(EMOTIONS, "{outside}/copy.xlsx"),
            given("{root}", EMOTIONS, "{outside}/copy.xlsx"), says="too many sheets"),
        refuses("a broken sheet of emotions", written(EMOTIONS, b"<html>"), says=f"{EMOTIONS}: cannot be read"),
    ],
)
