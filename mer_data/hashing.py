"""Hashes of plain values: the identity of specs, shards and jobs."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def digest(value: Any) -> str:
    """SHA-256 (hexadecimal) of a JSON-able value; equal values give equal text whatever their key order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_bytes(data: bytes | memoryview) -> str:
    """SHA-256 (hexadecimal) of bytes."""
    return hashlib.sha256(data).hexdigest()
