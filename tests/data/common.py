"""The cases that follow from a format's sheet: what all datasets promise of their rows, sheets and frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import PurePath

from contract import Case, Edit, Promises, Source
from edits import (
    cells,
    copied,
    each,
    given,
    gone,
    linked,
    made,
    moved,
    reads,
    reads_all,
    refuses,
    renamed,
    rows,
    spotted,
    written,
)

from mer_data.frames import list_frames

BROKEN = {
    "a page": (b"<html>", "cannot be read"),
    "no bytes": (b"", "is an empty file"),
    "cut": (b"PK\x03\x04", "cannot be read"),
}


def cases(promises: Promises) -> Iterator[Case]:
    """All cases of a format: those of its sheet, if it is one of rows and frames, and its own."""
    if promises.sheet and promises.clip:
        for case in (*_of_rows(promises), *_of_sheets(promises), *_of_frames(promises)):
            said = promises.said.get(case.name, case.says)
            if said is not None:
                yield replace(case, says=[said] if isinstance(said, str) else said)
    yield from promises.cases


def _of_rows(promises: Promises) -> Iterator[Case]:
    clip = promises.clip
    assert clip
    yield reads("as it is", **asdict(clip), frame_root=_tree(promises), source="{sheet}")
    yield from each("subject", "subject", promises.subjects, notes=None, subject=clip.subject)
    for word, emotion in promises.words.items():
        yield reads(f"emotion: {word!r}", cells(emotion=word), emotion=emotion, notes=None)
    for cell, units in promises.units.items():
        yield reads(f"units: {cell!r}", cells(units=cell), action_units=units)
    middle = {"apex": promises.midpoint, "apex_source": "limited" if promises.limited else "midpoint"}
    yield from each("no apex", "apex", promises.apexes, notes=["{apex}: "], **middle)
    for apex, offset in promises.mirrored.items():
        for cell in ("", 0, -1):
            interval = {"onset": clip.onset, "apex": apex, "offset": offset}
            change = cells(apex=apex, offset=cell)
            yield reads(f"no offset: {cell!r} after {apex}", change, **interval, notes=["{offset}: no offset"])
    if promises.together:
        changed, said = [{}], []
        for row, (change, messages) in enumerate(promises.together, start=promises.sheet.first + 1):
            changed.append(change)
            said += [_placed(message, row, promises) for message in messages]
        yield refuses("all that is wrong together", *promises.before, rows(*changed), says=said)


def _tree(promises: Promises) -> str:
    return f"{{root}}/{promises.tree}".rstrip("/")


def _placed(message: str, row: int, promises: Promises) -> str:
    """``onset: what is said`` with the place of that cell."""
    column = message.partition(":")[0]
    known = column in promises.sheet.columns.split()
    return f"{{row[{row}][{column}]}}{message.removeprefix(column)}" if known else message


def _of_sheets(promises: Promises) -> Iterator[Case]:
    file = PurePath(promises.sheet.file)
    mine = f"{{outside}}/mine{file.suffix}"
    for frames in dict.fromkeys(("", promises.tree)):
        edits = moved("{sheet}", mine), given(mine, frames)
        yield reads(f"the sheet apart from {frames or 'all'}", *edits, source=mine, frame_root=_tree(promises))
    text = {name: "" for name in promises.sheet.columns.split() if name != "-"} | {"name": "checked by hand"}
    passed = "2 rows of text from here on are passed over"
    yield reads_all("rows of text below the table", rows({}, text, text), gives=[{}], notes=[passed])
    yield refuses("no sheet", gone("{sheet}"), says=f"{{root}}: no annotation sheet in this folder (put {file.name}")
    for name, (data, said) in BROKEN.items():
        yield refuses(f"a broken sheet, {name}", written("{sheet}", data), says=f"{{sheet}}: {said}")
    columns = promises.sheet.columns.split()
    header = promises.sheet.header[columns.index("emotion" if "emotion" in columns else "name")]
    other = renamed(**{header: "Klass"})
    yield refuses("other columns", other, says=[("{sheet}: no row has the columns", f"which lacks {header}")])
    copy = copied("{sheet}", str(file.with_stem("copy")))
    yield refuses("two sheets", copy, says=[("2 sheets have the right columns", "copy.")])
    yield reads("one of two sheets", copy, given("{sheet}", "{root}"), source="{sheet}")
    for name, sources in {"none": (), "two": ("{root}", "{root}"), "twice": ("{sheet}", "{sheet}")}.items():
        yield refuses(f"sources, {name}", given(*sources), says="cannot be used")


def _of_frames(promises: Promises) -> Iterator[Case]:
    folder = f"{{root}}/{promises.folder}"
    clip = promises.folder.removeprefix(f"{promises.tree}/")
    away = moved(promises.tree or promises.folder, "{outside}/x")
    yield refuses("no frames", away, says="{root}: no folder of frames (expected ")
    yield refuses(
        "a link out of the tree", linked(folder), says=f"{_tree(promises)}: {clip!r} leads out of this folder"
    )
    yield refuses("no frames of a clip", gone(folder), made(folder), says=f"{folder}: no frames in this folder")
    yield refuses("two files of one number", _second_file(folder), says=" are both frame ")
    if promises.apexes:
        edits = cells(apex=promises.apexes[0]), spotted()
        spotted_source = "limited" if promises.limited else "spotted"
        yield reads("a spotted apex", *edits, apex_source=spotted_source, notes=["{apex}: ", "spotted by motion"])
        needed = _unreadable(folder, promises.clip.onset + 1)
        yield refuses("a frame that is needed", needed, *edits, says="is not a readable image")


def _second_file(folder: str) -> Edit:
    def edit(source: Source) -> None:
        first = min(source.path(folder).iterdir())
        first.with_name(f"x{first.name}").hardlink_to(first)

    return edit


def _unreadable(folder: str, number: int) -> Edit:
    return lambda source: written(str(list_frames(source.path(folder))[number]), b"\xff\xd8")(source)
