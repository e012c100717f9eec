"""What is wrong with something a user gave us, said once and completely."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_SHOWN = 20
_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|-?\d+(?:\.\d+)?")


def shown(text: str, kept: str = "") -> str:
    """A text as a person may see it: letters that move the cursor, hide or turn round what follows, are spelled.

    A file's name may have any of them, and so decide what a terminal shows.

    Parameters
    ----------
    text
        Any text, also one with bytes that are no letters, as names of files may have them.
    kept
        What stays as it is, such as line ends in a text of several lines.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in kept else _spelled(letter) for letter in text)


def _spelled(letter: str) -> str:
    return letter.encode("unicode_escape", "backslashreplace").decode("ascii")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an input.

    Attributes
    ----------
    where
        The file, and the row and column if there are any: ``labels.csv, row 12, column label``.
    what
        What is wrong, in words.
    remedy
        What the reader can do about it; may be empty.
    """

    where: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}"
        return shown(f"{text} ({self.remedy})" if self.remedy else text)


class BadInput(Exception):  # noqa: N818 - it is the input that is wrong, not the program
    """Input that cannot be used. The command line prints it and exits with status 2.

    Parameters
    ----------
    problems
        One problem, or all that were found together.
    """

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__(str(self))

    def __str__(self) -> str:
        shown = [str(problem) for problem in self.problems[:_SHOWN]]
        hidden = len(self.problems) - len(shown)
        if hidden:
            shown.append(f"... and {hidden} more")
        return "\n".join(shown)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems,)


class NoAccess(BadInput):
    """Input that could not be opened or read: nothing is known of it, so nothing may be done to it.

    A folder without permission, a disk that does not answer, a server that is away. What was read and is wrong is a
    plain :class:`BadInput`.
    """


def raise_all(problems: Iterable[Problem]) -> None:
    """Raise one :class:`BadInput` with all the problems, or return if there are none."""
    found = tuple(problems)
    if found:
        raise BadInput(found)


def kind_of(words: str) -> str:
    """What is left of words without the numbers and quoted values in them: those of one kind are told together."""
    return _VALUES.sub("...", words)


def summed_up(notes: Iterable[str]) -> list[str]:
    """Notes with those of a kind in one line: the first of them, and how many more there are."""
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for note in notes:
        kinds[kind_of(note)].append(note)
    more = {kind: f" (and {len(alike) - 1} more like it)" if len(alike) > 1 else "" for kind, alike in kinds.items()}
    return [alike[0] + more[kind] for kind, alike in kinds.items()]


def _plain(name: str) -> str:
    """A name without case, signs and ways of writing numbers: CASME-II is casme2, and CAS(ME)³ casme3."""
    roman = re.sub(r"\bI{2,3}\b", lambda found: str(len(found[0])), unicodedata.normalize("NFKC", name))
    return re.sub(r"[^a-z0-9]", "", roman.lower()) or name


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A remedy that names the nearest known word, or lists the known ones if none is near."""
    words = sorted(known)
    plain = {_plain(name): name for name in words}
    near = difflib.get_close_matches(_plain(word), plain, n=1, cutoff=0.6)
    if near:
        return f"did you mean {plain[near[0]]!r}?"
    return f"known: {', '.join(words)}" if words else ""
