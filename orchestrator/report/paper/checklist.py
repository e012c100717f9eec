"""What somebody needs who wants these numbers again: code, versions, machines, features, splits, commands."""

from __future__ import annotations

import hashlib
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mer_data.protocols import splits
from orchestrator.experiment.search_splits import search_splits
from orchestrator.machines.code_version import what_runs
from orchestrator.report.paper.boards import Source
from orchestrator.report.paper.documents import Cell, Column, Row, Table
from orchestrator.report.predictions import Machine

Item = tuple[str, str, str]


def checklist(sources: Sequence[Source]) -> Table:
    """Everything that decides the numbers, a line each."""
    items = [item for source in sources for item in (*_commands(source), *_code(source), *_machines(source),
                                                     *_data(source))]  # fmt: skip
    items += [("report", name, version) for name, version in what_runs().items()]
    items.append(("report", "command", f"mer report {' '.join(shlex.quote(source.name) for source in sources)}"))
    columns = [Column(title, numeric=False) for title in ("of", "what", "value")]
    return Table("checklist", "What decides the numbers", columns, [Row(list(map(Cell, item))) for item in items])


def _commands(source: Source) -> list[Item]:
    plan, name = source.plan, source.name
    again = f"mer run {shlex.quote(f'{name}/experiment.yaml')} --out {shlex.quote(name)}"
    command = f"mer verify {shlex.quote(name)}" if name.endswith(".mer") else again
    files = [(name, "model file", f"{Path(file.path).name}, {hashlib.sha256(file.source.encode()).hexdigest()[:12]}")
             for file in plan.model_files]  # fmt: skip
    rule = "chosen on inner subjects" if plan.rule == "inner" else f"epoch by the rule {plan.rule}"
    return [(name, "command", command), (name, "protocol, rule", f"{plan.protocol}, {rule}"), *files]


def _code(source: Source) -> list[Item]:
    return [(source.name, f"code of {model}", code[:12]) for model, code in source.plan.codes.items()]


def _machines(source: Source) -> list[Item]:
    trained: Counter[Machine] = Counter()
    for cell in source.results.cells:
        trained.update(cell.machines)
    hours = sum(cell.training_seconds for cell in source.results.cells) / 3600
    spent = (source.name, "hours of training", f"{hours:.1f}, all trainings one after the other")
    return [spent] + [
        (
            source.name,
            f"{trained[machine]} trainings on",
            ", ".join([machine[0], *(f"{name} {version}" for name, version in machine[1])]),
        )
        for machine in sorted(trained)
    ]


def _data(source: Source) -> list[Item]:
    found = []
    for dataset, planned in source.plan.datasets.items():
        found.append((source.name, f"clips and classes of {dataset}", planned.cohort.checksum))
        found.append((source.name, f"splits of {dataset}", _sum(splits(planned.folds.values()))))
        if planned.groups:
            found.append(
                (source.name, f"search splits of {dataset}", _sum(search_splits(planned.groups, planned.divisions)))
            )
        for feature, keys in planned.feature_keys.items():
            found += [(source.name, f"feature {feature} of {member}", key[:12]) for member, key in keys.items()]
    return found


def _sum(text: str) -> str:
    return f"SHA-256 {hashlib.sha256(text.encode()).hexdigest()}"
