"""``python orchestrator/run_all.py ARGS`` is ``mer run ARGS``; without arguments it runs the preset `all`.

It works from a checkout, from Slurm, from a RayJob, and uploaded alone by ``ray submit``, and tells whose code it runs.
"""

import os
import sys
import time
from pathlib import Path

# `ray submit` uploads this file alone into the home folder; the project is where the cluster's files were mounted.
_HERE = Path(__file__).resolve()
_PLACES = [os.environ.get("MER_PROJECT"), _HERE.parents[1], Path.home() / "mer"]
_ROOT = next((Path(p) for p in _PLACES if p and (Path(p) / "orchestrator" / "run_all.py").is_file()), None)
# This file's own folder must not be on the path: its modules would hide installed ones of the same names.
sys.path = [str(_ROOT or ""), *(entry for entry in sys.path if Path(entry or ".").resolve() != _HERE.parent)]


def _stale(root: Path) -> bool:
    """Whether this file was uploaded from a project that is not the one that was brought here before."""
    return (root / "orchestrator" / "run_all.py").read_bytes() != _HERE.read_bytes()


if __name__ == "__main__":
    if _ROOT is None:
        places = " or ".join(str(place) for place in _PLACES if place)
        sys.exit(f"no project in {places}: run `ray up` again, or set MER_PROJECT to its folder")
    if _stale(_ROOT):
        sys.exit(
            f"{_ROOT} holds another version than the one this was sent from: run `ray rsync-up` with your cluster file"
        )
    from orchestrator.cli.commands import main
    from orchestrator.machines.code_version import code_version

    newest = max(
        path.stat().st_mtime
        for name in ("mer_data", "mer_models", "orchestrator")
        for path in (_ROOT / name).rglob("*.py")
    )
    print(
        f"code {code_version()} in {_ROOT}, last edited {time.strftime('%Y-%m-%d %H:%M', time.localtime(newest))}",
        file=sys.stderr,
    )
    arguments = sys.argv[1:]
    if not arguments or arguments[0].startswith("--"):
        arguments.insert(0, "all")
    sys.argv[1:] = ["run", *arguments]
    main()
