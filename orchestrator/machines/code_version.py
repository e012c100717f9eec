"""Which code this is, and whether all machines of a cluster run the same."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import runpy
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mer_data.problems import Problem, raise_all

PACKAGES = ("mer_data", "mer_models", "orchestrator")
# Libraries whose versions decide numbers.
_LIBRARIES = ("torch", "numpy", "scikit-learn", "opencv-contrib-python-headless")


def code_version() -> str:
    """Twelve letters that stand for every file of the three packages, as this process finds them."""
    whole = hashlib.sha256()
    for name in PACKAGES:
        folder = Path(importlib.import_module(name).__path__[0])
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                whole.update(f"{name}/{path.relative_to(folder).as_posix()}\0".encode())
                whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()[:12]


@cache
def what_runs() -> Mapping[str, str]:
    """The code version and the libraries' versions, as this process first found them: an edit later changes nothing.

    Without what tells builds for different GPUs apart.
    """
    return {"the project's code": code_version(), **{name: _version(name) for name in _LIBRARIES}}


def torch_version() -> str:
    """PyTorch's version with what tells its builds apart, as it says itself, without importing it."""
    package = find_spec("torch")
    if package is None or package.origin is None:
        return "(not installed)"
    return str(runpy.run_path(str(Path(package.origin).with_name("version.py")))["__version__"])


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:  # it may come in another package
        return "(not installed)"


def unlike(host: str, there: Mapping[str, str], here: Mapping[str, str]) -> Problem | None:
    """What is wrong with a machine whose workers run other code or libraries than the driver; None if they do not."""
    other = [f"{name} {there[name]}, here {here[name]}" for name in here if there[name] != here[name]]
    remedy = "bring the project to all machines (`ray up`), and leave PYTHONPATH unset there"
    return Problem(f"machine {host}", f"runs {'; '.join(other)}", remedy) if other else None


def ask_machines() -> list[tuple[str, Any]]:
    """Ask a worker on each machine what runs there: host name and Ray's promise of an answer.

    Workers get the packages from here; a machine whose PYTHONPATH holds an old copy would use that one all the same.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    what_runs()  # now, when the packages have just been sent
    tell = ray.remote(num_cpus=0)(_tell_what_runs)
    asked = []
    for node in ray.nodes():
        if node["Alive"]:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=True)
            asked.append((node["NodeManagerHostname"], tell.options(scheduling_strategy=there).remote()))
    return asked


def _tell_what_runs() -> dict[str, str]:
    return dict(what_runs())


def refuse_other_code(asked: Sequence[tuple[str, Any]]) -> None:
    """Refuse a cluster with a machine whose workers would run other code or other libraries than this process."""
    if not asked:
        return
    import ray

    told = zip([host for host, _ in asked], ray.get([answer for _, answer in asked]), strict=True)
    problems = [unlike(host, there, what_runs()) for host, there in told]
    raise_all(problem for problem in problems if problem is not None)
