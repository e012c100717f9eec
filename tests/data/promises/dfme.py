"""DFME: three parts of which any may be absent, rates and codes, and what is said of wrong ones."""

from contract import Edit, Promises, Row, Sheet, Twin
from edits import cells, copied, each, frames, given, gone, reads, reads_all, refuses, renamed, rows, written

from mer_data.datasets.dfme import CODES
from mer_data.schema import Clip
from mer_data.synthetic.dfme import HEADER, rate_of

TRAIN, TEST_A = "training_full_with_AU.xlsx", "testA_full_with_AU.xlsx"
SHEET = Sheet(
    TRAIN,
    "subject name onset apex offset emotion code rate units",
    HEADER,
    ("sub0003", "sub0003_01", 5, 15, 29, "fear", 3, 300, "1+2+5+AD38"),
)
FOLDER = "DFME_train/sub0003_01"
OTHER = {"subject": "sub0180", "name": "sub0180_02", "emotion": "disgust", "code": 2, "rate": 500}
REMARK = dict.fromkeys(SHEET.columns.split(), "") | {"name": "by hand"}
FRAMES_A = frames("DFME_testA/sub0180_02", range(32), "{:05}.png")


def sheet_a(*changed: Row, name: str = TEST_A) -> Edit:
    """There is a sheet of another part."""
    return lambda source: SHEET.write(source.path(name), SHEET.rows(*({**OTHER, **change} for change in changed)))


def habits(root, imported) -> None:
    parts: dict[str, set[str]] = {}
    for clip in imported.clips:
        parts.setdefault(clip.frames.split("/")[0], set()).add(clip.subject)
        assert (imported.frame_root / clip.frames / "00000.png").is_file()
    assert sorted(parts) == ["DFME_testA", "DFME_testB", "DFME_train"]
    assert sum(map(len, parts.values())) == 7  # no subject in two parts
    assert {clip.fps for clip in imported.clips} == {200.0, 300.0, 500.0}
    # Clips of six frames at 500 per second are too fast for a face, and nothing else is said of them.
    soon = [clip for clip in imported.clips if (clip.apex - clip.onset) / clip.fps < 0.01]
    assert len(imported.notes) == len(soon)
    assert all(note.endswith("after the onset; compare with the video") for note in imported.notes)
    assert CODES == ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")


# fmt: off
DFME = Promises(
    "dfme",
    Twin(7, 30, {"seed": 4}, clip=lambda truth: {"fps": rate_of(truth)}, frames=lambda truth: range(truth.offset + 5),
        channels=1, habits=habits),
    "DFME",
    make=[frames(FOLDER, range(32), "{:05}.png")],
    sheet=SHEET,
    clip=Clip("dfme", "dfme/sub0003", "sub0003_01", "fear", 5, 15, 29, "annotated", "1+2+5+AD38", 300.0, FOLDER),
    folder=FOLDER,
    subjects=("sub0003", "sub3", "0003", 3, 3.0),
    units={**{units: units for units in ("1+2+5+AD38", "L12", "M58")}, 4: "4"},
    midpoint=17,
    apexes=("", "/", 0, 5, 31),
    mirrored={15: 25, 28: 31},
    said={"two sheets": "{sheet}: has 1 clips that are in copy.xlsx too",
        "no frames": "{root}: no folder of frames for any row"},
    before=[
        FRAMES_A,
        frames("DFME_train/sub0003_02", range(10, 32), "{:05}.png"),
        sheet_a({}, {"onset": "", "apex": "soon", "emotion": "anger", "code": 1, "rate": "", "units": ""}),
    ],
    together=[
        ({}, ["name: clip sub0003/sub0003_01 is in row 2 already"]),
        ({"name": "sub0003_02", "emotion": "feer"},
            ["emotion: unknown emotion 'feer'", "onset: frame 5 is not in {root}/DFME_train/sub0003_02"]),
        ({"subject": "sub0180"}, ["name: clip sub0003_01 is not of subject sub0180"]),
        ({"name": ""},
            ["name: no folder for clip ''",
                f"{{root}}/{TEST_A}, row 3, column EmotionId: 1 means contempt, but Emotion is anger",
                f"{{root}}/{TEST_A}, row 3, column Fps: '' is not a number",
                f"{{root}}/{TEST_A}, row 3, column Filename: clip sub0180/sub0180_02 is in row 2 already",
                f"{{root}}/{TEST_A}, row 3, column OnsetFrame: the cell is empty",
                f"{{root}}/{TEST_A}, row 3, column ApexFrame: 'soon' is not a frame number"]),
    ],
    cases=[
        reads_all("two parts", FRAMES_A, sheet_a({}),
            gives=[{"fps": 300.0, "frames": FOLDER}, {"fps": 500.0, "frames": "DFME_testA/sub0180_02"}]),
        reads_all("remarks below two parts", FRAMES_A, rows({}, REMARK), sheet_a({}, REMARK),
            gives=[{"fps": 300.0}, {"fps": 500.0}],
            notes=["{sheet}, row 3: 1 rows of text", f"{{root}}/{TEST_A}, row 3: 1 rows of text"]),
        reads("a name that is not padded", cells(name="sub3_1"), id="dfme/sub0003/sub0003_01"),
        reads("an offset beyond the last frame", cells(offset=290), offset=31,
            notes=["{offset}: offset 290 is beyond the last frame"]),
        reads("a part without frames", sheet_a({}), name="sub0003_01",
            notes=[f"{{root}}/{TEST_A}: left out: none of its 1 clips has frames"]),
        reads("a part without a sheet", FRAMES_A, sheet_a({}), gone("{sheet}"), name="sub0180_02",
            notes=["1 folders of frames without a row in a sheet, for instance sub0003_01"]),
        refuses("a part with some frames",
            rows({}, {"subject": "sub0004", "name": "sub0004_01"}, {"name": "sub0003_02"}),
            says=["{row[3][subject]}: no folder for a clip of subject sub0004",
                ("{row[4][name]}: no folder for clip 'sub0003_02'", "did you mean 'sub0003_01'?")]),
        *(
            reads(f"the layout {folder}", gone("DFME_train"), frames(folder, range(32), "{:05}.png"),
                place=f"{{root}}/{folder}", notes=None)
            for folder in ("DFME_train/DFME_train/sub0003_01", "sub0003_01", "parts/train/sub0003/sub3_1")),
        *(
            reads_all(f"{len(more) + 1} sheets of two parts", FRAMES_A, sheet_a({}),
                copied("{sheet}", "{outside}/mine.xlsx"), given("{outside}/mine.xlsx", "{root}", *more),
                gives=[{"name": name} for name in names], notes=None) for more,
            names in (((), ["sub0003_01"]), ((TEST_A,), ["sub0003_01", "sub0180_02"]))),
        refuses("a sheet that cannot be used is not passed over", written(TEST_A, b"PK"), renamed(Fps="Rate"),
            says=["lacks Fps", f"{{root}}/{TEST_A}: cannot be read"]),
        reads("frames from 0", cells(onset=0, apex=3), onset=0, apex=3, apex_source="annotated"),
        reads("an apex too soon", cells(onset=0, apex=2), apex=2, apex_source="annotated",
            notes=["{apex}: apex 2 is 2 frames, 7 ms, after the onset; compare with the video"]),
        *each("code", "code", (3, 3.0, "3", ""), emotion="fear"),
        reads("a word in capitals", cells(emotion="Fear"), emotion="fear"),
        *(refuses(f"code {code!r}", cells(code=code), says=f"{{code}}: {code} {said}, but Emotion is fear") for code,
            said in ((2, "means disgust"), (7, "means nothing"), ("x", "means nothing"))),
        *(refuses(f"rate {cell!r}", cells(rate=cell), says=f"{{rate}}: '{cell}' is not a number of frames per second")
            for cell in ("", 0, "fast", -200)),
        refuses("a rate that is no number", cells(rate="nan"),
            says="{rate}: '' is not a number of frames per second"),
        reads("an odd rate", cells(rate="29.97"), fps=29.97, notes=["{rate}: 29.97 frames per second"]),
        refuses("a clip in two folders", frames("DFME_train_crop/sub0003_01", range(32), "{:05}.png"),
            says="clip 'sub0003_01' has 2 folders: DFME_train/sub0003_01, DFME_train_crop/sub0003_01"),
    ],
)
