"""``python orchestrator/run_all.py ARGS`` is ``mer run ARGS``; without arguments it runs the preset `all`."""

import os
import sys
from pathlib import Path

# `ray submit` uploads this file alone into the home folder; the project is where the cluster's files were mounted.
_HERE = Path(__file__).resolve()
_PLACES = [os.environ.get("MER_PROJECT"), _HERE.parents[1], Path.home() / "mer"]
_ROOT = next((str(p) for p in _PLACES if p and (Path(p) / "orchestrator" / "cli.py").is_file()), None)
# This file's own folder must not be on the path: its modules would hide installed ones of the same names.
sys.path = [_ROOT or "", *(entry for entry in sys.path if Path(entry or ".").resolve() != _HERE.parent)]

if __name__ == "__main__":
    from orchestrator.cli import main

    arguments = sys.argv[1:]
    if not arguments or arguments[0].startswith("--"):
        arguments.insert(0, "all")
    main(["run", *arguments])
