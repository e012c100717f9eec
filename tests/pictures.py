"""Draw the two pictures of README.md from an output folder: ``python tests/pictures.py OUT``.

OUT is that of ``mer demo --out OUT`` followed by ``mer report OUT``. Chromium must be installed; as root it runs
without its sandbox.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.ansi import AnsiDecoder
from rich.console import Console
from rich.terminal_theme import MONOKAI

PICTURES = Path(__file__).resolve().parents[1] / "docs/pictures"
COLUMNS = 112


def screen_of(arguments: list[str]) -> str:
    """What a command shows on a terminal, as SVG."""
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "FORCE_COLOR": "1"}
    program = [str(Path(sys.executable).with_name("mer")), *arguments]
    shown = subprocess.run(program, env=environment, capture_output=True, text=True, check=True).stdout
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - a device
        console = Console(record=True, width=COLUMNS, file=nowhere)
        console.print(f"$ mer {arguments[0]}", highlight=False)
        for line in AnsiDecoder().decode(shown.rstrip()):
            console.print(line)
        svg = console.export_svg(title="mer", theme=MONOKAI)
    return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)  # fonts of somebody's server


def photograph(page: str, to: Path, width: int, height: int) -> None:
    """A picture of a page, of the width and height of its window."""
    browser = shutil.which("chromium") or shutil.which("google-chrome") or "chromium"
    options = ["--headless", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},{height}"]
    options += ["--no-sandbox"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as home:
        subprocess.run([browser, *options, f"--user-data-dir={home}", f"--screenshot={to}", page], check=True)


def main(out: str) -> None:
    """Both pictures."""
    PICTURES.mkdir(exist_ok=True)
    svg = screen_of(["demo", "--out", out])  # all is done: it prints the leaderboard again
    width, height = (float(number) for number in re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)[0])
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "screen.html"
        page.write_text(f"<style>body{{margin:0}}svg{{width:100%}}</style>{svg}", encoding="utf-8")
        photograph(page.as_uri(), PICTURES / "leaderboard.png", 1000, round(1000 * height / width))
    photograph((Path(out) / "report/report.html").resolve().as_uri(), PICTURES / "report.png", 1000, 1150)


if __name__ == "__main__":
    main(sys.argv[1])
