"""Sheets and frames made by hand, for tests of importers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import xlsxwriter


def write_sheet(path: Path, header: Sequence[str], *rows: Sequence[object]) -> None:
    workbook = xlsxwriter.Workbook(path)
    sheet = workbook.add_worksheet()
    for number, cells in enumerate([header, *rows]):
        sheet.write_row(number, 0, cells)
    workbook.close()


def write_frames(folder: Path, names: Iterable[str]) -> Path:
    """Images of 6x8 pixels, all of one suffix and one file of many names: writing them one by one takes long."""
    folder.mkdir(parents=True, exist_ok=True)
    first, *others = [folder / name for name in names] or [None]
    if first:
        first.write_bytes(cv2.imencode(first.suffix, np.zeros((8, 6), np.uint8))[1].tobytes())
    for path in others:
        path.hardlink_to(first)
    return folder
