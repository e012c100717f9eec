"""SAMM: 159 micro-expressions of 29 subjects at 200 frames per second, grey.

Davison, Lansley, Costen, Tan, Yap, "SAMM: a spontaneous micro-facial movement dataset", IEEE Transactions on Affective
Computing 9(1) 116-129, 2018, doi 10.1109/TAFFC.2016.2573832.

::

    SAMM/SAMM_Micro_FACS_Codes_v2.xlsx        any name; found by its columns, text above them is passed over
    SAMM/SAMM_CROP/006/006_1_2/006_05562.jpg  else SAMM/SAMM; four or five digits, the subject may be missing

A clip without an apex may have -1 in the sheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mer_data.datasets.common import COLUMNS, UNITS, WHOLE_FRAMES, find_tree, loose, subject_reader
from mer_data.datasets.reader import ClipReader, SheetImporter
from mer_data.imported import ApexRule
from mer_data.sheets import Row

NAME = "samm"
FPS = 200.0
TREES = ("SAMM_CROP", "SAMM")
SHEET = "SAMM_Micro_FACS_Codes_v2.xlsx"
SPELLINGS = "006 or 6"
read_subject = subject_reader(r"0*(\d{1,3})(?:\.0*)?", "{:03}")  # 006 may also be written 6 or 6.0


def _reader(root: Path, rows: Sequence[Row], apex: ApexRule) -> ClipReader:
    tree = find_tree(root, TREES, read_subject, "006, 007, ...")
    reader = ClipReader(NAME, tree, read_subject, SPELLINGS, FPS, apex)
    if loose(tree.name) == loose("SAMM"):
        reader.report.raw = True
        reader.report.note(str(tree), f"not SAMM_CROP, so probably {WHOLE_FRAMES}")
    return reader


read = SheetImporter(SHEET, _reader, COLUMNS, UNITS)
