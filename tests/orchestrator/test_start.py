"""A command starts at once: it imports what it needs, and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mer_data.storage.store import Store

ROOT = Path(__file__).resolve().parents[2]
# Each of them takes a tenth of a second or more to import, some of them two.
BIG = ["torch", "ray", "mlflow", "pandas", "sklearn", "scipy", "cv2", "numba", "matplotlib", "optuna", "jinja2"]
BIG += ["sqlalchemy", "pyarrow.dataset"]
DATA = ["numpy", "pyarrow", "pydantic", "yaml"]
FOLDS = """
import sys
from pathlib import Path
from workers import run_here
from mer_data.storage.store import Store
from orchestrator.experiment.config import load
from orchestrator.experiment.planner import make_plan
from orchestrator.experiment.resolve import resolve
from orchestrator.sweep.dispatcher import Dispatcher
experiment, out = load(sys.argv[1], ()), Path(sys.argv[2])
plan = make_plan(resolve(experiment, Store(experiment.store)))
dispatcher = Dispatcher(plan, out / "ledger")
for job in plan.jobs:
    run_here(dispatcher, job)
"""


def imported(folder: Path, code: str, *arguments: str | Path) -> list[str]:
    """What a process of its own has imported at its end. Its exit status must be 0."""
    at_end = (
        "import atexit, json, sys\natexit.register(lambda: print(json.dumps(list(sys.modules)), file=sys.stderr))\n"
    )
    inherited = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-c", at_end + code, *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**inherited, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stderr.strip().splitlines()[-1]))


def mer(folder: Path, *arguments: str | Path) -> list[str]:
    return imported(folder, "from orchestrator.cli.commands import main\nmain()", *arguments)


def test_help_imports_next_to_nothing(tmp_path: Path) -> None:
    modules = mer(tmp_path, "--help")
    assert [name for name in BIG + DATA if name in modules] == []
    assert len(modules) < 330


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder with finished folds: of baselines, ``small.yaml`` in ``out``; of a network, ``net.yaml`` in ``net``.

    With it, what training the baselines has imported.
    """
    from blobs import blob_clips, write_blobs

    folder = tmp_path_factory.mktemp("start")
    write_blobs(Store(folder / "store"), "blobs", blob_clips())
    told = {"store": str(folder / "store"), "datasets": ["blobs"]}
    few = {"ststnet": {"epochs": 1}}
    for name, chosen in (
        ("small", {"models": ["majority", "chance"]}),
        ("net", {"models": ["ststnet"], "recipes": few}),
    ):
        (folder / f"{name}.yaml").write_text(json.dumps({"name": name, **told, **chosen}))
    imported(folder, FOLDS, "net.yaml", "net")
    return folder, imported(folder, FOLDS, "small.yaml", "out")


def test_the_baselines_train_without_pytorch(finished: tuple[Path, list[str]]) -> None:
    _, modules = finished
    assert "sklearn" in modules
    assert [name for name in ("torch", "mlflow", "numba", "optuna") if name in modules] == []


def test_who_looks_at_results_waits_for_no_big_library(finished: tuple[Path, list[str]]) -> None:
    folder, _ = finished
    runs = ("run", "small.yaml", "--out", "out"), ("run", "net.yaml", "--out", "net")
    for command in runs:
        mer(folder, *command)  # scores and mirrors what is there, and remembers what the network declares and costs
    for command in (*runs, ("status", "out"), ("status", "net"), ("data", "list", "--store", "store")):
        modules = mer(folder, *command)
        needed = ["cv2", "scipy"] if command[0] == "run" else []  # a version that is part of features; intervals
        assert [name for name in BIG if name in modules and name not in needed] == [], command


def test_a_list_of_models_that_is_remembered_imports_as_little_as_the_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MER_CACHE", str(tmp_path))
    assert "torch" in mer(tmp_path, "models"), "the first time it looks at every model"
    modules = mer(tmp_path, "models")
    assert [name for name in BIG if name in modules] == []
    assert len(modules) < 2 * len(mer(tmp_path, "--help"))


def test_an_import_waits_for_nothing_but_its_pictures(tmp_path: Path) -> None:
    modules = imported(tmp_path, "import mer_data.formats, mer_data.doctor")
    assert [name for name in BIG if name in modules and name not in ("cv2", "numba")] == []
