"""ATN's list, points, crops and MATLAB files, and what is said of wrong ones."""

import io
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import scipy.sparse
from contract import Promises, Twin
from edits import (
    appended,
    changed,
    copied,
    given,
    gone,
    lines,
    linked,
    made,
    moved,
    reads_all,
    reads_same,
    refuses,
    written,
)
from scipy.io import savemat

from mer_data.composites import published
from mer_data.synthetic import read_truth
from mer_data.synthetic.atn import crop_name, key

LIST, POINTS, CROPS = "Data/Apex_Cropped_images.txt", "Data/OpticalFlowFeatureData.txt", "Data/Apex_Cropped_images"
LBP, HOOF = "Data/LBP_TOP_333_TIM10_8", "Data/HOOF_TIM64_4"
SIZES = {
    **{f"lbp_top_atn_tim{length}_p{count}": (3, 59) for length in (10, 64) for count in (4, 8)},
    **{f"hoof_atn_tim{length}_k{bins}": (bins, cols) for length, cols in ((10, 9), (64, 64)) for bins in (4, 8)},
}
HISTOGRAM = np.full((3, 59), 1 / 59)
V73 = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + b"\x89HDF\r\n\x1a\n"
DOUBLE, FUNCTION, OPAQUE = (struct.pack("<4I", 6, 8, number, 0) for number in (6, 16, 17))
OBJECTS = np.array([[1, "x"]], object)
UNSEEN = sorted({"apex_gray_224", "atn_points", *SIZES} - {"lbp_top_atn_tim10_p8"})
NOT_ATN = "Apex_Cropped_images"


def mat(*, do_compression: bool = False, **variables: object) -> bytes:
    buffer = io.BytesIO()
    savemat(buffer, variables, do_compression=do_compression)
    return buffer.getvalue()


def names(root: Path) -> Mapping[str, object]:
    """The first clip of each dataset, its crop, and the files of two folders."""
    truths = read_truth(root).values()
    first = {dataset: next(t for t in truths if t.dataset == dataset) for dataset in ("casme2", "smic", "samm")}
    crops = {dataset: crop_name(truth) for dataset, truth in first.items()}
    keys = {dataset: key(truth) for dataset, truth in first.items()}
    return {"clip": first, "crop": crops, "key": keys} | {
        name: sorted((root / folder).iterdir()) for name, folder in (("lbp", LBP), ("hoof", HOOF))
    }


def habits(root, imported) -> None:
    assert {clip.id for clip in imported.clips} <= set(published("megc2019"))
    assert {one.spec.name: one.spec.shape for one in imported.features} == {
        "apex_gray_224": (1, 224, 224), "atn_points": (64, 128), **SIZES,
    }  # fmt: skip
    assert any("442" in note for note in imported.notes)


def in_line(number: int, **changes: object):
    """A line of the list is changed."""
    return lines(LIST, lambda lines: [changes["to"](line) if n == number else line for n, line in enumerate(lines)])


def block(start: str):
    """In the tenth line the first number is another."""
    return lambda lines: [*lines[:9], f"{start} " + lines[9].strip().partition(" ")[2], *lines[10:]]


LINES = {
    "a label of 3": (lambda line: line[:-1] + "3", "is not a file and a label"),
    "no label": (lambda line: line[:-2], "is not a file and a label"),
    "a subject of another dataset": (lambda line: line.replace("casme2-sub", "casme2-s"), "names no clip and frame"),
    "another file": (lambda line: line.replace("img", "frame."), "no image"),
    "a way out": (lambda line: "../" + line, "leads out of"),
    "another way out": (lambda line: "..\\..\\" + line, "leads out of"),
    "a whole path": (lambda line: "/etc/" + line, "leads out of"),
    "another folder": (lambda line: "other/" + line, "names no clip and frame"),
    "a long number": (lambda line: line.replace("img", "img" + "9" * 5000), "names no clip and frame"),
    "NUL": (lambda line: line.replace("img", "\0img"), "no image"),
}
BLOCKS = {
    "a line less": (lambda rows: [*rows[:9], *rows[10:]], "line 1: '{key[casme2]}' is followed by 63 lines"),
    "a number less": (
        lambda rows: [*rows[:9], rows[9].rpartition(" ")[0], *rows[10:]],
        "line 10: has 127 numbers, not 128",
    ),
    "a letter": (lambda rows: [*rows[:9], rows[9] + "x", *rows[10:]], "line 10: "),
    "nan": (block("nan"), "number 1 is nan"),
    "a number too large": (block("1e39"), "number 1 is 1e39"),
    "an underscore": (block("1_0"), "is not a number"),
    "nobody": (lambda rows: ["nobody", *rows[1:]], "line 1: 'nobody' is not a clip's key"),
    "a way out": (lambda rows: ["Data/../x", *rows[1:]], "line 1: 'Data/../x' is not a clip's key"),
    "no key": (lambda rows: rows[1:], "numbers before the first key"),
    "twice": (lambda rows: [*rows[:65], *rows[:65], *rows[65:]], "has a block at line 1 too"),
    "a clip less": (lambda rows: rows[65:], "atn_points is missing for 1 of 6 clips: casme2/"),
    "a clip more": (
        lambda rows: ["casme2-sub01-EP99", *rows[1:65], *rows],
        "clips without a label: casme2/sub01/EP99",
    ),
    "nothing": (lambda rows: [""], "has no lines"),
}
MATRICES = [
    ("is damaged", mat(Histogram=HISTOGRAM)[:300]),
    ("is damaged", mat(Histogram=HISTOGRAM)[:130]),
    ("is not a MATLAB file of version 5", b""),
    ("is not a MATLAB file of version 5", b"not a mat file at all" * 20),
    ("-v7", V73),
    ("holds cell Histogram 1x2", mat(Histogram=OBJECTS)),
    ("holds struct Histogram", mat(Histogram={"a": 1})),
    ("holds char Histogram", mat(Histogram="text")),
    ("holds logical Histogram 3x59", mat(Histogram=HISTOGRAM > 0)),
    ("holds complex Histogram 3x59", mat(Histogram=HISTOGRAM * 1j)),
    ("not finite", mat(Histogram=HISTOGRAM * np.nan)),
    ("holds double Histogram 2x59", mat(Histogram=HISTOGRAM[:2])),
    ("holds sparse Histogram 3x59", mat(Histogram=scipy.sparse.csc_matrix(HISTOGRAM))),
    ("holds a MATLAB function, f", mat(f=HISTOGRAM, Histogram=HISTOGRAM).replace(DOUBLE, FUNCTION, 1)),
    ("holds a MATLAB opaque", mat(f=HISTOGRAM, Histogram=HISTOGRAM).replace(DOUBLE, OPAQUE, 1)),
    ("holds double Other 3x59", mat(Other=HISTOGRAM)),
    ("most of its folder Histogram 3x59", mat(HOOF=np.full((4, 9), 0.25))),
    ("far too large", mat(Histogram=np.ones((400, 400)))),
    ("cut off or too large", mat(do_compression=True, Histogram=np.zeros((3000, 3000)))),  # it would fill the memory
]

ATN = Promises(
    "atn",
    Twin(
        3,
        6,
        {"seed": 4, "size": (48, 56), "length": (10, 50)},
        clip=lambda truth: {
            "onset": None,
            "offset": None,
            "action_units": None,
            "apex_source": "midpoint" if truth.dataset == "smic" else "annotated",
        },
        channels=0,
        habits=habits,
    ),
    "ATN",
    names=names,
    usual=["the published list megc2019 has 442"],
    cases=[
        *(
            reads_same(
                f"line ends, blanks and prefixes, given {source}",
                changed(
                    LIST, ("\r\n", "\n\n"), ("casme2-", f"{CROPS}/casme2-"), (f"{CROPS}/", "Data/Apex_Cropped_images\\")
                ),
                lines(LIST, lambda lines: ["\ufeff" + lines[0], *lines[1:]]),
                changed(POINTS, ("\r\n", "\n"), ("\n ", "\n"), ("samm-11-", "Data\\samm\\11\\")),
                given(source),
            )
            for source in ("{root}", "Data")
        ),
        reads_all(
            "the crops alone",
            gone(
                POINTS,
                *(
                    f"Data/{kind}_TIM{length}_{count}"
                    for kind in ("LBP_TOP_333", "HOOF")
                    for length in (10, 64)
                    for count in (4, 8)
                ),
            ),
            gives=[{"features": ["apex_gray_224"]}] * 6,
            notes=None,
        ),
        reads_all(
            "folders of features anywhere, and others left out",
            moved(LBP, "tim10"),
            moved(HOOF, "whatever"),
            written("caffe/mean.mat", mat(mean=np.ones((3, 3)))),
            gives=[{"features": sorted({"apex_gray_224", "atn_points", *SIZES})}] * 6,
            notes=["no .mat file is named after a clip"],
        ),
        reads_all(
            "a class unlike the published list",
            changed(LIST, ("{crop[samm]} 0", "{crop[samm]} 1")),
            gives=[{}] * 6,
            notes=[("another class", "{clip[samm].id}")],
        ),
        reads_all(
            "histograms that do not sum to one",
            written("{hoof[0]}", mat(HOOF=np.ones((4, 64)))),
            gives=[{}] * 6,
            notes=["do not sum to 1"],
        ),
        *(
            refuses(f"sources {number}", made("{outside}/empty"), given(*sources), says=NOT_ATN)
            for number, sources in enumerate(((), ("{outside}/empty",), ("{root}", "{root}"), (LIST,)))
        ),
        refuses(
            "a damaged crop and a link for one",
            lambda source: source.path(f"{CROPS}/{{crop[smic]}}").write_bytes(b"BM" * 10),
            linked(f"{CROPS}/{{crop[samm]}}"),
            says=[
                ("link that leads out", "{crop[samm]}"),
                "no image '{crop[samm]}'",
                ("is not a readable image", "{crop[smic]}"),
            ],
        ),
        *(refuses(f"a link for {path}", linked(path), says=["leads out of", ...]) for path in (POINTS, CROPS, LIST)),
        # Found by looking round, so it is simply not seen.
        reads_all("a link for a folder of features", linked(LBP), gives=[{"features": UNSEEN}] * 6, notes=None),
        refuses(
            "all that is wrong together",
            lines(LIST, lambda lines: [lines[0].rstrip()[:-1] + "7", *lines[1:]]),
            written(f"{CROPS}/{{crop[smic]}}", b"no image"),
            lines(POINTS, lambda lines: [*lines[:2], "1 2 3", "nan " * 128, *lines[4:]]),
            lambda source: source.path("{hoof[0]}").write_bytes(source.path("{hoof[0]}").read_bytes()[:150]),
            written("{hoof[1]}", V73),
            says=[
                "line 1: ",
                "not a readable image",
                "line 3: has 3 numbers",
                "line 4: number 1 is nan",
                "is damaged",
                "7.3",
            ],
        ),
        *(
            refuses(f"in a line of the list {name}", in_line(0, to=change), says=[("line 1:", said), ...])
            for name, (change, said) in LINES.items()
        ),
        refuses(
            "a clip twice in the list and a crop that is not in it",
            lambda source: appended(LIST, source.path(LIST).read_text().splitlines()[0].replace("img", "image"))(
                source
            ),
            written(f"{CROPS}/casme2-sub99-EP01-img1.jpg", b""),
            says=["line 1 too", "has no line"],
        ),
        *(
            refuses(f"in a block of points {name}", lines(POINTS, change), says=[(f"{{root}}/{POINTS}", said), ...])
            for name, (change, said) in BLOCKS.items()
        ),
        refuses("points that are no text", written(POINTS, b"PK\xff\xfe\x00"), says="save it as plain text"),
        *(
            refuses(f"MATLAB file {number}: {said}", written("{lbp[0]}", data), says=[("{lbp[0]}", said)])
            for number, (said, data) in enumerate(MATRICES)
        ),
        refuses(
            "folders of features that are not whole or twice",
            moved(f"{HOOF}/{{key[casme2]}}.mat", f"{HOOF}/stray.mat"),
            copied(LBP, "copy_10"),
            moved("Data/LBP_TOP_333_TIM64_4", "Data/lbp"),
            says=[
                "'stray.mat' names no clip",
                "hoof_atn_tim64_k4 is missing for 1 of 6 clips",
                "10 or of 64 frames",
                ("and so does", "copy_10"),
            ],
        ),
    ],
)
