"""Results in object storage: one driver at a time, nothing lost, and another machine goes on."""

import json
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from mer_data.problems import BadInput
from mer_data.storage.remote import Remote
from orchestrator.cli import commands as cli
from orchestrator.console import Console
from orchestrator.output import folder as output
from orchestrator.output.folder import Output, default_output


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Go on as a machine with a cache of its own."""

    def on(name: str) -> None:
        monkeypatch.setenv("MER_CACHE", str(tmp_path / name))

    on("one")
    return on


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """Object storage that is a folder."""
    return tmp_path / "bucket/runs/x"


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_SECONDS_BETWEEN", 0.05)
    monkeypatch.setattr(output, "_SECONDS_UNHEARD", 0.5)
    monkeypatch.setattr(output, "_SECONDS_TO_SETTLE", 0.1)

    def write(self: Remote, relative: str, content: bytes) -> None:
        """As object storage does: nobody sees half a file, which a folder may show."""
        path = Path(self._at(relative))
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.parent.with_name(uuid.uuid4().hex)
        aside.write_bytes(content)
        aside.replace(path)

    monkeypatch.setattr(Remote, "write", write)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not come"
        time.sleep(0.01)


def drive(there: Path, work: Callable[[Path], None] = lambda folder: None) -> None:
    """Hold an output folder while something is done in it."""
    with Output(there.as_uri()).held(Console()) as folder:
        work(folder)


def gone(self: Remote, *_: object) -> None:
    """What object storage does when it is out of reach."""
    with self._told():
        raise OSError("the network is gone")


def mer(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(argument) for argument in arguments])
    return int(stopped.value.code or 0)


def test_results_are_sent_while_the_run_goes_on(machine: Callable[[str], None], there: Path) -> None:
    with Output(there.as_uri()).held(Console()) as folder:
        (folder / "plan.json").write_text("{}")
        wait_for(there / "plan.json")
        assert Output(there.as_uri()).read(Console()) == folder  # on this machine: as it is
        (folder / "last").write_text("written just before the end")
    assert sorted(path.name for path in there.iterdir()) == ["last", "plan.json"]
    machine("two")
    assert (Output(there.as_uri()).read(Console()) / "last").exists()


def test_nothing_there_is_told(there: Path) -> None:
    with pytest.raises(BadInput, match="holds no results"):
        Output(there.as_uri()).read(Console())


@pytest.mark.parametrize("address", ["s3://", "s3://bucket", "s3://bucket/runs/..", "s3://bucket/../runs?x=1"])
def test_an_address_must_name_a_folder(address: str) -> None:
    with pytest.raises(BadInput, match="names no folder"):
        Output(address)


def test_a_folder_of_other_things_is_left_alone(there: Path) -> None:
    there.mkdir(parents=True)
    (there / "thesis.tex").write_text("years of work")
    with pytest.raises(BadInput, match="other things than results"):
        drive(there)
    with pytest.raises(BadInput, match="holds no results"):
        Output(there.as_uri()).read(Console())
    assert [path.name for path in there.iterdir()] == ["thesis.tex"]


def test_a_second_driver_is_refused(machine: Callable[[str], None], there: Path) -> None:
    with Output(there.as_uri()).held(Console()):
        for name in ("one", "two"):
            machine(name)
            with pytest.raises(BadInput, match=r"in use by process \d+ on "):
                drive(there)
        machine("one")
    machine("two")
    drive(there)


def test_a_dead_driver_is_followed_by_another(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dead = {"run": "of-the-dead", "holder": "process 7 on gone", "count": 3}
    there.mkdir(parents=True)
    (there / "driver.json").write_text(json.dumps(dead))
    with Output(there.as_uri()).held(Console()) as folder:
        assert (folder / ".lease").exists()
    assert "was held by process 7 on gone; listening" in capsys.readouterr().err
    # One that died on this machine is known to be dead.
    (there / "driver.json").write_text(json.dumps(dead | {"run": (folder / ".lease").read_text()}))
    drive(there)
    assert "listening" not in capsys.readouterr().err


def test_of_two_drivers_that_start_at_once_one_wins(
    machine: Callable[[str], None], there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Threads of a busy machine may be late.
    monkeypatch.setattr(output, "_SECONDS_TO_SETTLE", 0.4)
    monkeypatch.setattr(output, "_SECONDS_UNHEARD", 2.0)
    outputs = [Output(there.as_uri()) for name in ("one", "two", "three") if machine(name) is None]
    over, won, refused = threading.Event(), [], []

    def compete(output: Output) -> None:
        try:
            with output.held(Console()):
                won.append(output)
                over.wait(5)
        except BadInput:
            refused.append(output)

    threads = [threading.Thread(target=compete, args=[output]) for output in outputs]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 5
    while len(won) + len(refused) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    over.set()
    for thread in threads:
        thread.join()
    assert (len(won), len(refused)) == (1, 2)


def test_a_lost_network_delays_and_loses_nothing(
    there: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Output(there.as_uri()).held(Console()) as folder:
        with monkeypatch.context() as patch:
            patch.setattr(Remote, "push", gone)
            patch.setattr(Remote, "read", gone)
            (folder / "plan.json").write_text("{}")
            (folder / "result").write_text("1")
            time.sleep(0.5)
            assert not (there / "result").exists()
        wait_for(there / "result")
    told = capsys.readouterr().err
    assert told.count("the network is gone") == 2  # by what sends, and by what is heard of
    assert "answers again" in told

    def leave_unsent(folder: Path) -> None:
        patch.setattr(Remote, "push", gone)
        (folder / "last").write_text("2")

    with monkeypatch.context() as patch, pytest.raises(BadInput, match="last results could not be sent") as failed:
        drive(there, leave_unsent)
    assert str(folder) in str(failed.value)
    drive(there)
    assert (there / "last").read_text() == "2"


def test_what_ended_a_run_is_told_also_where_results_cannot_be_sent(
    there: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(folder: Path) -> None:
        monkeypatch.setattr(Remote, "push", gone)
        (folder / "last").write_text("2")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drive(there, interrupted)
    assert "last results could not be sent" in capsys.readouterr().err


def test_a_driver_that_was_taken_over_sends_nothing(
    there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = json.dumps({"run": "another", "holder": "process 9 on other", "count": 1})

    def too_slow(folder: Path) -> None:
        (tmp_path / "theirs").write_text(theirs)
        (tmp_path / "theirs").replace(there / "driver.json")
        (folder / "late").write_text("1")

    monkeypatch.setattr(output, "_SECONDS_BETWEEN", 60)  # it ends before it is heard of again
    with pytest.raises(BadInput, match="taken over by process 9 on other"):
        drive(there, too_slow)
    assert not (there / "late").exists()
    assert (there / "driver.json").read_text() == theirs


def test_folders_of_this_machine_stay_what_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_output("x") == "runs/x"
    monkeypatch.setenv("MER_RUNS", "/shared/runs")
    assert default_output("x") == "/shared/runs/x"
    monkeypatch.setenv("MER_RUNS", "s3://bucket/runs/?region=eu-west-1")
    assert default_output("x") == "s3://bucket/runs/x?region=eu-west-1"
    with Output(tmp_path / "x").held(Console()) as folder:
        assert folder == tmp_path / "x"


@pytest.mark.parametrize(
    ("arguments", "copy"),
    [
        (["demo", "--out", "gs://bucket/x"], "rclone copy gs://bucket/x FOLDER"),
        (["predict", "s3://bucket/x/weights", "--dataset", "x"], "aws s3 sync s3://bucket/x/weights FOLDER"),
    ],
)
def test_what_must_be_here_is_refused_elsewhere(
    arguments: list[str], copy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert mer(*arguments) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "is not on this machine" in told
    assert copy in told
    assert not list(tmp_path.iterdir())
