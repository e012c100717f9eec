"""What the published forms of the 28×28 flow maps hold: which PNG is which clip, with which label.

Nothing here opens a PNG. A form is listed completely, and everything wrong with it is collected in words.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mer_data.frames import inside
from mer_data.problems import BadInput, Problem, did_you_mean
from mer_data.published.folds import Fold, Half, check_folds
from mer_data.published.megc2019 import DATASETS, LABELS, clip_id_of, is_clip_name, labels_remedy, make_clip, subject_of
from mer_data.schema import Clip
from mer_data.sheets import Row, Sheet

# What a sheet calls its columns; only the samples name files.
COLUMNS = {
    "dataset": ("dataset",),
    "subject": ("sub", "subject"),
    "clip": ("filename_o", "clip"),
    "label": ("label",),
}
FILE = {"file": ("file",)}

_PNG_NAME = "SUBJECT_CLIP.png with a subject like sub01 (casme2), s01 (smic) or 006 (samm)"


@dataclass(frozen=True)
class Listed:
    """One clip and the PNG that holds its map; `row` names the row that lists it, if a sheet does."""

    clip: Clip
    path: Path
    row: str = ""


@dataclass
class Listing:
    """What a form holds, and everything that is wrong with it."""

    maps: list[Listed] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def add(self, clip: Clip, root: Path, file: str, row: str = "") -> Path | None:
        """Add a clip if its file is there and inside the root, else a problem; the file found, or None."""
        where = row or str(root)
        try:
            path = inside(root, file)
            found = path.is_file()
        except BadInput:
            self.problems.append(Problem(where, f"{file!r} leads out of {root}", "use a path inside it"))
            return None
        except (OSError, RuntimeError, ValueError) as error:
            what = f"{file!r} cannot be used as a path: {error}"
            self.problems.append(Problem(where, what, "give the file a plain name in this folder"))
            return None
        if not found:
            self.problems.append(Problem(where, f"no PNG {file!r} in {root}", "restore the file or drop the row"))
            return None
        self.maps.append(Listed(clip, path, row))
        return path


def png_names(folder: str | Path) -> list[str]:
    """List the names of the PNG files in a folder, sorted, without hidden files."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    return sorted(name for name in names if name.lower().endswith(".png") and not name.startswith("."))


def list_flat(sheet: Sheet, folder: Path) -> Listing:
    """List a folder of PNG files named after subject and clip, with their labels in a sheet."""
    listing = Listing()
    names = _names_by_clip(folder, listing.problems)
    listed = set()
    for row in _one_per_clip(sheet, listing.problems):
        clip_id, clip = _clip(row, listing.problems)
        listed.add(clip_id)
        if clip:
            expected = f"{clip.subject.partition('/')[2]}_{clip.name}.png"
            listing.add(clip, folder, names.get(clip.id, expected), row.at())
    for clip_id in sorted(names.keys() - listed):
        what = f"{names[clip_id]!r} (clip {clip_id}) has no row in {sheet.path.name}"
        listing.problems.append(Problem(str(folder), what, "add its row or move the file away"))
    return listing


def list_samples(sheet: Sheet, root: Path) -> Listing:
    """List a sheet that names the PNG file of every clip, relative to `root`."""
    listing = Listing()
    mentioned = set()
    row_of: dict[Path, Row] = {}
    for row in _one_per_clip(sheet, listing.problems):
        _, clip = _clip(row, listing.problems)
        file = row["file"]
        mentioned.add(os.path.realpath(root / file))
        if not file:
            listing.problems.append(Problem(row.at("file"), "is empty", "name the clip's PNG"))
        elif clip and (path := listing.add(clip, root, file, row.at())):
            if path in row_of:
                what = f"{file!r} is also the file of row {row_of[path].number}"
                listing.problems.append(Problem(row.at(), what, "give each clip its own file"))
            row_of[path] = row
            spelled = subject_of(path.name.partition("_")[0])
            if spelled and "/".join(spelled) != clip.subject:
                what = f"{file!r} is named after {'/'.join(spelled)}, the row says {clip.subject}"
                listing.problems.append(Problem(row.at(), what, "correct one of them"))
    for folder in sorted({path.parent for path in row_of}):
        for name in png_names(folder):
            if os.path.realpath(folder / name) not in mentioned:
                what = f"{name!r} has no row in {sheet.path.name}"
                listing.problems.append(Problem(str(folder), what, "add its row or move the file away"))
    return listing


def list_tree(root: Path) -> Listing:
    """List a folder per held-out subject, each with all clips shared out to ``u_train`` and ``u_test``.

    The clips are those of each subject's own ``u_test``; every ``u_train`` is checked against them by name.
    """
    listing = Listing()
    folds = []
    for name, subject in _held_out_folders(root, listing.problems).items():
        test = _half(root, f"{name}/u_test", listing.problems)
        train = _half(root, f"{name}/u_train", listing.problems)
        folds.append(Fold(subject, test, train, root / name / "u_test", root / name / "u_train"))
    tested = check_folds(root, folds, listing.problems, owner="the tree's", test="u_test")
    for clip_id, (label, file) in tested.items():
        listing.add(make_clip(clip_id, LABELS[label]), root, file)
    return listing


def is_tree(folder: Path) -> bool:
    """Tell whether a folder holds at least one folder with a ``u_train`` or a ``u_test``."""
    return any((child / half).is_dir() for child in folder.iterdir() for half in ("u_test", "u_train"))


def _held_out_folders(root: Path, problems: list[Problem]) -> dict[str, str]:
    """Find the folders of held-out subjects, by name, and the qualified subject each stands for."""
    folders: dict[str, str] = {}
    for path in sorted(root.iterdir()):
        spelled = subject_of(path.name)
        if not path.is_dir() or not (spelled or (path / "u_test").is_dir() or (path / "u_train").is_dir()):
            continue  # another project's folder beside the tree
        subject = "/".join(spelled) if spelled else ""
        if not subject:
            problems.append(
                Problem(str(root), f"folder {path.name!r} is not a subject", "name it like sub01, s01, 006")
            )
        elif subject in folders.values():
            problems.append(Problem(str(path), f"is a second folder of {subject}", "keep one"))
        else:
            folders[path.name] = subject
    return folders


def _half(root: Path, half: str, problems: list[Problem]) -> Half:
    """List one ``u_train`` or ``u_test``; nothing if the folder is absent."""
    found: Half = {}
    folder = root / half
    if not folder.is_dir():
        return found
    with os.scandir(folder) as entries:
        children = sorted((entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith("."))
    for label, is_folder in children:
        if not is_folder:
            if label.lower().endswith(".png"):
                problems.append(Problem(str(folder), f"{label!r} has no label", "move it to a folder 0, 1 or 2"))
        elif label not in LABELS:
            problems.append(Problem(str(folder), f"folder {label!r} is not a label", labels_remedy()))
        else:
            for clip_id, name in _names_by_clip(folder / label, problems).items():
                if clip_id in found:
                    what = f"clip {clip_id} is in the folders {found[clip_id][0]} and {label}"
                    problems.append(Problem(str(folder), what, "keep one"))
                found[clip_id] = (label, f"{half}/{label}/{name}")
    return found


def _names_by_clip(folder: Path, problems: list[Problem]) -> dict[str, str]:
    names: dict[str, str] = {}
    for name in png_names(folder):
        clip_id = clip_id_of(name[: -len(".png")].rstrip())
        if clip_id is None:
            problems.append(Problem(str(folder), f"{name!r} names no clip", f"PNG files are named {_PNG_NAME}"))
        elif clip_id in names:
            what = f"{names[clip_id]!r} and {name!r} are both clip {clip_id}"
            problems.append(Problem(str(folder), what, "keep one"))
        else:
            names[clip_id] = name
    return names


def _one_per_clip(sheet: Sheet, problems: list[Problem]) -> Iterator[Row]:
    """Give the first row of each clip; a second one is a problem."""
    first: dict[tuple[str, ...], int] = {}
    for row in sheet.rows:
        # The same person may be written 6 and 006, so rows are compared as the subjects they mean.
        key = (*(subject_of(row["subject"]) or [row["subject"]]), row["clip"])
        if first.setdefault(key, row.number) == row.number:
            yield row
        else:
            problems.append(Problem(row.at(), f"clip {'/'.join(key)} is in row {first[key]} too", "keep one row"))


def _clip(row: Row, problems: list[Problem]) -> tuple[str | None, Clip | None]:
    """Give the id of the clip a row means, if that can be told, and the clip, if the row is right."""
    dataset, subject, name, label = (row[column] for column in COLUMNS)
    before = len(problems)
    spelled = subject_of(subject)
    if spelled is None:
        what = f"{subject!r} is not a subject"
        problems.append(Problem(row.at("subject"), what, "write it like sub01, s01 or 006"))
    if dataset not in DATASETS:
        problems.append(Problem(row.at("dataset"), f"unknown dataset {dataset!r}", did_you_mean(dataset, DATASETS)))
    elif spelled and spelled[0] != dataset:
        what = f"subject {subject!r} is spelled as in {spelled[0]}, the dataset is {dataset}"
        problems.append(Problem(row.at(), what, "correct one of them"))
    if not is_clip_name(name):
        what = f"{name!r} is not a clip's name"
        problems.append(Problem(row.at("clip"), what, "use letters, digits, '_', '-' and '.'"))
    if label not in LABELS:
        problems.append(Problem(row.at("label"), f"{label!r} is not a label", labels_remedy()))
    clip_id = f"{spelled[0]}/{spelled[1]}/{name}" if spelled else None
    return clip_id, make_clip(clip_id, LABELS[label]) if clip_id and len(problems) == before else None
