"""The LBP-TOP and HOOF features shipped with ATN: folders of MATLAB files, one matrix for each clip.

The folders' names are not documented. So every folder below the root is taken whose ``.mat`` files are named after
clips (``samm-6-006_1_2.mat``), and the matrices tell what it holds:

* ``Histogram``, 3 planes × 59 bins: LBP-TOP. With 4 neighbours only the bins 0 to 11 are ever used. Whether the clips
  were made 10 or 64 frames long is not in the files, so the folder's path must hold the number ``10`` or ``64``.
* ``HOOF``, 4 or 8 directions × 9 or 64 columns: of clips made 10 or 64 frames long.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mer_data.imported import ImportedFeature
from mer_data.problems import Problem
from mer_data.published.atn_text import clip_of_key
from mer_data.published.foreign import few, imported_spec
from mer_data.published.mat5 import read_variables
from mer_data.published.reading import entries, for_every_clip

Matrix = npt.NDArray[np.float32]
_Kind = tuple[str, tuple[int, ...]]

_KINDS: frozenset[_Kind] = frozenset(
    {("Histogram", (3, 59)), *(("HOOF", (bins, columns)) for bins in (4, 8) for columns in (9, 64))}
)
_USED_BY_FOUR = 12  # bins that the codes of 4 neighbours reach
_COLUMNS_OF = {9: 10, 64: 64}  # columns of HOOF to the clip's length
_MOST_BYTES = 1 << 20
_UNSAFE = ("object", "function", "opaque")
_RESTORE = "restore the file from the original"
_KNOWN = "known are Histogram 3x59 (LBP-TOP) and HOOF of 4 or 8 rows and 9 or 64 columns"


def read_mats(root: Path, clips: Collection[str], problems: list[Problem]) -> tuple[list[ImportedFeature], list[str]]:
    """Read all feature folders below `root`.

    Parameters
    ----------
    root
        ATN's folder; links that lead out of it are not followed.
    clips
        The ids of all clips; each feature must have all of them.
    problems
        What is wrong is added here.

    Returns
    -------
    The features, float32 ``[3, 59]`` or ``[bins, columns]`` for each clip, and notes on what was left out.
    """
    features: dict[str, tuple[ImportedFeature, Path]] = {}
    notes = []
    for folder in _folders(root, problems):
        files = [path for path in entries(root, folder, problems) if path.suffix.lower() == ".mat"]
        named = {path: clip_of_key(path.stem) for path in files}
        if not any(named.values()):
            notes.append(f"{folder}: no .mat file is named after a clip, so its {len(files)} were left out")
            continue
        found = _read_folder(root, folder, named, problems)
        if found is None:
            continue
        name = found.spec.name
        for_every_clip(str(folder), name, filter(None, named.values()), clips, problems)
        if name in features:
            what = f"holds {name}, and so does {features[name][1]}"
            problems.append(Problem(str(folder), what, "keep one of the folders"))
        features[name] = (found, folder)
        axis = 1 if name.startswith("lbp") else 0
        if off := [key for key, array in found.arrays.items() if not np.allclose(array.sum(axis), 1, atol=1e-3)]:
            notes.append(f"{folder}: histograms that do not sum to 1, unlike the published ones: {few(off)}")
    return [feature for feature, _ in features.values()], notes


def _folders(root: Path, problems: list[Problem]) -> list[Path]:
    """Find the folders with MATLAB files; an unreadable one is a problem."""

    def unreadable(error: OSError) -> None:
        problems.append(Problem(str(error.filename), f"cannot be read: {error.strerror}", "check its rights"))

    walk = os.walk(root, onerror=unreadable)
    return sorted(Path(top) for top, _, names in walk if any(name.lower().endswith(".mat") for name in names))


def _read_folder(
    root: Path, folder: Path, named: Mapping[Path, str | None], problems: list[Problem]
) -> ImportedFeature | None:
    """Read the files of one folder, which must be of one kind; None if no file can be read."""
    read: dict[str, tuple[Path, _Kind, Matrix]] = {}
    for path, clip_id in named.items():
        if clip_id is None:
            what = f"{path.name!r} names no clip"
            problems.append(Problem(str(folder), what, "files are named like casme2-sub01-EP02_01f.mat"))
        elif clip_id in read:
            what = f"{read[clip_id][0].name!r} and {path.name!r} are both clip {clip_id}"
            problems.append(Problem(str(folder), what, "keep one"))
        else:
            found = _read_matrix(path)
            if isinstance(found, Problem):
                problems.append(found)
            else:
                read[clip_id] = (path, *found)
    if not read:
        return None
    (kind, _), *_ = Counter(kind for _, kind, _ in read.values()).most_common(1)
    for path, other, _ in read.values():
        if other != kind:
            what = f"holds {_words(other)}, most of its folder {_words(kind)}"
            problems.append(Problem(str(path), what, "keep each feature in a folder of its own"))
    arrays = {clip_id: matrix for clip_id, (_, other, matrix) in read.items() if other == kind}
    name = _name(kind, arrays, folder.relative_to(root).as_posix())
    if name is None:
        what = "does not tell whether its LBP-TOP is of clips of 10 or of 64 frames"
        problems.append(Problem(str(folder), what, "put one of the numbers into its name, such as LBP_TOP_TIM10_4"))
        return None
    spec = imported_spec(
        name,
        "onset..offset",
        (),
        kind[1],
        "float32",
        {"origin": "ATN", "variable": kind[0]},
    )
    return ImportedFeature(spec, arrays, f"ATN, folder {folder.name}")


def _name(kind: _Kind, arrays: Mapping[str, Matrix], path: str) -> str | None:
    """Name a feature, or None if its folder must tell a length and does not."""
    variable, (bins, columns) = kind
    if variable == "HOOF":
        return f"hoof_atn_tim{_COLUMNS_OF[columns]}_k{bins}"
    lengths = {word for word in re.findall("[0-9]+", path) if word in ("10", "64")}
    if len(lengths) != 1:
        return None
    neighbours = 8 if any(array[:, _USED_BY_FOUR:].any() for array in arrays.values()) else 4
    return f"lbp_top_atn_tim{lengths.pop()}_p{neighbours}"


def _read_matrix(path: Path) -> tuple[_Kind, Matrix] | Problem:
    """Read the one matrix of a file, or say what is wrong. Nothing but plain numbers is decoded."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            return Problem(str(path), "is far too large for one small matrix", _RESTORE)
        data = path.read_bytes()
    except OSError as error:
        return Problem(str(path), f"cannot be read: {error.strerror}", _RESTORE)
    if data.startswith((b"MATLAB 7.3", b"\x89HDF")):
        what = "is a MATLAB file of version 7.3; version 5 is read"
        return Problem(str(path), what, "save it again in MATLAB with the option -v7")
    if not data.startswith(b"MATLAB 5.0 MAT-file"):
        return Problem(str(path), "is not a MATLAB file of version 5", _RESTORE)
    try:
        variables = read_variables(data, _MOST_BYTES)
    except ValueError as error:
        return Problem(str(path), f"is damaged: {error}", _RESTORE)
    if unsafe := [variable for variable in variables if variable.kind in _UNSAFE]:
        return Problem(str(path), f"holds a MATLAB {unsafe[0].kind}, {unsafe[0].name}", "save the matrix alone")
    known = [
        ((variable.name, variable.shape), variable.numbers)
        for variable in variables
        if variable.numbers is not None and (variable.name, variable.shape) in _KINDS
    ]
    if len(known) != 1:
        held = ", ".join(f"{variable.kind} {_words((variable.name, variable.shape))}" for variable in variables)
        return Problem(str(path), f"holds {held[:200] or 'nothing'}", _KNOWN)
    ((kind, numbers),) = known
    with np.errstate(over="ignore"):  # too great for float32 becomes infinite, and is told just below
        matrix = np.ascontiguousarray(numbers, np.float32)
    if not np.isfinite(matrix).all():
        return Problem(str(path), f"{kind[0]} has values that are not finite", _RESTORE)
    return kind, matrix


def _words(kind: _Kind) -> str:
    return f"{kind[0]} {'x'.join(map(str, kind[1]))}"
