"""The rooms of the house: who may know whom."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {
    "mer_data": {"mer_models", "orchestrator", "torch", "ray", "mlflow", "optuna", "sklearn"},
    "mer_models": {"mer_data", "orchestrator", "ray", "mlflow", "optuna", "pyarrow", "cv2"},
    "orchestrator/score": {"mer_data", "mer_models", "ray", "torch", "mlflow", "optuna"},
}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


@pytest.mark.parametrize(("room", "forbidden"), FORBIDDEN.items())
def test_dependencies_point_one_way(room: str, forbidden: set[str]) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    wrong = {str(path.relative_to(ROOT)): sorted(forbidden & set(imported(path))) for path in files}
    assert {path: names for path, names in wrong.items() if names} == {}


def test_help_and_data_commands_do_not_wait_for_the_big_libraries() -> None:
    """`mer --help` imports neither torch, Ray nor MLflow: each of them takes a second or more."""
    code = (
        "import sys\nfrom orchestrator.cli.commands import mer\nimport mer_data.formats\n"
        "print([name for name in ('torch', 'ray', 'mlflow', 'pandas', 'sklearn') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"


def test_files_stay_readable() -> None:
    packages = ("mer_data", "mer_models", "orchestrator")
    lengths = {
        path: path.read_text(encoding="utf-8").count("\n") for name in packages for path in (ROOT / name).rglob("*.py")
    }
    assert {str(path): lines for path, lines in lengths.items() if lines > 420} == {}
