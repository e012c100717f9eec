"""The three forms of HTNet's flow maps, and what is done to them."""

import csv
import shutil
from collections.abc import Callable

import cv2
from contract import Edit, Source
from edits import gone, lines

from mer_data.published.htnet import SAMPLES
from mer_data.synthetic.htnet import APEXES, MAPS, TREE

FLAT, FOLDS, CROPS = (f"datasets/{folder}" for folder in (MAPS, TREE, APEXES))
FIRST, SIXTH = "sub12_EP01_02 .png", "s03_s03_ne_02 .png"  # of the rows 2 and 7
CLIPS = 12


def tree(source: Source) -> None:
    """The tree of folds alone."""
    gone(FLAT, "{sheet}")(source)


def samples(source: Source) -> None:
    """Samples with the names of their files; SAMM's subjects as a spreadsheet writes them, without zeros."""
    (source.root / "png").mkdir()
    with source.path("{sheet}").open(newline="") as sheet, source.path(SAMPLES).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("dataset", "subject", "clip", "label", "file"))
        for row in csv.DictReader(sheet):
            name = f"{row['sub']}_{row['filename_o']}.png"
            source.path(f"{FLAT}/{name.replace('.', ' .')}").rename(source.root / "png" / name)
            writer.writerow((row["dataset"], row["sub"].lstrip("0"), row["filename_o"], row["label"], f"png/{name}"))
    gone("datasets", "{sheet}")(source)


FORMS: dict[str, tuple[Edit, str]] = {
    "flat": (gone(FOLDS), f"{FLAT}/{SIXTH}"),
    "tree": (tree, f"{FOLDS}/s03/u_test/0/{SIXTH}"),
    "samples": (samples, f"png/{SIXTH.replace(' ', '')}"),
}
flat = FORMS["flat"][0]


def with_crops(source: Source) -> None:
    shutil.copytree(source.twin / CROPS, source.root / CROPS)


def unspaced(source: Source) -> None:
    """No file's name has a blank."""
    for path in list(source.root.rglob("* .png")):
        path.rename(path.with_name(path.name.replace(" ", "")))


def swapped(source: Source) -> None:
    """Red and blue are exchanged in every map."""
    for path in source.path(FLAT).iterdir():
        path.write_bytes(bytes(cv2.imencode(".png", cv2.imread(str(path))[:, :, ::-1])[1]))


def in_row(number: int, change: Callable[[str], str]) -> Edit:
    """A row of the sheet is changed; 2 is the first."""
    return lines("{sheet}", lambda rows: [change(row) if n == number else row for n, row in enumerate(rows, 1)])
