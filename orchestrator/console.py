"""What a person sees: progress with the time left, plain lines when piped, tables that fit a terminal."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import rich.box
import rich.console
import rich.markup
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

_SECONDS_BETWEEN_LINES = 10.0
_CHOSEN = {"last": "last epoch", "inner": "chosen on inner subjects"}


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

    def say(self, text: str) -> None:
        """A remark."""
        self._err.print(text, markup=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """A remark that must not be overlooked."""
        self._err.print(text, style="yellow", markup=False, soft_wrap=True)

    @contextmanager
    def progress(self, title: str, total: int, unit: str) -> Iterator[Advance]:
        """A progress bar on a terminal, a line every few seconds elsewhere."""
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
        table = Table(title=title, title_justify="left", box=rich.box.SIMPLE_HEAD, pad_edge=False)
        for index, name in enumerate(header):
            numeric = bool(rows) and all(row[index][:1].isdigit() or row[index] in ("", "-") for row in rows)
            table.add_column(name, justify="right" if numeric else "left", overflow="fold")
        for row in rows:
            table.add_row(*(rich.markup.escape(cell) for cell in row))
        self._out.print(table)

    def leaderboard(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """The headline tables of an experiment, one per dataset, from :func:`orchestrator.report.leaderboard.board`."""
        if not lines:
            self.warn("no fold is done yet, so there is no leaderboard")
            return
        header = ("model", "UF1", "95 %", "UAR", "acc.", "subject", "epoch")
        for dataset, rows in _by_dataset(lines).items():
            changed = list(dict.fromkeys(row["configuration"] for row in rows if row["configuration"] != "recipe"))
            cells = []
            for row in rows:
                mark = f" [{changed.index(row['configuration']) + 1}]" if row["configuration"] in changed else ""
                lack = "" if row["complete"] else f" {row['jobs_done']}/{row['jobs_planned']}"
                oracle = (f"{one['uf1']:.4f}" for one in row["oracle"].values())
                cells.append((f"{row['model']}{mark}{lack}", *_scores(row), *oracle))
            seeds = f", mean of {rows[0]['seeds']} seeds" if rows[0]["seeds"] > 1 else ""
            how = {
                "loso": "{} subjects held out in turn, {}, pooled",
                "lodo": "{} datasets held out in turn, {}, pooled",
                "hde": "{} runs from one dataset to another, {}, mean of the runs",
            }[rows[0]["protocol"]].format(rows[0]["folds"], _CHOSEN[rows[0]["rule"]])
            whole = "" if all(row["complete"] for row in rows) else "NOT COMPLETE, "
            if rows[0]["missing_clips"]:
                whole += f"{rows[0]['missing_clips']} CLIPS MISSING, "
            title = f"{dataset}: {whole}{how}{seeds}"
            self.table(title, header, cells)
            for number, configuration in enumerate(changed, 1):
                searched = any(row["searched"] for row in rows if row["configuration"] == configuration)
                told = configuration if searched else f"the published recipe with {configuration}"
                self._out.print(f"[{number}] {told}", markup=False)
            self._searches([row for row in rows if row["search"]])
            self._absent_classes(rows)
        self._out.print(
            "95 %: UF1 when subjects are drawn anew.\n"
            "subject, epoch: ORACLES, not results: the UF1 that choosing the best epoch on\n"
            "the test subjects (per subject; one for all) would have shown.",
            style="dim",
        )

    def _searches(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """What the searches tried, and their three scores side by side."""
        tried = [row for row in rows if row["search"]["configurations"]["proposed"] > 1]
        if not tried:
            return
        header = ("search", "nested", "95 %", "BBC", "95 %", "naive", "95 %")
        cells = []
        for row in tried:
            scores = [part for one in (row, row["search"]["bbc"], row["search"]["naive"]) for part in _interval(one)]
            cells.append((row["model"], *scores))
        self.table("UF1 of the searches", header, cells)
        for row in tried:
            found = row["search"]
            counts, grid = found["configurations"], found["trainings"] + found["avoided"]
            self._out.print(
                f"{row['model']}: {counts['proposed']} configurations, {counts['pruned']} stopped as worse, "
                f"{counts['failed']} failed; the races used {found['trainings']} of {grid} folds",
                markup=False,
            )
        self._out.print(
            "nested: chosen for each subject without looking at it, then trained again; the result.\n"
            "BBC: the best configuration's score, corrected for having been chosen by it.\n"
            "naive: that score as it is; NOT a result.",
            style="dim",
        )

    def scores(self, document: Mapping[str, Any]) -> None:
        """The tables of ``mer score``, one per dataset: every row, over all clips and per source dataset."""
        oracle = ", an ORACLE: it looks at the test subjects" if document["oracle"] else ""
        lack = "" if document["complete"] else "; NOT COMPLETE, folds are missing"
        header = ("model", "scope", "clips", "folds", "UF1", "95 %", "UAR", "acc.")
        for dataset, rows in _by_dataset(document["rows"]).items():
            cells = [(row["model"], row["scope"], str(row["clips"]), str(row["folds"]), *_scores(row)) for row in rows]
            self.table(f"{dataset}, rule {document['rule']}{oracle}{lack}", header, cells)
            self._absent_classes(rows)

    def _absent_classes(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Say which scopes lack a class: their scores are means over fewer classes."""
        for scope in dict.fromkeys(row["scope"] for row in rows):
            row = next(row for row in rows if row["scope"] == scope)
            absent = [name for name in row["classes"] if name not in row["classes_scored"]]
            if absent:
                self._out.print(f"{scope}: no clips of {', '.join(absent)}; scores are means over the other classes")


def _by_dataset(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    return {name: [row for row in rows if row["dataset"] == name] for name in dict.fromkeys(r["dataset"] for r in rows)}


def _interval(one: Mapping[str, Any]) -> tuple[str, str]:
    low, high = one["uf1_interval"]
    return f"{one['uf1']:.4f}", f"{low:.2f}-{high:.2f}"


def _scores(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """UF1, its interval, UAR and accuracy, as every table writes them."""
    uf1, between = _interval(row)
    spread = "" if row["uf1_seed_sd"] is None else f" ±{row['uf1_seed_sd']:.3f}"
    return f"{uf1}{spread}", between, f"{row['uar']:.4f}", f"{row['accuracy']:.4f}"
