"""What the readers of ATN's and AMAN's files share: what lies in a folder, and whether all clips are there."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from mer_data.frames import inside
from mer_data.problems import BadInput, Problem
from mer_data.published.foreign import few

_NOT_OURS = "__MACOSX"
_SHOWN = 10


def entries(root: Path, folder: Path, problems: list[Problem]) -> list[Path]:
    """List a folder, sorted, without hidden names; a link that leads out of `root` is a problem."""
    with os.scandir(folder) as found:
        listed = sorted((entry.name, entry.is_symlink()) for entry in found)
    paths = []
    for name, is_link in listed:
        if name.startswith(".") or name == _NOT_OURS:
            continue
        path = folder / name
        if is_link:
            try:
                inside(root, str(path.relative_to(root)))
            except BadInput:
                what = f"{path.relative_to(root).as_posix()!r} is a link that leads out of this folder"
                problems.append(Problem(str(root), what, "put the file itself there"))
                continue
        paths.append(path)
    return paths


def for_every_clip(
    where: str, feature: str, found: Iterable[str], clips: Collection[str], problems: list[Problem]
) -> None:
    """Compare the clips that a feature names with all clips, by id; both differences are problems."""
    here, wanted = set(found), set(clips)
    if missing := wanted - here:
        what = f"{feature} is missing for {len(missing)} of {len(wanted)} clips: {few(missing, _SHOWN)}"
        problems.append(Problem(where, what, "restore them, or move the feature away for all clips"))
    if strange := here - wanted:
        what = f"{feature} is there for {len(strange)} clips without a label: {few(strange, _SHOWN)}"
        problems.append(Problem(where, what, "add their labels, or move the arrays away"))
