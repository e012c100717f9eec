"""Being told to stop is neither lost nor told as something else."""

import os
import signal
import threading

import pytest

from orchestrator.cli import commands as cli
from orchestrator.machines.interruption import put_off, stoppable, stopped_status
from orchestrator.machines.ray_internals import without_its_sigterm


def tell(number: int) -> None:
    os.kill(os.getpid(), number)
    threading.Event().wait(0.01)  # Python sees to signals between two steps


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_sigterm_is_told_like_ctrl_c(
    number: int, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli.mer, "main", lambda *_, **__: tell(number))
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["models"])
    assert stopped.value.code == status
    assert capsys.readouterr().err == "stopped; the same command continues from here\n"
    assert signal.getsignal(number) is before


def start(passed: list[str], *numbers: int, fails: bool = False) -> None:
    """Start something, be told to stop meanwhile, and go on."""
    with stoppable():
        with put_off():
            for number in numbers:
                tell(number)
                passed.append("started")
            if fails:
                raise OSError
        passed.append("went on")


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_waits_where_it_would_be_lost(number: int, fails: bool) -> None:
    passed: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        start(passed, number, fails=fails)
    assert passed == ["started"]
    assert stopped_status() == 128 + number


def test_the_second_time_does_not_wait() -> None:
    passed: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        start(passed, signal.SIGTERM, signal.SIGINT)
    assert passed == ["started"]


def test_who_is_not_the_command_keeps_its_handlers() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with put_off():
        assert signal.getsignal(signal.SIGTERM) is before


def test_ray_does_not_take_sigterm_for_itself() -> None:
    from ray._private import utils

    before = signal.getsignal(signal.SIGTERM)
    with without_its_sigterm():
        utils.set_sigterm_handler(lambda *_: None)
    assert signal.getsignal(signal.SIGTERM) is before
