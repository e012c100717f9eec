"""Commands that read output folders and capsules: `mer status`, `score`, `compare`, `report`, `power`, `track`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mer_data.problems import BadInput, Problem, raise_all, shown
from orchestrator.cli.printing import form_option, print_as
from orchestrator.console import Console, duration

if TYPE_CHECKING:
    from orchestrator.experiment.plan import Plan
    from orchestrator.output.folder import Output
    from orchestrator.output.ledger import Ledger

models_option = click.option(
    "--models",
    "model_files",
    multiple=True,
    metavar="FILE.py",
    help="A file of your own that registers models; see docs/add-a-model.md.",
)


@click.command()
@click.argument("out")
@form_option
def status(out: str, form: str | None) -> int:
    """Jobs done, running, missing, failed and stale; of a search, also avoided and rejected."""
    from orchestrator.output.status import status as how_far

    plan, ledger, _ = _open(out)

    def print_status(document: dict[str, Any], _: Console) -> None:
        searched = ("rejected", "avoided") if plan.studies else ()
        names = [name for name in document["jobs"] if name not in ("rejected", "avoided") or name in searched]
        counts = ", ".join(f"{document['jobs'][name]} {name}" for name in names)
        click.echo(f"{out}: {counts}")
        for job in document["running"]:
            how_far = f"epoch {job['done']} of {job['of']}, " if job["of"] else ""
            click.echo(f"running: {job['model']} on {job['fold']}: {how_far}for {duration(time.time() - job['since'])}")
        for failure in document["failures"]:
            told = f"failed: {failure['model']} on {failure['fold']}: {failure['reason'].strip()}"
            click.echo(shown(told, "\n\t"))

    document = how_far(plan, ledger)
    print_as(form, document, lambda document: [document["jobs"]], print_status)
    return exit_status(document)


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@form_option
def runs(folder: Path | None, form: str | None) -> None:
    """The output folders in FOLDER: how far they are, and their best rows.

    Without FOLDER, those where runs go: in MER_RUNS, else in runs.
    """
    from orchestrator.output.folder import default_output
    from orchestrator.report.runs import print_runs, runs_document, runs_lines

    print_as(form, runs_document(folder or Path(default_output("any")).parent), runs_lines, print_runs)


@click.command()
@click.argument("out")
@click.option("--rule", help="Selection rule: last or inner, oracle-subject, oracle-epoch. [default: the experiment's]")
@click.option("--partial", is_flag=True, help="Score what is there, although folds are missing.")
@click.option("--long", "as_long", is_flag=True, help="With --csv: method, task, seed, metric_error (1 - UF1).")
@form_option
def score(out: str, rule: str | None, partial: bool, as_long: bool, form: str | None) -> int:
    """The table of an output folder or of a capsule.

    Scores over all clips and per source dataset, from the stored predictions; nothing is trained. The result files of
    a folder are written again (docs/results-files.md).
    """
    from orchestrator.report import flat_tables, leaderboard, result_files
    from orchestrator.report.predictions import score_cells
    from orchestrator.report.tables import print_scores

    if as_long and form != "csv":
        raise click.UsageError("--long is a form of --csv: give both")
    plan, ledger, output = _open(out)
    rule = leaderboard.known_rule(rule or plan.rule)
    scored = score_cells(plan, ledger, partial=partial)
    document = leaderboard.score_document(plan, ledger, scored, rule)
    print_as(form, document, flat_tables.long_lines if as_long else flat_tables.score_lines, print_scores)
    main = document if rule == plan.rule else leaderboard.score_document(plan, ledger, scored, plan.rule)
    _say_where(output, lambda folder: result_files.write(plan, folder, scored, main))
    return 0 if document["complete"] else 1


@click.command()
@click.argument("outs", metavar="OUT...", nargs=-1, required=True)
@click.option("--reference", metavar="MODEL", help="What others are compared with. [default: the experiment's first]")
@click.option("--metric", type=click.Choice(["uf1", "uar"]), default="uf1", show_default=True)
@form_option
def compare(outs: tuple[str, ...], reference: str | None, metric: str, form: str | None) -> None:
    """Models against each other, in pairs on the same subjects, corrected for their number.

    Every model of the output folders is compared with the reference. Choose that before you look at results: the best
    model would look better than it is.
    """
    from orchestrator.report import comparison, critical_difference, flat_tables
    from orchestrator.report.predictions import AGAIN, score_cells
    from orchestrator.report.tables import print_comparison

    opened = [(out, *_open(out)) for out in outs]
    results = [
        comparison.Results(out, plan, score_cells(plan, ledger, partial=False, remedy=AGAIN))
        for out, plan, ledger, _ in opened
    ]
    document = comparison.compare(results, reference, metric)
    print_as(form, document, flat_tables.comparison_lines, print_comparison)
    ranks, why_not = critical_difference.ranks(results, metric)
    if ranks is None:
        Console().say(why_not)
    else:
        _say_where(opened[0][3], lambda folder: critical_difference.draw(ranks, folder))


@click.command()
@click.argument("experiment")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a value of the experiment file.")
@click.option("--against", metavar="OUT", help="Measure errors on these results instead of assuming them.")
@form_option
def power(experiment: str, changes: tuple[str, ...], against: str | None, form: str | None) -> None:
    """The smallest difference that an experiment can show, before anything is trained.

    It follows from the subjects and clips of its datasets, and from how much trainings of one model differ.
    """
    from mer_data.storage.store import Store
    from orchestrator.experiment import config
    from orchestrator.experiment.resolve import resolve
    from orchestrator.report import comparison
    from orchestrator.report import power as smallest
    from orchestrator.report.predictions import score_cells

    loaded = config.load(experiment, changes)
    results = None
    if against is not None:
        plan, ledger, _ = _open(against)
        results = comparison.Results(against, plan, score_cells(plan, ledger, partial=True))
    document = smallest.power(resolve(loaded, Store(loaded.store)), results)
    print_as(form, document, lambda document: document["datasets"], smallest.print_power)


@click.command()
@click.argument("outs", metavar="OUT...", nargs=-1, required=True)
@click.option("--to", type=click.Path(file_okay=False), metavar="DIR", help="Where to. [default: report, in or by OUT]")
@models_option
def report(outs: tuple[str, ...], to: str | None, model_files: tuple[str, ...]) -> None:
    """A report for reading and for a paper, on one or several output folders.

    A page that needs nothing beside it (report.html), figures as PDF, tables as LaTeX and CSV, a methods paragraph with
    BibTeX, and a checklist. The same results give the same bytes.
    """
    from orchestrator.experiment import user_models
    from orchestrator.report.paper.write import write_report

    user_models.load(model_files)
    opened = [(out, *_open(out)) for out in outs]
    first = opened[0][3]
    beside = Path(outs[0]).with_suffix("").with_name(f"{Path(outs[0]).stem}-report")
    folder = Path(to) if to else (first.folder / "report" if first else beside)
    files = write_report([(out, plan, ledger) for out, plan, ledger, _ in opened], folder)
    if first and not to:
        first.send()
    for _, plan, _, output in opened:
        _into_mlflow(plan, output, folder / files[0])
    click.echo(f"{folder / files[0]}, {len(files) - 1} figures and tables beside it")


@click.group()
def track() -> None:
    """The MLflow mirror of an output folder."""


@track.command()
@click.argument("out")
@models_option
def sync(out: str, model_files: tuple[str, ...]) -> None:
    """Rebuild the runs from the ledger."""
    from mer_models.spec import models
    from orchestrator.experiment import user_models
    from orchestrator.report.mlflow_mirror.cells import sync as mirror
    from orchestrator.report.mlflow_mirror.page import ui_command
    from orchestrator.report.predictions import score_cells

    plan, ledger, output = _open(out)
    if output is None:
        raise BadInput(Problem(out, "is a capsule, or no output folder", "MLflow mirrors output folders"))
    # The plan holds their text, but what an output folder holds is read here and never run.
    user_models.load(model_files)
    remedy = "give the file that registers it with --models, or install its package"
    raise_all(Problem(out, f"unknown model {name}", remedy) for name in plan.recipes if name not in models())
    folder = ledger.root.parent
    mirror(plan, score_cells(plan, ledger, partial=True), folder)
    click.echo(ui_command(folder))


@click.command()
@click.argument("out", required=False)
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True, help="Of this machine.")
def ui(out: str | None, port: int) -> int:
    """The runs in a browser: MLflow's page on this machine, opened on the scores.

    It shows all runs beside OUT; without one, those of the folder where runs go. Ctrl-C ends it.
    """
    from orchestrator.output.folder import Output, default_output
    from orchestrator.report.mlflow_mirror.page import served

    with served(Output(out or default_output("any")).folder, port) as (address, server):
        click.echo(f"{address}\nCtrl-C ends it.")
        return server.wait()


def exit_status(document: dict[str, Any]) -> int:
    """0, or 1 if something is missing or has failed; of a status document."""
    return 1 if document["jobs"]["missing"] or document["jobs"]["failed"] else 0


def _open(out: str) -> tuple[Plan, Ledger, Output | None]:
    """Plan, ledger, and the output folder; None for a capsule, into which nothing is written."""
    from orchestrator.output.folder import Output, known_results
    from orchestrator.output.results import is_capsule, open_results

    out = known_results(out)
    output = None if is_capsule(out) else Output(out)
    return *open_results(output or out, Console()), output


def _into_mlflow(plan: Plan, output: Output | None, page: Path) -> None:
    """Add a report to the runs of MLflow that mirror an output folder, where there are any."""
    from orchestrator.report.mlflow_mirror.cells import is_mirrored
    from orchestrator.report.mlflow_mirror.experiments import log_report
    from orchestrator.report.mlflow_mirror.store import Look, MirrorLost

    if output is None or not is_mirrored(output.folder):
        return
    try:
        lost = Look(output.folder).result()
        if lost is not None:
            raise lost
        log_report(plan, output.folder, page)
    except MirrorLost as error:
        Console().warn(f"the report is not in MLflow: {error}")


def _say_where(output: Output | None, write: Callable[[Path], list[str]]) -> None:
    """Write files into an output folder, and say so; where that is not allowed, the numbers were printed before."""
    if output is None:
        return
    console = Console()
    try:
        names = write(output.folder)
        output.send()
    except (OSError, BadInput) as error:
        console.warn(f"no file was written into the output folder: {error}")
    else:
        console.say(f"{', '.join(names)}: in {output.address}")
