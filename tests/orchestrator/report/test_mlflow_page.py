"""The page that `mer ui` opens, in a browser."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

import pytest

from orchestrator.cli import commands as cli
from orchestrator.experiment.plan import Plan
from orchestrator.output.ledger import Ledger
from orchestrator.report.mlflow_mirror.cells import sync
from orchestrator.report.predictions import score_cells

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None, reason="no Chromium: apt-get install chromium")
def test_the_page_opens_on_the_scores(searched_out: Path, listed_out: Path, tmp_path: Path) -> None:
    for name, made in {"searched": searched_out, "listed": listed_out}.items():
        out = tmp_path / "runs" / name
        shutil.copytree(made, out)
        plan = Plan.load(out / "plan.json")
        sync(plan, score_cells(plan, Ledger(out / "ledger"), partial=True), out)
    command = [sys.executable, "-m", "orchestrator.cli.commands", "ui", str(out), "--port", str(free_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as page:
        try:
            assert page.stdout is not None
            address = page.stdout.readline().strip()
            wait_for(address.partition("#")[0])
            shown = dom(address, tmp_path)
        finally:
            os.killpg(page.pid, signal.SIGINT)
    heads = re.findall(r'col-id="([^"]+)"[^>]*role="columnheader"|role="columnheader"[^>]*col-id="([^"]+)"', shown)
    columns = {first or second for first, second in heads}
    told = re.sub(r"<[^>]+>", " ", shown)
    for name in ("uf1", "uar", "accuracy", "params", "flops"):
        assert any(name in column for column in columns), (name, columns)
    assert "majority @ blobs" in told
    assert "ststnet @ blobs (best of 6)" in told
    assert "#0, " not in told, "configurations of searches are shown"


def dom(address: str, folder: Path) -> str:
    """The page after its programs have run."""
    assert BROWSER is not None
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}", "--dump-dom"]
    options += ["--window-size=2400,1200", "--virtual-time-budget=60000", "--timeout=60000"]
    return subprocess.run([BROWSER, *options, address], capture_output=True, text=True, timeout=240, check=True).stdout


def wait_for(address: str) -> None:
    deadline = monotonic() + 180
    while monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(address, timeout=5):  # noqa: S310 - our own page
            return
        sleep(0.5)
    raise AssertionError("the page does not come up")


def test_a_taken_port_and_a_folder_without_runs_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["ui", str(tmp_path / "runs/x")])
    assert stopped.value.code == 2
    assert "has no runs of this program yet (mer track sync" in capsys.readouterr().err
