"""`mer data`: datasets into the store, and what is there."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mer_data.problems import BadInput, Problem, shown
from orchestrator.cli.printing import form_option, json_option, print_as, print_json
from orchestrator.console import Console

if TYPE_CHECKING:
    from mer_data.face_report import FaceFindings
    from mer_data.imported import ApexRule, Imported
    from mer_data.storage.store import Store

store_option = click.option(
    "--store",
    envvar="MER_STORE",
    default="data/store",
    show_default=True,
    help="The store's folder, or its address in object storage (s3://...).",
)
_apex = click.option(
    "--apex",
    type=click.Choice(["midpoint", "spotted"]),
    default="midpoint",
    show_default=True,
    help="For clips whose sheet gives no apex: the middle frame, or the frame of most motion.",
)
_landmarks = click.option(
    "--landmarks",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A sheet with the five points of each clip's face; its columns are in docs/features.md.",
)
_partial = click.option(
    "--partial", is_flag=True, help="Leave out clips that cannot be used, each by name and with the reason."
)
_NOTES = 10  # kinds of notes that an import prints


@click.group()
def data() -> None:
    """Import, make and list datasets."""


@data.command(name="import")
@click.argument("format_", metavar="FORMAT")
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@store_option
@click.option("--name", help="Its name in the store. [default: the format's]")
@_apex
@_landmarks
@_partial
@click.option("--verbose", is_flag=True, help="Print every note, and not one of each kind.")
def import_(
    format_: str,
    sources: tuple[Path, ...],
    store: str,
    name: str | None,
    apex: ApexRule,
    landmarks: Path | None,
    partial: bool,
    verbose: bool,
) -> None:
    """Read a dataset into the store.

    FORMAT is casme, casme2, casme_sq, casme3a, casme3c, samm, samm_lv, smic, smic_vis, smic_nir, smic_e, smic_e_vis,
    smic_e_nir, mmew, 4dme or dfme:
    the dataset as it is distributed, sheet and frame folders. Or what other projects hand on: offtanet, atn, htnet
    (also the flow maps of STSTNet), dual_atme, aman.
    """
    from mer_data.formats import import_dataset
    from mer_data.imported import PartlyRead
    from mer_data.problems import summed_up
    from mer_data.storage.store import Store

    name = name or format_
    console = Console()
    try:
        imported = import_dataset(format_, sources, Store(store), name, apex, landmarks, partial=partial)
    except PartlyRead as error:
        console.warn(_hint(len(error.rest.clips)))
        raise
    left_out, others = imported.notes[: imported.left_out], imported.notes[imported.left_out :]
    told = [*left_out, *(others if verbose else summed_up(others)[:_NOTES])]
    for note in told:
        console.warn(shown(note))
    if len(imported.notes) > len(told):
        console.warn(f"--verbose lists all {len(imported.notes)} notes; they are kept in {store}/{name}/dataset.json")
    clips = imported.clips
    console.say(f"{name}: {len(clips)} clips of {len({clip.subject for clip in clips})} subjects, now in {store}")
    if imported.edition and imported.edition.name:
        console.say(str(imported.edition))


@data.command()
@click.argument("format_", metavar="FORMAT")
@click.argument("dest", type=click.Path(file_okay=False, path_type=Path))
@click.option("--subjects", type=click.IntRange(2), help="How many people. [default: as the real dataset]")
@click.option("--clips", type=click.IntRange(2), help="How many clips. [default: as the real dataset]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--raw", is_flag=True, help="Whole pictures of the published size, and a sheet of landmarks.")
@click.option("--scale", type=click.FloatRange(0.1, 1), default=1.0, help="With --raw: smaller pictures, such as 0.3.")
def make(format_: str, dest: Path, subjects: int | None, clips: int | None, seed: int, raw: bool, scale: float) -> None:
    """Write a synthetic dataset.

    It has the layout of FORMAT, as for `mer data import`; its faces are drawn, and its motion is known. FORMAT megc2019
    makes CASME II, SMIC and SAMM with the 442 clips of that composite. With --raw (CASME II, CAS(ME)³, SAMM, SMIC and
    what follows from them) each face is somewhere in a larger picture, and turned.
    """
    from mer_data.synthetic import PROJECT_TWINS, TWINS, draw, refuse_undrawable

    refuse_undrawable(format_, subjects, clips, raw=raw)  # before there is anything on the screen
    with Console().progress("drawing", 0, "clips") as progress:
        draw(format_, dest, subjects=subjects, clips=clips, seed=seed, progress=progress.reach, raw=raw, scale=scale)
    if format_ in {**TWINS, **PROJECT_TWINS}:
        marked = f" --landmarks {dest}/landmarks.csv" if raw else ""
        click.echo(f"next: mer data import {format_} {dest} --name {format_}_synthetic{marked}", err=True)


@data.command(name="list")
@store_option
@form_option
def list_(store: str, form: str | None) -> int:
    """What the store has. A dataset that is damaged is told, and the others are listed."""
    header = ("dataset", "clips", "subjects", "emotions", "features")

    def rows(document: dict[str, Any]) -> list[tuple[str, ...]]:
        return [
            (
                dataset["name"],
                str(dataset["clips"]),
                str(dataset["subjects"]),
                ", ".join(f"{name} {count}" for name, count in dataset["classes"].items()),
                ", ".join(f"{feature['name']} ({feature['clips']})" for feature in dataset["features"]),
            )
            for dataset in document["datasets"]
        ]

    found, problems = contents(store)
    print_as(
        form,
        {"datasets": found},
        lambda document: [dict(zip(header, row, strict=True)) for row in rows(document)],
        lambda document, console: console.table(
            f"Datasets in {store}", (*header[:-1], "features (clips)"), rows(document)
        ),
    )
    for problem in problems:
        click.echo(str(problem), err=True)
    return 1 if problems else 0


@data.command()
@click.argument("format_", metavar="FORMAT")
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@_apex
@_partial
@click.option("--faces", is_flag=True, help="Look for faces: missing, small, turned, several, jumping.")
@_landmarks
@json_option
def doctor(
    format_: str,
    sources: tuple[Path, ...],
    apex: ApexRule,
    partial: bool,
    faces: bool,
    landmarks: Path | None,
    as_json: bool,
) -> int:
    """Check a dataset without importing it.

    Reads it as `mer data import` does, compares its counts with the published ones, and looks at every clip's frames
    from onset to offset. With --faces it looks for the face in every onset and apex.
    """
    from mer_data.doctor import by_kind, examine
    from mer_data.formats import read_format
    from mer_data.imported import PartlyRead

    console = Console(json=as_json)
    asked: dict[str, Any] = {"format": format_, "sources": [str(path) for path in sources]}
    try:
        imported = read_format(format_, sources, apex, partial=partial)
    except BadInput as error:
        # A spoiled tree can have hundreds of problems of three kinds; the kinds are what its owner has to repair.
        for line in by_kind(error.problems):
            click.echo(line, err=True)
        if isinstance(error, PartlyRead):
            console.warn(_hint(len(error.rest.clips)))
        if as_json:
            problems = [asdict(problem) for problem in error.problems]
            print_json({**asked, "usable": False, "problems": problems})
        return 2
    with console.progress(f"frames of {format_}", len(imported.clips), "clips") as progress:
        findings = examine(imported, format_, progress.advance)
    in_faces = _look_for_faces(imported, landmarks, console) if faces else None
    told = {"--landmarks": landmarks, "--apex": None if apex == "midpoint" else apex}
    rule = [word for name, value in told.items() if value for word in (name, str(value))]
    rule += ["--partial"] if partial else []
    following = shlex.join(["mer", "data", "import", format_, *asked["sources"], "--name", format_, *rule])
    if as_json:
        more = {"faces": in_faces.document()} if in_faces else {}
        print_json({**asked, "usable": True, **findings.document(), **more, "next": following})
    else:
        rows = [
            (name, str(here), " or ".join(map(str, known)) or "-", "differs" if known and here not in known else "")
            for name, here, known in findings.counts()
        ]
        console.table(format_, ("", "here", "published", ""), rows)
        click.echo(f"source: {imported.source}")
        for line in (*findings.remarks(), *(in_faces.remarks() if in_faces else ())):
            click.echo(line)
        click.echo(f"next: {following}", err=True)
    return 1 if findings.unreadable or (in_faces and in_faces.missing) else 0


def _look_for_faces(imported: Imported, landmarks: Path | None, console: Console) -> FaceFindings:
    from mer_data.face_report import examine_faces
    from mer_data.formats import read_points

    marked = read_points(landmarks, imported) if landmarks else None
    with console.progress("faces", len(imported.clips), "clips") as progress:
        return examine_faces(imported, marked, progress.advance)


@data.command()
@click.argument("dataset")
@click.argument("file", metavar="FILE.png", type=click.Path(dir_okay=False, path_type=Path))
@store_option
@click.option("--clips", type=click.IntRange(1, 200), default=12, show_default=True, help="How many rows at most.")
def contact(dataset: str, file: Path, store: str, clips: int) -> None:
    """Draw a contact sheet: onset, apex and features of a few clips.

    The emotions of DATASET take turns, so that each has its rows.
    """
    from mer_data.contact_sheet import contact_sheet, save
    from mer_data.storage.store import Store

    save(contact_sheet(Store(store), dataset, clips), file)
    Console().say(f"{dataset}: a contact sheet, now in {file}")


def _hint(clips: int) -> str:
    return f"{clips} clips can be read; --partial takes them, and leaves the others out by name"


def contents(root: str) -> tuple[list[dict[str, Any]], list[Problem]]:
    """What can be told of each dataset, and what is wrong with the others."""
    from mer_data.storage.store import Store

    store, found, problems = Store(root), list[dict[str, Any]](), list[Problem]()
    for name in store.names():
        try:
            found.append(_content(store, name))
        except BadInput as error:
            problems += error.problems
    return found, problems


def _content(store: Store, name: str) -> dict[str, Any]:
    dataset = store.dataset(name)
    clips = dataset.clips
    features = [store.feature(name, feature) for feature in store.features(name)]
    return {
        "name": name,
        "clips": len(clips),
        "subjects": len({clip.subject for clip in clips}),
        "classes": dict(sorted(Counter(clip.emotion for clip in clips).items())),
        "edition": asdict(dataset.edition) if dataset.edition else None,
        "features": [{"name": f.name, "shape": list(f.shape), "clips": f.clips} for f in features],
    }
