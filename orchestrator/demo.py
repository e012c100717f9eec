"""`mer demo`: the whole job on synthetic faces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mer_data.storage.store import Store
from orchestrator.console import Console
from orchestrator.experiment import config
from orchestrator.run import run
from orchestrator.twins import add_synthetic


def demo(out: Path, console: Console) -> dict[str, Any]:
    """Make a synthetic dataset beside the results, and run the preset `demo` on it."""
    store = Store(out / "store")
    add_synthetic(store, out / "CASME2-synthetic", console)
    return run(config.preset("demo").model_copy(update={"store": store.root}), out, console)
