"""YAML as people write it, with the lines of its keys; what would blow up in memory is refused before it is built."""

from __future__ import annotations

import codecs
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mer_data.problems import BadInput, NoAccess, Problem

YamlPath = tuple[str | int, ...]

_MOST_LETTERS = 256 << 10
_MOST_NODES = 20_000  # with every alias written out
_HINT = "look for a quote, a bracket or a colon that is missing or too many, and for tabs"


@dataclass
class YamlLines:
    """Where the keys of a document stand.

    Attributes
    ----------
    lines
        By path of keys and indices, the line, from 1.
    twice
        Keys that a mapping has twice, each with its line.
    nodes
        How many values there are, with every alias written out.
    """

    lines: dict[YamlPath, int] = field(default_factory=dict)
    twice: list[tuple[str, int]] = field(default_factory=list)
    nodes: int = 0


def yaml_text(path: Path, remedy: str) -> str:
    """The text of a file that a person wrote.

    Raises
    ------
    BadInput
        If it is missing, is no text, or is too large; `remedy` is what to do if it is missing.
    NoAccess
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:  # which may be a pipe of the shell's: <(sed ... experiment.yaml)
            text = _decoded(file.read(4 * _MOST_LETTERS + 2))
    except FileNotFoundError:
        raise BadInput(Problem(str(path), "no such experiment file", remedy)) from None
    except (IsADirectoryError, ValueError) as error:
        if isinstance(error, OSError):
            raise BadInput(Problem(str(path), "is a folder", remedy)) from None
        name = shlex.quote(str(path))
        convert = f"save it as UTF-8; if it is in GBK: iconv -f GBK -t UTF-8 {name} > utf8.yaml"
        raise BadInput(Problem(str(path), "is no text in UTF-8", convert)) from None
    except OSError as error:
        raise NoAccess(Problem(str(path), f"cannot be read: {error.strerror}", "give access to it")) from None
    if len(text) > _MOST_LETTERS:
        raise BadInput(Problem(str(path), f"has more than {_MOST_LETTERS:,} letters", "it is not read"))
    return text


def _decoded(data: bytes) -> str:
    """Text in UTF-8, or in UTF-16 as editors on Windows write it, which begins with its mark."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    return data.decode("utf-8-sig")


def parse_yaml(text: str, where: str) -> tuple[Any, YamlLines]:
    """A document and the lines of its keys.

    Raises
    ------
    BadInput
        If it is no YAML, or too large with its aliases written out; `where` is what to name.
    """
    found = YamlLines()
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None:
            _walk(node, (), found)
        if found.nodes > _MOST_NODES:
            what = f"has more than {_MOST_NODES:,} values when its aliases (*name) are written out"
            raise BadInput(Problem(where, what, "write it without aliases"))
        return yaml.safe_load(text), found
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        at = f"{where}, line {mark.line + 1}" if mark else where
        raise BadInput(Problem(at, "is not YAML", _HINT)) from None


def _walk(node: yaml.Node, path: YamlPath, found: YamlLines) -> None:
    found.nodes += 1
    if found.nodes > _MOST_NODES:
        return
    found.lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner, line = (*path, str(key.value)), key.start_mark.line + 1
            if inner in found.lines:
                found.twice.append((str(key.value), line))
            _walk(value, inner, found)
            found.lines[inner] = line
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, (*path, index), found)
