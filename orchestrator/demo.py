"""`mer demo`: the whole job on synthetic faces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mer_data.formats import import_dataset
from mer_data.store import Store
from mer_data.synthetic import TWINS
from orchestrator import config
from orchestrator.console import Console
from orchestrator.data_cli import make_twin
from orchestrator.run import run

SYNTHETIC = "casme2_synthetic"


def demo(out: Path, console: Console) -> dict[str, Any]:
    """Make a synthetic dataset beside the results, and run the preset `demo` on it."""
    store = Store(out / "store")
    add_synthetic(store, out / "CASME2-synthetic", subjects=12, clips=120, console=console)
    experiment = config.load("demo", [f"store={store.root}"])
    return run(experiment, out, console)


def add_synthetic(store: Store, folder: Path, *, subjects: int, clips: int, console: Console) -> None:
    """Put a synthetic CASME II into a store, drawing it if it is not in `folder` yet."""
    if not folder.exists():
        console.say(f"drawing synthetic faces in the layout of CASME II: {folder}")
        make_twin(TWINS["casme2"], folder, subjects=subjects, clips=clips, seed=0, console=console)
    if SYNTHETIC not in store.names():
        import_dataset("casme2", [folder], store, SYNTHETIC)
