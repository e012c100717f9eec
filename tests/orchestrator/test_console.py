"""What a person sees: tables, the time left, and a first word."""

from __future__ import annotations

import io
import re
import time
from typing import Any

import pytest
import rich.console

from orchestrator.cli import commands as cli
from orchestrator.console import Advance, Console

HEADER = ("model", "UF1", ("95 % of", "UF1"), "UAR", "accuracy", ("oracle:", "subject"))
ROWS = [("micro_attention_caffe [1] 66/68", ("0.6772", "(0.672-0.683)"), "0.59-0.74", "0.6653", "0.7222", "0.8014")]


def shown(width: int | None) -> str:
    """The table on a terminal of some width, or piped."""
    console = Console()
    if width is not None:
        console._out = rich.console.Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    else:
        console._out.file = io.StringIO()
    console.table("composite: 68 subjects held out in turn", HEADER, ROWS)
    written = console._out.file
    assert isinstance(written, io.StringIO)
    return re.sub(r"\x1b\[[0-9;]*m", "", written.getvalue())


@pytest.mark.parametrize("width", [40, 60, 80, 140, None])
def test_numbers_are_never_broken(width: int | None) -> None:
    told = shown(width)
    for number in ("0.6772", "(0.672-0.683)", "0.59-0.74", "0.6653", "0.7222", "0.8014"):
        assert number in told
    if width is not None:
        assert max(map(len, told.splitlines())) <= width
    if width is None or width >= 140:
        assert "micro_attention_caffe [1] 66/68" in told
    if width is not None and width <= 60:
        assert "95 % of UF1 0.59-0.74" in told, "a number stands without its head"


_UNITS = (3600, 60, 1)


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr("time.monotonic", lambda: self.now)


def test_the_time_left_is_said_after_two_pieces_and_does_not_jump(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("orchestrator.console._SECONDS_BETWEEN_LINES", 0.0)
    clock = Clock(monkeypatch)
    work, left = Advance("folds", 100, "folds", None), []
    for seconds in (1, 1, 1, 100, 1):
        clock.now += seconds
        work.advance(1)
        said = re.search(r"(?:(\d+) h )?(?:(\d+) min )?(?:(\d+) s )?left", capsys.readouterr().err)
        left.append(
            sum(int(part or 0) * unit for part, unit in zip(said.groups(), _UNITS, strict=True)) if said else -1
        )
    assert left[0] == -1
    assert left[1:3] == [98, 97]
    assert 97 < left[3] < 103 * 96 / 4 / 2, "one slow piece decides"


def test_a_command_that_takes_long_says_a_word_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def slow(*_: Any, **__: Any) -> int:
        time.sleep(0.2)
        return 0

    monkeypatch.setattr(cli, "_QUIET", 0.02)
    monkeypatch.setattr(cli.mer, "main", slow)
    with pytest.raises(SystemExit):
        cli.main(["score", "runs/x"])
    assert capsys.readouterr().err == "mer score: one moment\n"
    monkeypatch.setattr(cli.mer, "main", lambda *_, **__: 0)
    with pytest.raises(SystemExit):
        cli.main(["score", "runs/x"])
    time.sleep(0.1)
    assert not capsys.readouterr().err
