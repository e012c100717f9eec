"""Results wherever they lie: an output folder, one in object storage, or a capsule."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path

from mer_data.storage.remote import is_remote
from orchestrator.console import Console
from orchestrator.experiment.plan import Plan
from orchestrator.output.capsule import SUFFIX, unpack_capsule
from orchestrator.output.folder import Output, known_results
from orchestrator.output.ledger import Ledger
from orchestrator.output.soundness import sound_results


def is_capsule(address: Path | str) -> bool:
    """Whether an address names a capsule: it is a file, or ends as capsules do and is no folder."""
    if is_remote(str(address)):
        return False
    path = Path(address)
    return path.is_file() or (path.suffix == SUFFIX and not path.is_dir())


def open_results(address: Output | Path | str, console: Console) -> tuple[Plan, Ledger]:
    """Plan and ledger of an output folder or of a capsule; the ledger's folder lies in the output folder.

    A capsule is unpacked into a folder of its own, which is removed when the ledger is no longer used.

    Parameters
    ----------
    address
        The folder, also as :class:`Output`, its address in object storage, or the capsule.
    console
        Where the progress of fetching from object storage goes.

    Raises
    ------
    BadInput
        If there are no results, object storage cannot be reached, or a capsule cannot be read or does not fit together.
    """
    address = address if isinstance(address, Output) else known_results(address)
    if isinstance(address, Output) or not is_capsule(address):
        output = address if isinstance(address, Output) else Output(address)
        folder = output.read(console)
        return Plan.load(folder / "plan.json"), Ledger(folder / "ledger")
    private = tempfile.mkdtemp(prefix="mer-")
    try:
        folder = Path(private) / Path(address).name
        plan, ledger = sound_results(folder, unpack_capsule(Path(address), folder).every, str(address))
    except BaseException:
        shutil.rmtree(private, ignore_errors=True)
        raise
    weakref.finalize(ledger, shutil.rmtree, private, ignore_errors=True)
    return plan, ledger
