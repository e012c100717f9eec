"""The weights of folds, as safetensors.

::

    OUT/weights/ststnet/megc2019/seed-0/samm~006.3f0a91c2b7de4a551234.safetensors

A file's name holds what its fold held out and the job's id, so weights of another recipe never take its place. Its
metadata, one JSON document, say what the weights are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from mer_data.files import read, written_aside
from mer_data.hashing import digest
from mer_data.problems import BadInput, Problem, did_you_mean
from mer_data.storage.store import Store
from mer_models.spec import InputSpec, Recipe, models
from orchestrator.console import Console
from orchestrator.experiment.plan import Job, Plan
from orchestrator.output.search_history import table_jobs
from orchestrator.published_weights import read_checkpoint

if TYPE_CHECKING:
    from torch import nn

_META = "mer"
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
    """The jobs whose weights a plan asks for and that have none yet; models without a network have none to save."""
    return {job.id for job in _with_weights(plan, out) if not weights_file(out / "weights", job).exists()}


def _with_weights(plan: Plan, out: Path) -> list[Job]:
    """The jobs whose weights a plan asks for, as far as they are known."""
    networks = {name for name, spec in models().items() if spec.build is not None}
    return [job for job in table_jobs(plan, out) if plan.keeps_weights(job) and job.model in networks]


def tell_weights(plan: Plan, out: Path, console: Console) -> dict[str, Any]:
    """Say where the weights of a run are, and what has none; returns ``weights`` of the document of ``mer run --json``.

    Returns
    -------
    ``folder``, or None if the plan asks for no weights; ``saved`` and ``missing``, in jobs.
    """
    if not plan.weights:
        return {"folder": None, "saved": 0, "missing": 0}
    folder, missing = out / "weights", without_weights(plan, out)
    classical = sorted(name for name in plan.recipes if models()[name].build is None)
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
    text = json.dumps(asdict(card), ensure_ascii=False)
    in_order = {key: np.asarray(array, order="C") for key, array in state.items()}
    with written_aside(path) as aside:
        aside.write_bytes(save(in_order, metadata={_META: text}))


def read_card(path: Path) -> Card:
    """What a file of weights that :func:`write_weights` wrote says of itself.

    Raises
    ------
    BadInput
        If the file is missing or damaged, or was written by somebody else.
    """
    with _opened(path) as file:
        metadata = file.metadata() or {}
    if _META not in metadata:
        raise BadInput(Problem(str(path), "does not say whose weights it holds", _OURS))
    card: Card = read(path, lambda: TypeAdapter(Card).validate_json(metadata[_META]), _OURS)
    return card


def read_state(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The weights in a file that :func:`write_weights` wrote; raises as :func:`read_card`."""
    with _opened(path) as file:
        return {key: np.array(file.get_tensor(key)) for key in file.keys()}  # noqa: SIM118 - it is no mapping


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except FileNotFoundError:
        raise BadInput(Problem(str(path), "no such file", _OURS)) from None
    except (OSError, SafetensorError) as error:
        raise BadInput(Problem(str(path), f"is not a file of weights: {error}", _OURS)) from error


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
