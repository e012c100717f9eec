"""How commands print what they found: as a table, a JSON document, or CSV."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import click

from orchestrator.console import Console

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")


def form_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options ``--json`` and ``--csv``: the parameter `form` is ``json``, ``csv`` or None."""
    as_csv = click.option("--csv", "form", flag_value="csv", help="Print the table as CSV on standard output.")
    as_json = click.option("--json", "form", flag_value="json", help="Print one JSON document on standard output.")
    return as_json(as_csv(command))


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))


def _print_csv(lines: Iterable[Mapping[str, Any]]) -> None:
    """CSV on standard output; see :func:`orchestrator.report.flat_tables.csv_text`."""
    from orchestrator.report.flat_tables import csv_text

    click.echo(csv_text(lines), nl=False)


def print_as(
    form: str | None,
    document: Any,
    lines: Callable[[Any], Iterable[Mapping[str, Any]]],
    table: Callable[[Any, Console], None],
) -> None:
    """Print what a command found in the form asked for (:func:`form_option`); `lines` are those of its CSV."""
    if form == "json":
        print_json(document)
    elif form == "csv":
        _print_csv(lines(document))
    else:
        table(document, Console())
