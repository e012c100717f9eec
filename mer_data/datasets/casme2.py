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
from mer_data.datasets.common import COLUMNS, UNITS, find_tree, loose, open_sheet
from mer_data.datasets.reader import ClipReader
from mer_data.imported import ApexRule, Imported

__all__ = ("FPS", "NAME", "SHEET", "TREES", "read", "read_subject")

NAME = "casme2"
FPS = 200.0
SHEET = "CASME2-coding-20140508.xlsx"
TREES = ("Cropped", "CASME2_RAW_selected", "CASME2-RAW")


def read(sources: Sequence[Path], apex: ApexRule = "midpoint") -> Imported:
    """Read CASME II as it is distributed.

    Parameters
    ----------
    sources
        The folder ``CASME2``; or the sheet and a folder of frames, where there are several to choose from.
    apex
        What to do for a clip without an apex.

    Returns
    -------
    Clips in the order of the sheet, with a note for every value that was repaired.

    Raises
    ------
    BadInput
        With all that is wrong with the sheet and the frames, row by row.
    """
    sheet, root = open_sheet(sources, COLUMNS, UNITS, SHEET)
    tree = find_tree(root, TREES, read_subject, "sub01, sub02, ...")
    reader = ClipReader(NAME, tree, read_subject, "01, 1 or sub01", FPS, apex)
    if loose(tree.name).startswith("casme2raw"):
        reader.report.whole_frames(tree)
    return Imported(reader.read_all(sheet.rows), sheet.path, tree, tuple(reader.report.notes))
