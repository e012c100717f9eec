"""What the readers of ATN's and AMAN's files share: how clips are spelled, and what lies in a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NoReturn

from mer_data.features.spec import Frames
from mer_data.frames import inside
from mer_data.imports.foreign import few
from mer_data.imports.htnet_forms import DATASETS, clip_id_of, subject_of
from mer_data.problems import BadInput, Problem
from mer_data.schema import Clip

# Without the hyphen, which separates the words of ATN's keys.
_CLIP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.]*")
_NOT_OURS = "__MACOSX"
_SHOWN = 10


def clip_id(subject: str, name: str) -> str | None:
    """Tell the clip's id as the published list of MEGC 2019 writes it, or None if the words name no clip.

    The subject's spelling tells the dataset, and zeros in front do not matter: ``6`` and ``006`` are ``samm/006``.
    In SMIC the clip's name repeats the subject: ``s1_ne_01`` and ``s01_ne_01`` are ``smic/s01/s01_ne_01``.
    """
    if subject_of(subject) is None or not _CLIP_NAME.fullmatch(name):
        return None
    return clip_id_of(f"{subject}_{name}")


def make_clip(of: str, emotion: str, apex: int | None = None, apex_source: str | None = None) -> Clip:
    """Make the clip of an id ``dataset/subject/name``."""
    dataset, subject, name = of.split("/")
    return Clip(dataset, f"{dataset}/{subject}", name, emotion, apex=apex, apex_source=apex_source)


def in_order(clips: Iterable[Clip]) -> tuple[Clip, ...]:
    """Order clips as the published list: by dataset (casme2, smic, samm), then subject, then clip."""
    return tuple(sorted(clips, key=lambda clip: (DATASETS.index(clip.dataset), clip.id)))


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


def not_computed_here(frames: Frames) -> NoReturn:
    """Stand in for the computation of a feature whose frames are not here."""
    raise NotImplementedError("these arrays were imported; their frames are not here to compute them again")
