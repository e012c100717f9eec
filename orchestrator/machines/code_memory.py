"""What follows from the code alone, worked out once and remembered: importing PyTorch takes every command a second."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mer_data import seal
from mer_data.files import sealed_bytes, write_sealed
from mer_data.problems import BadInput
from orchestrator.machines.code_version import what_runs


def remembered(name: str, work_out: Callable[[], Any]) -> Any:
    """What `work_out` gave to this code with these libraries, or gives now; as it is after a way through JSON.

    It lies in ``NAME.json`` under ``MER_CACHE``, else ``~/.cache/mer``, with a checksum. A file that is damaged, or of
    other code, is made anew; a place that cannot be written costs time, nothing else.
    """
    path = Path(os.environ.get("MER_CACHE") or "~/.cache/mer").expanduser() / f"{name}.json"
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        known = json.loads(sealed_bytes(path))
        if seal.KEY in known and known["of"] == what_runs():
            return known["found"]
    found = json.loads(json.dumps(work_out()))
    with suppress(OSError, BadInput):
        write_sealed(path, {"of": dict(what_runs()), "found": found})
    return found
