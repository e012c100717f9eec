"""How long an experiment would train on processor cores, roughly: from a network's products, before anything starts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from orchestrator.console import Console, duration
from orchestrator.experiment.declarations import costs, declaration
from orchestrator.experiment.plan import Plan, Study
from orchestrator.machines.resources import Resources

# Products per second of one core in these networks: STSTNet's full recipe and Micro-Attention's steps give about this.
_PER_SECOND = 2e10
_PASSES = 3  # forwards, and twice backwards: for the weights and for the inputs
_LONG = 12 * 3600.0


def training_seconds(plan: Plan, done: set[str], searches: Iterable[tuple[Study, int]]) -> dict[str, float]:
    """Seconds of training on one core that are left, by model.

    `done` are the ids of finished jobs, `searches` the plan's studies with the trainings that each of them may still
    need: a race that ends early makes it less.
    """
    clips: Counter[tuple[str, int]] = Counter()  # by model and epochs: clips to train on, over all jobs
    classes = {}
    for job in plan.jobs:
        if job.id not in done:
            clips[job.model, plan.recipe(job).epochs] += len(plan.fold(job).train_ids)
            classes[job.model] = len(plan.datasets[job.dataset].cohort.classes)
    for study, left in searches:
        divisions = plan.datasets[study.dataset].divisions[study.seed][study.group]
        trained = sum(len(division.train_ids) for division in divisions)
        clips[study.model, study.recipe.epochs] += left * trained // len(divisions)
        classes[study.model] = len(plan.datasets[study.dataset].cohort.classes)
    seconds: defaultdict[str, float] = defaultdict(float)
    for (model, epochs), count in clips.items():
        if declaration(model).is_network:
            seconds[model] += _PASSES * costs(model, classes[model])["flops"] * epochs * count / _PER_SECOND
    return seconds


def warn_if_long(
    plan: Plan, done: set[str], searches: Iterable[tuple[Study, int]], have: Resources, console: Console
) -> None:
    """Say so if the processor cores would be busy for more than half a day, and with which models."""
    if have.gpus and plan.device != "cpu":
        return
    seconds = training_seconds(plan, done, searches)
    whole = sum(seconds.values()) / have.cpus
    if whole < _LONG:
        return
    longest = sorted(seconds, key=lambda model: -seconds[model])[:3]
    most = ", ".join(f"{model} {duration(seconds[model] / have.cpus)}" for model in longest)
    console.warn(
        f"this may train for {duration(whole)} on {have.cpus} cores, most of it {most}. Ctrl-C "
        "loses nothing. Choose with --set 'models=[...]', or give it a GPU or a cluster"
    )
