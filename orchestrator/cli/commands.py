"""The `mer` command. Each command reads its arguments, calls one function, and prints."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mer_data.problems import BadInput, Problem, raise_all
from mer_models.plugins import BrokenModelFile
from orchestrator.cli.capsules import capsule, claim, merge, verify
from orchestrator.cli.data import data, store_option
from orchestrator.console import Console

if TYPE_CHECKING:
    from orchestrator.experiment.config import Experiment
    from orchestrator.experiment.plan import Plan
    from orchestrator.output.ledger import Ledger


class _Local(click.Path):
    """A path on this machine."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; an address such as ``s3://...`` is refused."""
        if isinstance(value, str) and "://" in value:
            copy = "aws s3 sync" if value.startswith("s3://") else "rclone copy"
            self.fail(f"{value} is not on this machine; for a copy: {copy} {value} FOLDER", param, ctx)
        return super().convert(value, param, ctx)


_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
_set = click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Override a key of the file.")
_out = click.option(
    "--out",
    metavar="FOLDER",
    help="Output folder, or its address in object storage (s3://...). [default: MER_RUNS/NAME, else runs/NAME]",
)
_models = click.option(
    "--models",
    "model_files",
    multiple=True,
    metavar="FILE.py",
    help="A file of your own that registers models; see docs/add-a-model.md.",
)


_cpus = click.option(
    "--cpus", type=click.IntRange(min=1), help="Cores of this machine to use; all if not given. A cluster has its own."
)


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
    except (BadInput, BrokenModelFile) as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except OSError as error:
        if error.filename is None and error.errno not in _OF_THE_DISK:
            raise
        # A folder that cannot be written, a full disk: nothing that a traceback would explain better.
        click.echo(f"{error.filename or 'the system'}: {error.strerror or error}", err=True)
        sys.exit(2)


@mer.command()
@click.argument("experiment")
@_set
@_models
@_out
@_cpus
@_json
def run(
    experiment: str,
    changes: tuple[str, ...],
    model_files: tuple[str, ...],
    out: str | None,
    cpus: int | None,
    as_json: bool,
) -> int:
    """Run an experiment, or what is missing of it.

    EXPERIMENT is a file, or a preset: all, demo, megc2019, models, search. With `--set weights=true` the weights of
    every fold are kept, for `mer predict`.
    """
    from orchestrator.run import run as run_experiment

    loaded, console = _load(experiment, changes, model_files), Console(json=as_json)
    # Ray prints on standard output when a worker is lost; that place is for tables and JSON.
    with redirect_stdout(sys.stderr):
        document = run_experiment(loaded, out, console, cpus)
    return _finished(document, as_json)


@mer.command()
@click.option("--out", type=_Local(file_okay=False, path_type=Path), help="Output folder. [default: runs/demo]")
@_json
def demo(out: Path | None, as_json: bool) -> int:
    """Try the whole job on synthetic faces.

    Draws a dataset, computes flow, holds every subject out in turn, prints a leaderboard. It takes a minute or two.
    """
    from orchestrator.run import demo as run_demo

    console = Console(json=as_json)
    with redirect_stdout(sys.stderr):
        document = run_demo(out or Path("runs/demo"), console)
    return _finished(document, as_json)


@mer.command()
@click.argument("experiment")
@click.argument("names", nargs=-1)
@_set
@_models
@_cpus
def features(
    experiment: str, names: tuple[str, ...], changes: tuple[str, ...], model_files: tuple[str, ...], cpus: int | None
) -> None:
    """Compute the features an experiment needs, or those of the given NAMES; `all` computes every feature there is."""
    from orchestrator.run import compute_features

    compute_features(_load(experiment, changes, model_files), Console(), cpus, names)


@mer.command()
@click.argument("out")
@_json
def status(out: str, as_json: bool) -> int:
    """Jobs done, running, missing, failed and stale; of a search, also avoided and rejected."""
    from orchestrator.report import leaderboard

    plan, ledger = _open(out)
    document = leaderboard.status(plan, ledger)
    if as_json:
        _print(document)
    else:
        searched = ("rejected", "avoided") if plan.studies else ()
        shown = [name for name in document["jobs"] if name not in ("rejected", "avoided") or name in searched]
        counts = ", ".join(f"{document['jobs'][name]} {name}" for name in shown)
        click.echo(f"{out}: {counts}")
        for failure in document["failures"]:
            click.echo(f"failed: {failure['model']} on {failure['fold']}: {failure['reason'].strip()}")
    return _exit_status(document)


@mer.command()
@click.argument("out")
@click.option("--rule", help="Selection rule: last or inner, oracle-subject, oracle-epoch. [default: the experiment's]")
@click.option("--partial", is_flag=True, help="Score what is there, although folds are missing.")
@_json
def score(out: str, rule: str | None, partial: bool, as_json: bool) -> int:
    """The table of an output folder.

    Scores over all clips and per source dataset, from the stored predictions; nothing is trained.
    """
    from orchestrator.report import leaderboard
    from orchestrator.report.predictions import score_cells
    from orchestrator.report.tables import print_scores

    plan, ledger = _open(out)
    rule = leaderboard.known_rule(rule or plan.rule)
    scored = score_cells(plan, ledger, partial=partial)
    document = leaderboard.score_document(plan, ledger, scored, rule)
    if as_json:
        _print(document)
    else:
        print_scores(document, Console())
    return 0 if document["complete"] else 1


@mer.group()
def track() -> None:
    """The MLflow mirror of an output folder."""


@track.command()
@click.argument("out")
@_models
def sync(out: str, model_files: tuple[str, ...]) -> None:
    """Rebuild the runs from the ledger."""
    from mer_models.spec import models
    from orchestrator.experiment import user_models
    from orchestrator.output.results import is_capsule
    from orchestrator.report import mlflow_sync
    from orchestrator.report.predictions import score_cells

    if is_capsule(out):
        raise BadInput(Problem(out, "is a capsule, or no output folder", "MLflow mirrors output folders"))
    plan, ledger = _open(out)
    # The plan holds their text, but what an output folder holds is read here and never run.
    user_models.load(model_files)
    remedy = "give the file that registers it with --models, or install its package"
    raise_all(Problem(out, f"unknown model {name}", remedy) for name in plan.recipes if name not in models())
    folder = ledger.root.parent
    mlflow_sync.sync(plan, score_cells(plan, ledger, partial=True), folder)
    click.echo(mlflow_sync.ui_command(folder))


@mer.command(name="models")
@click.argument("names", nargs=-1, metavar="[MODEL]...")
@_models
@_json
def list_models(names: tuple[str, ...], model_files: tuple[str, ...], as_json: bool) -> None:
    """Models, inputs, published scores; the whole card of a MODEL."""
    from orchestrator.cli import model_cards
    from orchestrator.experiment import user_models

    user_models.load(model_files)
    document = model_cards.models_document(names)
    if as_json:
        _print(document)
    elif names:
        model_cards.print_cards(document, Console())
    else:
        model_cards.print_models(document, Console())


@mer.command()
@click.argument("names", nargs=-1, metavar="[MODEL]...")
@_models
@_json
def complexity(names: tuple[str, ...], model_files: tuple[str, ...], as_json: bool) -> None:
    """What one clip costs each model.

    Parameters, FLOPs and memory traffic by the rules of published tables (torchstat); latency measured here.
    """
    from orchestrator.cli import model_cards
    from orchestrator.experiment import user_models

    user_models.load(model_files)
    document = model_cards.complexity_document(names)
    if as_json:
        _print(document)
    else:
        model_cards.print_complexity(document, Console())


@mer.command()
@click.argument("weights", type=_Local(path_type=Path))
@click.argument("clips", nargs=-1, metavar="[CLIP]...")
@click.option("--dataset", required=True, metavar="NAME", help="The dataset of the store that has the clips.")
@store_option
@click.option("--trained-subjects", is_flag=True, help="Predict also people that the weights were trained on.")
@click.option(
    "--classes", metavar="NAME,NAME...", help="Class names in order, for imported weights, which do not tell them."
)
@_models
@_json
def predict(
    weights: Path,
    clips: tuple[str, ...],
    dataset: str,
    store: str,
    trained_subjects: bool,
    classes: str | None,
    model_files: tuple[str, ...],
    as_json: bool,
) -> None:
    """Saved weights on clips.

    WEIGHTS is a file of weights, or the folder of one model, dataset and seed: OUT/weights/MODEL/DATASET/seed-0. Each
    clip is predicted by the folds that were not trained on its subject: by the one that held the subject out or, for a
    person that the run has not seen, by the mean of all. CLIP is the id of a clip or of a subject; all clips if none is
    named.
    """
    from mer_data.storage.store import Store
    from orchestrator import predict as prediction
    from orchestrator.experiment import user_models

    user_models.load(model_files)
    console = Console(json=as_json)
    named = [name.strip() for name in classes.split(",")] if classes else []
    names, predicted = prediction.predict(
        weights, Store(store), dataset, clips, named, console, trained_subjects=trained_subjects
    )
    document = prediction.document(weights, dataset, names, predicted)
    if as_json:
        _print(document)
    else:
        prediction.show(document, console)


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
    from orchestrator.output.weights import import_weights as read_and_write

    network = read_and_write(model, file, to)
    click.echo(f"{model}: {sum(p.numel() for p in network.parameters()):,} parameters, now in {to}", err=True)


def _load(experiment: str, changes: tuple[str, ...], model_files: tuple[str, ...]) -> Experiment:
    from orchestrator.experiment import config

    loaded = config.load(experiment, changes)
    return loaded.model_copy(update={"plugins": list(dict.fromkeys([*loaded.plugins, *model_files]))})


def _open(out: str) -> tuple[Plan, Ledger]:
    from orchestrator.output.results import open_results

    return open_results(out, Console())


def _finished(document: dict[str, Any], as_json: bool) -> int:
    if as_json:
        _print(document)
    return 1 if document["weights"]["missing"] else _exit_status(document["status"])


def _exit_status(status: dict[str, Any]) -> int:
    return 1 if status["jobs"]["missing"] or status["jobs"]["failed"] else 0


def _print(document: Any) -> None:
    click.echo(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))


for command in (data, capsule, verify, merge, claim):
    mer.add_command(command)

if __name__ == "__main__":
    main()
