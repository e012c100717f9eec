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

from mer_data.problems import shown

_SECONDS_BETWEEN_LINES = 10.0
_LINES = "\n\t"  # what texts of several lines keep
_LOG_WIDTH = 160  # of tables in a file, which has no terminal's


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
        self._start = self._said = time.monotonic()

    def advance(self, count: int, note: str = "", seconds_left: float | None = None, total: int | None = None) -> None:
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
        """
        self._total = total or self._total
        self._done += count
        now = time.monotonic()
        rate = self._done / max(now - self._start, 1e-9)
        left = (self._total - self._done) / rate if seconds_left is None and self._done else seconds_left
        status = f"{rate:.1f} {self._unit}/s" if rate >= 1 else f"{1 / max(rate, 1e-9):.0f} s for each"
        if self._done < self._total and left is not None and not math.isnan(left):
            status += f", {duration(left)} left"
        if note:
            status = f"{note}; {status}"
        if self._bar:
            bar, task = self._bar
            bar.update(task, completed=self._done, total=self._total, status=status)
        elif now - self._said >= _SECONDS_BETWEEN_LINES or self._done == self._total:
            self._said = now
            print(
                f"{self._title}: {self._done}/{self._total} {self._unit}, {status}",
                file=sys.stderr,
                flush=True,
            )

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
            TextColumn("{task.completed}/{task.total}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[status]}"),
        )
        with Progress(*columns, console=self._err) as bar:
            yield Advance(title, total, unit, (bar, bar.add_task(title, total=total, status="")))

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table on standard output; text stands to the left, numbers to the right."""
        title, header = _cell(title), [_cell(name) for name in header]
        table = Table(title=title, title_justify="left", box=rich.box.SIMPLE_HEAD, pad_edge=False)
        for index, name in enumerate(header):
            numeric = bool(rows) and all(row[index][:1].isdigit() or row[index] in ("", "-") for row in rows)
            table.add_column(name, justify="right" if numeric else "left", overflow="fold")
        for row in rows:
            table.add_row(*(_cell(cell) for cell in row))
        self._out.print(table)
        rich.console.Console(file=self._log, width=_LOG_WIDTH, color_system=None).print(table)


def _cell(text: str) -> str:
    """A text that neither rich nor a terminal takes for an order."""
    return rich.markup.escape(shown(text))
