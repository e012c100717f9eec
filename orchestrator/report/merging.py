"""Two labs' results as one: where clips, classes, protocol and rule are the same, and no result contradicts another."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from mer_data.problems import BadInput, Problem, raise_all
from orchestrator.experiment.plan import Plan, PlannedDataset
from orchestrator.output.capsule import Manifest, unpack_capsule
from orchestrator.output.ledger import Ledger
from orchestrator.output.search_history import SearchHistory, histories
from orchestrator.output.soundness import sound_results
from orchestrator.report.capsules import pack, refuse_other_names

_APART = "they stay two capsules"


def merge_capsules(paths: Sequence[Path], to: Path) -> Plan:
    """Join capsules into one that holds the models, seeds, folds and datasets of all.

    Parameters
    ----------
    paths
        Two capsules or more.
    to
        The capsule to write; one that is there is replaced.

    Returns
    -------
    The joined plan.

    Raises
    ------
    BadInput
        If one cannot be read; and with all that differs, if clip lists, classes, protocols, rules or epochs differ, if
        the same model, feature or search is not the same, or if the same job has different results.
    """
    refuse_other_names(to)
    if len(paths) < 2:
        raise BadInput(Problem("mer merge", "one capsule has nothing to be joined with", "give two or more"))
    with TemporaryDirectory(prefix="mer-") as private:
        joined = Path(private) / "joined"
        joined.mkdir()
        plan, manifest, ledger = _opened(paths[0], Path(private) / "0")
        _add(plan, ledger, joined, str(paths[0]))
        for number, path in enumerate(paths[1:], 1):
            other, of_other, ledger = _opened(path, Path(private) / f"{number}")
            raise_all(_differences(str(path), str(paths[0]), (plan, manifest), (other, of_other)))
            plan = _joined(plan, other)
            _add(other, ledger, joined, str(path))
        plan.save(joined / "plan.json")
        pack(joined, to, job_version=manifest.job_version, every=manifest.every)
        return plan


def _opened(path: Path, private: Path) -> tuple[Plan, Manifest, Ledger]:
    folder = private / path.name
    manifest = unpack_capsule(path, folder)
    plan, ledger = sound_results(folder, manifest.every, str(path))
    return plan, manifest, ledger


def _differences(
    path: str, first: str, before: tuple[Plan, Manifest], other: tuple[Plan, Manifest]
) -> Iterator[Problem]:
    """Why a capsule cannot be joined with those before it."""
    (mine, of_mine), (its, of_its) = before, other

    def differ(what: str, here: object, there: object) -> Problem:
        return Problem(path, f"{what} {there}, {first} {here}", _APART)

    if its.protocol != mine.protocol:
        yield differ("has the protocol", mine.protocol, its.protocol)
    if its.rule != mine.rule:
        yield differ("has the selection rule", mine.rule, its.rule)
    if (its.version, of_its.job_version) != (mine.version, of_mine.job_version):
        yield Problem(path, f"was planned by another version of the program than {first}", _APART)
    if of_its.every != of_mine.every:
        yield differ("keeps every n-th epoch, n =", of_mine.every, of_its.every)
    for model in sorted(its.recipes.keys() & mine.recipes.keys()):
        if its.recipes[model] != mine.recipes[model]:
            here, there = mine.recipes[model], its.recipes[model]
            what = f"has {model} with {there.changes(here)}, {first} with {here.changes(there)}"
            yield Problem(path, what, "score or compare them apart")
        elif its.codes[model] != mine.codes[model]:
            yield Problem(path, f"has other code of the model {model} than {first}", "score or compare them apart")
    for name in sorted(its.datasets.keys() & mine.datasets.keys()):
        for what in _unlike_datasets(mine.datasets[name], its.datasets[name]):
            yield Problem(path, f"has on {name} {what} than {first}", "score or compare them apart")


def _unlike_datasets(mine: PlannedDataset, its: PlannedDataset) -> Iterator[str]:
    """In what two datasets of the same name differ."""
    here, there = mine.cohort, its.cohort
    if here.label_of.keys() != there.label_of.keys():
        only = sorted(here.label_of.keys() ^ there.label_of.keys())
        counts = f"{len(there.clip_ids)} clips and {len(here.clip_ids)}"
        yield f"another clip list ({counts}, {only[0]} is not in both)"
    elif here.classes != there.classes:
        yield f"other classes ({', '.join(there.classes)})"
    elif here.label_of != there.label_of:
        other = [clip_id for clip_id, label in here.label_of.items() if there.label_of[clip_id] != label]
        yield f"other classes of {len(other)} clips, first {other[0]},"
    elif here.subject_of != there.subject_of or mine.folds != its.folds:
        yield "other subjects or folds"
    if mine.groups and its.groups and mine.groups != its.groups:
        yield "other groups of a search"
    elif any(mine.divisions[seed] != its.divisions[seed] for seed in mine.divisions.keys() & its.divisions.keys()):
        yield "other divisions of a search"
    for feature in sorted(mine.feature_keys.keys() & its.feature_keys.keys()):
        if mine.feature_keys[feature] != its.feature_keys[feature]:
            yield f"other bytes of the feature {feature}"
    for model in sorted(mine.inputs.keys() & its.inputs.keys()):
        if mine.inputs[model] != its.inputs[model]:
            yield f"other inputs of {model}"


def _joined(mine: Plan, its: Plan) -> Plan:
    """Two plans as one; what both have is the same in both."""
    datasets = dict(mine.datasets)
    for name, planned in its.datasets.items():
        here = datasets.get(name)
        datasets[name] = planned if here is None else _joined_datasets(here, planned)
    files = {file.module: file for file in (*mine.model_files, *its.model_files)}
    return replace(
        mine,
        name=mine.name if mine.name == its.name else f"{mine.name}+{its.name}",
        datasets=datasets,
        recipes={**mine.recipes, **its.recipes},
        codes={**mine.codes, **its.codes},
        jobs=tuple(dict.fromkeys((*mine.jobs, *its.jobs))),
        studies=_united(mine.studies, its.studies),
        model_files=tuple(files.values()),
        networks=tuple(dict.fromkeys((*mine.networks, *its.networks))),
        definitions={**mine.definitions, **its.definitions},
    )


def _united(mine: Sequence[Any], its: Sequence[Any]) -> tuple[Any, ...]:
    named = {study.name: study for study in its} | {study.name: study for study in mine}
    return tuple({study.name: named[study.name] for study in (*mine, *its)}.values())


def _joined_datasets(mine: PlannedDataset, its: PlannedDataset) -> PlannedDataset:
    return replace(
        mine,
        groups=mine.groups or its.groups,
        divisions={**mine.divisions, **its.divisions},
        inputs={**mine.inputs, **its.inputs},
        model_keys={**mine.model_keys, **its.model_keys},
        feature_keys={**mine.feature_keys, **its.feature_keys},
    )


def _add(plan: Plan, ledger: Ledger, joined: Path, shown: str) -> None:
    """Add results and histories of a capsule to those before it.

    Raises
    ------
    BadInput
        If a job has other results there.
    """
    here = Ledger(joined / "ledger")
    here.root.mkdir(exist_ok=True)
    other = []
    for job_id in sorted(ledger.ids()):
        if not here.has(job_id):
            shutil.copyfile(ledger.root / f"{job_id}.arrow", here.root / f"{job_id}.arrow")
            continue
        mine, its = here.read(job_id), ledger.read(job_id)
        same = (mine.clip_ids, mine.epochs) == (its.clip_ids, its.epochs) and np.array_equal(mine.logits, its.logits)
        other += [] if same else [job_id]
    if other:
        what = f"{len(other)} jobs have other results than in a capsule before it"
        raise BadInput(Problem(f"{shown}, ledger/{other[0]}.arrow", what, "train them again, and see which is right"))
    for study, history in histories(plan, ledger.root.parent):
        before = SearchHistory.load(joined, plan, study)
        if history.configurations and _progress(history) > _progress(before):
            history.save(joined, study)


def _progress(history: SearchHistory) -> tuple[bool, bool, int, int]:
    """How far a search has got: the history of a search that went on begins with what it was before."""
    tried: Mapping[int, int] = {known.number: known.divisions for known in history.configurations}
    return history.closed, history.ended, len(tried), sum(tried.values())
