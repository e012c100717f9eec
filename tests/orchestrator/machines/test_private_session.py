"""What Ray cannot live with is mended or told before it starts. No Ray is started."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mer_data.problems import BadInput
from orchestrator.machines import local_ray
from orchestrator.machines.private_session import open_session, quoted_python

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder with a short name, which is looked at first."""
    with tempfile.TemporaryDirectory(prefix="", dir="/tmp") as made:
        monkeypatch.setenv("RAY_TMPDIR", made)
        yield Path(made)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_folder_and_the_token_are_private_and_go(place: Path) -> None:
    session = open_session()
    assert session.folder.parent == place
    assert mode(session.folder) == 0o700
    assert mode(session.token) == 0o600
    assert len(session.token.read_text()) == 64
    session.close()
    assert not list(place.iterdir())


def test_a_long_temporary_folder_is_not_used(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm's have the job's number and the user's name in theirs."""
    longer = place / ("x" * 40)
    longer.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(longer))
    session = open_session()
    try:
        sockets = f"{session.folder}/r/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
        assert len(sockets) <= 107
        assert longer not in session.folder.parents
    finally:
        session.close()


@pytest.mark.parametrize("why", ["is full", "cannot be used: Permission denied", "cannot be used: No such file"])
def test_where_no_place_is_fit_it_is_told(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def usage(place: Path) -> SimpleNamespace:
        if "Permission" in why:
            raise PermissionError(13, "Permission denied", str(place))
        if "No such" in why:
            raise FileNotFoundError(2, "No such file or directory", str(place))
        return SimpleNamespace(free=10**6)

    monkeypatch.setattr("shutil.disk_usage", usage)
    with pytest.raises(BadInput, match=rf"{why}.*; .*make room, or set RAY_TMPDIR"):
        open_session()


def test_what_ended_runs_left_is_removed_and_nothing_else(place: Path) -> None:
    running = open_session()
    killed = place / "mer.abcdefgh"
    killed.mkdir()
    (killed / "driver").touch()
    being_made, others = place / "mer.12345678", place / "mermaids"
    being_made.mkdir()
    others.mkdir()
    open_session().close()
    assert set(place.iterdir()) == {running.folder, being_made, others}
    running.close()


@pytest.mark.parametrize("tries", [1, 1000])
def test_what_ray_still_writes_into_is_removed_when_it_has_ended(
    tries: int, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, remove, left = open_session(), shutil.rmtree, [tries]
    session.rays.mkdir()

    def busy(path: Path, **how: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            remove(path, **how)

    monkeypatch.setattr("shutil.rmtree", busy)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    session.close()
    assert session.folder.exists() == (tries > 1)
    left[0] = 0
    open_session().close()  # the next run
    assert not session.folder.exists()


def test_a_log_that_was_named_is_kept_for_a_day(place: Path) -> None:
    session = open_session()
    log = session.keep_log()
    session.close()
    assert session.folder in log.parents
    open_session().close()
    assert session.folder.exists()
    old = time.time() - 25 * 3600
    os.utime(session.folder / "keep", (old, old))
    open_session().close()
    assert not session.folder.exists()


def test_address_space_that_is_too_short_is_told(place: Path) -> None:
    code = "from orchestrator.machines.private_session import open_session; open_session()"
    script = f"ulimit -v 3000000; exec '{sys.executable}' -c '{code}'"
    ran = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "BadInput: this shell: limits each process to 2.9 GB of address space; Ray needs 8 GB" in ran.stderr


def test_a_limit_that_may_be_raised_is(place: Path) -> None:
    code = "import resource; from orchestrator.machines.private_session import open_session; open_session().close(); "
    code += "assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY"
    script = f"ulimit -S -v 3000000; exec '{sys.executable}' -c '{code}'"
    subprocess.run(["bash", "-c", script], cwd=ROOT, check=True)


def test_a_blank_in_pythons_path_reaches_rays_shell_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert quoted_python() is None
    monkeypatch.setattr("sys.executable", "/home/x/My Drive/bin/python")
    assert quoted_python() == "'/home/x/My Drive/bin/python'"


@pytest.mark.parametrize("fails", [1, 2])
def test_ray_that_does_not_start_is_started_once_more(place: Path, fails: int, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    def init(**settings: object) -> None:
        started.append(str(settings["_temp_dir"]))
        if len(started) <= fails:
            raise Exception("The current node timed out during startup. This could happen\nbecause")

    monkeypatch.setattr("ray.init", init)
    monkeypatch.setattr("ray.shutdown", lambda: None)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    if fails == 1:
        local_ray.start_local(2)
        assert os.environ["RAY_AUTH_TOKEN_PATH"] == f"{Path(started[1]).parent}/token"
    else:
        with pytest.raises(BadInput, match=r"^Ray: does not start on this machine: The current node.*\)$") as told:
            local_ray.start_local(2)
        assert f"Ray's log: {started[1]}/session_latest/logs" in str(told.value)
    assert len(started) == 2
    local_ray.stop_local()
    assert "RAY_AUTH_TOKEN_PATH" not in os.environ
