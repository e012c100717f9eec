"""The `mer` command. Each command reads its arguments, calls one function, and prints."""

from __future__ import annotations

import errno
import sys
import threading
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mer_data.problems import BadInput, Problem
from mer_models.plugins import BrokenModelFile
from orchestrator.cli.capsules import capsule, claim, merge, verify
from orchestrator.cli.data import data, store_option
from orchestrator.cli.ending import leave
from orchestrator.cli.printing import form_option, json_option, print_as, print_json
from orchestrator.cli.results import compare, exit_status, models_option, power, report, runs, score, status, track, ui
from orchestrator.console import Console
from orchestrator.machines.interruption import stoppable, stopped_status

if TYPE_CHECKING:
    from orchestrator.experiment.config import Experiment


class _Local(click.Path):
    """A path on this machine."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; an address such as ``s3://...`` is refused."""
        if isinstance(value, str) and "://" in value:
            copy = "aws s3 sync" if value.startswith("s3://") else "rclone copy"
            self.fail(f"{value} is not on this machine; for a copy: {copy} {value} FOLDER", param, ctx)
        return super().convert(value, param, ctx)


_QUIET = 0.7  # seconds
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE)
_AGAIN = "the same command goes on"
_REMEDIES = {
    errno.EACCES: f"give access to it; {_AGAIN}",
    errno.EPERM: f"give access to it; {_AGAIN}",
    errno.EIO: f"the disk does not answer: look at its cables and its health; {_AGAIN}",
    errno.ESTALE: f"the file server lost it: mount it again; {_AGAIN}",
    errno.ENOSPC: f"make room; {_AGAIN}",
    errno.EDQUOT: f"make room; {_AGAIN}",
    errno.EISDIR: f"a folder is where a file should be: move it away; {_AGAIN}",
    errno.ENOTDIR: f"a file is where a folder should be: move it away; {_AGAIN}",
}
_set = click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Override a key of the file.")
_out = click.option(
    "--out",
    metavar="FOLDER",
    help="Output folder, or its address in object storage (s3://...). [default: MER_RUNS/NAME, else runs/NAME]",
)
_cpus = click.option(
    "--cpus", type=click.IntRange(min=1), help="Cores of this machine to use; all if not given. A cluster has its own."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="mer-orchestrator")
def mer() -> None:
    """Micro-expression recognition experiments: features once, every subject held out, a table you can publish."""
    if find_spec("fcntl") is None:
        remedy = "on Windows, install it within WSL 2: see docs/first-run.md"
        raise BadInput(Problem("mer", "runs on Linux, macOS and WSL 2, not on this system", remedy))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 something failed or is missing, 2 bad usage or bad input."""
    # Importing what a command needs takes seconds, in which nobody should wonder whether it hangs.
    named = " ".join(["mer", *list(sys.argv[1:] if arguments is None else arguments)[:1]])
    word = threading.Timer(_QUIET, lambda: click.echo(f"{named}: one moment", err=True))
    word.daemon = True
    word.start()
    try:
        with stoppable():
            _run(arguments)
    except SystemExit as stop:
        if arguments is None:  # this is the whole process
            leave(stop.code)
        raise
    finally:
        word.cancel()


def _run(arguments: Sequence[str] | None) -> None:
    try:
        sys.exit(mer.main(arguments, prog_name="mer", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped; the same command continues from here", err=True)
        sys.exit(stopped_status())
    except BadInput as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except BrokenModelFile as error:
        click.echo(str(Problem(error.where, error.what)), err=True)
        sys.exit(2)
    except OSError as error:
        if error.errno is None or (error.filename is None and error.errno not in _OF_THE_DISK):
            raise
        # A folder that cannot be written, a full disk: nothing that a traceback would explain better.
        click.echo(str(_explained(error)), err=True)
        sys.exit(2)


def _explained(error: OSError) -> Problem:
    """What the system refused, and what to do."""
    where = str(error.filename or "the system")
    if error.errno == errno.ENOENT and Path(where).is_symlink():
        return Problem(where, "is a link that leads nowhere", f"connect its disk, or move it away; {_AGAIN}")
    return Problem(where, error.strerror or str(error), _REMEDIES.get(error.errno or 0, ""))


@mer.command()
@click.argument("experiment")
@_set
@models_option
@_out
@_cpus
@json_option
def run(
    experiment: str,
    changes: tuple[str, ...],
    model_files: tuple[str, ...],
    out: str | None,
    cpus: int | None,
    as_json: bool,
) -> int:
    """Run an experiment, or what is missing of it.

    EXPERIMENT is a file, or a preset: all, demo, megc2019, models, search, sensitivity. With `--set weights=true` the
    weights of every fold are kept, for `mer predict`.
    """
    from orchestrator.whole_run import run as run_experiment

    loaded, console = _load(experiment, changes, model_files), Console(json=as_json)
    # Ray prints on standard output when a worker is lost; that place is for tables and JSON.
    with redirect_stdout(sys.stderr):
        document = run_experiment(loaded, out, console, cpus)
    return _finished(document, as_json)


@mer.command()
@click.option("--out", type=_Local(file_okay=False, path_type=Path), help="Output folder. [default: runs/demo]")
@json_option
def demo(out: Path | None, as_json: bool) -> int:
    """Try the whole job on synthetic faces.

    Draws a dataset, computes flow, holds every subject out in turn, prints a leaderboard. It takes a minute or two.
    """
    from orchestrator.whole_run import demo as run_demo

    console = Console(json=as_json)
    with redirect_stdout(sys.stderr):
        document = run_demo(out or Path("runs/demo"), console)
    return _finished(document, as_json)


@mer.command()
@click.argument("experiment")
@click.argument("names", nargs=-1)
@_set
@models_option
@_cpus
def features(
    experiment: str, names: tuple[str, ...], changes: tuple[str, ...], model_files: tuple[str, ...], cpus: int | None
) -> None:
    """Compute the features an experiment needs, or those of the given NAMES; `all` computes every feature there is."""
    from orchestrator.whole_run import compute_features

    compute_features(_load(experiment, changes, model_files), Console(), cpus, names)


@mer.command(name="models")
@click.argument("names", nargs=-1, metavar="[MODEL]...")
@models_option
@form_option
def list_models(names: tuple[str, ...], model_files: tuple[str, ...], form: str | None) -> None:
    """Models, inputs, published scores; the whole card of a MODEL."""
    from orchestrator.cli import model_cards

    _load_models(model_files)
    document = model_cards.models_document(names, own=bool(model_files))
    table = model_cards.print_cards if names else model_cards.print_models
    print_as(form, document, model_cards.models_lines, table)


@mer.command()
@click.argument("names", nargs=-1, metavar="[MODEL]...")
@models_option
@form_option
def complexity(names: tuple[str, ...], model_files: tuple[str, ...], form: str | None) -> None:
    """What one clip costs each model.

    Parameters, FLOPs and memory traffic by the rules of published tables (torchstat); latency measured here.
    """
    from orchestrator.cli import model_cards, model_facts

    _load_models(model_files)
    document = model_facts.complexity_document(names)
    print_as(form, document, model_cards.complexity_lines, model_cards.print_complexity)


@mer.command()
@models_option
def schema(model_files: tuple[str, ...]) -> None:
    """The JSON Schema of experiment files, for an editor.

    `mer schema > experiment.schema.json`, and an editor that knows the comment in the first line of a preset checks the
    file as you type, and proposes keys, models and fields of recipes.
    """
    from orchestrator.cli import model_cards
    from orchestrator.experiment.schema import experiment_schema

    _load_models(model_files)
    rows = model_cards.models_document(own=bool(model_files))["rows"]
    print_json(experiment_schema([row["model"] for row in rows]))


@mer.command()
@click.argument("weights", type=_Local(path_type=Path))
@click.argument("clips", nargs=-1, metavar="[CLIP]...")
@click.option("--dataset", required=True, metavar="NAME", help="The dataset of the store that has the clips.")
@store_option
@click.option("--trained-subjects", is_flag=True, help="Predict also people that the weights were trained on.")
@click.option(
    "--classes", metavar="NAME,NAME...", help="Class names in order, for imported weights, which do not tell them."
)
@models_option
@form_option
def predict(
    weights: Path,
    clips: tuple[str, ...],
    dataset: str,
    store: str,
    trained_subjects: bool,
    classes: str | None,
    model_files: tuple[str, ...],
    form: str | None,
) -> None:
    """Saved weights on clips.

    WEIGHTS is a file of weights, or the folder of one model, dataset and seed: OUT/weights/MODEL/DATASET/seed-0. Each
    clip is predicted by the folds that were not trained on its subject: by the one that held the subject out or, for a
    person that the run has not seen, by the mean of all. CLIP is the id of a clip or of a subject; all clips if none is
    named.
    """
    from mer_data.storage.store import Store
    from orchestrator.experiment import user_models
    from orchestrator.output import predict as prediction
    from orchestrator.output.folder import known_results

    user_models.load(model_files)
    weights = Path(known_results(weights))
    console = Console(json=form is not None)
    named = [name.strip() for name in classes.split(",")] if classes else []
    names, predicted = prediction.predict(
        weights, Store(store), dataset, clips, named, console, trained_subjects=trained_subjects
    )
    document = prediction.document(weights, dataset, names, predicted)
    print_as(form, document, prediction.lines, prediction.show)


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


def _load_models(files: tuple[str, ...]) -> None:
    if files:
        from orchestrator.experiment import user_models

        user_models.load(files)


def _load(experiment: str, changes: tuple[str, ...], model_files: tuple[str, ...]) -> Experiment:
    from orchestrator.experiment import config

    loaded = config.load(experiment, changes)
    return loaded.model_copy(update={"plugins": list(dict.fromkeys([*loaded.plugins, *model_files]))})


def _finished(document: dict[str, Any], as_json: bool) -> int:
    if as_json:
        print_json(document)
    return 1 if document["weights"]["missing"] else exit_status(document["status"])


for _command in (data, status, score, compare, report, power, runs, track, ui, capsule, verify, merge, claim):
    mer.add_command(_command)

if __name__ == "__main__":
    main()
