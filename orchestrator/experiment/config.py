"""The experiment file: one typed tree, with errors that name the line and the nearest known word."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationError,
)

from mer_data.problems import BadInput, Problem, did_you_mean, raise_all
from mer_models.spec import Recipe
from orchestrator.experiment.sections import (
    Alignments,
    Annotation,
    DatasetChoice,
    Gpu,
    Search,
    Several,
    Strict,
    as_choice,
    as_list,
    distinct,
    expanded,
)
from orchestrator.experiment.wording import in_words
from orchestrator.experiment.yaml_text import YamlPath, parse_yaml, yaml_text

_Places = dict[YamlPath, str]  # where a key stands: file and line, or the --set that gave it


class Experiment(Strict):
    """Everything an experiment file can say.

    Attributes
    ----------
    name
        Names the default output folder, ``runs/NAME``, and the runs in MLflow.
    store
        The store's folder, relative to the current folder, or its address in object storage (``s3://...``);
        ``MER_STORE`` or ``data/store`` if not given.
    datasets
        Names, or mappings with ``name`` and ``classes``; ``all`` takes every dataset in the store.
    models
        Registry names; ``all`` takes, for each dataset, every model whose features it has or can be given.
    align
        What is done to frames first: ``none``, ``box``, ``similarity`` or ``stabilised``. If not given, ``similarity``
        for whole pictures and ``none`` for crops. Of several values the first is the experiment's own; each of the
        others is a variant of every dataset.
    annotation
        Which frames are taken for onset and apex.
    protocol
        How clips become folds: ``loso`` holds out one subject in turn, ``lodo`` one source dataset of a union;
        ``hde`` trains on one source dataset and tests on another, in every pairing.
    recipes
        Per model, the fields of its published recipe to change; under ``all``, those of every network.
    seeds
        Every job is run once per seed.
    device
        ``auto`` takes GPUs if the cluster has any; ``both`` also trains small networks on machines without one.
    gpu
        How folds are trained on GPUs.
    search
        Choose epoch and hyper-parameters without seeing the held-out subjects.
    retries
        How often a fold that fails by itself (a diverged loss) is tried again.
    fold_minutes
        A fold that takes longer is stopped and has failed.
    weights
        Whether to keep the weights of every fold's last epoch, in the folder ``weights`` of the output.
    plugins
        Python files that register models of the user's own, relative to the current folder.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    store: Annotated[str, AfterValidator(expanded)] = Field(
        default_factory=lambda: expanded(os.environ.get("MER_STORE") or "data/store")
    )
    datasets: Annotated[list[Annotated[DatasetChoice, BeforeValidator(as_choice)]], *Several]
    models: Annotated[list[str], *Several]
    align: Alignments = None
    annotation: Annotation = Annotation()
    protocol: Literal["loso", "hde", "lodo"] = "loso"
    recipes: dict[str, dict[str, Any]] = {}  # noqa: RUF012 - pydantic copies defaults
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], *Several] = [0]  # noqa: RUF012
    device: Literal["auto", "cpu", "cuda", "both"] = "auto"
    gpu: Gpu = Gpu()
    search: Search | None = None
    retries: Annotated[int, Field(ge=0)] = 0
    fold_minutes: Annotated[float, Field(gt=0)] | None = None
    weights: bool = False
    plugins: Annotated[list[str], BeforeValidator(as_list), AfterValidator(distinct)] = []  # noqa: RUF012

    _places: _Places = PrivateAttr(default_factory=dict)

    def problem(self, path: YamlPath, what: str, remedy: str = "") -> Problem:
        """Something that is wrong with a value of this experiment, with the file and line where it stands.

        Parameters
        ----------
        path
            Keys and indices, outermost first.
        what, remedy
            As of a :class:`Problem`.
        """
        key = ".".join(map(str, path))
        near = [self._places[path[:length]] for length in range(len(path), 0, -1) if path[:length] in self._places]
        return Problem(near[0], f"{key}: {what}", remedy) if near else Problem(key, what, remedy)

    @property
    def selection(self) -> str:
        """The selection rule of the headline: ``inner`` with a search, else ``last``."""
        return "last" if self.search is None else "inner"

    @property
    def all_datasets(self) -> bool:
        """Whether every dataset of the store takes part."""
        return [choice.name for choice in self.datasets] == ["all"]

    @property
    def all_models(self) -> bool:
        """Whether every model takes part that the datasets have features for."""
        return self.models == ["all"]


# Whose keys stand below a key of the experiment.
_OWNERS: dict[str, type[Strict]] = {
    "datasets": DatasetChoice,
    "search": Search,
    "gpu": Gpu,
    "annotation": Annotation,
}


def presets() -> list[str]:
    """Names of the experiment files that ship with the package."""
    folder = resources.files("orchestrator.experiment") / "presets"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def preset(name: str, changes: Sequence[str] = ()) -> Experiment:
    """An experiment that ships with the package, with changes as for :func:`load`."""
    text = (resources.files("orchestrator.experiment") / "presets" / f"{name}.yaml").read_text(encoding="utf-8")
    return _read(text, f"preset {name}", changes)


def load(experiment: str, changes: Sequence[str] = ()) -> Experiment:
    """Read an experiment file, or a preset by its name.

    Parameters
    ----------
    experiment
        A path, or one of :func:`presets`.
    changes
        ``key=value`` texts that override the file; keys are dotted (``recipes.ststnet.epochs=50``), values YAML.

    Raises
    ------
    BadInput
        With file and line of everything that is wrong with it.
    """
    if experiment in presets() and not Path(experiment).is_file():
        return preset(experiment, changes)
    return _read(yaml_text(Path(experiment), f"presets: {', '.join(presets())}"), experiment, changes)


def _read(text: str, where: str, changes: Sequence[str]) -> Experiment:
    tree, places = _parse(text, where)
    for change in changes:
        _apply(tree, places, change)
    try:
        experiment = Experiment.model_validate(tree)
        experiment._places = places
        return experiment
    except ValidationError as error:
        raise BadInput(dict.fromkeys(_explain(found, places) for found in _of_one_form(error.errors()))) from None


def _parse(text: str, where: str) -> tuple[dict[str, Any], _Places]:
    """The YAML document, and where each of its keys stands."""
    tree, found = parse_yaml(text, where)
    places: _Places = {}
    twice = [Problem(f"{where}, line {line}", f"{key!r} is given twice") for key, line in found.twice]
    raise_all(twice)
    if not isinstance(tree, dict):
        raise BadInput(Problem(where, "is not a mapping of keys to values"))
    places = {path: f"{where}, line {line}" for path, line in found.lines.items()}
    return tree, places


def _apply(tree: dict[str, Any], places: _Places, change: str) -> None:
    """Set one key from the command line, and note that it came from there."""
    at = f"--set {change}"
    key, equals, value = change.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise BadInput(Problem(at, "is not of the form key=value"))
    parsed, _ = parse_yaml(value, f"{at}, the value")
    for part in parts[:-1]:
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            raise BadInput(Problem(at, f"{part!r} is not a mapping"))
    tree[parts[-1]] = parsed
    for path in [path for path in places if path[: len(parts)] == tuple(parts)]:
        del places[path]
    places[tuple(parts)] = at


def _elsewhere(key: str) -> str:
    """Where a key belongs that was written at another level; empty if nowhere."""
    if key in Experiment.model_fields:
        return f"it belongs to the top of the file: `{key}: ...` without blanks before it"
    if key in Search.model_fields:
        return f"it belongs to the search: `search: {{{key}: ...}}`"
    if key in Annotation.model_fields:
        return f"it belongs to the annotation: `annotation: {{{key}: ...}}`"
    if key in DatasetChoice.model_fields:
        return f"it belongs to a dataset: `datasets: [{{name: NAME, {key}: ...}}]`"
    if key in Recipe.__dataclass_fields__:
        return f"it belongs to a model's recipe: `recipes: {{MODEL: {{{key}: ...}}}}`"
    return ""


def _of_one_form(errors: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """The errors, with those of a range or a list of values only in the form in which it was written.

    Pydantic tells of both, and names the forms in the path.
    """
    for error in errors:
        path = error["loc"]
        forms = [part for part in path if part == "Range" or str(part).startswith("tuple[")]
        ranged = any(other["loc"][: len(path) - 1] == path[:-1] and "Range" in other["loc"] for other in errors)
        if not forms or forms == ["Range"] or not ranged or not isinstance(error["input"], dict):
            yield {**error, "loc": tuple(part for part in path if part not in forms)}


def _explain(error: Any, places: _Places) -> Problem:
    path: YamlPath = tuple(error["loc"])
    last, key = str(path[-1]), ".".join(map(str, path))
    # A key that is missing, or an element of a list given in short form, has no place of its own.
    at = next(places[path[:length]] for length in range(len(path), -1, -1) if path[:length] in places)
    owner = _OWNERS.get(str(path[0]), Experiment) if len(path) > 1 else Experiment
    if error["type"] == "extra_forbidden":
        return Problem(at, f"unknown key {last!r}", _elsewhere(last) or did_you_mean(last, owner.model_fields))
    if error["type"] == "missing":
        return Problem(at, f"the key {last!r} is missing")
    if error["type"] == "literal_error" and isinstance(error["input"], str):
        known = [str(word) for word in get_args(owner.model_fields[last].annotation)]
        return Problem(at, f"{last}: {error['input']!r} is not known", did_you_mean(error["input"], known))
    return Problem(at, f"{key}: {in_words(error)}")
