"""The `mer` command. Each command reads its arguments, calls one function, and prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mer_data.problems import BadInput
from orchestrator.console import Console
from orchestrator.data_cli import data

if TYPE_CHECKING:
    from orchestrator.ledger import Ledger
    from orchestrator.plan import Plan

_FOLDER = click.Path(file_okay=False, path_type=Path)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
_set = click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Override a key of the file.")
_out = click.option("--out", type=_FOLDER, help="Output folder; runs/NAME if not given.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="mer-orchestrator")
def mer() -> None:
    """Micro-expression recognition experiments: features once, every subject held out, a table you can publish."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 something failed or is missing, 2 bad usage or bad input."""
    try:
        sys.exit(mer.main(arguments, prog_name="mer", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped; the same command continues from here", err=True)
        sys.exit(130)
    except BadInput as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except OSError as error:
        # A folder that cannot be written, a full disk: nothing that a traceback would explain better.
        click.echo(f"{error.filename or 'the system'}: {error.strerror or error}", err=True)
        sys.exit(2)


@mer.command()
@click.argument("experiment")
@_set
@_out
@_json
def run(experiment: str, changes: tuple[str, ...], out: Path | None, as_json: bool) -> int:
    """Run an experiment, or what is missing of it.

    EXPERIMENT is a file, or a preset: all, demo, megc2019.
    """
    from orchestrator import config
    from orchestrator.run import run as run_experiment

    return _finished(run_experiment(config.load(experiment, changes), out, Console(json=as_json)), as_json)


@mer.command()
@_out
@_json
def demo(out: Path | None, as_json: bool) -> int:
    """Try the whole job on synthetic faces.

    Draws a dataset, computes flow, holds every subject out in turn, prints a leaderboard. It takes a minute or two.
    """
    from orchestrator.demo import demo as run_demo

    return _finished(run_demo(out or Path("runs/demo"), Console(json=as_json)), as_json)


@mer.command()
@click.argument("experiment")
@_set
def features(experiment: str, changes: tuple[str, ...]) -> None:
    """Compute the features an experiment needs."""
    from orchestrator import config
    from orchestrator.run import compute_features

    compute_features(config.load(experiment, changes), Console())


@mer.command()
@click.argument("out", type=_FOLDER)
@_json
def status(out: Path, as_json: bool) -> int:
    """Jobs done, missing, failed and stale."""
    from orchestrator import leaderboard

    plan, ledger = _open(out)
    document = leaderboard.status(plan, ledger)
    if as_json:
        _print(document)
    else:
        counts = ", ".join(f"{count} {name}" for name, count in document["jobs"].items())
        click.echo(f"{out}: {counts}")
        for failure in document["failures"]:
            click.echo(f"failed: {failure['model']} on {failure['fold']}: {failure['reason'].strip()}")
    return _exit_status(document)


@mer.command()
@click.argument("out", type=_FOLDER)
@click.option("--rule", help="Selection rule: last, oracle-subject, oracle-epoch. [default: the experiment's]")
@click.option("--partial", is_flag=True, help="Score what is there, although folds are missing.")
@_json
def score(out: Path, rule: str | None, partial: bool, as_json: bool) -> int:
    """The table of an output folder.

    Scores over all clips and per source dataset, from the stored predictions; nothing is trained.
    """
    from orchestrator import leaderboard

    plan, ledger = _open(out)
    rule = leaderboard.known_rule(rule or plan.rule)
    scored = leaderboard.score_cells(plan, ledger, partial=partial)
    document = leaderboard.score_document(plan, ledger, scored, rule)
    if as_json:
        _print(document)
    else:
        Console().scores(document)
    return 0 if document["complete"] else 1


@mer.group()
def track() -> None:
    """The MLflow mirror of an output folder."""


@track.command()
@click.argument("out", type=_FOLDER)
def sync(out: Path) -> None:
    """Rebuild the runs from the ledger."""
    from orchestrator import leaderboard
    from orchestrator import track as mirror

    plan, ledger = _open(out)
    mirror.sync(plan, leaderboard.score_cells(plan, ledger, partial=True), out)
    click.echo(mirror.ui_command(out))


@mer.command(name="models")
@click.argument("names", nargs=-1, metavar="[MODEL]...")
@_json
def list_models(names: tuple[str, ...], as_json: bool) -> None:
    """Models, inputs, published scores; the whole card of a MODEL."""
    from orchestrator import catalogue

    document = catalogue.models_document(names)
    if as_json:
        _print(document)
    elif names:
        catalogue.print_cards(document, Console())
    else:
        catalogue.print_models(document, Console())


@mer.command()
@click.argument("names", nargs=-1, metavar="[MODEL]...")
@_json
def complexity(names: tuple[str, ...], as_json: bool) -> None:
    """What one clip costs each model.

    Parameters, FLOPs and memory traffic by the rules of published tables (torchstat); latency measured here.
    """
    from orchestrator import catalogue

    document = catalogue.complexity_document(names)
    if as_json:
        _print(document)
    else:
        catalogue.print_complexity(document, Console())


@mer.group()
def weights() -> None:
    """Published checkpoints."""


@weights.command(name="import")
@click.argument("model")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--to", required=True, type=click.Path(dir_okay=False, path_type=Path), help="A .safetensors file.")
def import_weights(model: str, file: Path, to: Path) -> None:
    """Bring a published checkpoint into our format.

    Every key and shape is checked; nothing in FILE is executed.
    """
    from orchestrator import checkpoints

    network = checkpoints.import_weights(model, file, to)
    click.echo(f"{model}: {sum(p.numel() for p in network.parameters()):,} parameters, now in {to}", err=True)


def _open(out: Path) -> tuple[Plan, Ledger]:
    from orchestrator.ledger import Ledger
    from orchestrator.plan import Plan

    return Plan.load(out / "plan.json"), Ledger(out / "ledger")


def _finished(document: dict[str, Any], as_json: bool) -> int:
    if as_json:
        _print(document)
    return _exit_status(document["status"])


def _exit_status(status: dict[str, Any]) -> int:
    return 1 if status["jobs"]["missing"] or status["jobs"]["failed"] else 0


def _print(document: Any) -> None:
    click.echo(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))


mer.add_command(data)

if __name__ == "__main__":
    main()
