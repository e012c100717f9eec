"""Saved weights on clips of a store, by networks that have not seen the clips' subjects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mer_data.composites import SAME_PEOPLE
from mer_data.hashing import digest
from mer_data.problems import BadInput, Problem, did_you_mean, raise_all
from mer_data.schema import Clip
from mer_data.storage.shards import Feature, LazyRows
from mer_data.storage.store import Store, original
from mer_models.spec import InputSpec, ModelSpec, Recipe, models
from orchestrator.console import Console
from orchestrator.experiment.declarations import declaration
from orchestrator.experiment.plan import Plan
from orchestrator.experiment.resolve import choose_inputs
from orchestrator.experiment.variants import default_member
from orchestrator.machines.ray_cluster import Cluster
from orchestrator.output.search_history import table_jobs
from orchestrator.output.weights import Card, TrainedOn, read_card, read_state
from orchestrator.precompute.missing import precompute

_SHOWN = 5


@dataclass(frozen=True)
class Prediction:
    """What some networks say about a clip.

    Attributes
    ----------
    clip
        The clip.
    held_out
        What the folds held out that were asked; empty for weights that no run here made.
    logits
        float32 ``[folds, classes]``.
    seen
        Whether the folds were trained on the clip's subject.
    """

    clip: Clip
    held_out: tuple[str, ...]
    logits: npt.NDArray[np.float32]
    seen: bool

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """Mean over the folds of each one's softmax, ``[classes]``."""
        logits = self.logits.astype(np.float64)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        mean: npt.NDArray[np.float64] = (powers / powers.sum(axis=1, keepdims=True)).mean(axis=0)
        return mean


@dataclass(frozen=True)
class _Weights:
    """One file, or the folds of one run: they differ in what was held out, and in nothing else.

    Attributes
    ----------
    place
        What the user named: the file or the folder.
    files, cards
        Where they lie and what they say of themselves.
    spec
        The model, with the inputs these weights take.
    """

    place: Path
    files: tuple[Path, ...]
    cards: tuple[Card, ...]
    spec: ModelSpec

    def recipe(self, fold: int) -> Recipe:
        """The recipe that one was trained with; the published one for imported weights."""
        trained_on = self.cards[fold].trained_on
        return self.spec.recipe if trained_on is None else trained_on.recipe

    @property
    def known(self) -> TrainedOn | None:
        """What all of them were trained on, apart from who was held out."""
        return self.cards[0].trained_on


def predict(
    weights: Path,
    store: Store,
    dataset: str,
    wanted: Sequence[str],
    classes: Sequence[str],
    console: Console,
    *,
    trained_subjects: bool = False,
) -> tuple[tuple[str, ...], list[Prediction]]:
    """Predict clips of a dataset, computing the features that are missing.

    A clip is given to the folds that were not trained on its subject: for a subject of a leave-one-subject-out run
    that is the one fold that held it out, for a person the run has never seen all of them.

    Parameters
    ----------
    weights
        A file of weights, or a folder with the files of one run of one model and seed.
    store, dataset
        Where the clips are.
    wanted
        Ids of clips, or of subjects for all their clips; all clips of the dataset if empty.
    classes
        Class names in the order of the logits, for weights that do not name them.
    console
        Where remarks and progress go.
    trained_subjects
        Whether clips of subjects that all folds were trained on are predicted too, by all of them.

    Returns
    -------
    The class names, and a prediction per clip in the dataset's order.

    Raises
    ------
    BadInput
        If weights, clips or features cannot be used, or a subject was trained on.
    """
    clips = _choose_clips(store, dataset, wanted)
    chosen = _open_weights(weights, store, dataset, console)
    dataset = _member(store, dataset, chosen.known)
    names = _class_names(chosen, classes)
    assigned = _assign(chosen, clips, trained_subjects, console)
    with Cluster() as cluster:
        precompute(store, {dataset: sorted({taken.feature for taken in chosen.spec.inputs})}, cluster, console)
    _compare_features(chosen, store, dataset, console)
    logits: defaultdict[str, list[npt.NDArray[np.float32]]] = defaultdict(list)
    for index, card in enumerate(chosen.cards):
        asked = [clip for clip in clips if index in assigned[clip.subject][0]]
        network = _network(chosen, index, len(names)) if asked else None
        for ids in _batched(asked, card):
            for clip_id, row in zip(ids, _logits(network, chosen, index, store, dataset, ids, len(names)), strict=True):
                logits[clip_id].append(row)
    predictions = []
    for clip in clips:
        folds, seen = assigned[clip.subject]
        held_out = tuple(known.held_out for index in folds if (known := chosen.cards[index].trained_on))
        predictions.append(Prediction(clip, held_out, np.stack(logits[clip.id]), seen))
    return names, predictions


def _member(store: Store, dataset: str, known: TrainedOn | None) -> str:
    """A dataset as the weights know it, or with its default alignment."""
    trained = [name for by_member in (known.feature_keys if known else {}).values() for name in by_member]
    same = (name for name in trained if original(name) == dataset and store.has(name))
    return next(same, None) or default_member(store, dataset)


def _choose_clips(store: Store, dataset: str, wanted: Sequence[str]) -> list[Clip]:
    clips = store.dataset(dataset).clips
    names = {name for clip in clips for name in (clip.id, clip.subject)}
    raise_all(
        Problem(name, f"no such clip or subject in dataset {dataset}", did_you_mean(name, names))
        for name in wanted
        if name not in names
    )
    return [clip for clip in clips if not wanted or clip.id in wanted or clip.subject in wanted]


def _open_weights(place: Path, store: Store, dataset: str, console: Console) -> _Weights:
    by_file = {file: read_card(file) for file in (sorted(place.rglob("*.safetensors")) if place.is_dir() else [place])}
    if place.is_dir():
        by_file = _without_stale(by_file, place)
    if not by_file:
        raise BadInput(Problem(str(place), "holds no weights", "run the experiment with `weights: true`"))
    files, cards = list(by_file), list(by_file.values())
    name = cards[0].model
    if name not in models():
        remedy = "give the file that registers it with --models, or install its package"
        raise BadInput(Problem(str(files[0]), f"is of the model {name}, which is not known here", remedy))
    problems = []
    for file, card in zip(files, cards, strict=True):
        what = _difference(cards[0], card)
        if what:
            remedy = "name one file, or the folder of one model, dataset and seed"
            problems.append(Problem(str(file), f"{what} than {files[0]}", remedy))
    raise_all(problems[:1])
    spec, trained_on = models()[name], cards[0].trained_on
    if trained_on is not None:
        return _Weights(place, tuple(files), tuple(cards), replace(spec, inputs=trained_on.inputs))
    inputs = choose_inputs(declaration(name), store, [dataset]) or spec.inputs
    if inputs != spec.inputs:
        eats = ", ".join(taken.feature for taken in inputs)
        console.warn(f"{dataset}: {name} runs on {eats}, since its own input cannot be made there")
    return _Weights(place, tuple(files), tuple(cards), replace(spec, inputs=inputs))


def _without_stale(by_file: Mapping[Path, Card], place: Path) -> dict[Path, Card]:
    """Leave out what earlier experiments left in a run's folder: jobs that its plan no longer has."""
    runs = [folder for folder in (place.absolute(), *place.absolute().parents) if (folder / "weights").is_dir()]
    plans = ((run, Plan.load(run / "plan.json")) for run in runs if (run / "plan.json").is_file())
    jobs = next(({job.id for job in table_jobs(plan, run)} for run, plan in plans), None)
    if jobs is None:
        return dict(by_file)
    return {file: card for file, card in by_file.items() if card.trained_on is None or card.trained_on.job in jobs}


def _difference(first: Card, other: Card) -> str:
    """What makes two files no folds of one run, in words; empty if nothing does."""
    if other.model != first.model:
        return f"is of another model, {other.model},"
    known, others = first.trained_on, other.trained_on
    if known is None or others is None:
        return "" if other is first else "is another file of imported weights"
    # Not the recipe: a search chooses one for each fold.
    for name in ("dataset", "seed", "code", "classes", "inputs", "feature_keys"):
        if getattr(known, name) != getattr(others, name):
            return f"has another {name.replace('_', ' ')}"
    same = known.held_out == others.held_out and known.job != others.job
    return f"holds {others.held_out} out too, but is of another recipe or other clips" if same else ""


def _class_names(chosen: _Weights, told: Sequence[str]) -> tuple[str, ...]:
    where = str(chosen.files[0])
    if chosen.known is not None:
        if told:
            raise BadInput(Problem(where, "names its classes itself", "leave --classes out"))
        return chosen.known.classes
    if not told:
        remedy = "give them as --classes negative,positive,surprise, in the order that they were trained in"
        raise BadInput(Problem(where, "does not say what its classes are", remedy))
    return tuple(told)


def _person(subject: str) -> tuple[frozenset[str], str]:
    """Who somebody is, whichever of the datasets that show the same people the clip is from."""
    dataset, _, name = subject.partition("/")
    return next((group for group in SAME_PEOPLE if dataset in group), frozenset({dataset})), name


def _assign(
    chosen: _Weights, clips: Sequence[Clip], trained_subjects: bool, console: Console
) -> dict[str, tuple[tuple[int, ...], bool]]:
    """By subject the folds that predict its clips, and whether these were trained on it."""
    if chosen.known is None:
        console.warn(f"{chosen.files[0]} does not say who it was trained on: make sure that none of these people is")
    people = [set(map(_person, card.trained_on.subjects)) if card.trained_on else set() for card in chosen.cards]
    assigned = {}
    for subject in dict.fromkeys(clip.subject for clip in clips):
        new_to = tuple(index for index, of_fold in enumerate(people) if _person(subject) not in of_fold)
        assigned[subject] = (new_to or tuple(range(len(people))), not new_to)
    seen = [subject for subject, (_, trained_on) in assigned.items() if trained_on]
    if seen and not trained_subjects:
        names = ", ".join(seen[:_SHOWN]) + ", ..." * (len(seen) > _SHOWN)
        what = f"were trained on {len(seen)} of these {len(assigned)} subjects: {names}"
        remedy = "name clips of others, or the folder of all folds; --trained-subjects predicts them anyway"
        raise BadInput(Problem(f"the weights {chosen.place}", what, remedy))
    if seen:
        console.warn(f"{len(seen)} subjects were trained on: what is predicted of them says nothing about new people")
    return assigned


def _batched(clips: Sequence[Clip], card: Card) -> list[list[str]]:
    """Clip ids in the groups that are batched together: first what the fold tested, in its order.

    What stands beside a clip in a batch can change the last bits of its logits; this way they are those of the run.
    """
    wanted = {clip.id for clip in clips}
    tested = [clip_id for clip_id in (card.trained_on.test_ids if card.trained_on else ()) if clip_id in wanted]
    return [group for group in (tested, sorted(wanted - set(tested))) if group]


def _compare_features(chosen: _Weights, store: Store, dataset: str, console: Console) -> None:
    """Refuse arrays that the network cannot take; warn of arrays that were made otherwise than the ones it knows."""
    problems = []
    for taken in chosen.spec.inputs:
        feature = store.feature(dataset, taken.feature)
        lacking = [name for name in taken.channels if name not in feature.channels]
        size = feature.shape[1:] if feature.channels else feature.shape
        axes = slice(taken.free_axes, None)
        if lacking or len(size) != len(taken.size) or size[axes] != taken.size[axes]:
            has = f"channels {', '.join(feature.channels) or '-'} of {list(size)}"
            wants = f"{', '.join(taken.channels) or '-'} of {list(taken.size)}"
            problems.append(Problem(f"dataset {dataset}, {taken.feature}", f"has {has}, the weights take {wants}"))
        elif chosen.known is not None:
            _warn_of_other_bytes(chosen.known, taken, feature, dataset, console)
    raise_all(problems)
    if chosen.known is not None and chosen.known.code != models()[chosen.spec.name].code_digest():
        console.warn(f"the code of {chosen.spec.name} has changed since these weights were trained")


def _warn_of_other_bytes(known: TrainedOn, taken: InputSpec, feature: Feature, dataset: str, console: Console) -> None:
    if digest(feature.definition) not in known.definitions[taken.feature]:
        console.warn(f"{taken.feature} of {dataset} is made otherwise than the one that these weights were trained on")
    elif known.feature_keys[taken.feature].get(dataset, feature.key) != feature.key:
        console.warn(f"{taken.feature} of {dataset} has changed since these weights were trained")


def _logits(
    network: Any, chosen: _Weights, fold: int, store: Store, dataset: str, ids: Sequence[str], classes: int
) -> npt.NDArray[np.float32]:
    """Logits ``[clips, classes]`` of one fold, as its own run computes them: one thread, the recipe's batches."""
    import torch

    from mer_models import train
    from mer_models.batches import Input

    inputs = []
    for taken in chosen.spec.inputs:
        feature = store.feature(dataset, taken.feature)
        rows = LazyRows([feature], ids, [feature.channels.index(name) for name in taken.channels])
        inputs.append(Input(taken, rows, "cpu"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        logits: npt.NDArray[np.float32] = train.predict(network, inputs, chosen.recipe(fold).batch_size).numpy()
    finally:
        torch.set_num_threads(threads)
    if logits.shape != (len(ids), classes) or not np.isfinite(logits).all():
        raise BadInput(Problem(str(chosen.files[fold]), f"gives no finite scores of {classes} classes"))
    return logits


def _network(chosen: _Weights, fold: int, classes: int) -> Any:
    import torch

    where, name = str(chosen.files[fold]), chosen.spec.name
    if chosen.spec.build is None:
        raise BadInput(Problem(where, f"{name} is no network, so it has no weights"))
    state = read_state(chosen.files[fold])
    network = chosen.spec.build(classes)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    try:
        network.load_state_dict({key: torch.from_numpy(array) for key, array in state.items()})
    except RuntimeError as error:
        text = " ".join(str(error).split())
        remedy = f"were they made by this {name}, of {classes} classes?"
        raise BadInput(Problem(where, f"does not fit the network: {text}", remedy)) from error
    return network


def document(weights: Path, dataset: str, classes: Sequence[str], predictions: Sequence[Prediction]) -> dict[str, Any]:
    """The document of ``mer predict --json``."""
    rows = []
    for prediction in predictions:
        probabilities = prediction.probabilities.tolist()
        rows.append(
            {
                "clip": prediction.clip.id,
                "subject": prediction.clip.subject,
                "predicted": classes[int(prediction.probabilities.argmax())],
                "probabilities": dict(zip(classes, probabilities, strict=True)),
                "held_out": list(prediction.held_out),
                "logits": prediction.logits.tolist(),
                "trained_on_subject": prediction.seen,
            }
        )
    return {"weights": str(weights), "dataset": dataset, "classes": list(classes), "rows": rows}


def lines(told: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of :func:`document` as flat lines."""
    return [
        {
            **{name: row[name] for name in ("clip", "subject", "predicted")},
            **{f"probability {name}": value for name, value in row["probabilities"].items()},
            "held_out": "; ".join(row["held_out"]),
            "trained_on_subject": row["trained_on_subject"],
        }
        for row in told["rows"]
    ]


def show(told: dict[str, Any], console: Console) -> None:
    """A table of :func:`document`."""
    rows = [
        (
            row["clip"],
            row["predicted"],
            *(f"{row['probabilities'][name]:.4f}" for name in told["classes"]),
            (row["held_out"][0] if len(row["held_out"]) == 1 else str(len(row["logits"])))
            + (" (trained on it)" if row["trained_on_subject"] else ""),
        )
        for row in told["rows"]
    ]
    title = f"{told['dataset']}: probabilities by {told['weights']}"
    console.table(title, ("clip", "predicted", *told["classes"], "fold held out, or folds"), rows)
