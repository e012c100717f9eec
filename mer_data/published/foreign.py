"""What the files of other projects have in common: paths of another computer, their own lists, ready arrays."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from mer_data.composites import published
from mer_data.features.spec import FeatureSpec, FrameChoice, Frames
from mer_data.frames import inside
from mer_data.problems import BadInput, Problem
from mer_data.schema import Clip


def match_tail(root: Path, foreign_path: str) -> Path:
    r"""Find the file that a path of another computer means, by the end of that path.

    ``/home/ann/data/casme2/flow/a.png`` may be ``home/ann/data/casme2/flow/a.png`` below the root, or
    ``data/casme2/flow/a.png``, or any shorter end of it. Drives, back-slashes and blanks in names are as good.

    Parameters
    ----------
    root
        The folder to look in; nothing outside it is ever given, be it by ``..`` or by a link.
    foreign_path
        As the other project wrote it, with ``/`` or ``\``.

    Returns
    -------
    The file, after following links.

    Raises
    ------
    BadInput
        If there is no such file, if it leads out of the root, or if several files fit; `where` is the foreign path.
    """
    parts = [part for part in re.split(r"[\\/]+", foreign_path) if part not in ("", ".")]
    if ".." in parts:
        raise BadInput(Problem(foreign_path, "has a '..' in it, so its end cannot be trusted", "write it without"))
    found: dict[Path, str] = {}
    for start in range(len(parts)):
        tail = "/".join(parts[start:])
        if os.path.isfile(root / tail):  # noqa: PTH113 - unlike Path.is_file it is False for impossible names
            try:
                found.setdefault(inside(root, tail), tail)
            except BadInput as error:
                raise BadInput(Problem(foreign_path, str(error), "put the file itself there")) from error
    if not found:
        what = f"no file in {root} has this path or an end of it"
        raise BadInput(Problem(foreign_path, what, "restore the file, or name the folder that the end begins in"))
    if len(found) > 1:
        what = f"may be any of {', '.join(found.values())} in {root}"
        raise BadInput(Problem(foreign_path, what, "move the others away"))
    return next(iter(found))


def imported_spec(
    name: str,
    frames: FrameChoice,
    channels: tuple[str, ...],
    size: tuple[int, ...],
    dtype: str,
    params: Mapping[str, Any],
) -> FeatureSpec:
    """Define a feature whose arrays come from elsewhere; `params` tell from where, and what is known of them."""

    def not_computed_here(_: Frames) -> NoReturn:
        raise NotImplementedError(f"these {name} were imported; their frames are not here to compute them again")

    return FeatureSpec(name, 1, frames, channels, size, dtype, params, not_computed_here)


def notes_on(clips: Sequence[Clip], list_name: str) -> tuple[str, ...]:
    """Say where clips with classes for emotions differ from a published list (:mod:`mer_data.composites`)."""
    wanted, here = published(list_name), {clip.id: clip.emotion for clip in clips}
    notes = []
    if len(here) != len(wanted):
        notes.append(f"{len(here)} clips; the published list {list_name} has {len(wanted)}")
    if strangers := here.keys() - wanted.keys():
        notes.append(f"{len(strangers)} clips are not in the published list {list_name}: {few(strangers)}")
    other = [
        f"{clip_id} is {label}, there {wanted[clip_id]}"
        for clip_id, label in here.items()
        if label != wanted.get(clip_id, label)
    ]
    if other:
        what = f"{len(other)} clips have another class than in the published list {list_name}, and keep it"
        notes.append(f"{what}: {few(other, 10)}")
    return tuple(notes)


def few(names: Iterable[str], shown: int = 3) -> str:
    """Name the first few of many, and count the others."""
    names = sorted(names)
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")
