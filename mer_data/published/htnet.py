"""The 28×28 flow maps that STSTNet published and HTNet published again (442 clips of MEGC 2019).

Three forms are known:

* a folder of PNG files ``SUBJECT_CLIP .png`` (with or without the space) and a sheet with the columns
  ``dataset,sub,filename_o,label``; in HTNet they are ``datasets/STSNet_whole_norm_u_v_os`` and
  ``combined_3_class2_for_optical_flow.csv``;
* the tree of folds ``SUBJECT/u_train|u_test/LABEL/*.png``, in HTNet ``datasets/three_norm_u_v_os``;
* a sheet with the columns ``dataset,subject,clip,label,file``, by default ``samples.csv``.

HTNet's ``datasets/combined_datasets_whole`` may be there too: crops of the faces at the apex
(:mod:`mer_data.published.htnet_apex`).

All of them give the same clips in the same order: by dataset (casme2, smic, samm), then subject, then clip.
That is the order of the challenge's own list.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mer_data.imported import Imported, ImportedFeature
from mer_data.problems import BadInput, Problem, raise_all
from mer_data.published.foreign import imported_spec
from mer_data.published.htnet_apex import FOLDER as APEX_FOLDER
from mer_data.published.htnet_apex import read_apex
from mer_data.published.htnet_forms import (
    COLUMNS,
    FILE,
    Listed,
    Listing,
    is_tree,
    list_flat,
    list_samples,
    list_tree,
    png_names,
)
from mer_data.published.megc2019 import list_order
from mer_data.published.pictures import read_png
from mer_data.sheets import read_sheet

FLAT_FOLDER = "STSNet_whole_norm_u_v_os"
TREE_FOLDERS = ("three_norm_u_v_os", "norm_u_v_os")
SHEET = "combined_3_class2_for_optical_flow.csv"
SAMPLES = "samples.csv"
ORIGIN = "published STSTNet/HTNet flow maps"
_CLIPS, _SUBJECTS = 442, 68
_SIZE = 28
_FORMS = (
    f"known are: a folder of PNG files with a sheet ({SHEET}: dataset, sub, filename_o, label); a tree "
    f"SUBJECT/u_train|u_test/LABEL ({TREE_FOLDERS[0]}); a {SAMPLES} (dataset, subject, clip, label, file)"
)


SPEC = imported_spec(
    "flow_uvs_28",
    "onset-apex",
    ("u", "v", "strain"),
    (_SIZE, _SIZE),
    "uint8",
    {"origin": ORIGIN, "scaling": "each map and channel stretched to 0..255 after the reduction to 28x28"},
)


def read(sources: Sequence[Path]) -> Imported:
    """Read published flow maps in any of the three forms; which one is told from what is there.

    Parameters
    ----------
    sources
        A folder, a sheet, or both in any order. A folder may be the form itself or hold it under its
        published name, as the root of HTNet and its ``datasets`` do, whatever else is in it.

    Returns
    -------
    Imported
        Clips without frames or frame numbers, the emotion being negative, positive or surprise, and the
        feature ``flow_uvs_28``: uint8 ``[3, 28, 28]`` per clip in the order u, v, strain. Where every clip has
        its apex crop, these too, as the feature ``apex_28``.

    Raises
    ------
    BadInput
        With everything that is wrong, each with its file and row. Nothing outside the sources is read.
    """
    raise_all(Problem(str(path), "no such file or folder", "check the path") for path in sources if not path.exists())
    try:
        source, listing = _list(sources)
    except OSError as error:
        raise BadInput(Problem(str(error.filename), f"cannot be read: {error.strerror}", "check its rights")) from error
    arrays: dict[str, npt.NDArray[Any]] = {}
    problems = listing.problems
    in_order = sorted(listing.maps, key=lambda listed: list_order(listed.clip))
    for listed in in_order:
        found = _read_map(listed)
        if isinstance(found, Problem):
            problems.append(found)
        else:
            arrays[listed.clip.id] = found
    clips = tuple(listed.clip for listed in in_order)
    apexes, apex_notes = read_apex([base / APEX_FOLDER for base in _bases(_folder(sources))], clips, problems)
    raise_all(problems)
    notes = (*_count_note(len(clips), len({clip.subject for clip in clips})), *_channel_note(arrays), *apex_notes)
    maps = ImportedFeature(SPEC, arrays, ORIGIN)
    return Imported(clips=clips, source=source, notes=notes, features=(maps, apexes) if apexes else (maps,))


def _folder(sources: Sequence[Path]) -> Path:
    """The folder to look in: the one given, else that of the sheet."""
    return next((path for path in sources if path.is_dir()), sources[0].parent)


def _bases(folder: Path) -> list[Path]:
    """The places where the published folders and sheets may be; HTNet keeps its sheet beside ``datasets``."""
    return [base for base in (folder, folder / "datasets") if base.is_dir()]


def _list(sources: Sequence[Path]) -> tuple[Path, Listing]:
    """Tell the form and list it; also the file or folder to name for problems with the whole."""
    folders = [path for path in sources if path.is_dir()]
    sheets = [path for path in sources if not path.is_dir()]
    if not sources or len(folders) > 1 or len(sheets) > 1:
        raise BadInput(Problem("sources", "one folder, one sheet or one of each is needed", _FORMS))
    folder = _folder(sources)
    bases = _bases(folder)
    trees = [base / name for base in bases for name in TREE_FOLDERS if (base / name).is_dir()]
    tree = next((path for path in (folder, *trees) if is_tree(path)), None)
    flats = [base / FLAT_FOLDER for base in bases if (base / FLAT_FOLDER).is_dir()]
    flat = next((path for path in (*flats, folder) if png_names(path)), None)
    found = [base / name for name in (SAMPLES, SHEET) for base in bases if (base / name).is_file()]
    sheet = sheets[0] if sheets else next(iter(found), None)

    if sheet is None or (not sheets and sheet.name == SHEET and flat in (None, folder) and tree is not None):
        if tree is not None:
            return tree, list_tree(tree)
        if flat is not None:
            raise BadInput(Problem(str(flat), "PNG files without their labels", f"give {SHEET} as a source too"))
        raise BadInput(Problem(str(folder), "holds no form of the flow maps", _FORMS))
    table = read_sheet(sheet, COLUMNS, FILE)
    if "file" in table.rows[0].headers:
        return sheet, list_samples(table, folder)
    if flat is None:
        what = f"has no column 'file', and {folder} has no PNG files"
        raise BadInput(Problem(str(sheet), what, f"add the column, or give the folder {FLAT_FOLDER}"))
    return sheet, list_flat(table, flat)


def _read_map(listed: Listed) -> npt.NDArray[np.uint8] | Problem:
    """Read a map as uint8 ``[3, 28, 28]``; the file's red, green, blue are u, v, strain."""
    where = f"{listed.path} ({listed.row})" if listed.row else str(listed.path)
    return read_png(listed.path, where, lambda *size: size == (_SIZE, _SIZE), f"a flow map is {_SIZE}x{_SIZE}")


def _count_note(clips: int, subjects: int) -> list[str]:
    if (clips, subjects) == (_CLIPS, _SUBJECTS):
        return []
    return [f"{clips} clips of {subjects} subjects; the published set has {_CLIPS} of {_SUBJECTS}"]


def _channel_note(arrays: dict[str, npt.NDArray[Any]]) -> list[str]:
    """Warn if strain is not clearly the darkest channel; the published means are u 126, v 135, strain 25."""
    if not arrays:
        return []
    u, v, strain = np.mean([array.mean(axis=(1, 2)) for array in arrays.values()], axis=0)
    if strain < min(u, v) / 2:
        return []
    return [
        f"the channels seem to be in another order than u, v, strain: their means are {u:.0f}, {v:.0f}, "
        f"{strain:.0f} of 255, while strain should be clearly the darkest"
    ]
