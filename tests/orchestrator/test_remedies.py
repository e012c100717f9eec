"""Whatever file is damaged in whatever way: the run goes on, or its message names the file and a remedy that works."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from blobs import blob_clips, write_blobs

from mer_data.storage.store import Store
from orchestrator.cli import commands as cli

pytestmark = pytest.mark.fault

EXPERIMENT = """\
name: remedies
store: {store}
datasets: [blobs]
models: [majority, ststnet]
recipes:
  ststnet: {{epochs: 4, lr: 0.01, batch_size: 8, keep_every: 2}}
search: {{configurations: 2, groups: 2, divisions: 2}}
weights: true
"""
FILES = (
    "out/plan.json", "out/ledger/*.arrow", "out/ledger/verified.json", "out/search/*[0-9a-f].json",
    "out/search/*.scores.json", "out/splits-blobs.csv", "out/splits.sha256", "out/experiment.yaml", "out/driver.lock",
    "out/run.log", "out/weights/**/*.safetensors", "out/leaderboard.csv", "out/optuna.log", "out/cost.jsonl",
    "store/blobs/clips.arrow", "store/blobs/dataset.json", "store/blobs/features/*/manifest.json",
    "store/blobs/features/*/*.arrow", "store/blobs/features/*/verified.json",
)  # fmt: skip


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    data, at = path.read_bytes(), random.Random(0).randrange(max(path.stat().st_size, 1))
    path.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :] if data else b"x")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_link_to_nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("/nowhere/at/all")


def gone(path: Path) -> None:
    path.unlink()


DAMAGE: dict[str, Callable[[Path], None]] = {
    "cut": cut, "empty": empty, "flipped": flipped, "folder": a_folder, "link": a_link_to_nowhere, "gone": gone,
}  # fmt: skip


@pytest.fixture(scope="module")
def finished(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder with a store and the results of a run that nothing happened to, and its score."""
    folder = tmp_path_factory.mktemp("remedies")
    imported(folder)
    (folder / "x.yaml").write_text(EXPERIMENT.format(store=folder / "store"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orchestrator.report.mlflow_mirror.cells.is_current", lambda *_: True)
        undisturbed(folder)
        for path in folder.rglob("*"):
            os.utime(path, (1e9, 1e9))  # what is remembered of files is written when they are no longer young
        return folder, undisturbed(folder)["score"]


def undisturbed(folder: Path) -> Any:
    printed = io.StringIO()
    with redirect_stdout(printed), pytest.raises(SystemExit) as stopped:
        cli.main(["run", str(folder / "x.yaml"), "--out", str(folder / "out"), "--json"])
    assert not stopped.value.code
    return json.loads(printed.getvalue())


def imported(folder: Path) -> None:
    """What `mer data import` does."""
    write_blobs(Store(folder / "store"), "blobs", blob_clips(6, 3))


def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", str(folder / "x.yaml"), "--out", str(folder / "out"), "--json"])
    printed = capsys.readouterr()
    return int(stopped.value.code or 0), json.loads(printed.out) if printed.out else None, printed.err


def follow(message: str, path: Path, folder: Path) -> None:
    """Do what a message says."""
    assert str(path) in message or not path.exists(), message
    if "move it away" in message:
        path.rename(folder / "moved away")
    elif "delete it" in message:
        path.unlink()
    elif "import" in message:
        imported(folder)
    else:
        raise AssertionError(f"no remedy: {message}")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGE)
def test_the_run_goes_on_or_its_remedy_works(
    name: str,
    damage: str,
    finished: tuple[Path, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("orchestrator.report.mlflow_mirror.cells.is_current", lambda *_: True)
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    (folder / "x.yaml").write_text(EXPERIMENT.format(store=folder / "store"))
    paths = [path for path in sorted(folder.glob(name)) if "scores" in name or not path.name.endswith(".scores.json")]
    DAMAGE[damage](paths[0])
    for _ in range(3):
        status, document, message = run(folder, capsys)
        if status == 0:
            break
        assert status == 2, message
        assert "Traceback" not in message
        last = message.strip().splitlines()[-1]
        follow(last, paths[0], folder)
    assert status == 0, message
    assert document["score"] == finished[1]
    assert document["weights"]["missing"] == 0


def test_a_damaged_dataset_does_not_hide_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    imported(tmp_path)
    write_blobs(Store(tmp_path / "store"), "others", blob_clips(6, 3))
    cut(tmp_path / "store/blobs/clips.arrow")
    with pytest.raises(SystemExit) as stopped:
        cli.main(["data", "list", "--store", str(tmp_path / "store"), "--json"])
    printed = capsys.readouterr()
    assert stopped.value.code == 1
    assert [dataset["name"] for dataset in json.loads(printed.out)["datasets"]] == ["others"]
    assert f"{tmp_path / 'store/blobs/clips.arrow'}: cannot be read" in printed.err
    assert "import the dataset again" in printed.err
