"""From an experiment to its plan."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace

from mer_data import protocols
from mer_data.hashing import digest
from mer_data.problems import BadInput, Problem
from mer_data.protocols import Fold
from mer_data.schema import Clip
from mer_data.storage.store import Store
from mer_models.spec import Range, Space, models
from orchestrator.experiment.config import Experiment
from orchestrator.experiment.inner_split import validation
from orchestrator.experiment.plan import JOB_VERSION, Job, Plan, Study, fold_key, make_job, recipe_key
from orchestrator.experiment.resolve import (
    Cohort,
    choose_datasets,
    choose_inputs,
    choose_models,
    choose_recipes,
    choose_spaces,
    make_cohort,
    needed_features,
)
from orchestrator.experiment.user_models import load as load_plugins

_SEARCHED_EPOCHS = 50  # a search keeps about so many epochs of each training, to choose from


def make_plan(experiment: Experiment, store: Store) -> Plan:
    """Plan an experiment over a store whose features are complete.

    Raises
    ------
    BadInput
        As :func:`~orchestrator.experiment.resolve.choose_models`, `choose_recipes`, `choose_spaces`, `make_cohort`; if
        a fold cannot be divided for a search.
    """
    chosen = choose_models(experiment, store)
    recipes = choose_recipes(experiment, chosen)
    spaces = choose_spaces(experiment, recipes)
    plan = Plan(
        name=experiment.name,
        protocol=experiment.protocol,
        rule=experiment.selection,
        store=store.address,
        device=experiment.device,
        cohorts={},
        folds={},
        validation={},
        recipes=recipes,
        inputs={},
        codes={name: models()[name].code_digest() for name in recipes},
        model_keys={},
        feature_keys={},
        jobs=(),
        studies=(),
        plugins=load_plugins(experiment.plugins),
        weights=experiment.weights,
    )
    cohorts, folds, keys, inputs = {}, {}, {}, {}
    validates: dict[str, dict[int, dict[str, tuple[str, ...]]]] = {}
    model_keys: dict[str, dict[str, str]] = {}
    jobs: list[Job] = []
    for choice in choose_datasets(experiment, store):
        name = choice.name
        clips, cohort = make_cohort(store, choice)
        cohorts[name] = cohort
        if experiment.protocol != "loso" and len({clip.dataset for clip in clips}) < 2:
            what = "has the clips of one source dataset, so none can be held out"
            raise BadInput(Problem(f"dataset {name}", what, "give it a union, or use the protocol loso"))
        folds[name] = {fold.held_out: fold for fold in protocols.PROTOCOLS[experiment.protocol](clips)}
        keys[name] = {
            one: {member: store.feature(member, one).key for member in choice.members}
            for one in needed_features(chosen[name], store, choice)
        }
        inputs[name] = {spec.name: choose_inputs(spec, store, choice) or spec.inputs for spec in chosen[name]}
        model_keys[name] = {}
        for spec in chosen[name]:
            eaten = [[asdict(one), list(keys[name][one.feature].values())] for one in inputs[name][spec.name]]
            model_keys[name][spec.name] = digest([JOB_VERSION, spec.name, plan.codes[spec.name], eaten])
        if any(spec.name in spaces for spec in chosen[name]):
            validates[name] = {seed: _validation(clips, cohort, folds[name], seed) for seed in experiment.seeds}
        # What models share is hashed once per fold: hashing is what planning costs.
        fold_keys = {held_out: fold_key(fold, cohort) for held_out, fold in folds[name].items()}
        for spec in chosen[name]:
            if spec.name in spaces:
                continue
            recipe = recipes[spec.name]
            changes, of_recipe = recipe.changes(spec.recipe), recipe_key(model_keys[name][spec.name], recipe)
            jobs += [
                make_job(experiment.protocol, spec.name, name, held_out, seed, changes, of_recipe, of_fold)
                for seed in experiment.seeds
                for held_out, of_fold in fold_keys.items()
            ]
    plan = replace(
        plan,
        cohorts=cohorts,
        folds=folds,
        validation=validates,
        inputs=inputs,
        model_keys=model_keys,
        feature_keys=keys,
        jobs=tuple(jobs),
    )
    return replace(plan, studies=tuple(_studies(experiment, plan, spaces)))


def _validation(
    clips: Sequence[Clip], cohort: Cohort, folds: Mapping[str, Fold], seed: int
) -> dict[str, tuple[str, ...]]:
    """By what is held out: the training clips to validate on. Each fold is divided by a draw of its own."""
    of = {clip.id: clip for clip in clips}
    divided = {}
    for held_out, fold in folds.items():
        labels = [cohort.label_of[clip_id] for clip_id in fold.train_ids]
        draw = int(digest([held_out, seed])[:8], 16)
        try:
            divided[held_out] = validation([of[clip_id] for clip_id in fold.train_ids], labels, draw)
        except ValueError as error:
            remedy = "a search needs at least three subjects: take the key `search` out of the experiment"
            raise BadInput(Problem(f"dataset {cohort.dataset}, {held_out} held out", str(error), remedy)) from None
    return divided


def _studies(experiment: Experiment, plan: Plan, spaces: Mapping[str, Space]) -> Iterator[Study]:
    if experiment.search is None:
        return
    # Without anything to vary there is one configuration, whose epoch is chosen.
    single = experiment.search.model_copy(update={"configurations": 1})
    for dataset, of_models in plan.model_keys.items():
        for model in of_models:
            if model not in spaces:
                continue
            kept = max(plan.recipes[model].keep_every, math.ceil(plan.recipes[model].epochs / _SEARCHED_EPOCHS))
            recipe = replace(plan.recipes[model], keep_every=kept)
            for seed in experiment.seeds:
                folds = [plan.key_of_fold(dataset, held_out, seed) for held_out in plan.folds[dataset]]
                space = {key: asdict(v) if isinstance(v, Range) else v for key, v in spaces[model].items()}
                decides = [of_models[model], asdict(recipe), space, experiment.search.course(), seed, folds]
                name = f"{model}.{dataset}.seed-{seed}.{digest(decides)[:8]}"
                search = experiment.search if spaces[model] else single
                yield Study(name, model, dataset, seed, recipe, spaces[model], search)
