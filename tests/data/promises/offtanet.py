"""Off-TANet's data folder: clips as our own importers name them, and what is said of wrong ones."""

import csv
from pathlib import Path

from contract import Promises, Rows, Sheet, Twin
from edits import cells, frames, gone, linked, moved, reads, reads_all, refuses, renamed, rows

from mer_data.frames import frame_number
from mer_data.schema import Clip
from mer_data.synthetic.offtanet import HEADER, SHEET

CASME2 = {"dataset": "casme2", "subject": "sub01", "name": "EP02_01f", "onset": 46, "apex": 59}
CASME_SQ = {"dataset": "casme^2", "subject": 16, "name": "disgust1_3", "onset": 552, "apex": 557, "class": "surprise"}
FOLDERS = ("casme1_cropped/sub01/EP01_5", "casme2_cropped/sub01/EP02_01f", "casme^2_cropped/16/disgust1_3")
FRAMES = ("reg_EP01_5-{}.jpg", "reg_img{}.jpg", "img{}.jpg")
LINKS = {"tree": "casme2_cropped", "clip": FOLDERS[1], "frame": f"{FOLDERS[1]}/reg_img59.jpg"}
FPS = {"casme": 60, "casme2": 200, "casme_sq": 30}


def write(path: Path, rows: Rows) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def habits(root, imported) -> None:
    assert {clip.dataset for clip in imported.clips} == {"casme", "casme2", "casme_sq"}
    folders = {"casme1_cropped", "casme2_cropped", "casme^2_cropped"}
    assert {path.name for path in root.iterdir() if path.is_dir()} == folders
    assert all(path.name.isdigit() for path in (root / "casme^2_cropped").iterdir())
    names = [path.name for path in root.rglob("*.jpg")]
    assert not any(f"-0{frame_number(name)}" in name or f"g0{frame_number(name)}" in name for name in names)
    assert b"\r" not in (root / SHEET).read_bytes()
    assert (root / SHEET).read_text().splitlines()[0] == "Dataset,Subject,Sample,Onset,Apex,Class"


OFFTANET = Promises(
    "offtanet",
    Twin(
        6,
        14,
        {"seed": 2},
        clip=lambda truth: {"offset": None, "apex_source": "annotated", "fps": FPS[truth.dataset]},
        habits=habits,
    ),
    make=[frames(*each) for each in zip(FOLDERS, ((98, 101), (46, 59), (552, 557)), FRAMES, strict=True)],
    sheet=Sheet(
        SHEET,
        "dataset subject name onset apex class",
        HEADER,
        ("casme1", "sub01", "EP01_5", 98, 101, "positive"),
        write=write,
    ),
    clip=Clip("casme", "casme/sub01", "EP01_5", "positive", 98, 101, None, "annotated", None, 60, FOLDERS[0]),
    folder=FOLDERS[0],
    usual=["1 clips; the published list casmes has 294"],
    remedies=True,
    said={
        "rows of text below the table": None,  # a list, not a sheet that people write into
        **{f"a broken sheet, {name}": "{sheet}: no row has the columns" for name in ("a page", "cut")},
        "no frames": "{name}: no folder for clip 'EP01_5'",
        "no frames of a clip": f"{{sheet}}, row 2: {{root}}/{FOLDERS[0]}: no frame 98",
        "a link out of the tree": f"{{sheet}}, row 2: {{root}}: {FOLDERS[0]!r} leads out of this folder",
    },
    before=[gone(f"{FOLDERS[1]}/reg_img46.jpg")],
    together=[
        (CASME2, [f"{{sheet}}, row 3: {{root}}/{FOLDERS[1]}: no frame 46 (it has 59 to 59)"]),
        ({"name": "EP99"}, ["name: no folder for clip 'EP99'"]),
        (CASME_SQ, []),
        ({"dataset": "casme3"}, ["dataset: unknown dataset 'casme3' (did you mean"]),
        ({"subject": "nobody"}, ["subject: 'nobody' is not a subject of casme1"]),
        ({"subject": "sub77"}, ["subject: no folder for subject 'sub77'"]),
        (CASME_SQ, ["name: clip casme^2/s16/disgust1_3 is in row 5 already"]),
        (CASME_SQ | {"name": "../16/disgust1_3"}, ["name: no folder for clip '../16/disgust1_3'"]),
        (
            CASME_SQ | {"onset": "", "apex": "x", "class": "sad"},
            [
                "class: 'sad' is not a class",
                "onset: '' is not a frame number",
                "apex: 'x' is not a frame number",
                "name: clip casme^2/s16/disgust1_3 is in row 5 already",
            ],
        ),
    ],
    cases=[
        # Subjects are called as by the importers of the three datasets.
        reads_all(
            "three datasets",
            rows({}, CASME2, CASME_SQ),
            gives=[{"subject": subject} for subject in ("casme/sub01", "casme2/sub01", "casme_sq/s16")],
            notes=["3 clips; the published list casmes has 294"],
        ),
        reads(
            "padded numbers and other suffixes",
            moved(f"{FOLDERS[0]}/reg_EP01_5-98.jpg", f"{FOLDERS[0]}/reg_EP01_5-098.png"),
            onset=98,
        ),
        reads_all(
            "clips and classes unlike the published list",
            moved(FOLDERS[0], "casme1_cropped/sub01/EP99"),
            rows({"name": "EP99"}, CASME2 | {"class": "negative"}),
            gives=[{"id": "casme/sub01/EP99"}, {"emotion": "negative"}],
            notes=["2 clips; ", "casme/sub01/EP99", "casme2/sub01/EP02_01f is negative, there positive"],
        ),
        *(
            refuses(
                f"an apex at {apex}", cells(onset=101, apex=apex), says=f"{{apex}}: apex {apex} is not after onset 101"
            )
            for apex in (101, 98)
        ),
        refuses(
            "a tree that is missing is told once",
            moved("casme^2_cropped", "casme2_cropped_too"),  # the caret did not survive
            rows({}, CASME_SQ, CASME_SQ | {"name": "happy1_1"}),
            says="{root}/casme^2_cropped: no such folder of frames",
        ),
        *(
            # Of a tree it is told once, not row by row.
            refuses(
                f"a link for a {what}",
                rows({}, CASME2),
                linked(path),
                says=[("leads out of this folder", "{root}: " if what == "tree" else "{sheet}, row 3: ")],
            )
            for what, path in LINKS.items()
        ),
        refuses("another header", renamed(Apex="Peak"), says="columns Dataset, Subject, Sample, Onset, Apex, Class"),
    ],
)
