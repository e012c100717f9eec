"""From a resolved experiment to its plan."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from pydantic import TypeAdapter

from mer_data import protocols
from mer_data.hashing import digest
from mer_data.problems import BadInput, Problem
from mer_models.spec import InputSpec, Range, Recipe
from orchestrator.experiment.declarations import code_digest, declaration
from orchestrator.experiment.plan import (
    PLAN_VERSION,
    Job,
    Plan,
    PlannedDataset,
    Study,
    make_job,
    model_key,
    recipe_key,
)
from orchestrator.experiment.resolve import Resolved, ResolvedDataset
from orchestrator.experiment.search_splits import Division, Groups, check, divide, make_groups, pool

_SEARCHED_EPOCHS = 50  # a search keeps about so many epochs of each training, to choose from


def make_plan(resolved: Resolved) -> Plan:
    """Plan an experiment whose features are complete.

    Raises
    ------
    BadInput
        If a dataset's clips have a single source where one is to be held out, or too few subjects for a search.
    """
    resolved = _as_read(resolved)
    experiment, codes = resolved.experiment, {name: code_digest(name) for name in resolved.recipes}
    datasets = {name: _plan_dataset(resolved, of, codes) for name, of in resolved.datasets.items()}
    return Plan(
        version=PLAN_VERSION,
        name=experiment.name,
        protocol=experiment.protocol,
        rule=experiment.selection,
        store=resolved.store.address,
        device=experiment.device,
        datasets=datasets,
        recipes=resolved.recipes,
        codes=codes,
        jobs=tuple(_jobs(resolved, datasets)),
        studies=tuple(_studies(resolved, datasets)),
        model_files=resolved.model_files,
        weights=experiment.weights,
        networks=tuple(name for name in resolved.recipes if declaration(name).is_network),
        definitions=_definitions(resolved, datasets),
    )


def _as_read(resolved: Resolved) -> Resolved:
    """With recipes and inputs as a plan's file gives them back, which has 1.0 where a model of the user's says 1.

    So the ids of jobs follow from the file.
    """
    inputs, recipes = TypeAdapter(dict[str, tuple[InputSpec, ...]]), TypeAdapter(dict[str, Recipe])
    datasets = {
        name: replace(of, inputs=inputs.validate_json(inputs.dump_json(dict(of.inputs))))
        for name, of in resolved.datasets.items()
    }
    read = recipes.validate_json(recipes.dump_json(dict(resolved.recipes)))
    return replace(resolved, datasets=datasets, recipes=read)


def _definitions(resolved: Resolved, datasets: Mapping[str, PlannedDataset]) -> dict[str, dict[str, Any]]:
    """By key, the definitions of the features that the jobs eat."""
    return {
        key: resolved.store.feature(member, feature).definition
        for planned in datasets.values()
        for feature, by_member in planned.feature_keys.items()
        for member, key in by_member.items()
    }


def _plan_dataset(resolved: Resolved, of: ResolvedDataset, codes: Mapping[str, str]) -> PlannedDataset:
    protocol, store = resolved.experiment.protocol, resolved.store
    if protocol != "loso" and len({clip.dataset for clip in of.clips}) < 2:
        what = "has the clips of one source dataset, so none can be held out"
        raise BadInput(Problem(f"dataset {of.cohort.dataset}", what, "give it a union, or use the protocol loso"))
    folds = {fold.held_out: fold for fold in protocols.PROTOCOLS[protocol](of.clips)}
    keys = {
        feature: {member: store.feature(member, feature).key for member in of.cohort.members} for feature in of.features
    }
    model_keys = {name: model_key(name, codes[name], inputs, keys) for name, inputs in of.inputs.items()}
    groups, divisions = _search_splits(resolved, of, folds)
    return PlannedDataset(of.cohort, folds, groups, divisions, of.inputs, model_keys, keys)


def _search_splits(
    resolved: Resolved, of: ResolvedDataset, folds: Mapping[str, protocols.Fold]
) -> tuple[Groups, dict[int, dict[str, tuple[Division, ...]]]]:
    """Who is served by one search, and by seed and group the divisions that it may see; nothing without a search."""
    search = resolved.experiment.search
    if search is None or resolved.spaces.keys().isdisjoint(of.inputs):
        return {}, {}
    groups = make_groups(folds, of.clips, None if isinstance(search.groups, str) else search.groups)
    clip_of = {clip.id: clip for clip in of.clips}
    divisions: dict[int, dict[str, tuple[Division, ...]]] = {}
    for seed in resolved.experiment.seeds:
        divisions[seed] = {}
        for group, members in groups.items():
            served = [folds[held_out] for held_out in members]
            seen = pool(served)
            labels = [of.cohort.label_of[clip_id] for clip_id in seen]
            try:
                made = divide([clip_of[clip_id] for clip_id in seen], labels, search.divisions, seed)
            except ValueError as error:
                where = f"dataset {of.cohort.dataset}, {', '.join(members)} held out"
                remedy = "take the key `search` out of the experiment, or give more `groups`, which are smaller then"
                raise BadInput(Problem(where, str(error), remedy)) from None
            check(served, made, of.clips)
            divisions[seed][group] = made
    return groups, divisions


def _jobs(resolved: Resolved, datasets: Mapping[str, PlannedDataset]) -> Iterator[Job]:
    """The jobs of models that are not searched."""
    for name, planned in datasets.items():
        for model, of_model in planned.model_keys.items():
            if model in resolved.spaces:
                continue
            recipe = resolved.recipes[model]
            changes, of_recipe = recipe.changes(declaration(model).recipe), recipe_key(of_model, recipe)
            for seed in resolved.experiment.seeds:
                for held_out in planned.folds:
                    of_fold = planned.fold_key(held_out, seed, None)
                    protocol = resolved.experiment.protocol
                    yield make_job(protocol, model, name, held_out, seed, changes, of_recipe, of_fold)


def _studies(resolved: Resolved, datasets: Mapping[str, PlannedDataset]) -> Iterator[Study]:
    search = resolved.experiment.search
    if search is None:
        return
    # Without anything to vary there is one configuration, whose epoch is chosen.
    single = search.model_copy(update={"configurations": 1})
    for dataset, planned in datasets.items():
        for model in planned.model_keys:
            if model not in resolved.spaces:
                continue
            recipe, varied = resolved.recipes[model], resolved.spaces[model]
            kept = max(recipe.keep_every, math.ceil(recipe.epochs / _SEARCHED_EPOCHS))
            recipe = replace(recipe, keep_every=kept)
            for seed, by_group in planned.divisions.items():
                for group in by_group:
                    study = Study("", model, dataset, seed, group, recipe, varied, search if varied else single)
                    yield replace(study, name=study_name(planned, study))


def study_name(planned: PlannedDataset, study: Study) -> str:
    """The name of a study. It holds a hash of all else that the study is, and of the clips that it may see."""
    divisions = range(len(planned.divisions[study.seed][study.group]))
    keys = [planned.fold_key(study.group, study.seed, number) for number in divisions]
    space = {key: asdict(values) if isinstance(values, Range) else values for key, values in study.space.items()}
    of_model = planned.model_keys[study.model]
    decides = [of_model, asdict(study.recipe), space, study.search.identity(), study.seed, keys]
    group = study.group.replace("/", "~")
    return f"{study.model}.{study.dataset}.seed-{study.seed}.{group}.{digest(decides)[:8]}"
