"""CAS(ME)^3, parts A and C: videos, folders and numbers as they are released, and what is said of wrong ones."""

from contract import Promises, Row, Sheet, Twin
from edits import cells, each, frames, given, gone, moved, reads, reads_all, refuses, rows

from mer_data.datasets import casme3
from mer_data.datasets.casme3 import SHEET_A, SHEET_C
from mer_data.schema import Clip
from mer_data.synthetic.casme3 import HEADER_A, HEADER_C, TREE_A, TREE_C
from mer_data.synthetic.workbook import write_worksheets

FOLDER_A, FOLDER_C = f"{TREE_A}/spNO.12/f/color", f"{TREE_C}/04/1/color"
LATER = {"onset": 1445, "apex": 1450, "offset": 1455}
EVERY = [[*HEADER_A[:6], "Expression type", "Objective class"], ["spNO.12", "f", 1421, 1426, 1440, "2+1", "M", "II"]]
BLINKS = [[*HEADER_A[:3], "Offset"], ["spNO.12", "f", 1421, 1440]]
NUMBERS = [["Subject", "Onset", "Offset", "diff", "Exp_type", "risk"], [4, 300, 320, 20, 1, 0]]


def workbook(path: str, **sheets):
    """There is another workbook."""
    return lambda source: write_worksheets(source.path(path), sheets)


def of_video(subject: str, video: str, numbers: range):
    return frames(f"{TREE_A}/{subject}/{video}/color", numbers)


def slip(**changes: object) -> Row:
    return {"subject": "spNO.149", "name": "d", "apex": 83, "offset": 358, **changes}


def habits_a(root, imported) -> None:
    said = "\n".join(imported.notes)
    for quirk in (
        "no offset; taken as",
        "the folder is called j",
        "frame 0 is missing on disk; frame 1 is used",
        "frames between onset and offset are missing",
    ):
        assert quirk in said
    assert len({(clip.subject, clip.frames) for clip in imported.clips}) < len(imported.clips)
    assert casme3.read_a([root / "part_A"]).clips == imported.clips


def habits_c(root, imported) -> None:
    (note,) = imported.notes
    assert "gives no apex for any clip" in note
    assert casme3.read_c([root / "part_C"]).clips == imported.clips
    assert {clip.apex_source for clip in casme3.read_c([root], "spotted").clips} == {"spotted"}


# fmt: off
CASME3A = Promises(
    "casme3a",
    Twin(4, 16, clip=lambda truth: {"fps": 30.0}, lacking=1, habits=habits_a),
    "CASME3",
    make=[frames(FOLDER_A, range(1400, 1461))],
    sheet=Sheet(f"part_A/annotation/{SHEET_A}", "subject name onset apex offset units - emotion", HEADER_A,
        ("spNO.12", "f", 1421, 1426, 1440, "2+1", "II", "others"), worksheet="label", write=lambda path,
        rows: write_worksheets(path, {"label": rows, "Sheet2": [], "Sheet3": []})),
    clip=Clip("casme3a", "casme3a/spNO.12", "f@1421", "others", 1421, 1426, 1440, "annotated", "2+1", 30.0,
        "spNO.12/f/color"),
    tree=TREE_A,
    folder=FOLDER_A,
    words={"Others": "others", "others": "others", "happy": "happiness", "sad": "sadness"},
    midpoint=1428,  # 20 frames are longer than 500 ms, and 7 are 233 ms
    apexes=(1421, 1392),
    limited=True,
    mirrored={1426: 1431},
    together=[
        ({}, ["name: clip spNO.12/f@1421 is in row 2 already"]),
        ({"subject": "12"}, ["subject: '12' is not a subject (write it as spNO.1)"]),
        ({"name": "b"}, ["name: no folder for clip 'b'"]),
        ({"onset": "x", "emotion": "otters"},
            ["emotion: unknown emotion 'otters' (did you mean 'others'?)", "onset: 'x' is not a frame number"]),
        ({"onset": 1500, "apex": 1510, "offset": 1520}, ["onset: frame 1500 is not in", "apex: frame 1510 is not in"]),
        ({"subject": "spNO.13"}, ["subject: no folder for subject spNO.13"]),
    ],
    cases=[
        reads("a video in another case", cells(name="F"), name="f@1421", frames="spNO.12/f/color",
            notes=["{name}: the folder is called f"]),
        reads("no apex in an interval that is not too long", cells(apex=1421, offset=1436), apex=1428, offset=1436,
            apex_source="midpoint", notes=["{apex}: apex 1421 is not within 1421 to 1436; the middle frame 1428"]),
        reads("no apex in one that is", cells(apex=1421, offset=1437), apex=1428, offset=1437, apex_source="limited",
            notes=["{apex}: apex 1421 is not within 1421 to 1437; 17 frames are longer than a micro-expression"]),
        reads_all("several clips of one video", rows({}, LATER), gives=[{"name": "f@1421"}, {"name": "f@1445"}]),
        reads_all("clips that were cut out", gone(TREE_A), rows(LATER, {}),
            frames("ME_A/spNO.12/f/color", range(1445, 1456)), frames("ME_A/spNO.12/f2/color", range(1421, 1441)),
            given("{sheet}", "ME_A"), gives=[{"frames": "spNO.12/f/color"}, {"frames": "spNO.12/f2/color"}],
            notes=None),
        refuses("clips that were not cut out", frames("ME_A/spNO.12/f/color", range(1445, 1456)),
            frames("ME_A/spNO.12/f2/color", range(1421, 1441)), cells(onset=1, apex=3, offset=5),
            given("{sheet}", "ME_A"), says="{name}: none of the clip's frames is in f, f2 of"),
        reads("an onset of 0 without such a frame", of_video("spNO.12", "a", range(1, 30)),
            cells(name="a", onset=0, apex=12, offset=25), name="a@0", onset=1, apex=12,
            notes=["{onset}: frame 0 is missing on disk; frame 1 is used"]),
        reads("frames that the camera dropped", gone(*(f"{FOLDER_A}/{number}.jpg" for number in (1423, 1430, 1431))),
            onset=1421, apex=1426, offset=1440,
            notes=["{offset}: 3 of 20 frames between onset and offset are missing"]),
        reads_all("long intervals are counted", frames(FOLDER_A, range(1461, 1600)),
            rows({"offset": 1590}, {"onset": 1424}), gives=[{}, {}],
            notes=["1 of 2 intervals are longer than 60 frames, the longest has 170"]),
        reads("the documented onset", of_video("spNO.216", "d", range(2640, 2700)),
            cells(subject="spNO.216", name="d", onset=3647, apex=2668, offset=2694), name="d@2647", onset=2647,
            apex=2668, apex_source="annotated", notes=["3647 corrected to 2647"]),
        reads_all("the documented apex, and not of another row", of_video("spNO.149", "d", range(80, 360)),
            rows(slip(onset=112), slip(onset=113)),
            gives=[{"apex": 160, "apex_source": "corrected"}, {"apex": 120, "apex_source": "limited"}], notes=None),
        *(
            reads(f"the tree in {tree or 'the root'}", gone(TREE_A),
                *(frames(f"{other}/spNO.12/f/color", range(1400, 1461)) for other in ("part_C", "ME_A", tree or ".")),
                frames(f"{tree or '.'}/spNO.12/f/depth", range(1400, 1461)), frame_root=f"{{root}}/{tree}".rstrip("/"))
            for tree in ("", "data/part_A", "part_A/data/part_A_split/part_A/part_A")),
        reads("sheets of all expressions",
            workbook("part_A/annotation/CAS(ME)3_part_A_v2.xls", **{"AU+Emotion": EVERY, "eye blink": BLINKS}),
            source="{sheet}"),
        refuses("folders of nobody", moved(f"{TREE_A}/spNO.12", f"{TREE_A}/somebody"),
            says="no folder of frames (expected spNO.1"),
    ],
)

# fmt: off
CASME3C = Promises(
    "casme3c",
    Twin(3, 12, clip=lambda truth: {"fps": 30.0}, habits=habits_c),
    "CASME3",
    make=[frames(FOLDER_C, range(300, 321))],
    sheet=Sheet(f"part_C/{SHEET_C}", "subject name onset offset units emotion", HEADER_C,
        (4, 1, 300, 320, "4,7", "negative"), write=lambda path, rows: write_worksheets(path, {"mockCrimeME": rows})),
    clip=Clip("casme3c", "casme3c/c04", "1", "negative", 300, 310, 320, "midpoint", "4+7", 30.0, "04/1/color"),
    tree=TREE_C,
    folder=FOLDER_C,
    usual=["gives no apex for any clip; the middle frame is taken, or motion decides"],
    units={4: "4", "4,7,": "4+7", "4\uff0c7": "4+7", "13?": "13?", "1, 2": "1+2", "": None},
    together=[
        ({"emotion": "bad"}, ["emotion: unknown emotion 'bad'", "name: clip c04/1 is in row 2 already"]),
        ({"name": 9, "offset": 0, "emotion": "surprise"},
            ["name: no folder for clip '9'", "offset: neither offset nor apex is given"]),
    ],
    cases=[
        *each("a plain count", "name", (1, "1", "01", "1.0"), notes=None, id="casme3c/c04/1"),
        *(
            reads(f"the layout {folder}", gone(TREE_C), cells(subject=4.0),
                frames(f"part_C/frames/{folder}", range(300, 321)), subject="casme3c/c04", frames=folder, notes=None)
            for folder in ("4/1", "c04/1/color", "sub04/01", "spNO.4/color", "04")),
        reads("sheets of all expressions", workbook("part_C/CAS(ME)3_part_C.xls", Sheet1=NUMBERS), source="{sheet}"),
    ],
)
