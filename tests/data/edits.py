"""What is done to a good source, and the cases that are made of it: the words of the tables of ``promises``."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from typing import Any

from by_hand import write_frames
from contract import Case, Edit, Fields, Row, Source

from mer_data.imported import ApexRule


def reads(name: str, /, *edits: Edit, notes: Sequence[Any] | None = (), **fields: object) -> Case:
    """One clip comes out, with these fields."""
    return Case(name, edits, [fields], notes)


def reads_all(name: str, *edits: Edit, gives: Sequence[Fields], notes: Sequence[Any] | None = ()) -> Case:
    """These clips come out, in this order."""
    return Case(name, edits, gives, notes)


def reads_same(name: str, *edits: Edit) -> Case:
    """The same comes out."""
    return Case(name, edits, same=True)


def refuses(name: str, *edits: Edit, says: str | Sequence[Any]) -> Case:
    """Nothing is read, and this is said."""
    return Case(name, edits, says=[says] if isinstance(says, str) else says)


def each(
    name: str, column: str, values: Sequence[object], /, notes: Sequence[Any] | None = (), **fields: object
) -> list[Case]:
    """One clip comes out, whatever of these is in the cell."""
    return [reads(f"{name}: {value!r}", cells(**{column: value}), notes=notes, **fields) for value in values]


def cells(**changed: object) -> Edit:
    """The sheet's good row is changed."""
    return lambda source: source.write_rows(changed)


def rows(*changed: Row) -> Edit:
    """The sheet has these rows instead."""
    return lambda source: source.write_rows(*changed)


def renamed(rows: Sequence[Row] = ({},), **words: str) -> Edit:
    """Words of the header are replaced."""

    def edit(source: Source) -> None:
        sheet = source.promises.sheet
        assert sheet
        header = list(sheet.header)
        for old, new in words.items():
            header = [cell.replace(old, new) for cell in header]
        source.write_rows(*rows, header=header)

    return edit


def unspaced() -> Edit:
    """The sheet has no columns without a header."""

    def edit(source: Source) -> None:
        sheet = source.promises.sheet
        assert sheet
        kept = [number for number, name in enumerate(sheet.header) if name]
        sheet.write(source.path("{sheet}"), [[cells[number] for number in kept] for cells in sheet.rows({})])

    return edit


def frames(folder: str, numbers: Sequence[int], name: str = "{}.jpg") -> Edit:
    """A folder has frames of these numbers too."""
    return lambda source: write_frames(source.path(folder), [name.format(number) for number in numbers])


def gone(*paths: str) -> Edit:
    """Files or folders are not there."""

    def edit(source: Source) -> None:
        for path in map(source.path, paths):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return edit


def moved(path: str, to: str) -> Edit:
    """Something has another name."""

    def edit(source: Source) -> None:
        source.path(to).parent.mkdir(parents=True, exist_ok=True)
        source.path(path).rename(source.path(to))

    return edit


def copied(path: str, to: str) -> Edit:
    """Something is there twice."""

    def edit(source: Source) -> None:
        copy = shutil.copytree if source.path(path).is_dir() else shutil.copy
        copy(source.path(path), source.path(to))

    return edit


def written(path: str, data: bytes | str) -> Edit:
    """A file holds something else; a text is a template."""

    def edit(source: Source) -> None:
        file = source.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)  # a frame may be a hard link
        file.write_bytes(data if isinstance(data, bytes) else source.text(data).encode())

    return edit


def made(*folders: str) -> Edit:
    """There are empty folders."""
    return lambda source: [source.path(folder).mkdir(parents=True) for folder in folders]


def linked(path: str) -> Edit:
    """Something lies outside, and a link leads there."""

    def edit(source: Source) -> None:
        aside = source.outside / "linked"
        source.path(path).rename(aside)
        source.path(path).symlink_to(aside)

    return edit


def changed(path: str, *words: tuple[str, str], first: bool = False) -> Edit:
    """Words of a text are replaced, everywhere or where they are first."""

    def edit(source: Source) -> None:
        text = source.path(path).read_bytes().decode()
        for old, new in words:
            assert source.text(old) in text
            text = text.replace(source.text(old), source.text(new), *([1] if first else []))
        source.path(path).write_bytes(text.encode())

    return edit


def each_changed(pattern: str, *words: tuple[str, str]) -> Edit:
    """Words are replaced in all files that fit a pattern, where they are."""

    def edit(source: Source) -> None:
        paths = sorted(source.root.glob(pattern))
        assert any(source.text(old) in path.read_bytes().decode() for path in paths for old, _ in words)
        for path in paths:
            text = path.read_bytes().decode()
            for old, new in words:
                text = text.replace(source.text(old), source.text(new))
            path.write_bytes(text.encode())

    return edit


def appended(path: str, *lines: str) -> Edit:
    """A text goes on."""
    return lambda source: source.path(path).write_text(
        source.path(path).read_text() + "".join(f"{source.text(line)}\n" for line in lines)
    )


def lines(path: str, change: Callable[[list[str]], list[str]]) -> Edit:
    """A text has other lines."""
    return lambda source: source.path(path).write_text("\n".join(change(source.path(path).read_text().split("\n"))))


def given(*sources: str, apex: ApexRule = "midpoint") -> Edit:
    """The importer is given these sources."""

    def edit(source: Source) -> None:
        source.sources, source.apex = list(sources), apex

    return edit


def spotted() -> Edit:
    """Apexes are looked for where there are none."""

    def edit(source: Source) -> None:
        source.apex = "spotted"

    return edit
