"""How long a micro-expression may last by its dataset's own definition, and so where its apex may lie.

``definitions.csv`` holds a row for each dataset whose owners tell both: an interval longer than ``interval_ms`` is a
micro-expression only if its onset phase, from onset to apex, is at most ``apex_ms``.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib import resources


def last_apex(dataset: str, fps: float, onset: int, offset: int) -> int | None:
    """The last frame that may be the apex; None if the interval is not too long, or nothing is known."""
    if dataset not in _definitions():
        return None
    interval_ms, apex_ms = _definitions()[dataset]
    if (offset - onset) * 1000 <= interval_ms * fps:
        return None
    return min(offset, onset + max(1, int(apex_ms * fps / 1000)))


@cache
def _definitions() -> Mapping[str, tuple[float, float]]:
    text = (resources.files("mer_data.datasets") / "definitions.csv").read_text(encoding="utf-8")
    return {
        row["dataset"]: (float(row["interval_ms"]), float(row["apex_ms"])) for row in csv.DictReader(text.splitlines())
    }
