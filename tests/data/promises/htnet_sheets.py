"""HTNet's sheets and samples: what is said of wrong rows, wrong maps and wrong links."""

from pathlib import Path

import cv2
import numpy as np
from contract import Case, Edit
from edits import appended, changed, copied, given, gone, lines, linked, made, moved, refuses, written

from mer_data.published.htnet import SAMPLES
from mer_data.synthetic.htnet import HEADER, MAPS, SHEET, TREE
from promises.htnet_forms import CLIPS, FIRST, FLAT, FORMS, SIXTH, flat, in_row, samples

ROW = "casme2,sub12,EP01_02,0,,sub12_EP01_02.jpg,"


def png(*shape: int, dtype: type = np.uint8) -> bytes:
    return bytes(cv2.imencode(".png", np.full(shape, 7, dtype))[1])


PNG = bytes(cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (28, 28, 3), np.uint8))[1])
BROKEN = {
    "empty": (b"", "not a whole PNG"),
    "not a PNG": (b"\xff\xd8\xff\xe0 JFIF", "not a whole PNG"),
    "cut in its header": (PNG[:20], "not a whole PNG"),
    "cut in its data": (PNG[: len(PNG) // 2], "not a whole PNG"),
    "cut at its end": (PNG[:-4], "not a whole PNG"),
    "damaged inside": (PNG[:60] + b"\0" * 400 + PNG[460:], "not a readable image"),
    "another size": (png(28, 14, 3), "14x28, 8 bit, RGB"),
    "grey": (png(28, 28), "8 bit, grey"),
    "16 bit": (png(28, 28, 3, dtype=np.uint16), "16 bit, RGB"),
    "with alpha": (png(28, 28, 4), "RGB with alpha"),
}
NO_TABLE = {
    "empty": (b"", "empty file"),
    "blank": (b"\n,,,\n", "no rows"),
    "a header": (",".join(HEADER).encode() + b"\n", "no rows"),
    "a quote": (b'a,b\n"1,2\n', "row 2"),
    "NUL": (b"dataset,sub,filename_o,label\ncasme2,sub01,EP\0,1\n", "NUL"),
    "no text": (b"PK\x03\x04\xff\xfe", ""),
}
CELLS = {
    "a label of 3": ("label", "3", "'3' is not a label"),
    "a label of -1": ("label", "-1", "'-1' is not a label"),
    "a word": ("label", "negative", "0 (negative), 1 (positive), 2 (surprise)"),
    "no label": ("label", "", "'' is not a label"),
    "a dataset near one": ("dataset", "casme", "did you mean 'casme2'?"),
    "a dataset far from all": ("dataset", "xyz", "known: casme2, samm, smic"),
    "the dataset of another subject": ("dataset", "smic", "spelled as in casme2"),
    "a subject": ("sub", "subject 1", "'subject 1' is not a subject"),
    "a way out": ("filename_o", "../EP02_01f", "is not a clip's name"),
    "no clip": ("filename_o", "", "'' is not a clip's name"),
}
NO_CLIPS = ("figure.png", "x01_EP02_01f.png", "sub01_.png", "sub01_\udcff.png")


def in_cell(column: str, value: str) -> Edit:
    cells = [value if name == column else cell for name, cell in zip(HEADER, ROW.split(","), strict=True)]
    return changed("{sheet}", (ROW, ",".join(cells)))


CASES: list[Case] = [
    # What is wrong with a sheet.
    *(
        refuses(f"sources {number}", made("{outside}/e"), given(*sources), says=[(SHEET, TREE, SAMPLES)])
        for number, sources in enumerate(((), ("{outside}/e",), ("{outside}", "{outside}")))
    ),
    refuses(
        "maps without their sheet",
        flat,
        moved("{sheet}", "{outside}/x.csv"),
        given(FLAT),
        says="without their labels",
    ),
    refuses(
        "a sheet without its maps",
        moved("{sheet}", f"{{outside}}/{SHEET}"),
        given(f"{{outside}}/{SHEET}"),
        says=[(SHEET, MAPS)],
    ),
    *(
        refuses(f"no table: {name}", flat, written("{sheet}", data), says=[("{sheet}", said)])
        for name, (data, said) in NO_TABLE.items()
    ),
    refuses(
        "missing and doubled columns",
        flat,
        in_row(1, lambda row: row.replace("filename_o", "filename", 1).replace("label", "dataset", 1)),
        says=[
            "row 1, which lacks filename_o or clip, label; did you mean 'filename'?",
            "{sheet}, row 1: more than one column is called dataset",
        ],
    ),
    refuses(
        "samples without files",
        samples,
        changed(SAMPLES, (",file", ",path")),
        given(SAMPLES),
        says="no column 'file'",
    ),
    # Where the row still tells which clip it means, its PNG is not reported as one without a row.
    *(
        refuses(
            f"in a cell: {name}",
            flat,
            in_cell(column, value),
            says=[("{sheet}, row 2", said), *["has no row"] * (column in ("sub", "filename_o"))],
        )
        for name, (column, value, said) in CELLS.items()
    ),
    refuses(
        "rows are counted as an editor counts them",
        flat,
        in_row(4, lambda row: row.replace(",1,", ",9,")),
        lines("{sheet}", lambda rows: [*rows[:2], ",,,", "", *rows[2:]]),
        says="{sheet}, row 6",
    ),
    refuses(
        "too many cells",
        flat,
        in_row(2, lambda row: f"{row},1"),
        says="{sheet}, row 2: has 8 cells, the header has 7",
    ),
    refuses(
        "a row without a PNG and a PNG without a row",
        flat,
        gone(f"{FLAT}/sub17_EP01_13 .png"),
        lines("{sheet}", lambda rows: [rows[0], *rows[2:]]),
        says=[("{sheet}, row 4", "sub17_EP01_13"), f"{FIRST!r} (clip casme2/sub12/EP01_02) has no row"],
    ),
    refuses(
        "a subject without rows",
        flat,
        lines("{sheet}", lambda rows: [row for row in rows if not row.startswith("smic,s03")]),
        says=[("smic/s03/", "has no row")] * 2,
    ),
    refuses(
        "a clip that is listed twice",  # the same person, written without zeros
        flat,
        appended("{sheet}", "samm,6,006_1_2,0,,,"),
        says=[(f"{{sheet}}, row {CLIPS + 2}", "samm/006/006_1_2 is in row 8 too")],
    ),
    *(
        refuses(
            f"two names of one clip in the form {name}",
            form,
            copied(path, path.replace(" ", "")),
            says=[(str(Path(path).parent), repr(Path(path).name))],
        )
        for name, (form, path) in FORMS.items()
        if name != "samples"
    ),
    *(
        refuses(
            f"a name {file!r} in the form {name}",
            form,
            written(f"{Path(path).parent}/{file}", PNG),
            says=f"{{root}}/{Path(path).parent}: {file!r} names no clip",
        )
        for name, (form, path) in FORMS.items()
        if name != "samples"
        for file in NO_CLIPS
    ),
    *(
        refuses(
            f"a PNG in the form {name}: {kind}",
            form,
            written(path, data),
            says=[(path, said, "row 7" if name == "flat" else "")],
        )
        for name, (form, path) in FORMS.items()
        for kind, (data, said) in BROKEN.items()
    ),
    refuses(
        "several together",
        flat,
        in_row(2, lambda row: row.replace(",0,", ",7,")),
        in_row(3, lambda row: row.replace("casme2", "casme")),
        written(f"{FLAT}/s03_s03_ne_01 .png", b""),
        gone(f"{FLAT}/{SIXTH}"),
        says=["'7'", "'casme'", "no PNG", "PNG"],
    ),
    *(
        refuses(
            f"a path that leaves the folder, {how}",
            samples,
            moved("png/sub12_EP01_02.png", "{outside}/x.png"),
            changed(SAMPLES, ("png/sub12_EP01_02.png", path)),
            says=[("{samples}, row 2", "leads out of")],
        )
        for how, path in (("by dots", "../outside/x.png"), ("absolute", "{outside}/x.png"))
    ),
    refuses(
        "a link for a sample", samples, linked("png/sub12_EP01_02.png"), says=[("{samples}, row 2", "leads out of")]
    ),
    *(
        refuses(f"a link in the form {name}", form, linked(path), says="leads out of")
        for name, (form, path) in FORMS.items()
        if name != "samples"
    ),
    *(
        refuses(
            f"a link to itself in the form {name}",
            form,
            gone(path),
            lambda source, path=path: source.path(path).symlink_to(source.path(path)),
            says=Path(path).name,
        )
        for name, (form, path) in FORMS.items()
        if name != "samples"
    ),
    refuses(
        "a file of two rows",
        samples,
        changed(SAMPLES, ("png/sub12_EP01_02.png", "png/sub12_EP02_05.png")),
        says=[
            ("{samples}, row 3", "is also the file of", "row 2"),
            ("sub12_EP01_02.png", "has no row"),
        ],
    ),
    refuses(
        "no file and a file that is not there",
        samples,
        changed(SAMPLES, ("png/sub12_EP01_02.png", ""), ("png/sub12_EP02_05.png", "png/none.png")),
        says=["{samples}, row 2, column file", ("{samples}, row 3", "no PNG 'png/none.png'"), ...],
    ),
    # A map under another subject's name would be trained on while that subject is held out.
    refuses(
        "files of other subjects",
        samples,
        changed(
            SAMPLES,
            ("png/sub12_EP01_02.png", "x"),
            ("png/sub17_EP01_06.png", "png/sub12_EP01_02.png"),
            (",x", ",png/sub17_EP01_06.png"),
        ),
        says=["is named after casme2/sub17, the row says casme2/sub12", "is named after casme2/sub12"],
    ),
    refuses(
        "a bad row of samples does not blame its PNG",
        samples,
        changed(SAMPLES, ("casme2,", "casme,"), first=True),
        says="{samples}, row 2",
    ),
]
