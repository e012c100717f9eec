"""What a person sees: progress with the time left, plain lines when piped, tables that fit a terminal."""

from __future__ import annotations

import io
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import rich.box
import rich.console
import rich.markup
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from mer_data.problems import shown

Cell = str | tuple[str, ...]  # of a table: a text, or lines of one
_SECONDS_BETWEEN_LINES = 10.0
_TELLS = 2  # pieces that are done; one alone says little about the others
_NEW = 0.3  # the weight of a new estimate of the time left
_LINES = "\n\t"  # what texts of several lines keep
_LOG_WIDTH = 160  # of tables in a file, which has no terminal's
_PIPED_WIDTH = 1000


def duration(seconds: float) -> str:
    """Seconds in words: ``45 s``, ``3 min 20 s``, ``2 h 05 min``, ``3 days 4 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} days {whole % 86400 // 3600} h"


def _clock() -> str:
    return time.strftime("%H:%M:%S")


class Advance:
    """One running piece of work: how much is done, and how long the rest takes."""

    def __init__(self, title: str, total: int, unit: str, bar: tuple[Progress, TaskID] | None) -> None:
        self._title, self._total, self._unit, self._bar = title, total, unit, bar
        self._done = 0
        self._left: tuple[float, float] | None = None  # as said last, and when
        self._start = self._said = time.monotonic()

    def advance(
        self,
        count: int,
        note: str = "",
        seconds_left: float | None = None,
        total: int | None = None,
        part: float = 0.0,
    ) -> None:
        """Count work as done.

        Parameters
        ----------
        count
            How much.
        note
            What is being worked on.
        seconds_left
            A better estimate than the mean rate so far, if the caller has one; NaN if nobody can tell yet.
        total
            How much there is in all, if that was not known at the start.
        part
            How much of what is not done yet is done nearly: the sum over pieces, each less than one.
        """
        self._total = total or self._total
        self._done += count
        now = time.monotonic()
        done = self._done + part
        rate = done / max(now - self._start, 1e-9)
        if seconds_left is None and done >= _TELLS:
            seconds_left = (self._total - done) / rate
        status = f"{rate:.1f} {self._unit}/s" if rate >= 1 else f"{1 / rate:.0f} s for each" if rate else ""
        if self._done < self._total and seconds_left is not None and not math.isnan(seconds_left):
            status += f", {duration(self._smoothed(seconds_left, now))} left"
        status = "; ".join(filter(None, (note, status)))
        if self._bar:
            bar, task = self._bar
            bar.update(task, completed=done, total=self._total, status=status, count=f"{self._done}/{self._total}")
        elif now - self._said >= _SECONDS_BETWEEN_LINES or self._done == self._total:
            self._said = now
            print(
                f"{self._title}: {self._done}/{self._total} {self._unit}, {status}",
                file=sys.stderr,
                flush=True,
            )

    def _smoothed(self, left: float, now: float) -> float:
        """The time left, without the jumps of single estimates."""
        if self._left is not None:
            expected = max(self._left[0] - (now - self._left[1]), 0.0)
            left = expected + (left - expected) * _NEW
        self._left = left, now
        return left

    def reach(self, done: int, total: int) -> None:
        """Count up to `done` of `total`; a callback for work that counts by itself."""
        self.advance(done - self._done, total=total)


class Console:
    """Progress and remarks go to standard error, tables to standard output.

    Parameters
    ----------
    json
        Standard output is kept for a JSON document: tables go to standard error too.
    """

    def __init__(self, *, json: bool = False) -> None:
        self._err = rich.console.Console(stderr=True, highlight=False)
        # Standard output as it is now: while Ray runs, what it says there is sent elsewhere.
        self._out = self._err if json else rich.console.Console(file=sys.stdout, highlight=False)
        if not self._out.is_terminal:
            self._out.width = _PIPED_WIDTH  # nothing is broken that a program may read
        # Kept until there is a file for it: much is said before it is known where results go.
        self._log: TextIO = io.StringIO()

    @contextmanager
    def logged(self, path: Path) -> Iterator[None]:
        """Keep everything that is said, also before, in a file as well; another run's is added to it."""
        before, started = self._log, time.strftime("%Y-%m-%d %H:%M:%S%z")
        with path.open("a", encoding="utf-8", buffering=1) as file:  # a line at a time, whatever ends this process
            file.write(f"=== {started}\n{before.getvalue() if isinstance(before, io.StringIO) else ''}")
            self._log = file
            try:
                yield
            except BaseException as error:
                file.write(f"{_clock()} ended by {type(error).__name__}: {error}\n")
                raise
            finally:
                self._log = io.StringIO()

    def say(self, text: str) -> None:
        """A remark."""
        text = shown(text, _LINES)
        self._err.print(text, markup=False, soft_wrap=True)
        self._log.write(f"{_clock()} {text.strip()}\n")

    def warn(self, text: str) -> None:
        """A remark that must not be overlooked."""
        text = shown(text, _LINES)
        self._err.print(text, style="yellow", markup=False, soft_wrap=True)
        self._log.write(f"{_clock()} warning: {text.strip()}\n")

    def note(self, text: str, *, dim: bool = False) -> None:
        """A remark below a table, on standard output."""
        text = shown(text, _LINES)
        self._out.print(text, markup=False, style="dim" if dim else None)
        self._log.write(f"{text}\n")

    @contextmanager
    def progress(self, title: str, total: int, unit: str) -> Iterator[Advance]:
        """A progress bar on a terminal, a line every few seconds elsewhere."""
        title = shown(title)
        if not self._err.is_terminal:
            self.say(f"{title}: 0/{total} {unit}" if total else title)
            yield Advance(title, total, unit, None)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[status]}"),
        )
        with Progress(*columns, console=self._err) as bar:
            yield Advance(title, total, unit, (bar, bar.add_task(title, total=total, status="", count=f"0/{total}")))

    def table(self, title: str, header: Sequence[Cell], rows: Sequence[Sequence[Cell]]) -> None:
        """A table on standard output; text stands to the left, numbers to the right.

        Where a terminal is too narrow for its numbers, each row is told under its first cell.
        """
        heads, told = [_lines(name) for name in header], [[_lines(cell) for cell in row] for row in rows]
        table = Table(
            title=rich.markup.escape(shown(title)),
            title_justify="left",
            box=rich.box.SIMPLE_HEAD,
            pad_edge=False,
            collapse_padding=True,
        )
        for index, name in enumerate(heads):
            numeric = bool(told) and all(row[index][0][:1].isdigit() or row[index][0] in ("", "-") for row in told)
            table.add_column(_joined(name), justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
        for row in told:
            table.add_row(*map(_joined, row))
        narrow = table.__rich_measure__(self._out, self._out.options).minimum > self._out.width
        self._out.print(_stacked(shown(title), heads, told, self._out.width) if narrow else table)
        rich.console.Console(file=self._log, width=_LOG_WIDTH, color_system=None).print(table)


def _lines(cell: Cell) -> list[str]:
    return [shown(line) for line in ((cell,) if isinstance(cell, str) else cell)]


def _joined(lines: Sequence[str]) -> str:
    return "\n".join(map(rich.markup.escape, lines))


def _stacked(title: str, heads: Sequence[Sequence[str]], rows: Sequence[Sequence[Sequence[str]]], width: int) -> Text:
    lines = [title]
    for first, *others in rows:
        cells = zip(heads[1:], others, strict=True)
        named = [f"{' '.join(head)} {' '.join(cell)}" for head, cell in cells if any(cell)]
        lines += [" ".join(first), *(f"  {text}" for text in named[:1])]
        for text in named[1:]:
            if len(lines[-1]) + 2 + len(text) <= width:
                lines[-1] += f"  {text}"
            else:
                lines.append(f"  {text}")
    return Text("\n".join(lines) + "\n")
