"""SMIC-E, the extended release of SMIC: its three cameras with frames before and after the micro-expressions.

Li, Pfister, Huang, Zhao, Pietikäinen, "A spontaneous micro-expression database: inducement, collection and baseline",
FG 2013, doi 10.1109/FG.2013.6553717. These are the same events as SMIC's: never count the two as different datasets.

::

    SMIC/SMIC-E_raw image/HS_long/SMIC-HS-E_annotation.xlsx                 any name; found by its columns
    SMIC/SMIC-E_raw image/HS_long/SMIC-HS-E/s01/s01_ne_01/image559720.jpg   also VIS_long, NIR_long

The workbook may have a worksheet for each camera, with equal headers. It tells onset and offset but no apex. Some clips
show a second or a third micro-expression, whose onset and offset are in columns such as ``Onset2F`` and ``Offset2F``;
the second pair is also found right of ``OffsetF``, under whatever headers. All of a clip's micro-expressions are called
``s01_ne_01@559740`` here, by their onsets. Below the rows of data there are rows of text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from mer_data.datasets.common import (
    UNITS,
    Report,
    loose,
    read_each,
    sheet_and_root,
    sheet_files,
    the_one,
    tree_below,
)
from mer_data.datasets.intervals import at_onset, read_number
from mer_data.datasets.reader import NamedClipReader, without_text
from mer_data.datasets.smic import CAMERAS, EMOTIONS, read_name, read_subject
from mer_data.imported import ApexRule, Imported
from mer_data.labels import read_emotion
from mer_data.problems import BadInput, Problem
from mer_data.sheets import Row, Sheet, read_bare, read_sheet

SHEET = "SMIC-{}-E_annotation.xlsx"
REQUIRED = {
    "subject": ("Subject",),
    "name": ("Filename",),
    "onset": ("OnsetF", "OnsetFrame", "Onset"),
    "offset": ("OffsetF", "OffsetFrame", "Offset"),
}
MORE = range(2, 10)  # the pairs after the first, as far as a header may number them
PAIRS = {
    f"{which}{number}": tuple(pattern.format(which, number) for pattern in ("{}{}F", "{}{}Frame", "{}{}", "{}F{}"))
    for number in MORE
    for which in ("onset", "offset")
}
# Where the first and the last frame are named they are only passed over, as the columns of a second pair are not.
OPTIONAL = {
    **UNITS, "emotion": ("Emotion",), "apex": ("ApexF", "ApexFrame", "Apex"), "first": ("FirstF",), "last": ("LastF",),
    **PAIRS,
}  # fmt: skip
SECOND = {"onset2": ("offset", 1), "offset2": ("offset", 2)}
_SHORT = ("smicallcropped", "smicallraw")  # the trees of the release with short clips
_DEPTH = 4  # SMIC/SMIC-E_raw image/HS_long/SMIC-HS-E is three below the root, and copies have HS in it


def read(camera: str, sources: Sequence[Path], apex: ApexRule = "midpoint") -> Imported:
    """Read one camera of SMIC-E as it is distributed.

    Parameters
    ----------
    camera
        One of ``CAMERAS``.
    sources
        The folder ``SMIC``, ``SMIC-E_raw image`` or ``HS_long``; or the sheet and a folder of frames.
    apex
        Where to put the apex, which SMIC does not tell.

    Returns
    -------
    Clips in the order of the sheet, the first micro-expression of a row before the second. Frames outside the interval
    are left alone.

    Raises
    ------
    BadInput
        With all that is wrong with the sheet and the frames, row by row.
    """
    named, root = sheet_and_root(sources)
    tree = _find_tree(root, camera)
    sheet = _read(named, camera) if named else _find_sheet(tree, root, camera)
    report = Report()
    rows = without_text(sheet.rows, _subject, report)
    reader = _Reader(CAMERAS[camera].extended, tree, CAMERAS[camera].fps, _events(rows, report), apex)
    reader.report.notes += report.notes
    for header in _frame_columns(sheet, rows):
        reader.report.note(f"{rows[0].place}, column {header}", "holds frame numbers and is not read")
    if "apex" in sheet.rows[0].headers:
        reader.report.note(str(sheet.path), "gives apexes, which the official sheet does not; they are used")
    else:
        reader.report.note(str(sheet.path), "gives no apex for any clip; the middle frame is taken, or motion decides")
    return reader.import_rows(reader.rows, sheet.path)


read_hs, read_vis, read_nir = (partial(read, camera) for camera in CAMERAS)


def _find_tree(root: Path, camera: str) -> Path:
    """Find a camera's folder of subjects; folders of the other cameras and of the short clips are passed over."""
    others = [other for other in CAMERAS if other != camera]
    skipped = {*_SHORT, *(loose(name.format(other)) for other in others for name in ("{}", "{}_long", "SMIC-{}-E"))}
    example = f"{camera}_long/SMIC-{camera}-E/s01"
    tree = tree_below(root, skipped, read_subject, example, _DEPTH)
    other = next((path for path in (tree, tree.parent) if loose(path.name) in skipped), None)
    if other:
        raise BadInput(Problem(str(tree), f"{other.name} is not of SMIC-E's camera {camera}", f"give {example}"))
    return tree


def _read(path: Path, camera: str) -> Sheet:
    return read_sheet(path, REQUIRED, OPTIONAL, SECOND, _worksheet(path, camera))


def _worksheet(path: Path, camera: str) -> str | None:
    """The name of the camera's worksheet; None if no worksheet is called after a camera."""
    sheets = [sheet.name for sheet in read_bare(path) if sheet.name != str(path)]
    of_cameras = {name: loose(name) for name in sheets if any(loose(other) in loose(name) for other in CAMERAS)}
    ours = [name for name, plain in of_cameras.items() if loose(camera) in plain]
    if of_cameras and not ours:
        what = f"no worksheet of camera {camera}"
        raise BadInput(Problem(str(path), what, f"it has {', '.join(sheets)}; name a sheet of this camera"))
    return ours[0] if ours else None


def _find_sheet(tree: Path, root: Path, camera: str) -> Sheet:
    """Find the sheet in the frames' folder or the nearest one above it, up to the root."""
    problems: list[Problem] = []
    for folder in (tree, *tree.parents):
        found, wrong = read_each(sheet_files(folder), lambda path: _read(path, camera))
        problems += wrong
        if len(found) > 1:  # above the cameras' folders there may be one for each
            found = [sheet for sheet in found if f"smic{camera}e".casefold() in loose(sheet.path.name)] or found
        if sheet := the_one(found, folder):
            return sheet
        if folder == root:
            break
    example = SHEET.format(camera)
    raise BadInput(problems or Problem(str(root), "no annotation sheet", f"put {example} there, or name the sheet too"))


def _subject(text: str) -> str | None:
    """Turn ``1``, ``1.0``, ``s1`` or ``s01`` into the canonical ``s01``; None if it is none of these."""
    number = read_number(text)
    return read_subject(text if number is None else f"s{number}")


def _events(rows: Iterable[Row], report: Report) -> Iterator[Row]:
    """Give a row for every micro-expression; a further pair that is not within the clip is left out, and noted."""
    for row in rows:
        yield row
        for number in MORE:
            pair = {"onset": f"onset{number}", "offset": f"offset{number}"}
            onset, offset = (read_number(row[theirs]) for theirs in pair.values())
            if onset is None and offset is None:
                continue
            first, last = read_number(row["first"]), read_number(row["last"])
            if onset is not None and offset is not None and _outside((onset, offset), first, last):
                what = f"frames {onset} to {offset} are not within {first} to {last}; left out"
                report.note(row.at(pair["onset"]), what)
                continue
            cells = {ours: row[theirs] for ours, theirs in pair.items()}
            headers = {ours: row.headers[theirs] for ours, theirs in pair.items() if theirs in row.headers}
            yield replace(row, cells={**row.cells, **cells}, headers={**row.headers, **headers})


def _outside(pair: tuple[int, int], first: int | None, last: int | None) -> bool:
    """Whether a frame is before the clip's first or after its last, as far as these are known."""
    return (first is not None and min(pair) < first) or (last is not None and max(pair) > last)


def _frame_columns(sheet: Sheet, rows: Sequence[Row]) -> list[str]:
    """The columns that nobody asked for and that hold numbers of frames within the rows' clips."""
    found = []
    for header, texts in sheet.others.items():
        numbers = [(row, number) for row in rows if (number := read_number(texts.get(row.number, ""))) is not None]
        within = sum(
            (read_number(row["first"]) or read_number(row["onset"]) or 0)
            <= number
            <= (read_number(row["last"]) or read_number(row["offset"]) or 0)
            for row, number in numbers
        )
        if numbers and 2 * within > len(numbers):
            found.append(header)
    return found


class _Reader(NamedClipReader):
    """Tells the micro-expressions of a clip apart, and takes the emotion from the clip's name."""

    def __init__(self, dataset: str, tree: Path, fps: float, rows: Iterable[Row], apex: ApexRule) -> None:
        super().__init__(dataset, tree, _subject, "1 or s01", fps, apex, read_name)
        self.rows = list(rows)
        self.has_apexes = any(row["apex"] for row in self.rows)
        self._times = Counter(read_name(row["name"]) for row in self.rows)

    def name(self, row: Row, subject: str) -> str:
        return at_onset(row) if self._times[read_name(row["name"])] > 1 else row["name"]

    def emotion(self, row: Row) -> str | None:
        """The emotion of the clip's name; a cell that says something else is noted."""
        named = read_name(row["name"])
        code = named[1].split("_")[1] if named else ""
        emotion = next((word for word, short in EMOTIONS.items() if short == code), None)
        if emotion is None:
            self.report.problem(row.at("name"), f"{row['name']!r} is not a clip's name", "write it like s01_ne_01")
        elif (told := read_emotion(row["emotion"])) and told != emotion:
            what = f"{row['emotion']!r}, but the clip is called {row['name']}; {emotion} is kept"
            self.report.note(row.at("emotion"), what)
        elif row["emotion"] and not told:
            self.report.note(row.at("emotion"), f"{row['emotion']!r} is no emotion; {emotion} of the name is used")
        return emotion
