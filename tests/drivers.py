"""The command line as a process of its own, to be killed, starved and resumed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def start(folder: Path, *arguments: str | Path, **environment: str) -> subprocess.Popen[bytes]:
    """Start ``mer`` in a folder, as a driver with a Ray of its own: neither the tests' Ray nor its address."""
    inherited = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    inherited["RAY_TMPDIR"] = str(folder)  # where no cluster has left its address
    return subprocess.Popen(
        [sys.executable, "-m", "orchestrator.cli.commands", *map(str, arguments)],
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def end(run: subprocess.Popen[bytes], seconds: float = 300) -> tuple[int, str, str]:
    """Wait for a driver: exit status, standard output, standard error."""
    output, errors = run.communicate(timeout=seconds)
    return run.returncode, output.decode(), errors.decode()


def finish(folder: Path, *arguments: str | Path, **environment: str) -> Any:
    """Run a command with ``--json`` to its end; its document."""
    status, output, errors = end(start(folder, *arguments, "--json", **environment))
    assert status == 0, errors
    return json.loads(output)


def wait_for(condition: Callable[[], object], run: subprocess.Popen[bytes], seconds: float = 240) -> None:
    """Wait until something is the case while a driver runs."""
    deadline = time.monotonic() + seconds
    while not condition() and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert run.poll() is None, "the run ended before it could be disturbed"


def workers(driver: int, name: str) -> list[int]:
    """Process ids of a driver's Ray workers whose title contains a text."""
    return [pid for pid, title in below(driver).items() if name in title]


def below(driver: int) -> dict[int, str]:
    """The titles of a process and of all that it has started, by process id."""
    listed = subprocess.run(["ps", "-ww", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    parents = {int(row[0]): int(row[1]) for row in rows}

    def is_below(pid: int) -> bool:
        return pid == driver or (pid in parents and is_below(parents[pid]))

    return {int(row[0]): row[2] for row in rows if is_below(int(row[0]))}
