"""Who can reach the Ray of a local run: this user, from this machine, with its token; and what it lives with."""

import http.client
import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import drivers
import pytest
import ray
from blobs import blob_clips, write_blobs

from mer_data.storage.store import Store
from orchestrator.machines import local_ray
from orchestrator.output.ledger import Ledger

ROOT = Path(__file__).resolve().parents[3]
EXPERIMENT = """\
name: local
store: {store}
datasets: [blobs]
models: [majority, ststnet]
recipes:
  ststnet: {{epochs: {epochs}, batch_size: 8, order: shuffled, keep_every: 10}}
"""


def listening(pids: set[int]) -> set[tuple[str, int]]:
    """Addresses and ports on which some processes wait for connections."""
    sockets = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                sockets.add(str(link.readlink()))
            except FileNotFoundError:
                continue
    found = set()
    for file in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{file}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                address, port = fields[1].split(":")
                found.add((plain(address), int(port, 16)))
    return found


def plain(address: str) -> str:
    """An address as /proc has it, in the usual form; IPv4 in IPv6 as IPv4."""
    words = [bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8)]
    packed = b"".join(words)
    if len(packed) == 4 or packed[:12] == bytes(10) + b"\xff\xff":
        return socket.inet_ntop(socket.AF_INET, packed[-4:])
    return socket.inet_ntop(socket.AF_INET6, packed)


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="sockets are listed in /proc, on Linux")
def test_all_processes_listen_on_loopback_only(ray_session: None) -> None:
    ray.get(ray.remote(lambda: None).remote())
    here = set(drivers.below(os.getpid()))
    found = listening(here)
    assert len(found) >= 4  # the driver, a worker, and those of Ray itself
    assert {address for address, _ in found} <= {"127.0.0.1", "::1"}


def test_its_folder_is_private(ray_session: None) -> None:
    folder = local_ray.keep_log().parents[2]
    assert folder.stat().st_mode & 0o777 == 0o700
    (folder / "keep").unlink()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_blobs(Store(tmp_path / "store"), "blobs", blob_clips(6, 3))
    (tmp_path / "short.yaml").write_text(EXPERIMENT.format(store=tmp_path / "store", epochs=10))
    (tmp_path / "long.yaml").write_text(EXPERIMENT.format(store=tmp_path / "store", epochs=20000))
    return tmp_path


INTRUDER = """
import os, sys
token, mode, port = sys.argv[1:]
os.environ.update(HOME="/nonexistent", RAY_AUTH_MODE=mode, RAY_AUTH_TOKEN="0" * 64)
from ray._raylet import GcsClient
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
try:
    print("read", open(token).read())
except PermissionError:
    client = GcsClient(address=f"127.0.0.1:{port}")
    client.internal_kv_put(b"key", b"value", True, b"intruder")
    print("came in")
"""


def answer(port: int) -> int | None:
    """What a server of Ray's answers to a request to run something: a status, or nothing if it knows no HTTP."""
    url = f"http://127.0.0.1:{port}/get_or_create_runtime_env"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, b"x"), timeout=5) as page:
            return int(page.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, http.client.HTTPException):
        return None


@pytest.mark.fault
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_user_of_the_machine_cannot_join(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE")
    run = drivers.start(folder, "run", "long.yaml", "--out", "out")
    try:
        drivers.wait_for(lambda: len(Ledger(folder / "out/ledger").ids()) >= 2, run)
        found = listening(set(drivers.below(run.pid)))
        assert {address for address, _ in found} <= {"127.0.0.1", "::1"}
        (gcs,) = drivers.workers(run.pid, "gcs_server")
        environment = Path(f"/proc/{gcs}/environ").read_text().split("\0")
        token = dict(entry.split("=", 1) for entry in environment if "=" in entry)["RAY_AUTH_TOKEN_PATH"]
        assert Path(token).stat().st_mode & 0o777 == 0o600
        for mode in ("disabled", "token"):
            for _, port in listening({gcs}):
                command = ["timeout", "30", sys.executable, "-c", INTRUDER, token, mode, str(port)]
                tried = subprocess.run(command, capture_output=True, text=True, check=False)
                assert tried.stdout == ""
                assert tried.returncode
                assert "InvalidAuthToken" in tried.stderr
        for _, port in found:
            assert answer(port) in (None, 401, 403), port
    finally:
        run.terminate()
        drivers.end(run)
    assert not Path(token).parent.exists()


@pytest.mark.fault
@pytest.mark.parametrize("where", ["a blank in the path", "no home", "a long temporary folder", "small shared memory"])
def test_a_run_comes_to_its_end_with(where: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE")
    python, environment = [sys.executable], {"PYTHONPATH": str(ROOT), "RAY_TMPDIR": str(folder)}
    if where == "a blank in the path":
        drive = folder / "My Drive"
        drive.mkdir()
        (drive / "venv").symlink_to(sys.prefix)
        (drive / "clone").symlink_to(ROOT)
        python, environment = [str(drive / "venv/bin/python")], {"PYTHONPATH": str(drive / "clone")}
    elif where == "no home":
        environment["HOME"] = "/proc/nobody"
    elif where == "a long temporary folder":
        environment["TMPDIR"] = str(folder / ("job." * 20))
        Path(environment["TMPDIR"]).mkdir()
    else:
        if os.geteuid() or shutil.which("unshare") is None:
            pytest.skip("only root can mount a small /dev/shm")
        mount = 'mount -t tmpfs -o size=64m tmpfs /dev/shm && exec "$@"'
        python = ["unshare", "--mount", "sh", "-c", mount, "sh", *python]
    command = [*python, "-m", "orchestrator.cli.commands", "run", "short.yaml", "--out", "out"]
    told = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=False
    )
    assert told.returncode == 0, told.stderr
    assert "Traceback" not in told.stderr
    assert len(Ledger(folder / "out/ledger").ids()) == 12
