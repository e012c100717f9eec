"""How commands print what they found: as a table, a JSON document, or CSV."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")


def form_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options ``--json`` and ``--csv``: the parameter `form` is ``json``, ``csv`` or None."""
    as_csv = click.option("--csv", "form", flag_value="csv", help="Print the table as CSV on standard output.")
    as_json = click.option("--json", "form", flag_value="json", help="Print one JSON document on standard output.")
    return as_json(as_csv(command))


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))


def print_csv(lines: Iterable[Mapping[str, Any]]) -> None:
    """CSV on standard output; see :func:`orchestrator.report.flat_tables.csv_text`."""
    from orchestrator.report.flat_tables import csv_text

    click.echo(csv_text(lines), nl=False)
