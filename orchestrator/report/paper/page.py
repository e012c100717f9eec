"""The report as one HTML page that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from orchestrator.report.paper.boards import Board, Source
from orchestrator.report.paper.documents import Prose, Table
from orchestrator.report.paper.methods import Methods
from orchestrator.report.paper.sections import Section


def page(
    sources: Sequence[Source],
    parts: Sequence[tuple[Board, Prose, Prose, Sequence[Section]]],
    methods: Methods,
    checklist: Table,
    files: Sequence[str],
) -> str:
    """The page, as text; it names the files beside it.

    Everything from outside, names of models, clips and folders, is escaped; figures are markup of our own making.
    """
    package = __package__ or ""
    environment = Environment(
        loader=PackageLoader(package, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (resources.files(package) / "page.css").read_text(encoding="utf-8")
    text = environment.get_template("page.html.jinja").render(
        title=" and ".join(dict.fromkeys(source.plan.name for source in sources)),
        style=Markup(style),  # noqa: S704 - a file of this package
        sources=sources,
        parts=parts,
        methods=methods,
        checklist=checklist,
        files=files,
    )
    return text.replace(" %", "\u00a0%")  # a number and its unit stay on a line
