"""That no worker comes is told, with the place of Ray's log; on one machine it ends the run. No Ray is started."""

import threading
import time
from pathlib import Path

import pytest

from mer_data.problems import BadInput
from orchestrator.console import Console
from orchestrator.machines import watchdog
from orchestrator.machines.watchdog import waited_for


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "_MINUTES", 0.1 / 60)
    monkeypatch.setattr(watchdog, "keep_log", lambda: Path("/home/logs"))


def test_on_this_machine_the_run_ends(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "on_standing_cluster", lambda: False)
    told = r"^Ray: no worker has come within 0 minutes \(its log says why: /home/logs\)$"
    with pytest.raises(BadInput, match=told), waited_for(threading.Event(), Console()):
        time.sleep(20)
    assert capsys.readouterr().err.count("no worker has come within 0 minutes; Ray's log: /home/logs") == 2


def test_a_cluster_is_waited_for(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "on_standing_cluster", lambda: True)
    with waited_for(threading.Event(), Console()):
        time.sleep(1)
    assert capsys.readouterr().err.count("no worker has come") > 3


def test_nothing_is_said_once_one_has_come(capsys: pytest.CaptureFixture[str]) -> None:
    came = threading.Event()
    came.set()
    with waited_for(came, Console()):
        time.sleep(0.5)
    assert capsys.readouterr().err == ""


def test_ctrl_c_is_still_ctrl_c() -> None:
    with pytest.raises(KeyboardInterrupt), waited_for(threading.Event(), Console()):
        raise KeyboardInterrupt
