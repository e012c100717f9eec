"""Results handed on: `mer capsule`, `mer verify`, `mer merge`, `mer claim`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from mer_data.problems import BadInput, Problem, raise_all
from orchestrator.cli.printing import form_option, json_option, print_as, print_json
from orchestrator.console import Console

_file = click.Path(path_type=Path)


@click.command()
@click.argument("out")
@click.argument("file", metavar="FILE.mer", type=_file)
@click.option(
    "--every",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="Of the epochs that folds kept, take every N-th and the last. [default: all]",
)
@click.option("--partial", is_flag=True, help="Take what is there, although folds are missing.")
def capsule(out: str, file: Path, every: int, partial: bool) -> None:
    """Put the results of OUT into one file.

    It holds plan, folds, labels and logits, no picture and no path of this machine; everybody can check every number
    with `mer verify FILE.mer`, and `mer score` reads it like an output folder.
    """
    from orchestrator.report.capsules import make_capsule

    make_capsule(out, file, Console(), every=every, partial=partial)
    click.echo(f"{file}: {file.stat().st_size:,} bytes; check it with `mer verify {file}`", err=True)


@click.command()
@click.argument("place", metavar="STORE|OUT|FILE.mer", type=_file)
@click.option("--restore", is_flag=True, help="Take back results of OUT that were set aside and are right.")
@json_option
def verify(place: Path, restore: bool, as_json: bool) -> int:
    """Compare everything in a store, an output folder or a capsule with its checksums.

    Of a capsule also every number is computed anew: folds, groups and divisions of searches, ids of jobs, the choices
    of searches, the table. What does not agree is told with what to do, with exit status 2.
    """
    if restore:
        _restore(place)
    return _verify_folder(place, as_json) if place.is_dir() else _verify_capsule(place, as_json)


def _restore(out: Path) -> None:
    from orchestrator.output.folder import Output
    from orchestrator.output.ledger import Ledger

    if not (out / "plan.json").is_file():
        raise BadInput(Problem(str(out), "is no output folder", "give the output folder of `mer run`"))
    console = Console()
    with Output(out).held(console) as folder:
        taken = Ledger(folder / "ledger").restore()
    console.say(f"{out}: {len(taken)} results were right, and were taken back")


def _verify_folder(folder: Path, as_json: bool) -> int:
    from mer_data.storage.integrity import check_store
    from mer_data.storage.store import Store
    from orchestrator.output.integrity import check_output

    is_output = (folder / "plan.json").exists() or (folder / "ledger").is_dir()
    if not is_output and not Store(folder).names():
        what = "holds neither datasets nor results"
        raise BadInput(Problem(str(folder), what, "give a store, the output folder of `mer run`, or a capsule"))
    found = check_output(folder) if is_output else check_store(Store(folder))
    problems = [asdict(problem) for problem in found.problems]
    if as_json:
        document = {"files": found.files, "older": found.older, "problems": problems, "remarks": found.told()}
        print_json({"place": str(folder), "verified": not problems, **document})
        return 2 if problems else 0
    for remark in found.told():
        Console().say(f"{folder}: {remark}")
    raise_all(found.problems)
    click.echo(f"verified: {found.files} files")
    return 0


def _verify_capsule(file: Path, as_json: bool) -> int:
    from orchestrator.report.verification import verify_capsule

    found = verify_capsule(file)
    if as_json:
        problems = [asdict(problem) for problem in found.problems]
        print_json({"file": str(file), "verified": not problems, **asdict(found), "problems": problems})
        return 2 if problems else 0
    for remark in found.remarks:
        Console().say(f"{file}: {remark}")
    if found.problems:
        raise BadInput(found.problems)
    choices = f", choices of {found.searches} searches" if found.searches else ""
    click.echo(f"verified: {found.jobs} jobs, {found.numbers} numbers{choices}")
    return 0


@click.command()
@click.argument("files", metavar="A.mer B.mer...", nargs=-1, required=True, type=_file)
@click.option("--to", required=True, metavar="C.mer", type=_file, help="The capsule to write.")
def merge(files: tuple[Path, ...], to: Path) -> None:
    """Join capsules of the same clips, classes, protocol and rule: their models, seeds, folds and datasets."""
    from orchestrator.report.merging import merge_capsules

    plan = merge_capsules(files, to)
    click.echo(f"{to}: {', '.join(plan.recipes)} on {', '.join(plan.datasets)}", err=True)


@click.command()
@click.argument("out", metavar="OUT|FILE.mer")
@click.option("--uf1", required=True, type=click.FloatRange(0, 1), help="The published figure.")
@click.option("--model", required=True, metavar="MODEL", help="The model that it is of.")
@click.option("--dataset", metavar="NAME", help="The dataset that it is of. [default: the only one]")
@click.option("--partial", is_flag=True, help="Take what is there, although folds are missing.")
@form_option
def claim(out: str, uf1: float, model: str, dataset: str | None, partial: bool, form: str | None) -> None:
    """Where a published figure lies in our results.

    Among what is honest, or among what choosing epochs on the test subjects gives.
    """
    from orchestrator.output.results import open_results
    from orchestrator.report.claims import claim_lines, claims_document, print_claims

    plan, ledger = open_results(out, Console())
    print_as(form, claims_document(plan, ledger, uf1, model, dataset, partial=partial), claim_lines, print_claims)
