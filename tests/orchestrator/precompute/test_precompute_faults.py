"""Actors, drivers and disks fail in the middle; the same command again gives the files of an undisturbed run."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import drivers
import pytest

from mer_data.formats import import_dataset
from mer_data.storage.store import Store
from mer_data.synthetic import make_casme2

pytestmark = pytest.mark.fault

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
    return drivers.start(folder, "features", "faults.yaml")


def finish(folder: Path) -> None:
    status, _, errors = drivers.end(start(folder))
    assert status == 0, errors


def contents(store: Path) -> dict[str, bytes]:
    """All files of a store but those that may be lost at any time."""
    files = (path for path in store.rglob("*") if path.is_file() and path.name not in CACHES)
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in files}


def shards(folder: Path) -> set[Path]:
    return set((folder / "store").glob("casme2/features/*/[!.]*.arrow"))


def actors(driver: subprocess.Popen[bytes]) -> list[int]:
    """The processes that compute features for a driver, and for no other one on this machine."""
    return drivers.workers(driver.pid, "ray::Extractor.make")


def test_a_killed_actor_is_replaced_and_the_run_ends_well(
    twin: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    prepare(tmp_path, twin)
    run = start(tmp_path)
    drivers.wait_for(lambda: actors(run), run)
    time.sleep(0.5)  # into its first clips
    os.kill(actors(run)[0], signal.SIGKILL)
    status, _, errors = drivers.end(run)
    assert status == 0, errors
    assert contents(tmp_path / "store") == undisturbed


@pytest.mark.parametrize("done", [0, 1, SUBJECTS])
def test_a_killed_driver_loses_nothing_that_was_finished(
    done: int, twin: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    prepare(tmp_path, twin)
    run = start(tmp_path)
    drivers.wait_for(lambda: actors(run) and len(shards(tmp_path)) >= done, run)
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
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # a process that ends may still be in it


def test_a_full_disk_ends_in_one_message_and_the_run_goes_on_when_there_is_room(
    small_disk: Path, twin: Path, undisturbed: dict[str, bytes]
) -> None:
    prepare(small_disk, twin)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file:
        room = shutil.disk_usage(small_disk).free - 24 * 1024
        file.write(bytes(room))
    status, _, errors = drivers.end(start(small_disk))
    said = [line for line in errors.splitlines() if not re.search("clips × features|one moment", line)]
    assert status == 2
    assert len(said) == 1, errors
    assert str(small_disk / "store") in said[0]
    assert "No space left on device" in said[0]
    assert not list((small_disk / "store").rglob(".*.tmp")), "something half-written was left"
    filler.unlink()
    finish(small_disk)
    assert contents(small_disk / "store") == undisturbed
