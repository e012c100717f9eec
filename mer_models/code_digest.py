"""The identity of code: a hash of what decides a result, wherever it lies and whatever its modules are called.

A module counts as its bare code: without comments, docstrings and layout, and without the lines that import modules
that are hashed themselves. In place of such a line stands which name of which code it brings, so that two functions of
one name are not mistaken for each other.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
from collections.abc import Collection, Iterator
from importlib.util import find_spec, resolve_name
from typing import Any


def digest_of_sources(modules: Collection[str], packages: Collection[str], besides: str) -> str:
    """SHA-256 (hexadecimal) of some modules and of what they import from some packages.

    Parameters
    ----------
    modules
        Names of modules.
    packages
        Top-level packages whose modules count.
    besides
        A module that does not count, nor what only it imports.
    """
    found: dict[str, _Bare] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in found and module != besides:
            found[module] = _Bare(module, packages)
            waiting += [of for of, _ in found[module].brought]
    whole = (
        [bare.code, *sorted(f"{found[of].code if of in found else ''} {name}" for of, name in bare.brought)]
        for bare in found.values()
    )
    return _digest("\0".join(sorted(_digest("\0".join(parts)) for parts in whole)))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class _Bare(ast.NodeTransformer):
    """A module without docstrings and imports.

    Attributes
    ----------
    code
        Digest of its code, and of its imports from other packages than ours in a fixed order.
    brought
        The modules of our packages that it imports, whichever way it says so, and what it calls what it takes of each.
        A module that is imported whole goes by its place among those, in the order of use.
    """

    def __init__(self, module: str, packages: Collection[str]) -> None:
        tree = ast.parse(_source(module))
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        ours = [node for node in imports if _is_of(node, packages)]
        brought = [one for node in ours for one in _brought(node, importlib.import_module(module).__package__ or "")]
        self._modules = {called for _, name, called in brought if not name}
        self._places: dict[str, str] = {}
        foreign = sorted({ast.unparse(node) for node in imports if node not in ours})
        self.code = _digest("\n".join([*foreign, ast.unparse(self.visit(tree))]))
        self.brought = [(of, f"{name} as {self._places.get(called, called)}") for of, name, called in brought]

    def generic_visit(self, node: ast.AST) -> Any:
        """A node without docstring and imports; None if nothing is left of it."""
        if isinstance(node, ast.Import | ast.ImportFrom):
            return None
        if isinstance(node, ast.Name) and node.id in self._modules:
            node.id = self._places.setdefault(node.id, f"_module_{len(self._places)}")
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
        super().generic_visit(node)
        if not isinstance(node, ast.Module) and getattr(node, "body", None) == []:
            node.body = [ast.Pass()]  # type: ignore[attr-defined]
        return node


def _source(module: str) -> str:
    """A module's source; empty for a package without code, or a module that is not Python."""
    loader = getattr(importlib.import_module(module).__spec__, "loader", None)
    return getattr(loader, "get_source", lambda name: "")(module) or ""


def _is_of(node: ast.Import | ast.ImportFrom, packages: Collection[str]) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.level > 0 or str(node.module).split(".")[0] in packages
    return any(alias.name.split(".")[0] in packages for alias in node.names)


def _brought(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[tuple[str, str, str]]:
    """Of an import: the module, which of its names is taken (empty for the module whole), and what it is called."""
    if isinstance(node, ast.Import):
        yield from ((one.name, "", one.asname or one.name) for one in node.names)
        return
    of = resolve_name("." * node.level + (node.module or ""), package)
    for one in node.names:
        # `from package import module` means the module, `from module import function` its part.
        inner, called = f"{of}.{one.name}", one.asname or one.name
        yield (inner, "", called) if _is_module(inner) else (of, one.name, called)


def _is_module(name: str) -> bool:
    """Whether there is such a module, imported or not: what it is must not depend on what ran before."""
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # what would hold it is no package
        return False
