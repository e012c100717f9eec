"""What a format promises, as a table: a good source, what is done to it, and what is read or said then.

A format has one :class:`Promises`, in a module of the package ``promises``. What holds for every sheet of annotations
follows from its :class:`Sheet` (:mod:`common`); the table adds what is peculiar to the format.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from by_hand import write_sheet

from mer_data.formats import read_format
from mer_data.imported import ApexRule, Imported
from mer_data.labels import SCHEMES
from mer_data.problems import BadInput
from mer_data.schema import Clip
from mer_data.synthetic import ClipTruth

Rows = Sequence[Sequence[object]]
Row = Mapping[str, object]  # changed cells of the good row, by our names of the columns
Fields = Mapping[str, object]  # of a clip, and what else `fields_of` gives


@dataclass(frozen=True)
class Sheet:
    """A sheet of annotations with one good row.

    Attributes
    ----------
    file
        Below the root.
    columns
        Our names of the columns in their order, with blanks between; ``-`` for what is of no concern.
    header, row
        The cells; `header` is not written if the sheet is `bare`, and then has the columns' letters.
    above
        Rows above the header.
    worksheet
        As messages call it; none where a workbook has one only.
    write
        Writes rows to a path.
    """

    file: str
    columns: str
    header: Sequence[str]
    row: Sequence[object]
    above: Rows = ()
    worksheet: str = ""
    bare: bool = False
    write: Callable[[Path, Rows], None] = lambda path, rows: write_sheet(path, *rows)

    @property
    def first(self) -> int:
        """The number of the good row."""
        return len(self.above) + 2 - self.bare

    def rows(self, *changed: Row, header: Sequence[str] | None = None) -> list[Sequence[object]]:
        """All rows, from the text above the header on."""
        names = self.columns.split()
        assert all(name in names for change in changed for name in change), changed
        rows = [[change.get(name, cell) for name, cell in zip(names, self.row, strict=True)] for change in changed]
        return [*self.above, *([] if self.bare else [header or self.header]), *rows]

    def place(self, path: Path, row: int, column: str) -> str:
        """How messages name a cell."""
        within = f", sheet {self.worksheet}" if self.worksheet else ""
        return f"{path}{within}, row {row}, column {self.header[self.columns.split().index(column)]}"


@dataclass(frozen=True)
class Twin:
    """The small twin of a format, and what was planted in it.

    Attributes
    ----------
    subjects, clips, options
        How large it is.
    clip
        Fields of a clip beside those that all formats have, from the truth.
    frames
        The numbers of all files in a clip's folder, where they follow from the truth.
    lacking
        How many frames between onset and offset are missing in all clips together.
    channels
        Of the images; 0 where there are none.
    said
        Words, and in how many notes they are.
    habits
        Looks at the rest: the twin's folder, and what was read.
    """

    subjects: int = 2
    clips: int = 4
    options: Mapping[str, Any] = field(default_factory=dict)
    clip: Callable[[ClipTruth], Fields] = lambda truth: {}
    frames: Callable[[ClipTruth], Sequence[int]] | None = None
    lacking: int = 0
    channels: int = 3
    said: Mapping[str, int] = field(default_factory=dict)
    habits: Callable[[Path, Imported], None] = lambda root, imported: None


class Source:
    """A good source that a case spoils.

    Paths and messages are templates: ``{root}``, ``{outside}`` (a folder beside it), ``{sheet}``, ``{onset}`` (where
    the good row has it), ``{row[3][onset]}`` (where another row has it), and the `names` of the table.
    """

    def __init__(self, promises: Promises, folder: Path, twin: Callable[[str], Path]) -> None:
        self.promises, self.outside = promises, folder / "outside"
        self.root = folder / promises.root
        self.outside.mkdir()
        self.sources, self.apex = list(promises.sources), promises.apex
        self.twin = twin(promises.format) if promises.make is None or not promises.sheet else None
        if promises.make is None:
            shutil.copytree(self.twin, self.root)
        else:
            self.root.mkdir(parents=True)
            if promises.sheet:
                self.write_rows({})
        self.names: dict[str, object] = {"root": self.root, "outside": self.outside}
        if sheet := promises.sheet:
            path = self.root / sheet.file
            named = [name for name in sheet.columns.split() if name != "-"]
            places = {row: {name: sheet.place(path, row, name) for name in named} for row in range(30)}
            self.names |= {"sheet": path, "row": places, **places[sheet.first]}
        for edit in promises.make or ():
            edit(self)
        self.names |= promises.names(self.root)

    def text(self, template: str) -> str:
        return template.format_map(self.names)

    def path(self, template: str) -> Path:
        return self.root / self.text(template)

    def write_rows(self, *changed: Row, header: Sequence[str] | None = None) -> None:
        sheet = self.promises.sheet
        assert sheet
        path = self.root / sheet.file
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.write(path, sheet.rows(*changed, header=header))

    def read(self) -> Imported:
        return read_format(self.promises.format, [self.path(source) for source in self.sources], self.apex)

    def problems(self) -> list[str]:
        with pytest.raises(BadInput) as caught:
            self.read()
        assert all(problem.where and problem.what for problem in caught.value.problems)
        if self.promises.remedies:
            assert all(problem.remedy for problem in caught.value.problems)
        str(caught.value).encode()
        return [str(problem) for problem in caught.value.problems]


Edit = Callable[[Source], object]


@dataclass(frozen=True)
class Case:
    """Something done to a good source, and what comes of it: the fields of its clips and notes, or problems.

    `notes` and `says` are as many as given, in this order; one that begins with a path must begin the message, another
    be in it, and several of a tuple all fit. None does not look, and ``...`` at the end lets others follow. What is
    the `same` gives the clips and arrays of the good source.
    """

    name: str
    edits: Sequence[Edit]
    gives: Sequence[Fields] = ()
    notes: Sequence[Any] | None = ()
    says: Sequence[Any] = ()
    same: bool = False

    def check(self, source: Source) -> None:
        before = contents(source.read()) if self.same else None
        for edit in self.edits:
            edit(source)
        if before:
            np.testing.assert_equal(contents(source.read()), before)
            return
        if self.says:
            assert_said(source, source.problems(), self.says)
            return
        imported = source.read()
        found = [fields_of(clip, imported) for clip in imported.clips]
        assert len(found) == len(self.gives), found
        for clip, wanted in zip(found, self.gives, strict=True):
            wanted = {name: source.text(value) if isinstance(value, str) else value for name, value in wanted.items()}
            assert {name: clip[name] for name in wanted} == wanted
        if self.notes is not None:
            usual = [source.text(words) for words in source.promises.usual]
            notes = [note for note in imported.notes if not note.endswith(tuple(usual))]
            assert_said(source, notes, self.notes)


def contents(imported: Imported) -> tuple[Any, ...]:
    """Clips, notes and arrays, read now."""
    features = {feature.spec.key(): {**feature.arrays} for feature in imported.features}
    return imported.clips, imported.notes, features, [feature.origin for feature in imported.features]


def assert_said(source: Source, found: Sequence[str], wanted: Sequence[Any]) -> None:
    templates = [template for template in wanted if template is not ...]
    assert len(found) == len(templates) or (... in wanted and len(found) > len(templates)), found
    for message, template in zip(found, templates, strict=False):
        for part in template if isinstance(template, tuple) else (template,):
            words = source.text(part)
            assert message.startswith(words) if words.startswith("/") else words in message, (message, words)


def fields_of(clip: Clip, imported: Imported) -> dict[str, object]:
    """A clip's own fields, and what else a case may look at."""
    root = imported.frame_root
    return {
        **asdict(clip),
        "id": clip.id,
        "label": SCHEMES["3-class"].label(clip),
        "place": str(root / clip.frames) if root and clip.frames else None,
        "frame_root": str(root) if root else None,
        "source": str(imported.source),
        "notes": imported.notes,
        "features": sorted(feature.spec.name for feature in imported.features),
    }


@dataclass(frozen=True)
class Promises:
    """All that a format promises.

    Attributes
    ----------
    format
        As in ``mer_data.formats.FORMATS``.
    twin
        Its twin.
    root
        What the folder of a good source is called.
    make
        Writes the rest of a good source beside its sheet; None takes a copy of the twin.
    sheet, clip, tree, folder
        Of a good source made by hand: its sheet, what its row is read as, the tree of frames, and the clip's folder in
        it; both below the root.
    names
        More names for templates, from the root of a good source.
    sources
        What is given to the importer.
    usual
        Ends of notes that are there in any case.
    remedies
        Whether every problem comes with a remedy.
    subjects, words, units
        The good row's subject in other spellings; words and the emotions they are; cells and the action units they are.
    midpoint, apexes
        The frame that is taken for an apex, and cells that are no apex.
    limited
        Whether the good row is too long for a micro-expression, so that this frame is not its middle.
    mirrored
        Changed apexes, and the offsets that follow where the sheet has none.
    said
        What is said otherwise than usual: the name of a case that all sheets share to words, or None where the format
        has no such case.
    together
        Changed rows below the good one and all that is said of each, and what is done to the tree before.
    cases
        What is peculiar.
    """

    format: str
    twin: Twin
    root: str = "data"
    make: Sequence[Edit] | None = None
    sheet: Sheet | None = None
    clip: Clip | None = None
    tree: str = ""
    folder: str = ""
    names: Callable[[Path], Mapping[str, object]] = lambda root: {}
    sources: Sequence[str] = ("{root}",)
    apex: ApexRule = "midpoint"
    usual: Sequence[str] = ()
    remedies: bool = False
    subjects: Sequence[object] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[object, str | None] = field(default_factory=dict)
    midpoint: int = 0
    apexes: Sequence[object] = ()
    limited: bool = False
    mirrored: Mapping[int, int] = field(default_factory=dict)
    said: Mapping[str, Any] = field(default_factory=dict)
    before: Sequence[Edit] = ()
    together: Sequence[tuple[Row, Sequence[str]]] = ()
    cases: Sequence[Case] = ()

    def like(self, format_: str, **changed: Any) -> Promises:
        """The same for a sister format."""
        return replace(self, format=format_, **changed)
