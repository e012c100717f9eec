"""CASME II: every quirk of the real files, and what is said of wrong ones."""

from contract import Promises, Sheet, Twin
from edits import cells, frames, gone, made, moved, reads, refuses, unspaced, written

from mer_data.datasets.casme2 import SHEET
from mer_data.schema import Clip
from mer_data.synthetic.casme2 import HEADER
from mer_data.synthetic.workbook import write_workbook

FOLDER = "Cropped/sub01/EP02_01f"
SHAPES = ("EP02_01", "EP02_01f", "EP09", "EP09f", "EP06_02", "EP06_02_01", "EP01_2", "EP01_02")

# fmt: off
CASME2 = Promises(
    "casme2",
    Twin(frames=lambda truth: range(truth.onset, truth.offset + 1)),
    "CASME2",
    make=[frames(FOLDER, range(46, 87), "reg_img{}.jpg")],
    sheet=Sheet(SHEET, "subject name - onset apex offset - units emotion", HEADER,
        ("01", "EP02_01f", "", 46, 59, 86, "", "R1+L2", "surprise"), worksheet="Sheet1", write=write_workbook),
    clip=Clip("casme2", "casme2/sub01", "EP02_01f", "surprise", 46, 59, 86, "annotated", "R1+L2", 200.0,
        "sub01/EP02_01f"),
    tree="Cropped",
    folder=FOLDER,
    subjects=("01", "1", 1, 1.0, "1.0", "sub01", "Sub1"),
    words={"Others": "others", " other ": "others", "Happy": "happiness", "sad": "sadness"},
    units={4: "4", "?": "?", "4+L10": "4+L10", "": None},
    midpoint=66,
    apexes=("/", "", 0, -1, 46, 40, 87),
    mirrored={59: 72, 80: 86},
    said={"no frames": "{root}: no folder of frames (expected one of Cropped"},
    before=[made("Cropped/sub01/EP05_01")],
    together=[
        ({"name": "EP02_01"},
            ["name: no folder for clip 'EP02_01' in {root}/Cropped/sub01 (did you mean 'EP02_01f'?)"]),
        ({}, ["name: clip sub01/EP02_01f is in row 2 already"]),
        ({"name": "EP05_01", "emotion": "surprize"},
            ["emotion: unknown emotion 'surprize' (did you mean 'surprise'?)",
                "{root}/Cropped/sub01/EP05_01: no frames in this folder"]),
        ({"subject": "02"}, ["subject: no folder for subject sub02"]),
        ({"subject": "sub2", "name": "EP03_02"}, []),  # told once
        ({"subject": "one", "onset": "x", "offset": "86?"},
            ["subject: 'one' is not a subject", "onset: 'x' is not a frame number",
                "offset: '86?' is not a frame number"]),
        ({"name": "", "onset": ""}, ["name: no folder for clip ''", "onset: the cell is empty"]),
        ({"name": "../../other", "offset": 30},
            ["name: no folder for clip '../../other'", "offset: offset 30 is not after onset 46"]),
        ({"name": "EP09", "apex": "/", "offset": 0},
            ["name: no folder for clip 'EP09'", "offset: neither offset nor apex is given"]),
        ({"name": "EP10", "apex": "soon"}, ["name: no folder for clip 'EP10'", "apex: 'soon' is not a frame number"]),
    ],
    cases=[
        reads("an apex in the last frame", cells(apex=86), apex=86, apex_source="annotated"),
        reads("missing files are replaced by the nearest within two",
            gone(*(f"{FOLDER}/reg_img{number}.jpg" for number in (46, 59, 58))), onset=47, apex=60,
            notes=["{onset}: frame 46 is missing on disk; frame 47 is used",
                "{apex}: frame 59 is missing on disk; frame 60 is used",
                "{offset}: 2 of 40 frames between onset and offset are missing"]),
        refuses("files missing beyond reach", gone(*(f"{FOLDER}/reg_img{number}.jpg" for number in range(47, 62))),
            says=[("{apex}: frame 59 is not in", "46 to 86")]),
        *(
            reads(f"the tree {top}", gone("Cropped"), frames(f"{top}/sub01/EP02_01f", range(40, 90), "img{}.jpg"),
                written(f"{top}/Thumbs.db", b""), frames="sub01/EP02_01f", frame_root=f"{{root}}/{top}",
                notes=["not face crops"] if "RAW" in top else [])
            for top in ("Cropped/Cropped", "cropped", "CASME2_RAW_selected", "CASME2-RAW/CASME2-RAW")),
        reads("crops are preferred", frames("CASME2-RAW/sub01/EP02_01f", range(40, 90), "img{}.jpg"),
            frame_root="{root}/Cropped"),
        reads("unless they are empty", frames("CASME2-RAW/sub01/EP02_01f", range(40, 90), "img{}.jpg"),
            gone("Cropped"), made("Cropped"), frame_root="{root}/CASME2-RAW", notes=["not face crops"]),
        *(reads(f"a sheet {name} without spacer columns", unspaced(), moved("{sheet}", name), apex=59)
            for name in ("CASME2-coding-20190701.xlsx", "CASME2-coding-updated.xlsx", "CASME2_label_Ver_2.xls")),
        reads("a folder in another case", cells(name="ep02_01F"), name="ep02_01F", frames="sub01/EP02_01f",
            notes=["{name}: the folder is called EP02_01f"]),
        refuses("two folders of one subject", made("Cropped/sub1"), says="sub01 and sub1 are one subject"),
        reads("no correction that no sheet needs", frames("Cropped/sub06/EP01_01", range(60, 120)),
            cells(subject=6, name="EP01_01", onset=66, apex=111, offset=111), onset=66, apex=111, offset=111,
            apex_source="annotated"),
        *(
            reads(f"a clip's name {name}", gone("Cropped"),
                *(frames(f"Cropped/sub01/{other}", range(46, 87)) for other in SHAPES), cells(name=name),
                frames=f"sub01/{name}") for name in ("EP02_01f", "EP09f", "EP06_02_01", "EP01_2")),
        reads("an offset beyond the last frame", cells(offset=99), offset=86,
            notes=["{offset}: frame 99 is beyond the last on disk; frame 86 is used"]),
    ],
)
