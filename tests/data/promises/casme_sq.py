"""CAS(ME)^2: a workbook without headers, cut samples and whole videos, and what is said of wrong ones."""

from collections.abc import Mapping
from pathlib import Path

from contract import Edit, Promises, Rows, Sheet, Twin
from edits import frames, given, gone, moved, reads, reads_all, refuses, rows

from mer_data.datasets.casme_sq import WORKBOOK
from mer_data.schema import Clip
from mer_data.synthetic.casme_sq import BLINKS, FOLDERS
from mer_data.synthetic.workbook import write_worksheets

VIDEO = "16_0502funnycat"
FOLDER = f"rawpic/s16/{VIDEO}"
MACRO = {"subject": 3, "name": "anger1_1", "type": "macro-expression"}
PEOPLE = [["p", f"s{folder}", number] for number, folder in enumerate(FOLDERS[:22], start=1)]
VIDEOS = frames(FOLDER, range(320, 341), "img{}.jpg")


def workbook(path: Path, rows: Rows, code: object = 502, first: str = "CASFEcode_final") -> None:
    codes = [["0101", "disgust1"], [code, "happy1"]]
    write_worksheets(path, {first: rows, "naming rule1": PEOPLE, "naming rule2": codes})


SHEET = Sheet(
    WORKBOOK,
    "subject name onset apex offset units emotion type -",
    "ABCDEFGHI",
    (2, "happy1_1", 323, 329, 334, "1+2", "surprise", "micro-expression", "happiness"),
    worksheet="CASFEcode_final",
    bare=True,
    write=workbook,
)


def written_with(**options: object) -> Edit:
    return lambda source: workbook(source.path("{sheet}"), SHEET.rows({}), **options)


def worksheets(path: str, sheets: Mapping[str, Rows]) -> Edit:
    """A workbook of other worksheets."""
    return lambda source: write_worksheets(source.path(path), sheets)


BLINKING = worksheets(BLINKS, {"blink": [[1, "happy1_1", 30, 33, 36]]})


def habits(root, imported) -> None:
    assert "12 macro-expressions are left out, 12 micro-expressions are read" in imported.notes[0]
    assert any("no offset" in note for note in imported.notes)
    assert {clip.subject for clip in imported.clips} == {f"casme_sq/s{number}" for number in (15, 16, 19, 20)}
    assert (root / BLINKS).is_file()


# fmt: off
CASME_SQ = Promises(
    "casme_sq",
    Twin(4, 12, clip=lambda truth: {"fps": 30.0}, habits=habits),
    "CASME_sq",
    make=[VIDEOS],
    sheet=SHEET,
    clip=Clip("casme_sq", "casme_sq/s16", "happy1_1", "surprise", 323, 329, 334, "annotated", "1+2", 30.0,
        f"s16/{VIDEO}"),
    tree="rawpic",
    folder=FOLDER,
    usual=["0 macro-expressions are left out, 1 micro-expressions are read"],
    words={"negative": "negative"},  # whatever the clip is called
    midpoint=328,
    apexes=(0,),
    mirrored={329: 335},
    said={"no sheet": "{root}: no workbook lists expressions", "two sheets": "2 workbooks list expressions",
        "other columns": None},
    before=[frames(f"rawpic/s24/24_0502funnycat{end}", range(320, 341), "img{}.jpg") for end in ("", "2")],
    together=[
        ({"type": "mikro-expression"},
            ["type: 'mikro-expression' is not a type of expression (did you mean 'micro-expression'?)"]),
        ({"subject": 30}, ["subject: '30' is not in naming rule1"]),
        ({"subject": "two"}, ["subject: 'two' is not in naming rule1"]),
        ({"name": "happi1_1"}, ["name: video 'happi1' of 'happi1_1' is not in naming rule2 (did you mean 'happy1'?)"]),
        ({"name": "disgust1_1"}, ["name: 0 folders for clip 'disgust1_1' with code 0101"]),
        ({"subject": 8}, ["name: 2 folders for clip 'happy1_1' with code 0502"]),
        ({"subject": 9}, ["subject: no folder for subject s25"]),
        ({"name": "happy1_2", "onset": "x", "emotion": "surprize"},
            ["emotion: unknown emotion 'surprize'", "onset: 'x' is not a frame number"]),
        ({}, ["name: clip s16/happy1_1 is in row 1 already"]),
    ],
    cases=[
        *(reads(f"a code {code!r}", written_with(code=code), frames=f"s16/{VIDEO}")
            for code in ("0502", 502, 502.0, "502")),
        *(
            reads(f"videos in {tree} with {name}", gone("rawpic"),
                frames(f"{tree}/s16/{VIDEO}", range(320, 341), name),
                frames(f"{tree}/s16/16_0101oldsoup", range(320, 341), name), place=f"{{root}}/{tree}/s16/{VIDEO}",
                notes=None) for tree in ("rawpic", "longVideoFaceCropped", "rawpic/rawpic")
            for name in ("img{}.jpg", "img{:05}.jpg", "img_{}.jpg")),
        *(
            reads(f"cut samples in {folder}", gone("rawpic"),
                frames(f"{folder}/happy1_1", range(323, 335), "img{}.jpg"), subject="casme_sq/s16",
                frames=f"{Path(folder).name}/happy1_1", notes=None if folder.startswith("selected") else [])
            for folder in ("cropped/16", "selectedpic/s16", "Cropped/Cropped/016")),
        reads("cut samples apart", frames("{outside}/casme^2_cropped/16/happy1_1", range(323, 335), "img{}.jpg"),
            given("{sheet}", "{outside}/casme^2_cropped"), frames="16/happy1_1"),
        *(
            reads_all(f"macro-expressions beside a {word}", rows(MACRO, {"type": word}, MACRO),
                gives=[{"name": "happy1_1"}], notes=["2 macro-expressions are left out, 1 micro-expressions are read"])
            for word in ("micro-expression", "Micro-expression")),
        reads_all("remarks beside the tables",
            lambda source: workbook(source.path("{sheet}"), [*SHEET.rows({}), [*[""] * 9, "1: see worksheet 1"]]),
            gives=[{"name": "happy1_1"}]),
        reads_all("several clips of one video", frames(FOLDER, range(400, 420), "img{}.jpg"),
            rows({}, {"name": "happy1_2", "onset": 400, "apex": 404, "offset": 409}),
            gives=[{"onset": 323}, {"onset": 400}], notes=None),
        *(
            reads(f"a workbook {name}", written_with(first="CASMEcode_final"), moved("{sheet}", name), BLINKING,
                source=f"{{root}}/{name}") for name in ("CAS(ME)^2code_final(Updated).xlsx", "code_final.xlsx")),
        refuses("blinks only", gone("{sheet}"), BLINKING, says="{root}: no workbook lists expressions"),
        refuses("worksheets that are missing",
            worksheets("{sheet}", {"CASFEcode_final": SHEET.rows({}), "other": [["x"]]}),
            says=[f"{{sheet}}: no worksheet is called 'naming rule{rule}' (it has CASFEcode_final, other)"
                for rule in (1, 2)]),
        refuses("a workbook without expressions", worksheets("{sheet}", {"naming rule1": [["p", "s15", 1]]}),
            given("{sheet}", "{root}"),
            says=["{sheet}: no worksheet has micro-expression or macro-expression in column H", ...]),
    ],
)
