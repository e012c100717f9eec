"""The identity of code: a hash of the modules that decide a result, whatever their comments and layout."""

from __future__ import annotations

import ast
import hashlib
import importlib
import sys
from collections.abc import Collection, Iterator
from importlib.util import resolve_name


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
    sources: dict[str, str] = {besides: ""}
    for module in modules:
        _collect_sources(module, packages, sources)
    del sources[besides]
    return hashlib.sha256("\0".join(sources[name] for name in sorted(sources)).encode()).hexdigest()


def _collect_sources(module: str, packages: Collection[str], sources: dict[str, str]) -> None:
    """Add the bare code of a module, and of the modules of some packages that it imports."""
    if module in sources:
        return
    tree = ast.parse(_source(module))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    sources[module] = ast.unparse(tree)
    for name in _imported_modules(tree, module):
        if name.split(".")[0] in packages:
            _collect_sources(name, packages, sources)


def _source(module: str) -> str:
    """A module's source; empty for a package without code, or a module that is not Python."""
    loader = getattr(importlib.import_module(module).__spec__, "loader", None)
    return getattr(loader, "get_source", lambda name: "")(module) or ""


def _imported_modules(tree: ast.AST, module: str) -> Iterator[str]:
    """The modules that a module's code imports, whichever way it says so."""
    package = importlib.import_module(module).__package__ or ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            name = resolve_name("." * node.level + (node.module or ""), package)
            inner = [f"{name}.{alias.name}" for alias in node.names]
            # `from package import module` means the module, `from module import function` the first part.
            yield from dict.fromkeys(one if one in sys.modules else name for one in inner)
