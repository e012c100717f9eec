"""Tables and text as LaTeX; tables need the package ``booktabs``."""

from __future__ import annotations

import re

from orchestrator.report.paper.documents import Cell, Row, Table

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "×": r"$\times$",
    "−": "$-$",
    "–": "--",
    "\u202f": r"\,",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def escaped(text: str) -> str:
    """Text in which nothing is a command of LaTeX."""
    return re.sub(r"[\\~^<>|×−–\u202f&%$#_{}]|[\x00-\x1f]+", lambda found: _SPECIAL.get(found[0], " "), text)


def table(of: Table) -> str:
    """A table with its caption and label. What an oracle chose is left out: it is no result."""
    kept = [index for index, column in enumerate(of.columns) if not column.oracle]
    form = "".join("r" if of.columns[index].numeric else "l" for index in kept)
    lines = [
        "% needs \\usepackage{booktabs}",
        "\\begin{table}",
        "  \\centering",
        f"  \\caption{{{escaped(of.caption)}.}}",
        f"  \\label{{tab:{escaped(of.name)}}}".replace("\\_", "_"),
        f"  \\begin{{tabular}}{{{form}}}",
        "    \\toprule",
        f"    {' & '.join(escaped(of.columns[index].title) for index in kept)} \\\\",
        "    \\midrule",
    ]
    before = ""
    for row in of.rows:
        if row.kind == "baseline" and before in ("model", "part"):
            lines.append("    \\midrule")
        before = row.kind
        lines.append(f"    {' & '.join(_cell(row, row.cells[index], first=not index) for index in kept)} \\\\")
    lines += ["    \\bottomrule", "  \\end{tabular}"]
    if of.note:
        lines.append(f"  \\par\\smallskip\\footnotesize {escaped(of.note)}")
    return "\n".join([*lines, "\\end{table}"]) + "\n"


def _cell(row: Row, cell: Cell, *, first: bool) -> str:
    text = escaped(cell.text)
    if row.kind == "part" and first:
        text = f"\\quad {text}"
    return f"\\textbf{{{text}}}" if cell.bold else text
