"""What every importer returns, whatever it read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy.typing as npt

from mer_data.editions import Edition
from mer_data.features.spec import FeatureSpec
from mer_data.problems import BadInput, Problem
from mer_data.schema import Clip

# What to do where a sheet gives no apex: the middle frame, or the frame of most motion (:mod:`mer_data.apex`).
ApexRule = Literal["midpoint", "spotted"]


@dataclass(frozen=True)
class ImportedFeature:
    """Arrays that another project extracted.

    Attributes
    ----------
    spec
        Name, channels, size and dtype as our feature of that name has them; `params` tell the origin instead of
        parameters of ours.
    arrays
        Clip id to array, for every clip.
    origin
        Where they come from, in a few words.
    """

    spec: FeatureSpec
    arrays: Mapping[str, npt.NDArray[Any]]
    origin: str


@dataclass(frozen=True)
class Imported:
    """A dataset as an importer read it, before it is written to a store.

    Attributes
    ----------
    clips
        In the order of the source.
    source
        The file to name when a clip is found invalid.
    frame_root
        The folder each clip's `frames` is relative to, or None.
    notes
        What the reader should know: clips left out and why, values corrected.
    features
        Features that came with the clips.
    left_out
        How many clips of the source could not be used.
    rows
        How many rows of its sheet were read or left out; 0 where each of them is one clip.
    content
        A hash of what is in the rows of the source; empty if the importer tells none.
    edition
        Which edition of the dataset it is, as :func:`mer_data.formats.read_format` recognises it.
    raw
        Whether its frames are whole pictures with a face somewhere in them, and not crops.
    """

    clips: tuple[Clip, ...]
    source: Path
    frame_root: Path | None = None
    notes: tuple[str, ...] = ()
    features: tuple[ImportedFeature, ...] = ()
    left_out: int = 0
    rows: int = 0
    content: str = ""
    edition: Edition | None = None
    raw: bool = False


class PartlyRead(BadInput):
    """Some clips of a source cannot be used, the others can.

    Parameters
    ----------
    problems
        All that is wrong.
    rest
        The clips that can be used, with a note for each that is left out.
    """

    def __init__(self, problems: Iterable[Problem], rest: Imported) -> None:
        super().__init__(problems)
        self.rest = rest

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems, self.rest)


# An importer reads its sources, and finds an apex by the rule for a clip that has none.
Importer: TypeAlias = Callable[[Sequence[Path], ApexRule], Imported]
