"""Synthetic datasets for those who have none of the licensed ones: drawn with a progress bar, put into a store."""

from __future__ import annotations

from pathlib import Path

from mer_data import synthetic
from mer_data.formats import import_dataset
from mer_data.storage.store import Store
from orchestrator.console import Console

SYNTHETIC = "casme2_synthetic"


def draw(format_: str, dest: Path, *, subjects: int | None, clips: int | None, seed: int, console: Console) -> None:
    """Draw a synthetic dataset in the layout of a format; as many subjects and clips as the real one if None.

    Raises
    ------
    BadInput
        If there is no twin of that format, or `dest` holds files.
    """
    synthetic.refuse_undrawable(format_, subjects, clips)  # before there is anything on the screen
    with console.progress("drawing", 0, "clips") as progress:
        done = 0

        def advance(now: int, total: int) -> None:
            nonlocal done
            progress.advance(now - done, total=total)
            done = now

        synthetic.draw(format_, dest, subjects=subjects, clips=clips, seed=seed, progress=advance)


def add_synthetic(store: Store, folder: Path, console: Console) -> None:
    """Put a small synthetic CASME II into a store as ``casme2_synthetic``, drawing it if `folder` is not there yet."""
    if SYNTHETIC in store.names():
        return
    if not folder.exists():
        console.say(f"drawing synthetic faces in the layout of CASME II: {folder}")
        draw("casme2", folder, subjects=12, clips=120, seed=0, console=console)
    import_dataset("casme2", [folder], store, SYNTHETIC)
