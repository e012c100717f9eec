"""SAMM: 159 micro-expressions of 29 subjects at 200 frames per second, grey.

Davison, Lansley, Costen, Tan, Yap, "SAMM: a spontaneous micro-facial movement dataset", IEEE Transactions on Affective
Computing 9(1) 116-129, 2018, doi 10.1109/TAFFC.2016.2573832.

::

    SAMM/SAMM_Micro_FACS_Codes_v2.xlsx        any name; found by its columns, text above them is passed over
    SAMM/SAMM_CROP/006/006_1_2/006_05562.jpg  else SAMM/SAMM; four or five digits, the subject may be missing
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mer_data.datasets.common import COLUMNS, UNITS, find_tree, loose, open_sheet
from mer_data.datasets.reader import ClipReader
from mer_data.imported import ApexRule, Imported

NAME = "samm"
FPS = 200.0
TREES = ("SAMM_CROP", "SAMM")
SHEET = "SAMM_Micro_FACS_Codes_v2.xlsx"
SPELLINGS = "006 or 6"
_SUBJECT = re.compile(r"0*(\d{1,3})(?:\.0*)?")


def read(sources: Sequence[Path], apex: ApexRule = "midpoint") -> Imported:
    """Read SAMM as it is distributed.

    Parameters
    ----------
    sources
        The folder ``SAMM``; or the sheet and a folder of frames, where there are several to choose from.
    apex
        What to do for a clip without an apex, which is -1 in the sheet.

    Returns
    -------
    Clips in the order of the sheet, with a note for every value that was repaired.

    Raises
    ------
    BadInput
        With all that is wrong with the sheet and the frames, row by row.
    """
    sheet, root = open_sheet(sources, COLUMNS, UNITS, SHEET)
    tree = find_tree(root, TREES, read_subject, "006, 007, ...")
    reader = ClipReader(NAME, tree, read_subject, SPELLINGS, FPS, apex)
    if loose(tree.name) == loose("SAMM"):
        reader.report.note(str(tree), "not SAMM_CROP, so probably whole frames; features will contain the background")
    return Imported(reader.read_all(sheet.rows), sheet.path, tree, tuple(reader.report.notes))


def read_subject(text: str) -> str | None:
    """Turn ``006``, ``6`` or ``6.0`` into the canonical ``006``; None if it is none of these."""
    match = _SUBJECT.fullmatch(text)
    return f"{int(match.group(1)):03}" if match else None
