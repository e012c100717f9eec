"""What is wrong with a value of an experiment, in words for those who write one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TEXTS = {
    "int": "must be a whole number",
    "float": "must be a number",
    "finite": "must be a finite number",
    "bool": "must be true or false",
    "string": "must be a text",
    "list": "must be a list",
    "tuple": "must be a list",
    "dict": "must be a mapping of keys to values",
    "mapping": "must be a mapping of keys to values",
    "model": "must be a mapping of keys to values",
    "dataclass": "must be a mapping of keys to values",
    "missing": "is missing",
    "extra": "is not known",
    "unexpected": "is not known",
    "recursion": "contains itself",
}
_LIMITS = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "too_short": "must not be empty",
    "too_long": "has too many values",
    "literal_error": "must be one of {expected}",
    "string_pattern_mismatch": "must begin with a letter or digit, and have only letters, digits and . _ - in it",
}


def in_words(error: Mapping[str, Any]) -> str:
    """One of the errors that pydantic found, without its words: they speak to programmers."""
    kind = str(error["type"])
    if kind in ("value_error", "assertion_error"):  # said by this program
        return str(error["msg"]).partition(", ")[2]
    if kind in _LIMITS:
        return _LIMITS[kind].format(**error.get("ctx", {}))
    return _TEXTS.get(kind.partition("_")[0], "is not what it should be")
