"""A folder and one in object storage, kept in step by several machines; here that one is a folder named by a URI."""

import os
import shutil
from pathlib import Path

import pytest

from mer_data.problems import BadInput, Problem
from mer_data.storage.mirror import Mirror
from mer_data.storage.remote import Remote


class Machine:
    """A machine with its copy."""

    def __init__(self, there: Path, folder: Path) -> None:
        self.folder, self.remote = folder, Remote(there.as_uri(), folder)
        self.again()

    def again(self) -> None:
        """Another process of this machine."""
        self.mirror = Mirror(self.remote, self.folder, ["tune"], ["running"])

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text)

    def send(self, **texts: str) -> None:
        """Write files and push."""
        for name, text in texts.items():
            self.write(name, text)
        self.mirror.push()

    def files(self) -> dict[str, str]:
        paths = [path for path in self.folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
        return {path.relative_to(self.folder).as_posix(): path.read_text() for path in paths}


@pytest.fixture
def there(tmp_path: Path) -> Path:
    (tmp_path / "there").mkdir()
    return tmp_path / "there"


@pytest.fixture
def one(there: Path, tmp_path: Path) -> Machine:
    return Machine(there, tmp_path / "one")


@pytest.fixture
def two(there: Path, tmp_path: Path) -> Machine:
    return Machine(there, tmp_path / "two")


def test_what_one_machine_has_another_gets(one: Machine, two: Machine) -> None:
    one.write("a/b/c", "deep")
    one.send(plan="1")
    two.mirror.pull()
    assert two.files() == {"a/b/c": "deep", "plan": "1"}
    two.send(plan="22", more="x")
    one.mirror.pull()
    assert one.files() == {"a/b/c": "deep", "plan": "22", "more": "x"}


def test_what_is_in_step_is_not_copied_again(
    one: Machine, two: Machine, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[str] = []
    for name in ("push", "fetch"):
        copy = getattr(Remote, name)
        monkeypatch.setattr(Remote, name, lambda self, file, copy=copy: (copied.append(file), copy(self, file)))
    one.send(first="1", second="2")
    two.mirror.pull()
    assert sorted(copied) == ["first", "first", "second", "second"]
    copied.clear()
    for machine in (one, two):
        machine.again()
        machine.mirror.pull()
        machine.mirror.push()
    one.send(second="changed")
    assert copied == ["second"]


def test_hidden_and_excluded_files_stay(one: Machine, two: Machine, there: Path) -> None:
    for name in (".lease", ".plan.tmp", "ledger/.half.tmp", "tune/trial"):
        one.write(name, "x")
    one.send(plan="1")
    two.mirror.pull()
    assert two.files() == {"plan": "1"}
    assert [path.name for path in there.rglob("*") if path.is_file()] == ["plan"]


def test_a_part_can_be_left_for_later(one: Machine, two: Machine) -> None:
    one.write("weights/w", "many")
    one.send(plan="1")
    two.mirror.pull(without="weights")
    assert two.files() == {"plan": "1"}
    two.mirror.pull()
    assert two.files() == {"plan": "1", "weights/w": "many"}


def test_what_comes_and_goes_is_removed_everywhere(one: Machine, two: Machine) -> None:
    one.write("running/a", "")
    one.send(plan="1")
    two.mirror.pull()
    (one.folder / "running/a").unlink()
    one.mirror.push()
    two.mirror.pull()
    assert two.files() == {"plan": "1"}


@pytest.mark.parametrize("looking", [True, False])
def test_an_emptied_cache_removes_nothing(one: Machine, two: Machine, looking: bool) -> None:
    one.write("ledger/result", "2")
    one.send(plan="1")
    shutil.rmtree(one.folder)
    if not looking:
        one.again()  # it went while no process had it open
    one.mirror.push()
    two.mirror.pull()
    assert two.files() == {"plan": "1", "ledger/result": "2"}
    one.mirror.pull()
    assert one.files() == {"plan": "1", "ledger/result": "2"}


def test_an_emptied_bucket_removes_nothing(one: Machine, two: Machine, there: Path) -> None:
    one.send(plan="1")
    two.mirror.pull()
    (there / "plan").unlink()
    for machine in (two, one):
        machine.mirror.pull()
        machine.mirror.push()
    assert one.files() == two.files() == {"plan": "1"}
    assert (there / "plan").read_text() == "1"


def test_one_file_that_cannot_be_sent_holds_up_no_other(
    one: Machine, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push = Remote.push

    def stubborn(self: Remote, relative: str) -> None:
        if relative == "a":
            raise BadInput(Problem("a", "cannot be sent"))
        push(self, relative)

    with monkeypatch.context() as patch:
        patch.setattr(Remote, "push", stubborn)
        with pytest.raises(BadInput, match="cannot be sent"):
            one.send(a="1", **{f"b{number}": "2" for number in range(40)})
    assert len(list(there.iterdir())) == 40
    sent: list[str] = []
    monkeypatch.setattr(Remote, "push", lambda self, name: (sent.append(name), push(self, name)))
    one.mirror.push()
    assert sent == ["a"]


def test_what_was_not_sent_yet_survives_a_pull(one: Machine, two: Machine) -> None:
    one.send(plan="1")
    one.write("result", "new")
    two.mirror.pull()
    two.send(other="y")
    one.again()
    one.mirror.pull()
    one.mirror.push()
    two.mirror.pull()
    assert one.files() == two.files() == {"plan": "1", "result": "new", "other": "y"}


def test_where_both_changed_the_other_sides_counts(one: Machine, two: Machine) -> None:
    one.send(plan="1")
    two.mirror.pull()
    two.send(plan="from two")
    one.write("plan", "from one, longer")
    one.again()
    one.mirror.pull()
    assert one.files() == {"plan": "from two"}


def test_a_change_of_the_same_size_is_seen(one: Machine, two: Machine, there: Path) -> None:
    one.send(plan="1")
    two.mirror.pull()
    one.send(plan="2")
    os.utime(there / "plan", (1, 1))  # its time of change is told in seconds
    two.mirror.pull()
    assert two.files() == {"plan": "2"}


def test_what_a_kill_left_unrecorded_is_copied_once_more(one: Machine, two: Machine) -> None:
    one.send(plan="1")
    (one.folder / ".mirror.json").write_text("{damaged")
    one.again()
    one.mirror.pull()
    one.mirror.push()
    two.mirror.pull()
    assert one.files() == two.files() == {"plan": "1"}
