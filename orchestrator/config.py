"""The experiment file: one typed tree, with errors that name the line and the nearest known word."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mer_data.problems import BadInput, Problem, did_you_mean

_Line = dict[tuple[str | int, ...], int]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatasetChoice(_Strict):
    """A dataset of the store and the class scheme it is scored with."""

    name: str
    classes: str = "3-class"


def _choice(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class Experiment(_Strict):
    """Everything an experiment file can say.

    Attributes
    ----------
    name
        Names the default output folder, ``runs/NAME``, and the runs in MLflow.
    store
        The store's folder, relative to the current folder; ``MER_STORE`` or ``data/store`` if not given.
    datasets
        Names, or mappings with ``name`` and ``classes``; ``all`` takes every dataset in the store.
    models
        Registry names; ``all`` takes every model whose features the datasets have or can be given.
    protocol
        How clips become folds.
    recipes
        Per model, the fields of its published recipe to change.
    seeds
        Every job is run once per seed.
    device
        ``auto`` takes GPUs if the cluster has any.
    rule
        The selection rule of the headline columns.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    store: Path = Field(default_factory=lambda: Path(os.environ.get("MER_STORE") or "data/store"))
    datasets: Literal["all"] | Annotated[list[Annotated[DatasetChoice, BeforeValidator(_choice)]], Field(min_length=1)]
    models: Literal["all"] | Annotated[list[str], Field(min_length=1)]
    protocol: Literal["loso"] = "loso"
    recipes: dict[str, dict[str, Any]] = {}
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = [0]
    device: Literal["auto", "cpu", "cuda"] = "auto"
    rule: Literal["last"] = "last"


def presets() -> list[str]:
    """Names of the experiment files that ship with the package."""
    folder = resources.files("orchestrator") / "presets"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


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
        text = (resources.files("orchestrator") / "presets" / f"{experiment}.yaml").read_text(encoding="utf-8")
        where = f"preset {experiment}"
    else:
        try:
            text, where = Path(experiment).read_text(encoding="utf-8"), experiment
        except (OSError, UnicodeDecodeError) as error:
            what = "no such experiment file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"
            remedy = f"presets: {', '.join(presets())}"
            raise BadInput(Problem(experiment, what, remedy)) from None
    tree, lines = _parse(text, where)
    for change in changes:
        _apply(tree, change)
    try:
        return Experiment.model_validate(tree)
    except ValidationError as error:
        raise BadInput(_explain(one, where, lines, changes) for one in error.errors()) from None


def _parse(text: str, where: str) -> tuple[dict[str, Any], _Line]:
    """The YAML document and the line of each of its keys."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        lines: _Line = {}
        problems = _collect_lines(node, (), lines, where) if node else []
        if problems:
            raise BadInput(problems)
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f"{where}, line {mark.line + 1}" if mark else where
        raise BadInput(Problem(at, f"is not YAML: {getattr(error, 'problem', error)}")) from None
    if not isinstance(tree, dict):
        raise BadInput(Problem(where, "is not a mapping of keys to values"))
    return tree, lines


def _collect_lines(node: yaml.Node, path: tuple[str | int, ...], lines: _Line, where: str) -> list[Problem]:
    lines[path] = node.start_mark.line + 1
    problems = []
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            line = key.start_mark.line + 1
            if inner in lines:
                problems.append(Problem(f"{where}, line {line}", f"{key.value!r} is given twice"))
            problems += _collect_lines(value, inner, lines, where)
            lines[inner] = line
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            problems += _collect_lines(value, (*path, index), lines, where)
    return problems


def _apply(tree: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise BadInput(Problem(f"--set {change}", "is not of the form key=value"))
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError:
        raise BadInput(Problem(f"--set {change}", "the value is not YAML")) from None
    for part in parts[:-1]:
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            raise BadInput(Problem(f"--set {change}", f"{part!r} is not a mapping"))
    tree[parts[-1]] = parsed


def _explain(error: Any, where: str, lines: _Line, changes: Sequence[str]) -> Problem:
    # pydantic puts the names of the alternatives it tried into the path; only what the file has counts.
    path: tuple[str | int, ...] = ()
    for step in error["loc"]:
        if (*path, step) in lines:
            path = (*path, step)
    key = ".".join(str(step) for step in path)
    changed = next((change for change in changes if key and change.split("=")[0].strip().startswith(key)), None)
    last = str(error["loc"][-1]) if error["loc"] else ""
    if changed is None and last not in map(str, path):
        changed = next((change for change in changes if last in re.split(r"[.=]", change)), None)
    at = f"--set {changed}" if changed else f"{where}, line {lines.get(path, 1)}"
    if error["type"] == "extra_forbidden":
        owner = DatasetChoice if "datasets" in error["loc"] else Experiment
        return Problem(at, f"unknown key {last!r}", did_you_mean(last, owner.model_fields))
    if error["type"] == "missing":
        return Problem(at, f"the key {last!r} is missing")
    if error["type"] == "literal_error" and isinstance(error["input"], str):
        field = Experiment.model_fields.get(str(error["loc"][0]))
        known = [str(word) for word in get_args(field.annotation)] if field and len(error["loc"]) == 1 else []
        return Problem(at, f"{last}: {error['input']!r} is not known", did_you_mean(error["input"], known))
    return Problem(at, f"{key or last}: {error['msg'][0].lower()}{error['msg'][1:]}")
