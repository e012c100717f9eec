"""Capsules in a stranger's hands: contents changed, with or without the checksums that would tell."""

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

SEAL = 64


def contents(path: Path) -> dict[str, bytes]:
    """The files of a capsule."""
    with zipfile.ZipFile(path) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def write(path: Path, files: Mapping[str, bytes]) -> Path:
    """A zip with the checksum of the whole at its end, whatever is in it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
        packed.comment = b"0" * SEAL
    return sealed(path)


def sealed(path: Path) -> Path:
    """The same with the checksum that fits."""
    whole = path.read_bytes()[:-SEAL]
    path.write_bytes(whole + hashlib.sha256(whole).hexdigest().encode())
    return path


def repaired(path: Path, to: Path, changes: Mapping[str, bytes | None]) -> Path:
    """A capsule with other files, or without some, whose checksums are all right."""
    files = contents(path)
    manifest = json.loads(files.pop("manifest.json"))
    for name, content in changes.items():
        if content is None:
            del files[name]
        else:
            files[name] = content
    manifest["files"] = {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()} for name, content in files.items()
    }
    return write(to, {"manifest.json": json.dumps(manifest).encode(), **files})


def edited(path: Path, to: Path, name: str, edit: Callable[[Any], Any]) -> Path:
    """A capsule with a JSON document changed, whose checksums are all right."""
    document = json.loads(contents(path)[name])
    document.pop("seal", None)
    changed = edit(document)
    return repaired(path, to, {name: json.dumps(document if changed is None else changed).encode()})
