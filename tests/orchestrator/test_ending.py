"""The program ends at once, and loses nothing by it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LEAVE = "from orchestrator.cli.ending import leave\n"


def python(code: str, *arguments: str, output: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, env=environment, check=False)


@pytest.mark.parametrize(("status", "code"), [("None", 0), ("0", 0), ("1", 1), ("2", 2), ("130", 130)])
def test_the_status_is_kept_and_nothing_that_was_said_is_lost(status: str, code: int) -> None:
    said = f"import sys\nsys.stdout.write('x' * 100_000)\nleave({status})\nprint('not left')"
    done = python(LEAVE + said)
    assert (done.returncode, len(done.stdout), done.stderr) == (code, 100_000, "")


def test_what_others_want_done_at_the_end_is_done() -> None:
    done = python(LEAVE + "import atexit, weakref\nclass A: pass\na = A()\nweakref.finalize(a, print, 'removed')\n"
                  "atexit.register(print, 'sent')\nleave(0)")  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "sent\nremoved\n")


def test_other_threads_are_waited_for() -> None:
    late = "import threading, time\ndef late():\n    time.sleep(0.3)\n    print('written')\n"
    done = python(LEAVE + late + "threading.Thread(target=late).start()\nleave(0)\nraise SystemExit(1)")
    assert (done.returncode, done.stdout) == (1, "written\n"), "it must return while a thread works"


def test_a_text_is_left_to_python() -> None:
    done = python(LEAVE + "leave('no project')\nraise SystemExit('no project')")
    assert (done.returncode, done.stderr) == (1, "no project\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is full")
def test_an_output_that_cannot_be_written_is_no_success() -> None:
    with Path("/dev/full").open("w") as full:
        done = python(LEAVE + "print('x')\nleave(0)", output=full.fileno())
    assert (done.returncode, "No space left" in done.stderr) == (120, True)


def test_commands_end_with_their_status() -> None:
    mer = "from orchestrator.cli.commands import main\nmain()"
    assert python(mer, "--version").returncode == 0
    unknown = python(mer, "status", "no/such/folder")
    assert unknown.returncode == 2
    assert "no/such/folder" in unknown.stderr
    assert python(mer, "no-such-command").returncode == 2
