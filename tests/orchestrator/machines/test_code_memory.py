"""What follows from the code is worked out once, and anew when the file or the code is not what it was."""

import json
from pathlib import Path

import pytest

from mer_data.files import read_json, write_sealed
from orchestrator.machines.code_memory import remembered


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that remembers the number 50."""
    monkeypatch.setenv("MER_CACHE", str(tmp_path))
    assert remembered("models/one", lambda: {"epochs": 50}) == {"epochs": 50}
    return tmp_path / "models/one.json"


def test_it_is_worked_out_once(memory: Path) -> None:
    assert remembered("models/one", lambda: pytest.fail("again")) == {"epochs": 50}
    assert remembered("models/other", lambda: (1, 2)) == [1, 2], "as JSON gives it back, the first time too"


@pytest.mark.parametrize(
    "damage", ["a flipped bit", "without its checksum", "of other libraries", "another form", "cut", "a folder"]
)
def test_a_memory_that_is_damaged_or_of_other_code_is_made_anew(damage: str, memory: Path) -> None:
    data, document = memory.read_bytes(), read_json(memory, "")
    if damage == "a flipped bit":
        assert data.count(b'"epochs": 50') == 1
        memory.write_bytes(data.replace(b'"epochs": 50', b'"epochs": 70'))
    elif damage == "without its checksum":
        memory.write_text(json.dumps({**document, "found": {"epochs": 70}}))
    elif damage == "of other libraries":
        write_sealed(memory, {"of": {**document["of"], "numpy": "1.0"}, "found": {"epochs": 70}})
    elif damage == "another form":
        memory.write_text("[[]]")
    elif damage == "cut":
        memory.write_bytes(data[: len(data) // 2])
    else:
        memory.unlink()
        memory.mkdir()
    assert remembered("models/one", lambda: {"epochs": 50}) == {"epochs": 50}
    assert damage == "a folder" or memory.read_bytes() == data


def test_a_cache_that_is_no_folder_costs_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("MER_CACHE", str(tmp_path / "file"))
    assert remembered("models/one", lambda: {"epochs": 50}) == {"epochs": 50}
