"""CASME II: 255 clips of 26 subjects at 200 frames per second.

Yan et al., "CASME II: an improved spontaneous micro-expression database and the baseline evaluation",
PLoS ONE 9(1) e86041, 2014, doi 10.1371/journal.pone.0086041.

::

    CASME2/CASME2-coding-20140508.xlsx           any name; found by its columns
    CASME2/Cropped/sub01/EP02_01f/reg_img46.jpg  else CASME2_RAW_selected, else CASME2-RAW
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mer_data.datasets.common import find_sheet, find_tree, loose, sheet_and_root
from mer_data.datasets.reader import ClipReader
from mer_data.imported import ApexRule, Imported
from mer_data.problems import raise_all
from mer_data.sheets import read_sheet

NAME = "casme2"
FPS = 200.0
TREES = ("Cropped", "CASME2_RAW_selected", "CASME2-RAW")
REQUIRED = {
    "subject": ("Subject",),
    "name": ("Filename",),
    "onset": ("OnsetFrame", "Onset"),
    "apex": ("ApexFrame", "Apex"),
    "offset": ("OffsetFrame", "Offset"),
    "emotion": ("Estimated Emotion", "Emotion"),
}
OPTIONAL = {"action_units": ("Action Units", "AU", "AUs")}
_SUBJECT = re.compile(r"(?:sub)?0*(\d{1,9})(?:\.0*)?", re.IGNORECASE)


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
    named_sheet, root = sheet_and_root(sources)
    if named_sheet:
        sheet = read_sheet(named_sheet, REQUIRED, OPTIONAL)
    else:
        sheet = find_sheet(root, REQUIRED, OPTIONAL, "CASME2-coding-20140508.xlsx")
    tree = find_tree(root, TREES, read_subject, "sub01, sub02, ...")
    reader = ClipReader(NAME, tree, read_subject, "01, 1 or sub01", FPS, apex)
    if loose(tree.name).startswith("casme2raw"):
        reader.report.note(str(tree), "whole frames, not face crops; features will contain the background")
    clips = [reader.read(row) for row in sheet.rows]
    raise_all(reader.report.problems)
    found = tuple(clip for clip in clips if clip)
    return Imported(found, sheet.path, tree, tuple(reader.report.notes))


def read_subject(text: str) -> str | None:
    """Turn ``01``, ``1``, ``1.0`` or ``sub01`` into the canonical ``sub01``; None if it is none of these."""
    match = _SUBJECT.fullmatch(text)
    return f"sub{int(match.group(1)):02}" if match else None
