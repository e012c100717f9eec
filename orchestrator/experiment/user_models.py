"""The model files of an experiment: read, run and checked on the driver, run again from their text by the workers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mer_data.files import read
from mer_data.problems import BadInput, Problem, did_you_mean, raise_all
from mer_models.plugins import BrokenModelFile, ModelFile, locate, run_file
from mer_models.spec import InputSpec, ModelSpec, models

_CLASSES = 3
_MOST_BYTES = 4 << 20
_REMEDY = "give a Python file; see docs/add-a-model.md"
# A file is read once per process: were it edited during a run, the plan would not be of the code that was checked.
READ: dict[Path, ModelFile] = {}


def load(paths: Iterable[str | Path]) -> tuple[ModelFile, ...]:
    """Run model files, so that their models are registered, and try each new network on the shapes of one clip.

    Parameters
    ----------
    paths
        Python files; a relative path starts from the current folder.

    Raises
    ------
    BadInput
        With file and line, if a file cannot be read or run, registers nothing, or registers a network that does not
        take its inputs.
    """
    return tuple(_load(Path(path).expanduser()) for path in paths)


def _load(path: Path) -> ModelFile:
    place = path.resolve()
    if place not in READ:
        file = ModelFile(str(path), _source(path))
        before = set(models())
        use([file])
        mine = [models()[name] for name in models() if name not in before]
        if not mine:
            raise BadInput(Problem(str(path), "registers no model", "end it with register(ModelSpec(...))"))
        raise_all(problem for spec in mine for problem in _try(spec, file))
        READ[place] = file
    return READ[place]


def _source(path: Path) -> str:
    def source() -> str:
        if path.stat().st_size > _MOST_BYTES:
            raise BadInput(Problem(str(path), f"is larger than {_MOST_BYTES:,} bytes", _REMEDY))
        return path.read_text(encoding="utf-8")

    if not path.exists():
        raise BadInput(Problem(str(path), "no such model file", _REMEDY))
    text: str = read(path, source, _REMEDY)
    return text


def _try(spec: ModelSpec, file: ModelFile) -> list[Problem]:
    """What does not fit the features, or what a network says against one clip: told now, not after hours."""
    from mer_models.complexity import complexity

    problems = [problem for taken in spec.inputs for problem in _check_input(spec, taken, file)]
    if problems:
        return problems
    try:
        complexity(spec, _CLASSES)
    except (Exception, SystemExit) as error:  # code of the user's, which may want to end the whole program
        shapes = " and ".join(str(list(taken.shape)) for taken in spec.inputs)
        said = " ".join(str(error).split())
        what = f"{spec.name} does not take one clip of shape {shapes}: {type(error).__name__}: {said}"
        remedy = "it is tried without numbers, on PyTorch's device meta"
        return [Problem(locate(error, file.path), what, remedy)]
    return []


def _check_input(spec: ModelSpec, taken: InputSpec, file: ModelFile) -> list[Problem]:
    """Compare an input with the feature of that name; features that come with a dataset are not known here."""
    from mer_data.features import FEATURES  # what computes them imports OpenCV, which workers need not wait for

    if taken.feature not in FEATURES:
        return []
    feature, where = FEATURES[taken.feature], f"{file.path}, {spec.name}, {taken.feature}"
    problems = [
        Problem(where, f"the feature has no channel {name!r}", did_you_mean(name, feature.channels))
        for name in taken.channels
        if name not in feature.channels
    ]
    if feature.size[taken.free_axes :] != taken.size[taken.free_axes :]:
        problems.append(Problem(where, f"the feature has the size {feature.size}, not {taken.size}"))
    return problems


def use(files: Iterable[ModelFile]) -> None:
    """Run model files from their text; those that ran in this process before are left alone.

    Raises
    ------
    BadInput
        With file and line, if one cannot be run here.
    """
    models()  # those of packages first: a file that takes the name of one is told so
    for file in files:
        try:
            run_file(file)
        except BrokenModelFile as error:
            raise BadInput(Problem(error.where, error.what, "see docs/add-a-model.md")) from error
