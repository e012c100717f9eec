"""The weights of folds, as safetensors.

::

    OUT/weights/ststnet/megc2019/seed-0/samm~006.3f0a91c2b7de4a551234.safetensors

A file's name holds what its fold held out and the job's id, so weights of another recipe never take its place. Its
metadata, one JSON document, say what the weights are, with a checksum over the whole file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from mer_data import seal
from mer_data.files import read, refuse_folder, written_aside
from mer_data.hashing import digest
from mer_data.problems import BadInput, NoAccess, Problem, did_you_mean
from mer_data.storage.remembered import Remembered
from mer_data.storage.store import Store
from mer_models.spec import InputSpec, Recipe, models
from orchestrator.console import Console
from orchestrator.experiment.plan import Job, Plan
from orchestrator.output.search_history import table_jobs
from orchestrator.published_weights import read_checkpoint

if TYPE_CHECKING:
    from torch import nn

_META = "mer"
_MADE_AGAIN = "delete it and run the same command again"
_OURS = "give what `mer run` or `mer weights import` wrote"


@dataclass(frozen=True)
class TrainedOn:
    """What one fold's weights come from.

    Attributes
    ----------
    job, code
        The job, and the digest of the model's code.
    dataset, held_out, seed
        What a person calls the job.
    classes
        Class names in the order of the logits.
    inputs
        What the network takes.
    feature_keys
        By feature and dataset of the store: the key of the bytes it was trained on.
    definitions
        By feature: the digests of its definitions, sorted; more than one if the datasets of a union differ.
    recipe
        The training settings.
    subjects
        The subjects of the training clips, sorted.
    test_ids
        The clips that the fold tested, in this order.
    """

    job: str
    code: str
    dataset: str
    held_out: str
    seed: int
    classes: tuple[str, ...]
    inputs: tuple[InputSpec, ...]
    feature_keys: Mapping[str, Mapping[str, str]]
    definitions: Mapping[str, tuple[str, ...]]
    recipe: Recipe
    subjects: tuple[str, ...]
    test_ids: tuple[str, ...]


@dataclass(frozen=True)
class Card:
    """What a file of weights says of itself: the model, and for a fold of a run what it was trained on."""

    model: str
    trained_on: TrainedOn | None = None


def card_of(plan: Plan, job: Job) -> Card:
    """The card of a job's weights."""
    cohort, fold = plan.datasets[job.dataset].cohort, plan.fold(job)
    inputs = plan.datasets[job.dataset].inputs[job.model]
    keys = {taken.feature: dict(plan.datasets[job.dataset].feature_keys[taken.feature]) for taken in inputs}
    trained_on = TrainedOn(
        job=job.id,
        code=plan.codes[job.model],
        dataset=job.dataset,
        held_out=job.held_out,
        seed=job.seed,
        classes=cohort.classes,
        inputs=inputs,
        feature_keys=keys,
        definitions={
            name: tuple(sorted({_definition(plan.store, member, name) for member in of})) for name, of in keys.items()
        },
        recipe=plan.recipe(job),
        subjects=tuple(sorted({cohort.subject_of[clip_id] for clip_id in fold.train_ids})),
        test_ids=fold.test_ids,
    )
    return Card(job.model, trained_on)


@lru_cache(maxsize=64)
def _definition(store: str, dataset: str, feature: str) -> str:
    return digest(Store(store).feature(dataset, feature).definition)


def weights_file(folder: Path, job: Job) -> Path:
    """Where the weights of a job lie in the folder of a run's weights."""
    name = f"{job.held_out.replace('/', '~')}.{job.id}.safetensors"
    return folder / job.model / job.dataset / f"seed-{job.seed}" / name


def without_weights(plan: Plan, out: Path) -> set[str]:
    """The jobs whose weights a plan asks for and that have none yet, or damaged ones.

    Models without a network have none to save.

    Raises
    ------
    NoAccess
        If a file could not be read.
    """
    folder = out / "weights"
    read_before = Remembered(folder / "verified.json", folder)  # so that no unchanged file is read again
    missing = {job.id for job in _with_weights(plan, out) if not _is_saved(weights_file(folder, job), job, read_before)}
    read_before.save()
    return missing


def _is_saved(path: Path, job: Job, read_before: Remembered) -> bool:
    def verdict(path: Path) -> str:
        try:
            trained_on = read_card(path, _MADE_AGAIN).trained_on
        except NoAccess:
            raise
        except BadInput as error:
            return str(error)
        return trained_on.job if trained_on is not None else ""

    refuse_folder(path)
    try:
        return read_before.get(path, verdict) == job.id
    except FileNotFoundError:
        return False


def _with_weights(plan: Plan, out: Path) -> list[Job]:
    """The jobs whose weights a plan asks for, as far as they are known."""
    return [job for job in table_jobs(plan, out) if plan.keeps_weights(job) and job.model in plan.networks]


def tell_weights(plan: Plan, out: Path, console: Console) -> dict[str, Any]:
    """Say where the weights of a run are, and what has none; returns ``weights`` of the document of ``mer run --json``.

    Returns
    -------
    ``folder``, or None if the plan asks for no weights; ``saved`` and ``missing``, in jobs.
    """
    if not plan.weights:
        return {"folder": None, "saved": 0, "missing": 0}
    folder, missing = out / "weights", without_weights(plan, out)
    classical = sorted(set(plan.recipes) - set(plan.networks))
    saved = len(_with_weights(plan, out)) - len(missing)
    if saved:
        console.say(f"weights of {saved} folds: {folder}; `mer predict --help` tells how to use them")
    if missing:
        console.warn(f"{len(missing)} folds have no weights yet; `mer status {out}` tells what failed")
    if classical:
        console.say(f"no weights of {', '.join(classical)}: only networks have any")
    return {"folder": str(folder), "saved": saved, "missing": len(missing)}


def write_weights(path: Path, state: Mapping[str, npt.NDArray[Any]], card: Card) -> None:
    """Write weights with their card, aside and renamed. The same arguments give the same bytes."""
    from safetensors.numpy import save

    # One document under one key: safetensors does not keep the order of several. It takes an array's memory as it lies,
    # so a transposed one would come back as another.
    text = json.dumps({seal.KEY: seal.OPEN, **asdict(card)}, ensure_ascii=False)
    in_order = {key: np.asarray(array, order="C") for key, array in state.items()}
    with written_aside(path) as aside:
        aside.write_bytes(seal.sealed(save(in_order, metadata={_META: text})))


def read_card(path: Path, remedy: str = _OURS) -> Card:
    """What a file of weights that :func:`write_weights` wrote says of itself; `remedy` is what to do if it is damaged.

    Raises
    ------
    BadInput
        If the file is missing or damaged, or was written by somebody else.
    NoAccess
        If it cannot be read.
    """
    card: Card = read(path, lambda: _parse(path, path.read_bytes())[0], remedy)
    return card


def read_state(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The weights in a file that :func:`write_weights` wrote; raises as :func:`read_card`."""
    state: dict[str, npt.NDArray[Any]] = read(path, lambda: _parse(path, path.read_bytes())[1](), _OURS)
    return state


def _parse(path: Path, data: bytes) -> tuple[Card, Callable[[], dict[str, npt.NDArray[Any]]]]:
    """The card of a file's bytes, and what unpacks the weights."""
    from safetensors.numpy import load

    is_sealed = seal.check(data)
    size = int.from_bytes(data[:8], "little")
    if not 0 < size <= len(data) - 8:
        raise BadInput(Problem(str(path), "is not a file of weights, or is cut off", _OURS))
    metadata = json.loads(data[8 : 8 + size]).get("__metadata__", {})
    if _META not in metadata:
        raise BadInput(Problem(str(path), "does not say whose weights it holds", _OURS))
    document = json.loads(metadata[_META])
    if document.pop(seal.KEY, None) is not None and not is_sealed:
        raise seal.BrokenSeal
    card: Card = TypeAdapter(Card).validate_python(document)
    return card, lambda: {name: np.array(array) for name, array in load(data).items()}  # which may be written


def import_weights(model: str, path: Path, to: Path) -> nn.Module:
    """Read a published checkpoint of a network and write its weights under our names.

    Raises
    ------
    BadInput
        If the model has no known checkpoint, or the file's keys or shapes are not those; nothing is written then.
    """
    from mer_models.reference import WrongCheckpoint, from_reference
    from mer_models.spec import extractors

    known = [name for name, spec in models().items() if spec.reference is not None] + list(extractors())
    if model not in known:
        remedy = did_you_mean(model, known) or f"known are {', '.join(known)}"
        raise BadInput(Problem(model, "no published checkpoint of this model is known", remedy))
    try:
        network = from_reference(model, read_checkpoint(path))
    except WrongCheckpoint as error:
        raise BadInput(Problem(str(path), str(error), "check the model's name and the file")) from error
    write_weights(to, {key: tensor.numpy() for key, tensor in network.state_dict().items()}, Card(model))
    return network
