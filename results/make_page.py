"""Make docs/results.md anew from the capsules beside this file; a test compares.

python results/make_page.py
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from orchestrator.cli.commands import mer

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "results.md"
CAPSULES = ROOT / "results" / "megc2019"
MARK = "<!-- What follows is made from the capsules: python results/make_page.py -->\n"


def made() -> str:
    """The page: what a person wrote above the mark, and below it what `mer report` says of the capsules."""
    names = sorted(path.name for path in CAPSULES.glob("*.mer"))
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(CAPSULES)  # so that the page names no place
        try:
            mer.main(["report", *names, "--to", folder], standalone_mode=False)
        finally:
            os.chdir(here)
        text = (Path(folder) / "report.md").read_text(encoding="utf-8")
    # The page has a title; and which code wrote it is Git's to tell.
    text = re.sub(r"^# ", "## ", re.sub(r"^## ", "### ", text, flags=re.MULTILINE), flags=re.MULTILINE)
    text = re.sub(r"^\| report \|.*\n", "", text, flags=re.MULTILINE)
    return PAGE.read_text(encoding="utf-8").partition(MARK)[0] + MARK + "\n" + text


if __name__ == "__main__":
    PAGE.write_text(made(), encoding="utf-8")
