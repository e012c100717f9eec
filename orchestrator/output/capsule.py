"""A capsule: the results of an experiment as one file that others can check, without pictures.

::

    manifest.json                     version of this form, and of every other file its size and SHA-256
    plan.json                         clips with their classes, folds, jobs; no path of the machine
    ledger/JOB.arrow                  logits per clip and kept epoch
    search/STUDY.json                 what each search tried and chose
    splits-NAME.csv, search-splits-NAME.csv
    features.json, environment.json   what the features are; which code and versions there were
    score.json                        the table, as ``mer score --json`` prints it

It is a zip whose last 64 bytes, the comment that zip files may have, are the SHA-256 of all before them. The same
results give the same bytes. Nothing in it is ever executed. What a stranger's file claims is looked at before it is
believed: numbers and sizes before anything is unpacked, checksums before anything is read.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import TypeAdapter, ValidationError

from mer_data.files import told, written_aside
from mer_data.hashing import digest_bytes
from mer_data.problems import BadInput, Problem, raise_all

FORMAT = 1  # raised when a reader of this version could not read what is written
SUFFIX = ".mer"
MOST_FILES = 60_000
MOST_BYTES, MOST_OF_A_FILE = 2_000_000_000, 200_000_000  # unpacked
# Beyond the first bytes nothing shrinks so much that its author means well: logits hardly shrink, JSON to a thirtieth.
_FREE_BYTES, _MOST_SHRUNK = 64 << 20, 64

_MANIFEST = "manifest.json"
_SINGLE = ("plan.json", "features.json", "environment.json", "score.json")
_NAME = re.compile(
    "|".join(re.escape(name) for name in _SINGLE)
    + r"|ledger/[0-9a-f]{20}\.arrow|search/[^./\\\x00-\x1f][^/\\\x00-\x1f]*(?<!\.scores)\.json"
    + r"|(search-)?splits-[A-Za-z0-9][A-Za-z0-9_.+@-]*\.csv"
)
_SEAL = 64  # letters of a SHA-256
_END = struct.Struct("<4s4H2LH")  # how a zip ends, before its comment
_LONGEST_ENTRY = 400  # bytes of a file's entry in the list of contents
_LIMITS = f"{MOST_FILES:,}, {MOST_BYTES:,} and {MOST_OF_A_FILE:,} are the most that a capsule may have"
_AGAIN = "get it again from where it came"


@dataclass(frozen=True)
class File:
    """What a manifest says of a file."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a capsule says of itself.

    Attributes
    ----------
    format
        Version of its form.
    job_version
        ``JOB_VERSION`` of the program that planned its jobs, which is part of their ids.
    every
        Every so many of the epochs that a fold kept are in it, and the last; 1 if all are.
    files
        By name, all other files.
    """

    format: int
    job_version: int
    every: int
    files: Mapping[str, File]


def write_capsule(folder: Path, to: Path, *, job_version: int, every: int) -> None:
    """Pack a folder; written aside and renamed.

    Parameters
    ----------
    folder
        Holds the files of a capsule; other files in it are left out.
    to
        The file; what was there is replaced.
    job_version, every
        See :class:`Manifest`.

    Raises
    ------
    BadInput
        If there is more than a capsule may hold.
    """
    there = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    names = sorted(name for name in there if _NAME.fullmatch(name))
    files = {name: File((folder / name).stat().st_size, digest_bytes((folder / name).read_bytes())) for name in names}
    sizes = [file.size for file in files.values()]
    if len(sizes) >= MOST_FILES or sum(sizes) > MOST_BYTES or max(sizes) > MOST_OF_A_FILE:
        what = f"would hold {len(sizes):,} files of {sum(sizes):,} bytes, the largest of {max(sizes):,}; {_LIMITS}"
        raise BadInput(Problem(str(to), what, "keep fewer epochs with --every, or divide the experiment"))
    manifest = TypeAdapter(Manifest).dump_python(Manifest(FORMAT, job_version, every, files), mode="json")
    with written_aside(to) as aside:
        with zipfile.ZipFile(aside, "w", allowZip64=False) as packed:
            packed.writestr(_entry(_MANIFEST), _json_bytes(manifest), zipfile.ZIP_DEFLATED, 9)
            for name in names:
                packed.writestr(_entry(name), (folder / name).read_bytes(), zipfile.ZIP_DEFLATED, 9)
            packed.comment = b"0" * _SEAL
        with aside.open("r+b") as file:
            file.seek(-_SEAL, 2)
            file.write(_seal_of(aside).encode())


def _entry(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.create_system, info.external_attr = 3, 0o644 << 16
    return info


def _json_bytes(document: object) -> bytes:
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def _seal_of(path: Path) -> str:
    """SHA-256 of a file without its last 64 bytes."""
    whole, left = hashlib.sha256(), path.stat().st_size - _SEAL
    with path.open("rb") as file:
        while left and (piece := file.read(min(left, 1 << 20))):
            whole.update(piece)
            left -= len(piece)
    return whole.hexdigest()


def unpack_capsule(path: Path, to: Path) -> Manifest:
    """Unpack a capsule, whose every byte is looked at.

    Parameters
    ----------
    path
        The capsule.
    to
        A folder that is not there yet, where nobody else writes. It may be incomplete if this raises.

    Raises
    ------
    BadInput
        If it is no capsule or one of a newer version, if it is cut off or altered, if it holds more than a capsule may,
        or files that it should not hold, or lacks some.
    """
    if not path.is_file():
        raise BadInput(Problem(str(path), "no such file", "give what `mer capsule` wrote"))
    sealed = _look_at_end(path)
    try:
        packed = zipfile.ZipFile(path)
    except Exception:  # whatever damage makes the parser say
        raise BadInput(Problem(str(path), "its list of files is damaged", _AGAIN)) from None
    with packed:
        entries = _look_at_entries(path, packed)
        manifest = _manifest(path, packed, entries)
        raise_all(_unlike(path, entries, manifest))
        raise_all(_unpacked(path, packed, entries, manifest, to))
    if sealed != _seal_of(path):
        what = "was altered beside its files: its checksum is wrong, and those of all files in it are right"
        raise BadInput(Problem(str(path), what, _AGAIN))
    return manifest


def _look_at_end(path: Path) -> str:
    """The checksum of the whole, after what can be known of its size before the list of files is read."""
    size = path.stat().st_size
    tail = b""
    if size >= _END.size + _SEAL:
        with path.open("rb") as file:
            file.seek(-min(size, _END.size + _SEAL + 20), 2)
            tail = file.read()
    end = tail[-_SEAL - _END.size : -_SEAL]
    mark, *_, files, listed, _, comment = _END.unpack(end) if len(end) == _END.size else (b"", 0, 0, 0, 0)
    if mark != b"PK\5\6" or comment != _SEAL:
        raise BadInput(Problem(str(path), "is cut off, or is no capsule", "give what `mer capsule` wrote, whole"))
    if files > MOST_FILES or listed > MOST_FILES * _LONGEST_ENTRY or tail[:4] == b"PK\6\7":
        raise BadInput(Problem(str(path), f"holds more than {MOST_FILES} files", "it is not unpacked"))
    return tail[-_SEAL:].decode("latin-1")


def _look_at_entries(path: Path, packed: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """What the zip's own list says, by name; nothing has been unpacked yet."""
    listed, problems = packed.infolist(), list[Problem]()
    for info in listed:
        if info.filename != _MANIFEST and not (_NAME.fullmatch(info.filename) and info.orig_filename == info.filename):
            problems.append(Problem(str(path), f"holds {info.orig_filename!r}, which no capsule has", "not unpacked"))
        elif info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            problems.append(Problem(f"{path}, {info.filename}", "is encrypted, or packed in another way", _AGAIN))
    entries = {info.filename: info for info in listed}
    if len(entries) < len(listed):
        problems.append(Problem(str(path), "holds two files of the same name", _AGAIN))
    sizes, packed_size = [info.file_size for info in listed], path.stat().st_size
    if sum(sizes) > min(MOST_BYTES, _FREE_BYTES + _MOST_SHRUNK * packed_size) or max(sizes, default=0) > MOST_OF_A_FILE:
        what = f"has {packed_size:,} bytes and would have {sum(sizes):,} unpacked, more than a capsule may"
        problems.append(Problem(str(path), what, "it is not unpacked"))
    raise_all(problems)
    return entries


def _manifest(path: Path, packed: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo]) -> Manifest:
    where = f"{path}, {_MANIFEST}"
    if _MANIFEST not in entries:
        raise BadInput(Problem(where, "is missing, so this is no capsule", "give what `mer capsule` wrote"))
    content = _content(where, packed, entries[_MANIFEST])
    if isinstance(content, Problem):
        raise BadInput(content)
    try:
        document = json.loads(content)
        version = document["format"]
        if isinstance(version, int) and version > FORMAT:
            what = f"is of version {version} of capsules, and this program reads versions up to {FORMAT}"
            raise BadInput(Problem(str(path), what, "take a newer version of this program"))
        manifest = TypeAdapter(Manifest).validate_python(document)
    except (ValueError, LookupError, TypeError, RecursionError, ValidationError) as error:
        raise BadInput(Problem(where, f"cannot be read: {told(error)}", _AGAIN)) from None
    if manifest.every < 1:
        raise BadInput(Problem(where, f"keeps every {manifest.every}-th epoch", _AGAIN))
    return manifest


def _unlike(path: Path, entries: Mapping[str, zipfile.ZipInfo], manifest: Manifest) -> Iterator[Problem]:
    """Where the zip's list, the manifest, and what a capsule must have are not the same."""
    there = entries.keys() - {_MANIFEST}
    for name in sorted((manifest.files.keys() | set(_SINGLE)) - there):
        yield Problem(f"{path}, {name}", "is missing", _AGAIN)
    for name in sorted(there - manifest.files.keys()):
        yield Problem(f"{path}, {name}", f"is not in {_MANIFEST}", _AGAIN)
    for name in sorted(there & manifest.files.keys()):
        if entries[name].file_size != manifest.files[name].size:
            sizes = f"{entries[name].file_size} bytes, in {_MANIFEST} {manifest.files[name].size}"
            yield Problem(f"{path}, {name}", f"is altered: {sizes}", _AGAIN)


def _unpacked(
    path: Path, packed: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo], manifest: Manifest, to: Path
) -> Iterator[Problem]:
    """Write the files whose checksums are right; what is wrong with the others."""
    for name, said in manifest.files.items():
        content = _content(f"{path}, {name}", packed, entries[name])
        if isinstance(content, Problem):
            yield content
        elif digest_bytes(content) != said.sha256:
            yield Problem(f"{path}, {name}", "is altered: its checksum is wrong", _AGAIN)
        else:
            file = to.joinpath(*PurePosixPath(name).parts)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)


def _content(where: str, packed: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes | Problem:
    """A file's bytes, never more than its entry says; or what is wrong with it."""
    try:
        with packed.open(info) as file:
            # One more than it says: at the end the sum is compared, which also tells a file that goes on.
            return file.read(info.file_size + 1)
    except Exception:  # whatever damage makes the parser say
        return Problem(where, "is altered: it cannot be unpacked, or its checksum is wrong", _AGAIN)
