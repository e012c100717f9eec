"""MMEW: layouts, labels and frame numbers of the recording, and what is said of wrong ones."""

from contract import Promises, Sheet, Twin
from edits import cells, copied, frames, gone, linked, made, moved, reads, reads_all, refuses, rows

from mer_data.datasets.mmew import SHEET
from mer_data.schema import Clip
from mer_data.synthetic.mmew import HEADER

FOLDER = "Micro_Expression/disgust/S05-04-003"
OTHERS = {"name": "S05-07-001", "emotion": "Others"}
WORDS = ("happiness", "surprise", "anger", "disgust", "fear", "sadness", "others")
THREE = [frames(f"Micro_Expression/{folder}/S05-07-001", range(1, 81)) for folder in ("disgust", "fear", "repression")]


def habits(root, imported) -> None:
    others = sum(clip.emotion == "others" for clip in imported.clips)
    assert any(f"{others} clips labelled others are in a folder called repression" in note for note in imported.notes)
    unknown = sum(clip.apex_source == "midpoint" for clip in imported.clips)
    assert sum("the middle frame" in note for note in imported.notes) == unknown >= 2


# fmt: off
MMEW = Promises(
    "mmew",
    Twin(5, 34, clip=lambda truth: {"fps": 90.0}, frames=lambda truth: range(1, truth.offset + 4),
        said={"numbers of the whole recording": 3}, habits=habits),
    "MMEW_Final",
    make=[frames(FOLDER, range(1, 81))],
    sheet=Sheet(SHEET, "subject name onset apex offset units emotion -", HEADER,
        ("S05", "S05-04-003", 2, 33, 74, "4+7", "disgust", "")),
    clip=Clip("mmew", "mmew/S05", "S05-04-003", "disgust", 2, 33, 74, "annotated", "4+7", 90.0, "disgust/S05-04-003"),
    tree="Micro_Expression",
    folder=FOLDER,
    subjects=("S05", "s5", "05", "5", 5, 5.0),
    midpoint=38,
    apexes=("/", "", 0, -1, 2, 1, 75),
    mirrored={33: 64, 50: 80},
    before=[
        frames("Micro_Expression/disgust/S06-04-001", range(1, 81)),
        linked("Micro_Expression/disgust/S06-04-001"),
        made("Micro_Expression/fear/S06-05-001"),
    ],
    together=[
        ({"name": "S05-04-030"},
            ["name: no folder for clip 'S05-04-030' in {root}/Micro_Expression (did you mean 'S05-04-003'?"]),
        ({}, ["name: clip S05/S05-04-003 is in row 2 already"]),
        ({"subject": "S06"}, ["name: clip S05-04-003 is not of subject S06"]),
        ({"subject": "six", "name": "S06-05-001", "emotion": "feer"},
            ["subject: 'six' is not a subject", "emotion: unknown emotion 'feer' (did you mean 'fear'?"]),
        ({"subject": 6, "name": "S06-05-001", "onset": "x"},
            ["{root}/Micro_Expression/fear/S06-05-001: no frames in this folder", "onset: 'x' is not a frame number"]),
        ({"subject": 6, "name": "S06-04-001"},
            ["{root}/Micro_Expression: 'disgust/S06-04-001' leads out of this folder"]),
        ({"subject": 7, "name": "S07-01-001"}, ["subject: no folder for a clip of subject S07"]),
        # Told once, but the rest of the row is still looked at.
        ({"subject": 7, "name": "S07-01-002", "offset": 1}, ["offset: offset 1 is not after onset 2"]),
        ({"name": "../../x"}, ["name: no folder for clip '../../x'"]),
    ],
    cases=[
        *(
            reads(f"the layout {folder}", moved("Micro_Expression", "{outside}/x"), frames(folder, range(1, 81)),
                place=f"{{root}}/{folder}")
            for folder in ("Micro_Expression/S05/disgust/S05-04-003",
                "Micro_Expression/Micro_Expression/disgust/S05-04-003", "micro expression/disgust/S05-04-003",
                "disgust/S05-04-003", "S05/disgust/S05-04-003", "S05-04-003")),
        reads("a folder whose name is not padded", moved(FOLDER, "Micro_Expression/disgust/S5-4-3"),
            name="S05-04-003", frames="disgust/S5-4-3", notes=["{name}: the folder is called S5-4-3"]),
        reads("a name that is not padded", cells(name="s5-04-3"), name="S05-04-003"),
        *(
            reads(f"others in {folder}", frames(f"Micro_Expression/{folder}/S05-07-001", range(1, 81)),
                cells(**OTHERS), emotion="others", frames=f"{folder}/S05-07-001", notes=notes) for folder,
            notes in (("repression", ["{root}/Micro_Expression: 1 clips labelled others"]), ("others", []))),
        *(reads(f"of three folders {folder}", *THREE, cells(**OTHERS | {"emotion": word}), frames=folder, notes=None)
            for word, folder in (("fear", "fear/S05-07-001"), ("others", "repression/S05-07-001"))),
        refuses("of three folders none", *THREE, cells(**OTHERS | {"emotion": "anger"}),
            says="{name}: clip 'S05-07-001' has 3 folders: disgust/S05-07-001, fear/"),
        reads("a folder of another emotion", cells(emotion="anger"), emotion="anger",
            notes=["{emotion}: the sheet has anger, the folder is in disgust"]),
        reads_all("three classes",
            *(frames(f"Micro_Expression/{word}/S01-{n:02}-001", range(1, 81)) for n, word in enumerate(WORDS, 1)),
            rows(*({"subject": 1, "name": f"S01-{n:02}-001", "emotion": word} for n, word in enumerate(WORDS, 1))),
            gives=[{"label": label} for label in ("positive", "surprise", *["negative"] * 4, None)]),
        reads("macro-expressions are passed over", copied("{sheet}", "MMEW_Macro_Exp.xlsx"),
            moved("Micro_Expression", "Clips"),  # so that the whole of the root is searched
            frames("Macro_Expression/disgust/S05-04-003", [1]), frames="Clips/disgust/S05-04-003"),
        *(
            reads(f"numbers of the recording with apex {apex!r}", cells(onset=201, apex=apex, offset=273), onset=1,
                apex=middle, offset=73,
                notes=["{onset}: numbers of the whole recording; 200 is subtracted", *["{apex}: "] * (middle != 33)])
            for apex, middle in ((233, 33), ("/", 37), (0, 37))),
        # The onset is a file's number, but the interval is as long as the folder and does not fit into it.
        reads("numbers of the recording that begin within the folder", cells(onset=41, apex=60, offset=120), onset=1,
            apex=20, offset=80, notes=["{onset}: "]),
        reads("frames with the recording's numbers", gone(FOLDER), frames(FOLDER, range(200, 280)),
            cells(onset=201, apex=233, offset=273), onset=201, apex=233, offset=273),
        refuses("numbers beyond such frames", gone(FOLDER), frames(FOLDER, range(200, 230)),
            cells(onset=301, apex=310, offset=320), says=["{onset}: frame 301 is not in", ...]),
        reads("an offset beyond the last frame", cells(offset=740), apex=33, offset=80,
            notes=["{offset}: offset 740 is beyond the last frame; frame 80 is used"]),
        refuses("an apex beyond it", cells(apex=300, offset=400), says="{apex}: frame 300 is not in"),
    ],
)
