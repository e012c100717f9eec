"""CASME II: 255 clips of 26 subjects at 200 frames per second.

Yan et al., "CASME II: an improved spontaneous micro-expression database and the baseline evaluation",
PLoS ONE 9(1) e86041, 2014, doi 10.1371/journal.pone.0086041.

::

    CASME2/CASME2-coding-20140508.xlsx           any name; found by its columns
    CASME2/Cropped/sub01/EP02_01f/reg_img46.jpg  else CASME2_RAW_selected, else CASME2-RAW
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mer_data.datasets.casme import read_subject
from mer_data.datasets.common import COLUMNS, UNITS, find_tree, loose
from mer_data.datasets.reader import ClipReader, SheetImporter
from mer_data.imported import ApexRule
from mer_data.sheets import Row

__all__ = ("FPS", "NAME", "SHEET", "TREES", "read", "read_subject")

NAME = "casme2"
FPS = 200.0
SHEET = "CASME2-coding-20140508.xlsx"
TREES = ("Cropped", "CASME2_RAW_selected", "CASME2-RAW")


def _reader(root: Path, rows: Sequence[Row], apex: ApexRule) -> ClipReader:
    tree = find_tree(root, TREES, read_subject, "sub01, sub02, ...")
    reader = ClipReader(NAME, tree, read_subject, "01, 1 or sub01", FPS, apex)
    if loose(tree.name).startswith("casme2raw"):
        reader.report.whole_frames(tree)
    return reader


read = SheetImporter(SHEET, _reader, COLUMNS, UNITS)
