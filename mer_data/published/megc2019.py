"""How projects that build on MEGC 2019 spell its datasets, subjects, clips and labels, and what we make of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from mer_data.schema import Clip

DATASETS = ("casme2", "smic", "samm")
LABELS = {"0": "negative", "1": "positive", "2": "surprise"}

_SUBJECT = re.compile(r"(sub|s|)0*([0-9]{1,3})")
_SPELLINGS = {"sub": ("casme2", "sub{:02d}"), "s": ("smic", "s{:02d}"), "": ("samm", "{:03d}")}
_SMIC_CLIP = re.compile(r"s0*([0-9]{1,3})(?=_)")
# Clip names become parts of ids and of messages, so only plain characters are let in.
_CLIP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def subject_of(text: str) -> tuple[str, str] | None:
    """Tell dataset and subject from the spelling: ``sub01`` casme2, ``s01`` smic, ``006`` (or ``6``) samm."""
    found = _SUBJECT.fullmatch(text)
    if found is None:
        return None
    dataset, spelling = _SPELLINGS[found[1]]
    return dataset, spelling.format(int(found[2]))


@lru_cache(maxsize=4096)  # the folds repeat each name once per held-out subject
def clip_id_of(stem: str) -> str | None:
    """Tell the clip id from SUBJECT_CLIP: ``006_006_1_2`` -> ``samm/006/006_1_2``; None if it is not of that form.

    SMIC's clips may be written as in its folders: ``s01_s1_ne_01`` -> ``smic/s01/s01_ne_01``.
    """
    subject, _, clip = stem.partition("_")
    spelled = subject_of(subject)
    if not spelled or not _CLIP_NAME.fullmatch(clip):
        return None
    if spelled[0] == "smic":
        clip = _SMIC_CLIP.sub(lambda found: f"s{int(found[1]):02}", clip, count=1)
    return f"{spelled[0]}/{spelled[1]}/{clip}"


def is_clip_name(text: str) -> bool:
    """Tell whether a text can be a clip's name."""
    return _CLIP_NAME.fullmatch(text) is not None


def clip_id(subject: str, name: str) -> str | None:
    """Tell the clip's id as the published list of MEGC 2019 writes it, or None if the words name no clip.

    The subject's spelling tells the dataset, and zeros in front do not matter: ``6`` and ``006`` are ``samm/006``.
    In SMIC the clip's name repeats the subject: ``s1_ne_01`` and ``s01_ne_01`` are ``smic/s01/s01_ne_01``. No name has
    a hyphen in it, which separates the words of ATN's keys.
    """
    if subject_of(subject) is None or "-" in name:
        return None
    return clip_id_of(f"{subject}_{name}")


def make_clip(clip_id: str, emotion: str, apex: int | None = None, apex_source: str | None = None) -> Clip:
    """Make the clip of an id ``dataset/subject/name``."""
    dataset, subject, name = clip_id.split("/")
    return Clip(dataset, f"{dataset}/{subject}", name, emotion, apex=apex, apex_source=apex_source)


def list_order(clip: Clip) -> tuple[int, str]:
    """Give the place of a clip in the order of the published list: dataset (casme2, smic, samm), subject, clip."""
    return DATASETS.index(clip.dataset), clip.id


def in_order(clips: Iterable[Clip]) -> tuple[Clip, ...]:
    """Order clips as the published list."""
    return tuple(sorted(clips, key=list_order))


def labels_remedy() -> str:
    """Say which labels there are."""
    return "labels are " + ", ".join(f"{number} ({name})" for number, name in LABELS.items())
