"""How figures look, and how they become SVG for the page and PDF for the paper: the same bytes each time."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

INK, MUTED, PALE, ACCENT, PAPER = "#000000", "#6b6b6b", "#dadada", "#0072b2", "#ffffff"
_ON_THE_PAGE = {
    INK: "currentColor",
    MUTED: "var(--muted)",
    PALE: "var(--pale)",
    ACCENT: "var(--accent)",
    PAPER: "var(--paper)",
}
WIDTH = 6.0  # inches: what a text column of two thirds of a page takes
_STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with the library, so that figures are the same on all machines
    "font.size": 8,
    "text.parse_math": False,  # names of models are no formulas
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "svg.fonttype": "none",  # text stays text: it can be searched, and takes the page's font
    "svg.hashsalt": "mer",
    "pdf.fonttype": 42,
}


@dataclass(frozen=True)
class Picture:
    """A figure of the report.

    Attributes
    ----------
    name
        Of its file.
    title, description
        What it is, and what a reader who cannot see it should know.
    svg, pdf
        The figure.
    width
        How wide it is drawn, in inches.
    """

    name: str
    title: str
    description: str
    svg: Markup
    pdf: bytes
    width: float


def style() -> AbstractContextManager[None]:
    """The context in which all figures are drawn."""
    return mpl.rc_context(_STYLE)


class Sheet:
    """A figure whose parts are placed in inches from its upper left corner.

    Parameters
    ----------
    width, height
        In inches.
    """

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height))

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes at a place."""
        place = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        return self.figure.add_axes(place)

    def grid(self, left: float, top: float, width: float, height: float, cells: tuple[int, int]) -> Axes:
        """Axes for a table of so many rows and columns of coloured cells, the first row on top; without ticks."""
        axes = self.axes(left, top, width, height)
        axes.set_xlim(0, cells[1])
        axes.set_ylim(cells[0], 0)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        return axes

    def picture(self, name: str, title: str, description: str) -> Picture:
        """The finished figure."""
        svg, pdf = io.StringIO(), io.BytesIO()
        self.figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        self.figure.savefig(pdf, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
        return Picture(
            name,
            title,
            description,
            _for_the_page(svg.getvalue(), name, title, description),
            pdf.getvalue(),
            self.width,
        )


def fill(axes: Axes, row: int, column: int, share: float, *, colour: str = ACCENT) -> None:
    """Colour a cell of a grid, the stronger the higher the share, 0 to 1; text on it stays readable."""
    if share > 0.005:
        axes.add_patch(
            Rectangle(
                (column + 0.03, row + 0.03), 0.94, 0.94, facecolor=colour, alpha=0.58 * min(share, 1), linewidth=0
            )
        )


def fill_run(axes: Axes, values: Sequence[Sequence[float]]) -> None:
    """Colour all cells of a large grid, without gaps between rows."""
    cells = [(row, column, min(share, 1)) for row, line in enumerate(values) for column, share in enumerate(line)]
    corners = [
        [(column + 0.04, row), (column + 0.96, row), (column + 0.96, row + 1), (column + 0.04, row + 1)]
        for row, column, _ in cells
    ]
    colours = [to_rgba(ACCENT, 0.58 * share) for _, _, share in cells]
    axes.add_collection(PolyCollection(corners, facecolors=colours, linewidths=0))  # one artist, drawn at once


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Places moved apart, as little as needed, so that labels at them do not touch; in the order given."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved = [places[index] for index in order]
    for _ in range(200):
        close = [i for i in range(len(moved) - 1) if moved[i + 1] - moved[i] < gap - 1e-9]
        if not close:
            break
        for i in close:
            lack = (gap - (moved[i + 1] - moved[i])) / 2
            moved[i] -= lack
            moved[i + 1] += lack
    found = [0.0] * len(places)
    for position, index in enumerate(order):
        found[index] = moved[position]
    return found


def room(names: Sequence[str], points: float = 8) -> float:
    """Inches that the longest of some names takes, with a gap beside it."""
    return 0.2 + 0.0086 * points * max(len(short(name)) for name in names)


def short(name: str, letters: int = 26) -> str:
    """A name that fits beside a figure."""
    return name if len(name) <= letters else name[: letters - 1] + "…"


def _for_the_page(svg: str, name: str, title: str, description: str) -> Markup:
    """SVG that lies in a page: in the page's colours and font, named for those who cannot see it, with ids of its own.

    matplotlib escapes what is text, so this is markup.
    """
    body = svg[svg.index("<svg") :]
    box = re.search(r'viewBox="([^"]*)"', body)
    inner = body[body.index(">") + 1 : body.rindex("</svg>")]
    inner = re.sub(r"<metadata>.*?</metadata>", "", inner, flags=re.DOTALL)
    inner = re.sub(r"<style[^>]*>.*?</style>", "", inner, flags=re.DOTALL)
    inner = re.sub(r"<!--.*?-->", "", inner, flags=re.DOTALL)
    inner = inner.replace("xlink:href=", "href=")
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', inner))
    inner = re.sub(r' id="([^"]*)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", inner)
    inner = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", inner)
    inner = re.sub(r'style="[^"]*"', _styled, inner)
    # What is drawn in black is not said in SVG, black being the default.
    head = (
        f'<svg viewBox="{box[1] if box else ""}" role="img" fill="currentColor" aria-labelledby="{name}-t {name}-d">'
        f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(description)}</desc>'
    )
    return Markup(head + re.sub(r"\n\s*\n", "\n", inner) + "</svg>")  # noqa: S704 - see above


def _styled(attribute: re.Match[str]) -> str:
    """A style in the page's colours and font."""
    style = re.sub(r"#[0-9a-f]{6}\b", lambda colour: _ON_THE_PAGE.get(colour[0], colour[0]), attribute[0])
    bold = "font-weight: bold; " if re.search(r"font: [^;]*\b(?:bold|700)\b", style) else ""
    return re.sub(r"font: [^;\"]*?([0-9.]+)px[^;\"]*", rf"{bold}font-size: \1px", style)
