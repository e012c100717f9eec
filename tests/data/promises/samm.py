"""SAMM: every quirk of the real files, and what is said of wrong ones."""

from contract import Edit, Promises, Sheet, Twin
from edits import cells, frames, gone, made, reads, written

from mer_data.datasets.samm import SHEET
from mer_data.schema import Clip
from mer_data.synthetic.samm import HEADER, TEXT
from mer_data.synthetic.workbook import write_worksheets

FOLDER = "SAMM_CROP/006/006_1_2"
SAMM_SHEET = Sheet(
    SHEET,
    "subject name - onset apex offset - - units emotion - -",
    HEADER,
    ("006", "006_1_2", 1, 5562, 5588, 5632, 71, "Micro - 1/2", "4+7", "Anger", 3, ""),
    above=[(line or "-",) for line in TEXT],
    write=lambda path, rows: write_worksheets(path, {"MICRO_ONLY": rows}),
)


def text_above(lines: int) -> Edit:
    """The header is below so many lines of text."""
    return lambda source: SAMM_SHEET.write(source.path("{sheet}"), SAMM_SHEET.rows({})[13 - lines :])


def habits(root, imported) -> None:
    assert {clip.subject for clip in imported.clips} == {f"samm/{number:03}" for number in (6, 7, 9, 10)}
    stems = [path.stem for path in root.rglob("*.jpg")]
    assert {len(stem.split("_")[-1]) for stem in stems} == {4, 5}
    assert {"_" in stem for stem in stems} == {True, False}
    assert next(root.rglob("Thumbs.db"))


# fmt: off
SAMM = Promises(
    "samm",
    Twin(subjects=4, clips=16, options={"seed": 2}, clip=lambda truth: {"fps": 200.0},
        frames=lambda truth: range(truth.onset, truth.offset + 1), channels=1, said={"no apex": 1}, habits=habits),
    "SAMM",
    make=[frames(FOLDER, range(5562, 5633), "006_{:05}.jpg")],
    sheet=SAMM_SHEET,
    clip=Clip("samm", "samm/006", "006_1_2", "anger", 5562, 5588, 5632, "annotated", "4+7", 200.0, "006/006_1_2"),
    tree="SAMM_CROP",
    folder=FOLDER,
    subjects=("006", "6", 6, 6.0, "6.0"),
    words={"Other": "others", "Happiness": "happiness", "SADNESS": "sadness"},
    units={4: "4", "L12 or L14": "L12 or L14", "(R6 or R12)+R15 ": "(R6 or R12)+R15",
        **{text: text for text in ("soft focus", "4D+9B", "ref(4)")}, "": None},
    midpoint=5597,
    apexes=(-1, 0, "", "/", 5562, 5000, 6000),
    mirrored={5588: 5614},
    said={"no frames": "{root}: no folder of frames (expected one of SAMM_CROP, SAMM, or 006, 007, ...)"},
    before=[made("SAMM_CROP/006/006_5_1")],
    together=[
        ({"name": "006_1_3"}, ["name: no folder for clip '006_1_3' in {root}/SAMM_CROP/006"]),
        ({}, ["name: clip 006/006_1_2 is in row 15 already"]),
        ({"name": "006_5_1", "emotion": "Angry!"},
            ["emotion: unknown emotion 'Angry!' (did you mean 'anger'?)",
                "{root}/SAMM_CROP/006/006_5_1: no frames in this folder"]),
        ({"subject": 7, "name": "007_1_1"}, ["subject: no folder for subject 007"]),
        ({"subject": "007", "name": "007_1_2"}, []),  # told once
        ({"subject": "six", "onset": "x"},
            ["subject: 'six' is not a subject (write it as 006 or 6)", "onset: 'x' is not a frame number"]),
        ({"name": "006_9", "offset": 30},
            ["name: no folder for clip '006_9'", "offset: offset 30 is not after onset 5562"]),
        ({"name": "006_8", "apex": -1, "offset": -1},
            ["name: no folder for clip '006_8'", "offset: neither offset nor apex is given"]),
    ],
    cases=[
        *(reads(f"a header below {lines} lines", text_above(lines), name="006_1_2") for lines in (0, 1, 13)),
        reads("the documented apex", frames("SAMM_CROP/032/032_3_1", range(4896, 4961), "032_{:05}.jpg"),
            cells(subject="032", name="032_3_1", onset=4896, apex=1930, offset=4960), apex=4930,
            apex_source="corrected", notes=["{apex}: 1930 corrected to 4930"]),
        *(
            reads(f"frames {name}", gone("SAMM_CROP"), cells(onset=217, apex=230, offset=260),
                frames(FOLDER, range(217, 261), name), written(f"{FOLDER}/Thumbs.db", b""), onset=217)
            for name in ("006_{:04}.jpg", "006_{:05}.jpg", "{:05}.jpg", "{:04}.jpg")),
        reads("crops are preferred", frames("SAMM/006/006_1_2", range(9)), frame_root="{root}/SAMM_CROP"),
        reads("whole frames", frames("SAMM/006/006_1_2", range(5562, 5633)), gone("SAMM_CROP"),
            frame_root="{root}/SAMM", notes=["whole frames"]),
        *(
            reads(f"the tree {top}", gone("SAMM_CROP"), frames(f"{top}/006/006_1_2", range(5562, 5633)),
                frame_root=f"{{root}}/{top}".removesuffix("/."),
                notes=["{root}: not SAMM_CROP, so probably whole frames"] if top == "." else [])
            for top in ("SAMM_CROP/SAMM_CROP", "Samm crop", ".")),
    ],
)
