"""SMIC-E's three cameras: every quirk of the sheet and the trees, and what is said of wrong ones."""

from by_hand import write_sheet
from contract import Promises, Sheet, Twin
from edits import cells, copied, each, frames, given, gone, moved, reads, reads_all, refuses, renamed, spotted

from mer_data.frames import list_frames
from mer_data.schema import Clip

HEADER = ("Subject", "Filename", "", "OnsetF", "OffsetF", "Onset2", "Offset2", "", "FirstF", "LastF", "Emotion")
COLUMNS = "subject name - onset offset onset2 offset2 - first last emotion"
ROW = (1, "s01_ne_01", "", 559740, 559760, "", "", "", 559720, 559780, "negative")
SECOND = {"onset2": 559766, "offset2": 559776}
TEXT = [("Remarks:",), ("", "FirstF is the number of the first frame"), ("All by hand",)]


def habits(root, imported) -> None:
    assert len({clip.frames for clip in imported.clips}) < len(imported.clips)  # two in one folder
    for clip in imported.clips:
        numbers = list_frames(imported.frame_root / clip.frames)
        assert min(numbers) < clip.onset < clip.offset < max(numbers)


def camera(format_: str, name: str, fps: float, channels: int) -> Promises:
    """What one camera's format promises; nothing but names and the frame rate differ."""
    top, tree = f"SMIC-E_raw image/{name}_long", f"SMIC-E_raw image/{name}_long/SMIC-{name}-E"
    sheet, clip = f"{top}/SMIC-{name}-E_annotation.xlsx", f"{tree}/s01/s01_ne_01"
    other = {"HS": "VIS", "VIS": "NIR", "NIR": "HS"}[name]

    copy = copied("{sheet}", sheet.replace(".xlsx", "_2019.xlsx"))

    def write(*rows, header=HEADER):
        return lambda source: write_sheet(source.path(sheet), header, *rows)

    def of(camera_: str, *clips: str):
        place = f"SMIC-E_raw image/{camera_}_long/SMIC-{camera_}-E"
        return [frames(f"{place}/{clip}", range(20), "image{:06}.jpg") for clip in clips]

    # fmt: off
    return Promises(
        format_,
        Twin(2, 8, {"seed": 2}, clip=lambda truth: {"fps": fps}, channels=channels, said={"rows of text": 1},
            habits=habits),
        "SMIC",
        make=[frames(clip, range(559720, 559781), "image{:06}.jpg")],
        sheet=Sheet(sheet, COLUMNS, HEADER, ROW),
        clip=Clip(format_, f"{format_}/s01", "s01_ne_01", "negative", 559740, 559750, 559760, "midpoint", None, fps,
            "s01/s01_ne_01"),
        tree=tree,
        folder=clip,
        usual=["gives no apex for any clip; the middle frame is taken, or motion decides"],
        subjects=(1, "01", "s1", "s01", 1.0),
        said={"other columns": None,  # the emotion is the name's
            "two sheets": None,  # only those that are called after the camera count
            "one of two sheets": None, "no frames": f"no folder of frames (expected {name}_long/SMIC-{name}-E/s01",
            "no sheet": f"(put SMIC-{name}-E_annotation.xlsx there, or name the sheet too)"},
        together=[
            ({"subject": 2, "name": "s02_ne_01"}, ["subject: no folder for a clip of subject s02"]),
            ({"name": "s01_ne_02"}, ["name: no folder for clip 's01_ne_02'"]),
            ({}, ["name: clip s01/s01_ne_01@559740 is in row 2 already"]),
            ({"name": "s01_xx_02"},
                ["name: 's01_xx_02' is not a clip's name", "name: no folder for clip 's01_xx_02'"]),
        ],
        cases=[
            reads("a spotted apex", spotted(), apex_source="spotted", notes=None),
            refuses("other columns", renamed(OnsetF="Start"), says="lacks OnsetF"),
            refuses("two sheets", copy, says="2 sheets have the right columns"),
            reads("one of two sheets", copy, given("{sheet}", "{root}"), source="{sheet}"),
            # A second micro-expression, whatever its columns are called.
            *(
                reads_all(f"a second pair in {first!r} and {last!r}",
                    write((*ROW[:5], 559766, 559776, *ROW[7:]), header=(*HEADER[:5], first, last, *HEADER[7:])),
                    gives=[{"name": f"s01_ne_01@{onset}", "onset": onset, "offset": offset, "frames": "s01/s01_ne_01"}
                        for onset, offset in ((559740, 559760), (559766, 559776))], notes=None) for first,
                last in (("Onset2", "Offset2"), ("OnsetF", "OffsetF"), ("", ""), ("second", ""))),
            # Then FirstF and LastF are right of the first pair, and are not taken for one.
            reads("a sheet without a second pair", write((*ROW[:5], *ROW[8:]), header=(*HEADER[:5], *HEADER[8:])),
                name="s01_ne_01"),
            refuses("half of a second pair", cells(onset2=559766), says="{offset2}: neither offset nor apex is given"),
            reads_all("rows of text below the data", write(ROW, *TEXT), gives=[{}],
                notes=["row 3: 3 rows of text from here on are passed over"]),
            refuses("text above it", write(("somebody", *ROW[1:]), ROW), says="'somebody' is not a subject"),
            reads("a text for the first frame", cells(first="missing", last="?"), onset=559740),
            refuses("a text for the onset", cells(onset="about 559740"),
                says="{onset}: 'about 559740' is not a frame number"),
            *(
                reads(f"a clip in {folder}", moved(clip, "{outside}/x"), gone(f"{tree}/s01"),
                    moved("{outside}/x", f"{tree}/{folder}"), cells(subject=subject, name="s1_ne_01"),
                    id=f"{format_}/s01/s01_ne_01", notes=None)
                for folder in ("s01/s01_ne_01", "s1/s1_ne_01", "S01/S01_NE_01") for subject in (1, "s01")),
            *each("an emotion in other letters", "emotion", ("Negative", ""), emotion="negative"),
            reads("an emotion that contradicts the name", cells(emotion="surprise"), emotion="negative",
                notes=["{emotion}: 'surprise', but the clip is called s01_ne_01; negative is kept"]),
            refuses("a second pair that ends before it begins", cells(onset2=559776, offset2=559766),
                says="{offset2}: offset 559766 is not after onset 559776"),
            reads("an emotion that is none", cells(emotion=1), emotion="negative",
                notes=["'1' is no emotion; negative of the name is used"]),
            reads("apexes that somebody added", write((*ROW, 559744), header=(*HEADER, "ApexF")), apex=559744,
                apex_source="annotated", notes=["gives apexes, which the official sheet does not"]),
            *(
                reads(f"the sheet in {place} and frames in {inner or 'the tree'}, given {sources}",
                    *(
                        [moved(f"{tree}/s01", "{outside}/x"),
                            moved("{outside}/x", f"{tree}/{inner}/s01")] if inner else ()),
                    moved("{sheet}", f"{place}/mine_2019.xlsx"),
                    given(*sources.format(f"{place}/mine_2019.xlsx", tree).split(", ")),
                    frame_root=f"{{root}}/{tree}/{inner}".rstrip("/"))
                for place in (".", "SMIC-E_raw image", top, tree) for inner in ("", name)
                for sources in ("{{root}}", "{}, {}")),
            # Each format picks its own camera, and never the short clips.
            reads("all cameras",
                frames(f"SMIC_all_raw/{name}/s1/micro/negative/s1_ne_01", range(9), "image{:06}.jpg"),
                *of(other, "s11/s11_po_01"),
                lambda source: write_sheet(source.path(f"SMIC-E_raw image/SMIC-{other}-E_annotation.xlsx"), HEADER,
                    (11, "s11_po_01", "", 4, 12, "", "", "", 0, 19, "positive")),
                moved("{sheet}", f"SMIC-E_raw image/SMIC-{name}-E_annotation.xlsx"), id=f"{format_}/s01/s01_ne_01",
                fps=fps),
            refuses("above another camera's folder", *of(other, "s11/s11_po_01"),
                given(f"SMIC-E_raw image/{other}_long"),
                says=f"no folder of frames (expected {name}_long/SMIC-{name}-E/s01"),
            refuses("another camera's folder", *of(other, "s11/s11_po_01"),
                given(f"SMIC-E_raw image/{other}_long/SMIC-{other}-E"),
                says=f"SMIC-{other}-E is not of SMIC-E's camera {name}"),
        ],
    )


SMIC_E = camera("smic_e", "HS", 100.0, 3)
SMIC_E_VIS = camera("smic_e_vis", "VIS", 25.0, 3)
SMIC_E_NIR = camera("smic_e_nir", "NIR", 25.0, 1)
