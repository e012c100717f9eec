"""Unions of datasets: by a published clip list, or of all their clips; never with the same people twice.

Where nobody knows whether two datasets show the same people, that is said.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

from mer_data.problems import BadInput, Problem, did_you_mean
from mer_data.schema import Clip

LISTS = ("casmes", "megc2019")

# Datasets that show the same people, in the same moments even: a subject of one is in the others.
SAME_PEOPLE = (
    frozenset({"smic", "smic_vis", "smic_nir", "smic_e", "smic_e_vis", "smic_e_nir"}),
    frozenset({"samm", "samm_lv"}),
)
# Datasets of one laboratory. Whether somebody takes part in two of them was published nowhere, and nobody checked it.
SAME_LABORATORY = (
    frozenset({"casme", "casme2", "casme_sq", "casme3a", "casme3c"}),
    frozenset({"smic", "smic_vis", "smic_nir", "smic_e", "smic_e_vis", "smic_e_nir", "4dme"}),
)


@dataclass(frozen=True)
class Selection:
    """What a published list takes from the clips at hand.

    Attributes
    ----------
    labelled
        Clips with the list's class, in the list's order.
    missing
        Clip ids of the list that are not at hand.
    planned
        How many clips the list has.
    """

    labelled: tuple[tuple[Clip, str], ...]
    missing: tuple[str, ...]
    planned: int


@cache
def published(name: str) -> Mapping[str, str]:
    """A published list: clip id to class, in its order."""
    return MappingProxyType({clip_id: row["class"] for clip_id, row in _rows(name).items()})


@cache
def onsets(name: str) -> Mapping[str, int]:
    """The onset that a published list gives, by clip id, where it is needed to tell clips of one name apart."""
    found = {clip_id: int(row["onset"]) for clip_id, row in _rows(name).items() if row.get("onset")}
    return MappingProxyType(found)


def _rows(name: str) -> dict[str, dict[str, str]]:
    text = (resources.files("mer_data") / "lists" / f"{name}.csv").read_text(encoding="utf-8")
    return {f"{row['dataset']}/{row['subject']}/{row['clip']}": row for row in csv.DictReader(text.splitlines())}


def select(name: str, clips: Sequence[Clip], where: str) -> Selection:
    """The clips of a published list among those at hand; where a sheet repeats a name, by folder or by onset.

    Raises
    ------
    BadInput
        If there is no such list, or none of its clips is at hand; `where` names the place that asked.
    """
    if name not in LISTS:
        raise BadInput(Problem(where, f"unknown clip list {name!r}", did_you_mean(name, LISTS)))
    wanted, here = published(name), {clip.id: clip for clip in clips}
    here |= _renamed(name, [clip_id for clip_id in wanted if clip_id not in here], clips)
    labelled = tuple((here[clip_id], label) for clip_id, label in wanted.items() if clip_id in here)
    if not labelled:
        example = next(iter(wanted))
        raise BadInput(Problem(where, f"has none of the {len(wanted)} clips of the list {name}", f"such as {example}"))
    return Selection(labelled, tuple(clip_id for clip_id in wanted if clip_id not in here), len(wanted))


def _renamed(name: str, lacking: Sequence[str], clips: Sequence[Clip]) -> dict[str, Clip]:
    """The clips that a list calls otherwise: importers call clips of one name ``EP02_5@27``, by their onsets.

    A clip is meant by its folder's name, or else by the onset, in the folder or in the sheet, within a subject's same
    recording (``EP02``). No clip is given twice, and none where two would do.
    """
    repeated = [clip for clip in clips if "@" in clip.name]
    found: dict[str, Clip] = {}
    for clip_id in lacking:
        subject, _, listed = clip_id.rpartition("/")
        of_name = [one for one in repeated if one.subject == subject and (one.frames or "").split("/")[-1] == listed]
        if len(of_name) == 1:
            found[clip_id] = of_name[0]
    taken = {clip.id for clip in found.values()}
    at_onset: defaultdict[str, list[str]] = defaultdict(list)
    for clip_id in lacking:
        subject, _, listed = clip_id.rpartition("/")
        if clip_id in found or clip_id not in onsets(name):
            continue
        fitting = [
            one.id
            for one in repeated
            if one.subject == subject
            and one.id not in taken
            and one.name.split("_")[0] == listed.split("_")[0]
            and str(onsets(name)[clip_id]) in (str(one.onset), one.name.rpartition("@")[2])
        ]
        if len(fitting) == 1:
            at_onset[fitting[0]].append(clip_id)
    by_id = {clip.id: clip for clip in repeated}
    return found | {ids[0]: by_id[clip_id] for clip_id, ids in at_onset.items() if len(ids) == 1}


def refuse_same_people(clips: Sequence[Clip], where: str) -> None:
    """Refuse a union in which one person would count as two.

    Raises
    ------
    BadInput
        If two of its datasets show the same people: a person would be in training and in test.
    """
    datasets = {clip.dataset for clip in clips}
    for group in SAME_PEOPLE:
        if len(datasets & group) > 1:
            names = " and ".join(sorted(datasets & group))
            raise BadInput(Problem(where, f"{names} show the same people", "take one of them"))


def perhaps_same_people(clip_ids: Iterable[str]) -> list[str]:
    """Of clips that are scored together: datasets that may show the same people, in words; empty if there are none.

    Parameters
    ----------
    clip_ids
        ``dataset/subject/clip`` each.
    """
    datasets = {clip_id.split("/")[0] for clip_id in clip_ids}
    return [
        f"{' and '.join(sorted(datasets & group))} come from one laboratory and may show the same people, which nobody "
        "has checked: a person could be in training and in test"
        for group in SAME_LABORATORY
        if len(datasets & group) > 1
    ]
