"""The rooms of the house: who may know whom, in which order, and how large a file and a function may be."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("mer_data", "mer_models", "orchestrator")
FORBIDDEN = {
    "mer_data": {"mer_models", "orchestrator", "torch", "ray", "mlflow", "optuna", "sklearn"},
    "mer_models": {"mer_data", "orchestrator", "ray", "mlflow", "optuna", "pyarrow", "cv2"},
    "orchestrator/score": {"mer_data", "mer_models", "ray", "torch", "mlflow", "optuna"},
}
# Each line may import from those above it, and from itself if it is a folder.
ORDER = {
    "orchestrator": """
        score console published_weights
        machines
        precompute
        experiment
        output
        search
        sweep report
        whole_run
        cli __init__
        run_all
    """,
}


def files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and module of each import; of ours the module that is meant, whichever way it is said."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                inner = ROOT.joinpath(*node.module.split("."), alias.name)
                is_module = inner.with_suffix(".py").exists() or (inner / "__init__.py").exists()
                yield node.lineno, f"{node.module}.{alias.name}" if is_module else node.module


def own_imports(room: str) -> dict[str, dict[str, str]]:
    """Per module of a room: the modules of the same room that it imports, each with the place where it does."""
    return {
        module_of(path): {
            name: f"{path.relative_to(ROOT)}, line {line}"
            for line, name in imports(path)
            if name.split(".")[0] == room and name != module_of(path)
        }
        for path in files(room)
    }


def unit_of(module: str) -> str:
    """The folder or file directly under its room that a module belongs to."""
    return module.split(".")[1] if "." in module else "__init__"


def circles(graph: dict[str, dict[str, str]]) -> list[str]:
    """Every import that leads back to where it came from, with its place."""

    def reaches(start: str, goal: str) -> bool:
        seen, waiting = set(), [start]
        while waiting:
            name = waiting.pop()
            if name == goal:
                return True
            if name not in seen:
                seen.add(name)
                waiting += graph.get(name, {})
        return False

    return [
        f"{place} imports {there}, which leads back to {here}"
        for here, found in graph.items()
        for there, place in found.items()
        if there != here and reaches(there, here)
    ]


@pytest.mark.parametrize(("room", "forbidden"), FORBIDDEN.items())
def test_dependencies_point_one_way(room: str, forbidden: set[str]) -> None:
    assert files(room)
    wrong = [
        f"{path.relative_to(ROOT)}, line {line} imports {name}"
        for path in files(room)
        for line, name in imports(path)
        if name.split(".")[0] in forbidden
    ]
    assert wrong == []


@pytest.mark.parametrize("room", ROOMS)
def test_no_circle_between_files(room: str) -> None:
    assert circles(own_imports(room)) == []


@pytest.mark.parametrize("room", ROOMS)
def test_no_circle_between_folders(room: str) -> None:
    units: dict[str, dict[str, str]] = {}
    for module, found in own_imports(room).items():
        for name, place in found.items():
            units.setdefault(unit_of(module), {})[unit_of(name)] = place
    assert circles(units) == []


@pytest.mark.parametrize("room", ORDER)
def test_no_import_runs_up(room: str) -> None:
    levels = {unit: level for level, line in enumerate(ORDER[room].strip().splitlines()) for unit in line.split()}
    units = {unit_of(module_of(path)) for path in files(room)}
    assert units == set(levels), "each folder and file has its place in the order"
    wrong = [
        f"{place} imports {name}"
        for module, found in own_imports(room).items()
        for name, place in found.items()
        if unit_of(name) != unit_of(module) and levels[unit_of(name)] >= levels[unit_of(module)]
    ]
    assert wrong == []


def test_the_top_of_the_house_is_seen_at_a_glance() -> None:
    entries = [path for path in (ROOT / "orchestrator").iterdir() if path.name != "__pycache__"]
    assert len(entries) <= 15, sorted(path.name for path in entries)


def test_files_and_functions_stay_readable() -> None:
    too_long = []
    for path in (path for room in ROOMS for path in files(room)):
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > 400:
            too_long.append(f"{path.relative_to(ROOT)}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno + 1 > 60:
                too_long.append(f"{path.relative_to(ROOT)}, {node.name}: over 60 lines")
    assert too_long == []


def test_tests_reach_for_nothing_private() -> None:
    """What is private may change without a word; what is worth a test has a name that others may use."""
    wrong = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ROOMS:
                wrong += [f"{path.relative_to(ROOT)}: {a.name}" for a in node.names if a.name.startswith("_")]
    assert wrong == []
