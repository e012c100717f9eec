"""CASME: every quirk of the real files, and what is said of wrong ones."""

from contract import Promises, Sheet, Twin
from edits import cells, frames, gone, moved, reads, reads_all, refuses, renamed, rows

from mer_data.datasets.casme import SHEET
from mer_data.schema import Clip
from mer_data.synthetic.casme import HEADER
from mer_data.synthetic.workbook import write_workbook

FOLDER = "Cropped/sub03/EP05_2"
REG = "reg_EP05_2-{}.jpg"
LATER = {"onset": 90, "apex": 99, "offset": 110}
TRUSTED = {"onset": 61, "apex": 70, "offset": 78, "apex_source": "annotated"}


def habits(root, imported) -> None:
    said = "\n".join(imported.notes)
    for quirk in ("rows are called", "the apex lasts from", "OnsetF: frame", "OffsetF: frame"):
        assert quirk in said
    files = [path.stem.rpartition("-")[2] for path in root.rglob("*.jpg")]
    assert any(digits.startswith("0") for digits in files)
    assert any(len(digits) == 2 for digits in files)


def section(place: str, subject: str = "sub03"):
    return frames(f"{place}/{subject}/EP05_2", range(61, 79), REG)


# fmt: off
CASME = Promises(
    "casme",
    Twin(4, 16, clip=lambda truth: {"fps": 60.0}, habits=habits),
    "CASME",
    make=[frames(FOLDER, range(61, 79), REG)],
    sheet=Sheet(SHEET, "subject name - onset apex apex_end offset - units emotion", HEADER,
        (3, "EP05_2", "", 61, 70, "", 78, "", 4, "tense"), worksheet="Sheet1", write=write_workbook),
    clip=Clip("casme", "casme/sub03", "EP05_2", "tense", 61, 70, 78, "annotated", "4", 60.0, "sub03/EP05_2"),
    tree="Cropped",
    folder=FOLDER,
    subjects=(3, 3.0, "3", "03", "sub03", "Sub3"),
    midpoint=69,
    apexes=("", "/"),
    together=[
        ({"subject": "x"}, ["subject: 'x' is not a subject"]),
        ({"name": "EP99"}, ["name: no folder for clip 'EP99'"]),
        ({"emotion": "tens"},
            ["emotion: unknown emotion 'tens' (did you mean 'tense'?)",
                "name: clip sub03/EP05_2@61 is in row 2 already"]),
        ({"subject": 5, "name": "EP09_1", "onset": "?"},
            ["subject: no folder for subject sub05", "onset: '?' is not a frame number"]),
        ({"subject": 5, "name": "EP09_2"}, []),  # told once
    ],
    cases=[
        *(
            reads(f"frames {name} in {tree}", gone("Cropped"), frames(f"{tree}/sub03/EP05_2", range(61, 79), name),
                **TRUSTED, notes=["not face crops"] * ("raw" in tree)) for tree,
            name in (("CASME_raw_selected/CASME_raw_selected", "EP05_2-{:03}.jpg"),
                ("CASME_raw_selected/CASME_raw_selected", "EP05_2-{}.jpg"), ("Cropped", "reg_EP05_2-{:03}.jpg"))),
        *(
            reads_all(f"sections in {place}", gone("Cropped"), section(place.format("A")),
                section(place.format("B"), "sub12"), rows({}, {"subject": 12}),
                gives=[{"subject": "casme/sub03", "place": f"{{root}}/{place.format('A')}/sub03/EP05_2"},
                    {"subject": "casme/sub12", "place": f"{{root}}/{place.format('B')}/sub12/EP05_2"}])
            for place in ("Cropped/Section {}", "Section {}", "Section {}/Cropped")),
        refuses("a subject in both sections", gone("Cropped"), section("Section A"), section("Section B"),
            says="are one subject"),
        reads("of a plateau the first frame", cells(apex_end=73), apex=70, apex_source="annotated",
            notes=["{apex_end}: the apex lasts from frame 70 to 73"]),
        *(
            reads_all(f"clips of one name, {['first', 'last'][order]} first", frames(FOLDER, range(90, 111), REG),
                rows(*[{}, LATER][:: -1 if order else 1]),
                gives=[{"name": f"EP05_2@{onset}", "frames": "sub03/EP05_2"}
                    for onset in (61, 90)[:: -1 if order else 1]], notes=["2 rows are called sub03/EP05_2"] * 2)
            for order in (0, 1)),
        reads_all("folders with the second index", moved(FOLDER, f"{FOLDER}_1"),
            frames(f"{FOLDER}_2", range(90, 111), REG), rows(LATER, {}),
            gives=[{"name": "EP05_2@90", "frames": "sub03/EP05_2_2"},
                {"name": "EP05_2@61", "frames": "sub03/EP05_2_1"}], notes=None),
        refuses("one clip twice", rows({}, {}), says="{row[3][name]}: clip sub03/EP05_2@61 is in row 2 already"),
        # The folder is trusted where the sheet disagrees.
        *(reads(f"{column} {frame}", cells(**{column: frame}), **TRUSTED, notes=[f"{{{column}}}: frame {frame}"])
            for column, frame in (("onset", 40), ("onset", 66), ("offset", 98), ("offset", 74), ("offset", 18))),
        reads_all("both ends and the apex",
            rows({"onset": 56, "apex": 58, "offset": 77}, {"name": "EP06_1", "onset": 56, "offset": 90}),
            frames("Cropped/sub03/EP06_1", range(61, 79), REG),
            gives=[{"onset": 61, "apex": 69, "offset": 77, "apex_source": "midpoint"}, TRUSTED], notes=None),
        reads("a folder with more than the clip", frames(FOLDER, [*range(40, 61), *range(79, 100)], REG), onset=61),
        refuses("a folder of other frames", cells(onset=300, apex=310, offset=320),
            says=["the folder has 61 to 78"] * 2),
        refuses("a sheet of another dataset", renamed(ApexF1="Peak"), says="lacks ApexF1"),
    ],
)
