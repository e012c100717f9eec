"""Actors, drivers and disks fail in the middle; the same command again gives the files of an undisturbed run."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mer_data.formats import import_dataset
from mer_data.store import Store
from mer_data.synthetic import make_casme2

pytestmark = pytest.mark.fault

ROOT = Path(__file__).resolve().parents[2]
# Two features that share a clip's frames, one of which takes long enough to be in the middle of.
EXPERIMENT = "name: faults\nstore: {store}\ndatasets: [casme2]\nmodels: [ststnet, hoof_svm]\n"
SUBJECTS = 4
CACHES = ("frames.json", "verified.json")


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dest = tmp_path_factory.mktemp("twin") / "CASME2"
    make_casme2(dest, subjects=SUBJECTS, clips=20, length=(6, 8))
    return dest


@pytest.fixture(scope="module")
def undisturbed(twin: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    prepare(folder, twin)
    finish(folder)
    return contents(folder / "store")


def prepare(folder: Path, twin: Path) -> None:
    import_dataset("casme2", [twin], Store(folder / "store"), "casme2")
    (folder / "faults.yaml").write_text(EXPERIMENT.format(store=folder / "store"))


def start(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "orchestrator.cli", "features", "faults.yaml"]
    # A driver of its own: neither the tests' Ray nor its address.
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    environment["PYTHONPATH"] = str(ROOT)
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def finish(folder: Path) -> None:
    run = start(folder)
    _, errors = run.communicate(timeout=300)
    assert run.returncode == 0, errors.decode()


def contents(store: Path) -> dict[str, bytes]:
    """All files of a store but those that may be lost at any time."""
    files = (path for path in store.rglob("*") if path.is_file() and path.name not in CACHES)
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in files}


def shards(folder: Path) -> set[Path]:
    return set((folder / "store").glob("casme2/features/*/[!.]*.arrow"))


def wait_for(condition: Callable[[], object], run: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 240
    while not condition() and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert run.poll() is None, "the run ended before it could be disturbed"


def actors(driver: int) -> list[int]:
    """The processes that compute features for a driver, and for no other one on this machine."""
    parents, found = {}, []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if (folder / "cmdline").read_bytes().startswith(b"ray::Extractor.make"):
                found.append(int(folder.name))
        except OSError:
            continue  # it has just ended

    def belongs(process: int) -> bool:
        return process == driver or (process in parents and belongs(parents[process]))

    return [process for process in found if belongs(process)]


def test_a_killed_actor_is_replaced_and_the_run_ends_well(
    twin: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    prepare(tmp_path, twin)
    run = start(tmp_path)
    wait_for(lambda: actors(run.pid), run)
    time.sleep(0.5)  # into its first clips
    os.kill(actors(run.pid)[0], signal.SIGKILL)
    _, errors = run.communicate(timeout=300)
    assert run.returncode == 0, errors.decode()
    assert contents(tmp_path / "store") == undisturbed


@pytest.mark.parametrize("done", [0, 1, SUBJECTS])
def test_a_killed_driver_loses_nothing_that_was_finished(
    done: int, twin: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    prepare(tmp_path, twin)
    run = start(tmp_path)
    wait_for(lambda: actors(run.pid) and len(shards(tmp_path)) >= done, run)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    kept = {path: path.stat().st_mtime_ns for path in shards(tmp_path)}
    assert len(kept) >= done
    finish(tmp_path)
    assert contents(tmp_path / "store") == undisturbed
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "a finished shard was computed again"


def test_damaged_shards_are_made_anew(twin: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    prepare(tmp_path, twin)
    finish(tmp_path)
    first, second, third, *_ = sorted(shards(tmp_path))
    first.write_bytes(first.read_bytes()[:-1])
    data = bytearray(second.read_bytes())
    data[len(data) // 2] ^= 1
    second.write_bytes(data)
    third.write_bytes(b"")
    finish(tmp_path)
    assert contents(tmp_path / "store") == undisturbed


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder that takes less than a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=900k", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount the small disk that this test fills")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_ends_in_one_message_and_the_run_goes_on_when_there_is_room(
    small_disk: Path, twin: Path, undisturbed: dict[str, bytes]
) -> None:
    prepare(small_disk, twin)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file:
        room = shutil.disk_usage(small_disk).free - 24 * 1024
        file.write(bytes(room))
    run = start(small_disk)
    _, errors = run.communicate(timeout=300)
    said = [line for line in errors.decode().splitlines() if "clips × features" not in line]
    assert run.returncode == 2
    assert len(said) == 1, errors.decode()
    assert str(small_disk / "store") in said[0]
    assert "No space left on device" in said[0]
    assert not list((small_disk / "store").rglob(".*.tmp")), "something half-written was left"
    filler.unlink()
    finish(small_disk)
    assert contents(small_disk / "store") == undisturbed
