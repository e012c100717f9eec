"""Emotion vocabularies and class schemes: from a dataset's words to the classes that are scored."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from mer_data.problems import BadInput, Problem
from mer_data.schema import Clip

# One spelling for each emotion; the keys are what sheets write, after lower-casing and stripping.
_SYNONYMS = {
    "happy": "happiness",
    "sad": "sadness",
    "other": "others",
    "angry": "anger",
    "disgusted": "disgust",
    "surprised": "surprise",
    "fearful": "fear",
}
EMOTIONS = (
    "anger",
    "contempt",
    "disgust",
    "fear",
    "happiness",
    "helpless",
    "negative",
    "others",
    "pain",
    "positive",
    "repression",
    "sadness",
    "surprise",
    "tense",
)


def read_emotion(word: str) -> str | None:
    """The canonical emotion for a sheet's word (``Happy`` -> ``happiness``), or None if it is unknown."""
    word = word.strip().lower()
    word = _spellings().get(word) or _SYNONYMS.get(word, word)
    return word if word in EMOTIONS else None


def misspelt(word: str) -> bool:
    """Whether a word is one of the known slips of the pen, which :func:`read_emotion` reads all the same."""
    return word.strip().lower() in _spellings()


@cache
def _spellings() -> Mapping[str, str]:
    """What sheets write wrongly to what is meant, with its source in ``corrections/spellings.csv``."""
    text = (resources.files("mer_data") / "corrections" / "spellings.csv").read_text(encoding="utf-8")
    return {row["written"]: row["emotion"] for row in csv.DictReader(text.splitlines())}


@dataclass(frozen=True)
class ClassScheme:
    """A named map from emotions to the classes that are scored.

    Attributes
    ----------
    name
        How experiment files call it.
    classes
        The class names in the order of a confusion matrix.
    emotions
        Canonical emotion to class. An emotion that is not a key is left out of the experiment.
    """

    name: str
    classes: tuple[str, ...]
    emotions: Mapping[str, str]

    def label(self, clip: Clip) -> str | None:
        """The clip's class name, or None if the scheme leaves the clip out."""
        return self.emotions.get(clip.emotion)


def _identity(*emotions: str) -> dict[str, str]:
    return {emotion: emotion for emotion in emotions}


SCHEMES = {
    scheme.name: scheme
    for scheme in (
        # MEGC 2019 (See et al., FG 2019): all negative emotions together; tense, others etc. left out.
        ClassScheme(
            "3-class",
            ("negative", "positive", "surprise"),
            {
                **dict.fromkeys(
                    ("anger", "contempt", "disgust", "fear", "negative", "repression", "sadness"), "negative"
                ),
                **dict.fromkeys(("happiness", "positive"), "positive"),
                "surprise": "surprise",
            },
        ),
        # The usual five classes of CASME II (Yan et al., PLoS ONE 2014): sadness and fear are too few.
        ClassScheme(
            "casme2-5-class",
            ("disgust", "happiness", "others", "repression", "surprise"),
            _identity("disgust", "happiness", "others", "repression", "surprise"),
        ),
        # The usual five classes of SAMM (Davison et al., IEEE TAC 2018); another set than CASME II's.
        ClassScheme(
            "samm-5-class",
            ("anger", "contempt", "happiness", "others", "surprise"),
            _identity("anger", "contempt", "happiness", "others", "surprise"),
        ),
    )
}


def scheme(name: str, clips: Sequence[Clip], where: str) -> ClassScheme:
    """The class scheme of that name; ``native`` has one class per emotion found in the clips.

    Raises
    ------
    BadInput
        If there is no such scheme; `where` names the place that asked for it.
    """
    if name == "native":
        found = sorted({clip.emotion for clip in clips})
        return ClassScheme("native", tuple(found), _identity(*found))
    if name not in SCHEMES:
        raise BadInput(Problem(where, f"unknown class scheme {name!r}", _fitting(clips)))
    return SCHEMES[name]


def _fitting(clips: Sequence[Clip]) -> str:
    """The schemes of which the clips have two classes at least, with the number of clips that each takes."""
    found = []
    for known in SCHEMES.values():
        taken = [label for clip in clips if (label := known.label(clip)) is not None]
        if len(set(taken)) > 1:
            found.append((len(taken), known.name))
    best = [f"{name} ({count} of {len(clips)} clips)" for count, name in sorted(found, key=lambda pair: -pair[0])]
    return f"for these clips: {', '.join([*best, 'native (their own emotions)'])}"
